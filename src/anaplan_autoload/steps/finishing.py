"""Finish a batch: the history first, then the message to everyone, then the uploads' states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import CloudWorksError
from anaplan_autoload.aws.ledger import RunRecord
from anaplan_autoload.domain import protocol
from anaplan_autoload.domain.outcomes import Outcome
from anaplan_autoload.domain.protocol import Batch, Failure, Stop
from anaplan_autoload.domain.times import iso
from anaplan_autoload.report.report import Report, ReportedError, ReportedUpload
from anaplan_autoload.steps.leading import LOST, leading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.anaplan.cloudworks import Dump
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.protocol import Lease, UploadState
    from anaplan_autoload.domain.runs import Run, RunError

FINISHED_PER_STEP = 500
"""Conditional writes that fit a step with time to spare."""
MESSAGE_UPLOADS = 1_000
"""More would not fit a message."""
KEPT_ERRORS = 20
"""Errors that the history keeps; all of them are in S3."""
KEPT_VALUES = 5
KEPT_CHARACTERS = 300
"""Of each text, so that a line of the history stays far below DynamoDB's 400 KB."""
DUMP_BYTES = 50 * 1024**2
DUMP_SECONDS = 20
"""All of a run's dumps are cut where they stand after this long: the step has to end within the function's timeout."""
DETAIL_ATTEMPTS = 4
TELL_ATTEMPTS = 4
DETAIL_LEADERS = 3
"""Leaders that may die over a run's details before it is recorded without them."""


class Recorded(Struct, frozen=True, tag="recorded"):
    """A line of the load history: its sort key, and what it says."""

    sk: str
    outcome: Outcome
    run_id: str | None
    batch: Batch
    retry_in: int | None = None
    """Seconds until the run is started again; None when this is its end."""


def record_run(step: StepContext, services: Services, lease: Lease, batch: Batch, run: Run) -> Recorded | Stop:
    """Enter the ended run in the load history, with its errors and, in S3, its rejected rows."""
    now = services.clock()
    lane = services.ledger.renew(lease, now)
    if lane is None:
        return Stop("left", LOST)
    retry = protocol.may_be_retried(batch, run)
    errors, report_url = _details(step, services, batch, run)
    record = services.ledger.record_run(
        RunRecord(
            id=run.id,
            lane=lease.lane,
            route=batch.route.name,
            outcome=run.outcome,
            started_at=run.started_at,
            ended_at=run.ended_at or iso(now),
            integration_id=batch.route.integration,
            flow_id=batch.route.flow,
            message=run.message,
            error_code=run.error_code,
            author=run.author,
            batch_id=batch.id,
            uploads_total=batch.total,
            errors=tuple(map(_kept, errors[:KEPT_ERRORS])),
            errors_total=len(errors),
            report_url=report_url,
            retried=retry,
        ),
        now,
    )
    if run.author and run.author != lane.author:
        services.ledger.note_author(lease, run.author)
    if not record.retried:
        return Recorded(record.sk, record.outcome, run.id, batch)
    _tell_of_retry(step, services, record, batch)
    again = replace(
        batch,
        run_id=None,
        posted_at=None,
        lost_since=None,
        unanswered=None,
        retries=batch.retries + 1,
        opened_at=now,
    )
    wait = protocol.retry_delay(batch.retries)
    if services.ledger.renew(lease, services.clock(), again, not_before=now + wait * 1000) is None:
        return Stop("left", LOST)
    return Recorded(record.sk, record.outcome, run.id, again, retry_in=wait)


def _tell_of_retry(step: StepContext, services: Services, record: RunRecord, batch: Batch) -> None:
    """A failed run that is started again is logged and counted, not announced."""
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.metrics import write_metrics

    described = _described(record, ())
    log_run(step.logger, described, retrying=True)
    write_metrics(described, stack=services.settings.stack, oldest=batch.oldest, retrying=True)


