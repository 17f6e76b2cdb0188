"""Reads the JSON of an answer, even if a text in it is damaged.

A message may hold what somebody's file held, and some servers pass that on as it is: bytes that are not UTF-8, a raw
tab, half of a character. Such a text must not hide the rest of the answer, such as the end of a run.
"""

from __future__ import annotations

import re
from typing import TypeVar, overload

import msgspec

_T = TypeVar("_T")

_CONTROLS = dict.fromkeys(range(32), " ")
_ESCAPE = r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
"""Each escape in a text; the group is half of a character without its other half."""


@overload
def decoded(body: bytes) -> object: ...
@overload
def decoded(body: bytes, type: type[_T]) -> _T: ...
def decoded(body: bytes, type: object = object) -> object:
    """What `msgspec.json.decode` returns. If the body is not valid JSON, what it returns for the repaired body.

    Raises `ValueError` or `RecursionError`.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError:
        raise
    except ValueError:
        return msgspec.json.decode(_repaired(body), type=type)


def is_damaged(body: bytes) -> bool:
    """Whether the body is not valid JSON as it is."""
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return True
    return False


def _repaired(body: bytes) -> str:
    """The body without a byte order mark, and with a replacement for whatever JSON does not allow in a text."""
    text = body.decode("utf-8-sig", "replace").translate(_CONTROLS)
    return re.sub(_ESCAPE, lambda escape: r"\ufffd" if escape[1] else escape[0], text)
