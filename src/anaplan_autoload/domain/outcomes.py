"""How a run ended, judged from its code and its message."""

from __future__ import annotations

import re
from typing import Literal

Outcome = Literal["loaded", "partial", "failed"]


PARTIAL = 38
"""The `executionErrorCode` of a run that loaded some rows and left others out."""
CONNECTION = 46
"""The `executionErrorCode` of a run that could not use its connection."""


def rows_left_out(message: str) -> bool:
    """Whether a message counts rows that failed or were ignored, more than none.

    Its wording differs by kind of action and is nowhere documented: `3 of 120 rows failed`, `rows ignored: 3` and
    `120 processed, 3 rejected` all count.
    """
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", message.lower())
    text = re.sub(r"(\d+)\s*(?:of|out of|/)\s*\d+", r"\1", text)
    return any(_counts(clause) for clause in re.split(r"[,;.\n|]|\band\b", text))


_LEFT_OUT = r"\b(?:fail|ignor|reject|skipp|error)\w*"
_LOADED = re.compile(r"\b(?:load|process|succe|import|updat|creat|without|no\b)")
_COUNT_AFTER = re.compile(_LEFT_OUT + r"(?:\s+[a-z]+){0,3}\s*(?:[:=(]|\bis\b)\s*(\d+)")
_COUNT_BEFORE = re.compile(r"(\d+)\s+((?:[a-z]+\W+){0,5})" + _LEFT_OUT)
_COUNT_LAST = re.compile(_LEFT_OUT + r"(?:\s+[a-z]+){0,2}\s+(\d+)")


def _counts(clause: str) -> bool:
    """Whether one clause counts rows left out, more than none: with the number after a colon, before, or after."""
    for counts in (
        [match[1] for match in _COUNT_AFTER.finditer(clause)],
        [match[1] for match in _COUNT_BEFORE.finditer(clause) if not _LOADED.search(match[2])],
        [match[1] for match in _COUNT_LAST.finditer(clause)],
    ):
        if counts:
            return any(int(count) > 0 for count in counts)
    return False
