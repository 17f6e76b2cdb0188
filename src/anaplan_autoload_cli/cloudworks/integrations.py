"""`integrations`: CloudWorks' import and export jobs."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.domain.tenant import EXPORT_JOB, IMPORT_JOB
from anaplan_autoload_cli.cloudworks import definitions
from anaplan_autoload_cli.cloudworks.definitions import Change, DefinedIntegration, Export, Import
from anaplan_autoload_cli.cloudworks.running import outcome_of, run_integration
from anaplan_autoload_cli.cloudworks.workspace import Workspace, pick
from anaplan_autoload_cli.completion import offered_integrations
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.output import Column, CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload.domain.tenant import Integration, Job
    from anaplan_autoload_cli.cloudworks.workspace import Definition
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Record

app = group("Create, change, list and run integrations.")
app.command("run")(run_integration)

_COLUMNS = (
    Column("name", "Name"),
    Column("kind", "Kind"),
    Column("last_run", "Last run"),
    Column("last_started_at", "Started", spare=True),
    Column("id", "Id"),
)
_DETAILS = (
    Column("name", "Name"),
    Column("id", "Id"),
    Column("kind", "Kind"),
    Column("process_id", "Process"),
    Column("workspace_id", "Workspace"),
    Column("model_id", "Model"),
    Column("created_by", "Created by"),
    Column("modified_at", "Modified"),
    Column("last_run", "Last run"),
    Column("last_started_at", "Started"),
)
_FILES = (
    Column("direction", "Direction"),
    Column("file", "File"),
    Column("bucket", "Bucket"),
    Column("action", "Action"),
    Column("data_source", "Data source", spare=True),
    Column("connection", "Connection", spare=True),
)
_APPLIED = (Column("name", "Name"), Column("state", "State"), Column("id", "Id"))

WantedName = Annotated[
    str,
    typer.Argument(metavar="NAME|ID", help="The integration.", show_default=False, autocompletion=offered_integrations),
]


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the integrations that you can see.

    Keys with --json: id, name, kind (import, export or process), workspace_id, model_id, process_id, created_by,
    modified_at, last_run (loaded, partial, failed or running), last_started_at, last_ended_at, last_message.
    """
    cli = cli_of(context)
    found = Workspace(cli.cloudworks).integrations()
    cli.out.rows([_record(integration) for integration in found], _COLUMNS, nothing=NOTHING_VISIBLE)


@app.command()
def show(context: typer.Context, integration: WantedName) -> None:
    """Show one integration and the files it reads and writes.

    Keys with --json: those of list, and files (direction, file, bucket, connection, action, data_source, overwrite).
    """
    cli = cli_of(context)
    tenant = Workspace(cli.cloudworks)
    found = tenant.details(tenant.integration(integration).id)
    files = [_file_record(job) for job in found.jobs or ()]
    cli.out.record(_record(found) | {"files": files}, _DETAILS)
    if files and not cli.out.as_json:
        cli.out.text("")
        cli.out.rows(files, _FILES)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Its name; no two integrations share one.")],
    connection: Annotated[str | None, typer.Option(help="The connection, by name or id.")] = None,
    file: Annotated[str | None, typer.Option(help="Import: the key of the file that it loads.")] = None,
    action: Annotated[str | None, typer.Option(help="The id of the import (112…) or export (116…) action.")] = None,
    data_source: Annotated[str | None, typer.Option(help="Import: the id of the action's data source (113…).")] = None,
    export: Annotated[bool, typer.Option("--export", help="From Anaplan to S3.")] = False,
    folder: Annotated[str | None, typer.Option(help="Export: the folder to write to, such as exports/.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Export: replace the file of the last run.")] = True,
    process: Annotated[str | None, typer.Option(help="The id of a process (118…).")] = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's id.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's id.")] = None,
) -> None:
    r"""Create an integration: S3 to Anaplan, with --export Anaplan to S3, with --process a process.

    For processes that read or write several files, and for several integrations at once, see [b]apply[/b].

    Examples:

        anaplan-autoload integrations create --name Accounts \
            --connection finance-inbox --file source/Accounts.csv \
            --action 112000000001 --data-source 113000000001 \
            --workspace 8a80… --model E559…

        anaplan-autoload integrations create --name Forecast --export \
            --connection finance-inbox --folder exports/ --action 116000000001 \
            --workspace 8a80… --model E559…
    """
    cli = cli_of(context)
    wanted = DefinedIntegration(
        name,
        cli.settings.get("workspace", workspace),
        cli.settings.get("model", model),
        connection,
        process,
        () if export else _import_of(file, action, data_source, required=process is None),
        _export_of(folder, action, overwrite=overwrite) if export else (),
    )
    tenant = Workspace(cli.cloudworks)
    made = tenant.create_integration(_definition(tenant, wanted))
    cli.out.done(f"Integration {name!r} was created. Run it: anaplan-autoload integrations run {quote(name)}")
    cli.out.record({"id": made, "name": name}, (Column("id", "Id"),))


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A TOML file of integrations.", show_default=False)],
) -> None:
    """Make CloudWorks' integrations match a file: create missing ones, show differences, and change them if you agree.

    Integrations that are not in the file stay unchanged. The file:

        workspace  = "8a80…"          # these three apply to all that name none
        model      = "E559…"
        connection = "finance-inbox"  # name or id

        [[integration]]
        name   = "Accounts"
        import = { file = "Accounts.csv", action = "112…", data_source = "113…" }

        [[integration]]
        name   = "Forecast"
        export = { folder = "exports/", action = "116…", overwrite = true }

        [[integration]]
        name    = "Nightly"
        process = "118…"
        import  = [ { file = …, action = …, data_source = … }, … ]

    Keys with --json: name, id, state (created, changed or unchanged), changes (what, now, wanted).
    """
    cli = cli_of(context)
    tenant = Workspace(cli.cloudworks)
    wanted = [_with_defaults(cli, one) for one in definitions.read(file)]
    connections = tenant.connections()
    planned = [definitions.definition(one, lambda name: pick(connections, name, "connection").id) for one in wanted]
    current = {found.name: found for found in tenant.integrations()}
    steps = [_step(tenant, definition, current.get(definition.name)) for definition in planned]
    done = {step.definition.name: _created(cli, tenant, step) for step in steps if step.current is None}
    _agree(cli, [step for step in steps if step.changes])
    done |= {step.definition.name: _changed(cli, tenant, step) for step in steps if step.current is not None}
    cli.out.rows([done[step.definition.name] for step in steps], _APPLIED)


