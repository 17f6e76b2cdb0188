"""What a route's `check` says about a file: its columns, encoding, rows and size, judged from its first bytes.

Anaplan loads what it is given: a file with a column missing or in another encoding ends as a partial load, or as wrong
numbers. These checks look at the file before any run begins. They are pure: whoever calls them fetches the bytes.
"""

from __future__ import annotations

import codecs
import csv
import io
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD_BYTES = 64 * 1024
"""How much of a file is looked at, except where its rows have to be counted."""
WHOLE_BYTES = 50 * 1024**2
"""The largest file whose rows are counted."""
ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "windows-1252")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SHOWN_COLUMNS = 50

_PYTHON_NAMES = {"iso-8859-1": "latin-1", "windows-1252": "cp1252"}
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_FORMATS = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a ZIP file or an Excel workbook (.xlsx)",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"%PDF": "a PDF file",
    b"PAR1": "a Parquet file",
}
"""What files begin with that are not text, and their names."""


class Check(Struct, frozen=True, omit_defaults=True):
    """The `check` of a route."""

    columns: tuple[str, ...] = ()
    """The header: exactly these, in this order. Empty where any will do."""
    required: tuple[str, ...] = ()
    """Columns that must be among those of the header, in any order."""
    delimiter: str = ","
    encoding: str = "utf-8"
    min_rows: int = 0
    """Rows below the header, blank ones not counted."""
    shrink: int | None = None
    """Per cent by which the file may be smaller than the one loaded last; None: by any."""


class Problem(Struct, frozen=True):
    """One thing about a file that is not as its route's check wants it."""

    about: str
    """`columns`, `encoding`, `format`, `min_rows` or `shrink`."""
    expected: str
    found: str
    hint: str = ""
    """What is probably wrong, as sentences."""


def wants_whole_file(check: Check, head: bytes, size: int) -> bool:
    """Whether the rows can be counted only in the whole file, and it is small enough to be read."""
    if len(head) >= size or not check.min_rows or size > WHOLE_BYTES:
        return False
    return not problems(check, head, size) and _rows(check, head, whole=False) < check.min_rows


def problems(check: Check, content: bytes, size: int, last_size: int | None = None) -> tuple[Problem, ...]:
    """All that is wrong with a file of `size` bytes, of which `content` is the beginning, or all.

    `last_size` is the size of the file that this route loaded last. Rows are judged only where `content` is the whole
    file; see `wants_whole_file`.
    """
    whole = len(content) >= size
    if unread := _unreadable(check, content, whole):
        return (unread, *_shrunk(check, size, last_size))
    return (*_header(check, content, whole), *_too_few(check, content, whole), *_shrunk(check, size, last_size))


def described(found: tuple[Problem, ...]) -> str:
    """Problems as text for people: expected against found, a paragraph each."""
    return "\n".join(
        f"{problem.about}:\n  expected: {problem.expected}\n  found:    {problem.found}"
        + (f"\n  {problem.hint}" if problem.hint else "")
        for problem in found
    )


def learned(content: bytes, size: int) -> Check:
    """The check that a good file passes: its encoding, delimiter and columns.

    Raises:
        ValueError: it is not a text file with a header.
    """
    if kind := _format(content):
        raise ValueError(f"it is {kind}, not text")
    encoding = _probable_encoding(content)
    text = _text(content, encoding, whole=len(content) >= size)
    delimiter = _probable_delimiter(_first_line(text))
    columns = next(_records(text, delimiter), [])
    if not any(cell.strip(" ".join(DELIMITERS)) for cell in columns):
        raise ValueError("it has no header")
    return Check(columns=tuple(columns), delimiter=delimiter, encoding=encoding, min_rows=1)


def _unreadable(check: Check, content: bytes, whole: bool) -> Problem | None:
    """Why the file cannot be read as text in the encoding that is expected."""
    if kind := _format(content):
        return Problem("format", "text with columns (CSV)", kind, "Upload it unpacked and saved as CSV.")
    found = _probable_encoding(content)
    if _fits(check, content, found, whole):
        return None
    if found == _encoding(check, content):
        return Problem("encoding", check.encoding, f"{found}, cut within its last character", "Upload the whole file.")
    hint = f'Save it as {check.encoding.upper()}, or set encoding = "{found}" in the route\'s check.'
    return Problem("encoding", check.encoding, found, hint)


def _format(content: bytes) -> str | None:
    known = (name for start, name in _FORMATS.items() if content.startswith(start))
    if name := next(known, None):
        return name
    start = content.removeprefix(codecs.BOM_UTF8).lstrip()[:15].lower()
    return "a web page (HTML)" if start.startswith((b"<!doctype html", b"<html")) else None


