"""Several things go wrong at once, or for long: nothing loops unnoticed, and nothing is mistaken for something else."""

from __future__ import annotations

import json
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from aws_durable_execution_sdk_python.exceptions import InvocationError
from botocore.exceptions import ClientError
from msgspec.structs import replace

from anaplan_autoload.aws import staging
from anaplan_autoload.domain.times import iso
from local.cloudworks import Fault, Pace, Reply, Request
from tests.autoload import BUCKET, Autoload, ExecutionFailed
from tests.integration.test_flows import a_flow
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, each, latest
from tests.integration.test_trouble import RUN, known_author, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY = "/integrations/runs/"
STATUS = "/integrations/run/"


def sns_fails(autoload: Autoload, times: int) -> None:
    """Let so many publications fail."""
    left = times

    def fail(**_: object) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ClientError({"Error": {"Code": "InternalError", "Message": "down"}}, "Publish")

    autoload.services_now().sns.meta.events.register("before-parameter-build.sns.Publish", fail)


def die_once_after(autoload: Autoload, service: str, operation: str, when: Callable[[], bool] = lambda: True) -> None:
    """Let the sandbox die once, right after this call has done its work."""
    lives = [True]

    def die(**_: object) -> None:
        if lives and when():
            lives.pop()
            raise InvocationError("the sandbox died")

    client: Any = getattr(autoload.services_now(), service)
    client.meta.events.register(f"after-call.{client.meta.service_model.service_name}.{operation}", die)


def sweep(autoload: Autoload) -> list[str]:
    """A sweep after the last leader's lease; returns how the executions ended that it began."""
    autoload.pass_time(200)
    autoload.invoke({"sweep": True})
    return [autoload.outcome(event) for event in autoload.sent.take()]


def outcomes(autoload: Autoload) -> list[str]:
    return [message["outcome"] for message in autoload.messages()]


def test_a_flow_whose_announcement_failed_is_announced_by_the_next_leader(autoload: Autoload) -> None:
    a_flow(autoload)
    autoload.change(age_limit=3600)
    sns_fails(autoload, 5)
    autoload.ended(autoload.start(autoload.upload(KEY, ACCOUNTS)), failed=True)

    assert sweep(autoload) == ["led"]
    assert outcomes(autoload) == ["loaded"]


def test_a_run_with_endless_errors_is_recorded_and_told(autoload: Autoload) -> None:
    latest(autoload)
    error = {"localMessageText": "bad", "occurrences": 9000, "values": ["v" * 50] * 9000}
    actions = [{"actionId": "1", "actionName": "a", "failureDumpGenerated": False, "errorMessage": [error]}]
    autoload.simulator.add_fault(
        Fault(
            kind="status",
            method="GET",
            path="/runerror/",
            status=200,
            body=json.dumps({"runs": [{"id": "x", "errorMessages": actions}]}),
            content_type="application/json",
            count=None,
        )
    )

    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,Cash\n,Nameless\n"))

    [message] = autoload.messages()
    assert message["outcome"] == "partial"
    assert message["errors"][0]["occurrences"] == 9000


def test_a_history_that_is_refused_leads_to_another_request(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.add_fault(Fault(kind="lose_before", method="POST", path=RUN))
    autoload.simulator.add_fault(refusal("GET", HISTORY, 404, count=None))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["loaded"]


def test_a_history_that_stays_unreadable_is_announced(autoload: Autoload) -> None:
    latest(autoload, 'overdue = "1m"')
    known_author(autoload)
    autoload.simulator.add_fault(Fault(kind="lose_before", method="POST", path=RUN))
    autoload.simulator.add_fault(Fault(kind="status", method="GET", path=HISTORY, status=500, count=60))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["overdue", "loaded"]


@pytest.mark.parametrize("status", [403, 503])
def test_a_run_that_cannot_be_looked_at_still_becomes_overdue(autoload: Autoload, status: int) -> None:
    latest(autoload, 'overdue = "5m"')
    autoload.simulator.add_fault(Fault(kind="status", method="GET", path=STATUS, status=status, count=60))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["overdue", "loaded"]


@pytest.mark.parametrize(("failures", "told"), [(0, 1), (3, 1), (4, 0)])
def test_a_run_goes_on_where_nobody_can_be_told_that_it_is_overdue(
    autoload: Autoload, failures: int, told: int
) -> None:
    latest(autoload, 'overdue = "5m"')
    autoload.simulator.settings.pace = Pace(run_seconds=1_200)
    sns_fails(autoload, failures)

    [upload] = autoload.invoke(autoload.upload(KEY, ACCOUNTS))["uploads"]

    assert upload["state"] == "loaded"
    assert outcomes(autoload) == ["overdue"] * told + ["loaded"]


def test_a_leader_that_lost_its_lane_says_nothing_of_an_overdue_run(autoload: Autoload) -> None:
    latest(autoload, 'overdue = "1m"')

    def lose() -> None:
        autoload.pass_time(70)
        autoload.ledger.acquire(autoload.lane(), "somebody", autoload.now() + 3_600_000)

    autoload.when("GET", STATUS, lose)

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "left"
    assert outcomes(autoload) == []


def test_an_unproven_run_that_takes_long_is_announced(autoload: Autoload) -> None:
    latest(autoload, 'overdue = "5m"')
    autoload.simulator.settings.pace = Pace(run_seconds=900)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))
    told: list[str] = []
    autoload.when("POST", RUN, lambda: told.extend(outcomes(autoload)), skip=1)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert told == ["overdue"]


