"""The dashboard: the template has what the code describes, and its drawing shows what the data say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from logging import getLogger
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws
from msgspec.structs import replace
from typer.testing import CliRunner

from anaplan_autoload.report import metrics
from anaplan_autoload.report.log import log_run
from anaplan_autoload.report.report import Report
from anaplan_autoload_cli.app import app
from anaplan_autoload_cli.dashboard.body import (
    ALARMS,
    WIDGETS,
    Graph,
    LogTable,
    Place,
    Series,
    as_text,
    body,
)
from anaplan_autoload_cli.dashboard.chart import chart, color_of, in_unit, round_up
from anaplan_autoload_cli.dashboard.cloudwatch import Clients, CloudWatch, alarms_of
from anaplan_autoload_cli.dashboard.data import Line
from anaplan_autoload_cli.dashboard.page import ELSEWHERE, page
from anaplan_autoload_cli.dashboard.recording import Recording, Sample, demo, statistic
from docs.dashboard import TEMPLATE, with_dashboard
from local.aws.journal import metrics as read_metrics
from tests.security.policy import Json, Resolver, load_template

PLACE = Place(stack="autoload", region="eu-west-1", queue="dead-letters", alarms=("arn:one",), page="arn:page")
HOSTILE = '<img src=x onerror="alert(1)">&.csv'
SECOND, MINUTE = 1_000, 60_000


# The body.


def test_the_template_has_the_dashboard_that_the_code_describes() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert with_dashboard(text) == text, "write it again with: .venv/bin/python -m docs.dashboard"


def resolved_dashboard() -> Json:
    """The dashboard's body as CloudFormation resolves it."""
    values = {"AWS::StackName": "autoload", "AWS::Region": "eu-west-1", "DeadLetters.QueueName": "dead-letters"}
    template = load_template()
    values |= {"Page.Arn": "arn:page"} | {f"{name}.Arn": f"arn:{name}" for name in ALARMS}
    resolver = Resolver(template, values)
    text = resolver.resolve(template["Resources"]["ServiceDashboard"]["Properties"]["DashboardBody"])
    assert not re.search(r"\$\{(?!!)", text), "a reference is left"
    found: Json = json.loads(text.replace("${!", "${"))
    return found


def test_cloudformation_makes_of_it_what_the_command_prints() -> None:
    place = replace(PLACE, alarms=tuple(f"arn:{name}" for name in ALARMS))
    assert resolved_dashboard() == body(place) == json.loads(as_text(body(place)))


def test_the_dashboard_can_be_switched_off() -> None:
    template = load_template()
    resource = template["Resources"]["ServiceDashboard"]
    condition = template["Conditions"][resource["Condition"]]

    assert [Resolver(template, {"Dashboard": each}).holds(condition) for each in ("on", "off")] == [True, False]
    assert template["Outputs"]["DashboardName"]["Condition"] == resource["Condition"]


def test_the_dashboard_shows_every_alarm_in_the_order_of_the_operations_page() -> None:
    resources = load_template()["Resources"]
    page_text = (TEMPLATE.parent / "docs/operations.md").read_text(encoding="utf-8")

    assert set(ALARMS) == {name for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    assert re.findall(r"^### (\w+Alarm)$", page_text, re.M) == list(ALARMS)


def test_no_widget_lies_on_another_or_sticks_out() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in body(PLACE)["widgets"]:
        across = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in across for y in range(widget["y"], widget["y"] + widget["height"])}
        assert across.stop <= 24
        assert not cells & taken
        taken |= cells


def every_series() -> list[Series]:
    return [series for widget in WIDGETS if isinstance(widget, Graph) for series in widget.series]


def test_every_metric_of_the_dashboard_is_one_that_the_function_writes_with_those_dimensions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = a_report()
    for outcome in ("loaded", "partial", "failed", "rejected"):
        metrics.write_metrics(replace(report, outcome=outcome), stack="autoload", oldest="2026-11-24T20:59:00.000Z")
    failed = replace(report, outcome="failed")
    metrics.write_metrics(failed, stack="autoload", oldest="2026-11-24T20:59:00.000Z", retrying=True)
    metrics.oldest_waiting({"accounts": 1.0}, stack="autoload")
    metrics.count_unrouted(1, stack="autoload")
    metrics.count_excluded({"accounts": 1}, stack="autoload")
    metrics.count_sweep(0, stack="autoload")
    metrics.log_in_days_left(1.0, stack="autoload")
    metrics.count_answers([("ok", 1)], stack="autoload")
    written = {
        (each.namespace, each.name, *sorted(each.dimensions))
        for each in read_metrics(capsys.readouterr().out.split("\n"))
    }

    shown = {
        (series.home(PLACE)[0], series.metric, *sorted({series.home(PLACE)[1], series.by or "stack"}))
        for series in every_series()
        if series.of == "stack"
    }
    assert shown <= written


