"""A small model of AWS's durable service: executions, their checkpoints, and when they are invoked (again).

The SDK's own wrapper runs, and the testing package's checkpoint processor keeps the state. What is replaced is the
scheduler, so that several executions take turns on the world's clock, and the batching of checkpoints, whose
composition depends on how threads are scheduled: here each goes out alone, and at once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_durable_execution_sdk_python import state as sdk_state
from aws_durable_execution_sdk_python.execution import DurableExecutionInvocationInputWithClient, InitialExecutionState
from aws_durable_execution_sdk_python.lambda_service import (
    CheckpointOutput,
    DurableServiceClient,
    ErrorObject,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StateOutput,
)
from aws_durable_execution_sdk_python_testing.checkpoint.processor import CheckpointProcessor
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.invoker import create_test_lambda_context
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput

from tests.model.world import Killed, Task, World

FUNCTION_TIMEOUT_MS = 60_000
REINVOKED_AFTER_SECONDS = 2
MAX_FAILED_INVOCATIONS = 5
"""After so many failed invocations in a row, the service gives up the execution."""


class CheckpointLost(Exception):
    """What the SDK's checkpoint thread gets when its sandbox is killed."""


class Ended(Exception):
    """How a failed execution ended."""


class DurableService:
    """Runs executions of one handler; those that end failed leave their event among the dead letters."""

    def __init__(self, world: World, handler: Callable[..., Any], sandboxes: Callable[[], Any]) -> None:
        """`sandboxes` makes a sandbox for an invocation, which finds it as `World.current.sandbox`."""
        self.world = world
        self.dead_letters: list[Any] = []
        self.failures: list[str] = []
        """The error of each execution that failed by itself."""
        self.executions: dict[str, Execution] = {}
        self.abnormal: set[str] = set()
        """The ARNs of executions with an invocation that was killed or failed."""
        self.sizes: list[int] = [0]
        """Bytes of each checkpoint."""
        self._handler = handler
        self._make_sandbox = sandboxes
        self._warm: list[Any] = []
        self._late = 0
        self.coming = 0
        """How many events are still on their way."""
        self._client = _Client(self)
        self.processor = CheckpointProcessor(_Store(self.executions), None, self)  # type: ignore[arg-type]

    # The clock, as the testing package wants it.

    def now(self) -> datetime:
        """Now."""
        return datetime.fromtimestamp(self.world.now / 1000, UTC)

    def arm(self, wake: datetime) -> float:
        """Never used: the world has the agenda."""
        raise NotImplementedError

    # Sandboxes, which live forever here.

    def take_sandbox(self) -> Any:
        """A warm and idle one; None if a new one is needed."""
        return self._warm.pop() if self._warm else None

    def keep_sandbox(self, sandbox: Any) -> None:
        """Keep one whose invocation ended well."""
        self._warm.append(sandbox)

    # Executions.

    def start(self, event: Any, delay: float = 0) -> None:
        """Start an execution, as an asynchronous invocation does."""
        self.coming += 1
        self.world.in_seconds(delay, lambda: self._start(event))

    def oversleep(self, seconds: float) -> None:
        """Wake the next execution that goes to sleep so many seconds late."""
        self._late = round(seconds * 1000)

    @property
    def open(self) -> list[Execution]:
        """Executions that have not ended."""
        return [execution for execution in self.executions.values() if not execution.is_complete]

    def _start(self, event: Any) -> None:
        self.coming -= 1
        number = len(self.executions)
        execution = Execution.new(
            StartDurableExecutionInput(
                account_id="123456789012",
                function_name="autoload",
                function_qualifier="live",
                execution_name=f"execution-{number}",
                execution_timeout_seconds=604_800,
                execution_retention_period_days=14,
                invocation_id=f"invocation-{number}",
                input=json.dumps(event),
            )
        )
        execution.durable_execution_arn = f"execution-{number}/invocation-{number}"
        execution.start(self.now())
        self.executions[execution.durable_execution_arn] = execution
        self._invoke(execution)

    def _invoke(self, execution: Execution) -> None:
        if execution.is_complete:
            return
        execution.complete_due_operations(self.now())
        execution.begin_new_invocation()
        given = DurableExecutionInvocationInputWithClient(
            durable_execution_arn=execution.durable_execution_arn,
            checkpoint_token=execution.get_new_checkpoint_token(),
            initial_execution_state=InitialExecutionState(execution.get_navigable_operations(), ""),
            updated_operation_ids=list(execution.updated_operation_ids),
            service_client=self._client,
        )
        execution.mark_state_delivered()
        answer: list[Any] = []

        def work() -> None:
            try:
                answer.append(self._handler(given, create_test_lambda_context()))
            except BaseException as error:
                answer.append(error)

        sandbox = self.take_sandbox() or self._make_sandbox()
        deadline = self.world.now + FUNCTION_TIMEOUT_MS
        self.world.run(
            Task(
                execution.durable_execution_arn,
                sandbox,
                deadline,
                work,
                lambda task: self._ended(execution, task, answer[0]),
            )
        )

    def _ended(self, execution: Execution, task: Task, answer: Any) -> None:
        if task.killed or isinstance(answer, BaseException):
            self.abnormal.add(execution.durable_execution_arn)
            if not task.killed and not isinstance(answer, CheckpointLost | Killed):
                self.failures.append(f"{type(answer).__name__}: {answer}")
            execution.consecutive_failed_invocation_attempts += 1
            if task.for_good or execution.consecutive_failed_invocation_attempts >= MAX_FAILED_INVOCATIONS:
                self._fail(execution, ErrorObject("killed", "Killed", None, None))
            else:
                self.world.in_seconds(REINVOKED_AFTER_SECONDS + task.back_in, lambda: self._invoke(execution))
            return
        self.keep_sandbox(task.sandbox)
        execution.consecutive_failed_invocation_attempts = 0
        match answer["Status"]:
            case "SUCCEEDED":
                execution.complete_success(answer.get("Result"), self.now())
            case "FAILED":
                error = answer.get("Error", {})
                self.failures.append(f"{error.get('ErrorType')}: {error.get('ErrorMessage')}")
                self.abnormal.add(execution.durable_execution_arn)
                self._fail(execution, ErrorObject.from_dict(error))
            case _:
                self._wake_later(execution)

    def _fail(self, execution: Execution, error: ErrorObject) -> None:
        execution.complete_fail(error, self.now())
        self.dead_letters.append(json.loads(execution.start_input.input or "null"))

    def _wake_later(self, execution: Execution) -> None:
        times = [time for operation in execution.operations if (time := _due(operation)) is not None]
        wake = min(times, default=self.now() + timedelta(seconds=1))
        late, self._late = self._late, 0
        at = -(-round(wake.timestamp() * 1_000_000) // 1000) + late
        self.world.at(at, lambda: self._invoke(execution))


def _due(operation: Any) -> datetime | None:
    if operation.operation_type is OperationType.WAIT and operation.status is OperationStatus.STARTED:
        due: datetime | None = operation.wait_details.scheduled_end_timestamp
        return due
    if operation.operation_type is OperationType.STEP and operation.status is OperationStatus.PENDING:
        again: datetime | None = operation.step_details.next_attempt_timestamp
        return again
    return None


class _Store:
    def __init__(self, executions: dict[str, Execution]) -> None:
        self._executions = executions

    def load(self, arn: str) -> Execution:
        return self._executions[arn]

    def update(self, execution: Execution) -> None:
        """Do nothing: an execution is changed in place."""


class _Client(DurableServiceClient):
    """Checkpoints, each of them an effect."""

    def __init__(self, service: DurableService) -> None:
        self._service = service

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[OperationUpdate],
        client_token: str | None,
    ) -> CheckpointOutput:
        service = self._service
        service.sizes.append(len(json.dumps([update.to_dict() for update in updates], default=str)))
        name = " ".join(f"{update.name} {update.action.value}" for update in updates)
        try:
            return service.world.effect(
                f"checkpoint {name}",
                lambda: service.processor.process_checkpoint(checkpoint_token, updates, client_token),
            )
        except Killed as killed:
            raise CheckpointLost("the sandbox was killed") from killed

    def get_execution_state(
        self, durable_execution_arn: str, checkpoint_token: str, next_marker: str, max_items: int = 1000
    ) -> StateOutput:
        return self._service.processor.get_execution_state(checkpoint_token, next_marker, max_items)


def one_checkpoint_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK send every checkpoint alone and wait for it, without the waiting that fills its batches.

    Its log is silenced as well: every killed sandbox leaves a traceback there.
    """
    create, stop = sdk_state.ExecutionState.create_checkpoint, sdk_state.ExecutionState.stop_checkpointing

    def create_and_wait(self: Any, operation_update: Any = None, is_sync: bool = True) -> None:
        create(self, operation_update, is_sync=True)

    def stop_at_once(self: Any) -> None:
        stop(self)
        self._checkpoint_queue.put(sdk_state._Signal.REFRESH_WAKE)  # noqa: SLF001  (the SDK has no public way to wake it)

    for logger in ("aws_durable_execution_sdk_python", "aws_durable_execution_sdk_python_testing"):
        monkeypatch.setattr(logging.getLogger(logger), "disabled", True)
        monkeypatch.setattr(logging.getLogger(logger), "level", logging.CRITICAL + 1)
    monkeypatch.setattr(sdk_state.ExecutionState, "create_checkpoint", create_and_wait)
    monkeypatch.setattr(sdk_state.ExecutionState, "stop_checkpointing", stop_at_once)
    monkeypatch.setattr(sdk_state, "_BLOCKED_CALLER_WAIT_SECONDS", 0)
