"""Which files routes expect by a time of day, and whether they were loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload.aws.standings import load_for
from anaplan_autoload.domain.missing import said
from anaplan_autoload.domain.schedule import due_times
from anaplan_autoload.domain.standing import Standing
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.domain.routes import Route


class Expected(Struct, frozen=True):
    """Whether a route's file was loaded by the last time at which it was due."""

    route: str
    state: Literal["loaded", "missing", "not loaded"]
    """`not loaded`: nobody has been told yet, because the sweep has not checked since or the route is new."""
    due_at: str
    """With `missing`: the due time that was announced as missed."""
    loaded_at: str | None
    words: str
    """For people, in the route's time zone: `expected by Mon 06:00 BST: loaded 05:41`."""


def expected_of(
    ledger: Ledger, standings: Mapping[str, Standing], routes: Iterable[Route], now: int
) -> tuple[Expected, ...]:
    """How each of these routes that expects something stands; `now` is epoch ms."""
    return tuple(
        _expected(ledger, standings.get(route.name, Standing()), route, route.expect, now)
        for route in routes
        if route.expect
    )


def _expected(ledger: Ledger, standing: Standing, route: Route, expect: str, now: int) -> Expected:
    if standing.missed is not None:
        words = f"missing since {said(standing.missed, expect, now)}"
        return Expected(route.name, "missing", iso(standing.missed), None, words)
    before, due_at = due_times(expect, now)
    by = f"expected by {said(due_at, expect, now)}"
    load = load_for(ledger, route, due_at, before)
    if load is None:
        return Expected(route.name, "not loaded", iso(due_at), None, f"{by}: nothing loaded yet")
    loaded = said(epoch_ms(load.ended_at), expect, now)
    day, *_ = said(due_at, expect, now).split()
    clock = loaded.split()[1] if loaded.startswith(day) and len(loaded.split()) == 3 else loaded
    return Expected(route.name, "loaded", iso(due_at), load.ended_at, f"{by}: loaded {clock}")
