"""Starts a batch's run: stages its data, requests the run, and looks for the run if the answer was lost."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from aws_durable_execution_sdk_python.exceptions import InvocationError
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from msgspec import Struct

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import Busy, CloudWorksError, Refused, TryLater, Unknown
from anaplan_autoload.anaplan.http import departures
from anaplan_autoload.aws import staging
from anaplan_autoload.aws.ledger import is_known
from anaplan_autoload.aws.staging import PartedCopy
from anaplan_autoload.domain import protocol, rules
from anaplan_autoload.domain.protocol import Batch, Stop, Verdict
from anaplan_autoload.domain.times import epoch_ms, iso
from anaplan_autoload.steps.following import flow_run_since
from anaplan_autoload.steps.leading import OLD, LeaseLost, held, leading, renewed, stops_if_lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.protocol import Lease
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.runs import Run

CALL_FAILED = (ClientError, HTTPClientError, NotConnected, ResponseParserError)
"""AWS answered with an error, or not at all. A client that cannot be made raises something else."""
HISTORY_PAGE = 25
"""Runs per page, CloudWorks' own default."""
GONE_MODEL = "(?i)invalid (workspace|model)"
"""A 503 may pass, as in maintenance. If it is still there when the batch is overdue, it counts as final."""
KNOWN_MS = 10 * 60_000
"""How far back the ledger's runs are compared with the history, because clocks differ and sort keys are end times."""


class Staged(Struct, frozen=True, tag="staged"):
    """The integration's source file holds exactly the upload's data."""


class Superseded(Struct, frozen=True, tag="superseded"):
    """Newer data of the key was loaded first, and older data never replaces newer."""

    reason: str


class NotStaged(Struct, frozen=True, tag="not_staged"):
    """The data cannot be copied, for the given reason."""

    reason: str


class Closed(Struct, frozen=True, tag="closed"):
    """The route's window closed before the run began, so the batch's uploads wait until it opens."""

    batch: Batch
    opens_at: int
    """Epoch ms."""


Staging = Staged | PartedCopy | Superseded | NotStaged | Closed | Stop


