"""`python -m docs.generate`: write what is made from the code.

`docs/cli.md` is the help of every command, as the commands themselves print it; `docs/schemas/` holds the JSON Schemas.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import typer
from typer.main import get_command
from typer.testing import CliRunner

from anaplan_autoload_cli.app import app
from anaplan_autoload_cli.commands import COMMANDS, NAME, SERVICE, WORKFLOW, Entry
from docs import json_schemas

PAGE = Path(__file__).with_name("cli.md")
COLUMNS = 100
INTRODUCTION = """\
# The command line

The help of every command. `python -m docs.generate` writes this page, and a test compares it with the
commands. [operations.md](operations.md) shows them at work, with their output.

Data goes to stdout, everything else to stderr; `--json` gives scripts the same data under the keys that each command's
help lists. Exit codes: 0 done or loaded, 1 failed, 2 wrong usage, 3 partial, 130 interrupted.
"""
ENVIRONMENT = {
    "COLUMNS": str(COLUMNS),
    "LINES": "50",
    "TERM": "dumb",  # no styles, even if the environment, such as a build server, pretends to be a terminal
    "NO_COLOR": "1",
}


def page() -> str:
    """The page as it has to be now."""
    parts = [INTRODUCTION, _section("##", (), f"`{NAME}`")]
    for panel in (WORKFLOW, SERVICE):
        parts.append(f"## {panel}\n")
        parts += [_command(entry) for entry in COMMANDS if entry.panel == panel]
    return "\n".join(parts)


def _command(entry: Entry) -> str:
    """A command's section; a group's is followed by those of its members."""
    sections = [_section("###", (entry.name,))]
    sections += [_section("####", (entry.name, member)) for member in _members(entry)]
    return "\n".join(sections)


def _members(entry: Entry) -> Iterator[str]:
    module, _, attribute = entry.target.partition(":")
    target = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        yield from getattr(get_command(target), "commands", {})


def _section(level: str, words: tuple[str, ...], title: str = "") -> str:
    heading = f"{level} {title or ' '.join(words)}"
    return f"{heading}\n\n```console\n$ {' '.join((NAME, *words))} --help\n{_help(words)}\n```\n"


def _help(words: tuple[str, ...]) -> str:
    """What a command prints with `--help`, without the spaces at the ends of lines."""
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name=NAME, env=ENVIRONMENT)
    if shown.exit_code != 0:
        raise RuntimeError(f"{' '.join(words)} --help ended with exit code {shown.exit_code}: {shown.output}")
    return "\n".join(line.rstrip() for line in shown.stdout.strip("\n").splitlines()).strip("\n")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    json_schemas.write()
