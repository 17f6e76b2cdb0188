"""`check` and `routes learn`: a file on this computer, judged and learned from by the function's own code."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from anaplan_autoload.domain.routes_file.parsing import load
from tests.command_line import run

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "a2fb43a93bc84bcb9f37dd59a75eb940"
check = { columns = ["Code", "Name"], min_rows = 20_000 }

[[route]]
name = "open"
prefix = "open/"
integration = "b2fb43a93bc84bcb9f37dd59a75eb940"
"""
GOOD = "Code,Name\n" + "A1,Cash\n" * 20_000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with routes and files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "routes.toml").write_text(ROUTES)
    (tmp_path / "good.csv").write_text(GOOD)
    return tmp_path


def test_a_good_file_passes() -> None:
    result = run("check", "good.csv", "--route", "accounts")

    assert result.code == 0 and "passes the check" in result.err


@pytest.mark.parametrize(("content", "code"), [(GOOD, 0), (GOOD[:-8], 1), ("", 1)])
def test_a_file_may_come_through_a_pipe(content: str, code: int) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "w") as pipe, suppress(BrokenPipeError):
            pipe.write(content)

    writer = Thread(target=write)
    writer.start()
    result = run("check", f"/dev/fd/{reading}", "--route", "accounts")
    os.close(reading)
    writer.join()

    assert result.code == code, result.err


@pytest.mark.parametrize(
    ("content", "about", "found"),
    [
        (GOOD.replace(",", ";").encode(), "columns", "Code;Name"),
        (GOOD[:-8].encode(), "min_rows", "19999"),
        (gzip.compress(GOOD.encode()), "format", "a gzip file"),
        (GOOD.encode("utf-16"), "encoding", "utf-16-le"),
        (b"", "empty", "an empty file"),
    ],
)
def test_a_bad_file_fails_with_what_was_expected_and_found(here: Path, content: bytes, about: str, found: str) -> None:
    (here / "bad.csv").write_bytes(content)

    result = run("check", "bad.csv", "--route", "accounts", "--json")

    assert result.code == 1
    told = result.json
    assert (told["file"], told["route"], told["passed"]) == ("bad.csv", "accounts", False)
    assert [(problem["about"], problem["found"]) for problem in told["problems"]] == [(about, found)]
    plain = run("check", "bad.csv", "--route", "accounts")
    assert plain.code == 1 and found in plain.out and "would be rejected" in plain.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "good.csv", "--route", "open"), "has no check"),
        (("check", "good.csv", "--route", "acounts"), "Did you mean 'accounts'?"),
        (("check", "none.csv", "--route", "accounts"), "none.csv cannot be read"),
        (("routes", "learn", "open", "none.csv"), "none.csv cannot be read"),
    ],
)
def test_a_check_that_cannot_run_names_the_remedy(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)

    assert result.code == 1
    assert said in result.err and ("To do" in result.err or "Did you mean" in result.err)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_learned_check_is_one_that_the_file_passes(here: Path, encoding: str) -> None:
    (here / "sample.csv").write_bytes("Code;Größe;Parent\nA1;1,5;\n".encode(encoding))
    line = run("routes", "learn", "open", "sample.csv").out
    (here / "routes.toml").write_text(ROUTES + line)

    assert run("check", "sample.csv", "--route", "open").code == 0
    assert run("check", "good.csv", "--route", "open").code == 1
    (_, route) = load(here / "routes.toml")
    assert route.check is not None and route.check.columns == ("Code", "Größe", "Parent")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK\x03\x04 xl/workbook.xml", "it is an Excel workbook (.xlsx), not text"),
        (b"\x7fELF" + bytes(2000) + b"\xdf\xdf" * 100, "it is not text"),
        (b"Code,Na\0me\n", "it is not text"),
        (b"", "it has no header"),
    ],
)
def test_nothing_is_learned_from_a_file_without_columns(here: Path, content: bytes, why: str) -> None:
    (here / "sheet").write_bytes(content)

    result = run("routes", "learn", "open", "sheet")

    assert result.code == 1 and f"Nothing can be learned from sheet: {why}." in result.err


def test_a_route_shows_its_check() -> None:
    told = run("routes", "match", "s3://inbox/incoming/a.csv", "--json").json

    assert told["check"].startswith('{ columns = ["Code", "Name"]')
