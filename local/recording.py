"""`python -m local.recording`: record two minutes of the laptop's stack, for the drawing of the dashboard.

The stack sweeps every three seconds, runs take seconds, and everything that the dashboard shows happens: loads by three
routes, rejected rows, a failed run, files that nothing loads, "too many requests", a dead letter and a refused log-in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

from local.aws.clients import REGION
from local.aws.stack import ROOT, STACK_NAME, Options, Stack
from local.cloudworks import PASSWORD, USERNAME, Fault, Pace, SimulatorSettings
from local.cloudworks.runs import Result

FILE = ROOT / "src/anaplan_autoload_cli/dashboard/demo.json"
ABOUT = "Recorded on a laptop, with a simulator for Anaplan: there, runs take seconds and sweeps come every three."
DATA = Path(__file__).parent / "data"
QUEUE = "dead-letters"
ROUTES = """\
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{accounts}"
retries = 0

[[route]]
name = "actuals"
prefix = "incoming/actuals/"
integration = "{actuals}"
load = "each"
stage_to = "source/actuals.csv"

[[route]]
name = "headcount"
prefix = "incoming/headcount/"
integration = "{headcount}"
check = {{ columns = ["Code", "Name"] }}
"""
SOURCES = [
    ("accounts", "incoming/accounts/accounts.csv"),
    ("actuals", "source/actuals.csv"),
    ("headcount", "incoming/headcount/headcount.csv"),
]
SECONDS = 120
BEAT_SECONDS = 1.0
SWEEP_SECONDS = 3.0
KEPT = ("outcome", "route", "ended_at", "run_seconds", "run_message", "uploads")
"""What the dashboard's tables show of a log line."""
ROWS = b"Code,Name\nA1,Amsterdam\nB2,Berlin\n"


class Recorder:
    """Lets things happen, second by second, and notes what AWS would measure besides the function's own metrics."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ids = stack.seed(SOURCES)
        stack.push(ROUTES.format(**self._ids))
        paces = {"accounts": 3.0, "actuals": 2.0, "headcount": 6.0}
        stack.simulator.settings.paces = {self._ids[name]: Pace(run_seconds=each) for name, each in paces.items()}
        self._measured: list[dict[str, Any]] = []
        self._failed = 0

    def record(self) -> dict[str, Any]:
        """Let two minutes pass; returns the recording."""
        begin = round(time.time() * 1000)
        for second in range(SECONDS):
            for act in self._acts(second):
                act()
            self._measure()
            time.sleep(BEAT_SECONDS)
        self._stack.wait_idle()
        samples = [msgspec.to_builtins(metric) for metric in self._stack.metrics()]
        return {
            "about": ABOUT,
            "stack": STACK_NAME,
            "region": REGION,
            "queue": QUEUE,
            "begin": begin,
            "end": round(time.time() * 1000),
            "samples": [*samples, *self._measured],
            "log": sorted(self._log(), key=lambda record: record["@timestamp"]),
        }

    def _acts(self, second: int) -> Iterator[Callable[[], object]]:
        """What happens in this second."""
        if second % 9 == 0:
            mistakes = second in (27, 81)
            name = "accounts_with_mistakes.csv" if mistakes else "accounts.csv"
            yield lambda: self._stack.upload("incoming/accounts/accounts.csv", (DATA / name).read_bytes())
        if second % 4 == 1:
            yield lambda: self._stack.upload(f"incoming/actuals/actuals-{second:03}.csv", ROWS)
        if second % 25 == 5:
            yield lambda: self._stack.upload("incoming/headcount/headcount.csv", ROWS)
        match second:
            case 20 | 52:
                yield lambda: self._stack.upload("incoming/travel/trips.csv", ROWS)
            case 33 | 34:
                yield lambda: self._stack.upload(f"incoming/accounts/~$accounts-{second}.csv", ROWS)
            case 40:
                yield lambda: self._stack.upload("incoming/headcount/headcount.csv", b"Kode;Name\nA1;Amsterdam\n")
            case 45:
                refused = Result(success=False, message="The model is locked", code=None)
                yield lambda: self._stack.simulator.force_result(self._ids["accounts"], refused)
            case 60:
                yield lambda: self._stack.simulator.add_fault(
                    Fault(kind="status", method="GET", path="/integrations/run/", status=429, count=6)
                )
            case 66:
                yield lambda: self._stack.invoke({"nobody": "understands this"})
            case 70:
                yield lambda: self._stack.simulator.add_fault(
                    Fault(kind="lose_before", method="GET", path="/integrations/run/", count=2)
                )
            case 85:
                yield lambda: self._log_in_with("not the password")
                yield self._stack.simulator.expire_tokens
                yield self._stack.pool.deploy
            case 100:
                yield lambda: self._log_in_with(PASSWORD)

    def _log_in_with(self, password: str) -> None:
        secret = json.dumps({"username": USERNAME, "password": password})
        self._stack.aws.secrets.put_secret_value(
            SecretId=self._stack.resources.outputs["SecretArn"], SecretString=secret
        )

    def _measure(self) -> None:
        """What Lambda and SQS measure."""
        failed = sum(each.status == "FAILED" for each in self._stack.executions.all())
        letters = len(self._stack.dead_letters())
        of_function, of_queue = {"FunctionName": STACK_NAME}, {"QueueName": QUEUE}
        self._note("AWS/Lambda", "DurableExecutionFailed", of_function, failed - self._failed)
        self._note("AWS/SQS", "ApproximateNumberOfMessagesVisible", of_queue, letters)
        self._failed = failed

    def _note(self, namespace: str, name: str, dimensions: dict[str, str], value: float) -> None:
        now = round(time.time() * 1000)
        self._measured.append(
            {"namespace": namespace, "name": name, "dimensions": dimensions, "time": now, "value": value}
        )

    def _log(self) -> Iterator[dict[str, Any]]:
        """The function's log lines about loads."""
        for line in self._stack.function_log():
            if line.startswith("{") and '"outcome"' in line:
                record = json.loads(line)
                when = datetime.strptime(record["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
                yield {"@timestamp": round(when.timestamp() * 1000)} | {name: record.get(name) for name in KEPT}


def main() -> None:
    """Record, and write the file."""
    options = Options(
        runtimes=3,
        environment={"POLL_MIN_SECONDS": "1", "POLL_MAX_SECONDS": "2", "LEASE_SECONDS": "150", "PASSWORD_DAYS": "90"},
        anaplan=SimulatorSettings(),
        sweep_seconds=SWEEP_SECONDS,
        logs=Path(mkdtemp(prefix="recording-")),
    )
    with Stack(options) as stack:
        recording = Recorder(stack).record()
    FILE.write_text(json.dumps(recording, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)}: {len(recording['samples'])} values, {len(recording['log'])} loads")


if __name__ == "__main__":
    main()
