"""What CloudWorks says about runs, in plain values: decoded leniently, judged in one place.

Everything here is pure. Fields that CloudWorks adds are ignored, those it leaves out are None, and each shape that its
documentation, its tenants or its clients have shown is accepted; what fits none of them is a `ValueError`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")

Outcome = Literal["loaded", "partial", "failed"]

PARTIAL = 38
"""The `executionErrorCode` of a run that loaded some rows and left others out."""

CONNECTION = 46
"""The `executionErrorCode` of a run that could not use its connection."""


class Run(Struct, frozen=True):
    """One run, as its status, the history or a flow shows it. Times are `2026-11-24T21:05:00.000Z`."""

    id: str
    integration_id: str | None = None
    """None for a run of a flow."""
    started_at: str | None = None
    """Whole seconds on Anaplan's clock; None while the run queues."""
    ended_at: str | None = None
    """None until the run has ended; before that neither `success` nor `message` means anything."""
    success: bool | None = None
    message: str = ""
    error_code: int | None = None
    author: str | None = None
    """The display name of whoever started the run (`triggeredBy` in the history, `createdBy` in the status)."""
    trace_id: str | None = None
    """What Anaplan's support asks for."""
    trigger: str | None = None
    """`manual` (the API too), `scheduled`, `manual_inf`, `scheduled_inf`, `nux_dashboard`, or one not known yet."""

    @property
    def ended(self) -> bool:
        """Whether the run has ended: whether it has an end date, the only sign that CloudWorks documents."""
        return self.ended_at is not None

    @property
    def outcome(self) -> Outcome:
        """How the run ended.

        Partial: code 38, or success with failed or ignored rows in the message, as CloudWorks calls a run that lost
        rows a success. Loaded: success without a code. Failed: all else. `ValueError` while the run has not ended.
        """
        if not self.ended:
            raise ValueError(f"run {self.id} has not ended; it has no outcome yet")
        if self.error_code == PARTIAL or (self.success and rows_left_out(self.message)):
            return "partial"
        return "loaded" if self.success and not self.error_code else "failed"

    @property
    def may_heal(self) -> bool:
        """Whether the run failed for a reason that passes: the connection (code 46) or the trigger."""
        if self.outcome != "failed":
            return False
        return self.error_code == CONNECTION or re.search(r"connection|trigger error", self.message, re.I) is not None


class RunError(Struct, frozen=True):
    """One kind of error that an action of a run reported."""

    action: str
    """The action's name, or its id where it has no name."""
    message: str
    """Empty where the action only left a dump."""
    occurrences: int = 1
    values: tuple[str, ...] = ()
    """Values that were refused, as text."""
    action_id: str | None = None
    dump: bool = False
    """Whether the action left a dump of its rejected rows."""


class History(Struct, frozen=True):
    """A page of an integration's runs, newest first."""

    runs: tuple[Run, ...]
    total: int
    """How many runs there are in all."""
    date_ms: int | None = None
    """When the page was made, on Anaplan's clock: epoch ms, whole seconds. None when the answer did not say."""


class Step(Struct, frozen=True):
    """One integration of a flow."""

    name: str
    integration_id: str | None = None
    run: Run | None = None
    """Its latest run, in this flow's run or an earlier one; None when it never ran."""


class Flow(Struct, frozen=True):
    """An integration flow and the latest run of it and of each of its steps."""

    id: str
    name: str
    run: Run | None = None
    steps: tuple[Step, ...] = ()
    date_ms: int | None = None
    """Anaplan's clock when it answered, epoch ms; None where the answer does not tell."""

    def run_since(self, since_ms: int) -> Run | None:
        """The flow's latest run as one run, when it started at `since_ms` (epoch ms, Anaplan's clock) or later.

        Start times are whole seconds, so `since_ms` is rounded down to one. The run has ended when the flow's own
        record has. It is partial when the flow succeeded although a step of it did not load everything, which a step
        set to go on after failure allows; the message names such steps. Steps whose latest run is older were not
        part of it. A flow's record carries no run id: the run's is then made of the flow's id and the start.
        """
        if self.run is None or not _is_since(self.run, since_ms):
            return None
        if not self.run.ended:
            return self.run
        unclean = [step for step in self.steps if _is_unclean(step, since_ms)]
        if not unclean:
            return self.run
        return _with_steps(self.run, unclean)


