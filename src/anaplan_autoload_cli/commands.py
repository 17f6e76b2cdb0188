"""Every command and shared option, and the help that lists them: plain text, made without importing typer or rich."""

from __future__ import annotations

from shutil import get_terminal_size
from textwrap import wrap
from typing import NamedTuple

from anaplan_autoload_cli.settings import SETTINGS

NAME = "anaplan-autoload"
HELP = ("--help", "-h")
_HERE = "anaplan_autoload_cli"
_CLOUDWORKS = f"{_HERE}.cloudworks"
WORKFLOW = "The workflow"
SERVICE = "Running the service"


class Entry(NamedTuple):
    """One command, or group of commands, of the top level."""

    name: str
    target: str
    """`package.module:attribute`: a `group`, or a function that becomes a command."""
    help: str
    """One line, as `--help` lists it."""
    panel: str
    """`WORKFLOW` or `SERVICE`."""


COMMANDS = (
    Entry(
        "init", f"{_HERE}.init.command:init", "Set it up: five questions, then the next step at each point.", WORKFLOW
    ),
    Entry(
        "auth",
        f"{_CLOUDWORKS}.auth:app",
        "Log in to Anaplan: check it, store a refresh token, or get a token.",
        WORKFLOW,
    ),
    Entry("connections", f"{_CLOUDWORKS}.connections:app", "CloudWorks' connections to S3 buckets.", WORKFLOW),
    Entry("integrations", f"{_CLOUDWORKS}.integrations:app", "Create, change, list and run integrations.", WORKFLOW),
    Entry("flows", f"{_CLOUDWORKS}.flows:app", "List and run integration flows.", WORKFLOW),
    Entry("history", f"{_CLOUDWORKS}.history:history", "The runs of an integration, newest first.", WORKFLOW),
    Entry("errors", f"{_CLOUDWORKS}.history:errors", "What went wrong in a run.", WORKFLOW),
    Entry("dump", f"{_CLOUDWORKS}.history:dump", "The rows that a run rejected, as CSV.", WORKFLOW),
    Entry("routes", f"{_HERE}.service.routes_versions:app", "Push, check and compare routes.", SERVICE),
    Entry("check", f"{_HERE}.service.files:check", "Check a file before it is uploaded.", SERVICE),
    Entry("probe", f"{_HERE}.probe.command:probe", "Compare a live CloudWorks with what Autoload assumes.", WORKFLOW),
    Entry("doctor", f"{_HERE}.service.doctor:doctor", "Check everything between an upload and Anaplan.", SERVICE),
    Entry("status", f"{_HERE}.service.status:status", "Show what every lane is doing.", SERVICE),
    Entry(
        "loads", f"{_HERE}.service.loads:loads", "The load history: was this file loaded, when, by which run?", SERVICE
    ),
    Entry("story", f"{_HERE}.service.story:story", "One upload's whole life, from the ledger and the log.", SERVICE),
    Entry(
        "dashboard", f"{_HERE}.dashboard.command:dashboard", "The CloudWatch dashboard, or a drawing of it.", SERVICE
    ),
    Entry("pause", f"{_HERE}.service.lanes:pause", "Stop loading by a route; uploads wait.", SERVICE),
    Entry("resume", f"{_HERE}.service.lanes:resume", "Continue loading by a route.", SERVICE),
    Entry("retry", f"{_HERE}.service.reload:retry", "Load the uploads of a failed run again.", SERVICE),
    Entry("load", f"{_HERE}.service.reload:load", "Load an object now, as if it had been uploaded.", SERVICE),
    Entry(
        "backfill", f"{_HERE}.service.backfill:backfill", "Load objects in the bucket that were never loaded.", SERVICE
    ),
    Entry("redrive", f"{_HERE}.service.redrive:redrive", "Send dead letters to the function again.", SERVICE),
    Entry("test-event", f"{_HERE}.service.events:test_event", "The event to feed to sam local invoke.", SERVICE),
)
"""Every command: a function that typer makes a command of, or a group, made with `lazy.group`."""

INTRODUCTION = """\
Load uploads to S3 into Anaplan: set it up, run it, look after it.

The options below may come before or after the command."""
EPILOG = """\
Start with: anaplan-autoload init
Exit codes: 0 done or loaded, 1 failed, 2 wrong usage, 3 partial."""

OPTIONS = {
    "--json": "JSON instead of tables, for scripts.",
    "--yes": "Do it without asking.",
    "--no-color": "No colors (NO_COLOR does the same).",
    "--version": "Show the version.",
}
"""The shared options that take no value."""
_SHORT = {"--yes": "-y"}
_OF_TYPER = {
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the installation.",
    "--help": "Show this message and exit.",
}
PLACES: tuple[str, ...] = (
    "stack",
    "profile",
    "region",
    "secret_id",
    "auth_url",
    "oauth_url",
    "cloudworks_url",
    "table",
    "topic",
    "function",
    "queue",
    "inbox",
    "reports",
)
"""The settings that are shared options."""
CONFIG_HELP = "Settings; default: .autoload.toml."
_WIDEST = 100


def place_help(name: str) -> str:
    """What a shared option of `PLACES` says of itself."""
    what = SETTINGS[name].what
    return f"{what[0].upper()}{what[1:]}."


def overview(width: int | None = None) -> str:
    """The help of the top level, for a terminal of this width, or of its own."""
    width = min(width or get_terminal_size().columns, _WIDEST)
    options = [(_named(name), text) for name, text in {**OPTIONS, **_OF_TYPER}.items()]
    places = [("--config PATH", CONFIG_HELP)]
    places += [(f"{SETTINGS[name].flag} TEXT", place_help(name)) for name in PLACES]
    sections = {
        "Options": options,
        "Where things are (flags win over environment, .autoload.toml and the stack)": places,
        **{
            panel: [(entry.name, entry.help) for entry in COMMANDS if entry.panel == panel]
            for panel in (WORKFLOW, SERVICE)
        },
    }
    parts = [f"Usage: {NAME} [OPTIONS] COMMAND [ARGS]...", INTRODUCTION]
    parts += [_section(title, rows, width) for title, rows in sections.items()]
    return "\n\n".join([*parts, EPILOG])


def _named(option: str) -> str:
    short = "-h" if option == "--help" else _SHORT.get(option)
    return f"{option}, {short}" if short else option


def _section(title: str, rows: list[tuple[str, str]], width: int) -> str:
    names = max(len(name) for name, _text in rows)
    indented = " " * (names + 4)
    lines = [f"{title}:"]
    for name, text in rows:
        lines += wrap(text, width, initial_indent=f"  {name:{names}}  ", subsequent_indent=indented)
    return "\n".join(lines)
