"""Hours of the day in a time zone: when a route's runs may begin (`window`), and when its file is due (`expect`).

A window is written `"19:00-06:30 Europe/London mon-fri"`, a due time `"06:00 Europe/London mon-fri"`. Days may be left
out: then every day counts. A window that passes midnight belongs to the day on which it opens.

When clocks change, wall times are read as follows. A time that does not exist (clocks go forward) counts as the same
time before the change, so 01:30 becomes 02:30 on the clock. If a time exists twice (clocks go back), a window
opens at the first and closes at the second, and a due time is the first.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from anaplan_autoload.domain.sentences import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW_EXAMPLE = '"19:00-06:30 Europe/London mon-fri"'
DUE_EXAMPLE = '"06:00 Europe/London mon-fri"'
MIDNIGHT = 24 * 60

_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")


class ScheduleInvalid(ValueError):
    """A window or due time that cannot be used."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}. {remedy}")
        self.reason = reason
        """One sentence without its full stop."""
        self.remedy = remedy
        """How to write it."""


class Window(Struct, frozen=True):
    """Hours in which runs may begin, on the days on which they open."""

    opens: int
    """Minutes after midnight."""
    closes: int
    """Minutes after midnight; not after `opens` where the window passes midnight."""
    zone: str
    days: tuple[int, ...]
    """0 is Monday."""

    def span(self, day: date) -> tuple[int, int]:
        """When it opens and closes if it opens on this day, in epoch ms."""
        last = day if self.closes > self.opens else day + timedelta(days=1)
        return _instant(day, self.opens, self.zone, first=True), _instant(last, self.closes, self.zone, first=False)


class Due(Struct, frozen=True):
    """A time of day by which something must have happened."""

    at: int
    """Minutes after midnight."""
    zone: str
    days: tuple[int, ...]


@lru_cache(maxsize=1024)
def window(text: str) -> Window:
    """Read a window.

    Raises:
        ScheduleInvalid: it is not one.
    """
    hours, zone, days = _parts(text, WINDOW_EXAMPLE)
    opens, dash, closes = hours.partition("-")
    if not dash:
        raise ScheduleInvalid(
            f"{quoted(hours)} is not a span of time", 'Write two times with a dash between: "19:00-06:30".'
        )
    begin, end = _minutes(opens), _minutes(closes)
    if begin == MIDNIGHT:
        raise ScheduleInvalid(f"{quoted(hours)} opens at 24:00", "Write 00:00 and the day after.")
    if begin == end:
        raise ScheduleInvalid(
            f"{quoted(hours)} opens and closes at the same time", 'Write "00:00-24:00" for a whole day.'
        )
    return Window(begin, end, zone, days)


@lru_cache(maxsize=1024)
def due(text: str) -> Due:
    """Read a due time.

    Raises:
        ScheduleInvalid: it is not one.
    """
    at, zone, days = _parts(text, DUE_EXAMPLE)
    minutes = _minutes(at)
    if minutes == MIDNIGHT:
        raise ScheduleInvalid('"24:00" is the next day', "Write 00:00 and the day after.")
    return Due(minutes, zone, days)


def opens_at(windows: Iterable[str], now: int) -> int | None:
    """When the next of these windows opens, in epoch ms like `now`; None while one is open, or where there are none."""
    spans = [span for text in windows for span in _spans(window(text), now)]
    if not spans or any(opens <= now < closes for opens, closes in spans):
        return None
    return min(opens for opens, _ in spans if opens > now)


def opened_at(windows: Iterable[str], now: int) -> int | None:
    """Since when these windows have been open without a gap, in epoch ms like `now`; None while none is open."""
    spans = [span for text in windows for span in _spans(window(text), now)]
    since = now if any(opens <= now < closes for opens, closes in spans) else None
    while since is not None:
        earlier = min((opens for opens, closes in spans if opens < since <= closes), default=since)
        if earlier == since:
            break
        since = earlier
    return since


def due_times(text: str, now: int) -> tuple[int, int]:
    """The last two times, not after `now`, at which something was due, the earlier one first; epoch ms."""
    wanted = due(text)
    today = _day(now, wanted.zone)
    days = (today - timedelta(days=back) for back in range(-1, 16))
    past = (_instant(day, wanted.at, wanted.zone, first=True) for day in days if day.weekday() in wanted.days)
    latest, before = sorted((at for at in past if at <= now), reverse=True)[:2]
    return before, latest


def on_the_clock(ms: int, text: str) -> str:
    """A time as people in the zone of a window or due time say it: `Mon 19:00 BST`."""
    _, zone, _ = _parts(text, WINDOW_EXAMPLE)
    there = datetime.fromtimestamp(ms / 1000, ZoneInfo(zone))
    return f"{DAYS[there.weekday()].capitalize()} {there:%H:%M %Z}"


def _spans(wanted: Window, now: int) -> Iterator[tuple[int, int]]:
    """When it opens and closes, epoch ms: from yesterday, which may last until today, to eight days ahead."""
    today = _day(now, wanted.zone)
    for offset in range(-1, 9):
        day = today + timedelta(days=offset)
        if day.weekday() in wanted.days:
            yield wanted.span(day)


def _day(ms: int, zone: str) -> date:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).date()


def _instant(day: date, minutes: int, zone: str, *, first: bool) -> int:
    """A wall time as epoch ms; `first` chooses which, if it exists twice."""
    day += timedelta(days=minutes // MIDNIGHT)
    wall = datetime.combine(day, time(minutes % MIDNIGHT // 60, minutes % 60), ZoneInfo(zone))
    second = wall.replace(fold=1)
    exists = second.astimezone(UTC).astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None)
    return round((wall if first or not exists else second).timestamp() * 1000)


def _parts(text: str, example: str) -> tuple[str, str, tuple[int, ...]]:
    parts = text.split()
    if len(parts) not in (2, 3):
        raise ScheduleInvalid(
            f"{quoted(text)} does not name hours, a time zone and days", f"Write for example {example}."
        )
    _check_zone(parts[1], example)
    return parts[0], parts[1], _days(parts[2] if len(parts) == 3 else "mon-sun")


def _check_zone(name: str, example: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleInvalid(
            f"{quoted(name)} is not a time zone", f"Use a name of the IANA list, as in {example}, or UTC."
        ) from None


def _minutes(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else MIDNIGHT + 1
    if minutes > MIDNIGHT:
        raise ScheduleInvalid(f"{quoted(text)} is not a time of day", "Write hours and minutes from 00:00 to 24:00.")
    return minutes


def _days(text: str) -> tuple[int, ...]:
    """`mon-fri`, `sat,sun`, `fri-mon` as sorted numbers."""
    days: set[int] = set()
    for part in text.casefold().split(","):
        begin, dash, end = part.partition("-")
        if begin not in DAYS or (dash and end not in DAYS):
            raise ScheduleInvalid(f"{quoted(part)} is not a day or a span of days", "Write mon, mon-fri or sat,sun.")
        first = DAYS.index(begin)
        length = (DAYS.index(end) - first) % 7 if dash else 0
        days.update((first + step) % 7 for step in range(length + 1))
    return tuple(sorted(days))
