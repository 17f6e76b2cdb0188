"""How steps run: how their results are stored, and when a failed step is retried."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import msgspec
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy, StepConfig, StepSemantics
from aws_durable_execution_sdk_python.retries import RetryDecision, RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.serdes import SerDes

from anaplan_autoload.aws.refusals import AwsRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.serdes import SerDesContext

T = TypeVar("T")


class Json(SerDes[T]):
    """Stores a value as JSON, and reads it back as the same type."""

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def serialize(self, value: T, serdes_context: SerDesContext) -> str:
        """The value as JSON."""
        return msgspec.json.encode(value).decode()

    def deserialize(self, data: str, serdes_context: SerDesContext) -> T:
        """The value; raises msgspec's `ValidationError` when an older version stored something else."""
        value: T = self._decoder.decode(data)
        return value


def _returned(step: Callable[..., Any]) -> Any:
    """The type that a step returns. Its parameters' types exist for type checkers only, and are not read."""
    alone = type("Returned", (), {"__annotations__": {"value": step.__annotations__["return"]}})
    alone.__module__ = step.__module__
    return get_type_hints(alone)["value"]


_WITH_PAUSES = create_retry_strategy(
    RetryStrategyConfig(
        max_attempts=5,
        initial_delay=Duration.from_seconds(2),
        max_delay=Duration.from_seconds(30),
        backoff_rate=2,
        jitter_strategy=JitterStrategy.HALF,
    )
)
"""For errors that may pass within a minute, such as a throttled table. No delay is longer than a lease."""


def _tried_again(error: Exception, attempts: int) -> RetryDecision:
    """Whether a retry may help. It does not help against a wrong value or a call that AWS refuses."""
    return RetryDecision.no_retry() if isinstance(error, ValueError | AwsRefused) else _WITH_PAUSES(error, attempts)


_NEVER_AGAIN = create_retry_strategy(RetryStrategyConfig(max_attempts=1))


@cache
def repeatable(step: Callable[..., Any]) -> StepConfig:
    """For a step that is safe to repeat: it runs again after a crash, and is tried up to five times after errors."""
    return StepConfig(retry_strategy=_tried_again, serdes=Json(_returned(step)))


@cache
def at_most_once(step: Callable[..., Any]) -> StepConfig:
    """For the step that requests a run: if it is interrupted or fails, it is not repeated but reconciled."""
    return StepConfig(
        retry_strategy=_NEVER_AGAIN,
        step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY,
        serdes=Json(_returned(step)),
    )
