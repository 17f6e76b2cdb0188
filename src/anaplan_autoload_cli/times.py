"""Times and numbers of things, as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from itertools import pairwise

import typer

MOST = 1_000_000
"""The most that a `--limit` may be."""
_LATEST = 253_402_300_799_999
"""The end of the year 9999, epoch ms."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def length(seconds: float) -> str:
    """A length of time in its two largest units: `3d 4h`, `2h 5m`, `12s`; nothing is shorter than `0s`."""
    whole = max(0, round(seconds))
    for (unit, letter), (part, part_letter) in pairwise(_UNITS):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit}{letter} {rest}{part_letter}" if rest else f"{whole // unit}{letter}"
    return f"{whole}s"


def count(number: int, what: str) -> str:
    """A count with its noun: `1 upload`, `2 uploads`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def ahead(text: str) -> int:
    """`45m`, `12h`, `7d` from now, or a date or time in ISO form (UTC where it names no zone), as epoch ms.

    Raises typer's `BadParameter` for anything else, and for a time that is past.
    """
    now = round(time.time() * 1000)
    if length := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        then = _within_reach(now + int(length[1]) * _SECONDS[length[2]] * 1000, text)
    else:
        then = moment(text)
    if then <= now:
        raise typer.BadParameter(f"{text!r} is past. Write a future time, as in 12h or 2026-11-30T07:00+00:00.")
    return then


def moment(text: str) -> int:
    """`12h`, `7d` (before now) or a date or time in ISO form (UTC where it names no zone), as epoch ms.

    Raises typer's `BadParameter` for anything else.
    """
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return _within_reach(round((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000), text)
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time. Write it as in 12h, 7d or 2026-11-24.") from None
    return _within_reach(round(then.replace(tzinfo=then.tzinfo or UTC).timestamp() * 1000), text)


def _within_reach(moment: int, text: str) -> int:
    """The time, unless no clock could show it."""
    if 0 <= moment <= _LATEST:
        return moment
    raise typer.BadParameter(f"{text!r} lies outside the years 1970 to 9999. Write it as in 12h, 7d or 2026-11-24.")
