"""What a route's `check` says about a file: its columns, encoding, rows and size, judged from its first bytes.

Anaplan loads what it is given: a file with a column missing or in another encoding ends as a partial load, or as wrong
numbers. These checks look at the file before any run begins. They are pure: the caller fetches the bytes.
"""

from __future__ import annotations

import codecs
import io
from itertools import groupby, islice
from typing import TYPE_CHECKING

from msgspec import Struct, json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HEAD_BYTES = 64 * 1024
"""How much of a file is read, unless its rows have to be counted."""
WHOLE_BYTES = 50 * 1024**2
"""The largest file whose rows are counted."""
LONGEST_CELL = 1_000_000
"""Characters of a cell or a line. The rest of a file is one cell if a quotation mark is not closed, and would not fit
into the function's memory.
"""
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "windows-1252")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SHOWN_COLUMNS = 50
SHOWN_CHARACTERS = 1_000
"""Characters of each text of a problem, which is stored, mailed and logged."""

_PYTHON_NAMES = {"iso-8859-1": "latin-1", "windows-1252": "cp1252"}
_SPELLINGS = {
    "utf8": "utf-8",
    "utf8sig": "utf-8",
    "utf8bom": "utf-8",
    "ascii": "utf-8",
    "usascii": "utf-8",
    "utf16": "utf-16",
    "utf16le": "utf-16-le",
    "utf16be": "utf-16-be",
    "iso88591": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows1252": "windows-1252",
    "cp1252": "windows-1252",
    "win1252": "windows-1252",
    "ansi": "windows-1252",
}
"""Lower case, without spaces, dashes and underscores. ASCII text is also UTF-8 text."""
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_FORMATS = {
    b"\x1f\x8b": "a gzip file",
    b"BZh91AY&SY": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip file",
    b"PK\x03\x04": "a ZIP file",
    b"PK\x05\x06": "an empty ZIP file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF file",
    b"PAR1": "a Parquet file",
    b"SQLite format 3\x00": "an SQLite database",
    b"-----BEGIN PGP MESSAGE": "a file encrypted with PGP",
    b"{\\rtf": "an RTF document",
}
"""The first bytes of files that are not text → what such a file is called."""


class Check(Struct, frozen=True, omit_defaults=True):
    """The `check` of a route."""

    columns: tuple[str, ...] = ()
    """The header: exactly these, in this order. Empty: not checked."""
    required: tuple[str, ...] = ()
    """Columns that must be among those of the header, in any order."""
    delimiter: str = ","
    encoding: str = "utf-8"
    min_rows: int = 0
    """Rows below the header, blank ones not counted."""
    shrink: int | None = None
    """Per cent by which the file may be smaller than the one loaded last; None: not checked."""


class Problem(Struct, frozen=True):
    """One way in which a file does not pass its route's check."""

    about: str
    """`columns`, `empty`, `encoding`, `format`, `min_rows` or `shrink`."""
    expected: str
    found: str
    hint: str = ""
    """What is probably wrong, as sentences."""
    key: str = ""
    """The file's key in S3; empty if it is a local file."""


_EMPTY = Problem(
    "empty",
    "a file with rows",
    "an empty file",
    "Upload a file with rows, or set allow_empty = true on the route if an empty file is meant.",
)


def encoding_named(text: str) -> str | None:
    """The encoding that a user means: UTF8, latin1 and CP1252 are spellings of these; None if it is not known."""
    return _SPELLINGS.get("".join(char for char in text.casefold() if char not in " -_"))


def wants_whole_file(check: Check, head: bytes, size: int) -> bool:
    """Whether the rows can be counted only in the whole file, and it is small enough to be read."""
    if len(head) >= size or not check.min_rows or size > WHOLE_BYTES:
        return False
    return not problems(check, head, size) and _rows(check, head, whole=False) < check.min_rows


def verdict(
    check: Check, content: bytes, size: int, last_size: int | None = None, *, allow_empty: bool
) -> tuple[Problem, ...]:
    """What `problems` finds. An empty file has one problem, or none if the route allows empty files."""
    if not size:
        return () if allow_empty else (_EMPTY,)
    return problems(check, content, size, last_size)


