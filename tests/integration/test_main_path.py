"""An upload becomes a load: the protocol's main path, in the function that is deployed."""

from __future__ import annotations

import csv
import io
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from aws_durable_execution_sdk_python.exceptions import InvocationError

from anaplan_autoload.domain.times import iso
from anaplan_autoload.steps import ending
from local.cloudworks import Pace, Result
from tests.autoload import BUCKET, REPORTS, Autoload, ExecutionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

LATEST = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "{accounts}"
"""
EACH = """
[[route]]
name = "accounts"
prefix = "incoming/"
integration = "{accounts}"
load = "each"
stage_to = "source/Accounts.csv"
"""
KEY = "incoming/Accounts.csv"
ACCOUNTS = "Code,Name\nA1,Cash\nA2,Receivables\n"


def latest(autoload: Autoload, extra: str = "") -> str:
    return autoload.routes(LATEST + extra, accounts=KEY)["accounts"]


def each(autoload: Autoload) -> str:
    return autoload.routes(EACH, accounts="source/Accounts.csv")["accounts"]


def test_an_upload_is_loaded_and_announced(autoload: Autoload) -> None:
    latest(autoload)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [run] = autoload.simulator.runs
    assert result == {"state": "led", "uploads": [{"bucket": BUCKET, "key": KEY, "state": "loaded", "run_id": run.id}]}
    assert set(autoload.simulator.models[autoload.models["accounts"]]) == {"A1", "A2"}
    [message] = autoload.messages()
    assert (message["id"], message["outcome"], message["route"]) == (run.id, "loaded", "accounts")


def test_a_duplicate_event_adds_no_run(autoload: Autoload) -> None:
    latest(autoload)
    event = autoload.upload(KEY, ACCOUNTS)

    first, second = autoload.invoke(event), autoload.invoke(event)

    assert autoload.runs_asked_for() == 1
    assert first == second
    assert len(autoload.messages()) == 1


def test_rejected_rows_are_reported_and_kept(autoload: Autoload) -> None:
    latest(autoload)

    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,Cash\n,Nameless\nA1,Twice\n"))

    [message] = autoload.messages()
    assert (message["outcome"], message["error_code"]) == ("partial", 38)
    assert sum(error["occurrences"] for error in message["errors"]) == 2
    prefix = message["report_url"].removeprefix(f"s3://{REPORTS}/")
    objects = autoload.s3.list_objects_v2(Bucket=REPORTS, Prefix=prefix)["Contents"]
    [dump] = [each["Key"] for each in objects if each["Key"].endswith(".csv") and "rejected" in each["Key"]]
    rows = list(csv.reader(io.StringIO(autoload.s3.get_object(Bucket=REPORTS, Key=dump)["Body"].read().decode())))
    assert len(rows) == 3


def test_uploads_during_a_run_get_one_run_of_their_own(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=40)
    left: list[object] = []

    def burst() -> None:
        for number in range(3):
            left.append(autoload.invoke(autoload.upload(KEY, f"Code,Name\nA{number},Late\n"))["state"])

    autoload.when("GET", "/integrations/run/", burst, skip=2)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert left == ["left"] * 3
    first, second = autoload.simulator.runs
    assert second.started_at >= first.ended_at
    assert [message["uploads_total"] for message in autoload.messages()] == [1, 3]
    assert "A2" in autoload.simulator.models[autoload.models["accounts"]]


def test_each_object_gets_a_run_of_its_own_oldest_first(autoload: Autoload) -> None:
    each(autoload)
    events = [autoload.upload(f"incoming/{name}.csv", f"Code,Name\n{name},x\n") for name in ("a", "b", "c")]
    lane = autoload.ledger
    lane.pause(autoload.lane())
    for event in reversed(events):
        autoload.invoke(event)
    lane.resume(autoload.lane())

    autoload.invoke({"drain": autoload.lane()})

    etags = [event["Records"][0]["s3"]["object"]["eTag"] for event in events]
    assert [run.source_etag for run in autoload.simulator.runs] == etags


def test_older_data_of_a_key_never_replaces_newer(autoload: Autoload) -> None:
    each(autoload)
    old = autoload.upload(KEY, "Code,Name\nA1,Old\n")
    autoload.pass_time(1)
    new = autoload.upload(KEY, "Code,Name\nA1,New\n")

    autoload.invoke(new)
    late = autoload.invoke(old)

    assert late["uploads"][0]["state"] == "superseded"
    assert autoload.simulator.models[autoload.models["accounts"]]["A1"]["Name"] == "New"
    assert len(autoload.simulator.runs) == 1


def test_a_staged_object_that_is_gone_fails_and_the_rest_go_on(autoload: Autoload) -> None:
    each(autoload)
    gone = autoload.upload("incoming/gone.csv", ACCOUNTS)
    version = gone["Records"][0]["s3"]["object"]["versionId"]
    autoload.s3.delete_object(Bucket=BUCKET, Key="incoming/gone.csv", VersionId=version)

    result = autoload.invoke(gone)
    autoload.invoke(autoload.upload("incoming/here.csv", ACCOUNTS))

    assert result["uploads"][0]["state"] == "failed"
    failed, loaded, recovered = autoload.messages()
    assert failed["outcome"] == "failed" and "no longer exists" in failed["message"]
    assert failed["id"].startswith("batch-") and failed["run_id"] is None
    assert (loaded["outcome"], recovered["outcome"]) == ("loaded", "recovered")


@pytest.mark.parametrize("route", [latest, each])
def test_an_empty_file_is_refused_without_a_run(autoload: Autoload, route: Callable[[Autoload], str]) -> None:
    route(autoload)

    autoload.invoke(autoload.upload(KEY, ""))

    assert autoload.runs_asked_for() == 0
    [message] = autoload.messages()
    assert message["outcome"] == "failed" and "empty" in message["message"]


def test_a_file_that_an_empty_one_replaced_is_not_loaded(autoload: Autoload) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane())
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload(KEY, ""))
    autoload.ledger.resume(autoload.lane())

    autoload.invoke({"drain": autoload.lane()})

    assert autoload.runs_asked_for() == 0
    [message] = autoload.messages()
    assert message["uploads_total"] == 2


def test_an_empty_file_is_loaded_where_the_route_allows_it(autoload: Autoload) -> None:
    latest(autoload, "allow_empty = true")

    autoload.invoke(autoload.upload(KEY, ""))

    assert autoload.runs_asked_for() == 1


def test_a_route_settles_until_a_burst_is_over(autoload: Autoload) -> None:
    latest(autoload, 'settle = "90s"')

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [run] = autoload.simulator.runs
    recorded = autoload.ledger.uploads(autoload.lane(), [autoload.upload_ids[0]])[0].recorded_at
    assert run.started_at * 1000 - recorded >= 90_000


def test_an_unrouted_upload_is_counted_and_logged(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload)

    result = autoload.invoke(autoload.upload("elsewhere/x.csv", "x"))

    assert result == {"state": "ignored", "uploads": []}
    [metric] = autoload.metrics(capsys.readouterr().out, "UploadsUnrouted")
    assert metric["UploadsUnrouted"] == [1.0]
    assert metric["stack"] == autoload.settings().stack
    assert "No route matches this upload; it is not loaded" in caplog.messages


@pytest.mark.crossed
@pytest.mark.parametrize(
    "name", ["Accounts.csv.bak", "Accounts.csv.filepart", "._Accounts.csv", "_SUCCESS", ".DS_Store", "~$Accounts.csv"]
)
@pytest.mark.parametrize("route", [LATEST, EACH])
def test_an_excluded_upload_is_ignored_logged_and_counted(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, route: str, name: str
) -> None:
    autoload.routes(route + 'exclude = ["*.bak"]', accounts=KEY)
    table = autoload.dump_table()

    result = autoload.invoke(autoload.upload(f"incoming/{name}", ACCOUNTS))

    assert result == {"state": "ignored", "uploads": []}
    assert autoload.simulator.requests == [] and autoload.messages() == [] and autoload.dump_table() == table
    printed = capsys.readouterr().out
    [metric] = autoload.metrics(printed, "UploadsExcluded")
    assert (metric["UploadsExcluded"], metric["route"]) == ([1.0], "accounts")
    assert metric["stack"] == autoload.settings().stack
    assert "UploadsUnrouted" not in printed
    assert "Ignored an upload because of its name" in caplog.messages


def test_the_log_of_an_unrouted_upload_names_the_routes_that_nearly_match(
    autoload: Autoload, caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload)

    autoload.invoke(autoload.upload("Incoming\\Accounts.csv", "x"))

    [line] = [record for record in caplog.records if record.message.startswith("No route matches")]
    assert line.__dict__["near_misses"] == [
        'route accounts: its prefix "incoming/" differs in upper and lower case and slashes'
    ]


def test_our_own_copy_is_ignored_and_not_counted(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    each(autoload)

    result = autoload.invoke(autoload.upload("source/Accounts.csv", ACCOUNTS))

    assert result["state"] == "ignored"
    assert "UploadsUnrouted" not in capsys.readouterr().out


def test_an_event_that_spans_lanes_leads_one_and_drains_the_others(autoload: Autoload) -> None:
    autoload.routes(
        LATEST
        + """
