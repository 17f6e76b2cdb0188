"""What an import makes of a CSV file, and an export of a list. Pure: bytes in, rows and reasons out.

The file's first column is the code. A row whose code is empty or was there before, or that has not as many cells as
the header, is rejected, as by an import into a numbered list that uses the code.
"""

from __future__ import annotations

import csv
from io import StringIO

from msgspec import Struct

CODE_DATA_MISMATCH = 12
CODE_UNREADABLE = 35
CODE_PARTIAL = 38
CODE_NO_SOURCE = 39

SHOWN_VALUES = 10
"""How many examples of a reason the error listing shows."""


class Rejected(Struct, frozen=True):
    """One row that was not imported."""

    line: int
    """1 is the header's line."""
    cells: tuple[str, ...]
    reason: str


class Loaded(Struct, frozen=True):
    """What one file held."""

    header: tuple[str, ...]
    rows: dict[str, dict[str, str]]
    """Accepted rows by code, in the file's order."""
    rejected: tuple[Rejected, ...]

    @property
    def total(self) -> int:
        """Data rows in the file, good and bad."""
        return len(self.rows) + len(self.rejected)


class Unreadable(ValueError):
    """The file cannot be imported at all; the text says why."""


def load(content: bytes) -> Loaded:
    """Sort a file's rows into good and bad.

    Raises `Unreadable` for a file that is empty, is not UTF-8 or is not CSV.
    """
    lines = _parse(content)
    if not lines:
        raise Unreadable("The file is empty")
    header, *data = lines
    rows: dict[str, dict[str, str]] = {}
    rejected: list[Rejected] = []
    for line, cells in enumerate(data, start=2):
        reason = _fault_of(cells, header, rows)
        if reason is None:
            rows[cells[0].strip()] = dict(zip(header, cells, strict=True))
        else:
            rejected.append(Rejected(line, tuple(cells), reason))
    return Loaded(tuple(header), rows, tuple(rejected))


def _parse(content: bytes) -> list[list[str]]:
    try:
        text = content.decode("utf-8-sig")
        return [cells for cells in csv.reader(StringIO(text, newline=""), strict=True) if cells]
    except UnicodeDecodeError as error:
        raise Unreadable("The file is not UTF-8") from error
    except csv.Error as error:
        raise Unreadable(f"The file is not CSV: {error}") from error


def _fault_of(cells: list[str], header: list[str], seen: dict[str, dict[str, str]]) -> str | None:
    if len(cells) != len(header):
        return "Number of columns differs from the header"
    code = cells[0].strip()
    if not code:
        return "Code is empty"
    if code in seen:
        return "Duplicate code"
    return None


def dump(loaded: Loaded) -> bytes:
    """The rejected rows as the CSV file that `/dumps` serves, laid out like Anaplan's failure dumps."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["_Status_", "_Line_", "_ErrorCount_", "_WarningCount_", *loaded.header, "_Error_Message_1_"])
    for row in loaded.rejected:
        writer.writerow(["E", row.line, 1, 0, *row.cells, row.reason])
    return text.getvalue().encode()


def export(rows: dict[str, dict[str, str]]) -> bytes:
    """A list as CSV: every column that any row has, in order of appearance."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows.values())
    return text.getvalue().encode()
