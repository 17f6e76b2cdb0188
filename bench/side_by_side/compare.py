"""Autoload beside two functions that people would otherwise write, in the same ten troubles: `make side-by-side`.

All three run as processes of their own against one CloudWorks simulator and one moto, on the real clock. Autoload runs
in AWS's runtime. The other two are invoked once for each upload, and as Lambda does it with an asynchronous event, up
to twice more when they fail. Lambda's limit of 15 minutes is scaled to `LIMIT_SECONDS`, its pauses between tries (1 and
2 minutes) to `PAUSES`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol

import msgspec

from bench import prices
from bench.markdown import table
from local.aws.notifications import Delivery, straight
from local.aws.stack import ROOT, Options, Stack
from local.cloudworks import Fault, Pace, SimulatorSettings
from local.cloudworks.runs import Result

RESULTS = Path(__file__).with_name("results.json")
PACKAGES = ROOT / ".local" / "anaplan-sdk"
"""Where `make side-by-side` installs requirements.txt."""
LIMIT_SECONDS = 10
PAUSES = (1.0, 2.0)
RUN_SECONDS = 1.5
FOREIGN_SECONDS = 6.0
BURST = 8
TITLES = ("Autoload", "Sdk", "Script")
"""Of the contenders, as an argument names them."""
SHORT = {"POLL_MIN_SECONDS": "1", "POLL_MAX_SECONDS": "2", "LEASE_SECONDS": "15"}


class Contender(Protocol):
    """Someone who loads what is uploaded."""

    name: str
    key: str

    def begin(self) -> None:
        """Forget what was told."""

    def deliver(self, times: int) -> None:
        """Let S3's event of the next upload arrive so many times."""

    def upload(self, content: bytes) -> None:
        """Put the file."""

    def kill(self) -> bool:
        """Kill a process that is at work; whether there was one."""

    def wait(self) -> None:
        """Return when nothing more will happen."""

    def told(self) -> list[str]:
        """How it said that the loads ended."""


class Ours:
    """Autoload."""

    name, key = "Autoload", "incoming/ours.csv"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = 0

    def begin(self) -> None:
        """Forget what was told."""
        self._seen = len(self._stack.messages())

    def deliver(self, times: int) -> None:
        """Let S3's event of the next upload arrive so many times."""
        self._stack.notifications.travel = lambda record: (
            straight(record) if times == 1 else [Delivery(record, after_seconds=0.2 * n) for n in range(times)]
        )

    def upload(self, content: bytes) -> None:
        """Put the file."""
        self._stack.upload(self.key, content)

    def kill(self) -> bool:
        """Kill a process that is at work; whether there was one."""
        return self._stack.kill_runtime() is not None

    def wait(self) -> None:
        """Return when nothing more will happen."""
        self._stack.wait_idle(120)

    def told(self) -> list[str]:
        """How it said that the loads ended."""
        return [str(message.document["outcome"]) for message in self._stack.messages()[self._seen :]]


class Other:
    """A function that is invoked with each event, in a process of its own."""

    def __init__(self, which: str, name: str, stack: Stack, integration: str) -> None:
        self.name, self.key = name, f"{which}/data.csv"
        self._which, self._stack, self._times = which, stack, 1
        self._lock = Lock()
        self._threads: list[Thread] = []
        self._processes: set[subprocess.Popen[str]] = set()
        self._told: list[str] = []
        self._environment = {
            **os.environ,
            **stack.aws.environment,
            "ANAPLAN_AUTH_URL": stack.anaplan.auth_url,
            "CLOUDWORKS_URL": stack.anaplan.cloudworks_url,
            "ANAPLAN_SECRET_ID": stack.resources.outputs["SecretArn"],
            "INTEGRATION_ID": integration,
            "POLL_SECONDS": "1",
            "PYTHONPATH": os.pathsep.join([*([str(PACKAGES)] if which == "sdk" else []), str(ROOT)]),
        }

    def begin(self) -> None:
        """Forget what was told."""
        self._threads, self._told = [], []

    def deliver(self, times: int) -> None:
        """Let S3's event of the next upload arrive so many times."""
        self._times = times

    def upload(self, content: bytes) -> None:
        """Put the file."""
        self._stack.upload(self.key, content)
        for _ in range(self._times):
            thread = Thread(target=self._event)
            thread.start()
            self._threads.append(thread)

    def kill(self) -> bool:
        """Kill a process that is at work; whether there was one."""
        with self._lock:
            for process in self._processes:
                process.kill()
            return bool(self._processes)

    def wait(self) -> None:
        """Return when nothing more will happen."""
        for thread in self._threads:
            thread.join()

    def told(self) -> list[str]:
        """How it said that the loads ended."""
        return self._told

    def _event(self) -> None:
        for pause in (*PAUSES, None):
            if self._succeeds():
                self._told.append("loaded")
                return
            if pause is not None:
                time.sleep(pause)
        self._told.append("failed")

    def _succeeds(self) -> bool:
        command = [sys.executable, "-m", "bench.side_by_side.invoke", self._which]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603
            command, env=self._environment, stdout=subprocess.PIPE, stderr=quiet, text=True
        )
        with self._lock:
            self._processes.add(process)
        try:
            if process.stdout is not None:
                process.stdout.readline()  # it has imported everything; Lambda's limit begins here too
            process.communicate(timeout=LIMIT_SECONDS)
            return process.returncode == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return False
        finally:
            with self._lock:
                self._processes.discard(process)