@leading
def stage(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Staging:
    """Copy the batch's upload to the integration's source file. For a large one, only begin the copy."""
    if (opens_at := rules.closed_until(batch.route, services.clock())) is not None:
        return Closed(batch, opens_at)
    upload, stage_to = _staged(batch)
    if older := superseded(services, batch.route, upload):
        return older
    return _copied(lambda: staging.begin(services.s3, upload, stage_to))


def superseded(services: Services, route: Route, upload: Upload) -> Superseded | None:
    """Whether newer data of the upload's key was loaded already."""
    loaded = services.ledger.newest_loaded(route.target, upload)
    if loaded is not None and upload.is_older_than(loaded):
        return Superseded(f"newer data of s3://{upload.bucket}/{upload.key} was loaded already")
    return None


@leading
def stage_parts(step: StepContext, services: Services, lease: Lease, batch: Batch, copy: PartedCopy) -> Staging:
    """Copy the next parts of a large upload."""
    upload, stage_to = _staged(batch)
    found = _copied(lambda: staging.copy_parts(services.s3, upload, stage_to, copy))
    if isinstance(found, Superseded | NotStaged):
        try:
            staging.abandon(services.s3, upload, stage_to, copy)
        except CALL_FAILED as error:  # the bucket's lifecycle rule deletes unfinished uploads later
            step.logger.warning("The parts of a copy could not be dropped", extra={"reason": str(error)})
    return found


def _copied(copy: Callable[[], PartedCopy | None]) -> Staging:
    try:
        return copy() or Staged()
    except staging.Overwritten as error:
        return Superseded(str(error))
    except (staging.Gone, staging.NotCopied) as error:
        return NotStaged(str(error))


def _staged(batch: Batch) -> tuple[Upload, str]:
    if batch.upload is None or batch.route.stage_to is None:
        raise ValueError(f"batch {batch.id} of route {batch.route.name!r} has nothing to stage")
    return batch.upload, batch.route.stage_to


class Started(Struct, frozen=True, tag="started"):
    """CloudWorks runs the integration; the batch has its run's id."""

    batch: Batch


class Occupied(Struct, frozen=True, tag="occupied"):
    """The integration is already running (409)."""

    batch: Batch


class NotNow(Struct, frozen=True, tag="not_now"):
    """No run began; try again in this many seconds."""

    batch: Batch
    seconds: int
    reason: str
    request: str = ""
    """The request to Anaplan that failed, `POST https://…`; empty if none did."""


class TurnedDown(Struct, frozen=True, tag="turned_down"):
    """CloudWorks refused the run, and would refuse it again."""

    reason: str
    request: str = ""
    """As in `NotNow`."""


class NoAnswer(Struct, frozen=True, tag="no_answer"):
    """It is not known whether a run began."""

    batch: Batch


PostResult = Started | Occupied | NotNow | TurnedDown | NoAnswer | Closed | Stop


@stops_if_lost
def post(step: StepContext, services: Services, lease: Lease, batch: Batch) -> PostResult:
    """Ask CloudWorks for the run. Run this step at most once, because CloudWorks has no idempotency key.

    Any error that it raises (an unusable setting, a bug) was raised before anything was sent. The batch is unchanged
    then, and its lane is released, so that the error does not count as an attempt.
    """
    try:
        return _posted(step, services, lease, batch)
    except LeaseLost:
        raise  # another execution leads the lane
    except InvocationError:
        raise  # ends this invocation, as if its sandbox had died
    except Exception:
        with suppress(*CALL_FAILED):
            services.ledger.renew(lease, services.clock(), batch)
            services.ledger.release(lease)
        raise


def _posted(step: StepContext, services: Services, lease: Lease, batch: Batch) -> PostResult:
    """Ask for the run; raises only what was raised before anything was sent.

    Client and log-in come first, so that nothing slow happens between the note in the ledger and the request.
    """
    route = batch.route
    try:
        ask = services.cloudworks.run_flow if route.flow else services.cloudworks.run_integration
        services.tokens.token(current=True)
        posted = msgspec.structs.replace(
            batch, posted_at=services.clock(), lost_since=batch.unresolved_since, run_id=None
        )
        if (opens_at := rules.closed_until(route, services.clock())) is not None:
            return Closed(batch, opens_at)
        renewed(services, lease, posted)
    except LoginRefused as refused:
        return held(refused)
    except (CloudWorksError, *CALL_FAILED) as error:
        return _not_now(services, lease, batch, error)
    before = departures()
    try:
        run_id = ask(route.target)
    except LoginRefused as refused:
        services.ledger.renew(lease, services.clock(), batch)  # nothing began: take the request back
        return held(refused)
    except Busy:
        return Occupied(batch)
    except TryLater as error:
        if batch.overdue and re.search(GONE_MODEL, error.facts.said):
            return TurnedDown(error.text, error.facts.asked)
        return _not_now(services, lease, batch, error)
    except Refused as error:
        return TurnedDown(error.text, error.facts.asked)
    except Exception as error:
        if departures() == before and not isinstance(error, CloudWorksError):
            raise
        return _no_answer(step, services, lease, posted, error)
    started = msgspec.structs.replace(posted, run_id=run_id, lost_since=None)
    _note(step, services, lease, started)
    step.logger.info("CloudWorks began a run", extra={"route": route.name, "run_id": run_id})
    return Started(started)


def _no_answer(step: StepContext, services: Services, lease: Lease, posted: Batch, error: Exception) -> NoAnswer:
    """A run may have begun: count the request."""
    status = error.status if isinstance(error, Unknown) else None
    asked_at = posted.posted_at or services.clock()
    unanswered = protocol.one_more(posted.unanswered, asked_at, status, *_said(error))
    noted = msgspec.structs.replace(posted, unanswered=unanswered)
    _note(step, services, lease, noted)
    extra = {"route": noted.route.name, "reason": str(error)}
    step.logger.warning("A run may have begun, because the answer to the request for it was lost", extra=extra)
    return NoAnswer(noted)


def _said(error: Exception) -> tuple[str, str]:
    """An error in words, and the request to Anaplan that it came from, if it is one of Anaplan's."""
    return (error.text, error.facts.asked) if isinstance(error, CloudWorksError) else (str(error), "")


def _note(step: StepContext, services: Services, lease: Lease, batch: Batch) -> None:
    """Write the result of the request. The step returns it too, so the next step can write it again."""
    try:
        services.ledger.renew(lease, services.clock(), batch)
    except InvocationError:
        raise
    except Exception:
        step.logger.exception(
            "The result of the request could not be written to the ledger", extra={"run_id": batch.run_id}
        )


def _not_now(services: Services, lease: Lease, batch: Batch, error: Exception) -> NotNow | Stop:
    """Nothing began: take the request back, and make the next leader wait too.

    `Retry-After: 0` is not followed, because a service in trouble would get a request every second.
    """
    longest = services.settings.poll_max
    asked = error.retry_after if isinstance(error, TryLater) else None
    seconds = math.ceil(longest / 2 if asked is None else max(asked, longest / 4))
    not_before = services.clock() + seconds * 1000
    text, request = _said(error)
    try:
        renewed(services, lease, batch, not_before=not_before)
    except CALL_FAILED as trouble:
        text = f"{text}; {trouble}"
    return NotNow(batch, seconds, text, request)


@stops_if_lost
def put_off(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> NotNow | TurnedDown | Stop:
    """How long to wait before the run is requested again, after a request that started none. After a day, give up.

    The next leader waits too. There is no wait after a request that is accounted for.
    """
    now = services.clock()
    unanswered = batch.unanswered
    if unanswered is None:
        return NotNow(batch, 0, "")
    tried = f"{unanswered.described()}. The last: {unanswered.last}"
    if protocol.is_given_up(unanswered, now):
        return TurnedDown(f"gave up after a day: {tried}", unanswered.request)
    seconds = 0 if batch.unresolved_since is None else protocol.start_pause(unanswered, now)
    renewed(services, lease, batch, not_before=now + seconds * 1000)
    return NotNow(batch, seconds, tried, unanswered.request)


class Sighting(Struct, frozen=True, tag="sighting"):
    """The run history's verdict, and the batch as it is in the ledger."""

    batch: Batch
    verdict: Verdict
    overdue: bool = False
    """Whether the batch has taken longer than its route allows, and this was not announced yet."""


@stops_if_lost
def search(_step: StepContext, services: Services, lease: Lease, batch: Batch, looks: int) -> Sighting | Stop:
    """Search the run history for a run whose answer was lost; `looks` counts the searches that found none, from 1."""
    now = services.clock()
    lane = renewed(services, lease)
    if lane.open is not None and lane.open.id == batch.id:
        batch = msgspec.structs.replace(lane.open, attempts=batch.attempts, unanswered=batch.unanswered)
    since = batch.unresolved_since
    if batch.run_id:
        return Sighting(batch, protocol.Adopt(batch.run_id))
    if since is None:
        return Sighting(batch, protocol.StartAgain(resolved=True))
    try:
        runs, ahead = _history(services, batch, since)
    except LoginRefused as refused:
        return held(refused)
    except Refused:
        runs, ahead = [], 0  # a retry does not help; the request for the run will say why
    except CloudWorksError:
        return Sighting(batch, protocol.LookAgain(counts=False), batch.is_overdue(now))
    known = list(services.ledger.runs(lease.lane, iso(since + ahead - KNOWN_MS)))
    verdict = protocol.reconcile(
        [run for run in runs if not is_known(run, known)], since=since + ahead, author=lane.author, looks=looks
    )
    return Sighting(batch, verdict, batch.is_overdue(now))


def _history(services: Services, batch: Batch, since: int) -> tuple[list[Run], int]:
    """The target's runs that may have begun at `since` or later, and how far Anaplan's clock is ahead (ms)."""
    route = batch.route
    if route.flow:
        run, ahead = flow_run_since(services, route.flow, since)
        return ([run] if run else []), ahead
    runs: list[Run] = []
    ahead = 0
    for page in services.cloudworks.histories(route.target, HISTORY_PAGE):
        if page.date_ms is not None:
            ahead = protocol.ahead_of_us(page.date_ms, services.clock())
        runs += page.runs
        oldest = page.runs[-1].started_at if page.runs else None
        reached = oldest is not None and epoch_ms(oldest) < since + ahead - protocol.START_TOLERANCE_MS
        if reached:
            break
    return runs, ahead


class Vacancy(Struct, frozen=True, tag="vacancy"):
    """Whether the integration can be run now."""

    free: bool
    overdue: bool
    """The batch has waited for longer than its route allows."""


@stops_if_lost
def check_vacancy(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> Vacancy | Stop:
    """Check whether somebody else's run has ended. It may have read the file before our upload came."""
    now = services.clock()
    renewed(services, lease, batch)
    if lease.is_old(now, services.settings.age_limit):
        return Stop("handed_over", OLD)
    try:
        free = not _is_running(services, batch)
    except LoginRefused as refused:
        return held(refused)
    except Refused:
        free = True  # a retry does not help; the request for the run will say why
    except CloudWorksError:
        free = False
    return Vacancy(free, batch.is_overdue(now))


def _is_running(services: Services, batch: Batch) -> bool:
    if batch.route.flow:
        run = services.cloudworks.flow(batch.route.flow).run
        return run is not None and not run.ended
    latest = services.cloudworks.history(batch.route.target, offset=0, limit=HISTORY_PAGE)
    return any(not run.ended for run in latest.runs)


@leading
def keep_lease(_step: StepContext, services: Services, lease: Lease, batch: Batch) -> bool | Stop:
    """Renew the lease during a wait; says whether the batch is overdue."""
    now = services.clock()
    if lease.is_old(now, services.settings.age_limit):
        return Stop("handed_over", OLD)
    return batch.is_overdue(now)
