"""Unusable answers instead of AWS's and Anaplan's, and closed pipes: errors in words, without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import run
from tests.unit.scripted import Reply, Script, scripted

ROOT = Path(__file__).parents[2]
RUBBISH = {  # status, content type, body
    "a web page": (200, "text/html", b"<html><body>Sign in to the network</body></html>"),
    "nothing": (200, "application/json", b""),
    "null": (200, "application/json", b"null"),
    "a list": (200, "application/json", b"[1, 2]"),
    "a number": (200, "application/json", b"7"),
    "an empty object": (200, "application/json", b"{}"),
    "half an object": (200, "application/json", b'{"Items": [{"pk"'),
    "other names": (200, "application/json", b'{"Items": [{"pk": {"S": 7}}, 3], "status": []}'),
    "no text": (200, "application/octet-stream", b"\xff\xfe\x00\x80"),
    "deep nesting": (200, "application/json", b"[" * 100_000),
    "other XML": (200, "text/xml", b"<Something/>"),
    "half of XML": (200, "text/xml", b"<DescribeStacksResponse><Describe"),
    "a gateway's page": (502, "text/html", b"<html>Bad gateway</html>"),
    "an error without JSON": (400, "application/x-amz-json-1.0", b"<html>"),
    "an error of another shape": (403, "application/json", b'{"error": ["no"]}'),
    "a redirect": (302, "text/html", b""),
}
COMMANDS = {
    "status": ("status", "--table", "ledger"),
    "loads": ("loads", "--table", "ledger"),
    "load": ("load", "s3://inbox/incoming/a.csv", "--table", "ledger", "--function", "f"),
    "redrive": ("redrive", "--queue", "http://127.0.0.1/q", "--function", "f", "--dry-run"),
    "stack": ("status", "--stack", "autoload"),
    "doctor": ("doctor", "--stack", "autoload"),
    "log-in": ("auth", "check"),
    "secret": ("auth", "check", "--secret-id", "anaplan"),
    "history": ("history", "Accounts"),
}


def answering(server: Script, rubbish: str) -> str:
    """Let the server answer every request alike; returns its URL."""
    status, kind, body = RUBBISH[rubbish]
    server.afterwards = Reply(status, body, {"Content-Type": kind})
    return server.url


@pytest.fixture(scope="module")
def server() -> Iterator[Script]:
    with scripted() as script:
        yield script


def surroundings(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "ANAPLAN_AUTH_URL": url,
        "CLOUDWORKS_URL": url,
        "ANAPLAN_USERNAME": "ada@example.com",
        "ANAPLAN_PASSWORD": "hunter2-of-ada",
        "ROUTES_FILE": str(ROOT / "routes.toml"),
    }


@pytest.mark.crossed
@pytest.mark.parametrize("rubbish", RUBBISH)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_unusable_answer_ends_a_command_with_an_error_and_no_traceback(
    server: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, rubbish: str
) -> None:
    monkeypatch.chdir(tmp_path)

    ended = run(*COMMANDS[command], environment=surroundings(answering(server, rubbish)))

    assert "Traceback" not in ended.out + ended.err and "hunter2-of-ada" not in ended.out + ended.err
    assert ended.code in (0, 1)
    if ended.code:
        assert ended.err.startswith("Error: ") or "checks failed" in ended.err


def test_the_traceback_of_an_unexpected_error_is_shown_on_request(
    server: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = surroundings(answering(server, "an empty object"))

    said = run(*COMMANDS["loads"], environment=environment)
    with pytest.raises(KeyError):
        run(*COMMANDS["loads"], environment=environment | {"AUTOLOAD_TRACEBACK": "1"})

    assert said.code == 1 and "AUTOLOAD_TRACEBACK=1" in said.err


@pytest.mark.parametrize("joined", [False, True], ids=["data", "data and messages"])
@pytest.mark.parametrize(
    "words", ["--help", "loads --help", "connections policy --bucket inbox", "routes match incoming/accounts/a.csv"]
)
def test_a_closed_pipe_ends_a_command_quietly(words: str, joined: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "anaplan_autoload_cli", *words.split()]
    environment = os.environ | surroundings("http://127.0.0.1:1") | {"INBOX_BUCKET": "inbox"}

    ended = subprocess.run(  # noqa: S603  (our own command)
        command, stdout=writing, stderr=writing if joined else subprocess.PIPE, env=environment, check=False
    )
    os.close(writing)

    assert ended.returncode == 0
    assert b"Broken" not in (ended.stderr or b"") and b"Traceback" not in (ended.stderr or b"")
