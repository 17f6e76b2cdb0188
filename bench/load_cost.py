"""What a load costs on AWS: every call, operation and byte of an upload's way to Anaplan, counted, then priced.

The whole function runs in one process as in the integration tests (AWS's own durable test runner, moto, the CloudWorks
simulator, one virtual clock), and everything that AWS would bill is counted on its way out. The virtual clock includes
the time that this takes, so a look or two more or less at a run is chance; all other counts are exact.

The time that Lambda bills is estimated: the function's own processor time is taken here and stretched to the share of a
processor that its memory size gets; the durable SDK pauses for `SDK_PAUSE_MS` at each invocation's end; and each call
is taken to last as long as `ANSWER_MS` says. `bench.prices` has the prices.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python.lambda_service import DurableServiceClient, OperationAction, OperationType
from msgspec import Struct

from anaplan_autoload.aws.ledger import RunRecord
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.polling import MOST_LENGTHS
from anaplan_autoload.domain.protocol import Lease
from anaplan_autoload.domain.times import iso
from bench import prices
from bench.capacity import Meter
from bench.markdown import span, table
from bench.stopwatch import Stopwatch
from local.cloudworks import Pace
from tests.autoload import BUCKET, Autoload

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.lambda_service import CheckpointOutput, OperationUpdate, StateOutput

RUNS = (60, 5 * 60, 3600, 4 * 3600)
"""Seconds that the runs last."""
BURST = 10_000
"""Uploads that come while a run is under way, and that the next run covers."""
COUNTED = 1_000
"""Uploads of the burst that is counted, and then of one twice as large: the difference is what each thousand adds."""
BURST_RUN = 10 * 60
"""Seconds that the covering run lasts."""
SWEEPS_A_MONTH = 12 * 24 * 365 / 12
LOADS = 1_000
LOOK = "follow"
"""The name of the operation that looks at a run."""
SOMEBODY = "the run before"
"""The holder of the lane while the burst comes."""

MEMORY_MB = 512
PROCESSOR_MB = 1769
"""Lambda gives a whole processor at this memory size, and a share of it below (developer guide, "Memory")."""
RETENTION_MONTHS = 14 / (365 / 12)
"""`RetentionPeriodInDays` in the template."""
SDK_PAUSE_MS = 100
"""The durable SDK 3.0 looks every 0.1 s whether its checkpoint thread may end, and returns only then."""
PLATFORM_LOG_BYTES = 700
"""Lambda's own lines about an invocation (start, end, report), as JSON: taken, not measured."""
ANSWER_MS = {"dynamodb": 6, "checkpoint": 15, "cloudworks": 250, "sns": 30, "secrets-manager": 30}
"""Milliseconds until each answers: taken, not measured."""

ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "{accounts}"
"""
KEY = "incoming/Accounts.csv"
CONTENT = "Code,Name\nA1,Cash\nA2,Receivables\n"


class Usage(Struct, frozen=True):
    """What AWS and Anaplan were asked for; milliseconds are this machine's."""

    dynamodb: Counter[str]
    """Calls by kind."""
    read_units: float
    write_units: float
    operations: float
    """Durable: starts of executions, steps, waits, polls."""
    looks: float
    """Those of the operations that looked at a run."""
    durable_bytes: float
    """Events, results, and what steps returned with its envelope."""
    checkpoints: float
    """Requests to the durable service."""
    invocations: float
    processor_ms: float
    """The function's own processing, the durable SDK's included."""
    requests: Counter[str]
    """To CloudWorks and the log-in, SNS, Secrets Manager."""
    log_bytes: float

    def since(self, earlier: Usage) -> Usage:
        """What was asked for after `earlier`."""
        return _combine(self, earlier, -1)

    def plus(self, other: Usage, times: int) -> Usage:
        """This, and so many times the other."""
        return _combine(self, other, times)

    def busy_ms(self, slower: float = 1) -> float:
        """What Lambda bills, estimated; everybody answers `slower` times as slowly as taken."""
        answers = {**self.requests, "dynamodb": self.dynamodb.total(), "checkpoint": self.checkpoints}
        waiting = slower * sum(ANSWER_MS[name] * count for name, count in answers.items())
        return self.processor_ms * PROCESSOR_MB / MEMORY_MB + self.invocations * SDK_PAUSE_MS + waiting

    def costs(self) -> dict[str, float]:
        """US dollars by kind."""
        written = prices.DURABLE_BYTE_WRITTEN + RETENTION_MONTHS * prices.DURABLE_BYTE_MONTH
        message = prices.SNS_REQUEST + prices.SNS_EMAIL + prices.KMS_REQUEST
        log_bytes = self.log_bytes + self.invocations * PLATFORM_LOG_BYTES
        return {
            "durable operations": self.operations * prices.DURABLE_OPERATION,
            "durable data": self.durable_bytes * written,
            "Lambda requests": self.invocations * prices.LAMBDA_REQUEST,
            "Lambda time (estimated)": _lambda_time(self.busy_ms()),
            "DynamoDB": self.read_units * prices.READ_UNIT + self.write_units * prices.WRITE_UNIT,
            "SNS, one email": self.requests["sns"] * message,
            "logs": log_bytes * prices.LOG_BYTE,
            "Secrets Manager": self.requests["secrets-manager"] * prices.SECRET_REQUEST,
        }


