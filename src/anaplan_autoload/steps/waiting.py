"""Reports uploads that wait because of a rule: in the log at each change, and to everyone if a set is late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from anaplan_autoload.domain import rules
from anaplan_autoload.report.report import Report, ReportedUpload, files_in
from anaplan_autoload.steps.finishing import MESSAGE_UPLOADS
from anaplan_autoload.steps.leading import LeaseLost
from anaplan_autoload.steps.telling import publish_or_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Lane, Lease
    from anaplan_autoload.domain.rules import Wait


def waiting_by_rule(step: StepContext, services: Services, lease: Lease, lane: Lane, waits: Sequence[Wait]) -> None:
    """Log what has to wait because of a rule, if that has changed, and announce each late set once.

    `lane` is as it was found. Raises `LeaseLost` where something was to be noted and the lease is lost.
    """
    now = services.clock()
    said = rules.notes(lane.waits, waits)
    late = rules.incomplete(lane.waits, waits, now)
    if said == lane.waits and not late:
        return
    for wait in waits:
        if lane.waits.get(wait.route.name) != said[wait.route.name]:
            extra = {"route": wait.route.name, "lane": lease.lane, "uploads": len(wait.waiting)}
            step.logger.info(f"Uploads wait: {wait.why}", extra=extra)
    for wait in late:
        _announce_incomplete(step, services, wait)
        said[wait.route.name] = msgspec.structs.replace(said[wait.route.name], incomplete=True)
    if services.ledger.note_waits(lease, said) is None:
        raise LeaseLost


def _announce_incomplete(step: StepContext, services: Services, wait: Wait) -> None:
    """Tell everyone that a set takes longer than its route allows, and count it."""
    from anaplan_autoload.report.metrics import count_incomplete

    route, first = wait.route, wait.waiting[0].upload
    shown = tuple(ReportedUpload.of(item.upload) for item in wait.waiting[:MESSAGE_UPLOADS])
    report = msgspec.structs.replace(
        Report.of_route(route, "incomplete", f"set-{first.id[:32]}", wait.news),
        uploads=shown,
        uploads_total=len(wait.waiting),
        files_total=files_in(shown) if len(shown) == len(wait.waiting) else None,
        awaited=wait.lacks,
        trace_id=first.id,
    )
    publish_or_log(step, services, route, report)
    count_incomplete(route.name, stack=services.settings.stack)
