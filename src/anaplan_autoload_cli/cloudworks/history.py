"""`history`, `errors` and `dump`: how runs ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anaplan_autoload.domain.runs import Run, RunError
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.cloudworks.running import ERRORS, error_record, run_record
from anaplan_autoload_cli.cloudworks.workspace import Workspace, pick
from anaplan_autoload_cli.completion import offered_integrations_and_routes
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.times import MOST, moment

if TYPE_CHECKING:
    from anaplan_autoload.anaplan.cloudworks import CloudWorks, Dump
    from anaplan_autoload.domain.tenant import Integration
    from anaplan_autoload_cli.context import Cli

PAGE = 100
CAP = 2 * 1024**3
"""Bytes of a dump that are fetched at most; Anaplan itself stops far earlier."""

_COLUMNS = (
    Column("started_at", "Started"),
    Column("outcome", "Outcome"),
    Column("seconds", "Seconds", spare=True),
    Column("message", "Message", fold=True),
    Column("author", "By", fold=True, spare=True),
    Column("run_id", "Run"),
)

RunId = Annotated[str, typer.Argument(help="The run's id, as history and messages show it.", show_default=False)]


def history(
    context: typer.Context,
    integration: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID|ROUTE",
            help="The integration, or a route that runs it.",
            show_default=False,
            autocompletion=offered_integrations_and_routes,
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many runs at most.")] = 20,
    since: Annotated[str | None, typer.Option(help="Not older than 12h, 7d or 2026-11-24.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or were partial.")] = False,
) -> None:
    """Show all runs of an integration, newest first.

    Keys with --json: run_id, outcome (loaded, partial, failed, running or queued), started_at, ended_at, seconds,
    message, error_code, author, trigger, trace_id.

    Example:

        anaplan-autoload history Accounts --failed --since 7d
    """
    cli = cli_of(context)
    oldest = moment(since) if since else None
    found = _integration(cli, integration)
    runs = (run for run in _since(_runs(cli.cloudworks, found.id), oldest) if not failed or _is_unclean(run))
    cli.out.rows(
        [run_record(run) for run in islice(runs, limit)], _COLUMNS, nothing=f"No such run of {found.name!r} was found."
    )


def errors(context: typer.Context, run_id: RunId) -> None:
    """Show the errors of a run's actions; nothing for a clean run. For batch-…, why no run began.

    Keys with --json: action, action_id, message, occurrences, values, dump (whether rejected rows are available).
    """
    cli = cli_of(context)
    if reason := _why_no_run(cli, run_id):
        cli.out.rows([error_record(RunError("no run began", reason))], ERRORS)
        return
    found = cli.cloudworks.errors(run_id)
    cli.out.rows([error_record(error) for error in found], ERRORS, nothing="This run reported no errors.")


def dump(
    context: typer.Context,
    run_id: RunId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; default: stdout.")] = None,
    action: Annotated[str | None, typer.Option(help="For a process: the id of the import (112…).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Print the rows that a run rejected, as Anaplan's CSV. Anaplan keeps it for about 48 hours.

    Example:

        anaplan-autoload dump 3f2a… -o rows.csv
    """
    cli = cli_of(context)
    if output and output.exists() and not force:
        raise CommandFailed(f"{output} exists already.", remedy="Give another name, or --force to replace it.")
    if reason := _why_no_run(cli, run_id):
        raise CommandFailed(f"No run began, so no rows were rejected: {reason}")
    found = _found(cli, run_id, action)
    if output is None:
        _write(found, sys.stdout.buffer.write)
        return
    unfinished = output.with_name(f"{output.name}.part")
    with unfinished.open("wb") as file:
        size = _write(found, file.write)
    unfinished.replace(output)
    cli.out.done(f"{size} bytes were written to {output}.")


def _integration(cli: Cli, wanted: str) -> Integration:
    """The integration of that id or name, else the one that the route of that name runs."""
    # Imported here, because only this command needs routes.
    from anaplan_autoload_cli.service.places import known_routes

    everything = Workspace(cli.cloudworks).integrations()
    routes = {route.name: route for route in known_routes(cli)}
    by_itself = any(wanted in (found.id, found.name) for found in everything)
    if by_itself or wanted not in routes:
        return pick(everything, wanted, "integration", also=routes)
    if routes[wanted].integration is None:
        raise CommandFailed(
            f"Route {wanted!r} runs a flow, and CloudWorks keeps no history of flows.",
            remedy=f"See anaplan-autoload loads --route {wanted}; anaplan-autoload flows show {routes[wanted].flow}.",
        )
    return pick(everything, routes[wanted].target, "integration")


def _why_no_run(cli: Cli, run_id: str) -> str | None:
    """Why a batch (`batch-…`) ended without a run, which the ledger knows; None for the id of a run."""
    if not run_id.startswith("batch-"):
        return None
    # Imported here, because it is made with this module.
    from anaplan_autoload_cli.service.loads import batch_without_run

    return batch_without_run(cli, run_id).message


def _found(cli: Cli, run_id: str, action: str | None) -> Dump:
    """The requested dump: an import has one, a process has one for every import in it."""
    found = cli.cloudworks.dump(run_id, action, cap=CAP)
    if found is None and action is None:
        errors = cli.cloudworks.errors(run_id)
        dumped = list(dict.fromkeys(error.action_id for error in errors if error.dump and error.action_id))
        if len(dumped) > 1:
            raise CommandFailed(
                f"Several actions of this run rejected rows: {', '.join(dumped)}.", remedy="Name one with --action."
            )
        found = cli.cloudworks.dump(run_id, dumped[0], cap=CAP) if dumped else None
    if found is None:
        raise CommandFailed(
            "This run has no rejected rows.",
            remedy="A clean run has none, and Anaplan keeps them for about 48 hours; routes with a reports bucket keep "
            "them there.",
        )
    return found


def _write(found: Dump, write: Callable[[bytes], object]) -> int:
    size = 0
    for chunk in found:
        write(chunk)
        size += len(chunk)
    return size


def _runs(cloudworks: CloudWorks, integration_id: str) -> Iterator[Run]:
    """All runs, each once, even if new runs shift others to the next page."""
    seen = set()
    for page in cloudworks.histories(integration_id, PAGE):
        for run in page.runs:
            if run.id not in seen:
                seen.add(run.id)
                yield run


def _since(runs: Iterator[Run], oldest: int | None) -> Iterator[Run]:
    """Runs that started at `oldest` (epoch ms) or later; a run without a start is about to begin."""
    for run in runs:
        if oldest is not None and run.started_at and epoch_ms(run.started_at) < oldest:
            return
        yield run


def _is_unclean(run: Run) -> bool:
    return run.ended and run.outcome != "loaded"
