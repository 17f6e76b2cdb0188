"""The words for a file that did not come when it was due."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from anaplan_autoload.domain.schedule import due, on_the_clock

WEEKDAY_SUFFICES_MS = 6 * 86_400_000
"""For a time within the last six days, the weekday alone says which day it was."""


class Underway(Struct, frozen=True):
    """What its lane is doing about a route whose file is missing."""

    loading_since: int | None = None
    """Epoch ms."""
    waiting_since: int | None = None
    """Epoch ms."""
    paused: bool = False
    held: bool = False


def said(ms: int, expect: str, now: int) -> str:
    """A time in the zone of `expect`: `Mon 06:00 BST`, and with its date if that is six days ago or more."""
    clock = on_the_clock(ms, expect)
    if now - ms < WEEKDAY_SUFFICES_MS:
        return clock
    day, rest = clock.split(" ", 1)
    return f"{day} {datetime.fromtimestamp(ms / 1000, ZoneInfo(due(expect).zone)):%Y-%m-%d} {rest}"


def missing_message(expect: str, due_at: int, now: int, last: tuple[int, str] | None, lane: Underway) -> str:
    """What is missing, since when, and whether it is on its way; `last` is the last load's end (epoch ms) and file."""

    def at(ms: int) -> str:
        return said(ms, expect, now)

    if last is None:
        found = "Nothing was loaded, and no earlier load is known."
    else:
        file = f" ({last[1].rpartition('/')[2]})" if last[1] else ""
        found = f"Nothing was loaded since {at(last[0])}{file}."
    if lane.loading_since is not None:
        state = f"It is late: a load has been under way since {at(lane.loading_since)}."
    elif lane.waiting_since is not None:
        state = f"It is late: an upload has been waiting since {at(lane.waiting_since)}."
    else:
        state = "No upload waits and no load is under way: the file has not come."
    if lane.held:
        state += " The lane is on hold, because the log-in to Anaplan does not work."
    if lane.paused:
        state += " The lane is paused, so nothing is loaded until somebody resumes it."
    return f"{found} It was expected by {at(due_at)}. {state}"
