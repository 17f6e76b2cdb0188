"""What happens to uploads in twelve kinds of trouble: Autoload compared with what people write instead.

Autoload and its rivals (`bench.rivals`) run in one process against the CloudWorks simulator, on the virtual clock of
the property tests. Each trouble is arranged once, by the same code for all. Before it, each of them has loaded one
file; six hours after it, Anaplan is looked at. An upload counts as loaded if a run that began after it succeeded.
"""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest
from moto import mock_aws
from msgspec import Struct

from bench import prices
from bench.cold_start import OURS, Work, compiled, medians
from bench.markdown import span, table
from bench.rivals.deployed import Deployed, put
from local.cloudworks import Fault, Pace, Simulator
from local.cloudworks.seeding import DISPLAY_NAME
from tests.model.executions import one_checkpoint_at_a_time
from tests.model.function import Function
from tests.model.world import Trouble, World

RUNS = (30, 300)
"""Seconds that a run takes: well under Lambda's first retry, and longer than all its retries."""
AFTERWARDS_SECONDS = 6 * 3600
BURST = 20
ROWS = "Code,Name\nA1,Cash\n"
ROWS_OF_WHICH_ONE_IS_BAD = "Code,Name\nA1,Cash\n,Nameless\n"
START = "/integrations/[0-9a-f]+/run$"
LOOK = "/integrations/run/[0-9a-f]+$"
LOOK_EFFECT = f"anaplan GET .*{LOOK}"
ENDINGS = ("loaded", "partial", "failed", "held", "rejected", "overdue")
"""The outcomes that are counted; Autoload's others are about routes."""
SDK, SCRIPT, ONE_AT_A_TIME, OURS_NAME = "anaplan-sdk", "boto3 and requests", "the same, one at a time", "Autoload"
NAMES = (SDK, SCRIPT, ONE_AT_A_TIME, OURS_NAME)
MODULES = {
    SDK: "bench.rivals.sdk_handler",
    SCRIPT: "bench.rivals.script_handler",
    ONE_AT_A_TIME: "bench.rivals.script_handler",
}
IMPORTS = {
    SDK: "import boto3, anaplan_sdk",
    SCRIPT: "import boto3, requests",
    OURS_NAME: OURS,
}
OF_REQUESTS = ("requests", "urllib3", "certifi", "charset-normalizer", "idna")
DISTRIBUTIONS = {
    SDK: (
        *("anaplan-sdk", "httpx2", "httpcore2", "h11", "anyio", "truststore", "idna", "pydantic", "pydantic_core"),
        *("annotated-types", "typing-inspection", "typing_extensions"),
    ),
    SCRIPT: OF_REQUESTS,
}
MOST_EFFECTS = 100_000
RIVAL_MB = 128
"""The least memory that Lambda gives; both rivals fit into it."""
LOOK_SECONDS = 10
TRANSITIONS_A_LOOK = 3
"""Of Step Functions: wait, look, choose."""
OTHER_TRANSITIONS = 6
"""Start, log in, run, tell, and two choices."""


class Contestant(Protocol):
    """Something that loads uploads, with everything around it."""

    world: World
    simulator: Simulator
    integration: str

    @property
    def outcomes(self) -> list[str]:
        """What subscribers were told, in order."""
        ...

    def upload(self, content: str) -> Any:
        """Put the object; returns the event of that, which is not sent yet."""
        ...

    def start(self, event: Any, delay: float = 0) -> None:
        """Let the event arrive."""
        ...


class Autoload:
    """The function as the property tests deploy it, with its sweep."""

    def __init__(self, directory: Path, world_seed: int) -> None:
        self._function = Function(directory, world_seed=world_seed)
        self.world, self.simulator = self._function.world, self._function.simulator
        self.integration = self._function.ids["accounts"]
        self._uploads = 0

    @property
    def outcomes(self) -> list[str]:
        """What subscribers were told."""
        return [message.outcome for message in self._function.topic.messages]

    def upload(self, content: str) -> Any:
        """Put the object."""
        self._uploads += 1
        return put(self._function.bucket, content, self.world.now, self._uploads)

    def start(self, event: Any, delay: float = 0) -> None:
        """Start an execution."""
        self._function.service.start(event, delay)


