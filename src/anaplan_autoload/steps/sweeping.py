"""Looks, every five minutes, for lanes that have work but no leader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import TryLater
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload.steps.expecting import look_for_missing
from anaplan_autoload.steps.routing import routes_in_force

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services


class Swept(Struct, frozen=True):
    """How many lanes have work, and how many of them got a new leader."""

    pending: int
    drained: int


def sweep(step: StepContext, services: Services) -> Swept:
    """Drain every lane that has work and no leader, and say which routes' files are missing.

    The ages of the oldest uploads are written as metrics.
    """
    from anaplan_autoload.report.metrics import oldest_waiting

    now = services.clock()
    pending = services.ledger.pending()
    routes = routes_in_force(step, services)
    oldest = dict.fromkeys((route.name for route in routes or ()), 0.0)
    for found in pending:
        for route, event_time in found.oldest.items():
            oldest[route] = max(oldest.get(route, 0.0), (now - epoch_ms(event_time)) / 1000)
    oldest_waiting(oldest, stack=services.settings.stack)
    secret_version: str | None = None
    drained = 0
    for found in pending:
        lane = services.ledger.lane(found.lane)
        if lane.held is not None:
            secret_version = secret_version or _secret_version(services)
            if secret_version in (lane.held, None):
                continue
            services.ledger.unhold(found.lane, lane.held)
        idle = lane.paused and not (lane.open is not None and lane.open.asked)
        if idle or (lane.holder is not None and lane.lease_until >= now):
            continue
        step.logger.info("Draining a lane that nobody leads", extra={"lane": found.lane, "died": lane.holder})
        services.send({"drain": found.lane})
        drained += 1
    if routes is not None:
        look_for_missing(step, services, routes, pending)
    return Swept(len(pending), drained)


def _secret_version(services: Services) -> str | None:
    """The secret's current version; None if Secrets Manager is busy."""
    try:
        return services.secret().version
    except LoginRefused as refused:
        return refused.version
    except TryLater:
        return None