class Arena:
    """The simulator, one contender and its integration."""

    def __init__(self, stack: Stack, contender: Contender, integration: str, model: str) -> None:
        self.stack, self.contender, self.integration, self._model = stack, contender, integration, model
        self._uploads = 0

    def upload(self, times: int = 1) -> None:
        """Upload the next version of the file, whose event arrives so many times."""
        self._uploads += 1
        self.contender.deliver(times)
        self.contender.upload(f"code,name\nA1,{self._uploads}\n".encode())

    def fault(self, fault: Fault) -> None:
        """Let the next matching request meet it."""
        self.stack.simulator.add_fault(fault)

    def runs(self) -> int:
        """Runs of the integration so far."""
        return sum(run.integration_id == self.integration for run in self.stack.simulator.runs)

    def until_run(self) -> None:
        """Wait until one more run has begun, at most ten seconds."""
        before, deadline = self.runs(), time.monotonic() + 10
        while self.runs() == before and time.monotonic() < deadline:
            time.sleep(0.05)

    @contextmanager
    def lasting(self, seconds: float) -> Iterator[None]:
        """Runs that begin now last so long."""
        self.stack.simulator.settings.pace = Pace(run_seconds=seconds)
        yield
        self.stack.simulator.settings.pace = Pace(run_seconds=RUN_SECONDS)

    def newest_is_loaded(self) -> bool:
        """Whether Anaplan holds what was uploaded last."""
        deadline = time.monotonic() + 15  # a run that nobody waits for may still be under way
        while time.monotonic() < deadline:
            with suppress(KeyError):
                if self.stack.simulator.models[self._model]["A1"]["name"] == str(self._uploads):
                    return True
            time.sleep(0.2)
        return False


def undisturbed(arena: Arena) -> None:
    """One upload."""
    arena.upload()


def duplicate(arena: Arena) -> None:
    """S3's event of one upload arrives twice."""
    arena.upload(times=2)


def lost_answer(arena: Arena) -> None:
    """The answer to the request that starts the run is lost."""
    arena.fault(Fault(kind="lose_after", method="POST", path="/run$"))
    arena.upload()


def killed(arena: Arena) -> None:
    """The sandbox dies once the run has begun."""
    with arena.lasting(4):
        arena.upload()
        arena.until_run()
        deadline = time.monotonic() + 3
        while not arena.contender.kill() and time.monotonic() < deadline:
            time.sleep(0.05)
        arena.contender.wait()


def long_run(arena: Arena) -> None:
    """The run takes longer than an invocation may."""
    with arena.lasting(LIMIT_SECONDS + 4):
        arena.upload()
        arena.contender.wait()


def burst(arena: Arena) -> None:
    """Many uploads within a second."""
    for _ in range(BURST):
        arena.upload()


def occupied(arena: Arena) -> None:
    """Somebody else's run is under way: CloudWorks answers 409."""
    with arena.lasting(FOREIGN_SECONDS):
        arena.stack.simulator.start_foreign_run(arena.integration)
    arena.upload()


def unavailable(arena: Arena) -> None:
    """CloudWorks answers 503 once."""
    arena.fault(Fault(kind="status", status=503, method="POST", path="/run$"))
    arena.upload()


def expired(arena: Arena) -> None:
    """The token expires while the run is followed."""
    with arena.lasting(4):
        arena.fault(Fault(kind="expire_token", method="GET", path="/integrations/run/"))
        arena.upload()
        arena.contender.wait()


def partial(arena: Arena) -> None:
    """Anaplan rejects some of the rows."""
    arena.stack.simulator.force_result(arena.integration, Result(success=True, message="2 rows ignored", code=38))
    arena.upload()


def two_at_once(arena: Arena) -> None:
    """A second upload comes while the first is being loaded."""
    with arena.lasting(6):
        arena.upload()
        arena.until_run()
        arena.upload()
        time.sleep(2)


