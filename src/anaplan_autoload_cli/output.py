"""What people and scripts see: data on stdout, everything else on stderr.

Tables are for people: on a terminal too narrow for one, each row becomes a block of lines; in a pipe nothing is cut
off. `--json` is for scripts: the same records, under keys that stay the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Record = Mapping[str, object]
"""One row of data, as JSON knows it: text, numbers, booleans, None, lists and mappings of these."""

LOADED, FAILED, USAGE, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes. 0 also stands for every command that did what it was asked, 1 for every one that did not."""

_STYLES = {
    "loaded": "green",
    "ok": "green",
    "partial": "yellow",
    "warning": "yellow",
    "failed": "red",
    "broken": "red",
    "running": "cyan",
    "queued": "cyan",
    "skipped": "dim",
}
_LEAST_FOLDED = 24
_PIPE_WIDTH = 10_000


class CommandFailed(Exception):
    """The command cannot do what it was asked: what was asked, what was answered, what to do.

    Ends the command with exit code 1 and no traceback.
    """

    def __init__(
        self, message: str, *, asked: str | None = None, answered: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.asked = asked
        self.answered = answered
        self.remedy = remedy


class Column(NamedTuple):
    """One column of a table: which value of the records it shows, and under which heading."""

    key: str
    title: str
    fold: bool = False
    """Whether it may be broken into lines, as sentences may; names and ids may not."""


class Progress(Protocol):
    """A line that tells how far something has come."""

    def update(self, text: str) -> None:
        """Replace the line."""


class Output:
    """Where a command prints. `json`, `color` and `yes` are the options of these names."""

    def __init__(self, *, as_json: bool = False, color: bool = True, yes: bool = False) -> None:
        self.as_json = as_json
        self.yes = yes
        self._color = color and not os.environ.get("NO_COLOR")

    # Data.

    def rows(self, records: Sequence[Record], columns: Sequence[Column], *, nothing: str = "Nothing found.") -> None:
        """Print records: a JSON array, or a table; `nothing` is a hint (stderr) where there are none."""
        if self.as_json:
            self._json(list(records))
        elif not records:
            self.hint(nothing)
        else:
            self._table([[self._cell(record.get(column.key)) for column in columns] for record in records], columns)

    def record(self, record: Record, columns: Sequence[Column]) -> None:
        """Print one record: a JSON object, or one line a value."""
        if self.as_json:
            self._json(record)
        else:
            self._blocks([[self._cell(record.get(column.key)) for column in columns]], columns)

    def text(self, text: str) -> None:
        """Print a document as it is: a policy, a token. With `--json` too, as its form is its own."""
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")

    def _json(self, value: object) -> None:
        self.text(json.dumps(value, indent=2, ensure_ascii=False))

    # Everything else.

    def hint(self, text: str) -> None:
        """Tell people something besides the data (stderr)."""
        self._console(stderr=True).print(printable(text), style="dim", markup=False, highlight=False)

    def done(self, text: str) -> None:
        """Tell people that something was done (stderr)."""
        self._console(stderr=True).print(printable(text), style="green", markup=False, highlight=False)

    def warning(self, text: str) -> None:
        """Tell people of something that is not as it should be (stderr)."""
        self._console(stderr=True).print(printable(text), style="yellow", markup=False, highlight=False)

    def failed(self, error: CommandFailed) -> None:
        """Show a failure (stderr): as JSON with `--json`, under `error`."""
        parts = {name: getattr(error, name) for name in ("message", "asked", "answered", "remedy")}
        if self.as_json:
            sys.stderr.write(json.dumps({"error": parts}, ensure_ascii=False) + "\n")
            return
        console = self._console(stderr=True)
        console.print(_labelled("Error: ", "bold red", error.message))
        for label, text in (("Asked", error.asked), ("Answered", error.answered), ("To do", error.remedy)):
            if text:
                console.print(_labelled(f"{label}: ", "bold", text))

    @property
    def interactive(self) -> bool:
        """Whether there is somebody to ask."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> None:
        """Ask before something is changed or destroyed; raises `CommandFailed` unless that, or `--yes`, says yes."""
        if self.yes:
            return
        if not self.interactive:
            raise CommandFailed(
                f"{question} Nobody can answer here.", remedy="Add --yes to go ahead without being asked."
            )
        if not typer.confirm(printable(question), default=False, err=True):
            raise CommandFailed("Nothing was changed.")

    @contextmanager
    def progress(self, text: str) -> Iterator[Progress]:
        """A live line on a terminal (stderr), and nothing elsewhere."""
        console = self._console(stderr=True)
        if self.as_json or not console.is_terminal:
            yield _Silent()
            return
        with console.status(_line(text)) as status:
            yield _Live(status.update)

    # How.

    def _console(self, *, stderr: bool = False, width: int | None = None) -> Console:
        from rich.console import Console  # here, as JSON needs none

        return Console(stderr=stderr, width=width, no_color=not self._color, highlight=False, soft_wrap=False)

    def _cell(self, value: object) -> Text:
        from rich.text import Text

        text = shown(value)
        return Text(text, style=_STYLES.get(text, ""))

    def _table(self, rows: list[list[Text]], columns: Sequence[Column]) -> None:
        console = self._console()
        if not console.is_terminal:
            self._aligned(rows, columns)
            return
        widths = [
            max(len(column.title), *(cell.cell_len for cell in cells)) for column, cells in _turned(rows, columns)
        ]
        least = [
            min(width, _LEAST_FOLDED) if column.fold else width for width, column in zip(widths, columns, strict=True)
        ]
        if sum(least) + 2 * (len(columns) - 1) > console.width:
            self._blocks(rows, columns)
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column.title, no_wrap=not column.fold, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console.print(table)

    def _aligned(self, rows: list[list[Text]], columns: Sequence[Column]) -> None:
        """Columns for a pipe: whole, plain, without trailing spaces."""
        lines = [[column.title for column in columns], *([cell.plain for cell in row] for row in rows)]
        widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
        for line in lines:
            self.text("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())

    def _blocks(self, rows: list[list[Text]], columns: Sequence[Column]) -> None:
        """One line a value, an empty line between records; what has no value is left out."""
        from rich.table import Table

        piped = self._console()
        console = piped if piped.is_terminal else self._console(width=_PIPE_WIDTH)
        for number, row in enumerate(rows):
            if number:
                console.print()
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
            table.add_column(style="bold", no_wrap=True)
            table.add_column(overflow="fold")
            for column, cell in zip(columns, row, strict=True):
                if cell.plain:
                    table.add_row(column.title, cell)
            console.print(table)


class _Silent:
    def update(self, text: str) -> None: ...


class _Live:
    def __init__(self, update: object) -> None:
        self._update = update

    def update(self, text: str) -> None:
        if callable(self._update):
            self._update(_line(text))


def shown(value: object) -> str:
    """A value as people read it; empty for None."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(shown(item) for item in value)
        case dict():
            return ", ".join(f"{name} {shown(item)}" for name, item in value.items())
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Text from elsewhere made fit for a terminal: what could move its cursor or change its colors is taken out."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _line(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def _labelled(label: str, style: str, text: str) -> Text:
    from rich.text import Text

    return Text.assemble((label, style), printable(text))


def _turned(rows: list[list[Text]], columns: Sequence[Column]) -> Iterator[tuple[Column, list[Text]]]:
    for number, column in enumerate(columns):
        yield column, [row[number] for row in rows]
