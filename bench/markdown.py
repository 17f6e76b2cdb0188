"""Tables as Markdown: what a measurement prints can stand in docs/benchmarks.md as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table under its title; the first column is text, the others align to the right."""
    print(f"\n### {title}\n")
    print(_line(head))
    print("|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|")
    for row in rows:
        print(_line(row))


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def span(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `10 min`, `4 h`."""
    if seconds >= 3600:
        return f"{seconds / 3600:g} h"
    if seconds >= 60:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"
