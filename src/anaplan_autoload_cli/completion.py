"""What a shell offers after Tab, apart from commands and options: the names of routes, integrations and flows.

The user is not asked or told anything. Names that cannot be read in time are not offered.
Typer leaves out names that do not begin with what was typed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from anaplan_autoload_cli.context import Cli
from anaplan_autoload_cli.output import Output
from anaplan_autoload_cli.settings import CommandSettings, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anaplan_autoload_cli.cloudworks.workspace import Named, Workspace

PATIENCE_SECONDS = 3.0
"""How long Anaplan may take to answer."""

INSTRUCTION = "_ANAPLAN_AUTOLOAD_COMPLETE"
"""The environment variable in which typer's scripts say for which shell they ask, as in `complete_bash`."""


class Silent(Output):
    """An output that nobody reads and where nobody can be asked."""

    @property
    def interactive(self) -> bool:
        """Never: a prompt would hang the shell."""
        return False

    def hint(self, text: str) -> None:
        """Print nothing."""

    def warning(self, text: str) -> None:
        """Print nothing."""


def offered_routes(context: typer.Context) -> list[str]:
    """The routes of the routes file here."""
    return _in_time(lambda: _route_names(context))


def offered_integrations(context: typer.Context) -> list[str]:
    """The integrations that the user sees."""
    return _in_time(lambda: _visible(context, lambda workspace: workspace.integrations()))


def offered_flows(context: typer.Context) -> list[str]:
    """The flows that the user sees."""
    return _in_time(lambda: _visible(context, lambda workspace: workspace.flows()))


def offered_integrations_and_routes(context: typer.Context) -> list[str]:
    """Both, the routes first, because they are known without asking Anaplan."""
    return offered_routes(context) + offered_integrations(context)


def _route_names(context: typer.Context) -> list[str]:
    # Imported here, because CloudWorks' commands need no routes.
    from anaplan_autoload_cli.service.places import known_routes

    return [route.name for route in known_routes(_cli(context), context.params.get("file"))]


def _visible(context: typer.Context, list_: Callable[[Workspace], Iterable[Named]]) -> list[str]:
    from anaplan_autoload_cli.cloudworks.workspace import Workspace  # imported here, because routes can do without

    return [_as_typed(each.name) for each in list_(Workspace(_cli(context).cloudworks))]


def _as_typed(name: str) -> str:
    """The name as the command line needs it: bash inserts it unchanged, other shells quote it."""
    in_bash = environment().get(INSTRUCTION, "").endswith("bash")
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name) if in_bash else name


def _cli(context: typer.Context) -> Cli:
    """As the command would have it: the shared options were read, but no command is invoked while a shell completes."""
    given = context.find_root().params
    flags = {name: value for name, value in given.items() if isinstance(value, str)}
    return Cli(CommandSettings(flags, given.get("config"), environment()), Silent())


def _in_time(look: Callable[[], list[str]]) -> list[str]:
    found: list[str] = []

    def run() -> None:
        with suppress(Exception, SystemExit):  # completion never shows an error
            found.extend(look())

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return list(found)


RouteName = Annotated[
    str,
    typer.Argument(metavar="ROUTE", help="The route's name.", show_default=False, autocompletion=offered_routes),
]