def rows_left_out(message: str) -> bool:
    """Whether a message counts rows that failed or were ignored, more than none.

    Its wording differs by kind of action and is nowhere documented: `3 of 120 rows failed`, `rows ignored: 3` and
    `120 processed, 3 rejected` all count.
    """
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", message.lower())
    text = re.sub(r"(\d+)\s*(?:of|out of|/)\s*\d+", r"\1", text)
    return any(_counts(clause) for clause in re.split(r"[,;.\n|]|\band\b", text))


def iso(value: str | int | float) -> str:
    """A time as CloudWorks gives it, as `2026-11-24T21:05:00.000Z`; `ValueError` when it is none.

    Seen: ISO with `Z` or an offset, a space for the `T`, more or fewer fractions, and epoch seconds. Accepted too:
    epoch milliseconds, either as text, and times without a zone, read as UTC.
    """
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{str(value)[:40]!r} is no time") from None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(text: str) -> int:
    """A time made by `iso` as epoch ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


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


# CloudWorks' own shapes.


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
            started_at=iso(self.start_date) if self.start_date else None,
            ended_at=iso(self.end_date) if self.end_date else None,
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


# Judging.

_LEFT_OUT = r"\b(?:fail|ignor|reject|skipp|error)\w*"
_LOADED = re.compile(r"\b(?:load|process|succe|import|updat|creat|without|no\b)")
_COUNT_AFTER = re.compile(_LEFT_OUT + r"(?:\s+[a-z]+){0,3}\s*(?:[:=(]|\bis\b)\s*(\d+)")
_COUNT_BEFORE = re.compile(r"(\d+)\s+((?:[a-z]+\W+){0,5})" + _LEFT_OUT)
_COUNT_LAST = re.compile(_LEFT_OUT + r"(?:\s+[a-z]+){0,2}\s+(\d+)")


def _counts(clause: str) -> bool:
    """Whether one clause counts rows left out, more than none: with the number after a colon, before, or after."""
    for counts in (
        [match[1] for match in _COUNT_AFTER.finditer(clause)],
        [match[1] for match in _COUNT_BEFORE.finditer(clause) if not _LOADED.search(match[2])],
        [match[1] for match in _COUNT_LAST.finditer(clause)],
    ):
        if counts:
            return any(int(count) > 0 for count in counts)
    return False


def _is_since(run: Run, since_ms: int) -> bool:
    if run.started_at is None:
        return not run.ended  # it queues
    return epoch_ms(run.started_at) >= since_ms // 1000 * 1000


def _is_unclean(step: Step, since_ms: int) -> bool:
    run = step.run
    return run is not None and run.ended and _is_since(run, since_ms) and run.outcome != "loaded"


def _with_steps(run: Run, unclean: list[Step]) -> Run:
    """The flow's run with what its steps say that its own record does not."""
    ends = [(step.name, step.run) for step in unclean if step.run is not None]
    names = "; ".join(f"step {name!r} {_ended_as(end)}" for name, end in ends)
    message = f"{run.message or 'Ended'} ({names})"
    if run.outcome != "failed":
        return msgspec.structs.replace(run, success=True, error_code=PARTIAL, message=message)
    code = next((end.error_code for _, end in ends if end.outcome == "failed" and end.error_code), None)
    return msgspec.structs.replace(run, error_code=run.error_code or code, message=message)


def _ended_as(run: Run) -> str:
    return ": ".join(text for text in ("was partial" if run.outcome == "partial" else "failed", run.message) if text)
