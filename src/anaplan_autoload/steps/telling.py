"""Tells everyone what happened, through every channel that the stack has: SNS, EventBridge and chat.

Each message is sent at least once and under one id. If a lane reports many loads in a short time, people get the later
ones in digests, which a sweep sends. Systems get each document at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from anaplan_autoload.aws.refusals import AWS_TROUBLE, may_heal
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.ledger import RunRecord
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.standing import Standing, Trouble
    from anaplan_autoload.report.report import Report

TELL_ATTEMPTS = 4
ENDED: dict[Trouble, str] = {
    "missing": "This load was missing.",
    "failed": "The load before this one had failed.",
}


def send(services: Services, report: Report, digested: bool = False) -> None:
    """Send a report through every channel; without mails if `digested`.

    Raises an AWS error after it has tried all channels: one that may pass, if there is one. The next attempt sends
    through all of them again, and subscribers recognize a repeated message by its id.
    """
    troubles: list[Exception] = []
    for channel in _channels(services, report, digested):
        try:
            channel()
        except AWS_TROUBLE as error:
            troubles.append(error)
    if troubles:
        raise next(filter(may_heal, troubles), troubles[0])


def _channels(services: Services, report: Report, digested: bool) -> Iterator[Callable[[], object]]:
    settings = services.settings
    if settings.publish_events:
        from anaplan_autoload.report.event import put_event

        yield lambda: put_event(services.events, report)
    if settings.chat_topic_arn:
        from anaplan_autoload.report.chat import publish_chat

        topic = settings.chat_topic_arn
        yield lambda: publish_chat(services.sns, topic, report, settings.stack)
    from anaplan_autoload.report.message import publish, publish_mail

    yield lambda: publish(services.sns, settings.topic_arn, report, settings.contact)
    if settings.mail_topic_arn and not digested:
        mails = settings.mail_topic_arn
        yield lambda: publish_mail(services.sns, mails, report, settings.contact)


def waits_for_digest(services: Services, lane: str) -> bool:
    """Whether people get the next message about this lane in a digest."""
    after, window = services.settings.digest_after, services.settings.digest_ms
    if services.settings.mail_topic_arn is None or after == 0:
        return False
    from anaplan_autoload.aws.digests import told_lately
    from anaplan_autoload.domain.digests import is_digested

    now = services.clock()
    return is_digested(told_lately(services.ledger, lane, now, window, after), now, after, window)


def owe(services: Services, lane: str, report: Report) -> None:
    """Note that people are to be told in the lane's digest. Call this before systems are told."""
    from anaplan_autoload.domain.digests import Owed
    from anaplan_autoload.report.subject import subject

    now = services.clock()
    services.digests.owe(
        Owed(
            lane=lane,
            id=report.id,
            outcome=report.outcome,
            route=report.route,
            target=report.target,
            ended_at=report.ended_at or iso(now),
            said=subject(report),
            due_at=services.digests.due_at(lane, now, services.settings.digest_ms),
        )
    )


def send_digests(step: StepContext, services: Services) -> None:
    """Send the digests that are due, and forget what was in each. One that SNS refuses is sent by a later sweep."""
    topic = services.settings.mail_topic_arn
    if topic is None:
        return
    from anaplan_autoload.domain.digests import due
    from anaplan_autoload.report.digest import publish_digest

    for owed in due(services.digests.all(), services.clock()):
        try:
            sent = publish_digest(services.sns, topic, owed, services.settings.contact)
        except AWS_TROUBLE as error:
            if may_heal(error) and step.attempt < TELL_ATTEMPTS:
                raise
            step.logger.exception("A digest could not be sent; the next sweep tries again", extra={"owed": len(owed)})
            continue
        services.digests.forget(owed)
        step.logger.info("Sent a digest", extra={"digest_id": sent.id, "lane": sent.lane, "loads": len(owed)})


def publish_or_log(
    step: StepContext, services: Services, route: Route, report: Report, *, digested: bool = False
) -> None:
    """Send a report that ends no batch, unless the route's `notify` leaves it out, and log it.

    If AWS keeps failing, or a retry cannot help, only the log has it.
    """
    from anaplan_autoload.report.log import log_run

    try:
        if route.tells(report.outcome):
            if digested:
                owe(services, route.lane_id, report)
            send(services, report, digested)
    except AWS_TROUBLE as error:
        if may_heal(error) and step.attempt < TELL_ATTEMPTS:
            raise
        step.logger.exception("Not everyone could be told", extra={"report_id": report.id, "outcome": report.outcome})
    log_run(step.logger, report)


def tell_of_route(
    step: StepContext, services: Services, route: Route, report: Report, *, digested: bool = False
) -> None:
    """Announce, log and count how a route stands."""
    from anaplan_autoload.report.metrics import count_route

    publish_or_log(step, services, route, report, digested=digested)
    count_route(report, stack=services.settings.stack)


def tell_recovered(
    step: StepContext,
    services: Services,
    route: Route,
    standing: Standing,
    load: RunRecord,
    described: Report,
    *,
    digested: bool = False,
) -> None:
    """Announce what this load ended, if anything, and note it; `described` is the load's own report.

    `digested`: people get the load's own message in a digest, so this one is in it too.
    """
    ended = standing.recovers_by(load.outcome)
    if not ended:
        return
    message = " ".join(ENDED[trouble] for trouble in ended)
    recovered = replace(described, outcome="recovered", message=message, recovered_from=ended)
    tell_of_route(step, services, route, recovered, digested=digested)
    if "missing" in ended:
        services.standings.recover_from_missing(route.name, epoch_ms(load.ended_at))
    if "failed" in ended:
        services.standings.recover_from_failure(route.name)
