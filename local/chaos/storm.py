"""Carries out a plan on a stack, waits until everything has ended, and collects what everyone saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.domain.events import Upload
from local.aws.notifications import Delivery, Record, straight
from local.aws.resources import ALIAS
from local.aws.stack import Options, Stack
from local.chaos.evidence import Announced, Evidence, Known, Made, Trouble
from local.chaos.plan import Blow, Plan, PlannedUpload
from local.cloudworks import Pace, SimulatorSettings

FAIL_RATE = 0.1
"""The share of answers that the simulator spoils."""
RUN_SECONDS = 0.8
LEASE_SECONDS = 18
POLL_SECONDS = ("1", "2")
"""The shortest and the longest wait of a leader."""
LOOK_SECONDS = 1.0

Candidate = TypeVar("Candidate")


class Unfinished(TimeoutError):
    """The deadline passed before everything was done; the text says what was left."""


def rage(
    plan: Plan,
    deadline_seconds: float,
    *,
    runtimes: int = 4,
    lease_seconds: int = LEASE_SECONDS,
    logs: Path | None = None,
) -> Evidence:
    """Start a stack, carry the plan out on it, let it come to rest, and say what everyone saw.

    A lane is left alone by its dead leader for `lease_seconds`; where invocations queue for longer than that, leaders
    lose their lanes alive. `logs` is a directory for the parts' logs, by default a temporary one.

    Raises `Unfinished` when it takes longer than `deadline_seconds` from the first upload on; what the parts raise
    passes.
    """
    options = Options(
        runtimes=runtimes,
        environment={
            "POLL_MIN_SECONDS": POLL_SECONDS[0],
            "POLL_MAX_SECONDS": POLL_SECONDS[1],
            "LEASE_SECONDS": str(lease_seconds),
        },
        timeout_seconds=lease_seconds * 2 // 3,  # outlasted by the lease, as the template demands on AWS
        sweep_seconds=lease_seconds / 3,
        anaplan=SimulatorSettings(pace=Pace(run_seconds=RUN_SECONDS)),
        logs=logs,
    )
    with Stack(options) as stack:
        storm = Storm(stack, plan)
        began = time.monotonic()
        storm.blow()
        storm.calm_down(began + deadline_seconds)
        return storm.evidence(time.monotonic() - began)


class Storm:
    """A plan, and the stack that it is carried out on."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        """Make the plan's integrations and routes."""
        self._stack = stack
        self._plan = plan
        self._ids = stack.seed([(route.name, route.source) for route in plan.routes])
        self._lanes = {route.name: route.lane or self._ids[route.name] for route in plan.routes}
        self._ledger = Ledger(stack.aws.dynamodb, stack.resources.outputs["LedgerTableName"], lease_ms=0)  # only read
        self._travels = {(upload.key, _etag(upload)): upload.deliveries for upload in plan.uploads}
        self._made: list[Made] = []
        self._kills: list[float] = []
        self._until = time.time()
        self._stopped: set[str] = set()
        self._events = 0
        self._late = 0
        self._redriven = 0
        stack.deploy("\n".join(route.toml(self._ids[route.name]) for route in plan.routes))

    # The storm.

    def blow(self) -> None:
        """Carry out the plan: each event at its time, or as soon after it as the machine can."""
        self._stack.notifications.travel = self._travel
        self._stack.simulator.settings.fail_rate = FAIL_RATE
        began = time.monotonic()
        for at, act in self._agenda():
            time.sleep(max(0.0, began + at - time.monotonic()))
            act()
        time.sleep(max(0.0, began + self._plan.seconds - time.monotonic()))
        self._stack.simulator.settings.fail_rate = 0.0
        self._until = time.time()

    def _agenda(self) -> list[tuple[float, Callable[[], None]]]:
        agenda: list[tuple[float, Callable[[], None]]] = [
            *((upload.at, partial(self._upload, upload)) for upload in self._plan.uploads),
            *((kill.at, partial(self._kill, kill)) for kill in self._plan.kills),
            *((stop.at, partial(self._stop, stop)) for stop in self._plan.stops),
        ]
        return sorted(agenda, key=lambda entry: entry[0])

    def _upload(self, upload: PlannedUpload) -> None:
        began = time.time()
        version = self._stack.upload(upload.key, upload.content)
        self._made.append(Made(upload.route.name, upload.key, version, upload.sha256, began))

    def _travel(self, record: Record) -> list[Delivery]:
        """As planned; the events of copies at `stage_to` are not planned, and come once and at once."""
        described = record["s3"]["object"]
        delays = self._travels.get((described["key"], described["eTag"]))
        if delays is None:
            return straight(record)
        self._events += len(delays)
        self._late += sum(delay > 0 for delay in delays)
        return [Delivery(record, delay) for delay in delays]

    def _kill(self, kill: Blow) -> None:
        if (busy := sorted(self._stack.pool.busy)) and self._stack.kill_runtime(_picked(busy, kill)) is not None:
            self._kills.append(time.time())

    def _stop(self, stop: Blow) -> None:
        """Stop an execution that leads a lane, for good: its lease has to run out."""
        holders = [self._ledger.lane(lane).holder for lane in sorted(set(self._lanes.values()))]
        leaders = [holder for holder in holders if holder is not None and holder not in self._stopped]
        if not leaders:
            return
        leader = _picked(leaders, stop)
        with suppress(ClientError):  # it has just ended by itself
            self._stack.aws.functions.stop_durable_execution(DurableExecutionArn=leader)
            self._stopped.add(leader)

    # The calm after it.

    def calm_down(self, deadline: float) -> None:
        """Redrive dead letters until nothing runs and nothing waits; `deadline` is on the monotonic clock."""
        while not self._at_rest():
            if time.monotonic() > deadline:
                raise Unfinished(f"not at rest in time: {self._unrest()}; logs: {self._stack.logs}")
            self._redriven += self._redrive()
            time.sleep(LOOK_SECONDS)

    def _at_rest(self) -> bool:
        """Sweeps apart. Dead letters are looked for last: an execution counts as running until its event is buried."""
        stack = self._stack
        quiet = stack.notifications.idle and stack.executions.running == 0
        return quiet and not self._ledger.pending() and not stack.dead_letters()

    def _unrest(self) -> str:
        states = Counter(known.state if known else "not recorded" for known in map(self._known, self._made))
        uploads = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        lanes = ", ".join(pending.lane for pending in self._ledger.pending()) or "none"
        return (
            f"uploads: {uploads}; lanes with something to do: {lanes}; "
            f"executions that go on: {self._stack.executions.running}"
        )

    def _redrive(self) -> int:
        """Send the dead letters to the function again, as an operator would; returns how many."""
        sqs, function = self._stack.aws.sqs, self._stack.resources.function
        queue = function.dead_letter_queue_url
        letters = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for letter in letters:
            self._stack.aws.functions.invoke(
                FunctionName=f"{function.name}:{ALIAS}", InvocationType="Event", Payload=letter["Body"]
            )
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=letter["ReceiptHandle"])
        return len(letters)

    # What everyone saw.

    def evidence(self, seconds: float) -> Evidence:
        """What CloudWorks, the subscribers and the ledger saw; `seconds` is how long it took."""
        simulator = self._stack.simulator
        return Evidence(
            made=tuple(self._made),
            loads={route.name: route.load for route in self._plan.routes},
            lanes=self._lanes,
            integrations={self._ids[route.name]: route.name for route in self._plan.routes},
            runs=tuple(simulator.runs),
            requests=tuple(simulator.requests),
            messages=tuple(_announced(message.document) for message in self._stack.messages()),
            known=tuple(map(self._known, self._made)),
            trouble=Trouble(
                self._until, tuple(self._kills), len(self._stopped), self._events, self._late, self._redriven
            ),
            executions=dict(Counter(execution.status for execution in self._stack.executions.all())),
            seconds=seconds,
        )

    def _known(self, made: Made) -> Known | None:
        upload = Upload(self._stack.inbox, made.key, event_time="", version_id=made.version_id)
        record = self._ledger.upload(self._lanes[made.route], upload.id)
        return Known(record.state, record.run_id) if record else None


def _picked(candidates: Sequence[Candidate], blow: Blow) -> Candidate:
    return candidates[int(blow.pick * len(candidates))]


def _announced(document: dict[str, Any]) -> Announced:
    versions = frozenset(upload["version_id"] for upload in document["uploads"])
    return Announced(document["id"], document["outcome"], document["message"], versions)


def _etag(upload: PlannedUpload) -> str:
    return md5(upload.content, usedforsecurity=False).hexdigest()
