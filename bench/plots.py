"""Draws the plots of docs/benchmarks.md, in a light and a dark version each, from the recorded counts.

Looks at runs are simulated with the function that the leader uses, as `bench.notice` does. All other counts are in
`recorded.json`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from bench import check, load_cost, notice
from bench.markdown import span

FOLDER = Path(__file__).parent.parent / "docs" / "plots"
LENGTHS = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
"""Seconds that the runs last whose looks are drawn."""
BURSTS = (1, 10, 100, 1000, 10_000)
RUNS = 100
"""Runs of each length."""
WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 48


class Theme(NamedTuple):
    """Colors."""

    name: str
    ground: str
    text: str
    grid: str
    lines: tuple[str, str]


THEMES = (
    Theme("light", "#ffffff", "#1f2328", "#d1d9e0", ("#0969da", "#bc4c00")),
    Theme("dark", "#0d1117", "#e6edf3", "#3d444d", ("#58a6ff", "#f0883e")),
)


class Line(NamedTuple):
    """One line of a plot: its name, and its points."""

    name: str
    points: Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """Lines over an axis whose steps are powers."""

    name: str
    title: str
    across: str
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    powers: bool = False
    """Whether the other axis, too, has powers of ten for steps."""


def plots() -> Iterator[Plot]:
    """Every plot."""
    recorded = check.recorded()
    runs = [(seconds, span(seconds)) for seconds in load_cost.RUNS]
    dollars = [(seconds, recorded[f"a run of {name}: US dollars for 1,000"]) for seconds, name in runs]
    yield Plot("cost", "US dollars for 1,000 loads", "length of the run", runs, [Line("with a history", dollars)])
    drawn = {usual: notice.lengths_of("±10 %", usual, RUNS) for usual in LENGTHS}
    yield Plot(
        "looks",
        "Looks at a run (lengths ±10 %)",
        "length of the run",
        runs,
        [
            Line("with a history", [(usual, mean(notice.learned(each).looks)) for usual, each in drawn.items()]),
            Line("a first run", [(usual, mean(notice.unlearned(each).looks)) for usual, each in drawn.items()]),
        ],
    )
    covering = recorded[f"a burst of {check.SMALL_BURST}: requests to CloudWorks"]
    yield Plot(
        "burst",
        "Requests to CloudWorks for a burst of uploads to one key",
        "uploads",
        [(uploads, f"{uploads:,}") for uploads in BURSTS],
        [
            Line("Autoload: one run covers them", [(uploads, covering) for uploads in BURSTS]),
            Line("a run for each upload, by arithmetic", [(uploads, uploads * covering) for uploads in BURSTS]),
        ],
        powers=True,
    )


def svg(plot: Plot, theme: Theme) -> str:
    """The plot as an SVG document."""
    highest = max(y for line in plot.lines for _x, y in line.points)
    heights = _powers(highest) if plot.powers else _steps(highest)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{theme.text}" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{theme.ground}"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{escape(plot.title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">{escape(plot.across)}</text>',
    ]

    def across(x: float) -> float:
        first, last = math.log(min(p[0] for p in _points(plot))), math.log(max(p[0] for p in _points(plot)))
        return LEFT + (math.log(x) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        low, high, value = (
            (math.log(heights[0]), math.log(heights[-1]), math.log(y)) if plot.powers else (0, heights[-1], y)
        )
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    for height in heights:
        y = up(height)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{theme.grid}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{height:,g}</text>')
    for x, name in plot.ticks:
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{name}</text>')
    for number, (line, color) in enumerate(zip(plot.lines, theme.lines, strict=False)):
        way = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in line.points)
        parts.append(f'<path d="M{way}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{color}"/>' for x, y in line.points]
        top = TOP + 16 + 18 * number
        parts.append(f'<text x="{LEFT + 12}" y="{top}" fill="{color}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _points(plot: Plot) -> list[tuple[float, float]]:
    return [point for line in plot.lines for point in line.points]


def _steps(highest: float) -> list[float]:
    """About five round numbers from 0 to beyond the highest."""
    rough = highest / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [round(step * number, 10) for number in range(math.ceil(highest / step) + 1)]


def _powers(highest: float) -> list[float]:
    """The powers of ten from 1 to beyond the highest."""
    return [10.0**exponent for exponent in range(math.ceil(math.log10(highest)) + 1)]


def main() -> None:
    """Write every plot, once for each theme."""
    FOLDER.mkdir(exist_ok=True)
    for plot in plots():
        for theme in THEMES:
            (FOLDER / f"{plot.name}-{theme.name}.svg").write_text(svg(plot, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
