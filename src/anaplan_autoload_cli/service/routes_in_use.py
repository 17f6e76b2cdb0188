"""Which routes the deployed function uses: the ledger's, or those of a file in its package."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from anaplan_autoload.aws.routes_in_use import RoutesInUse
from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.package import deployed_routes

if TYPE_CHECKING:
    from anaplan_autoload.aws.routes_store import Version
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload_cli.context import Cli

NONE_YET = "The ledger has no routes yet, so no upload is loaded."
PUSH = "Push them: anaplan-autoload routes push FILE."


class InUse(Struct, frozen=True):
    """The routes that the function uses."""

    routes: Routes
    described: str
    """Which these are, as in `version 3 in the ledger, pushed … by …`."""
    trouble: str | None = None
    """Why a newer version in the ledger is not used; None if the newest is."""


def routes_store(cli: Cli) -> RoutesStore:
    """The versions in the ledger."""
    return RoutesStore(cli.aws.client("dynamodb"), cli.settings.require("table"))


def routes_in_use(cli: Cli) -> InUse:
    """The routes that the function uses; raises `CommandFailed` if there are none."""
    if file := file_of_function(cli):
        alias = cli.settings.require("function")
        found = deployed_routes(cli.aws.client("lambda"), alias, file)
        return InUse(found, f"{file} in the function's package, which its variable ROUTES_FILE names")
    store = routes_store(cli)
    known = RoutesInUse(store, None)
    trouble = known.refresh(0)
    if known.routes is None:
        raise CommandFailed(f"None of the newest routes in the ledger can be used: {trouble}", remedy=PUSH)
    if not known.routes:
        raise CommandFailed(NONE_YET, remedy=PUSH)
    version = store.version(known.version)
    return InUse(known.routes, described(version) if version else f"version {known.version} in the ledger", trouble)


def file_of_function(cli: Cli) -> str | None:
    """The function's `ROUTES_FILE`; None where it is not set, or where this user may not look."""
    alias = cli.settings.get("function")
    if not alias:
        return None
    with suppress(ClientError):
        found: Any = cli.aws.client("lambda").get_function_configuration(FunctionName=alias)
        return found.get("Environment", {}).get("Variables", {}).get("ROUTES_FILE", "").strip() or None
    return None


def described(version: Version) -> str:
    """A version in words: its number, when, by whom, and why."""
    comment = f": {version.comment}" if version.comment else ""
    return f"version {version.number} in the ledger, pushed {version.at} by {version.author}{comment}"
