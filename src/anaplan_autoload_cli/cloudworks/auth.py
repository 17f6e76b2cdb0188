"""`auth`: log in to Anaplan."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import typer
from msgspec import Struct

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.anaplan.http import Request, exchange, failure, http_pool
from anaplan_autoload_cli.context import Cli, cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.output import Column

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
        "expires_at": _when(known.token_info.expires_at),
        "auth_url": cli.settings.get("auth_url"),
        "cloudworks_url": cli.settings.get("cloudworks_url"),
        "integrations": integrations,
        "connections": connections,
    }
    cli.out.record(record, _COLUMNS)
    if not integrations and not connections:
        cli.out.warning(NOTHING_VISIBLE)


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
    """The token's user and expiry, according to Anaplan."""
    url = cli.settings.require("auth_url").rstrip("/")
    request = Request("GET", f"{url}/token/validate", f"AnaplanAuthToken {cli.tokens.token()}")
    answer = exchange(http_pool(), request)
    if not answer.ok:
        raise failure(request, answer, "Check that ANAPLAN_AUTH_URL is Anaplan's authentication service.")
    try:
        return msgspec.json.decode(answer.body, type=_Validated)
    except ValueError:
        return _Validated()  # the log-in worked; who it was is only a courtesy


def _when(epoch_ms: int | None) -> str | None:
    if epoch_ms is None:
        return None
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
