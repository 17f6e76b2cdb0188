"""Describes what the dashboard shows. Its body for CloudWatch and the drawing are both made from this.

`python -m docs.dashboard` writes the body into `template.yaml`, and a test compares the two.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from msgspec import Struct

NAMESPACE = "AnaplanAutoload"
"""As in `anaplan_autoload.report.metrics`, which is slow to import."""
START = "-P7D"
ALARMS = (
    "SweepMissingAlarm",
    "LogInRefusedAlarm",
    "ExecutionsAlarm",
    "DeadLettersAlarm",
    "RoutesUnreadableAlarm",
    "OldestWaitingAlarm",
    "FailedLoadsAlarm",
    "LostUploadsAlarm",
    "ListingsRefusedAlarm",
    "UnroutedUploadsAlarm",
    "LogInEndsIn14DaysAlarm",
    "LogInEndsIn7DaysAlarm",
    "LogInEndsTomorrowAlarm",
    "AnaplanThrottlesAlarm",
    "LambdaThrottlesAlarm",
)
"""The template's alarms: causes first, as in `docs/operations.md`."""
GREEN, AMBER, RED, VIOLET, GREY = "#2e8b57", "#c77700", "#c62828", "#7b4fa3", "#7a7a7a"


class Place(Struct, frozen=True, kw_only=True):
    """The stack that the dashboard shows: the names of its resources, or the template's references to them."""

    stack: str
    region: str
    queue: str
    """The dead-letter queue's name."""
    alarms: tuple[str, ...] = ()
    """ARNs."""
    page: str = ""
    """The ARN of the load history page's function."""


TEMPLATE_PLACE = Place(
    stack="${AWS::StackName}",
    region="${AWS::Region}",
    queue="${DeadLetters.QueueName}",
    alarms=tuple(f"${{{name}.Arn}}" for name in ALARMS),
    page="${Page.Arn}",
)
"""The place with CloudFormation's references instead of names."""


class Series(Struct, frozen=True, kw_only=True):
    """One metric: one line of a graph, or one line for each value of a dimension."""

    metric: str
    stat: str
    """`Sum`, `Maximum`, `Minimum`, `p50` and the like."""
    label: str
    """May hold `${PROP('Dim.route')}` and `${LAST_TIME_RELATIVE}`, which CloudWatch fills in."""
    by: str | None = None
    """A dimension; new values of it appear by themselves."""
    total: bool = False
    """Whether there is one line, the sum over all values of `by`."""
    of: Literal["stack", "function", "queue"] = "stack"
    """Where the metric comes from: the function itself, Lambda or SQS."""
    color: str | None = None

    def home(self, place: Place) -> tuple[str, str, str]:
        """The metric's namespace, its first dimension, and that dimension's value."""
        match self.of:
            case "stack":
                return NAMESPACE, "stack", place.stack
            case "function":
                return "AWS/Lambda", "FunctionName", place.stack
            case "queue":
                return "AWS/SQS", "QueueName", place.queue

    def expression(self, place: Place) -> str | None:
        """What CloudWatch evaluates; None for a single metric, which has a name."""
        if self.by is None:
            return None
        namespace, dimension, value = self.home(place)
        search = f'SEARCH(\'{{{namespace},{self.by},{dimension}}} MetricName="{self.metric}" {dimension}="{value}"\''
        search = f"{search}, '{self.stat}')"
        return f"SUM({search})" if self.total else search


class Graph(Struct, frozen=True, kw_only=True):
    """A graph of metrics over time."""

    title: str
    series: tuple[Series, ...]
    width: int
    """Of 24 columns."""
    height: int = 6
    unit: Literal["seconds", "count", "days"] = "count"
    form: Literal["lines", "bars", "numbers"] = "lines"


