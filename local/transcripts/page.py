"""A page whose commands are run: its text in, the same text with what the commands print out.

In a fenced block of kind `console`, these lines mean something:

    $ command          run it, and show it with what it prints
    < answer           what somebody types when the command before asks
    = 3                the exit code that it must end with, where that is not 0
    ~ words            words that must stand in what it prints
    ! name             the stage does something before the next command

In all of them, `{name}` stands for what the stage knows under that name. Between blocks, a comment `<!-- do: name -->`
on a line of its own makes the stage do something too; what that returns takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

OPENS, CLOSES = "```console", "```"
_DIRECTION = re.compile(r"<!-- do: (\w+) -->")
NAME = re.compile(r"\{([a-z_]+)\}")


class PageFailed(Exception):
    """The page cannot be written, as something did not go as it says; the text tells what."""


class Command(Struct, frozen=True):
    """A command as the page has it."""

    line: str
    answers: tuple[str, ...] = ()
    exit_code: int = 0
    expected: tuple[str, ...] = ()


class Direction(Struct, frozen=True):
    """What the stage does between two commands."""

    name: str


Happening: TypeAlias = Command | Direction


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
        """Do what a direction asks for; returns what is to be read in its place, if anything."""


def played(text: str, stage: Stage) -> str:
    """The page with what its commands print.

    Raises `PageFailed` for a command that ends or prints otherwise than the page says, and ValueError for a line in a
    block that means nothing.
    """
    return "\n".join(_played(iter(text.splitlines()), stage)) + "\n"


def happenings(block: list[str]) -> list[Happening]:
    """What a block asks for, in order; raises ValueError for a line that means nothing."""
    found: list[Happening] = []
    for line in block:
        kind, _, rest = line.partition(" ")
        match kind, found[-1:]:
            case "$", _:
                found.append(Command(rest))
            case "!", _:
                found.append(Direction(rest))
            case "<", [Command(before, answers, exit_code, expected)]:
                found[-1] = Command(before, (*answers, rest), exit_code, expected)
            case "=", [Command(before, answers, _, expected)]:
                found[-1] = Command(before, answers, int(rest), expected)
            case "~", [Command(before, answers, exit_code, expected)]:
                found[-1] = Command(before, answers, exit_code, (*expected, rest))
            case _:
                raise ValueError(f"{line!r} is neither a command nor about one")
    return found


def _played(lines: Iterator[str], stage: Stage) -> Iterator[str]:
    blank = False
    for line in lines:
        if direction := _DIRECTION.fullmatch(line):
            told = stage.do(direction[1])
            shown = [] if told is None else [told]
        elif line == OPENS:
            block = happenings(list(iter(lambda: next(lines), CLOSES)))
            shown = [OPENS, *_happened(block, stage), CLOSES]
        else:
            shown = [] if blank and not line else [line]  # a direction that shows nothing leaves no gap
        yield from shown
        blank = not shown[-1] if shown else blank


def _happened(block: list[Happening], stage: Stage) -> Iterator[str]:
    for happening in block:
        match happening:
            case Direction(name):
                stage.do(name)
            case Command():
                yield _shown(happening, stage)


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

    return NAME.sub(known, text)
