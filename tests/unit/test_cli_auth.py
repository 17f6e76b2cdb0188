"""`auth`, and the ways to log in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto import mock_aws

from local.cloudworks import PASSWORD, USERNAME, WORKSPACE_ID, User
from tests.cli_tenant import CliTenant, empty_tenant

NOBODY = {"ANAPLAN_USERNAME": None, "ANAPLAN_PASSWORD": None}


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        yield made


def log_ins(tenant: CliTenant) -> int:
    return sum(seen.path == "/token/authenticate" for seen in tenant.simulator.requests)


def test_the_check_shows_user_hosts_expiry_and_what_is_visible(tenant: CliTenant) -> None:
    tenant.connect()
    shown = tenant.run("auth", "check", "--json").json
    assert shown.pop("expires_at") > datetime.now(UTC).isoformat()
    assert shown == {
        "login": f"user {USERNAME}",
        "user": USERNAME,
        "auth_url": tenant.environment["ANAPLAN_AUTH_URL"],
        "cloudworks_url": tenant.environment["CLOUDWORKS_URL"],
        "integrations": 0,
        "connections": 1,
    }


def test_a_user_who_sees_nothing_is_told_which_role_and_workspace_to_ask_for(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check")
    assert said.code == 0
    assert "Restricted Integration User" in said.err


def test_a_user_without_a_role_is_told_so(tenant: CliTenant) -> None:
    tenant.simulator.add_user(User(name=USERNAME, display_name="Ada Builder", password=PASSWORD, role=None))
    said = tenant.run("auth", "check")
    assert said.code == 1
    assert "Answered: 403: the user may not do this" in said.err
    assert "To do: Give the user the role Restricted Integration User" in said.err


def test_a_wrong_password_is_tried_once_and_explained_without_talk_of_secrets(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check", ANAPLAN_PASSWORD="wrong")
    assert said.code == 1
    assert log_ins(tenant) == 1
    assert "Answered: 401 Unauthorized" in said.err
    assert "exception users" in said.err
    assert "secret" not in said.err
    assert "wrong" not in said.err


def test_a_token_is_printed_alone(tenant: CliTenant) -> None:
    said = tenant.run("auth", "token")
    assert said.err == ""
    assert len(said.out.split()) == 1


def test_nothing_is_asked_without_a_terminal(tenant: CliTenant) -> None:
    unknown = tenant.run("auth", "check", **NOBODY)
    without_password = tenant.run("auth", "check", ANAPLAN_PASSWORD=None)
    assert (unknown.code, without_password.code) == (1, 1)
    assert "--secret-id" in unknown.err
    assert "Set ANAPLAN_PASSWORD" in without_password.err


def test_two_log_ins_at_once_are_refused(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check", ANAPLAN_CERTIFICATE="ca.pem")
    assert said.code == 1
    assert "Unset one of them" in said.err


@pytest.fixture
def aws() -> Iterator[None]:
    """Two versions of a secret, the first of a password that is wrong; and a ledger."""
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        client.create_secret(Name="anaplan", SecretString=json.dumps({"username": USERNAME, "password": "stale"}))
        boto3.client("dynamodb", region_name="eu-west-1").create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield


@pytest.mark.usefixtures("aws")
def test_a_secret_that_anaplan_refused_is_not_sent_again_until_it_changes(tenant: CliTenant) -> None:
    arguments = ("auth", "check", "--secret-id", "anaplan", "--table", "ledger")
    first, second = tenant.run(*arguments), tenant.run(*arguments)
    assert (first.code, second.code, log_ins(tenant)) == (1, 1, 1)
    assert "is not sent again" in second.err
    boto3.client("secretsmanager", region_name="eu-west-1").put_secret_value(
        SecretId="anaplan", SecretString=json.dumps({"username": USERNAME, "password": PASSWORD})
    )
    assert tenant.run(*arguments).code == 0


@pytest.mark.usefixtures("aws")
def test_a_secret_that_does_not_exist_is_named(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check", "--secret-id", "other")
    assert said.code == 1
    assert "The secret other has no value, or does not exist." in said.err


def test_a_certificate_logs_in(tenant: CliTenant) -> None:
    certificate = written_certificate()
    tenant.simulator.add_user(
        User(
            name="robot",
            display_name="Robot",
            certificate=certificate.read_text(),
            workspaces=frozenset({WORKSPACE_ID}),
        )
    )
    said = tenant.run("auth", "check", "--json", **NOBODY, ANAPLAN_CERTIFICATE="ca.pem", ANAPLAN_PRIVATE_KEY="key.pem")
    assert (said.json["user"], said.json["login"]) == ("robot", "certificate ca.pem")


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "ca.pem cannot be read"), ("\x30\x82 DER", "ca.pem is not a PEM file")]
)
def test_a_certificate_file_that_cannot_be_used_is_named(tenant: CliTenant, content: str | None, reason: str) -> None:
    if content is not None:
        Path("ca.pem").write_text(content)
    said = tenant.run("auth", "check", **NOBODY, ANAPLAN_CERTIFICATE="ca.pem", ANAPLAN_PRIVATE_KEY="key.pem")
    assert said.code == 1
    assert reason in said.err
    assert tenant.simulator.requests == []


def written_certificate() -> Path:
    """`ca.pem` and `key.pem`, here."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "robot")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    Path("key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path = Path("ca.pem")
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path
