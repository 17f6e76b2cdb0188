"""`connections`: how CloudWorks reaches S3."""

from __future__ import annotations

import json
import re
from getpass import getpass
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.domain.routes_file.keys import BUCKET_NAME
from anaplan_autoload.domain.tenant import S3
from anaplan_autoload_cli.cloudworks.workspace import ConnectionDefinition, ConnectionKeys, Workspace
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.login import asked_for
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


def _bucket_name(bucket: str | None) -> str | None:
    if bucket is None or BUCKET_NAME.fullmatch(bucket):
        return bucket
    raise typer.BadParameter(f"{bucket!r} is not a bucket name. Write the name only, without s3:// and without a key.")


ConnectionArgument = Annotated[str, typer.Argument(metavar="NAME|ID", help="The connection.", show_default=False)]
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
def show(context: typer.Context, connection: ConnectionArgument) -> None:
    """Show one connection. Its keys are never shown."""
    cli = cli_of(context)
    cli.out.record(_record(_workspace(cli).connection(connection)), _DETAILS)


@app.command()
def check(context: typer.Context, connection: ConnectionArgument) -> None:
    """Check whether a connection works, as CloudWorks last found it; exit code 1 if it does not."""
    cli = cli_of(context)
    found = _workspace(cli).connection(connection)
    cli.out.record(_record(found), _DETAILS)
    if found.trouble:
        raise CommandFailed(f"Connection {found.name!r} does not work: {found.trouble}.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Its name; no two connections share one.")],
    bucket: Annotated[str, typer.Option(help="The bucket.", callback=_bucket_name)],
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
    connection: ConnectionArgument,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Another bucket.", callback=_bucket_name)] = None,
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
def delete(context: typer.Context, connection: ConnectionArgument) -> None:
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
    bucket: Annotated[str, typer.Option(help="The bucket.", callback=_bucket_name)],
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


INFERRED = (
    "Anaplan does not publish the least policy. This one is inferred from what CloudWorks does: find the bucket, list "
    'a folder, read (and write) its files. If a connection is refused ("Bucket access denied"), first try '
    "s3:ListBucket without its condition."
)
"""A note for the user of the policy."""


def least_policy(bucket: str, prefixes: tuple[str, ...], *, export: bool) -> dict[str, object]:
    """An IAM policy for `bucket` and the keys under `prefixes` (none: all); with `export`, for writing too."""
    arn = f"arn:aws:s3:::{bucket}"
    prefixes = tuple(re.sub(r"[*?$]", r"${\g<0>}", prefix) for prefix in prefixes)  # IAM takes them literally then
    keys = [f"{arn}/{prefix}*" for prefix in prefixes] or [f"{arn}/*"]
    listing: dict[str, object] = {
        "Sid": "ListTheFiles",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": arn,
    }
    if prefixes:
        listing["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "FindTheBucket", "Effect": "Allow", "Action": "s3:GetBucketLocation", "Resource": arn},
            listing,
            {
                "Sid": "ReadAndWriteTheFiles" if export else "ReadTheFiles",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"] if export else "s3:GetObject",
                "Resource": keys,
            },
        ],
    }


def keys_for_cloudworks(cli: Cli, profile: str | None) -> ConnectionKeys:
    """The keys of `profile`, else those that the AWS session finds if the user agrees, else what the user types.

    Raises `CommandFailed` for keys that end with a session, as CloudWorks keeps them and has no place for the token.
    """
    import boto3

    session = boto3.session.Session(profile_name=profile) if profile else cli.aws
    found = session.get_credentials()
    if found is None:
        if not cli.out.interactive:
            raise CommandFailed(
                "No AWS keys for CloudWorks were found, and there is no terminal to type them in.",
                remedy="Name a profile with --keys-from, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        return ConnectionKeys(asked_for("AWS access key id for CloudWorks"), getpass("Its secret access key: "))
    frozen = found.get_frozen_credentials()
    if frozen.token:
        raise CommandFailed(
            "The AWS keys found are temporary: they carry a session token, which a CloudWorks connection cannot hold, "
            "and it would stop working with them.",
            remedy="Make an access key of an IAM user for CloudWorks alone, and name its profile with --keys-from.",
        )
    if not frozen.access_key or not frozen.secret_key:
        raise CommandFailed("The AWS keys found are incomplete.", remedy="Name a profile with --keys-from.")
    which = f"AWS access key …{frozen.access_key[-4:]}"
    if profile:
        cli.out.hint(f"CloudWorks gets the {which} of profile {profile}.")
    else:
        cli.out.confirm(f"Hand the {which}, found in {found.method}, to CloudWorks, which will keep it?")
    return ConnectionKeys(frozen.access_key, frozen.secret_key)
