"""How often the function logs in to Anaplan: 20 lanes at the rate of 1,000 loads a day, on a virtual clock.

A quarter of a day is simulated: the table of the model's DynamoDB makes longer ones slow.

The deployed handler runs in the model of `tests/model`: the durable SDK, the ledger, the log-in and the client are the
real ones, Anaplan is the simulator, whose tokens last 35 minutes. A token is kept by the sandbox that logged in. How
long Lambda keeps a sandbox is not documented, so it is assumed: `IDLE` seconds without an invocation, `LIFE` in all.
Which of several idle sandboxes gets an invocation is not documented either: the one that was used last, or any.

An invocation lasts as long as its calls: each takes one of `LATENCIES_MS`, at random.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
import pytest
from msgspec import Struct

from anaplan_autoload.handler import make_handler
from bench.markdown import table
from local.cloudworks import Pace
from tests.model.executions import DurableService, one_checkpoint_at_a_time
from tests.model.function import Function, Sandbox

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

    from local.cloudworks.http_messages import Request
    from tests.model.world import Task

LANES = 20
LOADS = 250
SECONDS = 86_400 // 4
RUN_SECONDS = 300
LATENCIES_MS = (5, 10, 30, 250)
IDLE, LIFE = 10 * 60, 2 * 3600
TEN_MINUTES = 600

ROUTE = """
[[route]]
name = "lane{number}"
prefix = "incoming/{number}/"
integration = "{{lane{number}}}"
"""


class Situation(Struct, frozen=True):
    """When uploads come, and how Lambda treats its sandboxes."""

    name: str
    at_once: int
    """How many lanes get an upload in the same second."""
    idle: int = IDLE
    life: int = LIFE
    last_first: bool = True
    """Whether the sandbox that was used last gets the next invocation."""


SITUATIONS = (
    Situation("spread evenly", 1),
    Situation("spread evenly, any idle sandbox", 1, last_first=False),
    Situation("all 20 lanes at once, every half-hour", LANES),
)


class Measured(Struct, frozen=True):
    """What was needed."""

    loads: int
    log_ins: int
    refreshes: int
    sandboxes: int
    most_in_ten_minutes: int
    """Log-ins."""


class _Lambda(DurableService):
    """The durable service, whose sandboxes come to an end."""

    def __init__(self, function: _Day, situation: Situation) -> None:
        super().__init__(function.world, make_handler(function.services_of_current), lambda: self._new(function))
        self._situation = situation
        self._random = Random(0)
        self._idle: list[tuple[float, Any]] = []
        self._born: dict[int, float] = {}
        self.sandboxes: list[Sandbox] = []

    def _new(self, function: _Day) -> Sandbox:
        sandbox = Sandbox(function)
        self.sandboxes.append(sandbox)
        self._born[id(sandbox)] = self.world.seconds
        return sandbox

    def take_sandbox(self) -> Any:
        now, kept = self.world.seconds, self._situation
        self._idle = [
            (since, each)
            for since, each in self._idle
            if now - since <= kept.idle and now - self._born[id(each)] <= kept.life
        ]
        if not self._idle:
            return None
        which = len(self._idle) - 1 if kept.last_first else self._random.randrange(len(self._idle))
        return self._idle.pop(which)[1]

    def keep_sandbox(self, sandbox: Any) -> None:
        self._idle.append((self.world.seconds, sandbox))


class _Day(Function):
    """The function with 20 lanes, and a log of its requests to the log-in."""

    SOURCES: ClassVar[dict[str, str]] = {f"lane{number}": f"incoming/{number}/a.csv" for number in range(LANES)}
    ROUTES: ClassVar[str] = "".join(ROUTE.format(number=number) for number in range(LANES))

    def __init__(self, directory: Path, situation: Situation) -> None:
        self.asked: list[tuple[float, str]] = []
        super().__init__(directory)
        self.world.watch, self.world.most_effects = lambda _: None, 10_000_000
        self.world.latencies_ms = LATENCIES_MS
        self.simulator.settings.pace = Pace(0, RUN_SECONDS)
        self.sandboxes = _Lambda(self, situation)
        self.service = self.sandboxes

    def services_of_current(self) -> Sandbox:
        """The services of the current invocation."""
        return cast("Sandbox", cast("Task", self.world.current).sandbox)

    def answer(self, request: Request) -> HTTPResponse:
        """Anaplan's answer; what is asked of the log-in is noted."""
        if request.path.startswith("/token/"):
            self.asked.append((self.world.seconds, request.path.rpartition("/")[2]))
        return super().answer(request)

    def _is_provable(self, run_id: str) -> bool:
        """Always False: no case needs it, and it would read the whole table for each run."""
        return False


def measure(situation: Situation) -> Measured:
    """Let a quarter of a day pass."""
    random = Random(1)
    with TemporaryDirectory() as directory:
        day = _Day(Path(directory), situation)
        begin = day.world.seconds
        moments = sorted(random.uniform(0, SECONDS) for _ in range(LOADS // situation.at_once))
        for number, moment in enumerate(moments):
            day.world.pass_time(max(0.0, begin + moment - day.world.seconds))
            for lane in range(number, number + situation.at_once):
                day.upload(f"lane{lane % LANES}", "a.csv")
        day.world.pass_time(begin + SECONDS - day.world.seconds)
        day.close()
    return Measured(
        loads=len(day.posts),
        log_ins=sum(path == "authenticate" for _, path in day.asked),
        refreshes=sum(path == "refresh" for _, path in day.asked),
        sandboxes=len(day.sandboxes.sandboxes),
        most_in_ten_minutes=_most(day.asked, begin),
    )


def _most(asked: list[tuple[float, str]], begin: float) -> int:
    counts = Counter(int((at - begin) // TEN_MINUTES) for at, path in asked if path == "authenticate")
    return max(counts.values(), default=0)


def main(arguments: list[str]) -> None:
    """Print the table, of all situations or of those that are given by number."""
    chosen = [SITUATIONS[int(number)] for number in arguments] or SITUATIONS
    rows = []
    with pytest.MonkeyPatch.context() as patched:
        one_checkpoint_at_a_time(patched)
        for situation in chosen:
            with redirect_stdout(io.StringIO()):  # the function's metrics
                found = measure(situation)
            in_ten_minutes = f"{found.log_ins * TEN_MINUTES / SECONDS:.1f}"
            rows.append((situation.name, *msgspec.structs.astuple(found), in_ten_minutes))
    head = ("uploads", "runs", "log-ins", "refreshes", "sandboxes", "log-ins in 10 min, at most", "on average")
    table("Log-ins", head, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