class LogTable(Struct, frozen=True, kw_only=True):
    """A table of the function's log lines about loads, newest first unless sorted by something else."""

    title: str
    columns: tuple[str, ...]
    """Keys of `anaplan_autoload.report.log.log_run`; `uploads.0` is the first upload."""
    outcomes: tuple[str, ...]
    sort: str = "@timestamp"
    """One of `heads`."""
    ascending: bool = False
    each: str | None = None
    """A key: only the latest line for each value of it."""
    limit: int = 20
    width: int = 12
    height: int = 6

    @property
    def heads(self) -> tuple[str, ...]:
        """The names of the columns in the result. Latest values have the prefix `last_`."""
        return tuple(f"last_{name}" if self.each and name != self.each else name for name in self.columns)

    def query(self, place: Place) -> str:
        """The query for Logs Insights."""
        named = ", ".join(f'"{outcome}"' for outcome in self.outcomes)
        outcomes = f"filter outcome in [{named}]"
        steps = [f"fields {', '.join(self.columns)}", outcomes]
        if self.each:
            latest = [f"latest({name}) as last_{name}" for name in self.columns if name != self.each]
            steps = [outcomes, f"stats {', '.join(latest)} by {self.each}"]
        order = f"sort {self.sort} {'asc' if self.ascending else 'desc'}"
        return " | ".join([f"SOURCE '/aws/lambda/{place.stack}'", *steps, order, f"limit {self.limit}"])


class AlarmStates(Struct, frozen=True, kw_only=True):
    """The state of each alarm."""

    title: str
    width: int = 24
    height: int = 3


class LoadHistory(Struct, frozen=True, kw_only=True):
    """The load history page, a function that CloudWatch calls."""

    title: str
    width: int = 24
    height: int = 12


Widget = AlarmStates | Graph | LoadHistory | LogTable

_ROUTE = "${PROP('Dim.route')}"


def _each_route(metric: str, stat: str, label: str = _ROUTE) -> Series:
    return Series(metric=metric, stat=stat, label=label, by="route")


def _of_all_routes(metric: str, label: str, color: str) -> Series:
    return Series(metric=metric, stat="Sum", label=label, by="route", total=True, color=color)


WIDGETS: tuple[Widget, ...] = (
    AlarmStates(title="Alarms"),
    LogTable(
        title="Last load of each route, longest ago first",
        columns=("route", "ended_at", "outcome", "run_seconds"),
        outcomes=("loaded", "partial"),
        each="route",
        sort="last_ended_at",
        ascending=True,
        limit=100,
    ),
    Graph(
        title="How long the oldest upload has waited",
        series=(_each_route("OldestWaitingSeconds", "Maximum"),),
        unit="seconds",
        width=12,
    ),
    Graph(
        title="Loads by outcome",
        series=(
            _of_all_routes("RunsLoaded", "loaded", GREEN),
            _of_all_routes("RunsPartial", "partial", AMBER),
            _of_all_routes("RunsFailed", "failed", RED),
            _of_all_routes("RunsRetried", "failed, retried", VIOLET),
        ),
        form="bars",
        width=8,
    ),
    Graph(
        title="Full loads by route, and time since the last",
        series=(_each_route("RunsLoaded", "Sum", f"{_ROUTE} (last ${{LAST_TIME_RELATIVE}} ago)"),),
        form="bars",
        width=8,
    ),
    Graph(
        title="Partial and failed loads by route",
        series=(
            _each_route("RunsPartial", "Sum", f"{_ROUTE} partial"),
            _each_route("RunsFailed", "Sum", f"{_ROUTE} failed"),
        ),
        form="bars",
        width=8,
    ),
    Graph(title="Length of a run, p50", series=(_each_route("RunSeconds", "p50"),), unit="seconds", width=8),
    Graph(title="Length of a run, p95", series=(_each_route("RunSeconds", "p95"),), unit="seconds", width=8),
    Graph(
        title="From upload to loaded, p95",
        series=(_each_route("UploadToLoadedSeconds", "p95"),),
        unit="seconds",
        width=8,
    ),
    Graph(
        title="Uploads that were not loaded",
        series=(
            Series(metric="UploadsUnrouted", stat="Sum", label="match no route", color=RED),
            _of_all_routes("UploadsRejected", "rejected", AMBER),
            _of_all_routes("UploadsExcluded", "excluded by name", GREY),
        ),
        form="bars",
        width=6,
    ),
    Graph(
        title="Executions and dead letters",
        series=(
            Series(metric="DurableExecutionFailed", stat="Sum", label="failed", of="function", color=RED),
            Series(metric="DurableExecutionTimedOut", stat="Sum", label="timed out", of="function", color=VIOLET),
            Series(
                metric="ApproximateNumberOfMessagesVisible",
                stat="Maximum",
                label="dead letters",
                of="queue",
                color=GREY,
            ),
        ),
        width=6,
    ),
    Graph(
        title="Anaplan's answers by kind",
        series=(Series(metric="AnaplanAnswers", stat="Sum", label="${PROP('Dim.kind')}", by="kind"),),
        form="bars",
        width=6,
    ),
    Graph(
        title="Log-in and sweep",
        series=(
            Series(metric="LanesHeld", stat="Maximum", label="lanes held"),
            Series(metric="LogInDaysLeft", stat="Minimum", label="days until the log-in ends"),
            Series(metric="Sweeps", stat="Sum", label="sweeps"),
        ),
        form="numbers",
        width=6,
    ),
    LogTable(
        title="Last failures",
        columns=("@timestamp", "route", "outcome", "run_message", "uploads.0"),
        outcomes=("failed", "partial", "rejected", "held", "incomplete", "missing"),
    ),
    LogTable(
        title="Slowest loads",
        columns=("run_seconds", "route", "outcome", "ended_at", "uploads.0"),
        outcomes=("loaded", "partial", "failed"),
        sort="run_seconds",
    ),
    LoadHistory(title="Load history"),
)
"""Row by row, from left to right."""


