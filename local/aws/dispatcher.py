"""What stands for Lambda's endpoint: invocations, the durable API, and what tools ask about the function.

- Invocations by the durable service's emulator (they carry `X-Dex-Handler-Invoke`) run the handler once in a runtime.
- Invocations by anybody else start a durable execution, as Lambda does for a durable function.
- The durable API (checkpoints, states, histories) is passed to the emulator, all else to moto.
"""

from __future__ import annotations

import http.client
import re
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from local.aws.resources import ALIAS
from local.http_server import HOST, LocalServer

if TYPE_CHECKING:
    from local.aws.executions import Executions
    from local.aws.resources import DeployedFunction
    from local.aws.runtimes import Pool

INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
DESCRIBED = re.compile(r"/2015-03-31/functions/[^/]+(/configuration)?")
"""GetFunction and GetFunctionConfiguration."""
DURABLE = "/2025-12-01/"
BY_THE_EMULATOR = "X-Dex-Handler-Invoke"
PASS_SECONDS = 60.0
HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})


class LambdaAnswer(Struct, frozen=True):
    """What a client gets."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


class Backends(Struct, frozen=True, kw_only=True):
    """The ports that the dispatcher passes requests to."""

    function: DeployedFunction
    pool: Pool
    executions: Executions
    durable_port: int
    moto_port: int


class Dispatcher(LocalServer):
    """Answers 503 until `connect` says where to pass requests."""

    backends: Backends | None = None

    def __init__(self, listen: str = HOST) -> None:
        """`listen` is the address of the interface that it is reached by."""
        super().__init__((listen, 0), _Handler)

    @property
    def url(self) -> str:
        """What `AWS_ENDPOINT_URL_LAMBDA` is set to."""
        return f"http://{HOST}:{self.server_port}"

    def connect(self, backends: Backends) -> None:
        """Start to pass requests on."""
        self.backends = backends


class _Handler(BaseHTTPRequestHandler):
    server: Dispatcher
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self._answer(body)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            answer = _refusal(503, "ServiceException", str(error))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has gone
            self._send(answer)

    do_GET = do_any  # noqa: N815 (the base class finds methods by these names)
    do_POST = do_any  # noqa: N815
    do_PUT = do_any  # noqa: N815
    do_DELETE = do_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the parts behind it have their own logs."""

    def _answer(self, body: bytes) -> LambdaAnswer:
        backends = self.server.backends
        if backends is None:
            raise RuntimeError("the laptop's AWS is still starting")
        url = urlsplit(self.path)
        if (invoked := INVOKE.fullmatch(url.path)) and self.command == "POST":
            name, qualifier = _split_name(unquote(invoked[1]), parse_qs(url.query).get("Qualifier"))
            if name != backends.function.name or qualifier not in (None, ALIAS):
                return _refusal(404, "ResourceNotFoundException", f"Function not found: {name}:{qualifier}")
            if BY_THE_EMULATOR in self.headers:
                return _run_handler(backends.pool, body)
            return self._start(backends.executions, qualifier, body)
        port = backends.durable_port if url.path.startswith(DURABLE) else backends.moto_port
        answer = self._pass_on(port, body)
        described = DESCRIBED.fullmatch(url.path)
        return _completed(answer, backends.function) if described and self.command == "GET" else answer

    def _start(self, executions: Executions, qualifier: str | None, event: bytes) -> LambdaAnswer:
        """What Lambda does with an invocation of a durable function by a client."""
        if qualifier is None:
            return _refusal(
                400, "InvalidParameterValueException", "You cannot invoke a durable function using an unqualified ARN."
            )
        if self.headers.get("X-Amz-Invocation-Type") != "Event":
            return _refusal(
                400,
                "InvalidParameterValueException",
                "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.",
            )
        try:
            msgspec.json.decode(event)
        except msgspec.DecodeError as error:
            return _refusal(400, "InvalidRequestContentException", f"Could not parse request body into json: {error}")
        arn = executions.start(event, self.headers.get("X-Amz-Durable-Execution-Name"))
        return LambdaAnswer(202, headers={"X-Amz-Durable-Execution-Arn": arn})

    def _pass_on(self, port: int, body: bytes) -> LambdaAnswer:
        connection = http.client.HTTPConnection(HOST, port, timeout=PASS_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
            return LambdaAnswer(response.status, response.read(), kept)
        finally:
            connection.close()

    def _send(self, answer: LambdaAnswer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()


def _run_handler(pool: Pool, event: bytes) -> LambdaAnswer:
    invoked = pool.invoke(event)
    headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
    if invoked.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return LambdaAnswer(200, invoked.payload, headers)


def _completed(answer: LambdaAnswer, function: DeployedFunction) -> LambdaAnswer:
    """Moto's answer about the function, completed with the settings that moto does not know."""
    if answer.status != 200:
        return answer
    told = msgspec.json.decode(answer.body, type=dict[str, Any])
    if "Configuration" in told:
        told["Configuration"] |= function.configuration
    else:
        told |= function.configuration
    return LambdaAnswer(answer.status, msgspec.json.encode(told), answer.headers)


def _split_name(text: str, query: list[str] | None) -> tuple[str, str | None]:
    """Name and qualifier of a function given as name, name:qualifier, account:function:name or ARN."""
    parts = text.rpartition("function:")[2].split(":")
    qualifier = query[0] if query else None
    return parts[0], parts[1] if len(parts) > 1 else qualifier


def _refusal(status: int, kind: str, message: str) -> LambdaAnswer:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": kind}
    return LambdaAnswer(status, msgspec.json.encode({"Type": "User", "Message": message}), headers)
