"""Runs and what is known of them: plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Literal

from msgspec import Struct, field

from local.cloudworks.csv_files import CODE_PARTIAL, Rejected
from local.cloudworks.json_shapes import Step

Phase = Literal["queued", "running", "ended"]


class Source(Struct, frozen=True, kw_only=True):
    """What a run read."""

    bucket: str
    key: str
    etag: str
    version_id: str | None
    sha256: str
    rows: int
    """Data rows, good and bad; 0 where the file could not be read as CSV."""
    read_at: float
    """Epoch seconds on our clock, not the skewed one."""


class Action(Struct, frozen=True, kw_only=True):
    """The result of one import or export action of a run."""

    action_id: str
    name: str
    total: int = 0
    rejected: tuple[Rejected, ...] = ()
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """The accepted rows by code."""
    dump: bytes | None = None
    export_to: tuple[str, str] | None = None
    """Bucket and key, for an export."""
    error: str | None = None
    """Set when the action as a whole failed."""
    code: int | None = None


class Result(Struct, frozen=True):
    """How a run ends, known from its start and shown from its end."""

    success: bool
    message: str
    code: int | None = None

    @property
    def outcome(self) -> Literal["success", "partial_success", "failure"]:
        """In the words of a flow's exception behaviours."""
        if self.code == CODE_PARTIAL or (self.success and self.message != "Success"):
            return "partial_success"
        return "success" if self.success else "failure"


class Run(Struct, frozen=True, kw_only=True):
    """One run of an integration; times are epoch seconds on our clock."""

    id: str
    trace_id: str
    integration_id: str
    model_id: str
    author: str
    """A display name."""
    trigger: str
    flow_run_id: str | None = None
    flow_id: str | None = None
    accepted_at: float
    started_at: float
    ended_at: float
    """Infinite for a run that hangs."""
    result: Result | None = None
    """None until it has started."""
    actions: tuple[Action, ...] = ()
    sources: tuple[Source, ...] = ()

    def phase(self, now: float) -> Phase:
        """Where the run stands."""
        if now < self.started_at:
            return "queued"
        return "running" if now < self.ended_at else "ended"

    @property
    def source_etag(self) -> str | None:
        """The etag of the (first) file that it read."""
        return self.sources[0].etag if self.sources else None

    @property
    def source_version(self) -> str | None:
        """The version id of the (first) file that it read."""
        return self.sources[0].version_id if self.sources else None

    @property
    def source_sha256(self) -> str | None:
        """The sha256, in hex, of the (first) file that it read."""
        return self.sources[0].sha256 if self.sources else None

    @property
    def source_rows(self) -> int | None:
        """The data rows, good and bad, of the (first) file that it read."""
        return self.sources[0].rows if self.sources else None


class FlowRun(Struct, frozen=True, kw_only=True):
    """One run of a flow: its steps run one after another, in the flow's order."""

    id: str
    flow_id: str
    author: str
    accepted_at: float
    plan: tuple[Step, ...]
    """The steps to run."""
    run_ids: tuple[str, ...] = ()
    """The runs begun so far, in the plan's order."""
    ended_at: float = inf
    result: Result | None = None


class Overlap(Struct, frozen=True, kw_only=True):
    """Two runs that were under way on one model at the same time."""

    model_id: str
    first: str
    second: str
    same_integration: bool
    seconds: float


def overlaps(runs: Iterable[Run]) -> Iterator[Overlap]:
    """All pairs of runs that were under way on one model at the same time."""
    under_way: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.accepted_at):
        others = [other for other in under_way.get(run.model_id, []) if other.ended_at > run.accepted_at]
        for other in others:
            yield Overlap(
                model_id=run.model_id,
                first=other.id,
                second=run.id,
                same_integration=other.integration_id == run.integration_id,
                seconds=min(other.ended_at, run.ended_at) - run.accepted_at,
            )
        under_way[run.model_id] = [*others, run]
