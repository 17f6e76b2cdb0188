"""Checks whether the files that routes expect were loaded in time, and announces those that were not.

A due time is noted as settled only after the announcement, so that a death in between repeats the announcement.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace

from anaplan_autoload.aws.standings import AT_A_TIME, load_for
from anaplan_autoload.domain.standing import Standing
from anaplan_autoload.domain.times import epoch_ms, iso
from anaplan_autoload.steps.finishing import described
from anaplan_autoload.steps.telling import tell_of_route, tell_recovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.ledger import Pending
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.missing import Underway
    from anaplan_autoload.domain.routes import Route

LOOKED_THROUGH = 1_000
"""How many lines of a lane's history are searched for the last load that a message names."""


def look_for_missing(
    step: StepContext, services: Services, routes: Iterable[Route], pending: Sequence[Pending]
) -> None:
    """Announce `missing` for each route that loaded nothing in time, once per due time.

    Due times before a sweep first saw the route with its `expect` do not count. If several have passed since the last
    sweep, only the latest counts.
    """
    from anaplan_autoload.domain.schedule import due_times

    standings = services.standings.all()
    expecting = {route.name: route for route in routes if route.expect}
    for name, standing in standings.items():
        if standing.expect and name not in expecting:
            services.standings.end(name)
    for route in expecting.values():
        before, due_at = due_times(route.expect or "", services.clock())
        standing = standings.get(route.name, Standing())
        if not standing.is_of(route):
            services.standings.begin(route, due_at)
        elif standing.settled < due_at:
            _settle(step, services, route, standing, before, due_at, pending)


def _settle(
    step: StepContext,
    services: Services,
    route: Route,
    standing: Standing,
    before: int,
    due_at: int,
    pending: Sequence[Pending],
) -> None:
    """Deal with a due time: something was loaded, or everyone is told that nothing was."""
    since = max(before, standing.used)
    load = load_for(services.ledger, route, due_at, since)
    if load is None and standing.missed != due_at:
        if not services.standings.may_tell(route.name, due_at, services.clock()):
            return
        _tell_missing(step, services, route, due_at, pending)
        services.standings.miss(route.name, due_at)
    if load is None:  # one that ended meanwhile may have found nothing to recover from
        load = load_for(services.ledger, route, due_at, since)
        standing = services.standings.get(route.name)
    if load is not None:  # it may be older than a failure
        tell_recovered(step, services, route, replace(standing, failed=None), load, described(services, load, ()))
    services.standings.settle(route.name, due_at, epoch_ms(load.ended_at) if load else None)


def _tell_missing(step: StepContext, services: Services, route: Route, due_at: int, pending: Sequence[Pending]) -> None:
    from anaplan_autoload.domain.missing import missing_message
    from anaplan_autoload.report.report import LastLoad, Report

    history = islice(services.ledger.runs(route.lane_id, at_a_time=AT_A_TIME), LOOKED_THROUGH)
    last = next((run for run in history if run.route == route.name and run.outcome in ("loaded", "partial")), None)
    known = (epoch_ms(last.ended_at), last.file) if last else None
    message = missing_message(route.expect or "", due_at, services.clock(), known, _underway(services, route, pending))
    report = replace(
        Report.of_route(route, "missing", f"missing-{route.name}-{iso(due_at)}", message),
        due_at=iso(due_at),
        last_load=LastLoad(last.ended_at, last.file or None) if last else None,
    )
    tell_of_route(step, services, route, report)


def _underway(services: Services, route: Route, pending: Sequence[Pending]) -> Underway:
    from anaplan_autoload.domain.missing import Underway

    lane = services.ledger.lane(route.lane_id)
    batch = lane.open if lane.open is not None and lane.open.route.name == route.name else None
    oldest = next((found.oldest.get(route.name) for found in pending if found.lane == route.lane_id), None)
    return Underway(
        loading_since=(batch.posted_at or batch.opened_at) if batch else None,
        waiting_since=epoch_ms(oldest) if oldest else None,
        paused=lane.is_paused(services.clock()),
        held=lane.held is not None,
    )
