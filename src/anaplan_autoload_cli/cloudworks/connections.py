"""`connections`: how CloudWorks gets at S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.domain.tenant import S3
from anaplan_autoload_cli.cloudworks.keys import keys_for_cloudworks
from anaplan_autoload_cli.cloudworks.policy import INFERRED, least_policy
from anaplan_autoload_cli.cloudworks.workspace import ConnectionDefinition, Workspace
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.output import Column, CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload.domain.tenant import Connection
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Record

app = group("CloudWorks' connections to S3 buckets.")

_COLUMNS = (
    Column("name", "Name"),
    Column("state", "State"),
    Column("bucket", "Bucket"),
    Column("workspace_id", "Workspace", spare=True),
    Column("id", "Id"),
)
_DETAILS = (
    *_COLUMNS,
    Column("type", "Type"),
    Column("role_arn", "Role"),
    Column("trouble", "Trouble"),
    Column("created_by", "Created by"),
    Column("modified_at", "Modified"),
)

Wanted = Annotated[str, typer.Argument(metavar="NAME|ID", help="The connection.", show_default=False)]
KeysFrom = Annotated[
    str | None,
    typer.Option(help="The AWS profile with the keys for CloudWorks; otherwise AWS_ACCESS_KEY_ID or a prompt."),
]
RoleArn = Annotated[str | None, typer.Option(help="A role that CloudWorks is to assume with the keys.")]
OfWorkspace = Annotated[
    str | None, typer.Option("--workspace", help="The workspace's id; a Restricted Integration User must name it.")
]


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the connections that you can see.

    Keys with --json: id, name, type, bucket, role_arn, workspace_id, state (ok or broken), error_code, trouble,
    created_by, modified_at.
    """
    cli = cli_of(context)
    connections = _workspace(cli).connections()
    cli.out.rows([_record(found) for found in connections], _COLUMNS, nothing=NOTHING_VISIBLE)
    for broken in connections:
        if broken.trouble:
            cli.out.hint(f"{broken.name!r} does not work: {broken.trouble}.")


@app.command()
def show(context: typer.Context, connection: Wanted) -> None:
    """Show one connection; its keys nobody can see again."""
    cli = cli_of(context)
    cli.out.record(_record(_workspace(cli).connection(connection)), _DETAILS)


@app.command()
def check(context: typer.Context, connection: Wanted) -> None:
    """Show whether a connection worked when CloudWorks last tried it; exit code 1 if not."""
    cli = cli_of(context)
    found = _workspace(cli).connection(connection)
    cli.out.record(_record(found), _DETAILS)
    if found.trouble:
        raise CommandFailed(f"Connection {found.name!r} does not work: {found.trouble}.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Its name; no two connections share one.")],
    bucket: Annotated[str, typer.Option(help="The bucket.")],
    role_arn: RoleArn = None,
    workspace: OfWorkspace = None,
    keys_from: KeysFrom = None,
) -> None:
    r"""Create a connection to an S3 bucket; CloudWorks checks the keys at once.

    Use long-lived keys of an IAM user that only CloudWorks uses: [b]connections policy[/b] prints what it needs.
    They come from --keys-from PROFILE, from the environment, or are asked for. They are never an argument.

    Example:

        anaplan-autoload connections create --name finance-inbox \
            --bucket finance-inbox --keys-from cloudworks
    """
    cli = cli_of(context)
    workspace_id = cli.settings.get("workspace", workspace)
    keys = keys_for_cloudworks(cli, keys_from)
    made = _workspace(cli).create_connection(ConnectionDefinition(name, bucket, keys, role_arn, workspace_id))
    cli.out.done(f"Connection {name!r} to bucket {bucket} was created.")
    cli.out.record({"id": made, "name": name, "bucket": bucket}, (Column("id", "Id"),))


@app.command()
def update(
    context: typer.Context,
    connection: Wanted,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Another bucket.")] = None,
    role_arn: RoleArn = None,
    workspace: OfWorkspace = None,
    keys_from: KeysFrom = None,
) -> None:
    """Change a connection, or renew its keys. Other settings stay. CloudWorks needs the keys each time.

    Example: new keys after a rotation:

        anaplan-autoload connections update finance-inbox --keys-from cloudworks
    """
    cli = cli_of(context)
    tenant = _workspace(cli)
    current = tenant.connection(connection)
    if current.type != S3:
        raise CommandFailed(f"{current.name!r} is of type {current.type}; this command changes those to S3 only.")
    definition = ConnectionDefinition(
        name or current.name,
        bucket or current.bucket or "",
        keys_for_cloudworks(cli, keys_from),
        role_arn or current.role_arn,
        workspace or current.workspace_id,
    )
    cli.out.confirm(f"Replace connection {current.name!r}? Integrations use it from their next run on.")
    tenant.replace_connection(current.id, definition)
    cli.out.done(f"Connection {definition.name!r} was changed.")


@app.command()
def delete(context: typer.Context, connection: Wanted) -> None:
    """Delete a connection that no integration uses."""
    cli = cli_of(context)
    tenant = _workspace(cli)
    found = tenant.connection(connection)
    cli.out.confirm(f"Delete connection {found.name!r} to bucket {found.bucket}?")
    tenant.delete_connection(found.id)
    cli.out.done(f"Connection {found.name!r} was deleted.")


@app.command()
def policy(
    context: typer.Context,
    bucket: Annotated[str, typer.Option(help="The bucket.")],
    prefix: Annotated[
        list[str] | None, typer.Option(help="Where the files lie; may be repeated. Default: the whole bucket.")
    ] = None,
    export: Annotated[bool, typer.Option("--export", help="CloudWorks writes there too.")] = False,
) -> None:
    r"""Print the least IAM policy for the user whose keys a connection holds.

    CloudWorks reads what its integrations name as their source: the uploads themselves where a route has load =
    "latest", the copies under stage_to where it has "each".

    Example:

        anaplan-autoload connections policy --bucket finance-inbox \
            --prefix incoming/ --prefix source/ > policy.json
    """
    cli = cli_of(context)
    cli.out.text(json.dumps(least_policy(bucket, tuple(prefix or ()), export=export), indent=2))
    cli.out.hint(INFERRED)


def _workspace(cli: Cli) -> Workspace:
    return Workspace(cli.cloudworks)


def _record(connection: Connection) -> Record:
    record: dict[str, object] = msgspec.to_builtins(connection)
    del record["works"]
    return record | {"state": "ok" if connection.works else "broken", "trouble": connection.trouble}
