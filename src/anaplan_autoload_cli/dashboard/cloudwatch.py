"""A deployed stack's data, from CloudWatch, evaluated by the same expressions as in the dashboard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from anaplan_autoload_cli.dashboard.body import ALARMS
from anaplan_autoload_cli.dashboard.data import Line
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from anaplan_autoload_cli.dashboard.body import Graph, LogTable, Place, Series
    from anaplan_autoload_cli.dashboard.data import Row

LEAST_PERIOD = 300
BUCKETS = 100
"""The time is divided into about this many periods. A period is a multiple of five minutes."""
LOOKS = 30
LOOK_SECONDS = 1.0


class Clients(Struct, frozen=True):
    """Whom to ask."""

    cloudwatch: CloudWatchClient
    logs: CloudWatchLogsClient


class Alarm(Struct, frozen=True):
    """One of the stack's alarms."""

    name: str
    """Its name in the template."""
    arn: str
    state: str
    """`OK`, `ALARM` or `INSUFFICIENT_DATA`."""


def alarms_of(cloudwatch: CloudWatchClient, stack: str) -> list[Alarm]:
    """A stack's alarms, in the dashboard's order. CloudFormation names each `<stack>-<logical name>-<random>`."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack}-")
    listed = [each for page in pages for each in page["MetricAlarms"]]
    return [
        Alarm(name, each["AlarmArn"], each["StateValue"])
        for name in ALARMS
        for each in listed
        if re.fullmatch(rf"{re.escape(stack)}-{name}-[A-Za-z0-9]+", each["AlarmName"])
    ]


class CloudWatch:
    """A `Data` from CloudWatch, CloudWatch Logs Insights and the stack's alarms."""

    def __init__(
        self, clients: Clients, place: Place, begin: int, end: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`begin` and `end` are epoch ms."""
        self._clients = clients
        self._place = place
        self._sleep = sleep
        self.about = f"Stack {place.stack} in {place.region}, from CloudWatch."
        self.span = (begin, end)
        seconds = (end - begin) / 1000 / BUCKETS
        self.period = max(1, round(seconds / LEAST_PERIOD)) * LEAST_PERIOD * 1000

    def lines(self, graph: Graph) -> list[Line]:
        """A graph's lines."""
        begin, end = (datetime.fromtimestamp(moment / 1000, UTC) for moment in self.span)
        queries: Any = [self._query(f"q{number}", series) for number, series in enumerate(graph.series)]
        pages = self._clients.cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=begin, EndTime=end, ScanBy="TimestampAscending"
        )
        found: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for page in pages:
            for result in page["MetricDataResults"]:
                points = zip(result["Timestamps"], result["Values"], strict=True)
                values = [(int(moment.timestamp() * 1000), value) for moment, value in points]
                found.setdefault((result["Id"], result["Label"]), []).extend(values)
        colors = {f"q{number}": series.color for number, series in enumerate(graph.series)}
        return [Line(label, tuple(points), colors[name]) for (name, label), points in found.items() if points]

    def rows(self, table: LogTable) -> list[Row]:
        """A table's rows. Raises `CommandFailed` if Logs Insights does not answer."""
        begin, end = (moment // 1000 for moment in self.span)
        source, _, query = table.query(self._place).partition(" | ")
        group = source.removeprefix("SOURCE ").strip("'")
        logs = self._clients.logs
        query_id = logs.start_query(logGroupName=group, startTime=begin, endTime=end, queryString=query)["queryId"]
        for _ in range(LOOKS):
            answer = logs.get_query_results(queryId=query_id)
            if answer["status"] == "Complete":
                return [{cell["field"]: cell.get("value") for cell in row} for row in answer["results"]]
            self._sleep(LOOK_SECONDS)
        raise CommandFailed(
            f'Logs Insights did not answer the query for "{table.title}".',
            answered=str(answer["status"]),
            remedy="Try again, with a shorter --since.",
        )

    def alarms(self) -> list[tuple[str, str]]:
        """The states of the stack's alarms."""
        return [(alarm.name, alarm.state) for alarm in alarms_of(self._clients.cloudwatch, self._place.stack)]

    def _query(self, name: str, series: Series) -> dict[str, Any]:
        seconds = self.period // 1000
        if expression := series.expression(self._place):
            return {"Id": name, "Expression": expression, "Label": series.label, "Period": seconds}
        namespace, dimension, value = series.home(self._place)
        metric = {
            "Namespace": namespace,
            "MetricName": series.metric,
            "Dimensions": [{"Name": dimension, "Value": value}],
        }
        stat = {"Metric": metric, "Period": seconds, "Stat": series.stat}
        return {"Id": name, "MetricStat": stat, "Label": series.label}
