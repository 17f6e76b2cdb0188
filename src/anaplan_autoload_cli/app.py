"""`anaplan-autoload`: the options that all commands share, and where each command is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload_cli.commands import (
    COMMANDS,
    CONFIG_HELP,
    HELP,
    INTRODUCTION,
    NAME,
    OPTIONS,
    overview,
    place_help,
)
from anaplan_autoload_cli.context import Cli
from anaplan_autoload_cli.lazy import LazyGroup
from anaplan_autoload_cli.output import FAILED, CommandFailed, Output
from anaplan_autoload_cli.settings import SETTINGS, CommandSettings, environment

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter


class Root(LazyGroup):
    """The application. Shared options may be anywhere on the line, and failures are shown as sentences."""

    entries = COMMANDS

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help that `__main__` prints without this class."""
        formatter.write(overview())

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Move shared options to the front, where this group reads them."""
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, self._hoisted(args))
        except typer.TyperException as error:
            raise _shown(error, as_json=as_json) from None

    def invoke(self, ctx: Context) -> Any:
        """Invoke the command, and show how it failed if it did."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError, EOFError):
            raise
        except typer.TyperException as error:
            raise _shown(error, as_json=bool(ctx.params.get("as_json"))) from None
        except Exception as error:
            if environment().get("AUTOLOAD_TRACEBACK"):
                raise
            cli = ctx.obj
            cli.out.failed(_in_words(error, cli))
            raise typer.Exit(FAILED) from None

    def _hoisted(self, args: list[str]) -> list[str]:
        shared: list[str] = []
        rest: list[str] = []
        takes_value = {
            name: not getattr(param, "is_flag", False)
            for param in self.params
            if not param.is_eager
            for name in (*param.opts, *param.secondary_opts)
        }
        left = iter(args)
        for arg in left:
            name, equals, _ = arg.partition("=")
            if arg == "--":
                rest += [arg, *left]
            elif name not in takes_value:
                rest.append(arg)
            elif takes_value[name] and not equals:
                shared += [arg, *([value] if (value := next(left, None)) is not None else [])]
            else:
                shared.append(arg)
        return shared + rest


app = typer.Typer(
    cls=Root,
    name=NAME,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP)},
    help=INTRODUCTION,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version(NAME)
        except PackageNotFoundError:
            number = "(a checkout, not installed)"
        Output().text(f"{NAME} {number}")
        raise typer.Exit


def _place(name: str) -> Any:
    """The option that says where something is."""
    setting = SETTINGS[name]
    assert setting.flag  # noqa: S101  (each of them has one)
    return typer.Option(setting.flag, help=place_help(name))


@app.callback()
def shared(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help=OPTIONS["--json"])] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=OPTIONS["--yes"])] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help=OPTIONS["--no-color"])] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help=OPTIONS["--version"])
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", help=CONFIG_HELP)] = None,
    stack: Annotated[str | None, _place("stack")] = None,
    profile: Annotated[str | None, _place("profile")] = None,
    region: Annotated[str | None, _place("region")] = None,
    secret_id: Annotated[str | None, _place("secret_id")] = None,
    auth_url: Annotated[str | None, _place("auth_url")] = None,
    oauth_url: Annotated[str | None, _place("oauth_url")] = None,
    cloudworks_url: Annotated[str | None, _place("cloudworks_url")] = None,
    table: Annotated[str | None, _place("table")] = None,
    topic: Annotated[str | None, _place("topic")] = None,
    function: Annotated[str | None, _place("function")] = None,
    queue: Annotated[str | None, _place("queue")] = None,
    inbox: Annotated[str | None, _place("inbox")] = None,
    reports: Annotated[str | None, _place("reports")] = None,
) -> None:
    """Read the shared options."""
    flags = {
        "stack": stack,
        "profile": profile,
        "region": region,
        "secret_id": secret_id,
        "auth_url": auth_url,
        "oauth_url": oauth_url,
        "cloudworks_url": cloudworks_url,
        "table": table,
        "topic": topic,
        "function": function,
        "queue": queue,
        "inbox": inbox,
        "reports": reports,
    }
    out = Output(as_json=as_json, color=not no_color, yes=yes)
    context.obj = Cli(CommandSettings(flags, config, environment()), out)


def main() -> None:
    """Run the command line."""
    app(prog_name=NAME)


def _shown(error: typer.TyperException, *, as_json: bool) -> Exception:
    """What to raise for a command that was typed wrong: shown by typer or, with `--json`, shown already."""
    if not as_json:
        return error
    context = getattr(error, "ctx", None)
    remedy = f"See {context.command_path} --help" if context else None
    Output(as_json=True).failed(CommandFailed(error.format_message(), remedy=remedy))
    return typer.Exit(error.exit_code)


def _in_words(error: Exception, cli: Cli) -> CommandFailed:
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, OperationFailed):
        return CommandFailed(error.message, remedy=error.remedy)
    from anaplan_autoload_cli.failures import in_words  # imports what may have failed

    return in_words(error, cli)
