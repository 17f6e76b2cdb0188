"""CloudWorks' JSON, decoded once, here: leniently, into the plain values of `domain.runs`.

Everything here is pure. Fields that CloudWorks adds are ignored, those it leaves out are None, and each shape that its
documentation, its tenants or its clients have shown is accepted; what fits none of them is a `ValueError`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from anaplan_autoload.domain.runs import Flow, History, Run, RunError, Step
from anaplan_autoload.domain.times import epoch_ms

if TYPE_CHECKING:
    from collections.abc import Iterator


_T = TypeVar("_T")


def normalize_time(value: str | int | float) -> str:
    """A time as CloudWorks gives it, as `2026-11-24T21:05:00.000Z`; `ValueError` when it is none.

    Seen: ISO with `Z` or an offset, a space for the `T`, more or fewer fractions, and epoch seconds. Accepted too:
    epoch milliseconds, either as text, and times without a zone, read as UTC.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{str(value)[:40]!r} is no time") from None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decode_run(body: bytes, run_id: str) -> Run:
    """`GET /integrations/run/{runId}`."""
    run = msgspec.json.decode(body, type=_RunStatus).run.plain()
    return msgspec.structs.replace(run, id=run_id)


def decode_run_id(body: bytes) -> str:
    """The id of the run that `POST …/run` started."""
    return msgspec.json.decode(body, type=_Started).run.id


def decode_history(body: bytes, date_ms: int | None = None) -> History:
    """`GET /integrations/runs/{integrationId}`; `date_ms` is what the answer's `Date` header said."""
    page = msgspec.json.decode(body, type=_HistoryPage)
    history = page.history_of_runs
    runs = tuple(run.plain(history.integration_id) for run in history.runs or ())
    if any(not run.id for run in runs):
        raise ValueError("a run without an id")
    paging = (page.meta and page.meta.paging) or _Paging()
    totals = (paging.total_size, history.total_runs, (paging.offset or 0) + len(runs))
    return History(runs, next(total for total in totals if total is not None), date_ms)


def decode_flow(body: bytes, date_ms: int | None = None) -> Flow:
    """`GET /integrationflows/{integrationFlowId}`; `date_ms` is what the answer's `Date` header said."""
    flow = msgspec.json.decode(body, type=_FlowDetail).integration_flow
    steps = tuple(
        Step(step.name or step.referrer or "unnamed", step.referrer, _latest(step.latest_run, step.referrer))
        for step in flow.steps or ()
    )
    run = _latest(flow.latest_run)
    if run is not None and not run.id:
        run = msgspec.structs.replace(run, id=f"{flow.id}-{epoch_ms(run.started_at) if run.started_at else 'queued'}")
    return Flow(flow.id, flow.name or "", run, steps, date_ms)


def decode_errors(body: bytes) -> tuple[RunError, ...]:
    """`GET /integrations/runerror/{runId}`; `{}`, `[]` and null all mean that there are none."""
    runs = msgspec.json.decode(body, type=_RunErrors).runs
    return tuple(
        error for run in _listed(runs) for action in _listed(run.error_messages) for error in _action_errors(action)
    )


def decode_page(body: bytes, key: str) -> tuple[list[object], int | None]:
    """A page of a listing: the items under `key` (missing or null means none) and how many there are in all."""
    page = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    items = msgspec.json.decode(page[key], type=list[object] | None) if key in page else None
    meta = msgspec.json.decode(page["meta"], type=_Meta | None) if "meta" in page else None
    return items or [], meta.paging.total_size if meta and meta.paging else None


