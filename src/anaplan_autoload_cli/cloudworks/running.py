"""Starts a run, follows it and says how it ended, for integrations and flows."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from shlex import quote
from typing import TYPE_CHECKING, Annotated, NoReturn, Protocol

import msgspec
import typer

from anaplan_autoload.anaplan.errors import Busy, CloudWorksError, NotFound, Refused, TryLater, Unknown
from anaplan_autoload.domain.protocol import next_delay
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.cloudworks.workspace import Workspace
from anaplan_autoload_cli.completion import offered_integrations
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import FAILED, INTERRUPTED, LOADED, PARTIAL, Column, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.anaplan.cloudworks import CloudWorks
    from anaplan_autoload.domain.runs import Run, RunError
    from anaplan_autoload.domain.tenant import Integration
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Progress, Record

POLL_MIN = 1
POLL_MAX = 60
"""Seconds; the shortest and the longest wait between two looks at a run."""
LOOK_SECONDS = 30
"""How long to look for a current run in the history, which shows runs late."""
FIRST_ERRORS = 5

EXIT_CODES = {"loaded": LOADED, "partial": PARTIAL, "failed": FAILED}

_COLUMNS = (
    Column("outcome", "Outcome"),
    Column("name", "Name"),
    Column("message", "Message"),
    Column("error_code", "Code"),
    Column("started_at", "Started"),
    Column("seconds", "Seconds"),
    Column("run_id", "Run"),
)
ERRORS = (
    Column("action", "Action"),
    Column("occurrences", "Rows"),
    Column("message", "Error", fold=True),
    Column("values", "Values", fold=True),
)

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end, or print its id and go.")]
Join = Annotated[bool, typer.Option("--join", help="If it is running already, follow that run.")]


class Target(Protocol):
    """An integration or a flow, as something to run."""

    kind: str
    name: str
    can_be_cancelled: bool

    def start(self) -> str:
        """Start it, once, and return the run's id. Raises what the client does."""

    def going(self) -> str | None:
        """The id of the current run; None if none is shown."""

    def look(self, run_id: str) -> Run | None:
        """The run as it is now; None while it does not show."""

    def cancel(self) -> None:
        """Cancel the current run, if `can_be_cancelled`; raises the client's errors."""

    def errors(self, run: Run) -> tuple[RunError, ...]:
        """The run's errors."""


class IntegrationTarget:
    """An integration, as something to run."""

    kind = "integration"

    def __init__(self, cloudworks: CloudWorks, integration: Integration) -> None:
        self._cloudworks = cloudworks
        self.id = integration.id
        self.name = integration.name
        # CloudWorks answers 404 or 409 to every attempt to cancel the run of a process.
        self.can_be_cancelled = integration.kind != "process"

    def start(self) -> str:
        """See `Target`."""
        return self._cloudworks.run_integration(self.id)

    def going(self) -> str | None:
        """See `Target`."""
        return next((run.id for run in self._cloudworks.history(self.id).runs if not run.ended), None)

    def look(self, run_id: str) -> Run | None:
        """See `Target`; a run that was just accepted may not be known yet."""
        try:
            return self._cloudworks.run(run_id)
        except NotFound:
            return None

    def cancel(self) -> None:
        """See `Target`."""
        self._cloudworks.cancel(self.id)

    def errors(self, run: Run) -> tuple[RunError, ...]:
        """See `Target`."""
        return self._cloudworks.errors(run.id)


class FlowTarget:
    """A flow, as something to run. It is followed through its latest run, because its runs cannot be read by id."""

    kind = "flow"
    can_be_cancelled = False

    def __init__(self, cloudworks: CloudWorks, flow_id: str, name: str) -> None:
        self._cloudworks = cloudworks
        self._before: str | None = None
        self.id = flow_id
        self.name = name

    def start(self) -> str:
        """See `Target`."""
        latest = self._cloudworks.flow(self.id).run
        self._before = latest.started_at if latest else None
        return self._cloudworks.run_flow(self.id)

    def going(self) -> str | None:
        """See `Target`; to be called after `start`."""
        latest = self._cloudworks.flow(self.id).run
        if latest is None or latest.ended:
            return None
        self._before = None
        return latest.id

    def look(self, run_id: str) -> Run | None:
        """See `Target`; None while the flow still shows the run before."""
        flow = self._cloudworks.flow(self.id)
        if flow.run is None or flow.run.started_at is None or flow.run.started_at == self._before:
            return None
        run = flow.run_since(epoch_ms(flow.run.started_at))
        return run and msgspec.structs.replace(run, id=run_id)

    def cancel(self) -> NoReturn:
        """See `Target`: CloudWorks has no such thing for flows."""
        raise NotImplementedError

    def errors(self, run: Run) -> tuple[RunError, ...]:
        """See `Target`: CloudWorks does not say which errors belong to a flow's run."""
        return ()


