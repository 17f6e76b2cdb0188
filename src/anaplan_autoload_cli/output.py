"""Output for people and scripts: data on stdout, everything else on stderr.

Tables are for people: on a terminal too narrow for one, each row becomes a block of lines; in a pipe nothing is cut
off. `--json` is for scripts: the same records, under keys that stay the same.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.table import Table
    from rich.text import Text

Record = Mapping[str, object]
"""One row of data, with JSON's types: text, numbers, booleans, None, lists and mappings of these."""

LOADED, FAILED, PARTIAL, INTERRUPTED = 0, 1, 3, 130
"""Exit codes. 0 also means that a command succeeded, 1 that it failed. 2 is Typer's own, for a command misused."""

_STYLES = {
    "loaded": "green",
    "ok": "green",
    "partial": "yellow",
    "warning": "yellow",
    "failed": "red",
    "rejected": "red",
    "broken": "red",
    "running": "cyan",
    "queued": "cyan",
    "skipped": "dim",
    "done": "green",
    "next": "bold",
    "later": "dim",
    "agrees": "green",
    "new": "yellow",
    "differs": "red",
    "unknown": "dim",
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and what turns the direction of text; JSON escapes only those below a space itself."""
_LEAST_FOLDED = 14
_GAP = 2


class CommandFailed(Exception):
    """A command failed. It has three texts: the request, the answer, and the remedy.

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
    spare: bool = False
    """Whether it is left out on a terminal that is too narrow for the table."""


class Progress(Protocol):
    """A line that shows progress."""

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
        """Print records as a JSON array or a table. If there are none, `nothing` is printed as a hint (stderr)."""
        if self.as_json:
            self._json(list(records))
        elif not records:
            self.hint(nothing)
        else:
            self._table([[_cell(record.get(column.key)) for column in columns] for record in records], columns)

    def record(self, record: Record, columns: Sequence[Column]) -> None:
        """Print one record: a JSON object, or one line a value."""
        if self.as_json:
            self._json(record)
        else:
            self._blocks([[_cell(record.get(column.key)) for column in columns]], columns)

    def text(self, text: str) -> None:
        """Print a document as it is: a policy, a token. With `--json` too, as its form is its own.

        A terminal gets it without what would control it.
        """
        shown = printable(text) if self.on_screen else text
        sys.stdout.write(shown if shown.endswith("\n") else f"{shown}\n")

    def _json(self, value: object) -> None:
        self.text(_as_json(value, sys.stdout, indent=2))

    # Everything else.

    def hint(self, text: str) -> None:
        """Print a note for people (stderr)."""
        self._say(text, "dim")

    def tell(self, text: str) -> None:
        """Tell people what they have to do now (stderr)."""
        self._say(text, "bold")

    def done(self, text: str) -> None:
        """Tell people that something was done (stderr)."""
        self._say(text, "green")

    def warning(self, text: str) -> None:
        """Print a warning for people (stderr)."""
        self._say(text, "yellow")

    def failed(self, error: CommandFailed) -> None:
        """Show a failure (stderr): as JSON with `--json`, under `error`."""
        parts = {name: getattr(error, name) for name in ("message", "asked", "answered", "remedy")}
        if self.as_json:
            sys.stderr.write(_as_json({"error": parts}, sys.stderr) + "\n")
            return
        self._say(error.message, label="Error: ", label_style="bold red")
        for label, text in (("Asked", error.asked), ("Answered", error.answered), ("To do", error.remedy)):
            if text:
                self._say(text, label=f"{label}: ", label_style="bold")

    @property
    def interactive(self) -> bool:
        """Whether somebody can answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def on_screen(self) -> bool:
        """Whether data is shown to a person, and not taken by a pipe or a file."""
        return sys.stdout.isatty()

    def confirm(self, question: str) -> None:
        """Ask before something is changed or destroyed; raises `CommandFailed` unless that, or `--yes`, says yes."""
        if self.yes:
            return
        if not self.interactive:
            raise CommandFailed(
                f"{question} There is no terminal to answer in.", remedy="Add --yes to go ahead without being asked."
            )
        import typer  # imported here, because the help of the top level needs none

        if not typer.confirm(printable(question), default=False, err=True):
            raise CommandFailed("Nothing was changed.")

    @contextmanager
    def progress(self, text: str) -> Iterator[Progress]:
        """A live line on a terminal (stderr); elsewhere nothing is shown."""
        console = self._console(stderr=True)
        if self.as_json or not console.is_terminal:
            yield _Silent()
            return
        with console.status(_line(text)) as status:
            yield _Live(status)

    # How.

    def _console(self, *, stderr: bool = False) -> Console:
        from rich.console import Console  # imported here, because JSON needs none

        return Console(stderr=stderr, no_color=not self._color, highlight=False)

    def _say(self, text: str, style: str = "", label: str = "", label_style: str = "") -> None:
        """A text, wrapped to the terminal; a pipe gets it in one line."""
        from rich.text import Text

        console = self._console(stderr=True)
        words = Text.assemble((label, label_style), (printable(text), style))
        console.print(words, soft_wrap=not console.is_terminal)

    def _table(self, rows: list[list[Text]], columns: Sequence[Column]) -> None:
        console = self._console()
        if not console.is_terminal:
            self._aligned([[column.title for column in columns], *([cell.plain for cell in row] for row in rows)])
            return
        fitting = _fitting(rows, columns, console.width)
        if fitting is None:
            self._blocks(rows, columns)
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for number in fitting:
            table.add_column(columns[number].title, no_wrap=not columns[number].fold, overflow="fold")
        for row in rows:
            table.add_row(*(row[number] for number in fitting))
        console.print(table)

    def _blocks(self, rows: list[list[Text]], columns: Sequence[Column]) -> None:
        """One line per value, an empty line between records. Missing values are left out."""
        console = self._console()
        for number, row in enumerate(rows):
            lines = [(column.title, cell) for column, cell in zip(columns, row, strict=True) if cell.plain]
            if number:
                self.text("")
            if console.is_terminal:
                console.print(_block(lines))
            else:
                self._aligned([[title, cell.plain] for title, cell in lines])

    def _aligned(self, lines: list[list[str]]) -> None:
        """Columns for a pipe: whole, plain, without trailing spaces."""
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            self.text("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


class _Silent:
    def update(self, text: str) -> None: ...


class _Live:
    def __init__(self, status: Status) -> None:
        self._status = status

    def update(self, text: str) -> None:
        self._status.update(_line(text))


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
            return _TIME.sub(r"\1 \2Z", printable(str(value)))


def _as_json(value: object, stream: TextIO, indent: int | None = None) -> str:
    """JSON in the characters that the stream's encoding has, with an escape for each that a terminal could act on."""
    unicode = (getattr(stream, "encoding", None) or "").casefold().startswith("utf")
    text = json.dumps(value, indent=indent, ensure_ascii=not unicode)
    return _UNSEEN.sub(lambda char: f"\\u{ord(char[0]):04x}", text)


def printable(text: str) -> str:
    """Text from elsewhere, safe for a terminal: without characters that move the cursor or change colors."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _cell(value: object) -> Text:
    from rich.text import Text

    text = " ".join(shown(value).split("\n"))
    return Text(text, style=_STYLES.get(text, ""))


def _fitting(rows: list[list[Text]], columns: Sequence[Column], width: int) -> list[int] | None:
    """The columns that fit side by side: all, or all but some spare ones, the last first; None if these do not fit
    either.
    """
    least = [
        min(widest, max(_LEAST_FOLDED, len(column.title))) if column.fold else widest
        for number, column in enumerate(columns)
        for widest in [max(len(column.title), *(row[number].cell_len for row in rows))]
    ]
    kept = list(range(len(columns)))
    spare = [number for number in kept if columns[number].spare]
    while sum(least[number] + _GAP for number in kept) - _GAP > width:
        if not spare:
            return None
        kept.remove(spare.pop())
    return kept


def _block(lines: list[tuple[str, Text]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, cell in lines:
        table.add_row(title, cell)
    return table


def _line(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text), no_wrap=True, overflow="ellipsis")
