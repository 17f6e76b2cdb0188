"""The load history page on this machine: what the dashboard's widget shows, as pages with addresses.

It listens on 127.0.0.1 alone and knows no password, and it can retry, load, pause and resume. So a page of somebody
else's, open in the same browser, must not reach it: a request has to name this machine as its host (else another
name that leads here could read the pages), and one that does something has to come from a page of this server, which
carries a token that no other page can read.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from anaplan_autoload.page.acting import perform
from anaplan_autoload.page.asking import Act, View, act_of, fields_of, view_of
from anaplan_autoload.page.document import TROUBLE, document, notice, trouble, view_page
from anaplan_autoload.page.filters import fields
from anaplan_autoload.page.html import Html, element, joined
from anaplan_autoload.page.style import policy, sheet
from local.http_server import HOST, LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.page.reading import Listing
    from anaplan_autoload.page.services import PageServices

TITLE = "Autoload: load history"
LONGEST_FORM = 10_000
"""Bytes."""
NOTICES_KEPT = 100
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"{policy()}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class WebHost:
    """Pages with addresses: links, forms, and a question before anything is done."""

    def __init__(self, token: str, view: View) -> None:
        """`view` is what is shown again after an act."""
        self._token = token
        self._view = view

    def link(self, words: str, view: View) -> Html:
        """A link to the view's address."""
        return element("a", words, href=address(view))

    def filters(self, listing: Listing) -> Html:
        """A form whose fields become the address."""
        buttons = joined(element("button", "Filter", type="submit"), element("a", "Clear", href="/"))
        return element("form", fields(listing, self._view), buttons, action="/", method="get", class_="filters")

    def action(self, words: str, act: Act, question: str) -> Html:
        """What opens the question, with a button that says yes."""
        hidden = {"token": self._token, "back": address(self._view), **fields_of(act)}
        form = element(
            "form",
            *(element("input", type="hidden", name=name, value=value) for name, value in hidden.items()),
            element("p", question),
            element("button", f"Yes: {words.lower()}", type="submit"),
            action="/act",
            method="post",
        )
        return element("details", element("summary", words), form)


def address(view: View) -> str:
    """The view's address on the server."""
    return f"/?{urlencode(fields_of(view))}" if fields_of(view) else "/"


@contextmanager
def serve_page(services: PageServices) -> Iterator[str]:
    """Serve the page on a free port of 127.0.0.1 until the end of the `with` block; yields its address."""
    with _Server(services).serving() as server:
        yield f"http://{HOST}:{server.server_port}"


class _Server(LocalServer):
    def __init__(self, services: PageServices) -> None:
        super().__init__((HOST, 0), _Handler)
        self.services = services
        self.token = secrets.token_urlsafe()
        self.notices: dict[str, Html] = {}
        """What was done, to be shown on the page that follows, by a name that nobody can guess."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names by which a browser on this machine may ask."""
        return f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"

    def remember(self, said: Html) -> str:
        """Keep what is to be shown on the next page; returns its name."""
        name = secrets.token_urlsafe(8)
        self.notices[name] = said
        for old in list(self.notices)[:-NOTICES_KEPT]:
            del self.notices[old]
        return name


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 60

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not self._is_ours():
            self._refuse(HTTPStatus.FORBIDDEN, "This page is for this machine, under its own address, alone.")
        elif url.path != "/":
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
        else:
            self._show(dict(parse_qsl(url.query)))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        form = dict(parse_qsl(self.rfile.read(min(length, LONGEST_FORM)).decode("utf-8", "replace")))
        token = form.get("token", "").encode()
        if not self._is_ours() or not self._is_from_here():
            self._refuse(HTTPStatus.FORBIDDEN, "This request came from another page.")
        elif not secrets.compare_digest(token, self.server.token.encode()):
            self._refuse(
                HTTPStatus.FORBIDDEN, "This button is of an older page. Go back, reload the page, and try again."
            )
        elif self.path != "/act":
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
        else:
            self._act(form)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is done shows in the function's log."""

    def _show(self, asked: dict[str, str]) -> None:
        view, said = View(), self.server.notices.get(asked.get("said", ""))
        try:
            view = view_of(asked)
            shown = view_page(self.server.services, WebHost(self.server.token, view), view)
            self._answer(HTTPStatus.OK, joined(said, shown))
        except TROUBLE as error:
            self._answer(
                HTTPStatus.BAD_REQUEST, joined(said, trouble(error), element("p", element("a", "All loads", href="/")))
            )

    def _act(self, form: dict[str, str]) -> None:
        try:
            said = notice(perform(self.server.services, act_of(form)))
        except TROUBLE as error:
            said = trouble(error)
        back = dict(parse_qsl(urlsplit(form.get("back", "/")).query)) | {"said": self.server.remember(said)}
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/?{urlencode(back)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _is_ours(self) -> bool:
        """Whether the browser asked for this machine by name: another name may have been made to lead here."""
        return self.headers.get("Host") in self.server.hosts

    def _is_from_here(self) -> bool:
        """Whether the request comes from a page of this server, as browsers say in every request but a plain GET."""
        return self.headers.get("Origin") in {f"http://{host}" for host in self.server.hosts}

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, element("p", why, class_="trouble", role="alert"))

    def _answer(self, status: HTTPStatus, body: Html) -> None:
        written = document(TITLE, sheet(), body).encode()
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)
