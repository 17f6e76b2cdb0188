"""Files that are due at a time of day: the message if nothing was loaded, and the one when the file comes late."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from aws_durable_execution_sdk_python.exceptions import InvocationError

from anaplan_autoload.operations.expected import expected_of
from local.cloudworks import Pace, Result
from tests.integration.cli import Command
from tests.integration.test_main_path import ACCOUNTS, KEY, LATEST, latest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.autoload import Autoload

EXPECT = 'expect = "06:00 Europe/London mon-fri"\n'
PARTIAL = "Code,Name\nA1,Cash\n,Nameless\n"
"""The tests are in 2040, as their clock only goes forward. 1 January is a Sunday; summer time begins on 25 March."""


def be(autoload: Autoload, day: int, clock: str, month: int = 1) -> None:
    """Let it be this time of a day in 2040, in London."""
    hours, _, minutes = clock.partition(":")
    wanted = datetime(2040, month, day, int(hours), int(minutes), tzinfo=ZoneInfo("Europe/London"))
    autoload.pass_time(wanted.timestamp() - autoload.now() / 1000)


def sweep(autoload: Autoload) -> None:
    autoload.invoke({"sweep": True})
    autoload.drain()


def expecting(autoload: Autoload, extra: str = "", day: int = 1, month: int = 1) -> None:
    """A route whose file is due at six on weekdays, seen by a sweep on the day before."""
    latest(autoload, EXPECT + extra)
    be(autoload, day, "12:00", month)
    sweep(autoload)


def load(autoload: Autoload, content: str = ACCOUNTS) -> None:
    autoload.invoke(autoload.upload(KEY, content))


def told(autoload: Autoload) -> list[str]:
    """The outcomes of the messages since the last call."""
    return [message["outcome"] for message in autoload.messages()]


def test_a_file_that_came_in_time_causes_no_message(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "05:41")
    load(autoload)
    be(autoload, 2, "06:03")

    sweep(autoload)

    assert told(autoload) == ["loaded"]


def test_a_file_that_did_not_come_is_missing_once_for_each_due_time(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "05:41")
    load(autoload)
    autoload.messages()
    for clock in ("05:58", "06:03", "06:08", "12:00"):
        be(autoload, 3, clock)
        sweep(autoload)
    be(autoload, 4, "05:58")
    sweep(autoload)

    [message] = autoload.messages()
    assert message["outcome"] == "missing"
    assert message["id"] == "missing-accounts-2040-01-03T06:00:00.000Z"
    assert message["due_at"] == "2040-01-03T06:00:00.000Z"
    assert message["last_load"]["file"] == KEY
    assert message["last_load"]["ended_at"].startswith("2040-01-02T05:41:")
    assert message["message"] == (
        "Nothing was loaded since Mon 05:41 GMT (Accounts.csv). It was expected by Tue 06:00 GMT. "
        "No upload waits and no load is under way: the file has not come."
    )
    assert (message["uploads"], message["run_id"]) == ([], None)

    be(autoload, 4, "06:03")
    sweep(autoload)
    assert [message["due_at"] for message in autoload.messages()] == ["2040-01-04T06:00:00.000Z"]


def test_missing_is_logged_and_counted(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")
    capsys.readouterr()

    sweep(autoload)

    [metric] = autoload.metrics(capsys.readouterr().out, "RoutesMissing")
    assert (metric["stack"], metric["route"]) == (autoload.settings().stack, "accounts")


def test_a_route_that_never_loaded_anything_says_so(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")

    sweep(autoload)

    [message] = autoload.messages()
    assert message["message"].startswith("Nothing was loaded, and no earlier load is known. It was expected by Mon")
    assert message["last_load"] is None


def test_a_route_that_is_pushed_after_the_due_time_is_not_missing_at_once(autoload: Autoload) -> None:
    latest(autoload)
    be(autoload, 2, "05:00")
    sweep(autoload)
    be(autoload, 2, "06:01")
    latest(autoload, EXPECT)

    for clock in ("06:03", "06:08"):
        be(autoload, 2, clock)
        sweep(autoload)
    assert told(autoload) == []

    be(autoload, 3, "06:03")
    sweep(autoload)
    assert told(autoload) == ["missing"]


@pytest.mark.parametrize("between", ["", 'expect = "06:05 Europe/London"\n', 'expect = "06:00 UTC"\nlane = "x"\n'])
def test_a_changed_due_time_starts_over(autoload: Autoload, between: str) -> None:
    expecting(autoload)
    latest(autoload, between)
    be(autoload, 1, "13:00")
    sweep(autoload)
    be(autoload, 2, "06:02")
    latest(autoload, EXPECT)

    be(autoload, 2, "06:03")
    sweep(autoload)

    assert told(autoload) == []


@pytest.mark.parametrize(("content", "outcome"), [(ACCOUNTS, "loaded"), (PARTIAL, "partial")])
def test_a_late_file_is_announced_as_recovered(autoload: Autoload, content: str, outcome: str) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")
    sweep(autoload)
    autoload.messages()

    be(autoload, 2, "06:31")
    load(autoload, content)

    loaded, recovered = autoload.messages()
    assert (loaded["outcome"], recovered["outcome"]) == (outcome, "recovered")
    assert recovered["id"] == loaded["id"]
    assert recovered["recovered_from"] == ["missing"]
    load(autoload)
    assert told(autoload) == ["loaded"]


def test_a_failed_load_does_not_count(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "05:41")
    load(autoload, "")
    be(autoload, 2, "06:03")

    sweep(autoload)

    assert told(autoload) == ["failed", "missing"]


def test_a_late_file_does_not_count_as_the_next_one(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")
    sweep(autoload)
    be(autoload, 2, "06:31")
    load(autoload)
    autoload.messages()

    be(autoload, 3, "06:03")
    sweep(autoload)

    assert told(autoload) == ["missing"]


def test_a_file_that_comes_between_the_due_time_and_the_sweep_is_enough(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "06:01")
    load(autoload)
    be(autoload, 2, "06:03")
    sweep(autoload)
    assert told(autoload) == ["loaded"]

    be(autoload, 3, "06:03")
    sweep(autoload)
    assert told(autoload) == ["missing"]


def test_a_load_in_the_afternoon_counts_for_the_next_morning(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "05:41")
    load(autoload)
    be(autoload, 2, "06:03")
    sweep(autoload)
    be(autoload, 2, "15:00")
    load(autoload)

    be(autoload, 3, "06:03")
    sweep(autoload)

    assert told(autoload) == ["loaded", "loaded"]


def test_nothing_is_due_on_a_weekend(autoload: Autoload) -> None:
    expecting(autoload, day=6)  # a Friday
    for day in (7, 8):
        be(autoload, day, "06:03")
        sweep(autoload)
    assert told(autoload) == []

    be(autoload, 9, "06:03")
    sweep(autoload)
    assert [message["due_at"] for message in autoload.messages()] == ["2040-01-09T06:00:00.000Z"]


def test_a_due_time_follows_the_clocks(autoload: Autoload) -> None:
    expecting(autoload, day=25, month=3)  # the Sunday on which clocks went forward
    be(autoload, 26, "05:58", 3)
    sweep(autoload)
    assert told(autoload) == []

    be(autoload, 26, "06:03", 3)
    sweep(autoload)

    [message] = autoload.messages()
    assert message["due_at"] == "2040-03-26T05:00:00.000Z"
    assert "expected by Mon 06:00 BST" in message["message"]


def test_a_file_that_is_being_loaded_is_late(autoload: Autoload) -> None:
    expecting(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=600)

    def look() -> None:
        be(autoload, 2, "06:03")
        sweep(autoload)

    autoload.when("GET", "/integrations/run/", look, skip=1)
    be(autoload, 2, "05:59")
    load(autoload)

    missing, loaded, recovered = autoload.messages()
    assert [each["outcome"] for each in (missing, loaded, recovered)] == ["missing", "loaded", "recovered"]
    assert "It is late: a load has been under way since Mon 05:59 GMT." in missing["message"]


def test_a_file_that_waits_in_a_paused_lane_is_late(autoload: Autoload) -> None:
    expecting(autoload)
    autoload.ledger.pause(autoload.lane())
    be(autoload, 2, "05:41")
    load(autoload)
    be(autoload, 2, "06:03")

    sweep(autoload)

    [message] = autoload.messages()
    assert "It is late: an upload has been waiting since Mon 05:41 GMT. The lane is paused" in message["message"]


def test_another_route_in_the_lane_does_not_count(autoload: Autoload) -> None:
    other = LATEST.replace('"accounts"', '"other"').replace('"incoming/"', '"other/"').replace("{accounts}", "{other}")
    shared = 'lane = "model"\n'
    autoload.routes(LATEST + shared + EXPECT + other + shared, accounts=KEY, other="other/Other.csv")
    be(autoload, 1, "12:00")
    sweep(autoload)
    be(autoload, 2, "05:41")
    autoload.invoke(autoload.upload("other/Other.csv", ACCOUNTS))
    be(autoload, 2, "06:03")

    sweep(autoload)

    assert told(autoload) == ["loaded", "missing"]


def test_sweeps_that_overlap_announce_it_once(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")
    sns = autoload.services_now().sns.meta.events
    nested: list[object] = []

    def another(**_: object) -> None:
        if not nested:
            nested.append(None)
            autoload.invoke({"sweep": True})

    sns.register("before-call.sns.Publish", another)

    sweep(autoload)

    assert nested and told(autoload) == ["missing"]


@pytest.mark.parametrize("call", ["Publish", "UpdateItem"])
def test_a_sweep_that_dies_before_it_notes_the_announcement_leaves_it_to_the_next(
    autoload: Autoload, call: str
) -> None:
    """So the message may be sent twice, because the sweep notes nothing before it has announced it."""
    expecting(autoload)
    be(autoload, 2, "06:03")
    events = autoload.services_now()
    client = events.sns if call == "Publish" else events.dynamodb
    seen: list[object] = []

    def die(**_: object) -> None:
        seen.append(None)
        if len(seen) == (1 if call == "Publish" else 2):  # the first update is the claim, the second the note
            raise InvocationError("the sandbox died")

    client.meta.events.register(f"before-call.{client.meta.service_model.service_name}.{call}", die)

    autoload.outcome({"sweep": True})
    be(autoload, 2, "06:08")
    sweep(autoload)

    messages = autoload.messages()
    assert {message["id"] for message in messages} == {"missing-accounts-2040-01-02T06:00:00.000Z"}
    assert len(messages) == (1 if call == "Publish" else 2)
    be(autoload, 2, "06:13")
    sweep(autoload)
    assert told(autoload) == []


def test_a_load_that_ends_while_it_is_announced_as_missing_is_announced_as_recovered(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "06:03")
    loaded: list[object] = []

    def come(**_: object) -> None:
        if not loaded:
            loaded.append(None)
            load(autoload)

    autoload.services_now().sns.meta.events.register("before-call.sns.Publish", come)

    sweep(autoload)

    assert sorted(told(autoload)) == ["loaded", "missing", "recovered"]
    load(autoload)
    assert told(autoload) == ["loaded"]


def test_due_times_cost_one_read_a_sweep_until_one_has_passed(autoload: Autoload) -> None:
    expecting(autoload)
    calls = autoload.record_calls()
    be(autoload, 2, "05:58")

    sweep(autoload)

    assert calls == ["Scan", "GetItem", "Query"]  # what waits, the routes, and how they stand


def test_many_weeks_without_a_load_name_the_date(autoload: Autoload) -> None:
    expecting(autoload)
    load(autoload)
    autoload.messages()
    be(autoload, 20, "06:03")

    sweep(autoload)

    [message] = autoload.messages()
    assert message["message"].startswith("Nothing was loaded since Sun 2040-01-01 12:00 GMT (Accounts.csv).")


# Loads that work again


def test_the_first_load_after_a_failure_is_announced_as_recovered(autoload: Autoload) -> None:
    latest(autoload)
    load(autoload, "")
    load(autoload)
    load(autoload)

    failed, loaded, recovered, again = autoload.messages()
    assert [each["outcome"] for each in (failed, loaded, recovered, again)] == [
        "failed",
        "loaded",
        "recovered",
        "loaded",
    ]
    assert (recovered["id"], recovered["recovered_from"]) == (loaded["id"], ["failed"])


def test_a_partial_load_does_not_recover_from_a_failure(autoload: Autoload) -> None:
    latest(autoload)
    for content in ("", PARTIAL, ACCOUNTS):
        load(autoload, content)

    assert told(autoload) == ["failed", "partial", "loaded", "recovered"]


def test_a_failed_run_that_is_tried_again_leaves_nothing_to_recover_from(autoload: Autoload) -> None:
    integration = latest(autoload)
    autoload.simulator.force_result(integration, Result(False, "Connection failed", 46))
    load(autoload)

    assert told(autoload) == ["loaded"]


def test_a_load_may_end_both_troubles_of_its_route(autoload: Autoload) -> None:
    expecting(autoload)
    be(autoload, 2, "05:41")
    load(autoload, "")
    be(autoload, 2, "06:03")
    sweep(autoload)
    autoload.messages()

    load(autoload)

    loaded, recovered = autoload.messages()
    assert (loaded["outcome"], recovered["outcome"]) == ("loaded", "recovered")
    assert recovered["recovered_from"] == ["missing", "failed"]


def test_a_failure_of_one_route_is_not_ended_by_another_in_its_lane(autoload: Autoload) -> None:
    other = LATEST.replace('"accounts"', '"other"').replace('"incoming/"', '"other/"').replace("{accounts}", "{other}")
    shared = 'lane = "model"\n'
    autoload.routes(LATEST + shared + other + shared, accounts=KEY, other="other/Other.csv")

    load(autoload, "")
    autoload.invoke(autoload.upload("other/Other.csv", ACCOUNTS))

    assert told(autoload) == ["failed", "loaded"]


def test_a_leader_that_dies_before_it_notes_a_recovery_repeats_it_with_the_same_id(autoload: Autoload) -> None:
    latest(autoload)
    load(autoload, "")
    autoload.messages()
    published: list[object] = []

    def die(**_: object) -> None:
        published.append(None)
        if len(published) == 2:
            autoload.services_now().dynamodb.meta.events.register_first("before-call.dynamodb.UpdateItem", once)

    def once(**_: object) -> None:
        if len(published) == 2:
            published.append(None)
            raise InvocationError("the sandbox died")

    autoload.services_now().sns.meta.events.register("before-call.sns.Publish", die)

    load(autoload)

    messages = autoload.messages()
    assert {each["outcome"] for each in messages} == {"loaded", "recovered"}
    assert sum(each["outcome"] == "recovered" for each in messages) == 2
    assert len({each["id"] for each in messages}) == 1
    load(autoload)
    assert told(autoload) == ["loaded"]


# What goes to the topic


@pytest.mark.parametrize("only", ["loaded", "partial", "failed", "recovered"])
def test_only_what_notify_names_goes_to_the_topic_and_all_is_logged_counted_and_kept(
    autoload: Autoload, only: str, capsys: pytest.CaptureFixture[str]
) -> None:
    latest(autoload, f'notify = ["{only}"]\n')
    capsys.readouterr()

    for content in ("", PARTIAL, ACCOUNTS):
        load(autoload, content)

    assert told(autoload) == [only]
    printed = capsys.readouterr().out
    for metric in ("RunsFailed", "RunsPartial", "RunsLoaded", "RoutesRecovered"):
        assert len(autoload.metrics(printed, metric)) == 1
    history = list(autoload.ledger.runs(autoload.lane()))
    assert [run.outcome for run in history] == ["loaded", "partial", "failed"]
    assert all(run.announced for run in history)


@pytest.mark.parametrize(("notify", "outcomes"), [("missing", ["missing"]), ("recovered", ["recovered"]), ("", [])])
def test_notify_applies_to_missing_files(
    autoload: Autoload, notify: str, outcomes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    expecting(autoload, f'notify = ["{notify}"]\n' if notify else "notify = []\n")
    be(autoload, 2, "06:03")
    for _ in range(2):
        sweep(autoload)
    load(autoload)

    assert told(autoload) == outcomes
    printed = capsys.readouterr().out
    assert len(autoload.metrics(printed, "RoutesMissing")) == len(autoload.metrics(printed, "RoutesRecovered")) == 1


@pytest.mark.parametrize(("notify", "outcomes"), [("overdue", ["overdue"]), ("loaded", ["loaded"])])
def test_notify_applies_to_overdue_runs(autoload: Autoload, notify: str, outcomes: list[str]) -> None:
    latest(autoload, f'overdue = "1m"\nnotify = ["{notify}"]\n')
    autoload.simulator.settings.pace = Pace(run_seconds=300)

    load(autoload)

    assert told(autoload) == outcomes


@pytest.mark.parametrize(("notify", "outcomes"), [("rejected", ["rejected"]), ("loaded", [])])
def test_notify_applies_to_rejected_files(autoload: Autoload, notify: str, outcomes: list[str]) -> None:
    latest(autoload, f'notify = ["{notify}"]\n')

    autoload.invoke(autoload.upload("incoming/Other.csv", ACCOUNTS))

    assert told(autoload) == outcomes


def test_held_is_announced_even_if_notify_leaves_it_out(autoload: Autoload) -> None:
    latest(autoload, "notify = []\n")
    autoload.set_secret(password="wrong")

    load(autoload)

    assert told(autoload) == ["held"]


# What `status` shows


def shown(autoload: Autoload) -> tuple[str, str]:
    """How the route stands now, and in words."""
    services = autoload.services_now()
    [found] = expected_of(autoload.ledger, services.standings.all(), autoload.known_routes(), autoload.now())
    return found.state, found.words


def test_status_says_whether_the_file_came(autoload: Autoload) -> None:
    expecting(autoload, day=25, month=3)
    be(autoload, 26, "05:41", 3)
    load(autoload)
    be(autoload, 26, "06:01", 3)
    assert shown(autoload) == ("loaded", "expected by Mon 06:00 BST: loaded 05:41")

    be(autoload, 27, "06:01", 3)
    assert shown(autoload) == ("not loaded", "expected by Tue 06:00 BST: nothing loaded yet")

    be(autoload, 27, "06:03", 3)
    sweep(autoload)
    assert shown(autoload) == ("missing", "missing since Tue 06:00 BST")

    be(autoload, 28, "05:00", 3)
    load(autoload)
    assert shown(autoload) == ("loaded", "expected by Tue 06:00 BST: loaded Wed 05:00 BST")


def test_the_status_command_shows_it(autoload: Autoload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = Command(autoload, monkeypatch, tmp_path)
    latest(autoload, EXPECT)
    (tmp_path / "routes.toml").write_text((LATEST + EXPECT).format(**autoload.ids))

    [before] = command.data("status")
    load(autoload)
    [after] = command.data("status")

    assert [each["expected"][0]["state"] for each in (before, after)] == ["not loaded", "loaded"]
    assert after["expected"][0]["words"] in " ".join(command("status", "accounts").out.split())
