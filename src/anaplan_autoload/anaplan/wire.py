"""Decodes CloudWorks' JSON into the plain values of `domain.runs`. The only module that knows its shapes.

Everything here is pure and lenient. Unknown fields are ignored, missing ones are None, and every shape is accepted that
its documentation, its tenants or its clients have shown. A field that decisions depend on (an id, the start and end of
a run) raises `ValueError` if its shape is unknown. A field that is only shown becomes None. A run with an end date has
ended, no matter what else its answer says: a message is read as text, and an unknown result or code counts as a
failure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from anaplan_autoload.anaplan.json_text import decoded
from anaplan_autoload.domain.runs import Flow, History, Run, RunError, Step
from anaplan_autoload.domain.tenant import EXPORT_JOB, S3, Connection, End, FlowSummary, Integration, Job
from anaplan_autoload.domain.times import epoch_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.domain.tenant import Kind


_T = TypeVar("_T")

_LONGEST_ID = 200
"""Characters of a run's id; CloudWorks' have 32."""
_LONGEST_TEXT = 2_000
"""Characters of a run's message, of a name, or of another text that is only shown."""
_LARGEST = 10**15
"""The largest code or count; the ledger takes numbers of 38 digits."""


def normalize_time(value: str | int | float) -> str:
    """A time in any of CloudWorks' forms, as `2026-11-24T21:05:00.000Z`; `ValueError` if it is not a time.

    Seen: ISO with `Z` or an offset, a space for the `T`, more or fewer fractions, and epoch seconds. Accepted too:
    epoch milliseconds, either as text, and times without a zone, read as UTC.
    """
    try:
        moment = _moment(value).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{str(value)[:40]!r} is not a time") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decode_run(body: bytes, run_id: str) -> Run:
    """`GET /integrations/run/{runId}`."""
    run = decoded(body, _RunStatus).run.plain()
    return msgspec.structs.replace(run, id=run_id)


def decode_run_id(body: bytes) -> str:
    """The id of the run that `POST …/run` started."""
    return decoded(body, _Started).run.id


def decode_history(body: bytes, date_ms: int | None = None) -> History:
    """`GET /integrations/runs/{integrationId}`; `date_ms` is from the answer's `Date` header."""
    page = decoded(body, _HistoryPage)
    history = page.history_of_runs
    runs = tuple(run.plain(history.integration_id) for run in history.runs or ())
    for run in runs:
        _check_run_id(run.id)
    paging = _paging(page.meta)
    total = _count(paging.total_size)
    return History(runs, _count(history.total_runs) if total is None else total, date_ms, _size(paging, len(runs)))


def decode_flow(body: bytes, date_ms: int | None = None) -> Flow:
    """`GET /integrationflows/{integrationFlowId}`; `date_ms` is from the answer's `Date` header."""
    flow = decoded(body, _FlowDetail).integration_flow
    steps = tuple(
        Step(step.name or step.referrer or "unnamed", step.referrer, _latest(step.latest_run, step.referrer))
        for step in flow.steps or ()
    )
    run = _latest(flow.latest_run)
    if run is not None and not run.id:
        run = msgspec.structs.replace(run, id=f"{flow.id}-{epoch_ms(run.started_at) if run.started_at else 'queued'}")
    if run is not None:
        _check_run_id(run.id)
    return Flow(flow.id, flow.name or "", run, steps, date_ms)


def decode_errors(body: bytes) -> tuple[RunError, ...]:
    """`GET /integrations/runerror/{runId}`; `{}`, `[]` and null all mean that there are none."""
    runs = decoded(body, _RunErrors).runs
    return tuple(
        error for run in _listed(runs) for action in _listed(run.error_messages) for error in _action_errors(action)
    )


