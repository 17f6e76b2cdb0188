"""Find out what a route's runs read, so that an upload that none of them reads is not reported as loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python.exceptions import InvocationError

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import TryLater
from anaplan_autoload.anaplan.http import Limits
from anaplan_autoload.domain import protocol
from anaplan_autoload.domain.sources import Reads, digest, remembered, sources_of
from anaplan_autoload.steps.leading import LeaseLost, held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Lane, Lease, Stop, Waiting
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.sources import Sources

HURRIED = Limits(connect=3.0, read=6.0, total=6.0)
"""Short, because the request for the run follows in the same invocation and needs time too."""
ASK_SECONDS = 12
"""After this long nothing more is asked; a flow of very many steps is then not known."""


def sources_for(
    step: StepContext, services: Services, lease: Lease, lane: Lane, waiting: Sequence[Waiting]
) -> Sources | Stop | None:
    """What the runs of the oldest upload's route read; None if CloudWorks does not say; then no upload is rejected.

    CloudWorks' answer is used for a day. Before an upload is rejected because of it, CloudWorks is asked again, because
    the integration may have been changed.
    """
    route, now = waiting[0].route, services.clock()
    known = lane.reads.get(route.name)
    if known is not None and known.is_fresh(route, now):
        selection = protocol.select(waiting, known.sources)
        if selection is None or selection.refusal is None:
            return known.sources
    try:
        with services.tokens.within(HURRIED):
            sources = _asked(services, route)
    except LoginRefused as refused:
        return held(refused)
    except InvocationError:
        raise  # the end of this invocation, as if its sandbox had died
    except Exception as error:  # the request for the run meets the same error, and handles it
        reason = {"reason": str(error), "route": route.name}
        step.logger.warning("What this route's runs read is not known; its uploads are loaded unchecked", extra=reason)
        return None
    found = Reads(digest(route), now, sources)
    if services.ledger.note_reads(lease, remembered(lane.reads, route, found)) is None:
        raise LeaseLost
    return sources


def _asked(services: Services, route: Route) -> Sources | None:
    """Ask CloudWorks; None if its answer does not say."""
    until = services.clock() + ASK_SECONDS * 1000
    ids = [route.integration]
    if route.flow:
        ids = [each.integration_id for each in services.cloudworks.flow(route.flow, HURRIED).steps]
    integrations = []
    for integration_id in dict.fromkeys(ids):
        if integration_id is None:
            return None
        if services.clock() > until:
            raise TryLater(f"CloudWorks took more than {ASK_SECONDS} seconds to say what the flow reads.")
        integrations.append(services.cloudworks.integration(integration_id, HURRIED))
    return sources_of(integrations)
