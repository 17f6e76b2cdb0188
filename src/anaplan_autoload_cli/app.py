"""`anaplan-autoload`: the options that all commands share, and where each command is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anaplan_autoload_cli.context import Cli
from anaplan_autoload_cli.lazy import SERVICE, WORKFLOW, Entry, LazyGroup
from anaplan_autoload_cli.output import FAILED, CommandFailed, Output
from anaplan_autoload_cli.settings import SETTINGS, CommandSettings, environment

if TYPE_CHECKING:
    from typer._click import Context

NAME = "anaplan-autoload"
_HERE = "anaplan_autoload_cli"
_CLOUDWORKS = f"{_HERE}.cloudworks"

COMMANDS = (
    Entry("auth", f"{_CLOUDWORKS}.auth:app", "Log in to Anaplan: check it, or get a token.", WORKFLOW),
    Entry("connections", f"{_CLOUDWORKS}.connections:app", "CloudWorks' connections to S3 buckets.", WORKFLOW),
    Entry("integrations", f"{_CLOUDWORKS}.integrations:app", "Create, change, list and run integrations.", WORKFLOW),
    Entry("flows", f"{_CLOUDWORKS}.flows:app", "List and run integration flows.", WORKFLOW),
    Entry("history", f"{_CLOUDWORKS}.history:history", "The runs of an integration, newest first.", WORKFLOW),
    Entry("errors", f"{_CLOUDWORKS}.history:errors", "What went wrong in a run.", WORKFLOW),
    Entry("dump", f"{_CLOUDWORKS}.history:dump", "The rows that a run rejected, as CSV.", WORKFLOW),
    Entry("routes", f"{_HERE}.service.routes_versions:app", "Push, check and compare routes.", SERVICE),
    Entry("check", f"{_HERE}.service.files:check", "Check a file before it is uploaded.", SERVICE),
    Entry("doctor", f"{_HERE}.service.doctor:doctor", "Check everything between an upload and Anaplan.", SERVICE),
    Entry("status", f"{_HERE}.service.status:status", "Show what every lane is doing.", SERVICE),
    Entry(
        "loads", f"{_HERE}.service.loads:loads", "The load history: was this file loaded, when, by which run?", SERVICE
    ),
    Entry("pause", f"{_HERE}.service.lanes:pause", "Stop loading by a route; uploads wait.", SERVICE),
    Entry("resume", f"{_HERE}.service.lanes:resume", "Go on loading by a route.", SERVICE),
    Entry("retry", f"{_HERE}.service.reload:retry", "Load the uploads of a failed run again.", SERVICE),
    Entry("load", f"{_HERE}.service.reload:load", "Load an object now, as if it had been uploaded.", SERVICE),
    Entry(
        "backfill", f"{_HERE}.service.backfill:backfill", "Load objects in the bucket that were never loaded.", SERVICE
    ),
    Entry("redrive", f"{_HERE}.service.redrive:redrive", "Send dead letters to the function again.", SERVICE),
    Entry("test-event", f"{_HERE}.service.events:test_event", "The event to feed to sam local invoke.", SERVICE),
)
"""Every command: a function that typer makes a command of, or a group, made with `lazy.group`."""

_PLACES = "Where things are (flags win over environment, .autoload.toml and the stack)"


class Root(LazyGroup):
    """The application. Shared options may be anywhere on the line, and failures are shown as sentences."""

    entries = COMMANDS

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Move shared options to the front, where this group reads them."""
        return super().parse_args(ctx, self._hoisted(args))

    def invoke(self, ctx: Context) -> Any:
        """Invoke the command, and show how it failed if it did."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError, EOFError):
            raise
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
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Start with [b]anaplan-autoload auth check[/b].\n\n"
    "Exit codes: 0 done or loaded, 1 failed, 2 wrong usage, 3 partial.",
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
    assert setting.flag  # noqa: S101  (the table below names none without)
    return typer.Option(setting.flag, help=f"{setting.what[0].upper()}{setting.what[1:]}.", rich_help_panel=_PLACES)


@app.callback()
def shared(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables, for scripts.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colors (NO_COLOR does the same).")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings; default: .autoload.toml.", rich_help_panel=_PLACES)
    ] = None,
    stack: Annotated[str | None, _place("stack")] = None,
    profile: Annotated[str | None, _place("profile")] = None,
    region: Annotated[str | None, _place("region")] = None,
    secret_id: Annotated[str | None, _place("secret_id")] = None,
    auth_url: Annotated[str | None, _place("auth_url")] = None,
    cloudworks_url: Annotated[str | None, _place("cloudworks_url")] = None,
    table: Annotated[str | None, _place("table")] = None,
    topic: Annotated[str | None, _place("topic")] = None,
    function: Annotated[str | None, _place("function")] = None,
    queue: Annotated[str | None, _place("queue")] = None,
    inbox: Annotated[str | None, _place("inbox")] = None,
    reports: Annotated[str | None, _place("reports")] = None,
) -> None:
    """Load uploads to S3 into Anaplan: set it up, run it, look after it.

    The options below may come before or after the command.
    """
    flags = {
        "stack": stack,
        "profile": profile,
        "region": region,
        "secret_id": secret_id,
        "auth_url": auth_url,
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


def _in_words(error: Exception, cli: Cli) -> CommandFailed:
    if isinstance(error, CommandFailed):
        return error
    from anaplan_autoload_cli.failures import in_words  # imports what may have failed

    return in_words(error, cli)
