"""Commands that are imported when they are invoked: `--help` and completion pay for nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from anaplan_autoload_cli.commands import Entry

if TYPE_CHECKING:
    from typer._click import Command, Context


class LazyGroup(TyperGroup):
    """A group whose members are named by `entries`, which a subclass sets.

    Lists, help and completion see placeholders; the real command is imported to be invoked.
    """

    entries: tuple[Entry, ...] = ()

    def list_commands(self, ctx: Context) -> list[str]:
        """The names in the order of `entries`."""
        return [entry.name for entry in self.entries]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """A placeholder that has a name and a line of help."""
        for entry in self.entries:
            if entry.name == cmd_name:
                return TyperCommand(entry.name, help=entry.help, rich_help_panel=entry.panel)
        return None

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The command to invoke, imported now."""
        self.commands = dict.fromkeys(self.list_commands(ctx), self)  # mistyped names are compared with these
        name, _, rest = super().resolve_command(ctx, args)
        entry = next((entry for entry in self.entries if entry.name == name), None)
        return name, entry and _loaded(entry), rest


def group(help: str) -> typer.Typer:
    """A group of commands, which stays one if it has a single command."""
    app = typer.Typer(help=help, no_args_is_help=True, add_completion=False)
    app.callback()(_nothing)
    return app


def _nothing() -> None: ...


def _loaded(entry: Entry) -> TyperCommand | TyperGroup:
    module, _, attribute = entry.target.partition(":")
    target = getattr(import_module(module), attribute)
    command = cast(
        "TyperCommand | TyperGroup", get_command(target if isinstance(target, typer.Typer) else _single(target))
    )
    command.name = entry.name
    for one in (command, *getattr(command, "commands", {}).values()):
        one.help = _unwrapped(one.help or "")
    return command


def _unwrapped(text: str) -> str:
    """A docstring with one line a paragraph, which the terminal wraps; what is indented stays as it is written."""
    return "\n\n".join(
        re.sub(r"\[(?=[a-z])", r"\\[", part) if part.startswith(" ") else part.replace("\n", " ")
        for part in text.split("\n\n")
    )


def _single(function: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return app
