"""The demo's three acts, and what everyone saw of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.domain.events import Upload
from local.aws.stack import Options, Stack
from local.cloudworks import Pace, SimulatorSettings
from local.demo.timeline import Happening, Timeline, as_report, short
from local.demo.verdict import Act, Begun, Fate, Seen, Told

DATA = Path(__file__).parent.parent / "data"
PREFIX = "incoming/accounts/"
KEY = f"{PREFIX}accounts.csv"
INTEGRATION = "Accounts"
ROUTES = f"""\
[[route]]
name = "accounts"
prefix = "{PREFIX}"
suffix = ".csv"
integration = "{{{INTEGRATION}}}"
load = "latest"
"""
POLL_SECONDS = (1, 2)
LEASE_SECONDS = 150
RUNTIMES = 4
RUN_SECONDS = 4.0
LONG_RUN_SECONDS = 9.0
"""Of the run that the burst falls into: long enough for every upload to arrive, on slow machines too."""
BURST = 5
BURST_PAUSE_SECONDS = 0.4
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 60.0


class TookTooLong(Exception):
    """Something that the story waits for did not happen; the text says what."""


class File(Struct, frozen=True):
    """A file of `local/data`, and what it is to show."""

    name: str
    title: str

    @property
    def content(self) -> bytes:
        """What the file holds."""
        return (DATA / self.name).read_bytes()


CLEAN = File("accounts.csv", "the clean file")
MISTAKEN = File("accounts_with_mistakes.csv", "the file with mistakes")
CORRECTED = File("accounts_corrected.csv", "the burst")


def options(logs: Path) -> Options:
    """A stack that is as quick as a demo wants it."""
    return Options(
        runtimes=RUNTIMES,
        environment={
            "POLL_MIN_SECONDS": str(POLL_SECONDS[0]),
            "POLL_MAX_SECONDS": str(POLL_SECONDS[1]),
            "LEASE_SECONDS": str(LEASE_SECONDS),
        },
        anaplan=SimulatorSettings(pace=Pace(run_seconds=RUN_SECONDS)),
        logs=logs,
    )


class Story:
    """Passes each event to `tell`; `show` gets what is happening between them."""

    def __init__(self, stack: Stack, tell: Callable[[Happening], None], show: Callable[[str], None]) -> None:
        """Make the integration in Anaplan and push its route."""
        self._stack = stack
        self._tell = tell
        self._show = show
        ids = stack.seed([(INTEGRATION, KEY)])
        version = stack.push(ROUTES.format(**ids))
        tell(Happening(time.time(), "ledger", f"routes are pushed as version {version}: accounts"))
        self._lane = ids[INTEGRATION]
        self.ledger = Ledger(stack.aws.dynamodb, stack.resources.outputs["LedgerTableName"], LEASE_SECONDS * 1000)
        self._timeline = Timeline(stack, self.ledger, self._lane)

    def run(self) -> Seen:
        """Upload the three files and follow what comes of them.

        Raises `TookTooLong` when nothing comes of one.
        """
        clean = self._upload(CLEAN, [CLEAN.content])
        self._until(lambda: self._told(clean) and self._quiet, "a message about the clean file")
        self._stack.simulator.settings.pace = Pace(run_seconds=LONG_RUN_SECONDS)
        mistaken = self._upload(MISTAKEN, [MISTAKEN.content])
        self._until(lambda: self._read(mistaken), "a run that reads the file with mistakes")
        self._stack.simulator.settings.pace = Pace(run_seconds=RUN_SECONDS)
        burst = self._upload(CORRECTED, growing(CORRECTED.content, BURST))
        self._until(
            lambda: self._told(mistaken) and self._told(burst) and self._quiet, "messages about the other files"
        )
        return self._seen(clean, mistaken, burst)

    def _upload(self, file: File, contents: list[bytes]) -> Act:
        versions: list[str] = []
        for number, content in enumerate(contents, start=1):
            if versions:
                self._pause(BURST_PAUSE_SECONDS)
            at = time.time()
            versions.append(self._stack.upload(KEY, content))
            which = f" ({number} of {len(contents)})" if len(contents) > 1 else ""
            name = KEY.removeprefix(PREFIX)
            self._tell(Happening(at, "upload", f"{file.name}{which} as {name}, version {short(versions[-1])}"))
        return Act(file.title, tuple(versions), contents[-1])

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TookTooLong(f"{what}: not within {PATIENCE_SECONDS:g} seconds")
            self._pause(LOOK_SECONDS)
        self._look()

    def _pause(self, seconds: float) -> None:
        self._look()
        self._show(self._timeline.state())
        time.sleep(seconds)

    def _look(self) -> None:
        for happening in self._timeline.look():
            self._tell(happening)

    @property
    def _quiet(self) -> bool:
        return self._stack.notifications.idle and self._stack.executions.running == 0

    def _told(self, act: Act) -> bool:
        told = {version for message in _told(self._stack) for version in message.versions}
        return told.issuperset(act.versions)

    def _read(self, act: Act) -> bool:
        return act.versions[-1] in [run.source_version for run in self._stack.simulator.runs]

    def _seen(self, clean: Act, mistaken: Act, burst: Act) -> Seen:
        stack = self._stack
        integration = stack.simulator.tenant.integrations[self._lane]
        versions = (*clean.versions, *mistaken.versions, *burst.versions)
        counted: dict[str, float] = defaultdict(float)
        for metric in stack.metrics():
            counted[metric.name] += metric.value
        return Seen(
            clean=clean,
            mistaken=mistaken,
            burst=burst,
            told=_told(stack),
            orders=sum(one.method == "POST" and one.path.endswith("/run") for one in stack.simulator.requests),
            runs=tuple(Begun(run.id, run.source_version) for run in stack.simulator.runs),
            overlaps=len(stack.simulator.overlaps),
            model=stack.simulator.models[integration.model_id],
            history=tuple(self.ledger.runs(self._lane))[::-1],
            fates={version: fate for version in versions if (fate := self._fate(version))},
            counted=counted,
            dead_letters=len(stack.dead_letters()),
        )

    def _fate(self, version: str) -> Fate | None:
        upload = Upload(bucket=self._stack.inbox, key=KEY, event_time="", version_id=version)
        record = self.ledger.upload(self._lane, upload.id)
        return Fate(record.state, record.run_id) if record else None


def growing(content: bytes, versions: int) -> list[bytes]:
    """The versions of a file that somebody saves again and again while it grows; the last is the whole file."""
    header, *lines = content.splitlines(keepends=True)
    return [header + b"".join(lines[: len(lines) * number // versions]) for number in range(1, versions + 1)]


def _told(stack: Stack) -> tuple[Told, ...]:
    reports = [as_report(message) for message in stack.messages()]
    return tuple(
        Told(
            one.outcome,
            one.run_id,
            tuple(upload.version_id or "" for upload in one.uploads),
            one.rows_rejected,
        )
        for one in reports
    )
