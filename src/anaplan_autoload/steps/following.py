"""Follows a run to its end."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Literal

from aws_durable_execution_sdk_python import StepContext
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import CloudWorksError, NotFound
from anaplan_autoload.aws.ledger import is_known
from anaplan_autoload.aws.refusals import AWS_TROUBLE
from anaplan_autoload.domain import polling, protocol
from anaplan_autoload.domain.protocol import Batch, Stop
from anaplan_autoload.domain.runs import Run
from anaplan_autoload.domain.times import iso
from anaplan_autoload.steps.finishing import tell_overdue
from anaplan_autoload.steps.leading import LOST, OLD, LeaseLost, held, renewed

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import WaitForConditionCheckContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Lease

KNOWN_RUNS = 25
"""How many of the ledger's latest runs a flow's run is compared with."""
GIVEN_UP_MS = 15 * 60_000
"""A run that CloudWorks has not known for this long is given up."""
MESSAGE_LENGTH = 2_000
"""Characters of a run's message that are kept, and of its cause."""
STILL_RUNNING = "The run has not ended yet. Autoload keeps following it."

State = Literal["running", "ended", "stopped"]


class Following(Struct, frozen=True, omit_defaults=True):
    """The result of the last look at a run, and when to look again."""

    state: State = "running"
    delay: int = 1
    """Seconds until the next look."""
    looks: int = 0
    lengths: tuple[int, ...] | None = None
    """Seconds that the last runs of the integration took; None before they were read."""
    run: Run | None = None
    """With `ended`."""
    unknown_since: int | None = None
    """Since when CloudWorks has said that the run does not exist, epoch ms."""
    stop: Stop = LOST
    """With `stopped`."""
    overdue: bool = False
    """Whether everyone was told in one of these looks that the run is overdue."""
    untold: int = 0
    """How many looks tried to tell that, and could not."""

    def batch(self, batch: Batch) -> Batch:
        """The batch that is followed, as these looks have left it."""
        return replace(batch, overdue=batch.overdue or self.overdue)


def look(
    step: WaitForConditionCheckContext, services: Services, lease: Lease, batch: Batch, seen: Following, left: int
) -> Following:
    """Look whether the run has ended; `left` is how many looks the execution may still take.

    Tells everyone, once, if the run takes longer than its route allows.
    Never raises for errors of CloudWorks or AWS, because an exception would end the wait.
    """
    seen = replace(seen, looks=seen.looks + 1)
    try:
        seen = _look(step, services, lease, seen.batch(batch), seen, left)
        if seen.state == "running" and seen.batch(batch).is_overdue(services.clock()):
            return _tell_overdue(step, services, lease, batch, seen)
    except LeaseLost:
        return replace(seen, state="stopped", stop=LOST)
    return seen


def _look(
    step: WaitForConditionCheckContext, services: Services, lease: Lease, batch: Batch, seen: Following, left: int
) -> Following:
    """Renew the lease, and look; `batch` is as the looks before have left it."""
    least, most = services.settings.poll_min, services.settings.poll_max
    try:
        if seen.lengths is None:
            lengths = services.ledger.lengths(lease.lane, batch.route.target, polling.MOST_LENGTHS)
            seen = replace(seen, lengths=tuple(lengths))
        now = services.clock()
        waited = (now - (batch.posted_at or batch.opened_at)) / 1000
        delay = polling.next_look(waited, seen.lengths or (), least, most)
        renewed(services, lease, batch, wait=delay)
        if lease.is_old(now, services.settings.age_limit) or seen.looks > left:
            return replace(seen, state="stopped", stop=Stop("handed_over", OLD))
        run, unknown_since = _run(services, lease.lane, batch, now, seen.unknown_since)
        if run is not None:
            return replace(seen, state="ended", run=run)
        if unknown_since is not None:
            delay = min(delay, most)  # two odd answers a long wait apart must not give the run up
        return replace(seen, delay=delay, unknown_since=unknown_since)
    except LoginRefused as refused:
        return replace(seen, state="stopped", stop=held(refused))
    except (CloudWorksError, *AWS_TROUBLE) as error:
        step.logger.warning("The run's status could not be read; trying again later", extra={"reason": str(error)})
        return replace(seen, delay=min(2 * max(seen.delay, least), most))


def _tell_overdue(
    step: WaitForConditionCheckContext, services: Services, lease: Lease, batch: Batch, seen: Following
) -> Following:
    """Tell everyone that the run is overdue; the next look tries again if AWS cannot do it now."""
    attempt = StepContext(step.logger, seen.untold + 1)
    try:
        tell_overdue(attempt, services, lease, batch, STILL_RUNNING, wait=seen.delay)
    except AWS_TROUBLE as error:
        step.logger.warning(
            "The run is overdue, and not everyone could be told; trying again", extra={"reason": str(error)}
        )
        return replace(seen, untold=seen.untold + 1, delay=min(seen.delay, services.settings.poll_max))
    return replace(seen, overdue=True)


def _run(
    services: Services, lane: str, batch: Batch, now: int, unknown_since: int | None
) -> tuple[Run | None, int | None]:
    """The run if it has ended, and since when CloudWorks has not known it."""
    run_id = batch.run_id or ""
    try:
        run = _flow_run(services, lane, batch) if batch.route.flow else services.cloudworks.run(run_id)
    except NotFound as error:
        unknown_since = unknown_since or now
        if now - unknown_since < GIVEN_UP_MS:
            return None, unknown_since
        gone = f"CloudWorks has not known this run for {GIVEN_UP_MS // 60_000} minutes: {error.text}"
        return Run(id=run_id, ended_at=iso(now), success=False, message=gone), None
    if run is None or not run.ended:
        return None, None
    ended = replace(
        run,
        id=run_id or run.id,
        ended_at=_believed(run.ended_at, now),
        message=run.message[:MESSAGE_LENGTH],
        cause=run.cause[:MESSAGE_LENGTH],
    )
    return ended, None


def _believed(ended_at: str | None, now: int) -> str | None:
    """An end that has not come yet is now: a load of the year 9999 would count as the route's last forever."""
    soon = iso(now + protocol.CLOCK_SKEW_MS)
    return iso(now) if ended_at is not None and ended_at > soon else ended_at


def flow_run_since(services: Services, flow_id: str, since: int) -> tuple[Run | None, int]:
    """The flow's latest run if it may have begun at `since` (epoch ms), and how far Anaplan's clock is ahead (ms)."""
    flow = services.cloudworks.flow(flow_id)
    ahead = protocol.ahead_of_us(flow.date_ms, services.clock()) if flow.date_ms is not None else 0
    return flow.run_since(since + ahead - protocol.START_TOLERANCE_MS), ahead


def _flow_run(services: Services, lane: str, batch: Batch) -> Run | None:
    """Our run of the flow; None while the flow still shows the previous run."""
    run, _ahead = flow_run_since(services, batch.route.target, batch.posted_at or batch.opened_at)
    latest = islice(services.ledger.runs(lane, at_a_time=KNOWN_RUNS), KNOWN_RUNS)
    others = [record for record in latest if record.id != batch.run_id]
    return None if run is None or is_known(run, others) else run
