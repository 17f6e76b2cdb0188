"""Finishes a batch: first the history, then the message to everyone, then the uploads' states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import RunRecord
from anaplan_autoload.aws.refusals import AWS_TROUBLE, may_heal
from anaplan_autoload.domain import protocol
from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.domain.protocol import Batch, Failure, Stop
from anaplan_autoload.domain.times import iso
from anaplan_autoload.report.report import Report, ReportedError, ReportedUpload, files_in
from anaplan_autoload.steps.details import Details, details_of
from anaplan_autoload.steps.leading import leading, renewed, stops_if_lost
from anaplan_autoload.steps.telling import owe, publish_or_log, send, tell_recovered, waits_for_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.protocol import Lease, UploadState
    from anaplan_autoload.domain.runs import Run

FINISHED_PER_STEP = 500
"""How many conditional writes one step makes; they take far less than the function's timeout."""
MESSAGE_UPLOADS = 1_000
"""The most uploads that a message lists; more would not fit."""


class Recorded(Struct, frozen=True, tag="recorded"):
    """An item of the load history: its sort key, and its outcome."""

    sk: str
    outcome: Ending
    run_id: str | None
    batch: Batch
    retry_in: int | None = None
    """Seconds until the run is started again; None if it is not."""
    told: bool = False
    """Whether everyone was told already, in the step that recorded it."""


@stops_if_lost
def record_run(step: StepContext, services: Services, lease: Lease, batch: Batch, run: Run) -> Recorded | Stop:
    """Enter the ended run in the load history, with its errors and, in S3, its rejected rows.

    Everyone is told in the same step if everything was loaded: then there is nothing that would be fetched again where
    SNS fails. Other runs are announced in a step of their own.
    """
    now = services.clock()
    lane = renewed(services, lease)
    details = details_of(step, services, batch, run)
    record = services.ledger.record_run(_as_record(lease, batch, run, details, now), now)
    if run.author and run.author != lane.author:
        services.ledger.note_author(lease, run.author)
    if record.outcome == "loaded":
        tell_how_it_ended(step, services, record, batch)
    if not record.retried:
        return Recorded(record.sk, record.outcome, run.id, batch, told=record.outcome == "loaded")
    _tell_of_retry(step, services, record, batch)
    wait = protocol.retry_delay(batch.retries)
    again = _as_retried(batch, now)
    renewed(services, lease, again, not_before=now + wait * 1000)
    return Recorded(record.sk, record.outcome, run.id, again, retry_in=wait)


def _as_record(lease: Lease, batch: Batch, run: Run, details: Details, now: int) -> RunRecord:
    return replace(
        _line(lease, batch, run.id, run.outcome, run.ended_at or iso(now)),
        started_at=run.started_at,
        message=run.message,
        request=details.request,
        error_code=run.error_code,
        author=run.author,
        errors=details.kept,
        errors_total=len(details.errors),
        report_url=details.url,
        rows_saved=details.rows_saved,
        details_missing=details.said_missing,
        retried=protocol.may_be_retried(batch, run),
        asked_at=iso(batch.posted_at) if batch.posted_at else None,
    )


def _line(lease: Lease, batch: Batch, id: str, outcome: Ending, ended_at: str) -> RunRecord:
    """What every line of the load history says of its batch."""
    return RunRecord(
        id=id,
        lane=lease.lane,
        route=batch.route.name,
        outcome=outcome,
        ended_at=ended_at,
        integration_id=batch.route.integration,
        flow_id=batch.route.flow,
        batch_id=batch.id,
        trace_id=batch.trace_id,
        uploads_total=batch.total,
        file=batch.file,
        claimed_at=iso(batch.opened_at),
    )


def _as_retried(batch: Batch, now: int) -> Batch:
    """The batch as it is before its run is started again."""
    return replace(
        batch, run_id=None, posted_at=None, lost_since=None, unanswered=None, retries=batch.retries + 1, opened_at=now
    )