def _details(step: StepContext, services: Services, batch: Batch, run: Run) -> tuple[tuple[RunError, ...], str | None]:
    """The run's errors, and where they and its rejected rows were saved.

    Anaplan keeps dumps for about two days, so they are worth a few tries; after these the history stands without them.
    """
    if run.outcome == "loaded" or batch.route.flow or batch.attempts > DETAIL_LEADERS:
        return (), None  # a flow's message names the steps that went wrong; its own id has no errors and no dump
    from anaplan_autoload.aws import rejected_rows

    try:
        errors = services.cloudworks.errors(run.id)
        bucket = services.settings.reports_bucket
        if bucket is None or not run.ended_at:
            return errors, None
        prefix = rejected_rows.report_prefix(batch.route.name, run.ended_at, run.id)
        url = rejected_rows.save_errors(services.s3, bucket, prefix, map(_reported, errors)) if errors else None
        until = services.clock() + DUMP_SECONDS * 1000
        for name, chunks in _dumps(services, run.id, errors):
            timely = _Timely(chunks, services.clock, until)
            url = rejected_rows.save_rejected_rows(services.s3, bucket, prefix, name, timely)
            if chunks.truncated or timely.cut:
                step.logger.warning("The rejected rows were cut", extra={"run_id": run.id, "action": name})
    except LoginRefused:
        return (), None
    except (CloudWorksError, BotoCoreError, ClientError) as error:
        if step.attempt < DETAIL_ATTEMPTS:
            raise
        step.logger.warning("The run's errors could not be fetched", extra={"run_id": run.id, "reason": str(error)})
        return (), None
    return errors, url


class _Timely:
    """A dump's chunks, for as long as there is time."""

    def __init__(self, chunks: Dump, clock: Callable[[], int], until: int) -> None:
        self._chunks = chunks
        self._clock = clock
        self._until = until
        self.cut = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            if self._clock() > self._until:
                self.cut = True
                return


def _kept(error: RunError) -> RunError:
    """What the history keeps of an error; all of it is in S3."""
    values = tuple(value[:KEPT_CHARACTERS] for value in error.values[:KEPT_VALUES])
    return replace(error, action=error.action[:KEPT_CHARACTERS], message=error.message[:KEPT_CHARACTERS], values=values)


def _dumps(services: Services, run_id: str, errors: Sequence[RunError]) -> Iterator[tuple[str, Dump]]:
    """The run's dumps, each under a name: an import has one of its own, a process one for every import in it."""
    whole = services.cloudworks.dump(run_id, cap=DUMP_BYTES)
    if whole is not None:
        yield "rejected", whole
        return
    for action_id in dict.fromkeys(error.action_id for error in errors if error.dump and error.action_id):
        of_action = services.cloudworks.dump(run_id, action_id, cap=DUMP_BYTES)
        if of_action is not None:
            yield f"rejected-{action_id}", of_action


def record_failure(_step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str) -> Recorded | Stop:
    """Enter a batch that failed without a run in the load history; whoever resumes it finds that it failed."""
    now = services.clock()
    failed = replace(batch, failure=batch.failure or Failure(reason, now))
    if services.ledger.renew(lease, now, failed) is None:
        return Stop("left", LOST)
    failure = failed.failure or Failure(reason, now)
    record = services.ledger.record_run(
        RunRecord(
            id=f"batch-{batch.id}",
            lane=lease.lane,
            route=batch.route.name,
            outcome="failed",
            ended_at=iso(failure.at),
            integration_id=batch.route.integration,
            flow_id=batch.route.flow,
            message=failure.reason,
            batch_id=batch.id,
            uploads_total=batch.total,
        ),
        now,
    )
    return Recorded(record.sk, "failed", None, failed)


@leading
def announce(step: StepContext, services: Services, lease: Lease, recorded: Recorded) -> Stop | None:
    """Tell everyone how the batch ended, at least once and under one id; before its uploads are final."""
    record = services.ledger.run(lease.lane, recorded.sk)
    if record is None:
        step.logger.error("The history has lost this run; nobody is told of it", extra={"history_item": recorded.sk})
        return None
    if record.announced:
        return None
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.message import publish
    from anaplan_autoload.report.metrics import write_metrics

    batch = recorded.batch
    described = _described(record, _uploads(services, lease.lane, batch))
    told = True
    try:
        publish(services.sns, services.settings.topic_arn, described)
    except (BotoCoreError, ClientError):
        if batch.attempts < protocol.MAX_ATTEMPTS:
            raise
        told = False
        step.logger.exception("Nobody could be told of this run; the lane goes on", extra={"report_id": record.id})
    log_run(step.logger, described)
    write_metrics(described, stack=services.settings.stack, oldest=batch.oldest)
    if told:
        services.ledger.mark_announced(record)
    return None