def decode_connection(item: object) -> Connection:
    """One item of `GET /integrations/connections`."""
    wire = msgspec.convert(item, _WireConnection)
    body = _part(wire.body, _WireConnectionBody)
    return Connection(
        id=wire.connection_id,
        type=_text(wire.connection_type) or S3,
        name=_text(body.name) or wire.connection_id,
        bucket=_text(body.bucket_name),
        role_arn=_text(body.role_arn),
        workspace_id=_text(wire.workspace_id),
        works=str(wire.status).strip().lower() not in ("0", "false"),
        error_code=_code(wire.integration_error_code),
        created_by=_text(wire.created_by),
        modified_at=_shown_time(wire.modification_date),
    )


def decode_integration(item: object) -> Integration:
    """One item of `GET /integrations`, or the `integration` of `GET /integrations/{id}`."""
    wire = msgspec.convert(item, _WireIntegration)
    process_id = _text(wire.process_id)
    jobs = None if wire.jobs is None else tuple(_job(job) for job in wire.jobs)
    return Integration(
        id=wire.integration_id,
        name=_text(wire.name) or wire.integration_id,
        kind=_kind(process_id, (_text(wire.integration_type) or "").lower(), jobs),
        workspace_id=_text(wire.workspace_id),
        model_id=_text(wire.model_id),
        process_id=process_id,
        nux_visible=_truth(wire.nux_visible) or False,
        jobs=jobs,
        created_by=_text(wire.created_by),
        modified_at=_shown_time(wire.modification_date),
        last_run=_shown_run(wire.latest_run),
    )


def decode_integration_detail(answer: object) -> Integration:
    """`GET /integrations/{id}`."""
    return decode_integration(msgspec.convert(answer, _IntegrationDetail).integration)


def decode_flow_summary(item: object) -> FlowSummary:
    """One item of `GET /integrationflows`."""
    wire = msgspec.convert(item, _WireFlowSummary)
    return FlowSummary(wire.id, _text(wire.name) or wire.id, _count(wire.steps_count), _shown_run(wire.latest_run))


def decode_new_connection(answer: object) -> str:
    """The id of a connection that was created: in `connections`, as tenants answer, or beside it."""
    made = msgspec.convert(answer, _NewConnection)
    return made.connections.connection_id if made.connections else made.connection_id or ""


def decode_new_integration(answer: object) -> str:
    """The id of an integration that was created."""
    return msgspec.convert(answer, _NewIntegration).integration.integration_id


class Page(Struct, frozen=True):
    """A page of a listing."""

    items: list[object]
    size: int
    """How far the next page's offset is from this one's; it may be more than the number of items shown."""
    total: int | None = None
    """How many items there are in all; None when the answer did not say."""


def decode_page(body: bytes, key: str) -> Page:
    """A page of a listing: the items under `key` (missing or null means none)."""
    page = decoded(body, dict[str, msgspec.Raw])
    items = msgspec.json.decode(page[key], type=list[object] | None) if key in page else None
    paging = _paging(msgspec.json.decode(page["meta"]) if "meta" in page else None)
    return Page(items or [], _size(paging, len(items or [])), _count(paging.total_size))


def _paging(meta: object) -> _Paging:
    return _part(_part(meta, _Meta).paging, _Paging)


def _size(paging: _Paging, items: int) -> int:
    return max(_count(paging.current_page_size) or 0, items)


class _WireRun(Struct, frozen=True, rename="camel"):
    id: str | None = None
    integration_id: object = None
    start_date: str | int | float | None = None
    end_date: str | int | float | None = None
    success: object = None
    message: object = None
    execution_error_code: object = None
    triggered_by: object = None
    created_by: object = None
    trace_id: object = None
    trigger_source: object = None

    def plain(self, integration_id: str | None = None) -> Run:
        return Run(
            id=self.id or "",
            integration_id=_text(self.integration_id) or integration_id,
            started_at=normalize_time(self.start_date) if self.start_date else None,
            ended_at=normalize_time(self.end_date) if self.end_date else None,
            success=_truth(self.success),
            message=_words(self.message)[:_LONGEST_TEXT],
            error_code=_code(self.execution_error_code),
            author=_text(self.triggered_by) or _text(self.created_by),
            trace_id=_text(self.trace_id),
            trigger=_text(self.trigger_source),
        )