def run_integration(
    context: typer.Context,
    integration: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID", help="The integration.", show_default=False, autocompletion=offered_integrations
        ),
    ],
    wait: Wait = True,
    join: Join = False,
) -> None:
    """Run an integration and follow it to its end.

    Exit codes: 0 loaded, 3 partial (rows were rejected or ignored), 1 failed. Ctrl-C asks whether to cancel the run;
    otherwise it continues at Anaplan.

    Keys with --json: outcome, name, run_id, integration_id, started_at, ended_at, seconds, message, error_code, author,
    trace_id, errors (action, action_id, message, occurrences, values, dump), errors_total; with --no-wait: run_id,
    name, integration_id.

    Examples:

        anaplan-autoload integrations run Accounts

        anaplan-autoload integrations run Accounts --no-wait
    """
    cli = cli_of(context)
    found = Workspace(cli.cloudworks).integration(integration)
    run(cli, IntegrationTarget(cli.cloudworks, found), {"integration_id": found.id}, wait=wait, join=join)


def run(cli: Cli, target: Target, ids: dict[str, str], *, wait: bool, join: bool) -> None:
    """Start the target (or join its run), follow it and report; ends with the outcome's exit code."""
    run_id = _started(cli, target, join=join)
    if not wait:
        if cli.out.as_json:
            cli.out.record({"run_id": run_id, "name": target.name, **ids}, ())
        else:
            cli.out.text(run_id)
        return
    ended = _followed(cli, target, run_id)
    found = target.errors(ended) if ended.outcome != "loaded" else ()
    _report(cli, target, ended, found, ids)
    raise typer.Exit(EXIT_CODES[ended.outcome])


def outcome_of(run: Run) -> str:
    """The outcome of a run that ended, else `running`, or `queued` before it has a start."""
    if run.ended:
        return run.outcome
    return "running" if run.started_at else "queued"


def run_record(run: Run) -> dict[str, object]:
    """A run under the keys that `--json` keeps."""
    return {
        "run_id": run.id,
        "outcome": outcome_of(run),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": _seconds(run),
        "message": run.message if run.ended else None,
        "error_code": run.error_code,
        "author": run.author,
        "trigger": run.trigger,
        "trace_id": run.trace_id,
    }


def error_record(error: RunError) -> Record:
    """One kind of error of a run under the keys that `--json` keeps."""
    record: dict[str, object] = msgspec.to_builtins(error)
    return record


# Starting.


def _started(cli: Cli, target: Target, *, join: bool) -> str:
    try:
        with cli.out.progress(f"Starting {target.name}"):
            return target.start()
    except Busy as error:
        if not join:
            raise CommandFailed(
                f"{target.name!r} is running already.",
                asked=error.facts.asked,
                answered=error.facts.answered,
                remedy="Follow that one with --join, or start yours when it has ended.",
            ) from error
    except Unknown as error:
        raise CommandFailed(
            f"It is not known whether a run of {target.name!r} has begun. {error.text}",
            asked=error.facts.asked,
            remedy=f"Before you start another, check whether it is listed: {_history(target)}",
        ) from error
    except KeyboardInterrupt:
        cli.out.warning(f"A run of {target.name!r} may have begun. See: {_history(target)}")
        raise
    return _joined(cli, target)


def _joined(cli: Cli, target: Target) -> str:
    """The current run, which the history may show late."""
    deadline = time.monotonic() + LOOK_SECONDS
    with cli.out.progress(f"Looking for the current run of {target.name}"):
        while True:
            if run_id := target.going():
                cli.out.hint(f"Joined run {run_id}, which somebody started before.")
                return run_id
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{target.name!r} is running, but CloudWorks does not show the run yet.",
                    remedy="Try again: CloudWorks shows a run that waits for its model only once it has begun.",
                )
            time.sleep(POLL_MIN)


# Following.


