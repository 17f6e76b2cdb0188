"""Helpers for the texts of reports."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anaplan_autoload.report.report import ReportedError


UPLOADS_SHOWN = 10
ERRORS_SHOWN = 5
TEXT_SHOWN = 800
PUNCTUATION = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")


def in_words(error: ReportedError, note: str = "") -> str:
    """An error on one line: `Import: Wrong type (3 rows)`."""
    return f"{plain(error.action)}: {plain(error.message)} ({count(error.occurrences, 'row')}{note})"


def plain(text: str) -> str:
    """The text on one line, of bounded length, without control and format characters and line separators."""
    return cut(printable(text))


def printable(text: str) -> str:
    """The text, of any length, with spaces instead of characters that do not print, and without spaces at its ends."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def ascii_only(text: str) -> str:
    """Without accents, with straight quotes and plain dashes; other characters become `?`."""
    letters = unicodedata.normalize("NFKD", text.translate(PUNCTUATION))
    return "".join(each for each in letters if not unicodedata.combining(each)).encode("ascii", "replace").decode()


def cut(text: str, limit: int = TEXT_SHOWN, mark: str = "\u2026") -> str:
    """The text in at most `limit` characters, its end replaced by `mark` where it was longer."""
    return text if len(text) <= limit else text[: limit - len(mark)].rstrip() + mark


def cut_middle(text: str, limit: int) -> str:
    """The text in at most `limit` characters. A longer one keeps both ends, since file names often end with a date."""
    if len(text) <= limit:
        return text
    end = (limit - 3) * 2 // 3
    return f"{text[: limit - 3 - end].rstrip()}...{text[-end:].lstrip()}"


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(octets: int) -> str:
    """Bytes for people: `12.3 kB`."""
    amount = float(octets)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} GB"


def duration(seconds: float) -> str:
    """Seconds for people: `1 h 2 min 3 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "less than a second"


def readable(time: str) -> str:
    """An ISO time for people: `2026-11-24 21:05:00 UTC`."""
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
