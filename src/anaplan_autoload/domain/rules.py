"""What may be loaded now, and what has to wait because of a rule of its route.

The rules of a route, in their order:

1. An empty file is refused (`allow_empty`).
2. Outside the route's `window`, its uploads wait until the window opens.
3. Until each file that the route `needs` has come, its uploads wait for the rest of the set.
4. Everything else may be loaded, the route of the oldest upload first.

Two more rules come after this choice, because one of them asks CloudWorks and the other waits for a short time: an
upload that no run reads is rejected (`sources`), and `settle` waits until nothing more comes (`protocol.settling_for`).

Uploads of one route never hold back those of another route in the same lane. The claim, the sweep and the command line
use the same functions, so that the sweep does not drain a lane where nothing may be loaded. Nothing here does I/O.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.domain.protocol import Noted, select
from anaplan_autoload.domain.sentences import quoted
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anaplan_autoload.domain.protocol import Lane, Selection, Waiting
    from anaplan_autoload.domain.routes import Route

_UTC = "00:00 UTC"


class Wait(Struct, frozen=True):
    """Uploads that have to wait because of their route's rules."""

    route: Route
    waiting: tuple[Waiting, ...]
    """Oldest first."""
    since: int
    """When the first of them was recorded, epoch ms."""
    opens_at: int | None = None
    """When the route's window opens, epoch ms; None if it is open or the route has none."""
    lacks: tuple[str, ...] = ()
    """The needed files that have not come."""

    @property
    def why(self) -> str:
        """In words: `waiting for entities.csv since Wed 06:12 UTC; window opens Mon 19:00 BST`."""
        from anaplan_autoload.domain.schedule import on_the_clock

        place = self.route.window[0] if self.route.window else _UTC
        files = f"waiting for {listed(self.lacks)} since {on_the_clock(self.since, place)}" if self.lacks else ""
        window = f"window opens {on_the_clock(self.opens_at, place)}" if self.opens_at else ""
        return "; ".join(part for part in (files, window) if part)

    @property
    def news(self) -> str:
        """The announcement of a late set: which files have not come, and what happens next."""
        has, them = ("has", "it") if len(self.lacks) == 1 else ("have", "them")
        return (
            f"{listed(self.lacks, 10)} {has} not come yet. {self._namesake}The first upload that waits for {them} was "
            f"recorded at {iso(self.since)}. The route allows {_length(self.route.within)} for a set. Autoload keeps "
            "waiting, and loads the set when it is complete."
        )

    @property
    def _namesake(self) -> str:
        """A file that came under almost the name of one that has not come; empty if there is none."""
        from anaplan_autoload.domain.near import difference, folded

        names = (item.upload.key.removeprefix(self.route.prefix) for item in self.waiting)
        came = {folded(name): name for name in names}  # looked up, because tens of thousands may wait
        for lacking in self.lacks:
            if name := came.get(folded(lacking)):
                return f"{quoted(name)} came, but differs from {quoted(lacking)} in {difference(lacking, name)}. "
        return ""

    def is_overdue(self, now: int) -> bool:
        """Whether the rest of the set takes longer than the route's `within`; `now` is epoch ms."""
        return bool(self.lacks) and now - self.since > self.route.within * 1000


class Plan(Struct, frozen=True):
    """What is to be done with everything that waits in a lane."""

    selection: Selection | None
    """The next batch; None where nothing may be loaded now."""
    waits: tuple[Wait, ...]


def plan(waiting: Sequence[Waiting], now: int) -> Plan:
    """Decide what to load now, and what waits for what. `waiting` is oldest first, `now` is epoch ms."""
    selection: Selection | None = None
    waits: list[Wait] = []
    for route, items in _by_route(waiting).items():
        chosen = select(items)
        wait = None if chosen is not None and chosen.refusal else _wait(route, items, now)
        if wait is not None:
            waits.append(wait)
        elif selection is None:
            selection = chosen
    return Plan(selection, tuple(waits))


def is_enough(waiting: Sequence[Waiting], now: int) -> bool:
    """Whether a claim needs no more than these oldest uploads: the first that may be loaded now is loaded alone."""
    for item in waiting:
        if item.route.needs or not closed_until(item.route, now):
            return item.route.load == "each"
    return False