def _tell_of_retry(step: StepContext, services: Services, record: RunRecord, batch: Batch) -> None:
    """A failed run that is started again is logged and counted, not announced."""
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.metrics import write_metrics

    report = described(services, record, ())
    log_run(step.logger, report, retrying=True)
    write_metrics(report, stack=services.settings.stack, oldest=batch.oldest, retrying=True)


@stops_if_lost
def record_failure(
    _step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str, request: str = ""
) -> Recorded | Stop:
    """Enter a batch that ended without a run in the load history; a leader that resumes it finds how it ended.

    `request` is the one to Anaplan that failed, if one did.
    """
    now = services.clock()
    failure = batch.failure or Failure(reason, now, request=request)
    failed = replace(batch, failure=failure)
    renewed(services, lease, failed)
    line = _line(lease, batch, f"batch-{batch.id}", failure.outcome, iso(failure.at))
    line = replace(line, message=failure.reason, request=failure.request, problems=failure.problems)
    record = services.ledger.record_run(line, now)
    return Recorded(record.sk, record.outcome, None, failed)


@leading
def announce(step: StepContext, services: Services, lease: Lease, recorded: Recorded) -> Stop | None:
    """Tell everyone how the batch ended, in a step of its own."""
    record = services.ledger.run(lease.lane, recorded.sk)
    if record is None:
        step.logger.error("This run is not in the history, so no message is sent", extra={"history_item": recorded.sk})
        return None
    tell_how_it_ended(step, services, record, recorded.batch)
    return None


def tell_how_it_ended(step: StepContext, services: Services, record: RunRecord, batch: Batch) -> None:
    """Tell everyone how the batch ended, at least once and under one id, before its uploads are final.

    If SNS refuses and a retry cannot help (no such topic, a disabled key), the log says so and the lane continues,
    because the next leader could not tell anybody either.
    """
    if record.announced:
        return
    from anaplan_autoload.report.log import log_run
    from anaplan_autoload.report.metrics import write_metrics

    report = described(services, record, _uploads(services, record.lane, batch))
    told, wanted = True, batch.route.tells(report.outcome)
    digested = wanted and waits_for_digest(services, record.lane)
    if digested:
        owe(services, record.lane, report)
    try:
        if wanted:
            send(services, report, digested)
    except AWS_TROUBLE as error:
        if may_heal(error) and batch.attempts < protocol.MAX_ATTEMPTS:
            raise
        told = False
        step.logger.exception(
            "Not everyone could be told of this run; the lane continues", extra={"report_id": record.id}
        )
    log_run(step.logger, report)
    write_metrics(report, stack=services.settings.stack, oldest=batch.oldest)
    if record.outcome == "failed":
        services.standings.fail(record.route, record.id)
    elif record.outcome != "rejected":
        standing = services.standings.get(record.route)
        tell_recovered(step, services, batch.route, standing, record, report, digested=digested)
    if told:
        services.ledger.mark_announced(record, iso(services.clock()) if wanted else None)


def described(services: Services, record: RunRecord, uploads: Sequence[Upload]) -> Report:
    """A history item as subscribers get it."""
    from anaplan_autoload.aws.rejected_rows import console_link

    link = console_link(record.report_url, services.settings.topic_arn) if record.report_url else None
    shown = tuple(map(ReportedUpload.of, uploads))
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
        request=record.request or None,
        error_code=record.error_code,
        uploads=shown,
        uploads_total=record.uploads_total,
        files_total=_files_total(shown, record.uploads_total),
        errors=tuple(map(ReportedError.of, record.errors)),
        errors_total=record.errors_total,
        report_url=record.report_url,
        report_link=link,
        rows_saved=record.rows_saved,
        details_missing=record.details_missing,
        problems=record.problems,
        trace_id=record.trace_id or None,
    )


