"""Tables as Markdown: what a measurement prints can stand in docs/benchmarks.md as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table under its title; columns of numbers align to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [any(cell.strip("*")[:1].isdigit() for cell in column) for column in zip(*cells, strict=True)]
    print(f"\n### {title}\n")
    print(_line(head))
    print("|" + "|".join(" ---: " if number else " --- " for number in numeric) + "|")
    for row in cells:
        print(_line(row))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def span(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `10 min`, `4 h`."""
    if seconds >= 3600:
        return f"{seconds / 3600:g} h"
    if seconds >= 60:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"
