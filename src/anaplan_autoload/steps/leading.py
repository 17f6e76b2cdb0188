"""What all steps of a leader share: they act only while it holds the lease."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from anaplan_autoload.domain.protocol import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.anaplan.credentials import LoginRefused
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Batch, Lane, Lease

P = ParamSpec("P")
T = TypeVar("T")

LOST = Stop("left", "the lease is lost: another execution leads the lane")
OLD = "this execution has led for long"


class LeaseLost(Exception):
    """Another execution leads the lane, so this one must write no more; see `stops_if_lost`."""


def renewed(
    services: Services, lease: Lease, batch: Batch | None = None, *, not_before: int | None = None, wait: int = 0
) -> Lane:
    """Renew the lease as `Ledger.renew` does, and return the lane; raises `LeaseLost`."""
    lane = services.ledger.renew(lease, services.clock(), batch, not_before=not_before, wait=wait)
    if lane is None:
        raise LeaseLost
    return lane


def stops_if_lost(step: Callable[P, T]) -> Callable[P, T | Stop]:
    """Make a step return `LOST` when it raises `LeaseLost`."""

    @wraps(step)
    def stopping(*args: P.args, **kwargs: P.kwargs) -> T | Stop:
        try:
            return step(*args, **kwargs)
        except LeaseLost:
            return LOST

    return stopping


def leading(
    step: Callable[Concatenate[StepContext, Services, Lease, P], T],
) -> Callable[Concatenate[StepContext, Services, Lease, P], T | Stop]:
    """A step that renews the lease before it acts, and does not act if the lease is lost.

    The lease is longer than the function's timeout, so the step has ended or was killed before anyone else can act.
    """

    @stops_if_lost
    @wraps(step)
    def led(context: StepContext, services: Services, lease: Lease, /, *args: P.args, **kwargs: P.kwargs) -> T:
        renewed(services, lease)
        return step(context, services, lease, *args, **kwargs)

    return led


def held(refused: LoginRefused) -> Stop:
    """Anaplan refused the log-in, so the lane must be held."""
    return Stop("held", refused.reason, refused.version)
