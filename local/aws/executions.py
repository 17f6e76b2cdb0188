"""Durable executions at AWS's emulator of the durable service: started, watched, and their events kept when they fail.

What the emulator lacks is here: Lambda sends the event of an asynchronous execution that failed, was stopped or timed
out to the function's dead-letter queue.
"""

from __future__ import annotations

import http.client
import uuid
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from msgspec import Struct

from local.aws.resources import ALIAS, DeployedFunction
from local.http_server import HOST

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

API = "/2025-12-01/durable-executions"
ACCOUNT = "123456789012"
"""Moto's."""
WATCH_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0
MESSAGE_BYTES = 1024
"""Lambda cuts a dead letter's ErrorMessage here."""


class Error(Struct, frozen=True, rename="pascal"):
    """Why an execution failed."""

    error_type: str | None = None
    error_message: str | None = None


class Execution(Struct, frozen=True, rename="pascal"):
    """One execution, as GetDurableExecution describes it."""

    durable_execution_arn: str
    status: str
    """RUNNING, SUCCEEDED, FAILED, STOPPED or TIMED_OUT."""
    input_payload: str | None = None
    """The event, JSON."""
    result: str | None = None
    """What the handler returned, JSON; None unless it succeeded."""
    error: Error | None = None

    @property
    def ended(self) -> bool:
        """Whether it has ended, in any way."""
        return self.status != "RUNNING"


class Started(Struct, frozen=True, rename="pascal"):
    """The emulator's answer to a start."""

    execution_arn: str


class Invocation(Struct, frozen=True):
    """An asynchronous invocation, as a dead letter describes it."""

    id: str
    event: bytes


class Executions:
    """The function's executions since the start."""

    def __init__(self, port: int, function: DeployedFunction, sqs: SQSClient) -> None:
        """`port` is the durable service emulator's."""
        self._port = port
        self._function = function
        self._sqs = sqs
        self._lock = Lock()
        self._requests: dict[str, Invocation] = {}
        self._open: set[str] = set()
        self._closing = Event()
        self._watcher = Thread(target=self._watch, name="executions", daemon=True)
        self._watcher.start()

    def start(self, event: bytes, name: str | None = None) -> str:
        """Start an execution for this event (JSON); returns its ARN, which is only an id at the emulator.

        Raises OSError if the emulator cannot be reached or refuses.
        """
        request = Invocation(str(uuid.uuid4()), event)
        body = {
            "AccountId": ACCOUNT,
            "FunctionName": self._function.name,
            "FunctionQualifier": ALIAS,
            "ExecutionName": name or request.id,
            "ExecutionTimeoutSeconds": self._function.execution_timeout_seconds,
            "ExecutionRetentionPeriodDays": self._function.retention_days,
            "InvocationId": request.id,
            "Input": event.decode(),
        }
        with self._lock:  # nobody finds all executions ended between the start and the note of it
            answer = self._call("POST", "/start-durable-execution", msgspec.json.encode(body))
            arn = msgspec.json.decode(answer, type=Started).execution_arn
            self._requests[arn] = request
            self._open.add(arn)
        return arn

    def all(self) -> list[Execution]:
        """Every execution so far, in the order of their starts."""
        with self._lock:
            arns = list(self._requests)
        return [self.get(arn) for arn in arns]

    def get(self, arn: str) -> Execution:
        """One execution as it stands now."""
        return msgspec.json.decode(self._call("GET", f"{API}/{quote(arn, safe='')}"), type=Execution)

    @property
    def running(self) -> int:
        """How many have not ended, or have just ended and their dead letters are not sent yet."""
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_SECONDS):
            with self._lock:
                arns = list(self._open)
            for arn in arns:
                self._look(arn)

    def _look(self, arn: str) -> None:
        try:
            execution = self.get(arn)
        except OSError:
            return  # the emulator is shutting down, or will answer next time
        if not execution.ended:
            return
        if execution.status != "SUCCEEDED":
            self._bury(execution)
        with self._lock:
            self._open.discard(arn)

    def _bury(self, execution: Execution) -> None:
        """Send the event to the dead-letter queue, with the attributes that Lambda gives it."""
        request = self._requests[execution.durable_execution_arn]
        error = execution.error or Error()
        message = error.error_message or f"The execution ended {execution.status}."
        self._sqs.send_message(
            QueueUrl=self._function.dead_letter_queue_url,
            MessageBody=request.event.decode(),
            MessageAttributes={
                "RequestID": {"DataType": "String", "StringValue": request.id},
                "ErrorCode": {"DataType": "Number", "StringValue": "200"},
                "ErrorMessage": {"DataType": "String", "StringValue": message[:MESSAGE_BYTES]},
            },
        )

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise ConnectionError(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return answer


class Rate:
    """EventBridge's schedule: sends the function one event (JSON), again and again, until it is closed."""

    def __init__(self, every_seconds: float, event: str, executions: Executions) -> None:
        self._every_seconds = every_seconds
        self._event = event.encode()
        self._executions = executions
        self._closing = Event()
        self._thread = Thread(target=self._run, name="schedule", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every_seconds):
            with suppress(OSError):  # shutting down; and the next one makes up for it
                self._executions.start(self._event)
