"""When to look at a run again: what the lengths of earlier runs say about its end.

A run mostly takes as long as the runs before it. So it is looked at rarely until the first of these lengths is near,
closely around each of them, and ever more rarely after the last. Every choice here is pure: it can be read, and
tested, as a table.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.protocol import next_delay

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_WAIT = 15 * 60
"""Seconds: the longest wait between two looks at a run."""
LONGEST_RUN = 30 * 86_400
"""Seconds: what Anaplan says of a run's start and end may be nonsense, such as a start in the year 1."""
MOST_LENGTHS = 20
"""How many earlier runs are asked for their lengths."""
LATER = 4
"""Before the end is likely, each look comes at most this many times as late as the one before: a run that fails early
is noticed within three times its own length."""
SOONEST = 4
"""Seconds until the first look that need not come sooner: no run is shorter than a second."""
WIDEST, NARROWEST = 1.3, 0.6
"""Times a window's step: the waits at its begin, where few runs end, and at its end, where few are left."""
SLOWER = 0.5
"""After a window, each wait grows by this share of the time since the window's end."""


class Window(Struct, frozen=True):
    """A stretch of time in which a run is likely to end: seconds after it was asked for."""

    begin: float
    end: float
    step: float
    """Seconds between two looks in it, on average."""


def next_look(waited: float, lengths: Sequence[int], poll_min: int, poll_max: int) -> int:
    """Seconds until the next look at a run that was asked for `waited` seconds ago.

    `lengths` are those of the integration's last runs, in seconds; those that no run can have are left out. Without
    any, the wait grows with the time waited.
    `poll_max` bounds the waits within and after the windows; before them a wait takes at most 15 minutes.
    """
    lengths = [length for length in lengths if 0 <= length <= LONGEST_RUN]
    if not lengths:
        return next_delay(waited, poll_min, poll_max)
    last: Window | None = None
    for window in windows(lengths):
        if waited < window.begin:
            wait = _wait_after(last, waited, poll_max) if last else _wait_before(window, waited)
            return max(poll_min, min(wait, math.ceil(window.begin - waited)))
        if waited < window.end:
            return max(poll_min, min(_wait_within(window, waited), poll_max))
        last = window
    return max(poll_min, _wait_after(last, waited, poll_max)) if last else poll_min


def windows(lengths: Sequence[int]) -> list[Window]:
    """When the run is likely to end: around each length, with lengths that are close to one another in one window.

    The margin grows with the spread of the lengths, and is wider while few are known.
    """
    ordered = sorted(lengths)
    spread = (ordered[-1] - ordered[0]) / max(1, _middle(ordered))
    margin = 0.004 + (0.05 + 0.8 * min(spread, 1)) / len(ordered)
    groups = [[ordered[0]]]
    for shorter, longer in pairwise(ordered):
        if _latest(shorter, margin) < _earliest(longer, margin):
            groups.append([])
        groups[-1].append(longer)
    return [Window(_earliest(group[0], margin), _latest(group[-1], margin), _step(_middle(group))) for group in groups]


def _middle(ordered: Sequence[int]) -> int:
    return ordered[len(ordered) // 2]


def _step(length: int) -> float:
    """2 % of the length while that is short, 1 % of it and four seconds once it is long."""
    return min(0.02 * length, 4 + 0.01 * length)


def _earliest(length: int, margin: float) -> float:
    return length * (1 - margin) - 1  # lengths are differences of whole seconds


def _latest(length: int, margin: float) -> float:
    return length * (1 + margin) + 1


def _wait_before(window: Window, waited: float) -> int:
    """Before the first window: in as few looks as `LATER` and `LONGEST_WAIT` allow, the last at the window's begin.

    They are planned from the last back to the first, so that a look that comes a little late moves no other.
    """
    look = window.begin
    while look > SOONEST and (earlier := max(look / LATER, look - LONGEST_WAIT)) > waited:
        look = earlier
    return math.ceil(look - waited)


def _wait_within(window: Window, waited: float) -> int:
    """Within a window: ever closer, because the more of it is over, the sooner a run ends that has not ended."""
    left = (window.end - waited) / (window.end - window.begin)
    return round(window.step * (NARROWEST + (WIDEST - NARROWEST) * left))


def _wait_after(window: Window, waited: float, poll_max: int) -> int:
    """After a window: ever more rarely."""
    return round(min(window.step + SLOWER * (waited - window.end), poll_max))
