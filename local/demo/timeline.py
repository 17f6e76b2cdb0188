"""What happens, as it happens: seen from outside, in S3, the durable service, the ledger, CloudWorks and the topic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.report.report import Report
from anaplan_autoload.report.subject import subject
from local.aws.executions import Execution
from local.aws.stack import Message, Stack
from local.cloudworks import Run

Kind = Literal["upload", "function", "ledger", "anaplan", "message"]


class Happening(Struct, frozen=True):
    """One line of the timeline."""

    at: float
    """Epoch seconds: when it happened where that is known, else when it was seen."""
    kind: Kind
    text: str
    outcome: str = ""
    """Loaded, partial or failed, if it says how something ended."""


class Result(Struct, frozen=True):
    """What an execution of the function returned."""

    state: str


class Timeline:
    """Looks at a stack again and again, and returns what is new since the last look."""

    def __init__(self, stack: Stack, ledger: Ledger, lane: str) -> None:
        """`lane` is the one whose leader and batches are shown."""
        self._stack = stack
        self._ledger = ledger
        self._lane = lane
        self._holder: str | None = None
        self._batch: str | None = None
        self._numbers: dict[str, int] = {}
        self._ended: set[str] = set()
        self._begun_runs: set[str] = set()
        self._ended_runs: set[str] = set()
        self._told = 0

    def look(self) -> list[Happening]:
        """What has happened since the last look, in order."""
        lane = self._ledger.lane(self._lane)
        claimed = lane.open if lane.open is not None and lane.open.id != self._batch else None
        executions = self._stack.executions.all()
        for execution in executions:
            self._numbers.setdefault(execution.durable_execution_arn, len(self._numbers) + 1)
        # A leader leads, and announces what it finished, before it claims: seen at once, that is their order.
        before = claimed.opened_at / 1000 if claimed else time.time()
        found = [*self._messages(before), *self._leader(lane.holder, before)]
        if claimed is not None:
            self._batch = claimed.id
            text = f"{self._named(lane.holder)} claims a batch: {count(claimed.total, 'upload')}, one run"
            found.append(Happening(before, "ledger", text))
        return sorted([*found, *self._ends(executions), *self._runs()], key=lambda happening: happening.at)

    def state(self) -> str:
        """What is happening at this moment, in one line."""
        waiting = len(self._ledger.waiting(self._lane))
        running = [run for run in self._stack.simulator.runs if run.id not in self._ended_runs]
        work = f"run {short(running[0].id)} is under way" if running else "no run is under way"
        return f"{work}; not yet loaded: {count(waiting, 'upload')}"

    def _leader(self, holder: str | None, at: float) -> Iterator[Happening]:
        if holder is not None and holder != self._holder:
            yield Happening(at, "function", f"{self._named(holder)} leads the lane")
        self._holder = holder

    def _ends(self, executions: list[Execution]) -> Iterator[Happening]:
        for execution in executions:
            if execution.ended and execution.durable_execution_arn not in self._ended:
                self._ended.add(execution.durable_execution_arn)
                yield Happening(
                    time.time(), "function", f"{self._named(execution.durable_execution_arn)} {_end(execution)}"
                )

    def _runs(self) -> Iterator[Happening]:
        now = self._stack.simulator.now()
        for run in self._stack.simulator.runs:
            if run.id not in self._begun_runs and run.phase(now) != "queued":
                self._begun_runs.add(run.id)
                yield Happening(run.started_at, "anaplan", f"run {short(run.id)} begins: it reads {_source(run)}")
            if run.id not in self._ended_runs and run.phase(now) == "ended" and run.result is not None:
                self._ended_runs.add(run.id)
                yield Happening(run.ended_at, "anaplan", f"run {short(run.id)} ends: {run.result.message}")

    def _messages(self, at: float) -> Iterator[Happening]:
        messages = self._stack.messages()
        for message in messages[self._told :]:
            told = as_report(message)
            yield Happening(at, "message", subject(told), told.outcome)
        self._told = len(messages)

    def _named(self, arn: str | None) -> str:
        return f"execution {self._numbers[arn]}" if arn in self._numbers else "another execution"


def as_report(message: Message) -> Report:
    """A subscriber's message as the function's own type of it."""
    return msgspec.convert(message.document, Report)


def short(identifier: str | None) -> str:
    """As much of an id as tells it from the others here."""
    return (identifier or "none")[:8]


def count(number: int, noun: str) -> str:
    """`1 upload`, `5 uploads`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _source(run: Run) -> str:
    return f"version {short(run.source_version)}, {count(run.source_rows or 0, 'row')}"


def _end(execution: Execution) -> str:
    if execution.result is None:
        return f"ended {execution.status}: {execution.error.error_message if execution.error else 'no reason given'}"
    match msgspec.json.decode(execution.result, type=Result).state:
        case "left":
            return "leaves: the leader will see its upload"
        case "led":
            return "ends: nothing waits any more"
        case state:
            return f"ends: {state}"
