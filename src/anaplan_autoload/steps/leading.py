"""What all steps of a leader share: they act only while it holds the lease."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from anaplan_autoload.domain.protocol import Lease, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.anaplan.credentials import LoginRefused
    from anaplan_autoload.aws.services import Services

P = ParamSpec("P")
T = TypeVar("T")

LOST = "the lease is lost: another execution leads the lane"
OLD = "this execution has led for long"


def leading(
    step: Callable[Concatenate[StepContext, Services, Lease, P], T],
) -> Callable[Concatenate[StepContext, Services, Lease, P], T | Stop]:
    """A step that renews the lease before it acts, and does not act if the lease is lost.

    The lease is longer than the function's timeout, so the step has ended or was killed before anyone else can act.
    """

    @wraps(step)
    def led(context: StepContext, services: Services, lease: Lease, /, *args: P.args, **kwargs: P.kwargs) -> T | Stop:
        if services.ledger.renew(lease, services.clock()) is None:
            return Stop("left", LOST)
        return step(context, services, lease, *args, **kwargs)

    return led


def held(refused: LoginRefused) -> Stop:
    """Anaplan refused the log-in, so the lane must be held."""
    return Stop("held", refused.reason, refused.version)