def test_a_run_that_began_before_the_upload_is_never_adopted(autoload: Autoload) -> None:
    integration = latest(autoload)
    known_author(autoload)
    author = autoload.ledger.lane(autoload.lane()).author
    assert author is not None
    autoload.simulator.settings.pace = Pace(run_seconds=60)
    manual = autoload.simulator.start_foreign_run(integration, author)
    autoload.pass_time(70)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    result = autoload.invoke(autoload.upload(KEY, "Code,Name\nNEW,New\n"))

    assert result["uploads"][0]["run_id"] != manual.id
    assert "NEW" in autoload.simulator.models[autoload.models["accounts"]]


def test_a_lagging_history_is_searched_for_a_minute_however_short_the_polls(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.change(poll_max=5)
    autoload.simulator.settings.history_lag_seconds = 30
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.runs) == 2


def test_a_death_right_after_the_message_leaves_the_metrics(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    latest(autoload)
    updates: list[str] = []
    autoload.services_now().dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.UpdateItem", lambda params, **_: updates.append(params["UpdateExpression"])
    )
    die_once_after(autoload, "dynamodb", "UpdateItem", lambda: "announced" in updates[-1])

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["loaded"]
    assert autoload.metrics(capsys.readouterr().out, "RunsLoaded")


def test_a_death_right_after_a_large_copy_is_complete_stages_it_again(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch
) -> None:
    each(autoload)
    monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)
    die_once_after(autoload, "s3", "CompleteMultipartUpload")

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"


def test_older_data_never_replaces_newer_when_a_route_changes_its_lane(autoload: Autoload) -> None:
    each(autoload)
    lane = autoload.lane()
    old = autoload.upload(KEY, "Code,Name\nA1,Old\n")
    autoload.ledger.pause(lane)
    autoload.invoke(old)
    autoload.pass_time(5)
    autoload.routes(EACH + 'lane = "finance"\n', accounts="source/Accounts.csv")
    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,New\n"))
    autoload.ledger.resume(lane)

    autoload.invoke({"drain": lane})

    assert autoload.simulator.models[autoload.models["accounts"]]["A1"]["Name"] == "New"