def a_report() -> Report:
    return Report(
        id="run-1",
        outcome="loaded",
        route="accounts",
        run_id="run-1",
        started_at="2026-11-24T21:00:00.000Z",
        ended_at="2026-11-24T21:01:00.000Z",
        message="Success",
        uploads_total=1,
    )


def test_new_routes_appear_by_themselves_and_only_those_of_the_stack() -> None:
    expressions = [expression for series in every_series() if (expression := series.expression(PLACE))]

    assert len(expressions) > 10
    assert all(
        re.search(r"SEARCH\('\{AnaplanAutoload,\w+,stack\} .* stack=\"autoload\"'", each) for each in expressions
    )


# A recording.


def recorded(*samples: Sample, log: tuple[dict[str, Any], ...] = ()) -> Recording:
    return Recording(
        about="Recorded.",
        stack="autoload",
        region="eu-west-1",
        queue="dead-letters",
        begin=0,
        end=MINUTE,
        samples=samples,
        log=log,
    )


def sample(name: str, value: float, time: int, **dimensions: str) -> Sample:
    return Sample("AnaplanAutoload", name, {"stack": "autoload", **dimensions}, time, value)


LOADED = Graph(
    title="Loads", series=(Series(metric="RunsLoaded", stat="Sum", label="${PROP('Dim.route')}", by="route"),), width=6
)
TOTAL = replace(LOADED, series=(replace(LOADED.series[0], total=True, label="loaded"),))


def test_a_search_gives_a_line_for_each_route_and_a_total_gives_one() -> None:
    data = recorded(
        sample("RunsLoaded", 1, 100, route="a"),
        sample("RunsLoaded", 1, 900, route="a"),
        sample("RunsLoaded", 1, 30 * SECOND, route="b"),
        sample("RunsFailed", 1, 100, route="a"),
        Sample("AnaplanAutoload", "RunsLoaded", {"stack": "another", "route": "c"}, 100, 1),
        sample("RunsLoaded", 1, 100),
    )

    assert data.lines(LOADED) == [Line("a", ((0, 2),)), Line("b", ((30 * SECOND, 1),))]
    assert data.lines(TOTAL) == [Line("loaded", ((0, 2), (30 * SECOND, 1)))]


def test_a_label_says_how_long_ago_the_last_load_was() -> None:
    label = "${PROP('Dim.route')} (last ${LAST_TIME_RELATIVE} ago)"
    graph = replace(LOADED, series=(replace(LOADED.series[0], label=label),))

    [line] = recorded(sample("RunsLoaded", 1, 15 * SECOND, route="a")).lines(graph)

    assert line.label == "a (last 45s ago)"


@pytest.mark.parametrize(
    ("stat", "value"), [("Sum", 55), ("Maximum", 10), ("Minimum", 1), ("p50", 5), ("p95", 10), ("p10", 1)]
)
def test_a_statistic_of_one_to_ten(stat: str, value: float) -> None:
    assert statistic(stat, list(range(1, 11))) == value


LOG = (
    {"@timestamp": 1, "route": "a", "outcome": "loaded", "run_seconds": 5.0, "uploads": ["b/old.csv"], "ended_at": "1"},
    {"@timestamp": 2, "route": "b", "outcome": "partial", "run_seconds": 9.0, "uploads": [], "ended_at": "2"},
    {"@timestamp": 3, "route": "a", "outcome": "loaded", "run_seconds": 2.0, "uploads": ["b/new.csv"], "ended_at": "3"},
    {"@timestamp": 4, "route": "a", "outcome": "held", "run_seconds": None, "uploads": [], "ended_at": None},
)


def table(title: str) -> LogTable:
    [found] = [each for each in WIDGETS if isinstance(each, LogTable) and each.title.startswith(title)]
    return found


@pytest.mark.parametrize(
    ("title", "column", "values"),
    [
        ("Last load of each route", "route", ["b", "a"]),
        ("Last load of each route", "last_ended_at", ["2", "3"]),
        ("Slowest loads", "run_seconds", [9.0, 5.0, 2.0]),
        ("Slowest loads", "uploads.0", [None, "b/old.csv", "b/new.csv"]),
        ("Last failures", "outcome", ["held", "partial"]),
    ],
)
def test_a_table_shows_the_lines_that_its_query_asks_for(title: str, column: str, values: list[object]) -> None:
    assert [row[column] for row in recorded(log=LOG).rows(table(title))] == values


