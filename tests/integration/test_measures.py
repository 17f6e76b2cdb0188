"""What CloudWatch gets to see of the function besides its loads: Anaplan's answers, sweeps, and the log-in's end."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.cloudworks import Fault
from tests.autoload import Autoload
from tests.integration.test_main_path import ACCOUNTS, KEY, latest
from tests.unit.scripted import certificate_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600


def answers(autoload: Autoload, printed: str) -> Counter[str]:
    """How often Anaplan answered in each way, as the metric has it."""
    counted: Counter[str] = Counter()
    for document in autoload.metrics(printed, "AnaplanAnswers"):
        assert document["stack"] == "autoload"
        counted[document["kind"]] += sum(document["AnaplanAnswers"])
    return counted


def test_every_answer_is_counted_once_however_often_the_execution_is_replayed(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    latest(autoload)
    autoload.simulator.add_fault(Fault(kind="status", method="POST", path="/run$", status=429))
    autoload.simulator.add_fault(Fault(kind="lose_before", method="GET", path="/integrations/run/"))
    capsys.readouterr()

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    counted = answers(autoload, capsys.readouterr().out)
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert (counted["throttled"], counted["lost"]) == (1, 1)
    assert counted["ok"] == len(autoload.simulator.requests) - 2
    assert "AnaplanAnswers" not in str(autoload.operations())


def to_the_hour(autoload: Autoload, minutes: int = 0) -> None:
    """Let time pass until the next full hour and some minutes."""
    autoload.pass_time(HOUR - autoload.now() / 1000 % HOUR + 60 * minutes + 1)


def sweep(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> str:
    """Sweep; returns what the function printed meanwhile."""
    capsys.readouterr()
    autoload.invoke({"sweep": True})
    return capsys.readouterr().out


def test_a_sweep_is_counted_when_it_has_come_to_its_end(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    [counted] = autoload.metrics(sweep(autoload, capsys), "Sweeps")

    assert (counted["stack"], counted["Sweeps"], counted["LanesHeld"]) == ("autoload", [1], [0])


def test_a_sweep_that_fails_is_not_counted(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "No"}}, "Scan")

    autoload.services_now().dynamodb.meta.events.register("before-call.dynamodb.Scan", refuse)
    capsys.readouterr()

    assert autoload.outcome({"sweep": True}) == "failed"

    assert autoload.metrics(capsys.readouterr().out, "Sweeps") == []


def test_a_held_lane_is_counted_until_the_log_in_works(autoload: Autoload, capsys: pytest.CaptureFixture[str]) -> None:
    latest(autoload)
    autoload.set_secret(password="wrong")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    held = [autoload.metrics(sweep(autoload, capsys), "LanesHeld")[0]["LanesHeld"] for _ in range(2)]
    autoload.set_secret()
    held.append(autoload.metrics(sweep(autoload, capsys), "LanesHeld")[0]["LanesHeld"])

    assert held == [[1], [1], [0]]


def test_the_days_until_the_password_ends_are_measured_at_the_start_of_the_hour(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    autoload.change(password_days=90)
    autoload.pass_time(60 * 24 * HOUR)

    to_the_hour(autoload)
    [left] = autoload.metrics(sweep(autoload, capsys), "LogInDaysLeft")
    assert left["LogInDaysLeft"] == [pytest.approx(30, abs=0.1)]
    to_the_hour(autoload, minutes=11)
    assert autoload.metrics(sweep(autoload, capsys), "LogInDaysLeft") == []


def test_nothing_is_said_of_a_password_whose_life_nobody_knows(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    to_the_hour(autoload)

    assert autoload.metrics(sweep(autoload, capsys), "LogInDaysLeft") == []


@pytest.fixture(scope="module")
def key() -> Iterator[rsa.RSAPrivateKey]:
    yield rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("days", [13, -2], ids=["ends soon", "has ended"])
def test_the_days_until_the_certificate_ends_are_measured(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], key: rsa.RSAPrivateKey, days: int
) -> None:
    to_the_hour(autoload)
    end = datetime.fromtimestamp(autoload.now() / 1000, UTC) + timedelta(days=days)
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    stored = {"certificate": certificate_of(key, end), "private_key": private_key}
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString=json.dumps(stored))

    printed = sweep(autoload, capsys)

    [left] = autoload.metrics(printed, "LogInDaysLeft")
    assert left["LogInDaysLeft"] == [pytest.approx(days, abs=0.1)]
    assert private_key[40:80] not in printed


def test_a_secret_that_cannot_be_used_stops_no_sweep(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    autoload.change(password_days=90)
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString='{"username": "ada"}')
    to_the_hour(autoload)

    assert autoload.metrics(sweep(autoload, capsys), "Sweeps")

    assert "It is not known when the log-in ends" in caplog.messages