def problems(check: Check, content: bytes, size: int, last_size: int | None = None) -> tuple[Problem, ...]:
    """All that is wrong with a file of `size` bytes. `content` is its beginning, or the whole file.

    `last_size` is the size of the file that this route loaded last. Rows are judged only where `content` is the whole
    file; see `wants_whole_file`.
    """
    whole = len(content) >= size
    if unread := _unreadable(check, content, whole):
        return (unread, *_shrunk(check, size, last_size))
    return (*_header(check, content, whole), *_too_few(check, content, whole), *_shrunk(check, size, last_size))


def described(found: Sequence[Problem]) -> str:
    """Problems as text for people, expected above found, each with its file's key; without control characters."""
    parts = []
    for key, of_key in groupby(found, lambda problem: problem.key):
        parts += [f"{_printable(key)}:"] if key else []
        parts += map(_described, of_key)
    return "\n".join(parts)


def _described(problem: Problem) -> str:
    hint = f"\n  {_printable(problem.hint)}" if problem.hint else ""
    return (
        f"{problem.about}:\n  expected: {_printable(problem.expected)}\n  found:    {_printable(problem.found)}{hint}"
    )


def why_rejected(found: Sequence[Problem], *, several: bool, checked_at: str | None) -> str:
    """Why a batch is rejected, of `several` files or one; the first sentence is the news.

    `checked_at` is when the files were read, for people; None where it was a version that nobody can replace.
    """
    first = found[0]
    news = ", ".join(_news(problem) for problem in found if problem.key == first.key)
    which = f'The file "{first.key}"' if several else "The file"
    said = [f"{which} failed its check: {news}."]
    if others := len({problem.key for problem in found} - {first.key}):
        said.append(f"{others} more failed {'its' if others == 1 else 'their'} check too.")
    if several:
        said.append("A run would read all files together, so none of them was loaded.")
    if checked_at is not None:
        said.append(f"The check read what the key held at {checked_at}; somebody may have replaced it since.")
    return " ".join(said)


def _news(problem: Problem) -> str:
    match problem.about:
        case "columns":
            return "its columns differ"
        case "encoding":
            return f"its encoding is {problem.found}"
        case "min_rows":
            return f"it has {problem.found} {'row' if problem.found == '1' else 'rows'}"
        case "shrink":
            return "it is much smaller than the one before"
        case _:
            return f"it is {problem.found}"


def as_toml(check: Check) -> str:
    """The check as it is written in `routes.toml`: `check = { columns = ["Code", "Name"], … }`."""
    parts = []
    if check.columns:
        parts.append(f"columns = {_toml_list(check.columns)}")
    if check.required:
        parts.append(f"columns = {{ required = {_toml_list(check.required)} }}")
    parts += [f"delimiter = {toml_text(check.delimiter)}", f"encoding = {toml_text(check.encoding)}"]
    if check.min_rows:
        parts.append(f"min_rows = {check.min_rows}")
    if check.shrink is not None:
        parts.append(f'shrink = "{check.shrink}%"')
    return f"check = {{ {', '.join(parts)} }}"


def _toml_list(names: Iterable[str]) -> str:
    return f"[{', '.join(map(toml_text, names))}]"


def toml_text(text: str) -> str:
    """A basic string of TOML."""
    return json.encode(text).decode().replace("\x7f", "\\u007f")  # JSON's other escapes are TOML's too


def is_listable(name: str, delimiter: str) -> bool:
    """Whether a check may list this column. A name that is empty or contains the delimiter is mostly a mistake."""
    return bool(name.strip()) and delimiter not in name


def learned(content: bytes, size: int) -> Check:
    """The check that a good file passes: its encoding, delimiter and columns.

    If some of its columns cannot be listed (see `is_listable`), or one appears twice, the others are required.

    Raises:
        ValueError: it is not a text file with a header.
    """
    if kind := _format(content):
        raise ValueError(f"it is {kind}, not text")
    encoding = _probable_encoding(content)
    if not _is_text_in(content[:HEAD_BYTES], encoding, whole=False):
        raise ValueError("it is not text")
    text = _text(content[:HEAD_BYTES], encoding, whole=False)
    delimiter = _probable_delimiter(_first_line(text))
    columns = next(_records(io.StringIO(text, newline=""), delimiter), [])
    listable = tuple(name for name in dict.fromkeys(columns) if is_listable(name, delimiter))
    if not any(name.strip("".join(DELIMITERS)) for name in listable):
        raise ValueError("it has no header")
    if len(listable) < len(columns):
        return Check(required=listable, delimiter=delimiter, encoding=encoding, min_rows=1)
    return Check(columns=listable, delimiter=delimiter, encoding=encoding, min_rows=1)


