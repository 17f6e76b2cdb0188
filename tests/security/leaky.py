"""Tests that let a secret out on purpose, one channel each; `test_canaries.py` runs them, and sees each fail."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import pytest
import typer
from aws_lambda_powertools import Logger
from typer.testing import CliRunner

from anaplan_autoload.anaplan import oauth
from anaplan_autoload.anaplan.credentials import Secret
from anaplan_autoload.anaplan.http import exchange, http_pool
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws import rejected_rows
from anaplan_autoload.aws.renewals import Renewals
from anaplan_autoload.report.report import ReportedError
from anaplan_autoload.steps import admission
from anaplan_autoload.steps.admission import Shown
from local.cloudworks import PASSWORD, USERNAME
from local.cloudworks.seeding import SECRET_ACCESS_KEY
from tests.autoload import REPORTS, Autoload
from tests.integration.test_main_path import ACCOUNTS, KEY, latest
from tests.unit.scripted import no_renewer, scripted


@pytest.fixture
def autoload(tmp_path: Path) -> Iterator[Autoload]:
    with Autoload(tmp_path) as made:
        yield made


def token_of(autoload: Autoload) -> str:
    latest(autoload)
    return autoload.services_now().tokens.token()


def tokens_of(source: Callable[[], Secret]) -> Tokens:
    url = "https://auth.example.com"
    return Tokens(http_pool(), url, source, rejected=lambda _: False, reject=lambda _: None, renewer=no_renewer)


def test_log_line() -> None:
    logging.getLogger("any").warning("refused %s", PASSWORD)


def test_log_line_extra() -> None:
    logging.getLogger("any").warning(
        "refused", extra={"sent": f"Basic {b64encode(f'{USERNAME}:{PASSWORD}'.encode())!r}"}
    )


def test_log_line_traceback() -> None:
    try:
        raise KeyError(PASSWORD)
    except KeyError:
        logging.getLogger("any").exception("failed")


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print(json.dumps({"_aws": {}, "route": SECRET_ACCESS_KEY}))  # noqa: T201


def test_output(capsys: pytest.CaptureFixture[str]) -> None:
    print(quote(f"a&b={PASSWORD}"))  # noqa: T201
    capsys.readouterr()


def test_output_of_a_process() -> None:
    subprocess.run([sys.executable, "-c", f"print({PASSWORD!r})"], capture_output=True, check=True)  # noqa: S603


def test_command_line() -> None:
    app = typer.Typer()

    @app.command()
    def show() -> None:
        typer.echo(PASSWORD)

    CliRunner().invoke(app)


def test_exception() -> None:
    def source() -> Secret:
        raise ValueError(PASSWORD)

    tokens = tokens_of(source)
    with pytest.raises(ValueError, match=PASSWORD):
        tokens.token()


def test_exception_behind_another() -> None:
    def source() -> Secret:
        try:
            b"\xff".decode() if PASSWORD else None
        except UnicodeDecodeError:
            fail()
        raise AssertionError

    def fail() -> NoReturn:
        try:
            raise KeyError(PASSWORD)
        except KeyError as error:
            raise ValueError("harmless") from error

    tokens = tokens_of(source)
    with pytest.raises(ValueError, match="harmless"):
        tokens.token()


def test_sns_publish(autoload: Autoload) -> None:
    autoload.services_now().sns.publish(TopicArn=autoload.topic, Message=f"refused {token_of(autoload)}")


def test_lambda_invoke(autoload: Autoload) -> None:
    latest(autoload)
    autoload.services_now().send({"drain": PASSWORD}, Logger())


def test_checkpoint(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    def show_uploads(*_: object) -> tuple[Shown, ...]:
        return (Shown("b", "k", PASSWORD, None),)

    latest(autoload)
    monkeypatch.setattr(admission, "show_uploads", show_uploads)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))


def test_checkpoint_of_an_error(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    def show_uploads(*_: object) -> tuple[Shown, ...]:
        raise ValueError(PASSWORD)

    latest(autoload)
    monkeypatch.setattr(admission, "show_uploads", show_uploads)
    with pytest.raises(Exception, match=PASSWORD):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))


def test_ledger(autoload: Autoload) -> None:
    autoload.services_now().rejections.add(token_of(autoload))


def test_object(autoload: Autoload) -> None:
    error = ReportedError("Import", PASSWORD, 1)
    rejected_rows.save_errors(autoload.s3, REPORTS, "reports/a/", [error])


def test_object_in_parts(autoload: Autoload) -> None:
    rejected_rows.save_rejected_rows(autoload.s3, REPORTS, "reports/a/", "rows", [b"Code\n", PASSWORD.encode()])


CLIENT_SECRET, REFRESH_TOKEN = "c4nary-client-secret", "c4nary-refresh-token"


def store_oauth(autoload: Autoload) -> None:
    fields = {"client_id": "a" * 32, "refresh_token": REFRESH_TOKEN, "client_secret": CLIENT_SECRET}
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString=json.dumps(fields))


def test_ledger_of_renewals(autoload: Autoload) -> None:
    store_oauth(autoload)
    Renewals(autoload.dynamodb, "ledger", "anaplan", 1_000).lease(REFRESH_TOKEN, 1)


def test_log_line_of_a_client_secret(autoload: Autoload) -> None:
    store_oauth(autoload)
    logging.getLogger("any").warning("sent %s", json.dumps({"client_secret": CLIENT_SECRET}))


def test_output_of_what_a_device_got(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted() as script:
        script.answer(
            200, {"access_token": "c4nary-access", "refresh_token": REFRESH_TOKEN, "id_token": "c4nary-id-token"}
        )
        request = oauth.posted(script.url, "/oauth/token", {}, ())
        print(exchange(http_pool(), request).body)  # noqa: T201
    capsys.readouterr()
