"""Password and token go only to the two configured hosts, over verified TLS, in any environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from anaplan_autoload.anaplan.errors import AddressInvalid, NotSent
from anaplan_autoload.aws.services import Services
from anaplan_autoload.aws.settings import from_environment
from tests.unit.scripted import Script, scripted, self_signed

SWITCHES = {
    "PYTHONHTTPSVERIFY": "0",
    "CURL_CA_BUNDLE": "",
    "REQUESTS_CA_BUNDLE": "",
    "SSL_NO_VERIFY": "1",
    "VERIFY_SSL": "false",
    "INSECURE": "true",
}
"""Variables that switch verification off in other programs."""

ENVIRONMENT = {
    "ANAPLAN_SECRET_ID": "anaplan",
    "LEDGER_TABLE": "ledger",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:alerts",
    "ANAPLAN_AUTH_URL": "https://auth.example.com",
    "CLOUDWORKS_URL": "https://cloudworks.example.com/2/0",
    "AWS_LAMBDA_FUNCTION_NAME": "autoload",
}


@pytest.fixture(autouse=True)
def account() -> Iterator[None]:
    """An account with a secret and an empty ledger."""
    with mock_aws():
        login = json.dumps({"username": "ada@example.com", "password": "a-canary-of-a-password"})
        boto3.client("secretsmanager").create_secret(Name="anaplan", SecretString=login)
        boto3.client("dynamodb").create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield


def services(**changes: str) -> Services:
    return Services(from_environment({**ENVIRONMENT, **changes}))


def test_no_variable_switches_the_verification_of_certificates_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    with scripted(self_signed(tmp_path)) as impostor:
        with pytest.raises(NotSent, match="certificate cannot be trusted"):
            services(ANAPLAN_AUTH_URL=impostor.url, **SWITCHES).tokens.token()
        assert impostor.requests == []


@pytest.fixture
def proxy() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_of_the_environment_sees_a_request_to_anaplan(
    monkeypatch: pytest.MonkeyPatch, proxy: Script, name: str
) -> None:
    made = services(ANAPLAN_AUTH_URL="http://127.0.0.1:9")
    made.secret()  # AWS's clients do obey such a variable, and are not what is tried here
    monkeypatch.setenv(name, proxy.url)
    monkeypatch.setenv(name.lower(), proxy.url)

    with pytest.raises(NotSent, match="no connection to Anaplan"):
        made.tokens.token()
    assert proxy.requests == []


@pytest.mark.crossed
@pytest.mark.parametrize("variable", ["ANAPLAN_AUTH_URL", "CLOUDWORKS_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "http://cloudworks.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://[::1]",
        "http://2130706433",
        "https://user:word@example.com",
        "https://example.com@evil.example",
        "https://example.com\\@evil.example",
        "https://example.com#@evil.example",
        "https://example.com/?next=https://evil.example",
        "https://example.com/\r\nHost: evil.example",
        "ftp://example.com",
        "file:///etc/passwd",
        "//example.com",
    ],
)
def test_an_address_that_is_not_safe_is_refused_before_anything_is_sent(variable: str, url: str) -> None:
    made = services(**{variable: url})

    with pytest.raises(AddressInvalid):
        _ = made.cloudworks