class Play:
    """One trouble and one contestant: what was uploaded when."""

    def __init__(self, contestant: Contestant) -> None:
        self.on = contestant
        self.uploaded: list[float] = []

    @property
    def half_a_run(self) -> float:
        """Seconds."""
        return self.on.simulator.settings.pace.run_seconds / 2

    def upload(self, content: str = ROWS, after: float = 0) -> Any:
        """Upload the file `after` so many seconds; returns its event."""
        self.on.world.pass_time(after)
        self.uploaded.append(self.on.world.seconds)
        event = self.on.upload(content)
        self.on.start(event, delay=1)
        return event

    def fault(self, **fault: Any) -> None:
        """Let Anaplan fail."""
        self.on.simulator.add_fault(Fault(**fault))


def duplicate_event(play: Play) -> None:
    """S3 delivers the event twice"""
    event = play.upload()
    play.on.start(event, delay=4)


def burst(play: Play) -> None:
    """Twenty uploads come within a minute"""
    for _ in range(BURST):
        play.upload(after=3)


def upload_during_a_run(play: Play) -> None:
    """A second upload, while the first is being loaded"""
    play.upload()
    play.upload(after=play.half_a_run)


def run_by_hand(play: Play) -> None:
    """Somebody has just started the integration by hand (409)"""
    play.on.simulator.start_foreign_run(play.on.integration)
    play.upload(after=10)


def lost_answer(play: Play) -> None:
    """The answer to the start is lost"""
    play.fault(kind="lose_after", method="POST", path=START)
    play.upload()


def too_many_requests(play: Play) -> None:
    """Anaplan answers ten requests for a run with 429, Retry-After 60 s"""
    play.fault(kind="status", method="POST", path=START, status=429, headers={"Retry-After": "60"}, count=10)
    play.upload()


def web_page(play: Play) -> None:
    """A look at the run gets a web page with status 200"""
    play.fault(kind="status", method="GET", path=LOOK, status=200)
    play.upload()


def maintenance(play: Play) -> None:
    """Anaplan answers everything with 503 for 20 minutes"""
    play.fault(kind="status", status=503, count=None)
    play.upload()
    play.on.world.pass_time(20 * 60)
    play.on.simulator.clear_faults()


def expired_token(play: Play) -> None:
    """The token expires during the run"""
    play.upload()
    play.on.world.pass_time(play.half_a_run)
    play.on.simulator.expire_tokens()


def killed_runtime(play: Play) -> None:
    """The runtime is killed during the run"""
    play.on.world.troubles.add(Trouble(kind="crash", when="before", effect=LOOK_EFFECT, skip=1))
    play.upload()


def long_run(play: Play) -> None:
    """The run takes 40 minutes"""
    play.on.simulator.settings.pace = Pace(run_seconds=40 * 60)
    play.upload()


def rejected_rows(play: Play) -> None:
    """Anaplan rejects a row"""
    play.upload(ROWS_OF_WHICH_ONE_IS_BAD)


TROUBLES: tuple[Callable[[Play], None], ...] = (
    duplicate_event,
    burst,
    upload_during_a_run,
    run_by_hand,
    lost_answer,
    too_many_requests,
    web_page,
    maintenance,
    expired_token,
    killed_runtime,
    long_run,
    rejected_rows,
)


class Verdict(Struct, frozen=True):
    """What became of the uploads."""

    uploads: int
    lost: int
    """Uploads that no successful run followed."""
    runs: int
    """The contestant's own."""
    told: Counter[str]

    def __str__(self) -> str:
        loaded = f"**not loaded: {self.lost} of {self.uploads}**" if self.lost else "loaded"
        told = ", ".join(f"{count} × {outcome}" if count > 1 else outcome for outcome, count in self.told.items())
        return f"{loaded}; runs: {self.runs}; told: {told or 'nothing'}"