def _followed(cli: Cli, target: Target, run_id: str) -> Run:
    """The run when it has ended. Ctrl-C asks whether to cancel it; it is then followed to that end."""
    began = time.monotonic()
    while True:
        try:
            with cli.out.progress(f"{target.name}: waiting for the run to begin") as line:
                return _ended(target, run_id, began, line)
        except KeyboardInterrupt:
            _interrupted(cli, target, run_id)


def _ended(target: Target, run_id: str, began: float, line: Progress) -> Run:
    while True:
        age = time.monotonic() - began
        seen, delay = _look(target, run_id, next_delay(age, POLL_MIN, POLL_MAX))
        if isinstance(seen, str):
            state = f"cannot be read now, trying again ({seen})"
        elif seen is None:
            state = "queued"
        elif seen.ended:
            return seen
        else:
            state, age = outcome_of(seen), max(age, _seconds(seen) or 0)
        for second in range(max(1, round(delay))):
            line.update(f"{target.name}: {state}, {round(age) + second} s")
            time.sleep(1)


def _look(target: Target, run_id: str, delay: float) -> tuple[Run | str | None, float]:
    """The run, or why it could not be read, and when to look again. Errors of Anaplan do not end a run."""
    try:
        return target.look(run_id), delay
    except TryLater as error:
        return str(error), min(max(delay, error.retry_after or 0), POLL_MAX)
    except Refused:
        raise
    except CloudWorksError as error:
        return str(error), delay


def _interrupted(cli: Cli, target: Target, run_id: str) -> None:
    """Cancel the run if the user wants that; else leave it running and end with the exit code of an interrupt."""
    wanted = False
    if cli.out.interactive and target.can_be_cancelled:
        with _second_interrupt(cli, target, run_id):
            wanted = typer.confirm(f"\nCancel run {run_id} of {target.name!r}?", default=False, err=True)
    if not wanted:
        _left_running(cli, target, run_id)
    try:
        target.cancel()
        cli.out.hint("Cancelling; waiting for the end.")
    except Refused as error:
        if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise
        raise CommandFailed(
            "The run could not be cancelled: it has not begun, or has just ended. If it has not ended, it continues.",
            asked=error.facts.asked,
            answered=error.facts.answered,
            remedy=f"Follow it: {_follow(target)}",
        ) from error


@contextmanager
def _second_interrupt(cli: Cli, target: Target, run_id: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        _left_running(cli, target, run_id)


def _left_running(cli: Cli, target: Target, run_id: str) -> NoReturn:
    why = "" if target.can_be_cancelled else " (CloudWorks cancels neither flows nor processes)"
    cli.out.warning(f"Run {run_id} continues at Anaplan{why}. Follow it: {_follow(target)}")
    raise typer.Exit(INTERRUPTED)


# Reporting.


def _report(cli: Cli, target: Target, ended: Run, errors: tuple[RunError, ...], ids: dict[str, str]) -> None:
    record = run_record(ended) | {"name": target.name, **ids}
    if cli.out.as_json:
        record |= {"errors": [error_record(error) for error in errors[:FIRST_ERRORS]], "errors_total": len(errors)}
        cli.out.record(record, ())
        return
    cli.out.record(record, _COLUMNS)
    if errors:
        cli.out.text("")
        cli.out.rows([error_record(error) for error in errors[:FIRST_ERRORS]], ERRORS)
    if len(errors) > FIRST_ERRORS:
        cli.out.hint(f"{len(errors) - FIRST_ERRORS} more: anaplan-autoload errors {ended.id}")
    actions = list(dict.fromkeys(error.action_id for error in errors if error.dump))
    for action in actions:
        which = f" --action {action}" if len(actions) > 1 else ""
        cli.out.hint(f"The rejected rows: anaplan-autoload dump {ended.id}{which} -o rows.csv")


def _seconds(run: Run) -> int | None:
    if run.started_at is None:
        return None
    end = epoch_ms(run.ended_at) if run.ended_at else datetime.now(UTC).timestamp() * 1000
    return max(0, round((end - epoch_ms(run.started_at)) / 1000))


def _history(target: Target) -> str:
    if target.kind == "flow":
        return f"anaplan-autoload flows show {quote(target.name)}"
    return f"anaplan-autoload history {quote(target.name)} --limit 3"


def _follow(target: Target) -> str:
    return f"anaplan-autoload {target.kind}s run {quote(target.name)} --join"
