"""A route's check of a file: formats, encodings, columns, rows, size; and the check learned from a good file."""

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anaplan_autoload.domain.contents import (
    ENCODINGS,
    SHOWN_CHARACTERS,
    Check,
    Problem,
    described,
    encoding_named,
    learned,
    problems,
    verdict,
    wants_whole_file,
)

COLUMNS = ("Code", "Name", "Parent")
EXACT = Check(columns=COLUMNS)
REQUIRED = Check(required=("Name", "Code"))
GOOD = "Code,Name,Parent\nA1,Cash,\nA2,Bank,A1\n"


def found(check: Check, content: str | bytes, last_size: int | None = None) -> tuple[Problem, ...]:
    """What is wrong with a whole file."""
    data = content.encode() if isinstance(content, str) else content
    return problems(check, data, len(data), last_size)


PASSES = [
    (EXACT, GOOD),
    (EXACT, "\ufeff" + GOOD),
    (EXACT, GOOD.replace("\n", "\r\n")),
    (EXACT, '"Code","Name","Parent"\nA1,Cash,\n'),
    (EXACT, "\n\nCode,Name,Parent\n"),
    (EXACT, "Code,Name,Parent"),
    (Check(columns=("Code", "Name, long", "Parent")), 'Code,"Name, long",Parent\n'),
    (Check(columns=("Code", "Name\nin two lines")), 'Code,"Name\nin two lines"\n'),
    (Check(columns=COLUMNS, delimiter=";"), GOOD.replace(",", ";")),
    (Check(columns=COLUMNS, delimiter="\t"), GOOD.replace(",", "\t")),
    (Check(columns=COLUMNS, encoding="utf-16"), GOOD.encode("utf-16")),
    (Check(columns=COLUMNS, encoding="utf-16-le"), GOOD.encode("utf-16-le")),
    (Check(columns=("Größe",), encoding="iso-8859-1"), "Größe\n".encode("latin-1")),
    (Check(columns=("Größe", "€"), encoding="windows-1252"), "Größe,€\n".encode("cp1252")),
    (Check(columns=("Größe", "日本")), "Größe,日本\n"),
    (REQUIRED, "Parent,Code,Owner,Name\n"),
    (Check(min_rows=2), GOOD),
    (Check(), "anything at all"),
    (Check(), ""),
    (EXACT, GOOD),
]


@pytest.mark.parametrize(("check", "content"), PASSES)
def test_a_file_as_expected_passes(check: Check, content: str | bytes) -> None:
    assert found(check, content) == ()


FAILS = [
    # check, content, what it is about, what is found, a part of the hint
    (EXACT, "Code,Name,Owner\n", "columns", "Code, Name, Owner", "Missing: Parent. New: Owner."),
    (EXACT, "Code,Name\n", "columns", "Code, Name", "Missing: Parent."),
    (EXACT, "Code,Name,Parent,Owner\n", "columns", "Code, Name, Parent, Owner", "New: Owner."),
    (EXACT, "Name,Code,Parent\n", "columns", "Name, Code, Parent", "another order"),
    (EXACT, "Code,Name,Parent,Name\n", "columns", "Code, Name, Parent, Name", "appears twice"),
    (EXACT, "code,Name ,Parent\n", "columns", "code, Name , Parent", '"code" for "Code", "Name " for "Name"'),
    (EXACT, "Code;Name;Parent\n", "columns", "Code;Name;Parent", "separated by a semicolon, not by a comma"),
    (EXACT, "Code\tName\tParent\n", "columns", "Code\tName\tParent", "separated by a tab"),
    (EXACT, "", "columns", "no header", "Missing: Code, Name, Parent."),
    (EXACT, "A1,Cash,\n", "columns", "A1, Cash, ", "Missing: Code, Name, Parent."),
    (REQUIRED, "Code,Parent\n", "columns", "Code, Parent", "Missing: Name."),
    (EXACT, gzip.compress(GOOD.encode(), mtime=0), "format", "a gzip file", "unpacked"),
    (EXACT, b"PK\x03\x04 and so on", "format", "a ZIP file", "saved as CSV"),
    (EXACT, b"PK\x03\x04 and xl/workbook.xml", "format", "an Excel workbook (.xlsx)", "saved as CSV"),
    (EXACT, bz2.compress(GOOD.encode()), "format", "a bzip2 file", "unpacked"),
    (EXACT, lzma.compress(GOOD.encode()), "format", "an xz file", "unpacked"),
    (EXACT, '<?xml version="1.0"?><rows/>', "format", "an XML file", "saved as CSV"),
    (EXACT, b"\xd0\xcf\x11\xe0\xa1\xb1", "format", "an Excel workbook (.xls)", "saved as CSV"),
    (EXACT, "<!DOCTYPE html><html>", "format", "a web page (HTML)", ""),
    (EXACT, GOOD.encode("utf-16"), "encoding", "utf-16-le", 'encoding = "utf-16-le"'),
    (EXACT, GOOD.encode("utf-16-be"), "encoding", "utf-16-be", "Save it as UTF-8"),
    (EXACT, "Code,Größe\n".encode("latin-1"), "encoding", "windows-1252", "Save it as UTF-8"),
    (Check(encoding="iso-8859-1"), "Größe\n", "encoding", "utf-8", "Save it as ISO-8859-1"),
    (Check(encoding="utf-16-le"), "Größe\n".encode("utf-16-be"), "encoding", "utf-16-be", "Save it as UTF-16-LE"),
    (
        Check(),
        "Größe\n".encode()[:5],
        "encoding",
        "utf-8, cut off in the middle of a character",
        "Upload the whole file",
    ),
    (Check(), b"Code,Na\0me\n", "format", "a file with NUL characters", "Save it as CSV again"),
    (EXACT, b"Code,\x81\x8d\n", "encoding", "iso-8859-1", "Save it as UTF-8"),
    (Check(columns=COLUMNS, encoding="utf-16"), GOOD, "encoding", "utf-8", "Save it as UTF-16"),
    (Check(columns=COLUMNS, encoding="utf-16"), GOOD[:-1], "encoding", "utf-8", "Save it as UTF-16"),
    (Check(min_rows=3), GOOD, "min_rows", "2", ""),
    (Check(min_rows=1), "Code,Name\n\n,\n", "min_rows", "0", ""),
    (Check(min_rows=1), "", "min_rows", "0", ""),
]