def test_details_that_kill_every_sandbox_are_given_up(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    latest(autoload)

    def dying(*_: object, **__: object) -> None:
        raise InvocationError("the function timed out")

    monkeypatch.setattr(autoload.services_now().cloudworks, "dump", dying)
    autoload.outcome(autoload.upload(KEY, "Code,Name\nA1,Cash\n,Nameless\n"))
    for _ in range(4):
        sweep(autoload)

    assert outcomes(autoload) == ["partial"]


def test_a_refused_log_in_keeps_uploads_waiting_even_if_no_message_can_be_sent(autoload: Autoload) -> None:
    latest(autoload)
    autoload.set_secret(password="wrong")
    sns_fails(autoload, 10_000)

    assert autoload.outcome(autoload.upload(KEY, ACCOUNTS)) == "held"
    for _ in range(5):
        assert sweep(autoload) == []

    [upload] = autoload.ledger.uploads(autoload.lane(), autoload.upload_ids)
    assert upload.state == "waiting"


def test_somebody_elses_flow_run_is_waited_for_without_asking_again_and_again(autoload: Autoload) -> None:
    flow = a_flow(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=300)
    autoload.cloudworks().run_flow(flow)
    autoload.pass_time(30)
    before = autoload.runs_asked_for()

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.runs_asked_for() - before == 2


def test_a_flow_is_followed_to_its_end_however_the_clocks_differ(autoload: Autoload) -> None:
    a_flow(autoload)
    autoload.change(age_limit=7200)
    autoload.simulator.settings.skew_seconds = -10

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "led"


def test_a_reload_of_an_object_that_is_not_there_names_it(autoload: Autoload) -> None:
    latest(autoload)

    with pytest.raises(ExecutionFailed, match=r"incoming/none\.csv does not exist"):
        autoload.invoke({"load": {"bucket": BUCKET, "key": "incoming/none.csv", "request_id": "r"}})


def test_a_service_in_trouble_is_not_asked_every_second(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    before, began = autoload.runs_asked_for(), autoload.now()
    autoload.simulator.add_fault(
        Fault(kind="status", method="POST", path=RUN, status=503, headers={"Retry-After": "0"}, count=20)
    )

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    minutes = (autoload.now() - began) / 60_000
    assert (autoload.runs_asked_for() - before) / minutes < 10


def test_a_run_whose_code_is_not_a_number_ends(autoload: Autoload) -> None:
    latest(autoload)
    run = {
        "id": "x",
        "startDate": "2026-01-01T00:00:00.000Z",
        "endDate": "2026-01-01T00:01:00.000Z",
        "success": True,
        "message": "m",
        "executionErrorCode": "E38",
    }
    autoload.simulator.add_fault(
        Fault(
            kind="status",
            method="GET",
            path=STATUS,
            status=200,
            body=json.dumps({"run": run}),
            content_type="application/json",
            count=None,
        )
    )

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["failed"]


def test_a_run_does_not_end_in_the_future(autoload: Autoload) -> None:
    latest(autoload)
    handle = autoload.simulator.handle

    def dated(request: Request) -> Reply:
        reply = handle(request)
        if reply.answer is None or STATUS not in request.path:
            return reply
        body = json.loads(reply.answer.body)
        if body["run"]["endDate"]:
            body["run"]["endDate"] = "9999-12-31T23:59:59Z"
        return replace(reply, answer=replace(reply.answer, body=json.dumps(body).encode()))

    autoload.simulator.handle = dated  # type: ignore[method-assign]

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [message] = autoload.messages()
    assert message["outcome"] == "loaded" and message["ended_at"] <= iso(autoload.now())


@pytest.mark.parametrize("skew", [-5e10, -3_700, 1e9])
def test_an_old_run_is_not_adopted_because_an_answer_has_a_strange_date(autoload: Autoload, skew: float) -> None:
    integration = latest(autoload)
    known_author(autoload)
    author = autoload.ledger.lane(autoload.lane()).author
    assert author is not None
    old = autoload.simulator.start_foreign_run(integration, author)
    autoload.pass_time(3_600)
    autoload.simulator.add_fault(Fault(kind="lose_before", method="POST", path=RUN))
    handle, settings = autoload.simulator.handle, autoload.simulator.settings

    def dated(request: Request) -> Reply:
        settings.skew_seconds = 0
        reply = handle(request)
        settings.skew_seconds = skew if HISTORY in request.path else 0  # the header is written later
        return reply

    autoload.simulator.handle = dated  # type: ignore[method-assign]

    result = autoload.invoke(autoload.upload(KEY, "Code,Name\nNEW,New\n"))

    assert result["uploads"][0]["run_id"] != old.id
    assert "NEW" in autoload.simulator.models[autoload.models["accounts"]]


LONG = "Anaplan Connection Error " * 40_000


@pytest.mark.parametrize(
    ("message", "author"),
    [
        (b'"caf\xe9\t\x00 \\ud83d"', b'"\xff"'),
        (f'"{LONG}"'.encode(), f'"{LONG}"'.encode()),
    ],
    ids=["damaged", "long"],
)
def test_a_run_ends_however_its_texts_are(autoload: Autoload, message: bytes, author: bytes) -> None:
    latest(autoload)
    sizes = autoload.watch_checkpoints()
    handle = autoload.simulator.handle

    def spoil(request: Request) -> Reply:
        reply = handle(request)
        if reply.answer is None or STATUS not in request.path:
            return reply
        times = b'"startDate": 1795554000, "endDate": 1795554060'
        body = b'{"run": {%b, "success": true, "message": %b, "createdBy": %b}}'
        return replace(reply, answer=replace(reply.answer, body=body % (times, message, author)))

    autoload.simulator.handle = spoil  # type: ignore[method-assign]

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(outcomes(autoload)) == 1
    assert max(sizes) < 200_000


def test_a_flow_whose_steps_say_much_ends(autoload: Autoload) -> None:
    flow = a_flow(autoload)
    sizes = autoload.watch_checkpoints()
    end = {"startDate": 4102444800, "endDate": 4102444860, "success": False, "message": LONG}
    told = {"id": flow, "latestRun": end, "steps": [{"referrer": "i", "name": "First", "latestRun": end}]}
    autoload.simulator.add_fault(
        Fault(
            kind="status",
            method="GET",
            path="/integrationflows/",
            status=200,
            body=json.dumps({"integrationFlow": told}),
            content_type="application/json",
            count=1,
        )
    )

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["loaded"]
    assert max(sizes) < 200_000


def test_an_integration_whose_model_is_gone_frees_its_lane_once_it_is_overdue(autoload: Autoload) -> None:
    latest(autoload, 'overdue = "5m"')
    autoload.simulator.add_fault(refusal("POST", RUN, 503, "Invalid workspace/model", count=None))

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "led"
    assert outcomes(autoload) == ["overdue", "failed"]


def test_a_foreign_run_ends_the_wait_although_the_history_is_refused(autoload: Autoload) -> None:
    latest(autoload)
    known_author(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))
    autoload.simulator.add_fault(refusal("GET", HISTORY, 403, count=None))

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "led"
    assert outcomes(autoload) == ["loaded"]


def test_a_scheduled_run_is_never_adopted_even_from_our_author(autoload: Autoload) -> None:
    integration = latest(autoload)
    known_author(autoload)
    author = autoload.ledger.lane(autoload.lane()).author
    assert author is not None
    autoload.simulator.settings.pace = Pace(run_seconds=60)
    autoload.simulator.start_foreign_run(integration, author, "scheduled")
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path=RUN))

    autoload.invoke(autoload.upload(KEY, "Code,Name\nNEW,New\n"))

    assert "NEW" in autoload.simulator.models[autoload.models["accounts"]]


