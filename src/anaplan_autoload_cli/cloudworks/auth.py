"""`auth`: log in to Anaplan."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
import typer
from msgspec import Struct

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.anaplan.errors import CloudWorksError, TryLater
from anaplan_autoload.anaplan.http import Request, exchange, failure, http_pool
from anaplan_autoload.anaplan.renewal import NotStored
from anaplan_autoload.aws.secret import SecretStore
from anaplan_autoload_cli.cloudworks import device as grants
from anaplan_autoload_cli.context import Cli, cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.login import asked_for, may_rotate, url_of_oauth
from anaplan_autoload_cli.output import Column, CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload_cli.cloudworks.device import NewLogin

app = group("Log in to Anaplan.")

_COLUMNS = (
    Column("login", "Logged in with"),
    Column("user", "As"),
    Column("expires_at", "Token expires"),
    Column("auth_url", "Authentication"),
    Column("cloudworks_url", "CloudWorks"),
    Column("integrations", "Integrations visible"),
    Column("connections", "Connections visible"),
)
_NEW_COLUMNS = (
    Column("stored_in", "Stored in"),
    Column("client_id", "OAuth client"),
    Column("rotates", "Refresh token is replaced at every use"),
)
NEEDS_PARAMETER = (
    "Anaplan replaces this refresh token at every use. The function stores each new one only if the stack has the "
    "parameter RefreshTokenRotates=true: deploy it so, or loading stops within the hour. Non-rotatable refresh tokens "
    "need no such right; Anaplan's administrator chooses."
)


@app.command()
def check(context: typer.Context) -> None:
    """Log in, and count what this user can see in CloudWorks.

    Uses --secret-id, or ANAPLAN_USERNAME and ANAPLAN_PASSWORD (asked for where it is not set), or the files
    ANAPLAN_CERTIFICATE and ANAPLAN_PRIVATE_KEY. The hosts are those of ANAPLAN_AUTH_URL and CLOUDWORKS_URL.

    Examples:

        ANAPLAN_USERNAME=ada@example.com anaplan-autoload auth check

        anaplan-autoload auth check --secret-id anaplan/login --json
    """
    cli = cli_of(context)
    cloudworks = cli.cloudworks  # asks for a password, if it must, before there is a live line
    with cli.out.progress("Logging in"):
        known = _validated(cli)
        integrations = sum(1 for _ in cloudworks.pages("/integrations", "integrations"))
        connections = sum(1 for _ in cloudworks.pages("/integrations/connections", "connections"))
    record = {
        "login": cli.login_method.description,
        "user": known.user_info.user_id,
        "expires_at": _when(known.token_info.expires_at or cli.tokens.expires_at),
        "auth_url": cli.settings.get("auth_url"),
        "cloudworks_url": cli.settings.get("cloudworks_url"),
        "integrations": integrations,
        "connections": connections,
    }
    cli.out.record(record, _COLUMNS)
    if not integrations and not connections:
        cli.out.warning(NOTHING_VISIBLE)


@app.command()
def login(
    context: typer.Context,
    device: Annotated[bool, typer.Option("--device", help="Confirm in a browser, on any machine.")] = False,
    client_id: Annotated[str | None, typer.Option(help="The OAuth client's id, from Anaplan's Administration.")] = None,
    save: Annotated[Path | None, typer.Option(help="A new file to save the secret's value in, for you alone.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the secret's value, which holds the token.")] = False,
) -> None:
    """Get a refresh token (OAuth) and store it as the function's log-in.

    It replaces the log-in in --secret-id, or in the stack's secret. The token is only shown with --print. Autoload then
    acts as the user who confirms in the browser. Keys with --json: stored_in, client_id, rotates.

    Examples:

        anaplan-autoload auth login --device --client-id 0a1b… --stack autoload

        anaplan-autoload auth login --device --client-id 0a1b… --save log-in.json
    """
    cli = cli_of(context)
    if not device:
        raise CommandFailed(
            "Only the device grant gives a refresh token.",
            remedy="Add --device. A password or a certificate needs no log-in here: see auth check.",
        )
    place = _place(cli, save, show)
    client = cli.settings.get("client_id", client_id) or _asked_client(cli)
    url = url_of_oauth(cli.settings)
    waiting = grants.begin(url, client)
    minutes = round(waiting.seconds / 60) or 1
    cli.out.tell(f"Open {waiting.page} and log in as the user that Autoload is to be.")
    cli.out.tell(f"Confirm the code {waiting.user_code} there, within {minutes} minutes.")
    with cli.out.progress("Waiting for the browser"):
        made = grants.tried(url, client, grants.wait(url, client, waiting))
    _keep(cli, made, place)
    if show:
        return
    cli.out.record({"stored_in": str(place), "client_id": client, "rotates": made.rotates}, _NEW_COLUMNS)
    if made.rotates and not may_rotate(cli.settings):
        cli.out.warning(NEEDS_PARAMETER)
    if made.rotates is None:
        cli.out.warning("Anaplan could not be asked whether the refresh token is replaced at every use.")


def _place(cli: Cli, save: Path | None, show: bool) -> Path | str | None:
    """Where the result goes, as the user chose: a file, a secret, or None for stdout. Checked before anybody waits."""
    if save and show:
        raise CommandFailed("--save and --print were both given.", remedy="Choose one.")
    if show:
        if cli.out.on_screen:
            cli.out.confirm("The refresh token will be shown on this screen. Go on?")
        return None
    if save:
        if save.exists():
            raise CommandFailed(f"{save} exists.", remedy="Name another file, or remove it.")
        return save
    secret_id = cli.settings.get("secret_id")
    if not secret_id:
        raise CommandFailed(
            "Nothing says where to store the log-in.",
            remedy="Name the secret with --secret-id or its stack with --stack, or choose --save FILE or --print.",
        )
    described: Any = cli.aws.client("secretsmanager").describe_secret(SecretId=secret_id)
    if "DeletedDate" in described:
        raise CommandFailed(
            f"The secret {secret_id} is marked for deletion.",
            remedy=f"Restore it: aws secretsmanager restore-secret --secret-id {secret_id}",
        )
    cli.out.confirm(f"The log-in in the secret {secret_id} will be replaced. Go on?")
    return secret_id


def _asked_client(cli: Cli) -> str:
    if not cli.out.interactive:
        return cli.settings.require("client_id")
    return asked_for("OAuth client's id")


def _keep(cli: Cli, made: NewLogin, place: Path | str | None) -> None:
    match place:
        case None:
            cli.out.text(made.text)
        case Path():
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(made.text + "\n")
        case secret_id:
            _put(cli, secret_id, made.text)


def _put(cli: Cli, secret_id: str, text: str) -> None:
    store = SecretStore(cli.aws.client("secretsmanager"), secret_id)
    try:
        store.write(text, str(uuid4()))
    except (NotStored, TryLater) as error:
        raise CommandFailed(
            f"Anaplan granted access, but the log-in could not be stored. {error}",
            remedy="Run it again as an AWS user who may write the secret, or with --save FILE.",
        ) from None


@app.command()
def token(context: typer.Context) -> None:
    """Print a token for other tools. Anyone who has it can act as you until it expires.

    Send it as [b]Authorization: AnaplanAuthToken …[/b].

    Example:

        TOKEN="$(anaplan-autoload auth token)"
    """
    cli = cli_of(context)
    cli.out.text(cli.tokens.token())


class _TokenInfo(Struct, frozen=True, rename="camel"):
    expires_at: int | None = None
    """Epoch ms."""


class _UserInfo(Struct, frozen=True, rename="camel"):
    user_id: str | None = None


class _Validated(Struct, frozen=True, rename="camel"):
    """`GET /token/validate`."""

    token_info: _TokenInfo = _TokenInfo()
    user_info: _UserInfo = _UserInfo()


def _validated(cli: Cli) -> _Validated:
    """The token's user and expiry, according to Anaplan.

    It is not documented whether the authentication service validates OAuth's tokens: there it may refuse.
    """
    url = cli.settings.require("auth_url").rstrip("/")
    request = Request("GET", f"{url}/token/validate", f"AnaplanAuthToken {cli.tokens.token()}")
    try:
        answer = exchange(http_pool(), request)
    except CloudWorksError:
        if cli.tokens.is_oauth:
            return _Validated()
        raise
    if not answer.ok and not cli.tokens.is_oauth:
        raise failure(request, answer, "Check that ANAPLAN_AUTH_URL is Anaplan's authentication service.")
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(answer.body, type=_Validated)
    return _Validated()  # the log-in worked; who it was is only a courtesy


def _when(epoch_ms: int | None) -> str | None:
    if epoch_ms is None:
        return None
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
