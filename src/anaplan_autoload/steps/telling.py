"""Tells everyone what ends no batch, such as how a route stands: its file is missing, or its trouble is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from anaplan_autoload.aws.refusals import AWS_TROUBLE, may_heal
from anaplan_autoload.domain.times import epoch_ms

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.ledger import RunRecord
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.standing import Standing, Trouble
    from anaplan_autoload.report.report import Report

TELL_ATTEMPTS = 4
ENDED: dict[Trouble, str] = {
    "missing": "This load had been missing.",
    "failed": "The load before had failed.",
}


def publish_or_log(step: StepContext, services: Services, route: Route, report: Report) -> None:
    """Send a report that ends no batch, unless the route's `notify` leaves it out, and log it.

    Where SNS keeps failing, or a retry cannot help, the log alone has it.
    """
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.message import publish

    try:
        if route.tells(report.outcome):
            publish(services.sns, services.settings.topic_arn, report, services.settings.contact)
    except AWS_TROUBLE as error:
        if may_heal(error) and step.attempt < TELL_ATTEMPTS:
            raise
        step.logger.exception("Nobody could be told", extra={"report_id": report.id, "outcome": report.outcome})
    log_run(step.logger, report)


def tell_of_route(step: StepContext, services: Services, route: Route, report: Report) -> None:
    """Announce, log and count how a route stands."""
    from anaplan_autoload.report.metrics import count_route

    publish_or_log(step, services, route, report)
    count_route(report, stack=services.settings.stack)


def tell_recovered(
    step: StepContext, services: Services, route: Route, standing: Standing, load: RunRecord, described: Report
) -> None:
    """Announce what this load ended, if anything, and note it; `described` is the load's own report."""
    ended = standing.recovers_by(load.outcome)
    if not ended:
        return
    message = " ".join(ENDED[trouble] for trouble in ended)
    tell_of_route(step, services, route, replace(described, outcome="recovered", message=message, recovered_from=ended))
    if "missing" in ended:
        services.standings.recover_from_missing(route.name, epoch_ms(load.ended_at))
    if "failed" in ended:
        services.standings.recover_from_failure(route.name)