[[route]]
name = "regions"
prefix = "regions/"
integration = "{regions}"
""",
        accounts=KEY,
        regions="regions/Regions.csv",
    )
    one, two = autoload.upload(KEY, ACCOUNTS), autoload.upload("regions/Regions.csv", "Code\nR1\n")

    autoload.invoke({"Records": [*one["Records"], *two["Records"]]})
    autoload.drain()

    assert {message["route"] for message in autoload.messages()} == {"accounts", "regions"}


def test_under_sam_local_an_invocation_of_itself_is_skipped_and_logged(
    autoload: Autoload, caplog: pytest.LogCaptureFixture
) -> None:
    """The emulator of `sam local` would answer 404, and the execution would fail."""
    latest(autoload)
    autoload.change(sam_local=True)
    autoload.record_backlog(autoload.upload(KEY, ACCOUNTS), 1)

    assert autoload.invoke({"sweep": True})["state"] == "ignored"

    [skipped] = [record for record in caplog.records if record.getMessage().startswith("Skipped an invocation")]
    assert vars(skipped)["skipped_event"] == {"drain": autoload.lane()}
    assert "On AWS, another execution would get this event" in skipped.getMessage()
    assert autoload.sent.take() == []


def test_a_requested_reload_runs_again_once_per_request(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    request = {"load": {"bucket": BUCKET, "key": KEY, "request_id": "again"}}

    autoload.invoke(request)
    autoload.invoke(request)

    assert autoload.runs_asked_for() == 2


def test_a_paused_lane_keeps_its_uploads_until_it_is_resumed(autoload: Autoload) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane())

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "left"
    autoload.invoke({"sweep": True})
    autoload.drain()
    assert autoload.runs_asked_for() == 0
    autoload.ledger.resume(autoload.lane())
    autoload.invoke({"drain": autoload.lane()})

    assert autoload.runs_asked_for() == 1


def test_a_failed_run_that_may_heal_is_retried_and_announced_once(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    integration = latest(autoload)
    autoload.simulator.force_result(integration, Result(False, "Connection failed", 46))

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    first, second = autoload.simulator.runs
    assert 60 <= second.started_at - first.ended_at <= 180
    assert result["uploads"][0]["state"] == "loaded"
    [message] = autoload.messages()
    assert message["id"] == second.id
    history = list(autoload.ledger.runs(autoload.lane()))
    assert [(run.outcome, run.retried) for run in history] == [("loaded", False), ("failed", True)]
    assert '"RunsRetried"' in capsys.readouterr().out


def test_a_failed_run_that_will_not_heal_is_announced(autoload: Autoload) -> None:
    latest(autoload)

    autoload.invoke(autoload.upload(KEY, "Code,Name\n,a\n,b\n"))

    assert autoload.runs_asked_for() == 1
    [message] = autoload.messages()
    assert message["outcome"] == "failed"


def test_a_long_run_is_announced_as_overdue_once_and_followed(autoload: Autoload) -> None:
    latest(autoload, 'overdue = "5m"')
    autoload.simulator.settings.pace = Pace(run_seconds=900)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert [message["outcome"] for message in autoload.messages()] == ["overdue", "loaded"]


def test_a_leader_that_grew_old_hands_over_and_loaded(autoload: Autoload) -> None:
    latest(autoload)
    autoload.change(age_limit=300)
    autoload.simulator.settings.pace = Pace(run_seconds=600)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.drain()

    assert result["state"] == "handed_over"
    assert autoload.runs_asked_for() == 1
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_an_upload_recorded_just_before_the_release_is_loaded_by_the_same_leader(autoload: Autoload) -> None:
    latest(autoload)
    second = autoload.upload(KEY, ACCOUNTS)
    releases: list[str] = []

    def record(params: dict[str, Any], **_: object) -> None:
        if params["UpdateExpression"].startswith("REMOVE holder"):
            releases.append(params["UpdateExpression"])
            if len(releases) == 1:
                autoload.record_backlog(second, 1)  # its execution sees that the lane is led, and leaves

    autoload.services_now().dynamodb.meta.events.register("before-parameter-build.dynamodb.UpdateItem", record)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(releases) == autoload.runs_asked_for() == 2
    assert not autoload.ledger.waiting(autoload.lane())


def test_an_execution_near_the_limit_of_operations_hands_over(autoload: Autoload) -> None:
    each(autoload)
    autoload.change(operation_limit=12)
    autoload.ledger.pause(autoload.lane())
    for name in ("a", "b", "c"):
        autoload.invoke(autoload.upload(f"incoming/{name}.csv", ACCOUNTS))
    autoload.ledger.resume(autoload.lane())

    result = autoload.invoke({"drain": autoload.lane()})
    autoload.drain()

    assert result["state"] == "handed_over"
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"] * 3
    assert autoload.runs_asked_for() == 3


def test_the_sweep_takes_over_from_a_leader_that_died(autoload: Autoload) -> None:
    latest(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.ledger.acquire(autoload.lane(), "arn:dead", autoload.now())
    assert autoload.invoke(event)["state"] == "left"

    autoload.invoke({"sweep": True})
    assert autoload.sent.events == []
    autoload.pass_time(181)
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_the_sweep_writes_how_old_the_oldest_upload_is(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane())
    autoload.invoke(autoload.upload(KEY, ACCOUNTS, at=autoload.now() - 3_600_000))
    capsys.readouterr()

    autoload.invoke({"sweep": True})

    [metric] = autoload.metrics(capsys.readouterr().out, "OldestWaitingSeconds")
    assert (metric["stack"], metric["route"]) == (autoload.settings().stack, "accounts")
    assert 3_600 <= metric["OldestWaitingSeconds"][0] < 3_700


def test_an_unrecognizable_event_fails_the_execution(autoload: Autoload) -> None:
    latest(autoload)

    with pytest.raises(ExecutionFailed, match="UnknownEvent"):
        autoload.invoke({"what": "is this"})


def test_a_broken_routes_file_fails_the_execution_before_anything_is_recorded(autoload: Autoload) -> None:
    autoload.use_routes_file()
    latest(autoload, "unknown = 1")

    with pytest.raises(ExecutionFailed, match=r"routes\.toml"):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert autoload.ledger.pending() == []


def test_one_upload_costs_six_calls_in_two_steps_until_its_run_is_asked_for(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))  # the token is warm from here on
    event = autoload.upload(KEY, ACCOUNTS)
    calls = autoload.record_calls()

    autoload.invoke(event)

    until_post = calls[: calls.index("POST run") + 1]
    assert until_post == ["PutItem", "UpdateItem", "Query", "TransactWriteItems", "UpdateItem", "POST run"]
    assert autoload.operations()[1:3] == ["admit", "post"]


def test_one_step_follows_the_announcement(autoload: Autoload) -> None:
    latest(autoload)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.operations()[1:] == ["admit", "post", "follow", "record_run", "end"]


@pytest.mark.parametrize(("minutes", "most"), [(1, 16), (5, 18), (60, 24)])
def test_a_load_of_an_integration_with_a_history_takes_few_operations(
    autoload: Autoload, minutes: int, most: int
) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=60 * minutes)
    for _ in range(5):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    looks = len([seen for seen in autoload.simulator.requests if "/integrations/run/" in seen.path])

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    looks = len([seen for seen in autoload.simulator.requests if "/integrations/run/" in seen.path]) - looks
    assert len(autoload.operations()) - 1 + looks <= most


@pytest.mark.crossed
@pytest.mark.parametrize("effect", ["UpdateItem", "DeleteItem", "GetItem", "Query"])
@pytest.mark.parametrize("number", range(4))
def test_a_death_in_the_last_step_repeats_nothing(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, effect: str, number: int
) -> None:
    latest(autoload)
    left: int | None = None
    end = ending.end

    @wraps(end)
    def watched(*arguments: Any) -> Any:
        nonlocal left
        left = number if left is None else left
        return end(*arguments)

    def die(**_: object) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left == -1:
                raise InvocationError("the sandbox died")

    monkeypatch.setattr(ending, "end", watched)
    autoload.services_now().dynamodb.meta.events.register(f"after-call.dynamodb.{effect}", die)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert result["state"] == "led"
    assert result["uploads"][0]["state"] == "loaded"
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert autoload.ledger.lane(autoload.lane()).holder is None


def test_event_times_show_in_the_message(autoload: Autoload) -> None:
    latest(autoload)
    at = autoload.now() - 5_000

    autoload.invoke(autoload.upload(KEY, ACCOUNTS, at=at))

    [message] = autoload.messages()
    assert message["uploads"][0]["event_time"] == iso(at)
