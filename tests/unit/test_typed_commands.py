"""Every command that a page, an error, a mail or an alarm tells people to type is one that the command line accepts."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from anaplan_autoload_cli.app import app
from anaplan_autoload_cli.commands import NAME

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted((ROOT / "src").rglob("*.py"))
IN_CONSOLE = re.compile(rf"^ *\$ (?:[A-Z_]+=\S+ )*{NAME} (.+)$", re.M)
IN_LINE = re.compile(rf"`{NAME} ([^`]+)`")
IN_PROSE = re.compile(rf"{NAME} ([^`\n]+)")
END = re.compile(r"\)\"|[.,:;)]+(?:\s|$)|\s[|>#(]")
CONTINUED = re.compile(r"\s*\\\n\s*")
PLACEHOLDER = re.compile(r"<[^<>]*>|\$\{[^}]*\}|…|\bN\b")
FILLED_IN = "111"
"""What stands for a placeholder: a number, a bucket's name and any other word."""
NOT_COMMANDS = (f"Settings of {NAME} in this directory",)


def refusal(words: Sequence[str]) -> str | None:
    """Why the command line does not accept these words; None if it does. No command is run."""
    command, rest, parent, name = get_command(app), list(words), None, NAME
    try:
        while True:
            context = command.make_context(name, rest, parent=parent)
            if not hasattr(command, "resolve_command"):
                return None
            with context:
                left = [*context._protected_args, *context.args]  # noqa: SLF001  (no public name has the command's word)
                found, command, rest = command.resolve_command(context, left)
            name, parent = found or "", context
    except typer.Exit:
        return None  # --help
    except typer.TyperException as error:
        return error.format_message()


def refused(texts: Iterator[str] | list[str]) -> list[str]:
    wrong = []
    for text in texts:
        words = shlex.split(PLACEHOLDER.sub(FILLED_IN, text), comments=True)
        if reason := refusal(words):
            wrong.append(f"{text}: {reason}")
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_page_can_be_typed(path: Path) -> None:
    text = CONTINUED.sub(" ", path.read_text(encoding="utf-8"))
    shown = [found[1].partition(" > ")[0].partition(" | ")[0] for found in IN_CONSOLE.finditer(text)]
    named = [found[1] for found in IN_LINE.finditer(text)]
    assert refused([*shown, *(one for one in named if " " in one)]) == []


def test_commands_of_alarms_can_be_typed() -> None:
    """Their descriptions are folded over several lines of the template."""
    text = re.sub(r"\s+", " ", (ROOT / "template.yaml").read_text(encoding="utf-8")).replace(
        "${AWS::StackName}", FILLED_IN
    )
    commands = [END.split(found[1])[0] for found in re.finditer(rf"{NAME} ([^`$]+)", text)]
    assert refused([command for command in commands if "--stack" in command]) == []
    assert len(commands) > 5


def test_commands_that_the_code_advises_can_be_typed() -> None:
    advised = [command for path in SOURCES for text in strings(path) for command in commands_in(text)]
    assert refused(advised) == []
    assert len(advised) > 100


def strings(path: Path) -> Iterator[str]:
    """The literals of a module as people read them; what an f-string fills in is `FILLED_IN`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    formatted = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in formatted for part in node.values}
    for node in formatted:
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else FILLED_IN for part in node.values)
    for literal in ast.walk(tree):
        if isinstance(literal, ast.Constant) and isinstance(literal.value, str) and id(literal) not in parts:
            yield literal.value


def commands_in(text: str) -> Iterator[str]:
    """The commands of a text, without the rest of their sentences. A kind of object that is filled in is left out."""
    for found in IN_PROSE.finditer(CONTINUED.sub(" ", text)):
        command = END.split(found[1])[0].strip()
        if command and not command.startswith((FILLED_IN, "--")) and not any(each in text for each in NOT_COMMANDS):
            yield command