def _unreadable(check: Check, content: bytes, whole: bool) -> Problem | None:
    """Why the file cannot be read as text in the encoding that is expected."""
    if kind := _format(content):
        return _problem("format", "text with columns (CSV)", kind, "Upload it unpacked and saved as CSV.")
    found = _probable_encoding(content)
    if _fits(check, content, found, whole):
        return None
    if not _is_text_in(content, found, whole=False):
        return _problem("format", "text with columns (CSV)", "a file with NUL characters", "Save it as CSV again.")
    if found == _encoding(check, content):
        return _problem(
            "encoding", check.encoding, f"{found}, cut off in the middle of a character", "Upload the whole file."
        )
    hint = f'Save it as {check.encoding.upper()}, or set encoding = "{found}" in the route\'s check.'
    return _problem("encoding", check.encoding, found, hint)


def _problem(about: str, expected: str, found: str, hint: str = "") -> Problem:
    return Problem(about, _cut(expected), _cut(found), _cut(hint))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else " " for char in text)


def _format(content: bytes) -> str | None:
    known = (name for start, name in _FORMATS.items() if content.startswith(start))
    if name := next(known, None):
        return "an Excel workbook (.xlsx)" if name == "a ZIP file" and b"xl/" in content[:HEAD_BYTES] else name
    start = content[:1_000].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)"
    return "an XML file" if start.startswith(b"<?xml") else None


def _fits(check: Check, content: bytes, found: str, whole: bool) -> bool:
    """Whether text that looks as if it were in encoding `found` can be in the one that is expected."""
    wanted = _encoding(check, content)
    if not _is_text_in(content, wanted, whole):
        return False
    if found == "utf-8" and found != wanted:
        return content.isascii() and not wanted.startswith("utf-16")
    return found == wanted or not found.startswith("utf-16")


def _encoding(check: Check, content: bytes) -> str:
    """The encoding to decode with, because "utf-16" does not say the order of the bytes."""
    probable = _probable_encoding(content)
    return probable if check.encoding == "utf-16" and probable.startswith("utf-16") else check.encoding


def _probable_encoding(content: bytes) -> str:
    """UTF-16 and UTF-8 are recognized by their bytes. Everything else counts as Windows-1252, or as Latin-1 if it has
    bytes that Windows-1252 does not define.
    """
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return encoding
    start = content[:1024]
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
        if len(start) > 1 and zeros.count(0) > len(zeros) / 2:
            return encoding
    return next((name for name in ("utf-8", "windows-1252") if _is_text_in(content, name, False)), "iso-8859-1")


def _is_text_in(content: bytes, encoding: str, whole: bool) -> bool:
    """Whether these bytes are text in this encoding. Unless the content is `whole`, its last character may be cut."""
    decoder = _decoder(encoding)
    try:
        for start in range(0, len(content), HEAD_BYTES):
            if "\0" in decoder.decode(content[start : start + HEAD_BYTES]):
                return False
        decoder.decode(b"", final=whole)
    except UnicodeError:
        return False
    return True


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(_PYTHON_NAMES.get(encoding, encoding))()


def _text(content: bytes, encoding: str, *, whole: bool) -> str:
    """Decoded, without a byte order mark. Unless it is `whole`, a character that is cut at its end is left out."""
    return _decoder(encoding).decode(content, final=whole).removeprefix("\ufeff")


def _lines(content: bytes, encoding: str, *, whole: bool) -> Iterable[str]:
    """The text's lines; those of a whole file are decoded one after another, as it may be large."""
    if not whole:
        return io.StringIO(_text(content, encoding, whole=False), newline="")
    file = io.BytesIO(content)
    file.seek(next((len(bom) for bom, name in _BOMS if name == encoding and content.startswith(bom)), 0))
    return _bounded(io.TextIOWrapper(file, _PYTHON_NAMES.get(encoding, encoding), newline=""))


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text; raises `csv.Error`, as for a long cell, if one is too long to be held in memory."""
    import csv

    while line := text.readline(LONGEST_CELL):
        if len(line) == LONGEST_CELL and line[-1] not in "\r\n":
            raise csv.Error("line too long")
        yield line


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").replace("\r", "\n").partition("\n")[0]


def _records(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The rows that are not blank, with quotation marks as in RFC 4180."""
    import csv  # imported here because most routes have no check

    csv.field_size_limit(LONGEST_CELL)
    return (row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row))


