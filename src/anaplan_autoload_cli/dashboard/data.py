"""The data that a drawn dashboard needs, from any source."""

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
    """The start of each period (epoch ms) and its value, in order of time."""
    color: str | None = None


class Data(Protocol):
    """A source of the dashboard's data."""

    @property
    def about(self) -> str:
        """A sentence that says where the data comes from."""

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of the data, epoch ms."""

    @property
    def period(self) -> int:
        """Milliseconds that one value covers."""

    def lines(self, graph: Graph) -> Sequence[Line]:
        """A graph's lines."""

    def rows(self, table: LogTable) -> Sequence[Row]:
        """A table's rows."""

    def alarms(self) -> Sequence[tuple[str, str]]:
        """Each alarm with its state: `OK`, `ALARM` or `INSUFFICIENT_DATA`; empty if there are no alarms."""
