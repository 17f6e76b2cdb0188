"""What a drawn dashboard needs of its data, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from anaplan_autoload_cli.dashboard.body import Graph, LogTable

Row = Mapping[str, object]
"""A line of a table, by column."""


class Line(Struct, frozen=True):
    """One line of a graph, or one part of its bars."""

    label: str
    points: tuple[tuple[int, float], ...]
    """Epoch ms, the begin of a period, and its value; rising."""
    color: str | None = None


class Data(Protocol):
    """Where the dashboard's data come from."""

    @property
    def about(self) -> str:
        """Whose data these are, in a sentence."""

    @property
    def span(self) -> tuple[int, int]:
        """From when until when, epoch ms."""

    @property
    def period(self) -> int:
        """Milliseconds that one value covers."""

    def lines(self, graph: Graph) -> Sequence[Line]:
        """A graph's lines."""

    def rows(self, table: LogTable) -> Sequence[Row]:
        """A table's rows."""

    def alarms(self) -> Sequence[tuple[str, str]]:
        """Each alarm with its state: `OK`, `ALARM` or `INSUFFICIENT_DATA`; empty where nobody watches."""
