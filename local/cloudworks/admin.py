"""The simulator's own operations, under `/simulator`: for the demo and for tests that run in another process.

| request | JSON sent | JSON answered |
|---|---|---|
| `GET /simulator/state` | | runs, imported counts, requests, lockouts, overlaps |
| `GET /simulator/models/{id}` | | what was imported into a model: code to row |
| `POST /simulator/seed` | `{"bucket", "integrations": [{"name", "file"}]}` | the ids |
| `POST /simulator/settings` | any fields of `SimulatorSettings`, such as `{"skew_seconds": 3.5}` | |
| `POST /simulator/faults` | a `Fault` | |
| `DELETE /simulator/faults` | | |
| `POST /simulator/results` | `{"integration_id", "success", "message", "code"}`: how its next run ends | |
| `POST /simulator/runs` | `{"integration_id", "user"}`: a foreign run | its id |
| `POST /simulator/users` | a `User`: a new one, or one with another password or role | |
| `POST /simulator/clients` | an `OAuthClient` | |
| `POST /simulator/devices` | `{"user_code", "user"?}`: confirmed by that user, or denied | |
| `POST /simulator/tokens/expire` | | |

Nothing here asks who calls: the server listens to this machine alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from local.cloudworks.faults import Fault
from local.cloudworks.http_messages import Answer, Refusal, Request, json_answer, unrouted
from local.cloudworks.runs import Overlap, Phase, Result, Run, Source
from local.cloudworks.seeding import seed
from local.cloudworks.settings import SimulatorSettings
from local.cloudworks.tenant import OAuthClient, User

if TYPE_CHECKING:
    from local.cloudworks.simulator import Seen, Simulator

T = TypeVar("T")


class ShownRun(Struct, frozen=True, kw_only=True):
    """A run without the rows that it loaded; times are epoch seconds on our clock."""

    id: str
    integration_id: str
    model_id: str
    author: str
    trigger: str
    flow_id: str | None
    phase: Phase
    accepted_at: float
    started_at: float
    ended_at: float | None
    """None for a run that hangs."""
    result: Result | None
    sources: tuple[Source, ...]


class SimulatorState(Struct, frozen=True, kw_only=True):
    """What `GET /simulator/state` answers."""

    now: float
    anaplan_now: float
    runs: list[ShownRun]
    imported: dict[str, int]
    """Rows by model id."""
    requests: list[Seen]
    lockouts: dict[str, float]
    overlaps: list[Overlap]


class NamedFile(Struct, frozen=True, forbid_unknown_fields=True):
    """An import to be made."""

    name: str
    file: str


class SeedBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What to make ready."""

    bucket: str
    integrations: tuple[NamedFile, ...]
    model_id: str | None = None


class ForcedResult(Struct, frozen=True, forbid_unknown_fields=True):
    """How the next run of an integration ends."""

    integration_id: str
    success: bool
    message: str
    code: int | None = None


class ForeignRun(Struct, frozen=True, forbid_unknown_fields=True):
    """A run that somebody else starts."""

    integration_id: str
    user: str = "Bob Other"


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """What a user does about a device."""

    user_code: str
    user: str | None = None
    """Who confirms; None: it is denied."""


class Admin:
    """Answers requests to `/simulator/…`."""

    def __init__(self, simulator: Simulator) -> None:
        """Everything is done through the simulator's public methods."""
        self._simulator = simulator

    def handle(self, request: Request) -> Answer:
        """Answer a request; mistakes are answered with 400 or 404 and an explanation."""
        try:
            return self._act(request)
        except Refusal as refusal:
            return json_answer(refusal.status, {"error": refusal.message})

    def _act(self, request: Request) -> Answer:
        simulator = self._simulator
        match request.method, request.path.split("/")[2:]:
            case "GET", ["state"]:
                return json_answer(200, state(simulator))
            case "GET", ["models", model_id]:
                return json_answer(200, simulator.models.get(model_id, {}))
            case "POST", ["seed"]:
                return self._seed(_decode(request, SeedBody))
            case "POST", ["settings"]:
                _change(simulator.settings, request)
            case "POST", ["faults"]:
                self._fault(_decode(request, Fault))
            case "DELETE", ["faults"]:
                simulator.clear_faults()
            case "POST", ["results"]:
                forced = _decode(request, ForcedResult)
                result = Result(forced.success, forced.message, forced.code)
                simulator.force_result(self._known(forced.integration_id), result)
            case "POST", ["runs"]:
                foreign = _decode(request, ForeignRun)
                run = simulator.start_foreign_run(self._known(foreign.integration_id), foreign.user)
                return json_answer(200, {"id": run.id})
            case "POST", ["users"]:
                simulator.add_user(_decode(request, User))
            case "POST", ["clients"]:
                simulator.add_client(_decode(request, OAuthClient))
            case "POST", ["devices"]:
                self._decide(_decode(request, Decision))
            case "POST", ["tokens", "expire"]:
                simulator.expire_tokens()
            case _:
                return unrouted()
        return json_answer(200, {})

    def _seed(self, body: SeedBody) -> Answer:
        files = [(item.name, item.file) for item in body.integrations]
        try:
            return json_answer(200, seed(self._simulator, body.bucket, files, body.model_id))
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def _fault(self, fault: Fault) -> None:
        try:
            self._simulator.add_fault(fault)
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def _decide(self, decision: Decision) -> None:
        try:
            if decision.user is None:
                self._simulator.deny_device(decision.user_code)
            else:
                self._simulator.confirm_device(decision.user_code, decision.user)
        except KeyError as error:
            raise Refusal(404, f"no such device or user: {error}") from error

    def _known(self, integration_id: str) -> str:
        if integration_id not in self._simulator.tenant.integrations:
            raise Refusal(404, f"no integration {integration_id}: seed it first, or create it")
        return integration_id


def state(simulator: Simulator) -> SimulatorState:
    """A picture of the simulator."""
    return SimulatorState(
        now=simulator.now(),
        anaplan_now=simulator.anaplan_now(),
        runs=[_shown(run, simulator.now()) for run in simulator.runs],
        imported={model_id: len(rows) for model_id, rows in simulator.models.items()},
        requests=simulator.requests,
        lockouts=simulator.lockouts,
        overlaps=simulator.overlaps,
    )


def _shown(run: Run, now: float) -> ShownRun:
    return ShownRun(
        id=run.id,
        integration_id=run.integration_id,
        model_id=run.model_id,
        author=run.author,
        trigger=run.trigger,
        flow_id=run.flow_id,
        phase=run.phase(now),
        accepted_at=run.accepted_at,
        started_at=run.started_at,
        ended_at=run.ended_at if run.ended_at < float("inf") else None,
        result=run.result if run.phase(now) == "ended" else None,
        sources=run.sources,
    )


def _decode(request: Request, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except msgspec.MsgspecError as error:
        raise Refusal(400, f"{request.path}: {error}") from error


def _change(settings: SimulatorSettings, request: Request) -> None:
    """Overlay the settings with those that were sent."""
    sent = _decode(request, dict[str, object])
    try:
        changed = msgspec.convert({**msgspec.to_builtins(settings), **sent}, SimulatorSettings)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"{request.path}: {error}") from error
    for name in settings.__struct_fields__:
        setattr(settings, name, getattr(changed, name))
