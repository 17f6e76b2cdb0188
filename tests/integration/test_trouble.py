"""What goes wrong between us and Anaplan: lost answers, foreign runs, refusals, and log-ins."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from anaplan_autoload.aws.items import encode
from anaplan_autoload.aws.rejections import Rejections
from anaplan_autoload.domain.times import iso
from local.cloudworks import Fault, Pace
from tests.autoload import Autoload
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest

RUN = "/integrations/[0-9a-f]+/run$"


def refusal(method: str, path: str, status: int, words: str = "No", count: int | None = 1) -> Fault:
    """An answer in CloudWorks' own JSON."""
    body = json.dumps({"status": {"code": status, "message": words}})
    return Fault(
        kind="status",
        method=method,
        path=path,
        status=status,
        body=body,
        content_type="application/json",
        count=count,
    )


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


def test_a_lost_run_of_unknown_author_is_repeated_after_its_end(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    first, second = autoload.simulator.runs
    assert second.started_at >= first.ended_at
    [message] = autoload.messages()
    assert message["id"] == second.id


def test_our_run_follows_the_end_of_somebody_elses(autoload: Autoload) -> None:
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
def test_retry_after_is_obeyed(autoload: Autoload, status: int) -> None:
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
    autoload.simulator.add_fault(refusal("POST", RUN, status, "Out of the question", count=2))

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "failed"
    [message] = autoload.messages()
    assert message["outcome"] == "failed" and "Out of the question" in message["message"]
    assert message["request"] == f"POST {autoload.settings().cloudworks_url}/integrations/{autoload.lane()}/run"
    assert "POST" not in message["message"]
    assert autoload.simulator.runs == []


PAGE_502 = Fault(kind="status", method="POST", path=RUN, status=502)
NO_RUN = {
    "answered 500": refusal("POST", RUN, 500, "Anaplan Connection Error"),
    "answered 502": PAGE_502,
    "answered not at all": Fault(kind="lose_before", method="POST", path=RUN),
    "answered 200": replace(PAGE_502, status=200),
}


@pytest.mark.parametrize("answered", NO_RUN)
def test_requests_that_start_no_run_are_repeated_ever_more_rarely_until_one_does(
    autoload: Autoload, answered: str
) -> None:
    latest(autoload)
    known_author(autoload)
    began, asked = autoload.now(), autoload.runs_asked_for()
    autoload.simulator.add_fault(replace(NO_RUN[answered], count=6))

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"
    assert autoload.runs_asked_for() - asked == 7
    assert 45 <= (autoload.now() - began) / 60_000 <= 55  # 1 + 2 + 4 + 8 + 15 + 15 minutes, and the looks
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_requests_that_start_no_run_for_a_day_are_given_up_with_the_true_count(autoload: Autoload) -> None:
    answered = "answered not at all"
    latest(autoload)
    known_author(autoload)
    autoload.change(poll_max=900, lease=2700, age_limit=2 * 3600)
    began, asked = autoload.now(), autoload.runs_asked_for()
    autoload.simulator.add_fault(replace(NO_RUN[answered], count=None))

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    while result["state"] == "handed_over":
        [event] = autoload.sent.take()
        result = autoload.invoke(event)
    autoload.simulator.clear_faults()

    overdue, failed = autoload.messages()
    sent = autoload.simulator.requests
    posts = sum(seen.method == "POST" and seen.path.endswith("/run") for seen in sent) - asked
    assert (overdue["outcome"], failed["outcome"]) == ("overdue", "failed")
    assert failed["request"].startswith("POST http") and failed["request"].endswith("/run")
    assert f"gave up after a day: {posts} requests for the run since {iso(began)[:10]}" in failed["message"]
    assert f"{answered} to {posts}." in failed["message"]
    assert 24 <= (autoload.now() - began) / 3_600_000 <= 25
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert [message["outcome"] for message in autoload.messages()] == ["loaded", "recovered"]


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


def test_a_refused_secret_is_known_by_its_name_and_by_its_arn(autoload: Autoload) -> None:
    """The function has the ARN, and the command line may be given either."""
    arn = autoload.secrets.describe_secret(SecretId="anaplan")["ARN"]
    by_arn, by_name = (Rejections(autoload.dynamodb, "ledger", secret_id) for secret_id in (arn, "anaplan"))

    by_arn.add("refused")

    assert by_name.includes("refused")
    assert not by_name.includes("the next")


def test_a_secret_that_1_0_saw_refused_is_not_sent_again(autoload: Autoload) -> None:
    """1.0 stored the refusal under the ARN, which is what its stack's function has."""
    arn = autoload.secrets.describe_secret(SecretId="anaplan")["ARN"]
    item = {"pk": f"secret#{arn}", "sk": "rejected", "version": "refused"}
    autoload.dynamodb.put_item(TableName="ledger", Item=encode(item))
    by_arn = Rejections(autoload.dynamodb, "ledger", arn)

    assert by_arn.includes("refused")
    assert not by_arn.includes("the next")


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


def test_retry_after_binds_the_next_leader(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.change(age_limit=60)
    asked_at = autoload.now() / 1000
    autoload.simulator.add_fault(
        Fault(kind="status", method="POST", path=RUN, status=503, headers={"Retry-After": "600"})
    )

    states = [autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"]]
    while events := autoload.sent.take():
        autoload.change(age_limit=3600)
        states += [autoload.invoke(event)["state"] for event in events]

    assert states == ["handed_over", "led"]
    assert autoload.simulator.runs[-1].started_at - asked_at >= 600


@pytest.mark.parametrize(("on_page", "told"), [(25, True), (25, False), (7, True)])
def test_every_page_of_a_history_is_searched_for_a_lost_run(autoload: Autoload, on_page: int, told: bool) -> None:
    integration = latest(autoload)
    known_author(autoload)
    started = iso(autoload.now() + 2_000)
    ended = {"startDate": started, "endDate": started, "success": True, "message": "Success", "triggeredBy": "Else"}
    newer: list[dict[str, object]] = [{"id": f"{number:032x}", **ended} for number in range(on_page)]
    hung: dict[str, object] = {
        "id": "f" * 32,
        "startDate": started,
        "endDate": None,
        "message": "Running",
        "triggeredBy": "Else",
    }

    def page(runs: list[dict[str, object]]) -> Fault:
        paging = {"meta": {"paging": {"totalSize": on_page + 1}}} if told else {}
        body = json.dumps({"history_of_runs": {"integrationId": integration, "runs": runs}, **paging})
        history = f"/integrations/runs/{integration}"
        return Fault(kind="status", method="GET", path=history, status=200, body=body, content_type="application/json")

    autoload.simulator.add_fault(Fault(kind="lose_before", method="POST", path=RUN))
    pages: list[list[dict[str, object]]] = [[*newer], [hung], []] if not told else [[*newer], [hung]]
    for _ in range(3):
        for runs in pages:
            autoload.simulator.add_fault(page(runs))
    before = autoload.runs_asked_for()
    seen: list[int] = []
    autoload.when("GET", "/integrations/runs/", lambda: seen.append(autoload.runs_asked_for() - before), skip=5)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert seen == [1], "a run was asked for while one that may be ours still went on"
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


@pytest.mark.parametrize(
    ("older", "newer"), [("00FF", "01"), ("0055AED6DCD90281E5", "0055AED6DCD902820"), ("9", "A0000000")]
)
def test_sequencers_of_different_lengths_are_padded_on_the_right(autoload: Autoload, older: str, newer: str) -> None:
    each(autoload)
    lane = autoload.lane()
    autoload.ledger.pause(lane)
    at = autoload.now()
    for name, sequencer in (("New", newer), ("Old", older)):
        event = autoload.upload(KEY, f"Code,Name\nA1,{name}\n", at=at)
        event["Records"][0]["s3"]["object"]["sequencer"] = sequencer
        autoload.invoke(event)
    autoload.ledger.resume(lane)

    autoload.invoke({"drain": lane})

    assert autoload.simulator.models[autoload.models["accounts"]]["A1"]["Name"] == "New"
    assert len(autoload.simulator.runs) == 2


WEB_PAGE = Fault(kind="status", method="POST", path=RUN, body="<html>Sorry</html>", count=5)


@pytest.mark.parametrize(
    "answer",
    [
        replace(WEB_PAGE, status=403),
        replace(WEB_PAGE, status=404),
        replace(WEB_PAGE, status=400, body="", content_type="text/plain"),
        replace(WEB_PAGE, status=409),
        replace(WEB_PAGE, status=403, body='{"message": "Forbidden"}', content_type="application/json"),
        replace(WEB_PAGE, status=452, body="<Error/>", content_type="application/xml"),
    ],
)
def test_a_gateways_refusal_is_waited_out(autoload: Autoload, answer: Fault) -> None:
    latest(autoload, 'overdue = "1m"')
    autoload.simulator.add_fault(answer)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"
    assert autoload.runs_asked_for() == 6
    assert [message["outcome"] for message in autoload.messages()] == ["overdue", "loaded"]


def test_a_gateways_refusal_while_following_ends_nothing(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=1500)
    for status in (403, 404):
        autoload.simulator.add_fault(
            Fault(kind="status", method="GET", path="/integrations/run/", status=status, count=20)
        )

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.runs_asked_for() == 1
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