def main() -> None:
    """Print the tables."""
    logging.disable(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patched, mock_aws():
        one_checkpoint_at_a_time(patched)
        patched.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        for seconds in RUNS:
            rows = [
                (str(trouble.__doc__), *(verdict(trouble, name, seconds) for name in NAMES)) for trouble in TROUBLES
            ]
            table(f"In trouble, with runs of {span(seconds)}", ("what happens", *NAMES), rows)
        plain = [plain_load(name) for name in (SDK, SCRIPT)]
    table("A load of 5 minutes without trouble", ("", "requests to Anaplan", "billed, s", "dollars for 1,000"), plain)
    table(
        f"By arithmetic: Step Functions, a look every {LOOK_SECONDS} s",
        ("run of", "transitions", "dollars for 1,000"),
        [step_functions(seconds) for seconds in (60, 300, 3600)],
    )
    with compiled() as place:
        times = medians({name: Work(code, place=place) for name, code in IMPORTS.items()})
    table(
        "Imports and packages",
        ("", "imports, ms of processor time", "package without bytecode, MB unzipped"),
        [(name, f"{ms:.0f}", f"{size(name):.1f}") for name, ms in times.items()],
    )


@contextmanager
def deployed(name: str, seconds: int) -> Iterator[Contestant]:
    """Autoload, or the rival of that name, after it has loaded a file; runs take so many seconds."""
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(io.StringIO()))  # the metrics
        contestant: Contestant
        if name in MODULES:
            rival = Deployed(MODULES[name], world_seed=1, concurrency=1 if name == ONE_AT_A_TIME else 1000)
            stack.enter_context(rival.running())
            contestant = rival
        else:
            contestant = Autoload(Path(stack.enter_context(TemporaryDirectory())), world_seed=1)
        stack.callback(contestant.world.stop)
        contestant.world.most_effects = MOST_EFFECTS
        contestant.simulator.settings.pace = Pace(run_seconds=seconds)
        contestant.start(contestant.upload(ROWS))
        contestant.world.pass_time(3600)
        yield contestant


def verdict(trouble: Callable[[Play], None], name: str, seconds: int) -> Verdict:
    """What becomes of the uploads of one of them in a trouble."""
    with deployed(name, seconds) as contestant:
        before, told_before = len(contestant.simulator.runs), len(contestant.outcomes)
        play = Play(contestant)
        trouble(play)
        contestant.world.pass_time(AFTERWARDS_SECONDS)
        runs = contestant.simulator.runs[before:]
        loading = [run.started_at for run in runs if run.result is not None and run.result.success]
        return Verdict(
            uploads=len(play.uploaded),
            lost=sum(all(started < uploaded for started in loading) for uploaded in play.uploaded),
            runs=sum(run.author == DISPLAY_NAME for run in runs),
            told=Counter(outcome for outcome in contestant.outcomes[told_before:] if outcome in ENDINGS),
        )


def plain_load(name: str) -> tuple[str, int, str, str]:
    """What a rival needs for one load."""
    with deployed(name, 300) as contestant:
        assert isinstance(contestant, Deployed)  # noqa: S101  (for mypy)
        seconds = contestant.billed_ms / 1000
        dollars = prices.LAMBDA_REQUEST + seconds * RIVAL_MB / 1024 * prices.LAMBDA_GB_SECOND
        return name, len(contestant.simulator.requests), f"{seconds:.0f}", f"{1000 * dollars:.2f}"


def step_functions(seconds: int) -> tuple[str, int, str]:
    """A state machine that starts a run of that length, and looks at it."""
    transitions = OTHER_TRANSITIONS + TRANSITIONS_A_LOOK * (seconds // LOOK_SECONDS)
    return span(seconds), transitions, f"{1000 * transitions * prices.STATE_TRANSITION:.2f}"


def size(name: str) -> float:
    """Megabytes of a package without bytecode; Autoload's is the recorded one."""
    if name == OURS_NAME:
        recorded = json.loads((Path(__file__).parent / "recorded.json").read_text())
        return float(recorded["the package without bytecode: bytes unzipped"] / 1e6)
    found = [Path(str(file.locate())) for each in DISTRIBUTIONS[name] for file in files(each) or ()]
    return sum(path.stat().st_size for path in found if path.suffix != ".pyc" and path.exists()) / 1e6


if __name__ == "__main__":
    main()
