"""`flows`: integrations that run one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.cloudworks.running import FlowTarget, Join, Wait, outcome_of, run
from anaplan_autoload_cli.cloudworks.workspace import Workspace
from anaplan_autoload_cli.completion import offered_flows
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.output import Column

if TYPE_CHECKING:
    from anaplan_autoload.domain.runs import Flow, Run, Step
    from anaplan_autoload.domain.tenant import FlowSummary
    from anaplan_autoload_cli.output import Record

app = group("List and run integration flows.")

_COLUMNS = (
    Column("name", "Name"),
    Column("steps_total", "Steps"),
    Column("last_run", "Last run"),
    Column("last_started_at", "Started", spare=True),
    Column("id", "Id"),
)
_STEPS = (
    Column("name", "Step"),
    Column("last_run", "Last run"),
    Column("last_started_at", "Started", spare=True),
    Column("last_message", "Message", fold=True),
    Column("integration_id", "Integration"),
)

FlowArgument = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="The flow.", show_default=False, autocompletion=offered_flows)
]


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the integration flows that you can see. Only flows show says whether a step lost rows.

    Keys with --json: id, name, steps_total, last_run (loaded, partial, failed or running), last_started_at,
    last_ended_at.
    """
    cli = cli_of(context)
    found = Workspace(cli.cloudworks).flows()
    cli.out.rows([_record(flow) for flow in found], _COLUMNS, nothing=NOTHING_VISIBLE)


@app.command()
def show(context: typer.Context, flow: FlowArgument) -> None:
    """Show a flow's steps and the latest run of each.

    Keys with --json: those of list, and steps (name, integration_id, last_run, last_started_at, last_message).
    """
    cli = cli_of(context)
    found = Workspace(cli.cloudworks).flow(flow)
    detail = cli.cloudworks.flow(found.id)
    steps = [_step_record(step) for step in detail.steps]
    record = _record(msgspec.structs.replace(found, last_run=_judged(detail)))
    if cli.out.as_json:
        cli.out.record(record | {"steps": steps}, ())
        return
    cli.out.record(record, _COLUMNS)
    cli.out.text("")
    cli.out.rows(steps, _STEPS)


@app.command("run")
def run_flow(context: typer.Context, flow: FlowArgument, wait: Wait = True, join: Join = False) -> None:
    """Run all enabled steps of a flow and follow it to its end.

    Exit codes: 0 loaded, 3 partial (the flow succeeded though a step did not load everything), 1 failed. CloudWorks has
    no way to cancel a flow.

    Keys with --json: as for integrations run, with flow_id.
    """
    cli = cli_of(context)
    found = Workspace(cli.cloudworks).flow(flow)
    run(cli, FlowTarget(cli.cloudworks, found.id, found.name), {"flow_id": found.id}, wait=wait, join=join)


def _judged(flow: Flow) -> Run | None:
    """The flow's latest run with its steps taken into account, which a list does not show."""
    if flow.run is None or flow.run.started_at is None:
        return flow.run
    return flow.run_since(epoch_ms(flow.run.started_at))


def _record(flow: FlowSummary) -> dict[str, object]:
    latest = flow.last_run
    return {
        "id": flow.id,
        "name": flow.name,
        "steps_total": flow.steps,
        "last_run": latest and outcome_of(latest),
        "last_started_at": latest and latest.started_at,
        "last_ended_at": latest and latest.ended_at,
    }


def _step_record(step: Step) -> Record:
    return {
        "name": step.name,
        "integration_id": step.integration_id,
        "last_run": outcome_of(step.run) if step.run else None,
        "last_started_at": step.run and step.run.started_at,
        "last_message": step.run.message if step.run and step.run.ended else None,
    }