@pytest.mark.parametrize(
    "content",
    [b'Code,Name\n"5 inches,a\n' + b"b,c\n" * 300_000, b"Code,Name\n" + b"x" * 1_000_001, b"," * 1_000_001 + b"\n"],
    ids=["open quotation mark", "long line", "long header"],
)
def test_a_cell_that_does_not_end_is_named_and_not_held_in_memory(content: bytes) -> None:
    [problem] = found(Check(min_rows=1), content)
    assert (problem.about, problem.found) == ("format", "a cell or a line of more than 1,000,000 characters")


def test_rows_are_counted_as_far_as_they_matter() -> None:
    cells = b'Code,Name\n"a\nb",c\n\n\r\nd,e\r' + b"f,g\n" * 10
    for wanted, few in ((12, False), (13, True)):
        assert bool(found(Check(min_rows=wanted), cells)) == few


@pytest.mark.parametrize(("check", "content", "about", "seen", "hint"), FAILS)
def test_a_file_that_differs_is_told_with_what_was_expected(
    check: Check, content: str | bytes, about: str, seen: str, hint: str
) -> None:
    [problem] = found(check, content)
    assert (problem.about, problem.found) == (about, seen)
    assert hint in problem.hint
    assert described((problem,)).startswith(f"{about}:\n  expected: {problem.expected}\n  found:    {seen}")


@pytest.mark.parametrize(
    ("shrink", "size", "last", "fails"),
    [
        (50, 50, 100, False),
        (50, 49, 100, True),
        (0, 99, 100, True),
        (0, 100, 100, False),
        (90, 10, 100, False),
        (90, 9, 100, True),
        (50, 1, None, False),
        (50, 1, 0, False),
        (50, 500, 100, False),
    ],
)
def test_a_file_may_shrink_by_so_much(shrink: int, size: int, last: int | None, fails: bool) -> None:
    assert bool(found(Check(shrink=shrink), "x" * size, last)) == fails


def test_everything_that_is_wrong_is_told() -> None:
    check = Check(columns=COLUMNS, min_rows=5, shrink=10)
    assert [problem.about for problem in found(check, "Code,Name\nA1,Cash\n", 1_000)] == [
        "columns",
        "min_rows",
        "shrink",
    ]


def test_only_a_head_is_needed_unless_rows_have_to_be_counted() -> None:
    content = ("Code,Name,Parent\n" + "A1,Cash,\n" * 1_000).encode()
    head, size = content[:100], len(content)
    assert problems(EXACT, head, size) == ()
    assert not wants_whole_file(EXACT, head, size)
    assert not wants_whole_file(Check(min_rows=5), head, size)
    assert wants_whole_file(Check(min_rows=100), head, size)
    assert not wants_whole_file(Check(min_rows=100), content, size)
    assert not wants_whole_file(Check(min_rows=100), head, 60 * 1024**2)
    assert not wants_whole_file(Check(columns=("Other",), min_rows=100), head, size)
    assert problems(Check(min_rows=1_001), content, size)


