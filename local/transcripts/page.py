"""A page whose commands are run: its text in, the same text with what the commands print out.

In a fenced block of kind `console`, these lines mean something:

    $ command          run it, and show it with what it prints
    < answer           what somebody types when the command before asks
    = 3                the exit code that it must end with, where that is not 0
    ~ words            words that must stand in what it prints

A comment `<!-- do: name -->` on a line of its own makes the stage do something; what that returns takes its place.
In commands and what belongs to them, `{name}` stands for what the stage knows under that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from msgspec import Struct

OPENS, CLOSES = "```console", "```"
_DIRECTION = re.compile(r"<!-- do: (\w+) -->")
_NAME = re.compile(r"\{([a-z_]+)\}")


class PageFailed(Exception):
    """The page cannot be written, as something did not go as it says; the text tells what."""


class Command(Struct, frozen=True):
    """A command as the page has it."""

    line: str
    answers: tuple[str, ...] = ()
    exit_code: int = 0
    expected: tuple[str, ...] = ()


class Ended(Struct, frozen=True):
    """What a command printed, prompts and answers included, and how it ended."""

    shown: str
    exit_code: int


class Stage(Protocol):
    """Where commands are run, and things happen."""

    @property
    def names(self) -> Mapping[str, str]:
        """What `{name}` stands for at this moment."""

    def run(self, line: str, answers: tuple[str, ...]) -> Ended:
        """Run a command."""

    def do(self, name: str) -> str | None:
        """Do what a comment asks for; returns what is to be read in its place, if anything."""


def played(text: str, stage: Stage) -> str:
    """The page with what its commands print.

    Raises `PageFailed` for a command that ends or prints otherwise than the page says.
    """
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_played(iter(text.splitlines()), stage))) + "\n"


def commands(block: list[str]) -> list[Command]:
    """The commands of a block; raises ValueError for a line that is none of those above."""
    found: list[Command] = []
    for line in block:
        kind, _, rest = line.partition(" ")
        if kind == "$":
            found.append(Command(rest))
            continue
        if not found or kind not in ("<", "=", "~"):
            raise ValueError(f"{line!r} is neither a command nor about one")
        before = found.pop()
        answers = (*before.answers, rest) if kind == "<" else before.answers
        expected = (*before.expected, rest) if kind == "~" else before.expected
        found.append(Command(before.line, answers, int(rest) if kind == "=" else before.exit_code, expected))
    return found


def _played(lines: Iterator[str], stage: Stage) -> Iterator[str]:
    for line in lines:
        if direction := _DIRECTION.fullmatch(line):
            if (told := stage.do(direction[1])) is not None:
                yield told
        elif line == OPENS:
            block = list(iter(lambda: next(lines), CLOSES))
            yield "\n".join([OPENS, *(_shown(command, stage) for command in commands(block)), CLOSES])
        else:
            yield line


def _shown(command: Command, stage: Stage) -> str:
    line = _named(command.line, stage)
    ended = stage.run(line, tuple(_named(answer, stage) for answer in command.answers))
    if ended.exit_code != command.exit_code:
        raise PageFailed(f"{line}: exit code {ended.exit_code}, not {command.exit_code}:\n{ended.shown}")
    for words in command.expected:
        if (expected := _named(words, stage)) not in ended.shown:
            raise PageFailed(f"{line}: {expected!r} is not in what it printed:\n{ended.shown}")
    return f"$ {line}\n{ended.shown}".rstrip()


def _named(text: str, stage: Stage) -> str:
    def known(match: re.Match[str]) -> str:
        if (value := stage.names.get(match[1])) is None:
            raise PageFailed(f"{text}: nothing is known under the name {match[1]}")
        return value

    return _NAME.sub(known, text)