class _WireRun(Struct, frozen=True, rename="camel"):
    id: str | None = None
    integration_id: str | None = None
    start_date: str | int | float | None = None
    end_date: str | int | float | None = None
    success: bool | str | None = None
    message: str | None = None
    execution_error_code: int | str | None = None
    triggered_by: str | None = None
    created_by: str | None = None
    trace_id: str | None = None
    trigger_source: str | None = None

    def plain(self, integration_id: str | None = None) -> Run:
        success = self.success.strip().lower() == "true" if isinstance(self.success, str) else self.success
        return Run(
            id=self.id or "",
            integration_id=self.integration_id or integration_id,
            started_at=normalize_time(self.start_date) if self.start_date else None,
            ended_at=normalize_time(self.end_date) if self.end_date else None,
            success=success,
            message=self.message or "",
            error_code=_code(self.execution_error_code),
            author=self.triggered_by or self.created_by or None,
            trace_id=self.trace_id,
            trigger=self.trigger_source,
        )


class _RunStatus(Struct, frozen=True):
    run: _WireRun


class _RunId(Struct, frozen=True):
    id: str

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("the run's id is empty")


class _Started(Struct, frozen=True):
    run: _RunId


class _WireHistory(Struct, frozen=True, rename="camel"):
    integration_id: str | None = None
    runs: list[_WireRun] | None = None
    total_runs: int | None = None


class _Paging(Struct, frozen=True, rename="camel"):
    offset: int | None = None
    total_size: int | None = None


class _Meta(Struct, frozen=True):
    paging: _Paging | None = None


class _HistoryPage(Struct, frozen=True):
    history_of_runs: _WireHistory
    meta: _Meta | None = None


class _WireStep(Struct, frozen=True, rename="camel"):
    referrer: str | None = None
    name: str | None = None
    latest_run: _WireRun | None = None


class _WireFlow(Struct, frozen=True, rename="camel"):
    id: str
    name: str | None = None
    steps: list[_WireStep] | None = None
    latest_run: _WireRun | None = None


class _FlowDetail(Struct, frozen=True, rename="camel"):
    integration_flow: _WireFlow


class _WireError(Struct, frozen=True, rename="camel"):
    local_message_text: str | None = None
    occurrences: int | str | None = None
    values: list[object] | str | None = None


class _WireAction(Struct, frozen=True, rename="camel"):
    action_id: str | int | None = None
    action_name: str | None = None
    failure_dump_generated: bool | None = None
    error_message: list[_WireError] | _WireError | str | None = None


class _WireErrors(Struct, frozen=True, rename="camel"):
    error_messages: list[_WireAction] | _WireAction | None = None


class _RunErrors(Struct, frozen=True):
    runs: list[_WireErrors] | _WireErrors | None = None


def _listed(value: list[_T] | _T | None) -> list[_T]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _code(value: int | str | None) -> int | None:
    """None where there is none; -1 for a code that is no number, so that it is not taken for success."""
    try:
        return int(value) if value not in (None, "") else None
    except ValueError:
        return -1


def _latest(run: _WireRun | None, integration_id: str | None = None) -> Run | None:
    """A `latestRun`; an empty one stands for none."""
    return None if run is None or run == _WireRun() else run.plain(integration_id)


def _action_errors(action: _WireAction) -> Iterator[RunError]:
    """One error for each message, and one without for an action that only left a dump."""
    action_id = None if action.action_id is None else str(action.action_id)
    dump = bool(action.failure_dump_generated)
    said = action.error_message
    messages = _listed(_WireError(said) if isinstance(said, str) else said)
    for error in messages or ([_WireError()] if dump else []):
        yield RunError(
            action=action.action_name or action_id or "",
            message=error.local_message_text or "",
            occurrences=_code(error.occurrences) or 1,
            values=_texts(error.values),
            action_id=action_id,
            dump=dump,
        )


def _texts(values: list[object] | str | None) -> tuple[str, ...]:
    if isinstance(values, str):
        return (values,)
    return tuple(value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values or ())


def _moment(value: str | int | float) -> datetime:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{9,14}(\.[0-9]+)?", value.strip()):
            moment = datetime.fromisoformat(value.strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        value = float(value)
    # Seconds reach eleven digits in the year 5138; milliseconds passed them in 1973.
    return datetime.fromtimestamp(value / 1000 if value >= 1e11 else value, UTC)