def test_a_query_sorts_by_what_it_shows() -> None:
    for widget in WIDGETS:
        if isinstance(widget, LogTable):
            assert widget.sort in widget.heads
            assert widget.query(PLACE).startswith("SOURCE '/aws/lambda/autoload' | ")


def test_the_tables_show_what_the_function_logs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        log_run(getLogger("loads"), a_report())
    [record] = caplog.records
    written = {"@timestamp", *vars(record)}

    for widget in WIDGETS:
        if isinstance(widget, LogTable):
            assert {name.partition(".")[0] for name in widget.columns} <= written


# CloudWatch.


@pytest.fixture
def clients() -> Iterator[tuple[Clients, Stubber, Stubber]]:
    made = Clients(boto3.client("cloudwatch"), boto3.client("logs"))
    with Stubber(made.cloudwatch) as cloudwatch, Stubber(made.logs) as logs:
        yield made, cloudwatch, logs
        cloudwatch.assert_no_pending_responses()
        logs.assert_no_pending_responses()


HOUR = 60 * MINUTE


def test_cloudwatch_is_asked_for_the_expressions_of_the_dashboard(
    clients: tuple[Clients, Stubber, Stubber],
) -> None:
    made, cloudwatch, _ = clients
    when = datetime.fromtimestamp(600, UTC)
    graph = replace(TOTAL, series=(*TOTAL.series, Series(metric="Sweeps", stat="Sum", label="sweeps")))
    cloudwatch.add_response(
        "get_metric_data",
        {
            "MetricDataResults": [
                {"Id": "q0", "Label": "loaded", "Timestamps": [when], "Values": [3.0]},
                {"Id": "q1", "Label": "sweeps", "Timestamps": [], "Values": []},
            ]
        },
        {
            "MetricDataQueries": [
                {"Id": "q0", "Expression": TOTAL.series[0].expression(PLACE), "Label": "loaded", "Period": 300},
                {"Id": "q1", "MetricStat": ANY, "Label": "sweeps"},
            ],
            "StartTime": datetime.fromtimestamp(0, UTC),
            "EndTime": datetime.fromtimestamp(3600, UTC),
            "ScanBy": "TimestampAscending",
        },
    )

    lines = CloudWatch(made, PLACE, 0, HOUR).lines(graph)

    assert lines == [Line("loaded", ((600_000, 3.0),))]


@pytest.mark.parametrize(("days", "period"), [(1 / 24, 300), (1, 900), (7, 6000)])
def test_a_longer_time_has_longer_periods(days: float, period: int) -> None:
    made = Clients(boto3.client("cloudwatch"), boto3.client("logs"))

    found = CloudWatch(made, PLACE, 0, int(days * 24 * HOUR)).period

    assert found // SECOND == period and found % (300 * SECOND) == 0


def test_a_table_comes_from_logs_insights(clients: tuple[Clients, Stubber, Stubber]) -> None:
    made, _, logs = clients
    asked = {"logGroupName": "/aws/lambda/autoload", "startTime": 0, "endTime": 3600, "queryString": ANY}
    logs.add_response("start_query", {"queryId": "q"}, asked)
    logs.add_response("get_query_results", {"status": "Running", "results": []}, {"queryId": "q"})
    found = [[{"field": "route", "value": "accounts"}, {"field": "outcome", "value": "failed"}]]
    logs.add_response("get_query_results", {"status": "Complete", "results": found}, {"queryId": "q"})
    pauses: list[float] = []

    rows = CloudWatch(made, PLACE, 0, HOUR, sleep=pauses.append).rows(table("Last failures"))

    assert rows == [{"route": "accounts", "outcome": "failed"}]
    assert pauses == [1.0]


def put_alarm(name: str) -> None:
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AnaplanAutoload",
        MetricName="RunsFailed",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_the_alarms_are_those_of_the_stack() -> None:
    with mock_aws():
        for name in ("autoload-FailedLoadsAlarm-1A2B", "autoload-SweepMissingAlarm-3C4D", "autoload-Other-5E6F"):
            put_alarm(name)
        put_alarm("autoload-test-FailedLoadsAlarm-7G8H")

        found = alarms_of(boto3.client("cloudwatch"), "autoload")

    assert [alarm.name for alarm in found] == ["SweepMissingAlarm", "FailedLoadsAlarm"]


# The drawing.


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "seconds", "0s"),
        (2.25, "seconds", "2.2s"),
        (90, "seconds", "1m 30s"),
        (3, "count", "3"),
        (1234, "count", "1,234"),
        (29.96, "days", "30.0"),
    ],
)
def test_a_value_is_shown_in_its_unit(value: float, unit: str, shown: str) -> None:
    assert in_unit(value, unit) == shown


