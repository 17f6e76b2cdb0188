"""`auth login --device`, and an OAuth secret in the command line."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from anaplan_autoload.anaplan.errors import CloudWorksError
from anaplan_autoload.anaplan.oauth import Grant
from anaplan_autoload_cli.cloudworks import device as grants
from anaplan_autoload_cli.cloudworks.device import Device, begin, wait
from anaplan_autoload_cli.output import CommandFailed
from local.cloudworks import USERNAME, Fault, OAuthClient, Reply, Request, Variants
from tests.cli_tenant import CliTenant, empty_tenant
from tests.command_line import Said
from tests.unit.scripted import Reply as Scripted
from tests.unit.scripted import Script, scripted

CLIENT = "d" * 32
NOBODY = {"ANAPLAN_USERNAME": None, "ANAPLAN_PASSWORD": None}
PENDING = {"error": "authorization_pending"}
GRANTED = {"access_token": "c4nary-access-token", "refresh_token": "c4nary-refresh-token", "expires_in": 2100}


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    """A tenant whose user confirms every device at once."""
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        made.simulator.settings.device_interval_seconds = 0
        confirm_at_once(made)
        yield made


def confirm_at_once(tenant: CliTenant) -> None:
    handle = tenant.simulator.handle

    def handled(request: Request) -> Reply:
        reply = handle(request)
        if request.path == "/oauth/device/code" and reply.answer and reply.answer.status == 200:
            tenant.simulator.confirm_device(json.loads(reply.answer.body)["user_code"], USERNAME)
        return reply

    tenant.simulator.handle = handled  # type: ignore[method-assign]


@pytest.fixture
def secrets() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        client.create_secret(Name="anaplan")
        boto3.client("dynamodb", region_name="eu-west-1").create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield client


def login(tenant: CliTenant, *arguments: str, rotates: bool = False) -> Said:
    tenant.simulator.add_client(OAuthClient(id=CLIENT, rotates=rotates))
    return tenant.run(*arguments, "auth", "login", "--device", "--client-id", CLIENT)


def stored(secrets: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(secrets.get_secret_value(SecretId="anaplan")["SecretString"])
    return found


def check(tenant: CliTenant, *arguments: str, **changes: str | None) -> Said:
    return tenant.run("auth", "check", "--json", "--secret-id", "anaplan", *arguments, **NOBODY, **changes)


@pytest.mark.parametrize("rotates", [False, True])
def test_the_log_in_is_stored_and_works_and_is_not_shown(tenant: CliTenant, secrets: Any, rotates: bool) -> None:
    said = login(tenant, "--yes", "--json", "--secret-id", "anaplan", rotates=rotates)

    assert said.code == 0, said.err
    assert said.json == {"stored_in": "anaplan", "client_id": CLIENT, "rotates": rotates}
    assert "/activate?user_code=" in said.err
    assert ("RefreshTokenRotates=true" in said.err) is rotates
    assert stored(secrets)["refresh_token"] in tenant.simulator.refresh_tokens
    assert ("access_token" in stored(secrets)) is rotates
    assert not any(secret in said.out + said.err for secret in tenant.simulator.oauth_secrets)
    checked = check(tenant, "--table", "ledger")
    assert (checked.json["user"], checked.json["login"]) == (USERNAME, "secret anaplan")


@pytest.mark.parametrize("allowed", ["true", "false"])
def test_a_stack_that_lets_the_function_store_the_next_token_needs_no_advice(
    tenant: CliTenant, secrets: Any, allowed: str
) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"RefreshTokenRotates": {"Value": allowed}, "SecretArn": {"Value": "anaplan"}},
    }
    cloudformation = boto3.client("cloudformation", region_name="eu-west-1")
    cloudformation.create_stack(StackName="autoload", TemplateBody=json.dumps(template))

    said = login(tenant, "--yes", "--stack", "autoload", rotates=True)

    assert stored(secrets)["refresh_token"] in tenant.simulator.refresh_tokens
    assert ("RefreshTokenRotates=true" in said.err) is (allowed == "false")


def test_the_check_knows_the_expiry_although_nobody_validates_the_token(tenant: CliTenant, secrets: Any) -> None:
    login(tenant, "--yes", "--secret-id", "anaplan")
    tenant.simulator.settings.variants = Variants(oauth_validates=False)

    checked = check(tenant)

    assert checked.json["user"] is None
    assert checked.json["expires_at"] > "2026"


def test_the_log_in_is_saved_for_its_owner_alone(tenant: CliTenant) -> None:
    said = tenant_login(tenant, "--save", "log-in.json")
    again = tenant_login(tenant, "--save", "log-in.json")

    assert said.code == 0, said.err
    assert stat.S_IMODE(Path("log-in.json").stat().st_mode) == 0o600
    assert json.loads(Path("log-in.json").read_text())["client_id"] == CLIENT
    assert (again.code, "log-in.json exists" in again.err) == (1, True)
    assert devices(tenant) == 1


def tenant_login(tenant: CliTenant, *options: str) -> Said:
    tenant.simulator.add_client(OAuthClient(id=CLIENT))
    return tenant.run("auth", "login", "--device", "--client-id", CLIENT, *options)


def devices(tenant: CliTenant) -> int:
    return sum(seen.path == "/oauth/device/code" for seen in tenant.simulator.requests)


@pytest.mark.lets_out("a refresh_token: command line", "refresh_token: command line")
def test_the_log_in_is_printed_only_when_that_is_asked_for(tenant: CliTenant) -> None:
    said = tenant_login(tenant, "--print")

    assert json.loads(said.out)["refresh_token"] in tenant.simulator.refresh_tokens


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("auth", "login", "--client-id", CLIENT), "Add --device"),
        (("auth", "login", "--device", "--client-id", CLIENT), "Nothing says where to store the log-in"),
        (("auth", "login", "--device", "--print"), "It is not known what the OAuth client's id is"),
        (("auth", "login", "--device", "--save", "x", "--print"), "Choose one"),
        (("--secret-id", "anaplan", "auth", "login", "--device"), "There is no terminal to answer in"),
        (("--secret-id", "other", "auth", "login", "--device"), "ResourceNotFoundException"),
    ],
)
@pytest.mark.usefixtures("secrets")
def test_what_is_missing_is_told_before_anybody_is_sent_to_a_browser(
    tenant: CliTenant, options: tuple[str, ...], reason: str
) -> None:
    said = tenant.run(*options)

    assert said.code == 1
    assert reason in said.err
    assert tenant.simulator.requests == []


def test_a_client_of_the_other_grant_is_explained(tenant: CliTenant) -> None:
    tenant.simulator.add_client(OAuthClient(id=CLIENT, grant="code"))
    said = tenant.run("auth", "login", "--device", "--client-id", CLIENT, "--print")

    assert said.code == 1
    assert "unauthorized_client" in said.err
    assert "single sign-on" in said.err


@pytest.mark.usefixtures("secrets")
def test_a_log_in_that_cannot_be_stored_is_not_shown_either(tenant: CliTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_writes(monkeypatch)
    said = login(tenant, "--yes", "--secret-id", "anaplan")

    assert said.code == 1
    assert "--save FILE" in said.err
    assert not any(secret in said.out + said.err for secret in tenant.simulator.oauth_secrets)


def test_a_rotating_token_is_renewed_and_stored_by_the_command_line_too(tenant: CliTenant, secrets: Any) -> None:
    login(tenant, "--yes", "--secret-id", "anaplan", rotates=True)
    before = stored(secrets)
    spoil(secrets)

    alone, with_ledger = check(tenant), check(tenant, "--table", "ledger")

    assert (alone.code, with_ledger.code) == (1, 0)
    assert "--stack" in alone.err
    assert stored(secrets)["refresh_token"] != before["refresh_token"]
    assert tenant.simulator.spent_again == 0


def spoil(secrets: Any) -> None:
    """Let the access token in the secret be long expired."""
    secrets.put_secret_value(SecretId="anaplan", SecretString=json.dumps({**stored(secrets), "expires_at": 1}))


def test_a_rotating_token_is_not_spent_by_somebody_who_may_not_store_the_next(
    tenant: CliTenant, secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(tenant, "--yes", "--secret-id", "anaplan", rotates=True)
    spoil(secrets)
    before = tenant.simulator.refresh_tokens
    refuse_writes(monkeypatch)

    said = check(tenant, "--table", "ledger")

    assert said.code == 1
    assert "secretsmanager:PutSecretValue" in said.err
    assert tenant.simulator.refresh_tokens == before


def refuse_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001  (every client, wherever it is made)

    def called(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if operation == "PutSecretValue":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
        return call(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", called)


# Waiting for the browser, against a service that answers by script.


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


def waited(script: Script, time: Time, seconds: float = 900) -> Grant:
    device = Device("c4nary-device-code", "ABCD-EFGH", "https://iam.anaplan.com/activate", seconds, 5)
    return wait(script.url, CLIENT, device, time.sleep, lambda: time.now)


def test_polling_keeps_the_interval_and_slows_down_when_told(script: Script) -> None:
    time = Time()
    script.answer(403, PENDING).answer(429, {"error": "slow_down"}).answer(400, PENDING)
    script.page(502).reply(Scripted(lost=True)).answer(200, GRANTED)

    grant = waited(script, time)

    assert time.slept == [5, 5, 10, 10, 20, 40]
    assert grant.refresh_token == "c4nary-refresh-token"
    assert json.loads(script.requests[0].body) == {
        "grant_type": grants.GRANT,
        "client_id": CLIENT,
        "device_code": "c4nary-device-code",
    }


@pytest.mark.parametrize(
    ("status", "content", "reason"),
    [
        (403, {"error": "access_denied", "error_description": "no"}, "access_denied: no"),
        (400, {"error": "expired_token"}, "expired_token"),
        (403, {"error": "invalid_grant"}, "invalid_grant"),
        (401, {"error": "invalid_client"}, "invalid_client"),
        (400, {"error": "something new \x1b[31m"}, "something new"),
        (200, {"access_token": "c4nary-access-token"}, "no refresh token"),
        (200, [], "no refresh token"),
    ],
)
def test_an_end_without_a_token_is_explained(script: Script, status: int, content: object, reason: str) -> None:
    script.answer(status, content)

    with pytest.raises(CommandFailed) as caught:
        waited(script, Time())

    shown = f"{caught.value.message} {caught.value.answered} {caught.value.remedy}"
    assert reason in shown
    assert "c4nary" not in shown and "\x1b" not in shown


def test_nobody_waits_longer_than_the_code_is_valid(script: Script) -> None:
    for _ in range(3):
        script.answer(403, PENDING)
    time = Time()

    with pytest.raises(CommandFailed, match="Nobody confirmed in time"):
        waited(script, time, seconds=20)

    assert time.now == 20
    assert len(script.requests) == 3


BEGUN = {
    "device_code": "c4nary-device-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://iam.anaplan.com/activate",
    "expires_in": 900,
    "interval": 5,
}


@pytest.mark.parametrize(
    ("changes", "page", "seconds", "interval"),
    [
        ({}, "https://iam.anaplan.com/activate", 900, 5),
        ({"verification_uri_complete": "https://x.anaplan.com/a?c=1"}, "https://x.anaplan.com/a?c=1", 900, 5),
        ({"interval": None, "expires_in": None}, "https://iam.anaplan.com/activate", 900, 5),
        ({"interval": 0, "expires_in": "soon"}, "https://iam.anaplan.com/activate", 900, 1),
        ({"interval": 1e9, "expires_in": 1e9}, "https://iam.anaplan.com/activate", 3600, 60),
        ({"interval": -1, "expires_in": True}, "https://iam.anaplan.com/activate", 900, 5),
    ],
)
def test_a_device_is_as_the_service_says_within_reason(
    script: Script, changes: dict[str, object], page: str, seconds: float, interval: float
) -> None:
    script.answer(200, BEGUN | changes)

    device = begin(script.url, CLIENT)

    assert (device.page, device.seconds, device.interval) == (page, seconds, interval)
    assert "c4nary" not in repr(device)


@pytest.mark.parametrize(
    "content",
    [
        BEGUN | {"device_code": ""},
        BEGUN | {"user_code": None},
        BEGUN | {"verification_uri": "http://iam.anaplan.com/activate"},
        BEGUN | {"verification_uri": "javascript:alert(1)"},
        BEGUN | {"verification_uri": "https://[broken"},
        [],
    ],
)
def test_nobody_is_sent_to_an_odd_address(script: Script, content: object) -> None:
    script.answer(200, content)

    with pytest.raises(CloudWorksError, match="without a code and a safe address"):
        begin(script.url, CLIENT)


def test_a_first_use_whose_answer_was_lost_is_not_stored(tenant: CliTenant, secrets: Any) -> None:
    handle = tenant.simulator.handle

    def handled(request: Request) -> Reply:
        if b'"refresh_token"' in request.body:
            tenant.simulator.add_fault(Fault(kind="lose_after", path="/oauth/token"))
        return handle(request)

    tenant.simulator.handle = handled  # type: ignore[method-assign]
    said = login(tenant, "--yes", "--secret-id", "anaplan", rotates=True)

    assert said.code == 1
    assert "was lost" in said.err
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        stored(secrets)