def _described(record: RunRecord, uploads: Sequence[Upload]) -> Report:
    """A line of the history as subscribers get it."""
    return Report(
        id=record.id,
        outcome=record.outcome,
        route=record.route,
        integration_id=record.integration_id or msgspec.UNSET,
        flow_id=record.flow_id or msgspec.UNSET,
        run_id=None if record.id.startswith("batch-") else record.id,
        started_at=record.started_at,
        ended_at=record.ended_at,
        message=record.message,
        error_code=record.error_code,
        uploads=tuple(map(ReportedUpload.of, uploads)),
        uploads_total=record.uploads_total,
        errors=tuple(map(_reported, record.errors)),
        errors_total=record.errors_total,
        report_url=record.report_url,
    )


def _reported(error: RunError) -> ReportedError:
    return ReportedError(error.action, error.message, error.occurrences, error.values)


def _uploads(services: Services, lane: str, batch: Batch) -> list[Upload]:
    records = services.ledger.uploads(lane, services.ledger.batch_ids(lane, batch, 0, MESSAGE_UPLOADS))
    return [record.upload for record in records]


class Told(Struct, frozen=True, tag="told"):
    """Everyone knows that the batch is overdue, and so does the batch."""

    batch: Batch


@leading
def announce_overdue(step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str) -> Told | Stop:
    """Tell everyone, once, that a batch takes longer than its route allows; it is followed further."""
    tell(step, services, lease, batch, "overdue", reason)
    told = replace(batch, overdue=True)
    return Told(told) if services.ledger.renew(lease, services.clock(), told) else Stop("left", LOST)


def tell(
    step: StepContext, services: Services, lease: Lease, batch: Batch, outcome: Literal["overdue", "held"], reason: str
) -> None:
    """Tell everyone of something other than an end: the batch takes long, or is held back.

    After a few tries the batch goes on untold: no attempt at it is used up because SNS is out of order.
    """
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.message import publish

    described = Report(
        id=batch.run_id or f"batch-{batch.id}",
        outcome=outcome,
        route=batch.route.name,
        integration_id=batch.route.integration or msgspec.UNSET,
        flow_id=batch.route.flow or msgspec.UNSET,
        run_id=batch.run_id,
        started_at=iso(batch.posted_at) if batch.run_id and batch.posted_at else None,
        ended_at=None,
        message=reason,
        uploads=tuple(ReportedUpload.of(upload) for upload in _uploads(services, lease.lane, batch)),
        uploads_total=batch.total,
    )
    try:
        publish(services.sns, services.settings.topic_arn, described)
    except (BotoCoreError, ClientError):
        if step.attempt < TELL_ATTEMPTS:
            raise
        step.logger.exception("Nobody could be told", extra={"report_id": described.id, "outcome": outcome})
    log_run(step.logger, described)


@leading
def finish_uploads(
    step: StepContext,
    services: Services,
    lease: Lease,
    batch: Batch,
    state: UploadState,
    run_id: str | None,
    start: int,
) -> Stop | None:
    """Give the batch's uploads from number `start` on, 500 of them, their final state."""
    now = services.clock()
    if batch.upload is not None and state in ("loaded", "partial"):
        services.ledger.remember_loaded(batch.route.target, batch.upload, now)
    ids = services.ledger.batch_ids(lease.lane, batch, start, start + FINISHED_PER_STEP)
    services.ledger.finish_uploads(lease.lane, ids, state, batch, run_id, now)
    if state == "superseded":
        step.logger.info("Superseded by newer data of its key", extra={"route": batch.route.name, "upload_ids": ids})
    return None


def close(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Stop | None:
    """Clear the open batch: it is done."""
    closed = services.ledger.close_batch(lease, batch, services.clock())
    return None if closed else Stop("left", LOST)