def _fits(check: Check, content: bytes, found: str, whole: bool) -> bool:
    """Whether text that looks as if it were in encoding `found` can be in the one that is expected."""
    wanted = _encoding(check, content)
    if not _is_text_in(content, wanted, whole):
        return False
    if found == "utf-8" and found != wanted:
        return content.isascii() and not wanted.startswith("utf-16")
    return found == wanted or not found.startswith("utf-16")


def _encoding(check: Check, content: bytes) -> str:
    """The encoding to decode with: "utf-16" says nothing of the order of bytes."""
    probable = _probable_encoding(content)
    return probable if check.encoding == "utf-16" and probable.startswith("utf-16") else check.encoding


def _probable_encoding(content: bytes) -> str:
    """UTF-16 and UTF-8 are told by their bytes. The rest counts as Windows-1252, or as Latin-1 if it has bytes that
    Windows-1252 leaves open.
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
    """Whether these bytes are text in this encoding; the last character may be cut unless all is `whole`."""
    try:
        text = _text(content, encoding, whole=whole)
    except UnicodeError:
        return False
    return "\0" not in text


def _text(content: bytes, encoding: str, *, whole: bool) -> str:
    """Decoded, without a byte order mark; a character that is cut at the end is left out unless all is `whole`."""
    decoder = codecs.getincrementaldecoder(_PYTHON_NAMES.get(encoding, encoding))()
    return decoder.decode(content, final=whole).removeprefix("\ufeff")


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").partition("\n")[0]


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows that are not blank, quoted as in RFC 4180."""
    csv.field_size_limit(WHOLE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return (row for row in reader if any(cell.strip() for cell in row))


def _probable_delimiter(line: str) -> str:
    """The delimiter that parts a header into most columns."""
    return max(DELIMITERS, key=lambda delimiter: len(next(_records(line, delimiter), [])))


def _header(check: Check, content: bytes, whole: bool) -> Iterator[Problem]:
    if not check.columns and not check.required:
        return
    text = _text(content, _encoding(check, content), whole=False)
    if not whole and "\n" not in text.lstrip("\r\n"):
        yield Problem(
            "columns", _list(check.columns or check.required), f"no end of the first line in {len(text)} characters"
        )
        return
    found = tuple(next(_records(text, check.delimiter), []))
    gone = [name for name in check.columns or check.required if name not in found]
    if found == check.columns or (check.required and not gone):
        return
    new = [name for name in found if name not in check.columns] if check.columns else []
    expected = _list(check.columns) if check.columns else f"{_list(check.required)}, among others"
    yield Problem("columns", expected, _list(found) or "no header", _column_hint(check, found, gone, new, text))


def _column_hint(check: Check, found: tuple[str, ...], gone: list[str], new: list[str], text: str) -> str:
    delimiter = _probable_delimiter(_first_line(text))
    if len(found) == 1 and delimiter != check.delimiter and delimiter in found[0]:
        return f"The columns are parted by a {DELIMITERS[delimiter]}, not by {_delimiter(check.delimiter)}."
    alike = {_folded(name): name for name in new}
    renamed = [f'"{alike[_folded(name)]}" for "{name}"' for name in gone if _folded(name) in alike]
    if renamed:
        return f"Names differ only in case or blanks: {', '.join(renamed)}."
    said = [f"Gone: {_list(tuple(gone))}." if gone else "", f"New: {_list(tuple(new))}." if new else ""]
    if not any(said):
        twice = len(set(found)) < len(found)
        return "A column is there twice." if twice else "The columns are in another order."
    return " ".join(filter(None, said))


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def _delimiter(delimiter: str) -> str:
    return f"a {DELIMITERS[delimiter]}" if delimiter in DELIMITERS else f'"{delimiter}"'


def _list(columns: tuple[str, ...]) -> str:
    shown = ", ".join(columns[:SHOWN_COLUMNS])
    return f"{shown} and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else shown


def _rows(check: Check, content: bytes, *, whole: bool) -> int:
    """Rows below the header; where not all is there, the last one may be cut and is not counted."""
    text = _text(content, _encoding(check, content), whole=whole)
    return max(0, sum(1 for _ in _records(text, check.delimiter)) - (1 if whole else 2))


def _too_few(check: Check, content: bytes, whole: bool) -> Iterator[Problem]:
    if not whole or not check.min_rows:
        return
    if (rows := _rows(check, content, whole=True)) < check.min_rows:
        yield Problem("min_rows", f"at least {check.min_rows} below the header", str(rows))


def _shrunk(check: Check, size: int, last_size: int | None) -> Iterator[Problem]:
    if check.shrink is None or not last_size or size * 100 >= last_size * (100 - check.shrink):
        return
    smaller = f"{size:,} bytes, {100 - size * 100 // last_size} % less than the {last_size:,} bytes loaded last"
    yield Problem("shrink", f"at most {check.shrink} % smaller than the file loaded last", smaller)
