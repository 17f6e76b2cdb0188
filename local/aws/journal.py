"""What the function printed: its log lines, and the metrics among them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

PLATFORM = re.compile(r"(START|END|REPORT) RequestId: .*")


class Metric(Struct, frozen=True):
    """One value in CloudWatch's embedded metric format."""

    namespace: str
    name: str
    value: float
    dimensions: dict[str, str]
    time: int
    """Epoch ms."""


class _Name(Struct, frozen=True, rename="pascal"):
    name: str


class _Directive(Struct, frozen=True, rename="pascal"):
    namespace: str
    dimensions: list[list[str]]
    metrics: list[_Name]


class _Metadata(Struct, frozen=True, rename="pascal"):
    timestamp: int
    cloud_watch_metrics: list[_Directive]


class _Embedded(Struct, frozen=True):
    metadata: _Metadata = msgspec.field(name="_aws")


def function_lines(path: Path) -> list[str]:
    """The lines that the function wrote to this log, without the platform's own about its invocations."""
    text = PLATFORM.sub("", path.read_text(errors="replace"))  # it may follow on a line that had no end
    return [line for line in text.splitlines() if line]


def metrics(lines: Iterable[str]) -> list[Metric]:
    """Every value of every line that is in the embedded metric format."""
    return [metric for line in lines if line.startswith("{") and '"_aws"' in line for metric in _metrics(line)]


def _metrics(line: str) -> list[Metric]:
    metadata = msgspec.json.decode(line, type=_Embedded).metadata
    values: dict[str, Any] = msgspec.json.decode(line)
    return [
        Metric(
            namespace=directive.namespace,
            name=metric.name,
            value=value,
            dimensions={key: str(values[key]) for key in dimensions},
            time=metadata.timestamp,
        )
        for directive in metadata.cloud_watch_metrics
        for dimensions in directive.dimensions or [[]]
        for metric in directive.metrics
        for value in _listed(values[metric.name])
    ]


def _listed(value: float | list[float]) -> list[float]:
    return value if isinstance(value, list) else [value]