def test_a_first_line_without_an_end_is_told() -> None:
    [problem] = problems(EXACT, b"Code," * 100, 10_000)
    assert problem.found == "a first line of more than 500 characters"


@given(st.integers(1, 60), st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be"]))
def test_a_head_may_be_cut_anywhere(cut: int, encoding: str) -> None:
    content = ("Größe,日本\n" + "😀é,漢\n" * 10).encode(encoding)
    check = Check(columns=("Größe", "日本"), encoding=encoding)
    header = len("Größe,日本\n".encode(encoding))
    assert bool(problems(check, content[: header + cut], len(content))) is False


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_get_a_verdict(content: bytes, more: int) -> None:
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        check = Check(columns=COLUMNS, encoding=encoding, min_rows=1, shrink=10)
        told = problems(check, content, len(content) + more, 10**6)
        assert {problem.about for problem in told} >= {"shrink"}
        assert all(problem.expected and problem.found for problem in told)
        wants_whole_file(check, content, len(content) + more)


LEARNED = [
    (GOOD, EXACT.columns, ",", "utf-8"),
    ("\ufeff" + GOOD, EXACT.columns, ",", "utf-8"),
    (GOOD.replace(",", ";"), EXACT.columns, ";", "utf-8"),
    (GOOD.replace(",", "|").encode("utf-16"), EXACT.columns, "|", "utf-16-le"),
    ("Größe,Name\n".encode("cp1252"), ("Größe", "Name"), ",", "windows-1252"),
    ("Single\n1\n", ("Single",), ",", "utf-8"),
]


@pytest.mark.parametrize(("content", "columns", "delimiter", "encoding"), LEARNED)
def test_a_good_file_passes_the_check_learned_from_it(
    content: str | bytes, columns: tuple[str, ...], delimiter: str, encoding: str
) -> None:
    data = content.encode() if isinstance(content, str) else content
    check = learned(data, len(data))
    assert check == Check(columns=columns, delimiter=delimiter, encoding=encoding, min_rows=1)
    assert [problem.about for problem in found(check, data)] in ([], ["min_rows"])


@pytest.mark.parametrize(
    ("header", "required"),
    [(",Code,Name", ("Code", "Name")), ('Code,"Name, long"', ("Code",)), ("Code,Name,Code", ("Code", "Name"))],
)
def test_columns_that_cannot_be_listed_are_left_out_of_what_is_learned(header: str, required: tuple[str, ...]) -> None:
    content = f"{header}\nA1,Cash,x\n".encode()
    check = learned(content, len(content))
    assert check == Check(required=required, min_rows=1)
    assert found(check, content) == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("utf8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("us_ascii", "utf-8"),
        ("utf-16", "utf-16"),
        ("Latin1", "iso-8859-1"),
        ("ISO-8859-1", "iso-8859-1"),
        ("Windows-1252", "windows-1252"),
        ("CP1252", "windows-1252"),
        ("utf-7", None),
        ("", None),
    ],
)
def test_an_encoding_has_several_spellings(written: str, meant: str | None) -> None:
    assert encoding_named(written) == meant
    assert meant is None or meant in ENCODINGS


def test_a_file_without_bytes_fails_unless_the_route_admits_it() -> None:
    assert [problem.about for problem in verdict(EXACT, b"", 0, allow_empty=False)] == ["empty"]
    assert verdict(EXACT, b"", 0, allow_empty=True) == ()
    assert verdict(EXACT, GOOD.encode(), len(GOOD), allow_empty=False) == ()


def test_rows_of_a_large_file_are_counted_line_by_line() -> None:
    content = "\ufeff" + GOOD + "A3,Größe,\r" * 200_000
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        check = Check(columns=COLUMNS, encoding=encoding, min_rows=200_002)
        assert found(check, content.encode(encoding)) == ()
        assert found(replace(check, min_rows=200_003), content.encode(encoding))


def test_long_texts_are_cut() -> None:
    [problem] = found(EXACT, "x" * 5_000 + "\n")
    assert len(problem.found) == SHOWN_CHARACTERS


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x1f\x8b\x08", b",,\n"])
def test_nothing_is_learned_from_a_file_without_a_header(content: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        learned(content, len(content))
