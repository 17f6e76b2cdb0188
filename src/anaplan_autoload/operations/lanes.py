"""Lists lanes, and resumes a paused one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anaplan_autoload.aws.ledger import Ledger, Pending
    from anaplan_autoload.domain.routes import Routes

HELD = (
    "held: Anaplan refused the log-in. Store one that works as a new version of the secret; the sweep resumes the lane "
    "within five minutes of it."
)


def known_lanes(routes: Routes, pending: Iterable[Pending]) -> dict[str, list[str]]:
    """The lanes of the routes, and other lanes with work to do, each with the names of its routes."""
    lanes = {lane: route_names(routes, lane) for lane in routes.lanes}
    for found in pending:
        names = lanes.setdefault(found.lane, [])
        names += [name for name in found.oldest if name not in names]
    return lanes


def route_names(routes: Routes, lane: str) -> list[str]:
    """The routes that take turns in a lane."""
    return [route.name for route in routes if route.lane_id == lane]


def let_go(ledger: Ledger, send: Callable[[object], None], lane: str) -> None:
    """End a pause, and load waiting uploads at once instead of at the next sweep."""
    ledger.resume(lane)
    send({"drain": lane})