def _probable_delimiter(line: str) -> str:
    """The delimiter that splits a header into the most columns."""
    return max(DELIMITERS, key=lambda delimiter: len(next(_records([line], delimiter), [])))


def _header(check: Check, content: bytes, whole: bool) -> Iterator[Problem]:
    if not check.columns and not check.required:
        return
    text = _text(content[:HEAD_BYTES], _encoding(check, content), whole=False)
    begins = text.lstrip("\r\n")
    if not (whole and len(content) <= HEAD_BYTES) and not ("\n" in begins or "\r" in begins):
        wanted = _list(check.columns or check.required)
        yield _problem("columns", wanted, f"a first line of more than {len(text)} characters")
        return
    found = tuple(next(_records(io.StringIO(text, newline=""), check.delimiter), []))
    gone = [name for name in check.columns or check.required if name not in found]
    if found == check.columns or (check.required and not gone):
        return
    new = [name for name in found if name not in check.columns] if check.columns else []
    expected = _list(check.columns) if check.columns else f"{_list(check.required)}, among others"
    yield _problem("columns", expected, _list(found) or "no header", _column_hint(check, found, gone, new, text))


def _column_hint(check: Check, found: tuple[str, ...], gone: list[str], new: list[str], text: str) -> str:
    delimiter = _probable_delimiter(_first_line(text))
    if len(found) == 1 and delimiter != check.delimiter and delimiter in found[0]:
        return f"The columns are separated by a {DELIMITERS[delimiter]}, not by {_delimiter(check.delimiter)}."
    alike = {_folded(name): name for name in new}
    renamed = [f'"{alike[_folded(name)]}" for "{name}"' for name in gone if _folded(name) in alike]
    if renamed:
        return f"Names differ only in case or spaces: {', '.join(renamed)}."
    said = [f"Missing: {_list(tuple(gone))}." if gone else "", f"New: {_list(tuple(new))}." if new else ""]
    if not any(said):
        twice = len(set(found)) < len(found)
        return "A column appears twice." if twice else "The columns are in another order."
    return " ".join(filter(None, said))


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _delimiter(delimiter: str) -> str:
    return f"a {DELIMITERS[delimiter]}" if delimiter in DELIMITERS else f'"{delimiter}"'


def _list(columns: tuple[str, ...]) -> str:
    shown = ", ".join(columns[:SHOWN_COLUMNS])
    return f"{shown} and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else shown


def _rows(check: Check, content: bytes, *, whole: bool) -> int:
    """Rows below the header; no more are counted than matter. Unless the content is `whole`, its last row may be cut,
    so it is not counted. Raises `csv.Error` for a cell or a line of more than `LONGEST_CELL` characters.
    """
    lines = _lines(content, _encoding(check, content), whole=whole)
    enough = islice(_records(lines, check.delimiter), check.min_rows + 2)
    return max(0, sum(1 for _ in enough) - (1 if whole else 2))


def _too_few(check: Check, content: bytes, whole: bool) -> Iterator[Problem]:
    if not whole or not check.min_rows:
        return
    import csv

    try:
        rows = _rows(check, content, whole=True)
    except csv.Error:
        found = f"a cell or a line of more than {LONGEST_CELL:,} characters"
        yield _problem("format", "text with columns (CSV)", found, "A quotation mark may lack its other half.")
        return
    if rows < check.min_rows:
        yield _problem("min_rows", f"at least {check.min_rows} below the header", str(rows))


def _shrunk(check: Check, size: int, last_size: int | None) -> Iterator[Problem]:
    if check.shrink is None or not last_size or size * 100 >= last_size * (100 - check.shrink):
        return
    smaller = f"{size:,} bytes, {100 - size * 100 // last_size} % less than the {last_size:,} bytes loaded last"
    yield _problem("shrink", f"at most {check.shrink} % smaller than the file loaded last", smaller)
