"""Leaves a lane before its work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.steps.finishing import tell

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Lease, Stop


def hold(step: StepContext, services: Services, lease: Lease, stop: Stop) -> None:
    """Tell everyone that Anaplan refused the log-in, and hold the lane until the secret has another version."""
    from anaplan_autoload.report.report import held_message

    lane = services.ledger.renew(lease, services.clock())
    if lane is None:
        return
    if lane.open is not None:
        tell(step, services, lease, lane.open, "held", held_message(services.settings.secret_id, stop.reason))
    services.ledger.hold(lease, lane.open, stop.secret_version or "")


def give_back(_step: StepContext, services: Services, lease: Lease) -> None:
    """Release the lane after an error in the function, unless the batch's run may have begun.

    Then the next leader does not count the error as an attempt of the batch.
    """
    lane = services.ledger.renew(lease, services.clock())
    if lane is None or (lane.open is not None and (lane.open.asked or lane.open.failure is not None)):
        return
    services.ledger.release(lease)


def hand_over(step: StepContext, services: Services, lease: Lease) -> None:
    """Leave the lane to a new execution, because this one is old or near AWS's limit of operations."""
    services.ledger.release(lease)
    services.send({"drain": lease.lane}, step.logger)
