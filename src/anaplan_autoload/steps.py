"""The steps of the story: each does one thing to the world, once it has renewed its lease, and tells what it found.

What a step returns is stored with the execution, so steps return ids, counts and decisions: never a secret, a list of
uploads or a whole answer. Every step may run again after a crash, and so finds what it has already done. A lost lease,
a refused log-in and an execution that grew old are returned as `Stop`, never raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from anaplan_autoload import protocol, staging
from anaplan_autoload.cloudworks import Busy, CloudWorksError, NotFound, Refused, Run, RunError, TryLater
from anaplan_autoload.credentials import LoginRefused
from anaplan_autoload.events import Upload
from anaplan_autoload.ledger import NotTaken, RunRecord
from anaplan_autoload.protocol import (
    Batch,
    Claim,
    Failure,
    Lane,
    Later,
    Lease,
    Nothing,
    State,
    Stop,
    Take,
    Verdict,
    iso,
)
from anaplan_autoload.runs import epoch_ms
from anaplan_autoload.staging import PartedCopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aws_durable_execution_sdk_python.types import StepContext, WaitForConditionCheckContext

    from anaplan_autoload.cloudworks import Dump
    from anaplan_autoload.events import Drain, Load, Uploads
    from anaplan_autoload.protocol import UploadState
    from anaplan_autoload.report import Report, ReportedError
    from anaplan_autoload.services import Services

FINISHED_PER_STEP = 500
SHOWN_UPLOADS = 50
"""How many of the event's uploads an execution's result lists."""
MESSAGE_UPLOADS = 1_000
KEPT_ERRORS = 20
DUMP_BYTES = 100 * 1024**2
DETAIL_ATTEMPTS = 4
HISTORY_PAGE = 25
GIVEN_UP_MS = 15 * 60_000
"""A run that CloudWorks has not known for this long is given up."""


LOST = "the lease is lost: another execution leads the lane"
OLD = "this execution has led for long"

# Admission.


class Admission(Struct, frozen=True):
    """Whether this execution leads, and what it found to do."""

    state: State
    ids: tuple[str, ...] = ()
    """The ids of the event's uploads, the first fifty."""
    lane: str | None = None
    since: int = 0
    """Epoch ms."""
    claim: Claim | None = None


def admit(step: StepContext, services: Services, me: str, event: Uploads | Load | Drain) -> Admission:
    """Record what was uploaded, then lead its lane or leave it to whoever does.

    Duplicates change nothing. Where an event spans lanes, the first is led and the others get a drain of their own.
    """
    from anaplan_autoload.events import Drain, Load

    now = services.clock()
    if isinstance(event, Drain):
        return _lead(services, event.lane, me, now, ())
    uploads = (_requested(services, event),) if isinstance(event, Load) else event.uploads
    lanes: dict[str, None] = {}
    recorded: list[str] = []
    unrouted = 0
    for upload in uploads:
        if services.routes.is_staged(upload.bucket, upload.key):
            step.logger.info("Ignored our own copy", extra={"bucket": upload.bucket, "key": upload.key})
        elif route := services.routes.match(upload.bucket, upload.key):
            new = services.ledger.record(upload, route, now)
            lanes[route.lane_id] = None
            recorded.append(upload.id)
            step.logger.info(
                "Recorded an upload" if new else "Known already",
                extra={"bucket": upload.bucket, "key": upload.key, "route": route.name, "upload_id": upload.id},
            )
        else:
            unrouted += 1
            step.logger.warning(
                "No route matches this upload; it is not loaded", extra={"bucket": upload.bucket, "key": upload.key}
            )
    if unrouted:
        from anaplan_autoload.report import count_unrouted

        count_unrouted(unrouted)
    if not lanes:
        return Admission("ignored")
    first, *others = lanes
    for lane in others:
        services.send({"drain": lane})
    return _lead(services, first, me, now, tuple(recorded[:SHOWN_UPLOADS]))


