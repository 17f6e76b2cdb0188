"""Uploads that wait because of a rule: for a window, for other files of a set, for the end of a pause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from anaplan_autoload.domain.times import epoch_ms
from local.cloudworks import Pace, Result
from tests.integration.test_main_path import ACCOUNTS, KEY, latest

if TYPE_CHECKING:
    from tests.autoload import Autoload

NIGHT = 'window = "19:00-06:30 Europe/London"\n'
SET = """
[[route]]
name = "month-end"
prefix = "month-end/"
integration = "{accounts}"
needs = ["accounts.csv", "entities.csv"]
within = "6h"
"""
FIRST, SECOND, OTHER = "month-end/accounts.csv", "month-end/entities.csv", "month-end/notes.csv"
BUSY = Result(False, "The connection failed.", None)


def go_to(autoload: Autoload, text: str) -> None:
    """Let time pass until a time in UTC, such as `2027-03-28 01:30`."""
    wanted = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000
    assert wanted > autoload.now()
    autoload.pass_time((wanted - autoload.now()) / 1000)


def sweep(autoload: Autoload) -> int:
    """Sweep; returns how many lanes were drained, after their drains have ended."""
    autoload.invoke({"sweep": True})
    events = list(autoload.sent.events)
    autoload.drain()
    return len(events)


def a_set(autoload: Autoload, extra: str = "") -> None:
    """A route that needs two files, which its integration reads."""
    autoload.routes(SET + extra, accounts=FIRST)
    autoload.let_read("accounts", FIRST, SECOND, OTHER)
    for key in (FIRST, SECOND, OTHER):
        autoload.upload(key, ACCOUNTS)


def state(result: Any) -> str:
    """The state of an execution's first upload."""
    return str(result["uploads"][0]["state"])


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log said of uploads that wait."""
    return [line for line in caplog.messages if line.startswith("Uploads wait")]


# A window.


def test_an_upload_outside_the_window_waits_at_no_cost_until_the_sweep_finds_it_open(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload, NIGHT)
    go_to(autoload, "2027-01-06 12:00")

    first = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    second = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    capsys.readouterr()
    assert sweep(autoload) == 0

    assert (first["state"], state(first), state(second)) == ("led", "waiting", "waiting")
    assert autoload.simulator.requests == [] and autoload.ledger.lane(autoload.lane()).holder is None
    [metric] = autoload.metrics(capsys.readouterr().out, "OldestWaitingSeconds")
    assert metric["OldestWaitingSeconds"] == [0.0]
    assert said(caplog) == ["Uploads wait: window opens Wed 19:00 GMT"]

    go_to(autoload, "2027-01-06 19:01")
    capsys.readouterr()
    assert sweep(autoload) == 1

    [metric] = autoload.metrics(capsys.readouterr().out, "OldestWaitingSeconds")
    assert 60 <= metric["OldestWaitingSeconds"][0] < 120
    [message] = autoload.messages()
    assert (message["outcome"], message["uploads_total"]) == ("loaded", 2)
    assert autoload.ledger.lane(autoload.lane()).waits == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Clocks go forward at 01:00 UTC: 01:30 does not exist, and counts as 02:30.
        ("2027-03-28 01:29", "2027-03-28 01:30"),
        # Clocks go back at 01:00 UTC: 01:30 comes twice, and the window opens at the first.
        ("2027-10-31 00:29", "2027-10-31 00:30"),
    ],
)
def test_a_window_opens_when_clocks_change(autoload: Autoload, before: str, after: str) -> None:
    latest(autoload, 'window = "01:30-05:00 Europe/London"\n')
    go_to(autoload, before)

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"
    assert sweep(autoload) == 0
    go_to(autoload, after)
    assert sweep(autoload) == 1

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_run_that_goes_on_when_the_window_closes_is_followed(autoload: Autoload) -> None:
    latest(autoload, NIGHT)
    autoload.simulator.settings.pace = Pace(run_seconds=1800)
    go_to(autoload, "2027-01-06 06:20")

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "loaded"

    [message] = autoload.messages()
    assert message["ended_at"] > "2027-01-06T06:45"


def test_a_failed_run_is_retried_in_the_next_window_and_all_tries_count(
    autoload: Autoload, caplog: pytest.LogCaptureFixture
) -> None:
    integration = latest(autoload, NIGHT + "retries = 1\n")
    autoload.simulator.force_result(integration, BUSY)
    go_to(autoload, "2027-01-06 06:29")

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"
    assert autoload.runs_asked_for() == 1 and autoload.messages() == []
    assert any("The window closed before the run could begin" in line for line in caplog.messages)
    assert sweep(autoload) == 0

    go_to(autoload, "2027-01-06 19:00")
    autoload.simulator.force_result(integration, BUSY)
    assert sweep(autoload) == 1

    assert autoload.runs_asked_for() == 2
    assert [message["outcome"] for message in autoload.messages()] == ["failed"]
    assert autoload.ledger.lane(autoload.lane()).put_back == {}


def test_a_window_that_closes_while_somebody_elses_run_goes_on_begins_no_run(autoload: Autoload) -> None:
    integration = latest(autoload, NIGHT)
    autoload.simulator.settings.pace = Pace(run_seconds=1800)
    go_to(autoload, "2027-01-06 06:20")
    autoload.simulator.start_foreign_run(integration)

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"

    assert len(autoload.simulator.runs) == 1 and autoload.ledger.lane(autoload.lane()).open is None


def test_each_respects_the_window_and_stages_nothing_outside_it(autoload: Autoload) -> None:
    autoload.routes(
        '[[route]]\nname = "accounts"\nprefix = "incoming/"\nintegration = "{accounts}"\nload = "each"\n'
        'stage_to = "source/Accounts.csv"\n' + NIGHT,
        accounts="source/Accounts.csv",
    )
    go_to(autoload, "2027-01-06 12:00")
    for name in "ab":
        autoload.invoke(autoload.upload(f"incoming/{name}.csv", ACCOUNTS))
    assert {each["Key"] for each in autoload.s3.list_objects_v2(Bucket="inbox")["Contents"]} == {
        "incoming/a.csv",
        "incoming/b.csv",
    }

    go_to(autoload, "2027-01-06 19:00")
    sweep(autoload)

    assert [message["uploads"][0]["key"] for message in autoload.messages()] == ["incoming/a.csv", "incoming/b.csv"]


def test_a_route_that_waits_does_not_hold_back_another_in_its_lane(autoload: Autoload) -> None:
    shared = 'lane = "model"\n'
    regions = '[[route]]\nname = "regions"\nprefix = "regions/"\nintegration = "{regions}"\n' + shared
    ids = autoload.seed(accounts=KEY, regions="regions/Regions.csv")
    night = f'[[route]]\nname = "accounts"\nprefix = "incoming/"\nintegration = "{ids["accounts"]}"\n{shared}{NIGHT}'
    autoload.write_routes(night + regions.format(**ids))
    go_to(autoload, "2027-01-06 12:00")

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"
    assert state(autoload.invoke(autoload.upload("regions/Regions.csv", ACCOUNTS))) == "loaded"
    assert sweep(autoload) == 0
    go_to(autoload, "2027-01-06 19:00")
    sweep(autoload)

    assert [message["route"] for message in autoload.messages()] == ["regions", "accounts"]


# A set.


def test_one_run_covers_a_set_when_it_is_complete_and_all_else_that_waits(
    autoload: Autoload, caplog: pytest.LogCaptureFixture
) -> None:
    a_set(autoload)

    states = [state(autoload.invoke(autoload.upload(key, ACCOUNTS))) for key in (FIRST, FIRST, OTHER, SECOND)]

    assert states == ["waiting", "waiting", "waiting", "loaded"]
    [message] = autoload.messages()
    assert (message["outcome"], message["uploads_total"], autoload.runs_asked_for()) == ("loaded", 4, 1)
    assert len(said(caplog)) == 1 and said(caplog)[0].startswith("Uploads wait: waiting for entities.csv since ")


def test_the_next_set_has_to_come_as_a_whole(autoload: Autoload) -> None:
    a_set(autoload)
    for key in (FIRST, SECOND):
        autoload.invoke(autoload.upload(key, ACCOUNTS))

    assert state(autoload.invoke(autoload.upload(SECOND, ACCOUNTS))) == "waiting"
    assert state(autoload.invoke(autoload.upload(FIRST, ACCOUNTS))) == "loaded"

    assert [message["uploads_total"] for message in autoload.messages()] == [2, 2]


def test_a_late_set_is_announced_once_and_may_still_be_completed(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    a_set(autoload)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))
    autoload.pass_time(6 * 3600 - 60)
    assert sweep(autoload) == 0
    capsys.readouterr()

    autoload.pass_time(120)
    assert [sweep(autoload) for _ in range(3)] == [1, 0, 0]

    [message] = autoload.messages()
    assert (message["outcome"], message["route"], message["run_id"]) == ("incomplete", "month-end", None)
    assert message["awaited"] == ["entities.csv"] and [each["key"] for each in message["uploads"]] == [FIRST]
    assert message["message"].startswith("entities.csv has not come yet.") and message["id"].startswith("set-")
    printed = capsys.readouterr().out
    [metric] = autoload.metrics(printed, "SetsIncomplete")
    assert (metric["SetsIncomplete"], metric["route"]) == ([1.0], "month-end")
    assert [each["OldestWaitingSeconds"] for each in autoload.metrics(printed, "OldestWaitingSeconds")] == [[0.0]] * 3
    assert "Incomplete: month-end: entities.csv has not come yet" in caplog.messages
    assert autoload.runs_asked_for() == 0

    assert state(autoload.invoke(autoload.upload(SECOND, ACCOUNTS))) == "loaded"
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_set_without_within_is_announced_after_a_day(autoload: Autoload) -> None:
    autoload.routes(SET.replace('within = "6h"\n', ""), accounts=FIRST)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))

    autoload.pass_time(86_400 - 120)
    assert sweep(autoload) == 0
    autoload.pass_time(180)
    assert sweep(autoload) == 1

    assert [message["outcome"] for message in autoload.messages()] == ["incomplete"]


def test_an_empty_member_is_refused_and_does_not_complete_its_set(autoload: Autoload) -> None:
    a_set(autoload)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))

    assert state(autoload.invoke(autoload.upload(SECOND, ""))) == "failed"
    assert autoload.runs_asked_for() == 0
    assert state(autoload.invoke(autoload.upload(SECOND, ACCOUNTS))) == "loaded"


def test_a_member_that_nobody_reads_is_rejected_and_does_not_complete_its_set(autoload: Autoload) -> None:
    a_set(autoload)
    autoload.let_read("accounts", FIRST)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))

    assert state(autoload.invoke(autoload.upload(SECOND, ACCOUNTS))) == "rejected"

    assert autoload.runs_asked_for() == 0
    [record] = [each for each in autoload.ledger.uploads_in(autoload.lane()) if each.state == "waiting"]
    assert record.upload.key == FIRST


def test_a_topic_that_refuses_a_message_does_not_stop_the_lane(autoload: Autoload) -> None:
    a_set(autoload)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))
    autoload.pass_time(7 * 3600)
    autoload.sns.delete_topic(TopicArn=autoload.topic)

    assert [sweep(autoload) for _ in range(2)] == [1, 0]
    assert autoload.ledger.lane(autoload.lane()).holder is None


def test_a_set_whose_route_is_changed_is_loaded_by_the_new_one(autoload: Autoload) -> None:
    a_set(autoload)
    autoload.invoke(autoload.upload(FIRST, ACCOUNTS))
    a_set(autoload, "retries = 0\n")

    assert state(autoload.invoke(autoload.upload(SECOND, ACCOUNTS))) == "loaded"

    assert [message["uploads_total"] for message in autoload.messages()] == [2]


# A pause with an end.


def test_a_pause_ends_by_itself(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    latest(autoload)
    until = autoload.now() + 3 * 3600_000
    autoload.ledger.pause(autoload.lane(), until)

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"
    autoload.pass_time(2 * 3600)
    capsys.readouterr()
    assert sweep(autoload) == 0
    [metric] = autoload.metrics(capsys.readouterr().out, "OldestWaitingSeconds")
    assert metric["OldestWaitingSeconds"] == [0.0]

    autoload.pass_time((until - autoload.now()) / 1000)
    assert sweep(autoload) == 1

    [message] = autoload.messages()
    assert message["outcome"] == "loaded" and epoch_ms(message["ended_at"]) >= until // 1000 * 1000


def test_an_upload_after_the_end_of_a_pause_is_loaded_at_once(autoload: Autoload) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane(), autoload.now() + 60_000)
    autoload.pass_time(60)

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "loaded"


def test_a_pause_without_an_end_replaces_one_with_an_end(autoload: Autoload) -> None:
    latest(autoload)
    autoload.ledger.pause(autoload.lane(), autoload.now() + 60_000)
    autoload.ledger.pause(autoload.lane())
    autoload.pass_time(3600)

    assert state(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "waiting"
