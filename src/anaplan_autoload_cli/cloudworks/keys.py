"""AWS keys that are handed to CloudWorks: never an argument, never shown."""

from __future__ import annotations

from getpass import getpass
from typing import TYPE_CHECKING

from anaplan_autoload_cli.cloudworks.workspace import ConnectionKeys
from anaplan_autoload_cli.login import asked_for
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli


def keys_for_cloudworks(cli: Cli, profile: str | None) -> ConnectionKeys:
    """The keys of `profile`, else those that the AWS session finds if somebody agrees, else what somebody types.

    Raises `CommandFailed` for keys that end with a session, as CloudWorks keeps them and has no place for the token.
    """
    import boto3

    session = boto3.session.Session(profile_name=profile) if profile else cli.aws
    found = session.get_credentials()
    if found is None:
        if not cli.out.interactive:
            raise CommandFailed(
                "There are no AWS keys for CloudWorks, and nobody can type them here.",
                remedy="Name a profile with --keys-from, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        return ConnectionKeys(asked_for("AWS access key id for CloudWorks"), getpass("Its secret access key: "))
    frozen = found.get_frozen_credentials()
    if frozen.token:
        raise CommandFailed(
            "The AWS keys found are temporary: they have a session token, which a CloudWorks connection cannot store, "
            "and it would stop working with them.",
            remedy="Make an access key of an IAM user for CloudWorks only, and name its profile with --keys-from.",
        )
    if not frozen.access_key or not frozen.secret_key:
        raise CommandFailed("The AWS keys found are incomplete.", remedy="Name a profile with --keys-from.")
    which = f"AWS access key …{frozen.access_key[-4:]}"
    if profile:
        cli.out.hint(f"CloudWorks gets the {which} of profile {profile}.")
    else:
        cli.out.confirm(f"Hand the {which}, found in {found.method}, to CloudWorks, which will keep it?")
    return ConnectionKeys(frozen.access_key, frozen.secret_key)
