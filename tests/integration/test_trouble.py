"""What goes wrong between us and Anaplan: lost answers, foreign runs, refusals, and log-ins."""

from __future__ import annotations

import pytest

from local.cloudworks import Fault, Pace
from tests.autoload import Autoload
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest

RUN = "/integrations/[0-9a-f]+/run$"


def known_author(autoload: Autoload) -> None:
    """Load something, so that the ledger knows who starts our runs."""
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.pass_time(60)
    autoload.messages()


def test_a_run_whose_answer_was_lost_is_found_and_adopted(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.runs) == 2
    [message] = autoload.messages()
    assert message["id"] == autoload.simulator.runs[-1].id


@pytest.mark.parametrize("skew", [-4.0, 4.0])
def test_a_lost_run_is_found_however_the_clocks_differ(autoload: Autoload, skew: float) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.settings.skew_seconds = skew
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.runs) == 2


def test_a_lost_run_shows_late_in_the_history_and_is_still_adopted(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.settings.history_lag_seconds = 30
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.runs) == 2


def test_a_request_that_never_arrived_is_made_again_after_a_minute_of_looking(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    asked_at = autoload.now() / 1000
    autoload.simulator.add_fault(Fault(kind="lose_before", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    _, run = autoload.simulator.runs
    assert run.started_at - asked_at >= 60
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_lost_run_of_unknown_author_is_let_end_and_repeated(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    first, second = autoload.simulator.runs
    assert second.started_at >= first.ended_at
    [message] = autoload.messages()
    assert message["id"] == second.id


def test_somebody_elses_run_is_let_end_and_ours_follows(autoload: Autoload) -> None:
    integration = latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=300)
    foreign = autoload.simulator.start_foreign_run(integration)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    ours = autoload.simulator.runs[-1]
    assert ours.id != foreign.id and ours.started_at >= foreign.ended_at
    [message] = autoload.messages()
    assert message["id"] == ours.id
    assert autoload.runs_asked_for() <= 4


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_to_come_later_is_obeyed(autoload: Autoload, status: int) -> None:
    latest(autoload)
    known_author(autoload)
    asked_at = autoload.now() / 1000
    autoload.simulator.add_fault(
        Fault(kind="status", method="POST", path=RUN, status=status, headers={"Retry-After": "200"})
    )

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.simulator.runs[-1].started_at - asked_at >= 200
    assert autoload.runs_asked_for() == 3


@pytest.mark.parametrize("status", [400, 403, 404, 452])
def test_a_refusal_fails_the_batch_with_the_reason(autoload: Autoload, status: int) -> None:
    latest(autoload)
    autoload.simulator.add_fault(
        Fault(
            kind="status",
            method="POST",
            path=RUN,
            count=2,
            status=status,
            body=f'{{"status": {{"code": {status}, "message": "Out of the question"}}}}',
            content_type="application/json",
        )
    )

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "failed"
    [message] = autoload.messages()
    assert message["outcome"] == "failed" and "Out of the question" in message["message"]
    assert autoload.simulator.runs == []


def test_a_batch_that_gets_no_answer_again_and_again_fails_and_frees_its_lane(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.add_fault(Fault(kind="status", method="POST", path=RUN, count=4, status=500))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    failed, loaded = autoload.messages()
    assert failed["outcome"] == "failed" and "gave up after 5 attempts" in failed["message"]
    assert loaded["outcome"] == "loaded"


def test_an_expired_token_is_renewed_once(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.expire_tokens()

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_refused_log_in_holds_the_lane_with_one_alert_until_the_secret_changes(autoload: Autoload) -> None:
    latest(autoload)
    autoload.set_secret(password="wrong")

    states = [autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] for _ in range(3)]
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert states == ["held"] * 3
    [alert] = autoload.messages()
    assert alert["outcome"] == "held" and "anaplan" in alert["message"]
    log_ins = [seen for seen in autoload.simulator.requests if seen.path == "/token/authenticate"]
    assert len(log_ins) == 1

    autoload.set_secret()
    autoload.invoke({"sweep": True})
    autoload.drain()

    [loaded] = autoload.messages()
    assert loaded["outcome"] == "loaded" and loaded["uploads_total"] == 3


def test_an_empty_secret_holds_the_lane_and_says_what_belongs_in_it(autoload: Autoload) -> None:
    latest(autoload)
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString="{}")

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [alert] = autoload.messages()
    assert alert["outcome"] == "held" and "username" in alert["message"] and "certificate" in alert["message"]


def test_a_log_in_refused_while_a_run_is_followed_keeps_the_run(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=200)

    def lock_out() -> None:
        autoload.set_secret(password="wrong")
        autoload.simulator.expire_tokens()

    autoload.when("GET", "/integrations/run/", lock_out, skip=2)
    held = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.set_secret()
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert held["state"] == "held"
    [run] = autoload.simulator.runs
    assert [(message["outcome"], message["run_id"]) for message in autoload.messages()] == [
        ("held", run.id),
        ("loaded", run.id),
    ]


def test_trouble_while_following_never_ends_the_wait(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=120)
    for kind in ("lose_before", "truncate", "lose_after"):
        autoload.simulator.add_fault(Fault(kind=kind, method="GET", path="/integrations/run/", count=4))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.runs_asked_for() == 1
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_an_overwritten_object_of_a_bucket_without_versions_is_superseded(autoload: Autoload) -> None:
    each(autoload)
    autoload.s3.put_bucket_versioning(Bucket="inbox", VersioningConfiguration={"Status": "Suspended"})
    first = autoload.upload(KEY, "Code,Name\nA1,Old\n")
    second = autoload.upload(KEY, "Code,Name\nA1,New\n")
    for event in (first, second):
        event["Records"][0]["s3"]["object"].pop("versionId", None)

    overwritten, newest = autoload.invoke(first), autoload.invoke(second)

    assert overwritten["uploads"][0]["state"] == "superseded"
    assert newest["uploads"][0]["state"] == "loaded"
    assert len(autoload.simulator.runs) == 1