TROUBLES: dict[str, Callable[[Arena], None]] = {
    "none": undisturbed,
    "event arrives twice": duplicate,
    "answer to the start lost": lost_answer,
    "sandbox killed": killed,
    "run longer than the limit": long_run,
    f"burst of {BURST}": burst,
    "409: somebody else's run": occupied,
    "503 once": unavailable,
    "token expires": expired,
    "some rows rejected": partial,
    "second upload during a run": two_at_once,
}


def met(arena: Arena, trouble: Callable[[Arena], None]) -> tuple[str, int]:
    """What became of it, in words, and the requests that Anaplan got."""
    arena.contender.begin()
    runs, requests = arena.runs(), len(arena.stack.simulator.requests)
    trouble(arena)
    arena.contender.wait()
    asked = len(arena.stack.simulator.requests) - requests
    loaded = True if trouble is partial else arena.newest_is_loaded()
    arena.stack.simulator.clear_faults()
    foreign = 1 if trouble is occupied else 0
    told = arena.contender.told()
    said = ", ".join(f"{told.count(word)} × {word}" for word in dict.fromkeys(told)) or "nothing"
    started = arena.runs() - runs - foreign
    newest = "" if trouble is partial else "newest data loaded; " if loaded else "**newest data not loaded**; "
    return f"{newest}{started} {'run' if started == 1 else 'runs'}; says {said}", asked


def fight(titles: Sequence[str]) -> dict[str, Any]:
    """The contenders of these titles in every trouble."""
    options = Options(
        environment=SHORT,
        timeout_seconds=LIMIT_SECONDS,
        sweep_seconds=5,
        anaplan=SimulatorSettings(pace=Pace(run_seconds=RUN_SECONDS)),
    )
    found: dict[str, Any] = {"troubles": {name: {} for name in TROUBLES}, "requests": {}}
    with Stack(options) as stack:
        keys = {"Autoload": Ours.key, "Sdk": "sdk/data.csv", "Script": "script/data.csv"}
        ids = stack.seed(list(keys.items()))
        stack.deploy(f'[[route]]\nname = "ours"\nprefix = "incoming/"\nintegration = "{ids["Autoload"]}"\n')
        contenders: dict[str, Contender] = {
            "Autoload": Ours(stack),
            "Sdk": Other("sdk", "anaplan-sdk", stack, ids["Sdk"]),
            "Script": Other("script", "script", stack, ids["Script"]),
        }
        for title in titles:
            contender = contenders[title]
            arena = Arena(stack, contender, ids[title], stack.simulator.tenant.integrations[ids[title]].model_id)
            for name, trouble in TROUBLES.items():
                words, asked = met(arena, trouble)
                print(f"{contender.name}: {name}: {words}", file=sys.stderr)
                found["troubles"][name][contender.name] = words
                if trouble is undisturbed:
                    found["requests"][contender.name] = asked
    return found


def recorded() -> dict[str, Any]:
    """What the last comparison found."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Any])


def step_functions(seconds: int, every: int) -> float:
    """US dollars for 1,000 loads by a state machine: wait, look and choose at each look, and five states besides."""
    return 1000 * (3 * seconds / every + 5) * prices.STATE_TRANSITION


def sleeping(seconds: int, memory_mb: int = 256) -> float:
    """US dollars for 1,000 loads by a function that sleeps until the run ends."""
    return 1000 * (seconds * memory_mb / 1024 * prices.LAMBDA_GB_SECOND + prices.LAMBDA_REQUEST)


def main() -> None:
    """Compare, write `results.json`, and print the tables. Contenders that are not named keep their results."""
    new = fight(sys.argv[1:] or TITLES)
    found = recorded() if RESULTS.exists() else {"troubles": {name: {} for name in TROUBLES}, "requests": {}}
    for name, row in new["troubles"].items():
        found["troubles"].setdefault(name, {}).update(row)
    found["requests"] |= new["requests"]
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    names = list(found["requests"])
    table(
        "Ten troubles",
        ("trouble", *names),
        [(name, *(row.get(each, "") for each in names)) for name, row in found["troubles"].items()],
    )
    table("Requests to Anaplan for one upload", names, [[found["requests"][name] for name in names]])
    table(
        "US dollars for 1,000 loads, by arithmetic",
        ("run of", "a function that sleeps, 256 MB", "Step Functions, a look every minute"),
        [
            ("5 min", f"{sleeping(300):.2f}", f"{step_functions(300, 60):.2f}"),
            ("1 h", "not possible", f"{step_functions(3600, 60):.2f}"),
            ("4 h", "not possible", f"{step_functions(4 * 3600, 60):.2f}"),
        ],
    )


if __name__ == "__main__":
    main()
