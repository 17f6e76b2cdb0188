"""Looks, every five minutes, for lanes that have work but no leader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import CloudWorksError, TryLater
from anaplan_autoload.anaplan.http import Limits
from anaplan_autoload.aws.refusals import AWS_TROUBLE
from anaplan_autoload.domain import rules
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload.steps.expecting import look_for_missing
from anaplan_autoload.steps.expiring import measure_log_in
from anaplan_autoload.steps.routing import routes_in_use
from anaplan_autoload.steps.telling import send_digests

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.ledger import Backlog, Pending
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Lane

BRIEF = Limits(connect=3, read=8)


class Swept(Struct, frozen=True):
    """How many lanes have work, and how many of them got a new leader."""

    pending: int
    drained: int


def sweep(step: StepContext, services: Services) -> Swept:
    """Drain every lane that has work and no leader, send due digests, and say which routes' files are missing.

    Keeps the log-in from expiring while nothing is loaded.
    Writes metrics: how old the oldest uploads are, how many lanes are held, and that the sweep came to its end.
    """
    from anaplan_autoload.report.metrics import count_sweep, oldest_waiting

    now = services.clock()
    backlog = services.ledger.backlog()
    pending = backlog.pending
    routes = routes_in_use(step, services)
    oldest = dict.fromkeys((route.name for route in routes or ()), 0.0)
    lanes = {found.lane: backlog.lanes.get(found.lane) or services.ledger.lane(found.lane) for found in pending}
    for found in pending:
        for route, age in _ages(found, lanes[found.lane], now).items():
            oldest[route] = max(oldest.get(route, 0.0), age)
    oldest_waiting(oldest, stack=services.settings.stack)
    secret_version: str | None = None
    drained = held = 0
    for found in pending:
        lane = lanes[found.lane]
        if lane.held is not None:
            secret_version = secret_version or _secret_version(services)
            if secret_version in (lane.held, None):
                held += 1
                continue
            services.ledger.unhold(found.lane, lane.held)
        idle = lane.is_paused(now) and not (lane.open is not None and lane.open.asked)
        if idle or not _has_work(found, lane, now) or (lane.holder is not None and lane.lease_until >= now):
            continue
        step.logger.info("Draining a lane that nobody leads", extra={"lane": found.lane, "died": lane.holder})
        services.send({"drain": found.lane}, step.logger)
        drained += 1
    _tidy(step, services, backlog)
    send_digests(step, services)
    if routes is not None:
        look_for_missing(step, services, routes, pending)
    _keep_log_in_alive(step, services)
    measure_log_in(step, services)
    count_sweep(held, stack=services.settings.stack)
    return Swept(len(pending), drained)


def _tidy(step: StepContext, services: Services, backlog: Backlog) -> None:
    for left in backlog.leftovers:
        if services.ledger.delete_leftover(left):
            extra = {"lane": left.lane, "batch_id": left.batch_id}
            step.logger.info("Deleted upload ids that were left of a closed batch", extra=extra)


def _keep_log_in_alive(step: StepContext, services: Services) -> None:
    """Use a refresh token that would otherwise expire while nothing is loaded.

    A failure is only logged: a lane that needs the log-in fails with an error that says more.
    """
    try:
        with services.tokens.within(BRIEF):
            services.tokens.keep_alive()
    except (CloudWorksError, *AWS_TROUBLE) as error:
        step.logger.warning("The log-in could not be renewed", extra={"reason": str(error)})


def _ages(found: Pending, lane: Lane, now: int) -> dict[str, float]:
    """Route's name → for how many seconds its oldest upload has waited. Planned waits do not count."""
    ages = rules.ages(found.ruled, lane, now)
    ruled = {item.route.name for item in found.ruled}
    for route, event_time in found.oldest.items():
        if route not in ruled:
            ages[route] = (now - max(epoch_ms(event_time), lane.paused_until)) / 1000
    return {route: max(0.0, age) for route, age in ages.items()}


def _has_work(found: Pending, lane: Lane, now: int) -> bool:
    """Whether a leader would find something to do: to load, or to say that a set is incomplete."""
    if found.free:
        return True
    planned = rules.plan(found.ruled, now)
    return planned.selection is not None or bool(rules.incomplete(lane.waits, planned.waits, now))


def _secret_version(services: Services) -> str | None:
    """The secret's current version; None if Secrets Manager is busy."""
    try:
        return services.secret().version
    except LoginRefused as refused:
        return refused.version
    except TryLater:
        return None
