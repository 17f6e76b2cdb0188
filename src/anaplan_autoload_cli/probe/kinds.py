"""Describes the kind of a JSON value without showing any of it."""

from __future__ import annotations

import re
from typing import Final

from anaplan_autoload.anaplan.wire import normalize_time


class Absent:
    """Stands for a field that is missing, which is not the same as null."""


ABSENT: Final = Absent()

MISSING = "absent"
NULL = "null"
BOOLEAN = "true or false"
WHOLE = "whole number"
LIST = "list"
OBJECT = "object"
TEXT = "text"
EMPTY_TEXT = "empty text"
HEX = "32 hex digits"
CAPITAL_HEX = "32 hex digits in capitals"
UUID = "UUID"
DIGITS = "digits"
TIME = "time"
TIME_WITH_FRACTIONS = "time with fractions of a second"
OTHER_TIME = "time in another form"
EPOCH_SECONDS = "epoch seconds"

_TEXTS = (HEX, CAPITAL_HEX, UUID, DIGITS, TIME, TIME_WITH_FRACTIONS, OTHER_TIME)
"""The special kinds of text. If two fit, the more special one comes first."""
_GENERAL = {
    **dict.fromkeys(_TEXTS, TEXT),
    EPOCH_SECONDS: WHOLE,
    f"empty {LIST}": LIST,
    f"empty {OBJECT}": OBJECT,
}
"""For each special kind, the more general kind that it belongs to."""
_PATTERNS = {
    HEX: r"[0-9a-f]{32}",
    CAPITAL_HEX: r"[0-9A-F]{32}",
    UUID: r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    DIGITS: r"[0-9]+",
    TIME: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?Z",
    TIME_WITH_FRACTIONS: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z",
}


def kind_of(value: object) -> str:
    """The value's kind, as exactly as its form shows it."""
    match value:
        case Absent():
            return MISSING
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return EPOCH_SECONDS if 1_000_000_000 <= value < 10_000_000_000 else WHOLE
        case float():
            return "number with a fraction"
        case str():
            return _kind_of_text(value)
        case list():
            return LIST if value else f"empty {LIST}"
        case dict():
            return OBJECT if value else f"empty {OBJECT}"
    return type(value).__name__


def fits(kind: str, assumed: tuple[str, ...]) -> bool:
    """Whether this kind is one of the assumed kinds, or a special case of one."""
    return kind in assumed or _GENERAL.get(kind) in assumed


def _kind_of_text(text: str) -> str:
    if not text:
        return EMPTY_TEXT
    found = next((kind for kind, pattern in _PATTERNS.items() if re.fullmatch(pattern, text)), None)
    return found or (OTHER_TIME if _is_time(text) else TEXT)


def _is_time(text: str) -> bool:
    try:
        normalize_time(text)
    except ValueError:
        return False
    return True
