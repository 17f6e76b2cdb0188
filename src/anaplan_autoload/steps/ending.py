"""After the announcement, in one step: set the uploads' final states, close the batch, take the next or release.

The step may run again after a crash, so each effect checks whether it already happened: states and closing are
conditional, a batch that was opened is found open, and a released lane is taken again only if something waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.protocol import Claim, Nothing, PutBack
from anaplan_autoload.domain.times import iso
from anaplan_autoload.steps import admission, finishing
from anaplan_autoload.steps.admission import Shown
from anaplan_autoload.steps.leading import LOST

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Batch, Lane, Lease, UploadState
    from anaplan_autoload.steps.starting import Closed


class Ended(Struct, frozen=True, tag="ended"):
    """The batch is done."""

    claim: Claim
    """What to do next in the lane; with `Nothing` it is released."""
    uploads: tuple[Shown, ...] | None = None
    """The event's uploads as they are now; None while there is more to do."""


def end(
    step: StepContext,
    services: Services,
    lease: Lease,
    batch: Batch,
    state: UploadState,
    run_id: str | None,
    recorded: tuple[tuple[str, str], ...],
) -> Ended:
    """Give the batch's last uploads their final state, close it, and claim the next; else release the lane.

    `recorded` are the lanes and ids of the event's uploads.
    """
    now = services.clock()
    lane = services.ledger.renew(lease, now)
    if lane is None:
        return _left(step, services, lease, batch, recorded)
    if lane.open is None or lane.open.id == batch.id:
        finishing.finish_uploads_from(step, services, lease, batch, state, run_id, finishing.last_part(batch))
        closed = services.ledger.close_batch(lease, batch, now)
        if closed is None:
            return Ended(LOST)
        lane = closed
    return _next(step, services, lease, lane, recorded)


def put_back(
    step: StepContext, services: Services, lease: Lease, closed: Closed, recorded: tuple[tuple[str, str], ...]
) -> Ended:
    """Dissolve a batch whose window closed before its run began: its uploads wait. Then continue as `end` does.

    What was tried for them is kept, so that failures in several windows count together.
    """
    now, batch = services.clock(), closed.batch
    lane = services.ledger.renew(lease, now)
    if lane is None:
        return _left(step, services, lease, batch, recorded)
    if lane.open is None or lane.open.id == batch.id:
        tried = PutBack(batch.retries, batch.attempts, batch.unanswered)
        dissolved = services.ledger.put_back(lease, batch, {**lane.put_back, batch.kin: tried}, now)
        if dissolved is None:
            return Ended(LOST)
        lane = dissolved
        extra = {
            "route": batch.route.name,
            "lane": lease.lane,
            "uploads": batch.total,
            "opens_at": iso(closed.opens_at),
        }
        step.logger.info("The window closed before the run could begin; its uploads wait until it opens", extra=extra)
    return _next(step, services, lease, lane, recorded)


def _next(
    step: StepContext, services: Services, lease: Lease, lane: Lane, recorded: tuple[tuple[str, str], ...]
) -> Ended:
    """Claim the next batch, or release the lane."""
    claim = admission.look_for_work(step, services, lease, lane, services.clock())
    if isinstance(claim, Nothing):
        claim = admission.release(step, services, lease)
    return _ended(step, services, claim, recorded)


def _left(
    step: StepContext, services: Services, lease: Lease, batch: Batch, recorded: tuple[tuple[str, str], ...]
) -> Ended:
    """The lane is not ours: it was lost, or an earlier try closed the batch and released the lane."""
    if services.ledger.batch_ids(lease.lane, batch, 0, 1):
        return Ended(LOST)
    return _ended(step, services, admission.release(step, services, lease), recorded)


def _ended(step: StepContext, services: Services, claim: Claim, recorded: tuple[tuple[str, str], ...]) -> Ended:
    if not isinstance(claim, Nothing):
        return Ended(claim)
    return Ended(claim, admission.show_uploads(step, services, recorded))
