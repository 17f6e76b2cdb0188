"""After the announcement, in one step: set the uploads' final states, close the batch, take the next or release.

The step may run again after a crash, so each effect checks whether it already happened: states and closing are
conditional, a batch that was opened is found open, and a released lane is taken again only if something waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.protocol import Claim, Nothing
from anaplan_autoload.steps import admission, finishing
from anaplan_autoload.steps.admission import Shown
from anaplan_autoload.steps.leading import LOST

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Batch, Lease, UploadState


class Ended(Struct, frozen=True, tag="ended"):
    """The batch is done."""

    claim: Claim
    """What to do next in the lane; with `Nothing` it is released."""
    uploads: tuple[Shown, ...] | None = None
    """What has become of the event's uploads, where there is nothing left to do."""


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
    claim = admission.look_for_work(step, services, lease, lane, now)
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
