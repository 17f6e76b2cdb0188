"""A storm's evidence, made by hand: what was uploaded, run, announced and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

from msgspec import UNSET, UnsetType

from anaplan_autoload.domain.protocol import UploadState
from local.chaos.evidence import Announced, Evidence, Known, Made, Trouble
from local.cloudworks import Result, Run, Seen, Source

LANES = {"accounts": "lane-a", "sales": "shared", "stock": "shared"}
LOADS: dict[str, Literal["latest", "each"]] = {"accounts": "latest", "sales": "each", "stock": "latest"}
RUN_SECONDS = 1.0


def made(name: str, route: str = "accounts", at: float = 0.0, key: str | None = None) -> Made:
    """An upload; its name stands for its content and its version."""
    return Made(route, key or f"incoming/{route}.csv", f"version of {name}", _sha256(name), at)


def run(name: str, reads: str, route: str = "accounts", at: float = 1.0, success: bool = True) -> Run:
    """A run that began at `at`, took a second, and read the content of the upload of that name."""
    source = Source(
        bucket="inbox",
        key=f"source/{route}.csv",
        etag="",
        version_id=None,
        sha256=_sha256(reads),
        rows=1,
        read_at=at,
    )
    return Run(
        id=name,
        trace_id="",
        integration_id=f"integration of {route}",
        model_id=f"model of {route}",
        author="Ada Builder",
        trigger="manual",
        accepted_at=at,
        started_at=at,
        ended_at=at + RUN_SECONDS,
        result=Result(success, "Success" if success else "Process failed"),
        sources=(source,),
    )


def told(run_id: str, *names: str, outcome: str = "loaded", message: str = "Success") -> Announced:
    """A message about the uploads of these names."""
    return Announced(run_id, outcome, message, frozenset(f"version of {name}" for name in names))


def asked(at: float, fault: str | None = None, route: str = "accounts") -> Seen:
    """A request for a run."""
    path = f"/2/0/integrations/integration of {route}/run"
    return Seen(at=at, method="POST", path=path, query={}, status=200, user="ada", fault=fault)


def evidence(
    *uploads: tuple[Made, Known | None],
    runs: Sequence[Run] = (),
    messages: Sequence[Announced] | UnsetType = UNSET,
    requests: Sequence[Seen] = (),
    kills: Sequence[float] = (),
) -> Evidence:
    """Evidence of uploads with what the ledger knows of each; where `messages` are not given, each upload has one."""
    if messages is UNSET:
        messages = [
            Announced(known.run_id or "", known.state, "", frozenset({each.version_id}))
            for each, known in uploads
            if known is not None and known.state != "superseded"
        ]
    return Evidence(
        made=tuple(each for each, _ in uploads),
        loads=LOADS,
        lanes=LANES,
        integrations={f"integration of {route}": route for route in LOADS},
        runs=tuple(runs),
        requests=tuple(requests),
        messages=tuple(messages),
        known=tuple(known for _, known in uploads),
        trouble=Trouble(0.0, tuple(kills), 0, 0, 0, 0),
        executions={},
        seconds=0.0,
    )


def known(state: UploadState, run_id: str | None = None) -> Known:
    """What the ledger knows of an upload."""
    return Known(state, run_id)


def _sha256(name: str) -> str:
    return sha256(name.encode()).hexdigest()