def _lambda_time(milliseconds: float) -> float:
    """What it costs, US dollars."""
    return milliseconds / 1000 * MEMORY_MB / 1024 * prices.LAMBDA_GB_SECOND


def _combine(one: Usage, other: Usage, times: int) -> Usage:
    values: dict[str, Any] = {}
    for name in Usage.__struct_fields__:
        mine, its = getattr(one, name), getattr(other, name)
        if isinstance(mine, Counter):
            values[name] = Counter({key: mine[key] + times * its[key] for key in {*mine, *its}})
        else:
            values[name] = mine + times * its
    return Usage(**values)


class Checkpoints(DurableServiceClient):
    """The durable service, with everything that is written to it counted."""

    def __init__(self, service: DurableServiceClient, answers: Stopwatch) -> None:
        self._service = service
        self._answers = answers
        self.requests = 0
        self.operations = 0
        self.looks = 0
        self.written = 0

    def checkpoint(
        self,
        durable_execution_arn: str,
        checkpoint_token: str,
        updates: list[OperationUpdate],
        client_token: str | None,
    ) -> CheckpointOutput:
        """Count and pass on."""
        self.requests += 1
        billed = [update for update in updates if _is_billed(update)]
        self.operations += len(billed)
        self.looks += sum(update.name == LOOK for update in billed)
        self.written += sum(len(json.dumps(update.to_dict(), default=str).encode()) for update in updates)
        with self._answers:
            return self._service.checkpoint(durable_execution_arn, checkpoint_token, updates, client_token)

    def get_execution_state(
        self, durable_execution_arn: str, checkpoint_token: str, next_marker: str, max_items: int = 1000
    ) -> StateOutput:
        """Count and pass on."""
        self.requests += 1
        with self._answers:
            return self._service.get_execution_state(durable_execution_arn, checkpoint_token, next_marker, max_items)


def _is_billed(update: OperationUpdate) -> bool:
    """A wait when it begins; a step, a retry and a poll when it ends."""
    if update.operation_type is OperationType.WAIT:
        return update.action is OperationAction.START
    return update.operation_type is OperationType.STEP and update.action is not OperationAction.START