class _RunStatus(Struct, frozen=True):
    run: _WireRun


class _RunId(Struct, frozen=True):
    id: str

    def __post_init__(self) -> None:
        _check_run_id(self.id)


class _Started(Struct, frozen=True):
    run: _RunId


class _WireHistory(Struct, frozen=True, rename="camel"):
    integration_id: str | None = None
    runs: list[_WireRun] | None = None
    total_runs: object = None


class _Paging(Struct, frozen=True, rename="camel"):
    current_page_size: object = None
    total_size: object = None


class _Meta(Struct, frozen=True):
    paging: object = None


class _HistoryPage(Struct, frozen=True):
    history_of_runs: _WireHistory
    meta: object = None


class _WireStep(Struct, frozen=True, rename="camel"):
    referrer: str | None = None
    name: str | None = None
    latest_run: _WireRun | None = None


class _WireFlow(Struct, frozen=True, rename="camel"):
    id: str
    name: str | None = None
    steps: list[_WireStep] | None = None
    latest_run: _WireRun | None = None


class _WireFlowSummary(Struct, frozen=True, rename="camel"):
    id: str
    name: object = None
    steps_count: object = None
    latest_run: object = None


class _WireConnectionBody(Struct, frozen=True, rename="camel"):
    name: object = None
    bucket_name: object = None
    role_arn: object = None


class _WireConnection(Struct, frozen=True, rename="camel"):
    connection_id: str
    connection_type: object = None
    body: object = None
    status: object = None
    integration_error_code: object = None
    workspace_id: object = None
    created_by: object = None
    modification_date: object = None


class _ConnectionId(Struct, frozen=True, rename="camel"):
    connection_id: str


class _NewConnection(Struct, frozen=True, rename="camel"):
    connections: _ConnectionId | None = None
    connection_id: str | None = None


class _WireEnd(Struct, frozen=True, rename="camel"):
    type: object = None
    connection_id: object = None
    file: object = None
    action_id: object = None
    file_id: object = None
    overwrite: object = None
    bucket_name: object = None

    def plain(self) -> End:
        return End(
            type=_text(self.type) or "",
            connection_id=_text(self.connection_id),
            file=_text(self.file),
            action_id=_text(self.action_id),
            file_id=_text(self.file_id),
            overwrite=_truth(self.overwrite),
            bucket_name=_text(self.bucket_name),
        )


class _WireJob(Struct, frozen=True):
    type: object = None
    sources: list[_WireEnd] | _WireEnd | None = None
    targets: list[_WireEnd] | _WireEnd | None = None


class _WireIntegration(Struct, frozen=True, rename="camel"):
    integration_id: str
    name: object = None
    integration_type: object = None
    workspace_id: object = None
    model_id: object = None
    process_id: object = None
    nux_visible: object = None
    jobs: list[_WireJob] | None = None
    created_by: object = None
    modification_date: object = None
    latest_run: object = None


class _IntegrationDetail(Struct, frozen=True):
    integration: object


class _IntegrationId(Struct, frozen=True, rename="camel"):
    integration_id: str


class _NewIntegration(Struct, frozen=True):
    integration: _IntegrationId


class _FlowDetail(Struct, frozen=True, rename="camel"):
    integration_flow: _WireFlow


class _WireError(Struct, frozen=True, rename="camel"):
    local_message_text: object = None
    occurrences: object = None
    values: object = None


class _WireAction(Struct, frozen=True, rename="camel"):
    action_id: object = None
    action_name: object = None
    failure_dump_generated: object = None
    error_message: list[_WireError] | _WireError | str | None = None


class _WireErrors(Struct, frozen=True, rename="camel"):
    error_messages: list[_WireAction] | _WireAction | None = None


class _RunErrors(Struct, frozen=True):
    runs: list[_WireErrors] | _WireErrors | None = None