def _files_total(listed: Sequence[ReportedUpload], uploads_total: int) -> int | None:
    return files_in(listed) if len(listed) >= uploads_total else None


def _uploads(services: Services, lane: str, batch: Batch) -> list[Upload]:
    records = services.ledger.uploads(lane, services.ledger.batch_ids(lane, batch, 0, MESSAGE_UPLOADS))
    return [record.upload for record in records]


class Told(Struct, frozen=True, tag="told"):
    """Everyone was told that the batch is overdue, and the batch says so."""

    batch: Batch


@stops_if_lost
def announce_overdue(
    step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str, request: str = ""
) -> Told | Stop:
    """Tell everyone, once, that a batch takes longer than its route allows."""
    return Told(tell_overdue(step, services, lease, batch, reason, request))


def tell_overdue(
    step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str, request: str = "", *, wait: int = 0
) -> Batch:
    """What `announce_overdue` does, for a leader that is about to wait for so many seconds. Raises `LeaseLost`."""
    renewed(services, lease, wait=wait)
    tell(step, services, lease, batch, "overdue", reason, request)
    told = replace(batch, overdue=True)
    renewed(services, lease, told, wait=wait)
    return told


def tell(
    step: StepContext,
    services: Services,
    lease: Lease,
    batch: Batch,
    outcome: Literal["overdue", "held"],
    reason: str,
    request: str = "",
) -> None:
    """Tell everyone about a batch that has not ended: it takes long, or it is held.

    If SNS fails a few times, or refuses and a retry cannot help, the batch continues without a message. This does not
    count as an attempt.
    """
    shown = tuple(ReportedUpload.of(upload) for upload in _uploads(services, lease.lane, batch))
    report = replace(
        Report.of_route(batch.route, outcome, batch.run_id or f"batch-{batch.id}", reason),
        request=request or None,
        run_id=batch.run_id,
        started_at=iso(batch.posted_at) if batch.run_id and batch.posted_at else None,
        uploads=shown,
        uploads_total=batch.total,
        files_total=_files_total(shown, batch.total),
        trace_id=batch.trace_id,
        secret_id=services.settings.secret_id if outcome == "held" else msgspec.UNSET,
    )
    publish_or_log(step, services, batch.route, report)


def _remember_sizes(services: Services, lease: Lease, batch: Batch, ids: Sequence[str], now: int) -> None:
    """Note the sizes of the newest of these uploads of each key, where the route checks whether a file shrinks."""
    if batch.route.check is None or batch.route.check.shrink is None:
        return
    records = services.ledger.uploads(lease.lane, ids)
    for upload in {(record.upload.bucket, record.upload.key): record.upload for record in records}.values():
        services.ledger.remember_size(batch.route, upload, now)


def last_part(batch: Batch) -> int:
    """The number of the first upload that the last step finishes; the steps before finish 500 each."""
    return (batch.total - 1) // FINISHED_PER_STEP * FINISHED_PER_STEP


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
    """Set the final state of 500 of the batch's uploads, from number `start` on."""
    finish_uploads_from(step, services, lease, batch, state, run_id, start)
    return None


def finish_uploads_from(
    step: StepContext,
    services: Services,
    lease: Lease,
    batch: Batch,
    state: UploadState,
    run_id: str | None,
    start: int,
) -> None:
    """What `finish_uploads` does, inside a step that has renewed the lease."""
    now = services.clock()
    if batch.upload is not None and state in ("loaded", "partial"):
        services.ledger.remember_loaded(batch.route.target, batch.upload, now)
    ids = services.ledger.batch_ids(lease.lane, batch, start, start + FINISHED_PER_STEP)
    if state in ("loaded", "partial"):
        _remember_sizes(services, lease, batch, ids, now)
    services.ledger.finish_uploads(lease.lane, ids, state, batch, run_id, now)
    if state == "superseded":
        step.logger.info("Superseded by newer data of its key", extra={"route": batch.route.name, "upload_ids": ids})
