"""The simulator on a socket of 127.0.0.1."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from local.cloudworks.admin import Admin
from local.cloudworks.dates import http_date
from local.cloudworks.http_messages import Answer, Request
from local.cloudworks.simulator import Reply, Simulator
from local.http_server import HOST, LocalServer


class Serving(Struct, frozen=True):
    """Where the simulator can be reached."""

    port: int

    @property
    def auth_url(self) -> str:
        """What stands for `https://auth.anaplan.com`."""
        return f"http://{HOST}:{self.port}"

    @property
    def cloudworks_url(self) -> str:
        """What stands for `https://api.cloudworks.anaplan.com/2/0`."""
        return f"http://{HOST}:{self.port}/2/0"

    @property
    def admin_url(self) -> str:
        """The simulator's own operations."""
        return f"http://{HOST}:{self.port}/simulator"


@contextmanager
def serve(simulator: Simulator, port: int = 0, listen: str = HOST) -> Iterator[Serving]:
    """Serve until the end of the `with` block, which closes all connections; port 0 takes any free one.

    `listen` is the address of the interface that it is reached by.

    A simulator may be served again, on the same port if need be: an outage that its memory survives.
    """
    server = _Server(simulator, port, listen)
    try:
        with server.serving():
            simulator.open()
            yield Serving(server.server_port)
    finally:
        server.close_connections()
        simulator.close()


class _Server(LocalServer):
    """Knows its open connections, so that none outlives it."""

    def __init__(self, simulator: Simulator, port: int, listen: str) -> None:
        super().__init__((listen, port), _Handler)
        self.simulator = simulator
        self._admin = Admin(simulator)
        self._lock = Lock()
        self._open: set[socket.socket] = set()

    def handle(self, request: Request) -> Reply:
        """Answer a request to the simulator's own operations, or to Anaplan."""
        if request.path.startswith("/simulator/"):
            return Reply(self._admin.handle(request))
        return self.simulator.handle(request)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def close_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Turns sockets into requests, and replies into bytes."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "CloudWorks-Simulator"
    sys_version = ""
    wbufsize = -1  # head and body leave in one packet: no waiting for acknowledgements between them
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.request)

    def finish(self) -> None:
        self.server.closed(self.request)
        with suppress(OSError):
            super().finish()

    def do_any(self) -> None:
        reply = self.server.handle(self._read())
        if reply.delay_seconds:
            time.sleep(reply.delay_seconds)
        if reply.answer is None:
            self._hang_up()
        else:
            self._write(reply.answer)

    do_GET = do_any  # noqa: N815 (the base class finds methods by these names)
    do_POST = do_any  # noqa: N815
    do_PUT = do_any  # noqa: N815
    do_PATCH = do_any  # noqa: N815
    do_DELETE = do_any  # noqa: N815

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` header: Anaplan's clock."""
        return http_date(self.server.simulator.anaplan_now() if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the simulator keeps a log of its own."""

    def _read(self) -> Request:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        return Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.body or answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may have given up on a slow answer
            self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