@app.command()
def delete(context: typer.Context, integration: WantedName) -> None:
    """Delete an integration and its history. Data that it loaded stays."""
    cli = cli_of(context)
    tenant = Workspace(cli.cloudworks)
    found = tenant.integration(integration)
    cli.out.confirm(f"Delete integration {found.name!r} and its history?")
    tenant.delete_integration(found.id)
    cli.out.done(f"Integration {found.name!r} was deleted.")


class _Step(msgspec.Struct, frozen=True):
    """What `apply` does with one integration."""

    definition: Definition
    current: Integration | None
    """None: it is missing."""
    changes: tuple[Change, ...] = ()


def _step(tenant: Workspace, definition: Definition, current: Integration | None) -> _Step:
    if current is None:
        return _Step(definition, None)
    details = tenant.details(current.id)
    return _Step(definition, details, tuple(definitions.differences(details, definition)))


def _agree(cli: Cli, changed: list[_Step]) -> None:
    """Show what would change. Raises `CommandFailed` unless the user, or `--yes`, agrees."""
    if not changed:
        return
    for step in changed:
        cli.out.hint(f"{step.definition.name}:")
        for change in step.changes:
            cli.out.hint(f"  {change.what}: {change.now or 'nothing'} → {change.wanted or 'nothing'}")
    what = "1 integration" if len(changed) == 1 else f"{len(changed)} integrations"
    cli.out.confirm(f"Change {what} as shown?")


def _created(cli: Cli, tenant: Workspace, step: _Step) -> Record:
    name = step.definition.name
    made = tenant.create_integration(step.definition)
    cli.out.done(f"Integration {name!r} was created.")
    return {"name": name, "id": made, "state": "created", "changes": []}


def _changed(cli: Cli, tenant: Workspace, step: _Step) -> Record:
    name, current = step.definition.name, step.current
    if current and step.changes:
        tenant.replace_integration(current, step.definition)
        cli.out.done(f"Integration {name!r} was changed.")
    state = "changed" if step.changes else "unchanged"
    changes: object = msgspec.to_builtins(step.changes)
    return {"name": name, "id": current and current.id, "state": state, "changes": changes}


def _with_defaults(cli: Cli, wanted: DefinedIntegration) -> DefinedIntegration:
    return msgspec.structs.replace(
        wanted,
        workspace=cli.settings.get("workspace", wanted.workspace),
        model=cli.settings.get("model", wanted.model),
    )


def _definition(tenant: Workspace, wanted: DefinedIntegration) -> Definition:
    return definitions.definition(wanted, lambda name: tenant.connection(name).id)


def _import_of(
    file: str | None, action: str | None, data_source: str | None, *, required: bool
) -> Import | tuple[Import, ...]:
    if not required and not (file or action or data_source):
        return ()
    if file and action and data_source:
        return Import(file, action, data_source)
    raise CommandFailed(
        "An import needs the file that it loads, its action and that action's data source.",
        remedy="Give --file, --action and --data-source; for an export give --export.",
    )


def _export_of(folder: str | None, action: str | None, *, overwrite: bool) -> Export:
    if folder and action:
        return Export(folder, action, overwrite)
    raise CommandFailed("An export needs its action and the folder to write to.", remedy="Give --action and --folder.")


def _record(integration: Integration) -> dict[str, object]:
    run = integration.last_run
    return {
        "id": integration.id,
        "name": integration.name,
        "kind": integration.kind,
        "workspace_id": integration.workspace_id,
        "model_id": integration.model_id,
        "process_id": integration.process_id,
        "created_by": integration.created_by,
        "modified_at": integration.modified_at,
        "last_run": run and outcome_of(run),
        "last_started_at": run and run.started_at,
        "last_ended_at": run and run.ended_at,
        "last_message": run.message if run and run.ended_at else None,
    }


def _file_record(job: Job) -> Record:
    record: dict[str, object] = dict(definitions.described(job))
    kind = record.pop("type")
    directions = {IMPORT_JOB: "S3 to Anaplan", EXPORT_JOB: "Anaplan to S3"}
    buckets = [end.bucket_name for end in (*job.sources, *job.targets) if end.bucket_name]
    return {"direction": directions.get(str(kind), kind), "bucket": next(iter(buckets), None), **record}
