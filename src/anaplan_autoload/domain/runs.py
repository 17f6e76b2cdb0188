"""CloudWorks' runs and flows, as plain values."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from anaplan_autoload.domain import outcomes
from anaplan_autoload.domain.outcomes import PARTIAL, Outcome
from anaplan_autoload.domain.times import epoch_ms


class Run(Struct, frozen=True):
    """One run, as its status, the history or a flow shows it. Times are `2026-11-24T21:05:00.000Z`."""

    id: str
    integration_id: str | None = None
    """None for a run of a flow."""
    started_at: str | None = None
    """Whole seconds on Anaplan's clock; None while the run is in the queue."""
    ended_at: str | None = None
    """None until the run has ended; until then, `success` and `message` mean nothing."""
    success: bool | None = None
    message: str = ""
    error_code: int | None = None
    author: str | None = None
    """The display name of the user who started the run (`triggeredBy` in the history, `createdBy` in the status)."""
    trace_id: str | None = None
    """What Anaplan's support asks for."""
    trigger: str | None = None
    """`manual` (the API too), `scheduled`, `manual_inf`, `scheduled_inf`, `nux_dashboard`, or one not known yet."""
    cause: str = ""
    """For a flow's run, the messages of its failed steps, which say whether to try again."""

    @property
    def ended(self) -> bool:
        """Whether the run has an end date, the only sign of the end that CloudWorks documents."""
        return self.ended_at is not None

    @property
    def outcome(self) -> Outcome:
        """How the run ended: see `outcomes.outcome_of`. Raises `ValueError` while it runs."""
        if not self.ended:
            raise ValueError(f"run {self.id} has not ended; it has no outcome yet")
        return outcomes.outcome_of(self.success, self.error_code, self.message)

    @property
    def may_heal(self) -> bool:
        """Whether the run failed for a reason that may pass by itself: see `outcomes.may_heal`."""
        return self.outcome == "failed" and outcomes.may_heal(self.error_code, self.cause or self.message)


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
    total: int | None
    """How many runs there are in all; None if the answer did not say."""
    date_ms: int | None = None
    """When the page was made, on Anaplan's clock: epoch ms, whole seconds. None if the answer did not say."""
    size: int = 0
    """How far the next page's offset is from this one's; it may be more than the number of runs shown."""


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
    """Anaplan's clock when it answered, epoch ms; None if the answer does not say."""

    def run_since(self, since_ms: int) -> Run | None:
        """The flow's latest run as one run, when it started at `since_ms` (epoch ms, Anaplan's clock) or later.

        Start times are whole seconds, so `since_ms` is rounded down to one. The run has ended when the flow's own
        record has. It is partial when the flow succeeded although a step did not load everything, as happens when that
        step is set to continue after a failure; the message names such steps. Steps whose latest run is older were not
        part of it. If the flow's record has no run id, one is made of the flow's id and the start.
        """
        if self.run is None or not _is_since(self.run, since_ms):
            return None
        if not self.run.ended:
            return self.run
        unclean = [step for step in self.steps if _is_unclean(step, since_ms)]
        if not unclean:
            return self.run
        return _with_steps(self.run, unclean)


def _is_since(run: Run, since_ms: int) -> bool:
    if run.started_at is None:
        return not run.ended  # it is in the queue
    return epoch_ms(run.started_at) >= since_ms // 1000 * 1000


def _is_unclean(step: Step, since_ms: int) -> bool:
    run = step.run
    return run is not None and run.ended and _is_since(run, since_ms) and run.outcome != "loaded"


def _with_steps(run: Run, unclean: list[Step]) -> Run:
    """The flow's run, with the results of its steps added."""
    ends = [(step.name, step.run) for step in unclean if step.run is not None]
    names = "; ".join(f"step {name!r} {_ended_as(end)}" for name, end in ends)
    message = f"{run.message or 'Ended'} ({names})"
    if run.outcome != "failed":
        return msgspec.structs.replace(run, success=True, error_code=PARTIAL, message=message)
    failed = [end for _, end in ends if end.outcome == "failed"]
    code = next((end.error_code for end in failed if end.error_code), None)
    cause = "; ".join(end.message for end in failed)
    return msgspec.structs.replace(run, error_code=run.error_code or code, message=message, cause=cause)


def _ended_as(run: Run) -> str:
    return ": ".join(text for text in ("was partial" if run.outcome == "partial" else "failed", run.message) if text)
