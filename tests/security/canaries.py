"""A pytest plugin: no test of the whole suite may let a secret out.

It knows the secrets (what is planted, what Secrets Manager is given, and what is sent as `Authorization`), and
hears everything that comes out: log records, output, exceptions in the project's code, requests to AWS, and, when a
harness or a laptop's stack closes, its checkpoints, ledger, objects, messages and logs. A test that lets a secret out
fails at its end, even if all its assertions hold.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from inspect import currentframe
from pathlib import Path
from threading import Lock
from traceback import format_exception
from types import CodeType
from typing import TYPE_CHECKING, Any

import botocore.handlers
import pytest
import typer.testing
import urllib3.connection

from local.cloudworks.seeding import PASSWORD, SECRET_ACCESS_KEY, USERNAME
from tests.security.spellings import Canaries

if TYPE_CHECKING:
    from local.aws.stack import Stack
    from local.cloudworks import Simulator
    from tests.autoload import Autoload

SOURCE = str(Path(__file__).parents[2] / "src")
MARKER = "lets_out"
ENOUGH_BYTES = 4_000_000
"""What is heard is searched in portions of about this size."""


class Watch:
    """What was heard and not searched yet, and what was found."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._begin()

    def _begin(self) -> None:
        self._canaries = Canaries()
        self._heard: dict[str, list[bytes]] = {}
        self._bytes = 0
        self._leaks: set[str] = set()
        self._canaries.plant("the password", PASSWORD)
        self._canaries.plant("the log-in", f"{USERNAME}:{PASSWORD}")
        self._canaries.plant("an S3 secret access key", SECRET_ACCESS_KEY)
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            self._canaries.plant(name, os.environ.get(name, ""))

    def plant(self, name: str, secret: str) -> None:
        """Look for this secret too, until the test ends."""
        with self._lock:
            self._canaries.plant(name, secret)

    def hear(self, channel: str, *values: object) -> None:
        """Something came out; texts are sought within structures, and files are read."""
        texts = [text for value in values for text in _texts(value)]
        with self._lock:
            self._heard.setdefault(channel, []).extend(texts)
            self._bytes += sum(map(len, texts))
            if self._bytes > ENOUGH_BYTES:
                self._search()

    def leaks(self) -> list[str]:
        """What was found since the last call, as `the token: log line`."""
        with self._lock:
            self._search()
            found = sorted(self._leaks)
            self._begin()
            return found

    def _search(self) -> None:
        for channel, texts in self._heard.items():
            self._leaks |= {f"{name}: {channel}" for name in self._canaries.found_in(b"\n".join(texts))}
        self._heard, self._bytes = {}, 0


WATCH = Watch()


def _texts(value: object) -> Iterator[bytes]:
    match value:
        case str():
            yield value.encode("utf-8", "surrogatepass")
        case bytes() | bytearray():
            yield bytes(value)
        case dict():
            for name, each in value.items():
                yield from _texts(name)
                yield from _texts(each)
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from _texts(each)
        case BaseException():
            yield from _texts([str(value), repr(value), getattr(value, "__notes__", [])])
            with suppress(RecursionError):
                yield from _texts(format_exception(value))
        case None | bool() | int() | float():
            return
        case _ if hasattr(value, "read") and hasattr(value, "seek"):
            position = value.tell()  # type: ignore[attr-defined]
            yield from _texts(value.read())
            value.seek(position)
        case _:
            yield from _texts(repr(value))


# Where things come out.