class Bill:
    """Counts everything that goes out of the function, for the function as it stands in `autoload`."""

    def __init__(self, autoload: Autoload, printed: io.StringIO) -> None:
        self._autoload = autoload
        self._printed = printed
        services = autoload.services_now()
        self._answers = Stopwatch()
        self._invoked = Stopwatch()
        self._invocations = self._executions = self._exchanged = 0
        self._requests: Counter[str] = Counter()
        self._meter = Meter(autoload.dynamodb, "ledger", self._answers)
        events = services.session.events
        self._meter.watch(events)
        events.register("before-call", self._called)
        events.register_first("before-send", self._sent)
        events.register("response-received", self._answered)
        services.http.request = self._asked(services.http.request)  # type: ignore[method-assign]
        invoker = autoload.runner.invoker
        self._checkpoints = Checkpoints(invoker.service_client, self._answers)
        invoker.service_client = self._checkpoints
        invoker.handler = self._counted(invoker.handler)

    def invoke(self, event: object) -> Any:
        """Run one execution to its end, as `Autoload.invoke` does."""
        result = self._autoload.invoke(event)
        self._executions += 1
        self._exchanged += len(json.dumps(event)) + len(json.dumps(result))
        return result

    def so_far(self) -> Usage:
        """Everything asked for since this bill began."""
        return Usage(
            dynamodb=self._meter.calls.copy(),
            read_units=self._meter.read_units,
            write_units=self._meter.write_units,
            operations=self._checkpoints.operations + self._executions,
            looks=self._checkpoints.looks,
            durable_bytes=self._checkpoints.written + self._exchanged,
            checkpoints=self._checkpoints.requests,
            invocations=self._invocations,
            processor_ms=self._invoked.milliseconds - self._answers.milliseconds,
            requests=self._requests.copy(),
            log_bytes=self._printed.tell(),
        )

    def of(self, act: Callable[[], object]) -> Usage:
        """What an act asks for."""
        before = self.so_far()
        act()
        return self.so_far().since(before)

    def _counted(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def counted(event: Any, context: Any) -> Any:
            self._invocations += 1
            with self._invoked:
                return handler(event, context)

        return counted

    def _asked(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            self._requests["cloudworks"] += 1
            return self._answers.over(request)(*args, **kwargs)

        return asked

    def _called(self, model: Any, **_: object) -> None:
        service = str(model.service_model.service_id.hyphenize())
        if service != "dynamodb":
            self._requests[service] += 1

    def _sent(self, **_: object) -> None:
        self._answers.__enter__()

    def _answered(self, **_: object) -> None:
        self._answers.__exit__()


class Burst(Struct, frozen=True):
    """What the parts of a burst ask for."""

    each: Usage
    """An upload that is recorded and left to the leader."""
    thousand: Usage
    """The run that covers a thousand uploads."""
    thousand_more: Usage
    """What another thousand adds to that run."""

    def of(self, uploads: int) -> Usage:
        """A burst of so many thousands, its uploads and its run."""
        more = self.thousand_more
        return self.thousand.plus(more, uploads // COUNTED - 1).plus(self.each, uploads)


class Bench:
    """The function, warm, with a bill."""

    def __init__(self, autoload: Autoload, printed: io.StringIO) -> None:
        autoload.routes(ROUTES, accounts=KEY)
        self.autoload = autoload
        self.bill = Bill(autoload, printed)
        self.load(1)

    def load(self, seconds: int) -> Usage:
        """One upload, loaded by a run of so many seconds, of an integration whose last runs took as long."""
        self._remember(seconds)
        self.autoload.simulator.settings.pace = Pace(run_seconds=seconds)
        event = self.autoload.upload(KEY, CONTENT)
        return self.bill.of(lambda: self.bill.invoke(event))

    def _remember(self, seconds: int) -> None:
        """Let the load history hold `MOST_LENGTHS` runs of this length."""
        now, lane = self.autoload.now(), self.autoload.lane()
        for number in range(MOST_LENGTHS):
            ended = now + number
            run = RunRecord(
                id=f"{seconds}-{number}",
                lane=lane,
                route="accounts",
                outcome="loaded",
                started_at=iso(ended - seconds * 1000),
                ended_at=iso(ended),
                integration_id=self.autoload.ids["accounts"],
                announced=True,
            )
            self.autoload.ledger.record_run(run, now)

    def left(self) -> Usage:
        """One upload that comes while somebody else leads."""
        event = self.autoload.upload(KEY, CONTENT)
        return self.bill.of(lambda: self.bill.invoke(event))

    def burst(self) -> Burst:
        """Count what a burst asks for that comes while somebody else leads."""
        lane, ledger = self.autoload.lane(), self.autoload.ledger
        ledger.acquire(lane, SOMEBODY, self.autoload.now())
        each, again = (self.left() for _ in range(2))
        ledger.release(Lease(lane, SOMEBODY, 0))
        if (each.dynamodb, each.write_units, each.operations) != (again.dynamodb, again.write_units, again.operations):
            raise AssertionError("two uploads alike asked for different things: the burst cannot be multiplied")
        self.covered(0)
        thousand, two = self.covered(COUNTED), self.covered(2 * COUNTED)
        return Burst(each, thousand, two.since(thousand))

    def covered(self, uploads: int) -> Usage:
        """The run that covers so many uploads, and everything else that waits."""
        now, route = self.autoload.now(), self.autoload.known_routes().match(BUCKET, KEY)
        assert route is not None  # noqa: S101  (for the type checker)
        for number in range(uploads):
            self.autoload.ledger.record(_upload(number, now), route, now)
        self._remember(BURST_RUN)
        self.autoload.simulator.settings.pace = Pace(run_seconds=BURST_RUN)
        return self.bill.of(lambda: self.bill.invoke({"drain": self.autoload.lane()}))

    def sweep(self) -> Usage:
        """A sweep that finds nothing to do."""
        return self.bill.of(lambda: self.bill.invoke({"sweep": True}))


def _upload(number: int, now: int) -> Upload:
    return Upload(
        bucket=BUCKET,
        key=KEY,
        event_time=iso(now),
        size=len(CONTENT),
        etag="d41d8cd98f00b204e9800998ecf8427e",
        version_id=f"{now:017}.{number:014}",
        sequencer=f"{number:016X}",
    )


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:.1f}"


def print_usage(title: str, usages: Mapping[str, Usage]) -> None:
    """Print what each of these asks for, side by side."""
    kinds = sorted({kind for usage in usages.values() for kind in usage.dynamodb})
    rows: list[tuple[str, Iterable[float]]] = [
        (f"DynamoDB {kind}", [usage.dynamodb[kind] for usage in usages.values()]) for kind in kinds
    ]
    rows += [
        ("DynamoDB write units", [usage.write_units for usage in usages.values()]),
        ("DynamoDB read units", [usage.read_units for usage in usages.values()]),
        ("durable operations", [usage.operations for usage in usages.values()]),
        ("of these, looks at the run", [usage.looks for usage in usages.values()]),
        ("durable data, KB", [usage.durable_bytes / 1024 for usage in usages.values()]),
        ("invocations", [usage.invocations for usage in usages.values()]),
        ("CloudWorks requests", [usage.requests["cloudworks"] for usage in usages.values()]),
        ("SNS messages", [usage.requests["sns"] for usage in usages.values()]),
        ("log lines of ours, KB", [usage.log_bytes / 1024 for usage in usages.values()]),
        ("processor time, ms*", [usage.processor_ms for usage in usages.values()]),
        ("billed time, s*", [usage.busy_ms() / 1000 for usage in usages.values()]),
    ]
    table(title, ("", *usages), [(name, *map(_count, values)) for name, values in rows])
    print("\n\\* measured here, and estimated from that; all else is counted.")


def print_costs(title: str, usages: Mapping[str, tuple[Usage, float]]) -> None:
    """Print what so many of each of these cost, in US dollars."""
    costs = [{kind: times * usd for kind, usd in usage.costs().items()} for usage, times in usages.values()]
    rows = [(kind, *(f"{each[kind]:.4f}" for each in costs)) for kind in costs[0]]
    rows.append(("**together**", *(f"**{sum(each.values()):.2f}**" for each in costs)))
    slower = [times * _lambda_time(usage.busy_ms(2) - usage.busy_ms()) for usage, times in usages.values()]
    rows.append(("more, if everybody answers half as fast", *(f"{each:.4f}" for each in slower)))
    table(title, ("US dollars", *usages), rows)


def main() -> None:
    """Count, then print."""
    os.environ |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobodys"}
    began = time.perf_counter()
    printed = io.StringIO()
    with redirect_stdout(printed), TemporaryDirectory() as directory, Autoload(Path(directory)) as autoload:
        bench = Bench(autoload, printed)
        loads = {f"run of {span(seconds)}": bench.load(seconds) for seconds in RUNS}
        sweep = bench.sweep()
        burst = bench.burst()
    print_usage("One upload, loaded", loads)
    print_costs(f"{LOADS:,} loads", {name: (usage, LOADS) for name, usage in loads.items()})
    others = {
        "one upload left to a leader": burst.each,
        f"the run that covers {COUNTED:,}": burst.thousand,
        f"each {COUNTED:,} more": burst.thousand_more,
        "one idle sweep": sweep,
    }
    print_usage("A burst, and the sweep", others)
    print_costs(
        "A burst, and a month of sweeps with nothing waiting",
        {f"{BURST:,} uploads, one run": (burst.of(BURST), 1), "sweeps, a month": (sweep, SWEEPS_A_MONTH)},
    )
    table(
        "Each month, whether anything is loaded or not",
        ("", "US dollars"),
        [
            ("the secret", f"{prices.SECRET_MONTH:.2f}"),
            ("the topic's key", f"{prices.KEY_MONTH:.2f}"),
            ("the alarms, which read 13 metrics of the stack", f"{13 * prices.ALARM_MONTH:.2f}"),
            ("and two of each route", f"{2 * prices.ALARM_MONTH:.2f}"),
            ("`Sweeps`, `LanesHeld` and `LogInDaysLeft`", f"{3 * prices.METRIC_MONTH:.2f}"),
            ("`OldestWaitingSeconds`, for each route", f"{prices.METRIC_MONTH:.2f}"),
            ("each other metric of a route, if written in every hour", f"{prices.METRIC_MONTH:.2f}"),
        ],
    )
    print(f"\nA second of cold start in every load adds {LOADS * _lambda_time(1000):.4f} dollars to {LOADS:,} loads.")
    print(f"\nCounted in {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
