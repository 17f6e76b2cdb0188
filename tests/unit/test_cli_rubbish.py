"""Whatever answers in the place of AWS or Anaplan, and whoever stops to read: words, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from anaplan_autoload_cli.app import app

ROOT = Path(__file__).parents[2]
RUBBISH = {
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


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[str]:
    """A server that answers everything alike; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815  (the base class finds methods by these names)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
def test_no_answer_of_the_network_ends_a_command_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, rubbish: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with answering(*RUBBISH[rubbish]) as url:
        ended = CliRunner().invoke(app, COMMANDS[command], env=surroundings(url))

    assert ended.exception is None or isinstance(ended.exception, SystemExit)
    assert "Traceback" not in ended.output and "hunter2-of-ada" not in ended.output
    assert ended.exit_code in (0, 1)
    if ended.exit_code:
        assert ended.stderr.startswith("Error: ") or "checks failed" in ended.stderr


def test_the_traceback_of_what_nobody_foresaw_is_had_for_the_asking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with answering(*RUBBISH["an empty object"]) as url:
        said = CliRunner().invoke(app, COMMANDS["loads"], env=surroundings(url))
        shown = CliRunner().invoke(app, COMMANDS["loads"], env=surroundings(url) | {"AUTOLOAD_TRACEBACK": "1"})

    assert said.exit_code == 1 and "AUTOLOAD_TRACEBACK=1" in said.stderr
    assert shown.exception is not None and not isinstance(shown.exception, SystemExit)


@pytest.mark.parametrize("joined", [False, True], ids=["data", "data and messages"])
@pytest.mark.parametrize(
    "words", ["--help", "loads --help", "connections policy --bucket b", "routes match incoming/accounts/a.csv"]
)
def test_a_reader_that_stops_reading_ends_a_command_quietly(words: str, joined: bool) -> None:
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
