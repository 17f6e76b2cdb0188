"""Graphs as SVG: lines, or bars on top of each other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from msgspec import Struct

from anaplan_autoload_cli.dashboard.data import Line
from anaplan_autoload_cli.times import length

COLORS = ("#1f6fb5", "#c77700", "#2e8b57", "#a8327a", "#7b4fa3", "#0d8a8a", "#8a6d3b", "#5b6770")
"""For lines without a color; readable on white and on black."""
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 8, 20
"""Margins in the drawing's units."""
STEPS_DOWN, STEPS_ACROSS = 4, 4
WIDE = 300
"""Narrower drawings have fewer times on the axis."""
MINUTES_MS, DAYS_MS = 600_000, 172_800_000


class Frame(Struct, frozen=True):
    """Where a chart's values are in its drawing."""

    width: int
    height: int
    begin: int
    """Epoch ms."""
    end: int
    top: float
    """The highest value."""

    def x(self, time: float) -> float:
        """From left to right."""
        share = (time - self.begin) / max(self.end - self.begin, 1)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """From top to bottom."""
        return round(self.height - BOTTOM - value / self.top * (self.height - TOP - BOTTOM), 1)


def chart(
    title: str, lines: Sequence[Line], unit: str, span: tuple[int, int], period: int, width: int, *, stacked: bool
) -> str:
    """A chart; `span` and `period` in ms. Its texts are escaped."""
    highest = max(_heights(lines) if stacked else [value for line in lines for _, value in line.points], default=0)
    frame = Frame(width, 200, *span, round_up(highest))
    drawn = _bars(frame, lines, unit, period) if stacked else _lines(frame, lines, unit, period)
    said = escape(f"{title}: {described(lines, unit)}", quote=True)
    return f'<svg viewBox="0 0 {width} {frame.height}" role="img" aria-label="{said}">{_grid(frame, unit)}{drawn}</svg>'


def described(lines: Sequence[Line], unit: str) -> str:
    """The lines' latest values, in words."""
    latest = [f"{line.label} {in_unit(line.points[-1][1], unit)}" for line in lines if line.points]
    return ", ".join(latest) or "no data"


def color_of(lines: Sequence[Line], number: int) -> str:
    """A line's color: its own, or the next one that is free."""
    free = [line for line in lines[:number] if line.color is None]
    return lines[number].color or COLORS[len(free) % len(COLORS)]


def in_unit(value: float, unit: str) -> str:
    """A value as people read it."""
    if unit == "seconds":
        return length(value) if value >= 10 or value == round(value) else f"{value:.1f}s"
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:,.1f}"


def round_up(value: float) -> float:
    """The next number that makes an even scale."""
    if value <= STEPS_DOWN:
        return float(STEPS_DOWN)
    size = 10 ** math.floor(math.log10(value))
    return next(float(step * size) for step in (1, 2, 4, 6, 8, 10) if step * size >= value)


def at(time: float, span_ms: int) -> str:
    """A time on the axis, in UTC. It is more exact if the whole span is short."""
    form = "%H:%M:%S" if span_ms < MINUTES_MS else "%H:%M" if span_ms < DAYS_MS else "%d %b"
    return datetime.fromtimestamp(time / 1000, UTC).strftime(form)


def _grid(frame: Frame, unit: str) -> str:
    parts = []
    for step in range(STEPS_DOWN + 1):
        value = frame.top * step / STEPS_DOWN
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{in_unit(value, unit)}</text>')
    steps = STEPS_ACROSS if frame.width >= WIDE else 2
    for step in range(steps):
        time = frame.begin + (frame.end - frame.begin) * step / steps
        x = frame.x(time)
        parts.append(f'<text x="{x}" y="{frame.height - 4}">{at(time, frame.end - frame.begin)}</text>')
    return "".join(parts)


def _heights(lines: Sequence[Line]) -> list[float]:
    """How high the bars are at each time."""
    heights: dict[int, float] = defaultdict(float)
    for line in lines:
        for time, value in line.points:
            heights[time] += value
    return list(heights.values())


def _bars(frame: Frame, lines: Sequence[Line], unit: str, period: int) -> str:
    below: dict[int, float] = defaultdict(float)
    parts = []
    for number, line in enumerate(lines):
        for time, value in line.points:
            x, bottom = frame.x(time), frame.y(below[time])
            below[time] += value
            top = frame.y(below[time])
            wide = max(frame.x(time + period) - x - 1, 2)
            parts.append(
                f'<rect x="{x}" y="{top}" width="{wide:.1f}" height="{bottom - top:.1f}" '
                f'fill="{color_of(lines, number)}">{_tip(frame, line, time, value, unit)}</rect>'
            )
    return "".join(parts)


def _lines(frame: Frame, lines: Sequence[Line], unit: str, period: int) -> str:
    parts = []
    for number, line in enumerate(lines):
        color = color_of(lines, number)
        places = [(frame.x(time + period / 2), frame.y(value)) for time, value in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for (x, y), (time, value) in zip(places, line.points, strict=True):
            tip = _tip(frame, line, time, value, unit)
            parts.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{color}">{tip}</circle>')
    return "".join(parts)


def _tip(frame: Frame, line: Line, time: int, value: float, unit: str) -> str:
    when = at(time, frame.end - frame.begin)
    return f"<title>{escape(line.label)}, {when}: {in_unit(value, unit)}</title>"
