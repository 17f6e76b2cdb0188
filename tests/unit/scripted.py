"""An HTTP server that answers by script, over real sockets: statuses, web pages, lost, short and late answers."""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from local.http_server import HOST, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from anaplan_autoload.anaplan.renewal import Renewer

DATE = "Tue, 24 Nov 2026 21:05:00 GMT"
DATE_MS = 1_795_554_300_000


class Reply(Struct, frozen=True):
    """One answer of the script."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    lost: bool = False
    """The connection is closed without an answer."""
    missing: int = 0
    """This many bytes of `Content-Length` are not sent."""
    stalls: bool = False
    """Nothing is sent until the script ends."""


class Seen(Struct, frozen=True):
    """A request that the server received."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    port: int
    """The client's port: the same one for requests over one connection."""

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


class Script:
    """What the server will answer, in order, and what it has received."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: deque[Reply] = deque()
        self.afterwards = Reply(418, b"beyond the script")
        """The answer to each request after those."""
        self.requests: list[Seen] = []
        self.over = threading.Event()

    def answer(self, status: int, content: object, **headers: str) -> Script:
        """Answer with JSON; a header's name has underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.reply(
            Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"} | named)
        )

    def page(self, status: int, html: str = "<html><title>Sorry</title></html>") -> Script:
        """Answer with a web page."""
        return self.reply(Reply(status, html.encode(), {"Content-Type": "text/html"}))

    def reply(self, *replies: Reply) -> Script:
        self.replies.extend(replies)
        return self

    def asked(self) -> list[str]:
        """The requests received, as `GET /path`."""
        return [f"{seen.method} {seen.path}" for seen in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.requests.append(Seen(self.command, self.path, headers, body, self.client_address[1]))
        reply = self.script.replies.popleft() if self.script.replies else self.script.afterwards
        if reply.stalls:
            self.script.over.wait(10)
        if reply.lost or reply.stalls:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in ({"Date": DATE} | reply.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) + reply.missing))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else reply.body)
        if reply.missing:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815  (the base class's names)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def scripted(certificate: Path | None = None) -> Iterator[Script]:
    """Serve a script on a free port of this machine; with a certificate (PEM, its key included), over TLS."""
    script = Script()
    handler = type("Handler", (_Handler,), {"script": script})
    server = LocalServer((HOST, 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    script.url = f"{'https' if certificate else 'http'}://{HOST}:{server.server_port}"
    with server.serving():
        try:
            yield script
        finally:
            script.over.set()


def certificate_of(key: rsa.RSAPrivateKey, expiry: datetime) -> str:
    """A self-signed certificate as PEM, valid for the year before its expiry."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "autoload")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(expiry - timedelta(days=365)).not_valid_after(expiry)
    return dated.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def self_signed(folder: Path) -> Path:
    """A file with a self-signed certificate, valid today, and its key."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path = folder / "server.pem"
    path.write_text(pem + certificate_of(key, datetime.now(UTC) + timedelta(days=30)))
    return path


def no_renewer() -> Renewer:
    """For a log-in without OAuth."""
    raise AssertionError("the secret holds no refresh token")