@pytest.mark.parametrize(("value", "top"), [(0, 4), (4, 4), (5, 6), (11, 20), (100, 100), (101, 200), (6500, 8000)])
def test_the_scale_is_even(value: float, top: float) -> None:
    assert round_up(value) == top


def test_lines_without_a_color_get_one_each() -> None:
    lines = [Line("a", ()), Line("b", (), "#123456"), Line("c", ())]
    colors = [color_of(lines, number) for number in range(3)]

    assert colors[1] == "#123456"
    assert len(set(colors)) == 3


def test_bars_stand_on_top_of_each_other() -> None:
    lines = [Line("a", ((0, 3.0),)), Line("b", ((0, 1.0),))]
    drawn = chart("Loads", lines, "count", (0, MINUTE), SECOND, 300, stacked=True)
    bars = [
        (float(y), float(height))
        for y, height in re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn)
    ]

    (low_y, low_height), (high_y, high_height) = bars
    assert high_y + high_height == pytest.approx(low_y, abs=0.2)
    assert low_height == pytest.approx(3 * high_height, abs=0.5)
    assert 'aria-label="Loads: a 3, b 1"' in drawn


def test_hostile_names_are_text_in_the_drawing() -> None:
    log = ({**LOG[3], "route": HOSTILE, "run_message": HOSTILE, "uploads": [HOSTILE]},)
    shown = page(HOSTILE, recorded(sample("RunsLoaded", 1, 100, route=HOSTILE), log=log))

    assert "<img" not in shown and 'onerror="' not in shown
    assert shown.count("&lt;img") >= 5


def test_the_page_needs_nothing_else_and_has_no_script() -> None:
    shown = page("autoload", demo())

    assert "<script" not in shown
    assert not re.search(r"""(?:src|href)=|url\(|@import|https?://""", shown)
    assert "prefers-color-scheme: dark" in shown


def test_an_empty_recording_says_so_in_every_widget() -> None:
    shown = page("autoload", recorded())
    for widget in WIDGETS:
        nothing = {"AlarmStates": "Alarms ring in AWS only.", "Graph": "No data.", "LogTable": "Nothing."}
        nothing["LoadHistory"] = ELSEWHERE
        title = escape(widget.title)
        assert f'<h2>{title}</h2><p class="none">{nothing[type(widget).__name__]}' in shown


def test_the_recorded_demo_fills_every_widget() -> None:
    shown = demo()
    empty = [
        widget.title
        for widget in WIDGETS
        if isinstance(widget, Graph | LogTable)
        and not (shown.lines(widget) if isinstance(widget, Graph) else shown.rows(widget))
    ]
    assert empty == []


def test_the_recording_is_of_the_laptops_stack_and_holds_no_secret() -> None:
    recording = demo()

    assert {each.dimensions["stack"] for each in recording.samples if "stack" in each.dimensions} == {"autoload"}
    assert not re.search(r"password|token|/tmp/|/home/", msgspec.json.encode(recording.log).decode())


def test_the_command_draws_the_demo_without_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    result = CliRunner().invoke(app, ["dashboard", "--render", "out.html"])

    assert result.exit_code == 0, result.stderr
    assert "Recorded on a laptop" in result.stderr
    assert (tmp_path / "out.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_says_what_it_needs_to_print_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["dashboard"])

    assert result.exit_code == 1
    assert "--stack" in result.stderr


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stack with one alarm and the output that names its dead-letter queue."""
    monkeypatch.chdir(tmp_path)
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            "DeadLetterQueueUrl": {"Value": "https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters"},
            "PageFunctionArn": {"Value": "arn:page"},
        },
    }
    with mock_aws():
        boto3.client("cloudformation").create_stack(StackName="autoload", TemplateBody=json.dumps(template))
        boto3.client("logs").create_log_group(logGroupName="/aws/lambda/autoload")
        put_alarm("autoload-FailedLoadsAlarm-1A2B")
        yield


@pytest.mark.usefixtures("deployed")
def test_the_command_prints_the_body_of_a_deployed_stack() -> None:
    result = CliRunner().invoke(app, ["dashboard", "--stack", "autoload"])

    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    [alarm] = printed["widgets"][0]["properties"]["alarms"]
    assert printed == body(replace(PLACE, alarms=(alarm,)))
    assert alarm.startswith("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:")


@pytest.mark.usefixtures("deployed")
def test_the_command_draws_a_deployed_stack(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dashboard", "--stack", "autoload", "--render", "out.html", "--since", "2h"])

    assert result.exit_code == 0, result.stderr
    shown = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "Stack autoload in eu-west-1, from CloudWatch." in shown
    assert "FailedLoadsAlarm: " in shown