def _hear_log_records(patch: pytest.MonkeyPatch) -> None:
    handle = logging.Logger.handle

    def heard(logger: logging.Logger, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        WATCH.hear("log line", record.getMessage(), record.__dict__ | {"exc_info": error})
        handle(logger, record)

    patch.setattr(logging.Logger, "handle", heard)


def _hear_output(patch: pytest.MonkeyPatch) -> None:
    """What tests take from a capture, from the command line's runner, and from a process; reports tell the rest."""
    readouterr = pytest.CaptureFixture.readouterr
    invoke = typer.testing.CliRunner.invoke
    communicate = subprocess.Popen.communicate

    def captured(fixture: pytest.CaptureFixture[Any]) -> Any:
        result = readouterr(fixture)
        WATCH.hear("output", result.out, result.err)
        return result

    def invoked(runner: typer.testing.CliRunner, *args: Any, **kwargs: Any) -> Any:
        result = invoke(runner, *args, **kwargs)
        WATCH.hear("command line", result.output, result.exception)
        return result

    def communicated(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> Any:
        output = communicate(process, *args, **kwargs)
        WATCH.hear("output of a process", output)
        return output

    patch.setattr(pytest.CaptureFixture, "readouterr", captured)
    patch.setattr(typer.testing.CliRunner, "invoke", invoked)
    patch.setattr(subprocess.Popen, "communicate", communicated)


def _hear_requests_to_aws(patch: pytest.MonkeyPatch) -> None:
    """What is sent to AWS is stored or shown there; only Secrets Manager is for secrets."""

    def heard(params: dict[str, Any], model: Any, **_: object) -> None:
        if model.service_model.service_name == "secretsmanager":
            _plant_secret(params.get("SecretString", ""))
        else:
            WATCH.hear(f"{model.service_model.service_name} {model.name}", params)

    handlers = [*botocore.handlers.BUILTIN_HANDLERS, ("before-parameter-build", heard)]
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)


_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_ISSUED = re.compile(rb'"(refreshToken|refresh_token|access_token|id_token|device_code)":\s*"([^"]+)"')


def _learn_issued_tokens(patch: pytest.MonkeyPatch) -> None:
    """What the log-in's answer holds besides the token that is sent on: long-lived secrets, some of no use here."""
    stream = urllib3.HTTPResponse.stream

    def learned(response: urllib3.HTTPResponse, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        for chunk in stream(response, *args, **kwargs):
            for name, token in _ISSUED.findall(chunk):
                WATCH.plant(f"a {name.decode()}", token.decode())
            yield chunk

    patch.setattr(urllib3.HTTPResponse, "stream", learned)


def _plant_secret(text: str) -> None:
    """Everything in a secret except the user's name, the OAuth client's id and certificates, which are not secret.

    A field that holds PEM blocks is searched for private keys, whatever its name: any of them may be pasted anywhere.
    """
    fields: object = None
    with suppress(ValueError, RecursionError):
        fields = json.loads(text)
    for name, value in fields.items() if isinstance(fields, dict) else [("the secret's text", text)]:
        if not isinstance(value, str):
            continue
        for block in _PRIVATE_KEY.findall(value.replace("\\n", "\n")):
            WATCH.plant("a private key", block)
        if name not in ("username", "certificate", "client_id") and "-----BEGIN CERTIFICATE" not in value:
            WATCH.plant(name, value)


def _learn_authorizations(patch: pytest.MonkeyPatch) -> None:
    """What goes out as `Authorization` must come out nowhere else; AWS's signatures are not secret."""
    putheader = urllib3.connection.HTTPConnection.putheader

    def learned(connection: urllib3.connection.HTTPConnection, header: str, *values: str) -> None:
        if header.lower() == "authorization":
            for value in values:
                scheme, _, token = str(value).partition(" ")
                if scheme in ("AnaplanAuthToken", "Bearer"):
                    WATCH.plant("a token", token)
                elif scheme == "Basic":
                    WATCH.plant("a password", b64decode(token).decode("utf-8", "replace").partition(":")[2])
                elif scheme == "CACertificate":
                    WATCH.hear("header of a log-in", b64decode(token).decode("utf-8", "replace"))
        putheader(connection, header, *values)

    patch.setattr(urllib3.connection.HTTPConnection, "putheader", learned)


def _hear_exceptions() -> Callable[[], None]:
    """Every exception that leaves the project's code (Python 3.12 and newer); what is handled within shows nothing."""
    if sys.version_info >= (3, 12):
        monitoring, tool = sys.monitoring, 4

        def unwound(code: CodeType, _offset: int, error: BaseException) -> None:
            if code.co_filename.startswith(SOURCE):
                here = currentframe()
                unwinding = here and here.f_back
                caller = unwinding and unwinding.f_back
                if caller is None or not caller.f_code.co_filename.startswith(SOURCE):
                    WATCH.hear("exception", error)

        monitoring.use_tool_id(tool, "canaries")
        monitoring.register_callback(tool, monitoring.events.PY_UNWIND, unwound)
        monitoring.set_events(tool, monitoring.events.PY_UNWIND)
        return lambda: monitoring.free_tool_id(tool)
    return lambda: None


# What a harness or a stack has stored, heard as it closes.


def _plant_issued(simulator: Simulator) -> None:
    for token in simulator.tokens:
        WATCH.plant("a token", token)
    for secret in simulator.oauth_secrets:
        WATCH.plant("a secret of OAuth", secret)


def _hear_autoload(autoload: Autoload) -> None:
    _plant_issued(autoload.simulator)
    for execution in autoload.runner.executions.list_all():
        WATCH.hear("checkpoint", execution.to_json_dict())
    _hear_ledger(autoload.dynamodb, "ledger")
    _hear_objects(autoload.s3, "reports")


def _hear_stack(stack: Stack) -> None:
    _plant_issued(stack.simulator)
    for log in stack.logs.glob("*.log"):
        WATCH.hear("function log", log.read_bytes())
    for one in stack.executions.all():
        arn = one.durable_execution_arn
        pages = stack.aws.functions.get_paginator("get_durable_execution_history")
        for page in pages.paginate(DurableExecutionArn=arn, IncludeExecutionData=True):
            WATCH.hear("checkpoint", dict(page))
        WATCH.hear("checkpoint", one.input_payload, one.result, one.error and one.error.error_message)
    for message in stack.messages():
        WATCH.hear("message", message.document, message.attributes)
    for letter in stack.dead_letters():
        WATCH.hear("dead letter", letter.event, letter.error)
    _hear_ledger(stack.aws.dynamodb, stack.resources.outputs["LedgerTableName"])
    _hear_objects(stack.aws.s3, stack.resources.outputs["ReportsBucketName"])


def _hear_ledger(client: Any, table: str) -> None:
    for page in client.get_paginator("scan").paginate(TableName=table):
        WATCH.hear("ledger", page["Items"])


def _hear_objects(s3: Any, bucket: str) -> None:
    """What the function writes by itself; copies of uploads hold what was uploaded."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", []):
            found = s3.get_object(Bucket=bucket, Key=each["Key"])
            WATCH.hear("object", each["Key"], found["Metadata"], found["Body"].read())


_CLOSING: dict[tuple[str, str], Callable[[Any], None]] = {
    ("tests.autoload", "Autoload"): _hear_autoload,
    ("local.aws.stack", "Stack"): _hear_stack,
}


class Plugin:
    """The hooks; one for each run of pytest."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._waiting = dict(_CLOSING)
        _hear_log_records(self._patch)
        _hear_output(self._patch)
        _hear_requests_to_aws(self._patch)
        _learn_authorizations(self._patch)
        _learn_issued_tokens(self._patch)
        self._stop_exceptions = _hear_exceptions()

    def pytest_unconfigure(self) -> None:
        """Leave everything as it was."""
        self._stop_exceptions()
        self._patch.undo()

    def pytest_runtest_setup(self) -> None:
        """Listen to harnesses and stacks once a test has imported them, because they are slow to import."""
        for (module, name), hear in list(self._waiting.items()):
            if module in sys.modules:
                self._hear_before_closing(getattr(sys.modules[module], name), hear)
                del self._waiting[module, name]

    def _hear_before_closing(self, kind: Any, hear: Callable[[Any], None]) -> None:
        close = kind.__exit__

        def closing(self: Any, *error: object) -> None:
            try:
                hear(self)
            finally:
                close(self, *error)

        self._patch.setattr(kind, "__exit__", closing)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a test that let a secret out; its fixtures are gone by now, and all that they said was heard."""
        report = yield
        if call.when == "teardown":
            for channel, text in report.sections:
                WATCH.hear(channel, text)
            meant = {leak for marker in item.iter_markers(MARKER) for leak in marker.args}
            if leaks := [leak for leak in WATCH.leaks() if leak not in meant]:
                report.outcome = "failed"
                report.longrepr = "A secret came out:\n" + "\n".join(leaks)
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Start to listen."""
    config.addinivalue_line("markers", f"{MARKER}(*leaks): the command is for that, as in 'a token: command line'")
    config.pluginmanager.register(Plugin(), "canaries-listening")