def body(place: Place) -> dict[str, Any]:
    """The dashboard's body, as CloudWatch's PutDashboard takes it."""
    return {
        "start": START,
        "periodOverride": "auto",
        "widgets": [
            {"type": _type(widget), "x": x, "y": y, "width": widget.width, "height": widget.height}
            | {"properties": _properties(widget, place)}
            for widget, x, y in _placed(WIDGETS)
        ],
    }


def _placed(widgets: tuple[Widget, ...]) -> list[tuple[Widget, int, int]]:
    """Each widget with its column and row."""
    placed: list[tuple[Widget, int, int]] = []
    x = y = tallest = 0
    for widget in widgets:
        if x + widget.width > 24:
            x, y, tallest = 0, y + tallest, 0
        placed.append((widget, x, y))
        x, tallest = x + widget.width, max(tallest, widget.height)
    return placed


def _type(widget: Widget) -> str:
    match widget:
        case AlarmStates():
            return "alarm"
        case LoadHistory():
            return "custom"
        case LogTable():
            return "log"
        case Graph():
            return "metric"


def _properties(widget: Widget, place: Place) -> dict[str, Any]:
    match widget:
        case AlarmStates(title=title):
            return {"title": title, "alarms": list(place.alarms)}
        case LoadHistory(title=title):
            updates = {"refresh": True, "resize": False, "timeRange": True}
            return {"title": title, "endpoint": place.page, "updateOn": updates}
        case LogTable(title=title):
            return {"title": title, "region": place.region, "view": "table", "query": widget.query(place)}
        case Graph(title=title):
            shown: dict[str, Any] = {"view": "singleValue"}
            if widget.form != "numbers":
                axis = {"left": {"min": 0, "showUnits": False, "label": widget.unit}}
                shown = {"view": "timeSeries", "stacked": widget.form == "bars", "yAxis": axis}
            lines = [_metric(series, place) for series in widget.series]
            return {"title": title, "region": place.region, **shown, "metrics": lines}


def _metric(series: Series, place: Place) -> list[Any]:
    shown = {"label": series.label} | ({"color": series.color} if series.color else {})
    if expression := series.expression(place):
        return [{"expression": expression, **shown}]
    namespace, dimension, value = series.home(place)
    return [namespace, series.metric, dimension, value, {"stat": series.stat, **shown}]


def as_text(found: dict[str, Any]) -> str:
    """A body as JSON, with a line for each widget and each of its metrics."""
    head = json.dumps({name: value for name, value in found.items() if name != "widgets"}).removesuffix("}")
    widgets = ",\n".join(_widget_as_text(widget) for widget in found["widgets"])
    return f'{head}, "widgets": [\n{widgets}\n]}}\n'


def _widget_as_text(widget: dict[str, Any]) -> str:
    text = json.dumps(widget)
    for metric in widget["properties"].get("metrics", ()):
        text = text.replace(json.dumps(metric), f"\n  {json.dumps(metric)}")
    return text.replace(" \n", "\n")


def for_template() -> str:
    """The body for CloudFormation's `Fn::Sub`, with the placeholders that CloudWatch fills in later escaped."""
    return re.sub(r"\$\{(?=PROP|LAST_)", "${!", as_text(body(TEMPLATE_PLACE)))