def closed_until(route: Route, now: int) -> int | None:
    """When the route's window opens, epoch ms like `now`; None if a run may begin now."""
    return _next_opening(route.window, now) if route.window else None


def notes(before: Mapping[str, Noted], waits: Iterable[Wait]) -> dict[str, Noted]:
    """What the lane is to remember of these waits, and from `before` whether people know that a set is incomplete."""
    said = {}
    for wait in waits:
        known = before.get(wait.route.name)
        told = known is not None and known.incomplete and known.since == wait.since
        said[wait.route.name] = Noted(wait.why, wait.since, told)
    return said


def incomplete(before: Mapping[str, Noted], waits: Iterable[Wait], now: int) -> list[Wait]:
    """The sets that take longer than `within` and have not been announced as incomplete."""
    said = notes(before, waits := tuple(waits))
    return [wait for wait in waits if wait.is_overdue(now) and not said[wait.route.name].incomplete]


def ages(waiting: Sequence[Waiting], lane: Lane, now: int) -> dict[str, float]:
    """Route's name → for how many seconds its oldest upload could have been loaded, but was not.

    A planned wait does not count: for a window, for other files of a set, or for the end of a pause that has one.
    """
    found: dict[str, float] = {}
    for route, items in _by_route(waiting).items():
        uploaded = min(epoch_ms(item.upload.event_time) for item in items)
        ready = max(uploaded, lane.paused_until, _ready_at(route, items, lane, now))
        found[route.name] = max(found.get(route.name, 0.0), (now - ready) / 1000)
    return found


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a.csv`, `a.csv and b.csv`, `a.csv, b.csv and 3 more`: at most so many parts."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _length(seconds: int) -> str:
    """Seconds in words: `6h`, `1d 30m`."""
    parts = []
    for unit, letter in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, unit)
        parts += [f"{count}{letter}"] if count else []
    return " ".join(parts)


def _by_route(waiting: Sequence[Waiting]) -> dict[Route, list[Waiting]]:
    """The uploads of each route, as it was when they were recorded; the route of the oldest upload first.

    The newest upload of a set decides its rules, so that a change of the route does not split the set.
    """
    newest: dict[tuple[str, str, str], Waiting] = {}
    for item in waiting:
        known = newest.get(key := _set_of(item.route))
        if known is None or item.recorded_at >= known.recorded_at:
            newest[key] = item
    found: dict[Route, list[Waiting]] = {}
    for item in waiting:
        route = newest[_set_of(item.route)].route if item.route.needs else item.route
        found.setdefault(route, []).append(item if route is item.route else replace(item, route=route))
    return found


def _set_of(route: Route) -> tuple[str, str, str]:
    return route.name, route.target, route.load


def _wait(route: Route, items: Sequence[Waiting], now: int) -> Wait | None:
    """Why these uploads of a route have to wait; None if they may be loaded."""
    opens_at = closed_until(route, now)
    came = {item.upload.key for item in items}
    lacks = tuple(name for name in route.needs if route.prefix + name not in came)
    if opens_at is None and not lacks:
        return None
    return Wait(route, tuple(items), min(item.recorded_at for item in items), opens_at, lacks)


def _ready_at(route: Route, items: Sequence[Waiting], lane: Lane, now: int) -> int:
    """Since when the route's rules have allowed these uploads to be loaded, epoch ms; `now` while they have to wait."""
    if lane.open is not None and lane.open.route == route:
        return lane.open.opened_at if route.may_wait else 0
    if _wait(route, items, now) is not None:
        return now
    first: dict[str, int] = {}
    for item in items:
        first[item.upload.key] = min(item.recorded_at, first.get(item.upload.key, item.recorded_at))
    complete = max((first[route.prefix + name] for name in route.needs), default=0)
    return max(complete, _opened_at(route, now))


def _opened_at(route: Route, now: int) -> int:
    if not route.window:
        return 0
    from anaplan_autoload.domain.schedule import opened_at

    return opened_at(route.window, now) or 0


@lru_cache(maxsize=256)
def _next_opening(window: tuple[str, ...], now: int) -> int | None:
    """Cached, because it is called once for each of thousands of uploads of a route."""
    from anaplan_autoload.domain.schedule import opens_at

    return opens_at(window, now)