def _lead(services: Services, lane: str, me: str, now: int, ids: tuple[str, ...]) -> Admission:
    taken = services.ledger.acquire(lane, me, now)
    if isinstance(taken, NotTaken):
        return Admission("held" if taken.reason == "held" else "left", ids, lane)
    lease = Lease(lane, me, now)
    return Admission("led", ids, lane, now, _look_for_work(services, lease, taken.lane, now))


def _requested(services: Services, load: Load) -> Upload:
    """The object of a requested reload, as it is in S3; raises the S3 error where there is none."""
    version: Any = {"VersionId": load.version_id} if load.version_id else {}
    head = services.s3.head_object(Bucket=load.bucket, Key=load.key, **version)
    version_id = head.get("VersionId")
    return Upload(
        bucket=load.bucket,
        key=load.key,
        event_time=iso(round(head["LastModified"].timestamp() * 1000)),
        size=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        version_id=None if version_id == "null" else version_id,
        request_id=load.request_id,
    )


# Claiming.


def claim(_step: StepContext, services: Services, lease: Lease) -> Claim:
    """Open the next batch, or resume the one that is open."""
    now = services.clock()
    lane = services.ledger.renew(lease, now)
    if lane is None:
        return Stop("left", LOST)
    if lane.paused:
        services.ledger.release(lease)
        return Stop("left", "the lane is paused")
    return _look_for_work(services, lease, lane, now)


def release(_step: StepContext, services: Services, lease: Lease) -> Claim:
    """Give the lane back, then look again: whoever recorded an upload just before the release has left."""
    now = services.clock()
    services.ledger.release(lease)
    if not services.ledger.waiting(lease.lane):
        return Nothing()
    taken = services.ledger.acquire(lease.lane, lease.holder, now)
    if isinstance(taken, NotTaken):
        return Nothing()
    return _look_for_work(services, lease, taken.lane, now)


