"""When to look at a run again: what the lengths of earlier runs say about its end.

A run mostly takes as long as the runs before it. So it is looked at rarely until the first of these lengths is near,
closely around each of them, and ever more rarely after the last. Every choice here is pure: it can be read, and
tested, as a table.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.protocol import next_delay

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_WAIT = 15 * 60
"""Seconds: the longest wait between two looks at a run."""
MOST_LENGTHS = 20
"""How many earlier runs are asked for their lengths."""
LATER = 4
"""Before the end is likely, each look comes at most this many times as late as the one before: a run that fails early
is noticed within three times its own length."""
SLOWER = 0.5
"""After a window, each wait grows by this share of the time since the window's end."""


class Window(Struct, frozen=True):
    """A stretch of time in which a run is likely to end: seconds after it was asked for."""

    begin: float
    end: float
    step: int
    """Seconds between two looks in it."""


def next_look(waited: float, lengths: Sequence[int], poll_min: int, poll_max: int) -> int:
    """Seconds until the next look at a run that was asked for `waited` seconds ago.

    `lengths` are those of the integration's last runs, in seconds. Without any, the wait grows with the time waited.
    `poll_max` bounds the waits within and after the windows; before them a wait takes at most 15 minutes.
    """
    if not lengths:
        return next_delay(waited, poll_min, poll_max)
    last: Window | None = None
    for window in windows(lengths, poll_min, poll_max):
        if waited < window.begin:
            wait = _wait_after(last, waited, poll_max) if last else _wait_before(window, waited, poll_min)
            return max(poll_min, min(wait, math.ceil(window.begin - waited)))
        if waited < window.end:
            return window.step
        last = window
    return max(poll_min, _wait_after(last, waited, poll_max)) if last else poll_min


def windows(lengths: Sequence[int], poll_min: int, poll_max: int) -> list[Window]:
    """When the run is likely to end: around each length, with lengths that are close to one another in one window.

    The margin grows with the spread of the lengths, and is wider while few are known.
    """
    ordered = sorted(lengths)
    spread = (ordered[-1] - ordered[0]) / max(1, median(ordered))
    margin = 0.006 + (0.1 + min(spread, 1)) / (2 * len(ordered))
    groups = [[ordered[0]]]
    for shorter, longer in pairwise(ordered):
        if _latest(shorter, margin) < _earliest(longer, margin):
            groups.append([])
        groups[-1].append(longer)
    return [
        Window(
            begin=_earliest(group[0], margin),
            end=_latest(group[-1], margin),
            step=_step(median(group), poll_min, poll_max),
        )
        for group in groups
    ]


def _step(length: float, poll_min: int, poll_max: int) -> int:
    """2 % of the length while that is short, 1 % of it and three seconds once it is long."""
    return round(min(max(poll_min, min(0.02 * length, 3 + 0.01 * length)), poll_max))


def _earliest(length: int, margin: float) -> float:
    return length * (1 - margin) - 1  # lengths are differences of whole seconds


def _latest(length: int, margin: float) -> float:
    return length * (1 + margin) + 1


def _wait_before(window: Window, waited: float, poll_min: int) -> int:
    """Before the first window: in as few looks as `LATER` and `LONGEST_WAIT` allow, the last at the window's begin."""
    if waited < poll_min / (LATER - 1):
        return poll_min
    left = window.begin - waited
    looks = math.ceil(math.log(window.begin / waited, LATER))
    wait: float = waited * ((window.begin / waited) ** (1 / looks) - 1)
    if wait > LONGEST_WAIT:
        wait = left / math.ceil(left / LONGEST_WAIT)
    return max(1, math.floor(wait))


def _wait_after(window: Window, waited: float, poll_max: int) -> int:
    return round(min(window.step + SLOWER * (waited - window.end), poll_max))
