"""Lengths of time and numbers of things, as people read them."""

from __future__ import annotations

from itertools import pairwise

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
    """So many of something: `1 upload`, `2 uploads`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
