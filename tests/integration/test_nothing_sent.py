"""Errors before anything was sent to Anaplan: the execution fails with the reason, and the upload keeps waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from urllib3 import PoolManager

from anaplan_autoload.anaplan import cloudworks, wire
from anaplan_autoload.anaplan.http import Request
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws import staging
from anaplan_autoload.aws.services import Services
from anaplan_autoload.aws.settings import SettingsInvalid, from_environment
from anaplan_autoload.handler import make_handler
from tests.autoload import Autoload, ExecutionFailed
from tests.integration.test_edges import die_once_after
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest
from tests.integration.test_trouble import RUN, known_author
from tests.security.test_hosts import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = [
    ("cloudworks_url", "http://anaplan.example.com", "CLOUDWORKS_URL.*give https://anaplan.example.com"),
    ("cloudworks_url", "https://api..anaplan.com/2/0", "CLOUDWORKS_URL.*not a usable URL"),
    ("cloudworks_url", f"https://{'a' * 64}.com", "CLOUDWORKS_URL.*not a usable URL"),
    ("cloudworks_url", "api.cloudworks.anaplan.com", "CLOUDWORKS_URL.*not a usable URL"),
    ("cloudworks_url", "https://api.cloudworks.anaplan.com:0/2/0", "CLOUDWORKS_URL.*no usable port"),
    ("auth_url", "http://auth.anaplan.com", "ANAPLAN_AUTH_URL.*not encrypted"),
    ("auth_url", "https://auth_anaplan.com", "ANAPLAN_AUTH_URL.*not a usable URL"),
    ("secret_id", "my secret", "ANAPLAN_SECRET_ID is 'my secret'.*name or the ARN of a secret"),
    ("ledger_table", "a table", "LEDGER_TABLE is 'a table'.*DynamoDB table"),
    ("topic_arn", "alerts", "TOPIC_ARN is 'alerts'.*ARN of an SNS topic"),
    ("reports_bucket", "Reports", "REPORTS_BUCKET is 'Reports'.*S3 bucket"),
    ("function_alias", "live alias", "FUNCTION_ALIAS is 'live alias'.*alias"),
    ("log_level", "LOUD", "LOG_LEVEL is 'LOUD'.*DEBUG"),
]


@pytest.mark.parametrize(("field", "value", "said"), SETTINGS)
def test_a_setting_that_cannot_work_is_refused_before_anything_is_recorded(
    autoload: Autoload, field: str, value: str, said: str
) -> None:
    latest(autoload)
    good = getattr(autoload.settings(), field)
    autoload.change(**{field: value})
    event = autoload.upload(KEY, ACCOUNTS)
    before = autoload.dump_table()

    with pytest.raises(ExecutionFailed, match=rf"SettingsInvalid.*{said}"):
        autoload.invoke(event)

    assert autoload.dump_table() == before
    autoload.change(**{field: good})
    assert autoload.invoke(event)["uploads"][0]["state"] == "loaded"


@pytest.mark.parametrize("region", [None, "Ireland", "eu west 1"])
def test_a_malformed_region_is_refused(monkeypatch: pytest.MonkeyPatch, region: str | None) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    if region is not None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    with pytest.raises(SettingsInvalid, match="AWS_DEFAULT_REGION"):
        Services(from_environment(ENVIRONMENT)).check()


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_variable_that_is_missing_fails_the_execution_with_its_name(name: str) -> None:
    environment = {key: value for key, value in ENVIRONMENT.items() if key != name}

    with DurableFunctionTestRunner(make_handler(lambda: Services(from_environment(environment)))) as runner:
        result = runner.run(input="{}", execution_timeout=60)

    assert result.error is not None
    assert result.error.message is not None and f"environment variable {name} is not set" in result.error.message


def raising(error: Exception) -> Callable[..., NoReturn]:
    def broken(*_: object, **__: object) -> NoReturn:
        raise error

    return broken


BUG = TypeError("a bug of ours")
BROKEN = {
    "the client of CloudWorks cannot be made": (Services, "cloudworks", property(raising(BUG))),
    "a client of AWS cannot be made": (Services, "secret", property(raising(NoRegionError()))),
    "the connections cannot be made": (Services, "http", property(raising(OSError("no certificates")))),
    "a bug in the log-in": (Tokens, "_log_in", raising(BUG)),
    "a bug while the path is made": (cloudworks, "_id", raising(BUG)),
    "a bug while the request is made": (Request, "headers", property(raising(BUG))),
    "a bug in the library": (PoolManager, "connection_from_host", raising(BUG)),
    "a host that the library refuses": (cloudworks, "checked_url", lambda _: "https://api..anaplan.com"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_raised_before_anything_was_sent_uses_up_no_attempt(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    latest(autoload)
    event = autoload.upload(KEY, ACCOUNTS)

    with monkeypatch.context() as broken:
        broken.setattr(*BROKEN[what])
        for sent in [event, *[{"drain": autoload.lane()}] * 5]:
            autoload.ended(autoload.start(sent), failed=True)
        autoload.pass_time(200)
        lane = autoload.ledger.lane(autoload.lane())

    assert lane.open is not None and lane.holder is None
    assert (lane.open.attempts, lane.open.posted_at, lane.open.unanswered) == (1, None, None)
    [upload] = autoload.ledger.uploads(autoload.lane(), autoload.upload_ids)
    assert upload.state == "waiting"
    assert autoload.messages() == [] and autoload.runs_asked_for() == 0

    autoload.change()
    histories = sum("/runs/" in seen.path for seen in autoload.simulator.requests)
    autoload.invoke({"drain": autoload.lane()})
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert sum("/runs/" in seen.path for seen in autoload.simulator.requests) == histories, "nothing was lost"


def test_a_bug_in_staging_uses_up_no_attempt(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    each(autoload)

    with monkeypatch.context() as broken:
        broken.setattr(staging, "begin", raising(BUG))
        for sent in [autoload.upload(KEY, ACCOUNTS), *[{"drain": autoload.lane()}] * 5]:
            autoload.ended(autoload.start(sent), failed=True)

    autoload.invoke({"drain": autoload.lane()})
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_bug_after_the_request_was_sent_leaves_the_answer_unknown(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    known_author(autoload)
    with monkeypatch.context() as broken:
        autoload.when("POST", RUN, lambda: broken.setattr(wire, "decode_run_id", raising(BUG)))
        autoload.when("GET", "/integrations/runs/", broken.undo)
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.runs) == 2
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "busy"}}, "UpdateItem"),
        EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com"),
    ],
)
def test_a_ledger_that_fails_right_before_the_request_is_tried_again(autoload: Autoload, error: Exception) -> None:
    latest(autoload)
    left = [error]

    def fail(params: dict[str, Any], **_: object) -> None:
        if left and "posted_at" in str(params):
            raise left.pop()

    autoload.services_now().dynamodb.meta.events.register("before-parameter-build.dynamodb.UpdateItem", fail)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert not left and result["uploads"][0]["state"] == "loaded"
    assert autoload.runs_asked_for() == 1


def test_deaths_over_a_request_are_counted_and_given_up(autoload: Autoload) -> None:
    latest(autoload)
    updates: list[str] = []
    autoload.services_now().dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.UpdateItem", lambda params, **_: updates.append(str(params))
    )
    for _ in range(4):
        die_once_after(autoload, "dynamodb", "UpdateItem", lambda: "posted_at" in updates[-1])

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [message] = autoload.messages()
    assert message["outcome"] == "failed" and message["message"].startswith("gave up after 4 attempts: the function")
    assert autoload.runs_asked_for() == 0


@pytest.mark.crossed
@pytest.mark.parametrize("name", ["POLL_MIN_SECONDS", "POLL_MAX_SECONDS", "LEASE_SECONDS"])
@pytest.mark.parametrize("value", ["soon", "-1", "0", "1.5", "²", "٣", "86401", "9" * 5000])
def test_a_number_of_seconds_that_cannot_be_used_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name} is .*whole seconds, 1 to 86400") as refused:
        from_environment({**ENVIRONMENT, name: value})

    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", ["yes", "True", "1", "on", "false,"])
def test_a_switch_is_true_or_false(value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"PUBLISH_EVENTS is '{value}'; it takes true or false"):
        from_environment({**ENVIRONMENT, "PUBLISH_EVENTS": value})


@pytest.mark.crossed
@pytest.mark.parametrize("name", sorted({*ENVIRONMENT, "REPORTS_BUCKET", "FUNCTION_ALIAS", "LOG_LEVEL"}))
@pytest.mark.parametrize(
    "value",
    ["https://ada:canary@example.com", '{"password": "canary"}', "-----BEGIN PRIVATE KEY----- canary", "é" * 5000],
)
def test_a_refused_setting_is_named_and_shows_no_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name) as refused:
        Services(from_environment({**ENVIRONMENT, name: value})).check()

    assert "canary" not in str(refused.value) and len(str(refused.value)) < 400