def _look_for_work(services: Services, lease: Lease, lane: Lane, now: int) -> Claim:
    """What to do in a lane that is ours. `lane` is as it was found, with the holder before us."""
    longest = services.settings.poll_max
    not_yet = Later(min(-(-(lane.not_before - now) // 1000), longest)) if lane.not_before > now else None
    if lane.open is not None:
        resumed = _resume(services, lease, lane, lane.open, now)
        return resumed if lane.open.run_id else not_yet or resumed
    selection = protocol.select(services.ledger.waiting(lease.lane))
    if selection is None:
        return Nothing()
    if _is_old(services, lease, now):
        return Stop("handed_over", OLD)
    if not_yet:
        return not_yet
    if selection.refusal is None and (quiet_in := protocol.settling_for(selection, now)):
        return Later(min(quiet_in, longest))
    first = selection.waiting[0].upload
    batch = Batch(
        id=uuid4().hex,
        route=selection.route,
        total=len(selection.waiting),
        opened_at=now,
        oldest=first.event_time,
        upload=first if selection.route.load == "each" else None,
        failure=Failure(selection.refusal, now) if selection.refusal else None,
    )
    ids = [item.upload.id for item in selection.waiting]
    return Take(batch) if services.ledger.open_batch(lease, batch, ids, now) else Stop("left", LOST)


def _resume(services: Services, lease: Lease, lane: Lane, batch: Batch, now: int) -> Claim:
    """Go on with a batch that a leader left open; a leader that died over it, and not we, counts as an attempt."""
    if lane.holder not in (None, lease.holder):
        batch = msgspec.structs.replace(batch, attempts=batch.attempts + 1)
        if services.ledger.renew(lease, now, batch) is None:
            return Stop("left", LOST)
    return Take(batch)


def _is_old(services: Services, lease: Lease, now: int) -> bool:
    return now - lease.since > services.settings.age_limit * 1000


# Staging.


class Staged(Struct, frozen=True, tag="staged"):
    """The integration's source file holds exactly the upload's data."""


class Superseded(Struct, frozen=True, tag="superseded"):
    """Newer data of the key came first; older data never replaces newer."""

    reason: str


class NotStaged(Struct, frozen=True, tag="not_staged"):
    """The data cannot be had, for the reason given."""

    reason: str


Staging = Staged | PartedCopy | Superseded | NotStaged | Stop


def stage(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Staging:
    """Copy the batch's upload to where its integration reads; a large one is only begun."""
    upload, stage_to = _staged(batch)
    if services.ledger.renew(lease, services.clock()) is None:
        return Stop("left", LOST)
    loaded = services.ledger.newest_loaded(lease.lane, upload)
    if loaded is not None and upload.is_older_than(loaded):
        return Superseded(f"newer data of s3://{upload.bucket}/{upload.key} was loaded already")
    return _copied(lambda: staging.copy(services.s3, upload, stage_to))


def stage_parts(_step: StepContext, services: Services, lease: Lease, batch: Batch, copy: PartedCopy) -> Staging:
    """Copy the next parts of a large upload."""
    upload, stage_to = _staged(batch)
    if services.ledger.renew(lease, services.clock()) is None:
        return Stop("left", LOST)
    return _copied(lambda: staging.copy_parts(services.s3, upload, stage_to, copy))


def _copied(copy: Callable[[], PartedCopy | None]) -> Staging:
    try:
        return copy() or Staged()
    except staging.Overwritten as error:
        return Superseded(str(error))
    except (staging.Gone, staging.Denied) as error:
        return NotStaged(str(error))


def _staged(batch: Batch) -> tuple[Upload, str]:
    if batch.upload is None or batch.route.stage_to is None:
        raise ValueError(f"batch {batch.id} of route {batch.route.name!r} has nothing to stage")
    return batch.upload, batch.route.stage_to


# Starting.


class Started(Struct, frozen=True, tag="started"):
    """CloudWorks runs the integration; the batch has its run's id."""

    batch: Batch


class Occupied(Struct, frozen=True, tag="occupied"):
    """The integration is already running (409)."""

    batch: Batch


class NotNow(Struct, frozen=True, tag="not_now"):
    """No run began; CloudWorks or the log-in is to be asked again in so many seconds."""

    batch: Batch
    seconds: int
    reason: str


class TurnedDown(Struct, frozen=True, tag="turned_down"):
    """CloudWorks will not run it, whoever asks again."""

    reason: str


class NoAnswer(Struct, frozen=True, tag="no_answer"):
    """Whether a run began is not known."""

    batch: Batch
    reason: str


Answer = Started | Occupied | NotNow | TurnedDown | NoAnswer | Stop


def post(step: StepContext, services: Services, lease: Lease, batch: Batch) -> Answer:
    """Ask CloudWorks for the run. To be run at most once: CloudWorks has no idempotency key.

    The log-in comes first, so that nothing slow stands between the ledger's note of the request and the request.
    """
    route = batch.route
    try:
        services.tokens.token()
    except LoginRefused as refused:
        return _held(refused)
    except CloudWorksError as error:
        return _not_now(services, lease, batch, error)
    posted = msgspec.structs.replace(batch, posted_at=services.clock(), lost_since=batch.unresolved_since, run_id=None)
    if services.ledger.renew(lease, services.clock(), posted) is None:
        return Stop("left", LOST)
    try:
        ask = services.cloudworks.run_flow if route.flow else services.cloudworks.run_integration
        run_id = ask(route.target)
    except LoginRefused as refused:
        return _held(refused)
    except Busy:
        return Occupied(batch)
    except TryLater as error:
        return _not_now(services, lease, batch, error)
    except Refused as error:
        return TurnedDown(str(error))
    except CloudWorksError as error:
        return NoAnswer(posted, str(error))
    started = msgspec.structs.replace(posted, run_id=run_id, lost_since=None)
    try:
        services.ledger.renew(lease, services.clock(), started)
    except (BotoCoreError, ClientError):
        # The run's id is known and goes into this step's result; whoever follows the run writes it again.
        step.logger.exception("The run's id could not be written to the ledger", extra={"run_id": run_id})
    return Started(started)


def _held(refused: LoginRefused) -> Stop:
    return Stop("held", str(refused), refused.version)


def _not_now(services: Services, lease: Lease, batch: Batch, error: CloudWorksError) -> NotNow | Stop:
    """Nothing began: take the request back, and bind the next leader to the wait as well."""
    asked = error.retry_after if isinstance(error, TryLater) else None
    seconds = round(asked if asked is not None else services.settings.poll_max / 2) or 1
    now = services.clock()
    if services.ledger.renew(lease, now, batch, not_before=now + seconds * 1000) is None:
        return Stop("left", LOST)
    return NotNow(batch, seconds, str(error))


# Reconciling.


class Sighting(Struct, frozen=True, tag="sighting"):
    """What the run history says, and the batch as the ledger has it."""

    batch: Batch
    verdict: Verdict
    trouble: str = ""
    """Why the history could not be read, where it could not."""


def search(_step: StepContext, services: Services, lease: Lease, batch: Batch, looks: int) -> Sighting | Stop:
    """Search the run history for a run whose answer was lost; `looks` counts the searches that found none, from 1."""
    now = services.clock()
    lane = services.ledger.renew(lease, now)
    if lane is None:
        return Stop("left", LOST)
    if lane.open is not None and lane.open.id == batch.id:
        batch = msgspec.structs.replace(lane.open, attempts=batch.attempts)
    since = batch.unresolved_since
    if batch.run_id:
        return Sighting(batch, protocol.Adopt(batch.run_id))
    if since is None:
        return Sighting(batch, protocol.StartAgain(resolved=True))
    try:
        runs, ahead = _history(services, batch, since)
    except LoginRefused as refused:
        return _held(refused)
    except CloudWorksError as error:
        return Sighting(batch, protocol.LookAgain(), str(error))
    known = {run.id for run in services.ledger.runs(lease.lane, iso(since + ahead - 10 * 60_000))}
    verdict = protocol.reconcile(runs, since=since + ahead, known=known, author=lane.author, looks=looks)
    return Sighting(batch, verdict)


def _history(services: Services, batch: Batch, since: int) -> tuple[list[Run], int]:
    """The target's runs that may have begun at `since` or later, and how far Anaplan's clock is ahead of ours (ms)."""
    route = batch.route
    if route.flow:
        run = services.cloudworks.flow_run(route.flow, since - protocol.START_TOLERANCE_MS)
        return ([run] if run else []), 0
    runs: list[Run] = []
    ahead = 0
    while True:
        page = services.cloudworks.history(route.target, offset=len(runs), limit=HISTORY_PAGE)
        if page.date_ms is not None:
            ahead = page.date_ms - services.clock()
        runs += page.runs
        oldest = page.runs[-1].started_at if page.runs else None
        reached = oldest is not None and epoch_ms(oldest) < since + ahead - protocol.START_TOLERANCE_MS
        if reached or len(page.runs) < HISTORY_PAGE:
            return runs, ahead


class Vacancy(Struct, frozen=True, tag="vacancy"):
    """Whether the integration is free to be run."""

    free: bool
    overdue: bool
    """The batch has waited for longer than its route allows."""


def check_vacancy(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Vacancy | Stop:
    """See whether somebody else's run has ended; theirs may have read the file before our upload came."""
    now = services.clock()
    if services.ledger.renew(lease, now, batch) is None:
        return Stop("left", LOST)
    if _is_old(services, lease, now):
        return Stop("handed_over", OLD)
    try:
        runs, _ahead = _history(services, batch, now)
        free = all(run.ended for run in runs)
    except LoginRefused as refused:
        return _held(refused)
    except CloudWorksError:
        free = False
    return Vacancy(free, _is_overdue(batch, now))


def keep_lease(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> bool | Stop:
    """Renew the lease while there is nothing to do but wait; tells whether the batch is overdue."""
    now = services.clock()
    if services.ledger.renew(lease, now) is None:
        return Stop("left", LOST)
    if _is_old(services, lease, now):
        return Stop("handed_over", OLD)
    return _is_overdue(batch, now)


def _is_overdue(batch: Batch, now: int) -> bool:
    started = batch.posted_at if batch.run_id and batch.posted_at else batch.opened_at
    return not batch.overdue and now - started > batch.route.overdue * 1000


# Following.


class Following(Struct, frozen=True):
    """What the last look at a run showed, and when to look again."""

    state: Literal["running", "ended", "overdue", "stopped"] = "running"
    delay: int = 1
    """Seconds until the next look."""
    looks: int = 0
    run: Run | None = None
    """With `ended`."""
    unknown_since: int | None = None
    """Epoch ms; since when CloudWorks says that there is no such run."""
    stop: Stop | None = None


def look(
    step: WaitForConditionCheckContext, services: Services, lease: Lease, batch: Batch, seen: Following, left: int
) -> Following:
    """Look whether the run has ended; `left` is how many looks the execution may still take.

    Never raises where CloudWorks or AWS is in trouble: an exception would end the wait.
    """
    looks = seen.looks + 1
    try:
        now = services.clock()
        if services.ledger.renew(lease, now, batch) is None:
            return Following("stopped", looks=looks, stop=Stop("left", LOST))
        if _is_old(services, lease, now) or looks > left:
            return Following("stopped", looks=looks, stop=Stop("handed_over", OLD))
        started = batch.posted_at or batch.opened_at
        waited = (now - started) / 1000
        delay = protocol.next_delay(waited, services.settings.poll_min, services.settings.poll_max)
        run, unknown_since = _run(services, batch, now, seen.unknown_since)
        if run is not None:
            return Following("ended", looks=looks, run=run)
        if _is_overdue(batch, now):
            return Following("overdue", looks=looks, unknown_since=unknown_since)
        return Following("running", delay, looks, unknown_since=unknown_since)
    except LoginRefused as refused:
        return Following("stopped", looks=looks, stop=_held(refused))
    except (CloudWorksError, BotoCoreError, ClientError) as error:
        step.logger.warning("The run could not be looked at; it is looked at again", extra={"reason": str(error)})
        delay = min(2 * max(seen.delay, services.settings.poll_min), services.settings.poll_max)
        return Following("running", delay, looks, unknown_since=seen.unknown_since)


def _run(services: Services, batch: Batch, now: int, unknown_since: int | None) -> tuple[Run | None, int | None]:
    """The run when it has ended, else since when CloudWorks has not known it."""
    run_id = batch.run_id or ""
    try:
        if batch.route.flow:
            since = (batch.posted_at or batch.opened_at) - protocol.START_TOLERANCE_MS
            run = services.cloudworks.flow_run(batch.route.flow, since)
        else:
            run = services.cloudworks.run(run_id)
    except NotFound as error:
        unknown_since = unknown_since or now
        if now - unknown_since < GIVEN_UP_MS:
            return None, unknown_since
        gone = f"CloudWorks has not known this run for {GIVEN_UP_MS // 60_000} minutes: {error}"
        return Run(id=run_id, ended_at=iso(now), success=False, message=gone), None
    if run is None or not run.ended:
        return None, None
    return msgspec.structs.replace(run, id=run_id or run.id, message=run.message[:2_000]), None


# Finishing.


class Recorded(Struct, frozen=True, tag="recorded"):
    """A line of the load history: its sort key, and what it says."""

    sk: str
    outcome: Literal["loaded", "partial", "failed"]
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
            errors=errors[:KEPT_ERRORS],
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
    _tell_of_retry(step, record, batch)
    again = msgspec.structs.replace(
        batch, run_id=None, posted_at=None, lost_since=None, retries=batch.retries + 1, opened_at=now
    )
    wait = protocol.retry_delay(batch.retries)
    if services.ledger.renew(lease, services.clock(), again, not_before=now + wait * 1000) is None:
        return Stop("left", LOST)
    return Recorded(record.sk, record.outcome, run.id, again, retry_in=wait)


def _tell_of_retry(step: StepContext, record: RunRecord, batch: Batch) -> None:
    """A failed run that is started again is logged and counted, not announced."""
    from anaplan_autoload import report

    described = _described(record, ())
    report.log_run(step.logger, described, retrying=True)
    report.write_metrics(described, oldest=batch.oldest, retrying=True)


def _details(step: StepContext, services: Services, batch: Batch, run: Run) -> tuple[tuple[RunError, ...], str | None]:
    """The run's errors, and where they and its rejected rows were saved.

    Anaplan keeps dumps for about two days, so they are worth a few tries; after these the history stands without them.
    """
    if run.outcome == "loaded" or batch.route.flow:
        return (), None  # a flow's message names the steps that went wrong; its own id has no errors and no dump
    from anaplan_autoload import rejected

    try:
        errors = services.cloudworks.errors(run.id)
        bucket = services.settings.reports_bucket
        if bucket is None or not run.ended_at:
            return errors, None
        prefix = rejected.report_prefix(batch.route.name, run.ended_at, run.id)
        url = rejected.save_errors(services.s3, bucket, prefix, map(_reported, errors)) if errors else None
        for name, chunks in _dumps(services, run.id, errors):
            url = rejected.save_rejected_rows(services.s3, bucket, prefix, name, chunks)
            if chunks.truncated:
                step.logger.warning("The rejected rows were cut", extra={"run_id": run.id, "bytes": DUMP_BYTES})
    except LoginRefused:
        return (), None
    except (CloudWorksError, BotoCoreError, ClientError) as error:
        if step.attempt < DETAIL_ATTEMPTS:
            raise
        step.logger.warning("The run's errors could not be fetched", extra={"run_id": run.id, "reason": str(error)})
        return (), None
    return errors, url


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
    failed = msgspec.structs.replace(batch, failure=batch.failure or Failure(reason, now))
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


def announce(step: StepContext, services: Services, lease: Lease, recorded: Recorded) -> Stop | None:
    """Tell everyone how the batch ended, at least once and under one id; before its uploads are final."""
    if services.ledger.renew(lease, services.clock()) is None:
        return Stop("left", LOST)
    record = services.ledger.run(lease.lane, recorded.sk)
    if record is None or record.announced:
        return None
    from anaplan_autoload import report

    batch = recorded.batch
    described = _described(record, _uploads(services, lease.lane, batch))
    try:
        report.publish(services.sns, services.settings.topic_arn, described)
        services.ledger.mark_announced(record)
    except (BotoCoreError, ClientError):
        if batch.attempts < protocol.MAX_ATTEMPTS:
            raise
        step.logger.exception("Nobody could be told of this run; the lane goes on", extra={"report_id": record.id})
    report.log_run(step.logger, described)
    report.write_metrics(described, oldest=batch.oldest)
    return None


def _described(record: RunRecord, uploads: Sequence[Upload]) -> Report:
    """A line of the history as subscribers get it."""
    from anaplan_autoload.report import Report, ReportedUpload

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
    from anaplan_autoload.report import ReportedError

    return ReportedError(error.action, error.message, error.occurrences, error.values)


def _uploads(services: Services, lane: str, batch: Batch) -> list[Upload]:
    records = services.ledger.uploads(lane, services.ledger.batch_ids(lane, batch, 0, MESSAGE_UPLOADS))
    return [record.upload for record in records]


class Told(Struct, frozen=True, tag="told"):
    """Everyone knows that the batch is overdue, and so does the batch."""

    batch: Batch


def announce_overdue(step: StepContext, services: Services, lease: Lease, batch: Batch, reason: str) -> Told | Stop:
    """Tell everyone, once, that a batch takes longer than its route allows; it is followed further."""
    if services.ledger.renew(lease, services.clock()) is None:
        return Stop("left", LOST)
    _tell(step, services, lease, batch, "overdue", reason)
    told = msgspec.structs.replace(batch, overdue=True)
    return Told(told) if services.ledger.renew(lease, services.clock(), told) else Stop("left", LOST)


def _tell(
    step: StepContext, services: Services, lease: Lease, batch: Batch, outcome: Literal["overdue", "held"], reason: str
) -> None:
    from anaplan_autoload import report

    described = report.Report(
        id=batch.run_id or f"batch-{batch.id}",
        outcome=outcome,
        route=batch.route.name,
        integration_id=batch.route.integration or msgspec.UNSET,
        flow_id=batch.route.flow or msgspec.UNSET,
        run_id=batch.run_id,
        started_at=iso(batch.posted_at) if batch.run_id and batch.posted_at else None,
        ended_at=None,
        message=reason,
        uploads=tuple(report.ReportedUpload.of(upload) for upload in _uploads(services, lease.lane, batch)),
        uploads_total=batch.total,
    )
    report.log_run(step.logger, described)
    report.publish(services.sns, services.settings.topic_arn, described)


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
    if services.ledger.renew(lease, now) is None:
        return Stop("left", LOST)
    if batch.upload is not None and state in ("loaded", "partial"):
        services.ledger.remember_loaded(lease.lane, batch.upload, now)
    ids = services.ledger.batch_ids(lease.lane, batch, start, start + FINISHED_PER_STEP)
    services.ledger.finish_uploads(lease.lane, ids, state, run_id, now)
    if state == "superseded":
        step.logger.info("Superseded by newer data of its key", extra={"route": batch.route.name, "upload_ids": ids})
    return None


def close(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Stop | None:
    """Clear the open batch: it is done."""
    closed = services.ledger.close_batch(lease, batch, services.clock())
    return None if closed else Stop("left", LOST)


# Leaving.


def hold(step: StepContext, services: Services, lease: Lease, stop: Stop) -> None:
    """Tell everyone that Anaplan refused the log-in, and hold the lane until the secret has another version."""
    from anaplan_autoload.report import held_message

    lane = services.ledger.renew(lease, services.clock())
    if lane is None:
        return
    if lane.open is not None:
        _tell(step, services, lease, lane.open, "held", held_message(services.settings.secret_id, stop.reason))
    services.ledger.hold(lease, lane.open, stop.secret_version or "")


def hand_over(_step: StepContext, services: Services, lease: Lease) -> None:
    """Leave the lane to a new execution: this one is old, or near the service's limit of operations."""
    services.ledger.release(lease)
    services.send({"drain": lease.lane})


class Shown(Struct, frozen=True):
    """An upload in an execution's result."""

    bucket: str
    key: str
    state: str
    run_id: str | None


def show_uploads(_step: StepContext, services: Services, lane: str, ids: tuple[str, ...]) -> tuple[Shown, ...]:
    """What has become of the event's uploads."""
    return tuple(
        Shown(record.upload.bucket, record.upload.key, record.state, record.run_id)
        for record in services.ledger.uploads(lane, ids)
    )


# The sweep.


class Swept(Struct, frozen=True):
    """How many lanes have something to do, and how many of them were given a new leader."""

    pending: int
    drained: int


def sweep(step: StepContext, services: Services) -> Swept:
    """Drain every lane that has something to do and nobody who does it, and write how old the oldest uploads are."""
    from anaplan_autoload import report

    now = services.clock()
    pending = services.ledger.pending()
    oldest = dict.fromkeys((route.name for route in services.routes), 0.0)
    for found in pending:
        for route, event_time in found.oldest.items():
            oldest[route] = max(oldest.get(route, 0.0), (now - epoch_ms(event_time)) / 1000)
    report.oldest_waiting(oldest)
    secret_version: str | None = None
    drained = 0
    for found in pending:
        lane = services.ledger.lane(found.lane)
        if lane.held is not None:
            secret_version = secret_version or _secret_version(services)
            if secret_version in (lane.held, None):
                continue
            services.ledger.unhold(found.lane, lane.held)
        if lane.paused or (lane.holder is not None and lane.lease_until >= now):
            continue
        step.logger.info("Draining a lane that nobody leads", extra={"lane": found.lane, "died": lane.holder})
        services.send({"drain": found.lane})
        drained += 1
    return Swept(len(pending), drained)


def _secret_version(services: Services) -> str | None:
    """The secret's version as it is now; None when Secrets Manager has no time to tell."""
    try:
        return services.secret().version
    except LoginRefused as refused:
        return refused.version
    except TryLater:
        return None
