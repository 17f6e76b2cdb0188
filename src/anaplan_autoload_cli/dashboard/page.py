"""The dashboard as one HTML file: no script, nothing to load, every text from elsewhere escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from anaplan_autoload_cli.dashboard.body import WIDGETS, AlarmStates, Graph, LoadHistory, LogTable, Widget
from anaplan_autoload_cli.dashboard.chart import chart, color_of, in_unit
from anaplan_autoload_cli.dashboard.data import Data, Line

COLUMN = 44
"""Units of a drawing to one of the dashboard's 24 columns."""
LONG = 30
"""Characters of a table's cell that stay in one line."""
ELSEWHERE = "This is a page of its own: anaplan-autoload loads --html loads.html"
STYLE = """
:root { color-scheme: light dark; --back: #f3f5f7; --card: #fff; --text: #1b2733; --quiet: #56636f; --line: #d9dfe5; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14191f; --card: #1e252d; --text: #e6ebf0; --quiet: #a5b1bd; --line: #38434e; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 16px; background: var(--back); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }
h1 { margin: 0; font-size: 20px; }
body > p { margin: 2px 0 14px; color: var(--quiet); }
main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 10px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; }
section { min-width: 0; }
@media (max-width: 900px) { main { display: block; } section { margin-bottom: 10px; } }
h2 { margin: 0 0 6px; font-size: 14px; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--quiet); font-size: 11px; }
.grid { stroke: var(--line); stroke-width: 1; }
ul { list-style: none; margin: 6px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 14px; }
li { overflow-wrap: anywhere; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.numbers { display: flex; flex-wrap: wrap; gap: 18px; margin: 8px 0; }
.numbers div { flex-direction: column-reverse; display: flex; }
.numbers dd { margin: 0; font-size: 30px; font-weight: 600; }
.numbers dt { color: var(--quiet); }
.scroll { overflow: auto; max-height: 250px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 160px; }
th { color: var(--quiet); font-weight: 600; }
.ALARM { font-weight: 700; }
.none { color: var(--quiet); }
"""
_MARKS = {"OK": "✓", "ALARM": "⚠", "INSUFFICIENT_DATA": "?"}


def page(stack: str, data: Data) -> str:
    """The dashboard of a stack."""
    begin, end = (datetime.fromtimestamp(moment / 1000, UTC) for moment in data.span)
    sections = "\n".join(_section(widget, data) for widget in WIDGETS)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(stack)}: dashboard</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(stack)}</h1>
<p>{escape(data.about)} {begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC.</p>
<main>
{sections}
</main>
</body>
</html>
"""


def _section(widget: Widget, data: Data) -> str:
    match widget:
        case AlarmStates():
            content = _alarms(data.alarms())
        case LoadHistory():
            content = f'<p class="none">{ELSEWHERE}</p>'
        case LogTable():
            content = _table(widget, data)
        case Graph():
            content = _graph(widget, data)
    style = f"grid-column: span {widget.width}"
    return f'<section style="{style}"><h2>{escape(widget.title)}</h2>{content}</section>'


def _alarms(states: Sequence[tuple[str, str]]) -> str:
    if not states:
        return '<p class="none">Alarms ring in AWS only.</p>'
    shown = "".join(
        f'<li class="{escape(state, quote=True)}">{_MARKS.get(state, "?")} {escape(name)}: {escape(state)}</li>'
        for name, state in states
    )
    return f"<ul>{shown}</ul>"


def _graph(graph: Graph, data: Data) -> str:
    lines = data.lines(graph)
    if not lines:
        return '<p class="none">No data.</p>'
    if graph.form == "numbers":
        return _numbers(lines, graph.unit)
    stacked = graph.form == "bars"
    drawn = chart(graph.title, lines, graph.unit, data.span, data.period, graph.width * COLUMN, stacked=stacked)
    return drawn + _legend(lines)


def _legend(lines: Sequence[Line]) -> str:
    keys = "".join(
        f'<li><span class="key" style="background: {color_of(lines, number)}"></span>{escape(line.label)}</li>'
        for number, line in enumerate(lines)
    )
    return f"<ul>{keys}</ul>"


def _numbers(lines: Sequence[Line], unit: str) -> str:
    latest = "".join(
        f"<div><dt>{escape(line.label)}</dt><dd>{in_unit(line.points[-1][1], unit)}</dd></div>" for line in lines
    )
    return f'<dl class="numbers">{latest}</dl>'


def _table(table: LogTable, data: Data) -> str:
    rows = data.rows(table)
    if not rows:
        return '<p class="none">Nothing.</p>'
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    lines = "".join(f"<tr>{''.join(_cell(row.get(head)) for head in table.heads)}</tr>" for row in rows)
    title = escape(table.title, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"<td{' class=long' if len(text) > LONG else ''}>{escape(text)}</td>"