def test_a_run_that_goes_on_in_a_paused_lane_is_followed_to_its_end(autoload: Autoload) -> None:
    latest(autoload)
    autoload.change(age_limit=60)
    autoload.simulator.settings.pace = Pace(run_seconds=150)
    autoload.when("GET", STATUS, lambda: autoload.ledger.pause(autoload.lane()), skip=2)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.drain()
    left = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["loaded"]
    assert left["state"] == "left"


def test_uploads_behind_a_long_foreign_run_are_not_failed_because_sns_is_down(autoload: Autoload) -> None:
    integration = latest(autoload, 'overdue = "5m"')
    autoload.simulator.settings.pace = Pace(run_seconds=600)
    autoload.simulator.start_foreign_run(integration)
    sns_fails(autoload, 4)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert outcomes(autoload) == ["loaded"]


def test_a_leader_that_was_not_invoked_for_longer_than_its_lease_leaves(autoload: Autoload) -> None:
    """As after PauseDurableExecution: the sweep's leader has ended the load when the old one goes on."""
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    others: list[list[str]] = []

    def paused() -> None:
        autoload.pass_time(1000)
        others.append(sweep(autoload))

    autoload.when("GET", STATUS, paused, skip=1)

    left = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert others == [["led"]] and left["state"] == "left"
    assert autoload.runs_asked_for() == 1
    assert outcomes(autoload) == ["loaded"]


@pytest.mark.parametrize("asked", [STATUS, "/runerror/"])
def test_a_leader_that_is_stopped_during_a_step_is_replaced_only_after_its_lease(
    autoload: Autoload, asked: str
) -> None:
    """StopDurableExecution ends the execution at once, but not the invocation that is under way."""
    latest(autoload)
    began, seen = Event(), Event()
    started: list[str] = []
    others: list[str] = []

    def stopped() -> None:
        began.wait(60)
        autoload.runner.executor.stop_execution(started[0])
        others.append(autoload.outcome({"drain": autoload.lane()}))
        seen.set()

    autoload.when("GET", asked, stopped)
    started.append(autoload.start(autoload.upload(KEY, "Code,Name\nA1,Cash\n,Nameless\n")))
    began.set()
    autoload.ended(started[0], failed=True)
    seen.wait(60)

    assert others == ["left"], "nobody acts while the stopped one may"
    assert sweep(autoload) == ["led"]
    assert autoload.runs_asked_for() == 1
    assert outcomes(autoload) == ["partial"]
