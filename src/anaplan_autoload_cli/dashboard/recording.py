"""A recording of what the function wrote, evaluated as CloudWatch would."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct

from anaplan_autoload.domain.times import iso
from anaplan_autoload_cli.dashboard.body import Graph, LogTable, Place, Series
from anaplan_autoload_cli.dashboard.data import Line, Row
from anaplan_autoload_cli.times import length

BUCKETS = 60
"""The time is divided into this many periods."""
_STATS: Mapping[str, Callable[[Sequence[float]], float]] = {"Sum": sum, "Maximum": max, "Minimum": min}


class Sample(Struct, frozen=True):
    """One value of a metric."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    time: int
    """Epoch ms."""
    value: float


class Recording(Struct, frozen=True, kw_only=True, dict=True):
    """What the function wrote in a span of time. A `Data`."""

    about: str
    stack: str
    region: str
    queue: str
    begin: int
    """Epoch ms."""
    end: int
    samples: tuple[Sample, ...]
    log: tuple[dict[str, Any], ...]
    """Log lines about loads, with `@timestamp` in epoch ms, oldest first."""

    @property
    def place(self) -> Place:
        """The stack that wrote it."""
        return Place(stack=self.stack, region=self.region, queue=self.queue)

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of the data, epoch ms."""
        return self.begin, self.end

    @property
    def period(self) -> int:
        """Milliseconds that one value covers: whole seconds."""
        return max(1, ceil((self.end - self.begin) / BUCKETS / 1000)) * 1000

    def lines(self, graph: Graph) -> list[Line]:
        """A graph's lines."""
        return [line for series in graph.series for line in self._lines(series)]

    def rows(self, table: LogTable) -> list[Row]:
        """A table's rows."""
        found = [self._row(record, table) for record in self.log if record["outcome"] in table.outcomes]
        if table.each:
            found = list({row[table.each]: row for row in found}.values())
        known = [row for row in found if row[table.sort] is not None]
        return sorted(known, key=lambda row: _sortable(row[table.sort]), reverse=not table.ascending)[: table.limit]

    def alarms(self) -> list[tuple[str, str]]:
        """Empty, because a recording has no alarms."""
        return []

    def _lines(self, series: Series) -> list[Line]:
        namespace, dimension, value = series.home(self.place)
        wanted = {dimension} | ({series.by} if series.by else set())
        by_name: dict[str, list[Sample]] = defaultdict(list)
        for sample in self._named.get((namespace, series.metric), ()):
            if sample.dimensions.keys() == wanted and sample.dimensions[dimension] == value:
                by_name[sample.dimensions[series.by] if series.by and not series.total else ""].append(sample)
        return [
            Line(self._label(series, name, found), self._points(series.stat, found), series.color)
            for name, found in sorted(by_name.items())
        ]

    @cached_property
    def _named(self) -> dict[tuple[str, str], list[Sample]]:
        named: dict[tuple[str, str], list[Sample]] = defaultdict(list)
        for sample in self.samples:
            named[sample.namespace, sample.name].append(sample)
        return named

    def _label(self, series: Series, name: str, found: Sequence[Sample]) -> str:
        last = length((self.end - max(sample.time for sample in found)) / 1000)
        return series.label.replace(f"${{PROP('Dim.{series.by}')}}", name).replace("${LAST_TIME_RELATIVE}", last)

    def _points(self, stat: str, found: Sequence[Sample]) -> tuple[tuple[int, float], ...]:
        periods: dict[int, list[float]] = defaultdict(list)
        for sample in found:
            periods[sample.time - (sample.time - self.begin) % self.period].append(sample.value)
        return tuple((begin, statistic(stat, values)) for begin, values in sorted(periods.items()))

    @staticmethod
    def _row(record: Mapping[str, Any], table: LogTable) -> Row:
        return {head: _of_record(record, name) for head, name in zip(table.heads, table.columns, strict=True)}


def statistic(stat: str, values: Sequence[float]) -> float:
    """A statistic of values: `Sum`, `Maximum`, `Minimum`, or `p95` and its like, as the nearest rank."""
    if stat in _STATS:
        return _STATS[stat](values)
    rank = ceil(float(stat.removeprefix("p")) / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def _of_record(record: Mapping[str, Any], column: str) -> object:
    """A value of a log line; `uploads.0` is the first of a list."""
    name, _, index = column.partition(".")
    value = record.get(name)
    if name == "@timestamp":
        return iso(record[name])
    if not index:
        return value
    return value[int(index)] if isinstance(value, list) and len(value) > int(index) else None


def _sortable(value: object) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def demo() -> Recording:
    """The recording that `python -m local.recording` made of a stack on a laptop, with a simulator for Anaplan."""
    text = files("anaplan_autoload_cli.dashboard").joinpath("demo.json").read_bytes()
    return msgspec.json.decode(text, type=Recording)