def _check_run_id(text: str) -> None:
    """Raises `ValueError` for a text that cannot be the id of a run: the ledger and SNS could not take it."""
    if not 0 < len(text) <= _LONGEST_ID or not text.isprintable():
        raise ValueError("a run's id is missing, too long or not printable")


def _listed(value: list[_T] | _T | None) -> list[_T]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _part(value: object, shape: type[_T]) -> _T:
    """A part of an answer that is only shown; read as empty if its form is not known."""
    try:
        return msgspec.convert(value, shape)
    except ValueError:
        return shape()


def _text(value: object) -> str | None:
    """Text of at most `_LONGEST_TEXT` characters, a number as text; None for everything else and for empty text."""
    if isinstance(value, str):
        return value[:_LONGEST_TEXT] or None
    counts = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST
    return str(value) if counts else None


def _words(value: object) -> str:
    """Text as it is, empty text for a missing value, and anything else on one line."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        return "; ".join(map(_words, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_words(part)}" for name, part in value.items())
    return msgspec.json.encode(value).decode()


def _truth(value: object) -> bool | None:
    """True for `true`, "true" and 1, None for a missing value, False for everything else."""
    if value is None or isinstance(value, bool):
        return value
    return str(value).strip().lower() in ("true", "1")


def _code(value: object) -> int | None:
    """None if there is no code; -1 for one that is not a number or too large, so that it does not count as success."""
    if value is None or value == "":
        return None
    try:
        code = int(value) if isinstance(value, int) else int(float(str(value)))
    except (ValueError, OverflowError):
        return -1
    return code if abs(code) <= _LARGEST else -1


def _count(value: object) -> int | None:
    """A count; None if it is missing or not a count."""
    count = _code(value)
    return None if count is None or count < 0 else count


def _shown_time(value: object) -> str | None:
    try:
        return normalize_time(value) if isinstance(value, str | int | float) and value else None
    except ValueError:
        return None


def _job(job: _WireJob) -> Job:
    sources, targets = (tuple(end.plain() for end in _listed(ends)) for ends in (job.sources, job.targets))
    return Job(_text(job.type) or "", sources, targets)


def _kind(process_id: str | None, named: str, jobs: tuple[Job, ...] | None) -> Kind:
    """The kind of an integration, from its type or else from its jobs."""
    if process_id or named == "process":
        return "process"
    if named in ("import", "export"):
        return "export" if named == "export" else "import"
    return "export" if any(job.type == EXPORT_JOB for job in jobs or ()) else "import"


def _latest(run: _WireRun | None, integration_id: str | None = None) -> Run | None:
    """A `latestRun`; None if it is empty."""
    return None if run is None or run == _WireRun() else run.plain(integration_id)


def _shown_run(latest: object) -> Run | None:
    """A `latestRun` in a list; None if it cannot be read, because the history tells more."""
    try:
        return _latest(msgspec.convert(latest, _WireRun | None))
    except ValueError:
        return None


def _action_errors(action: _WireAction) -> Iterator[RunError]:
    """One error for each message, and one without for an action that only left a dump."""
    action_id = _text(action.action_id)
    dump = _truth(action.failure_dump_generated) or False
    said = action.error_message
    messages = _listed(_WireError(said) if isinstance(said, str) else said)
    for error in messages or ([_WireError()] if dump else []):
        yield RunError(
            action=_text(action.action_name) or action_id or "",
            message=_words(error.local_message_text),
            occurrences=_count(error.occurrences) or 1,
            values=_texts(error.values),
            action_id=action_id,
            dump=dump,
        )


def _texts(values: object) -> tuple[str, ...]:
    listed = values if isinstance(values, list) else [] if values is None else [values]
    return tuple(value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in listed)


def _moment(value: str | int | float) -> datetime:
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{9,14}(\.[0-9]+)?", value.strip()):
            moment = datetime.fromisoformat(value.strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        value = float(value)
    # Seconds reach eleven digits in the year 5138; milliseconds passed them in 1973.
    return datetime.fromtimestamp(value / 1000 if value >= 1e11 else value, UTC)
