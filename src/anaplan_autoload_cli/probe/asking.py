"""Sends a probe's requests. Unlike the client, it returns every answer unchanged, and takes any scheme."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import msgspec

from anaplan_autoload.anaplan.cloudworks import SCHEMES
from anaplan_autoload.anaplan.errors import CloudWorksError
from anaplan_autoload.anaplan.http import Answer, Request, checked_url, exchange, http_pool, opened, received

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload_cli.context import Cli

PAUSE = 2.0
"""Seconds before a read is repeated. It is repeated once, if its answer was lost or said that it came too often."""
LONGEST_PAUSE = 60.0


class Asker:
    """Asks CloudWorks and the authentication service with the user's log-in."""

    def __init__(self, cli: Cli, sleep: Callable[[float], None] = time.sleep) -> None:
        """Raises `AddressInvalid` if it is not safe to send a token to the configured hosts."""
        self.cloudworks_url = checked_url(cli.settings.require("cloudworks_url"))
        self.auth_url = checked_url(cli.settings.require("auth_url"))
        self.sleep = sleep
        self.scheme = SCHEMES[0]
        """The scheme in the `Authorization` header."""
        self._tokens = cli.tokens
        self._http = http_pool()

    @property
    def is_oauth(self) -> bool:
        """Whether the log-in uses OAuth; known after the first request."""
        return self._tokens.is_oauth

    def choose_scheme(self) -> None:
        """Send an OAuth token under the scheme that CloudWorks accepts, which is not documented."""
        refused = self.get("/integrations").status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        if refused and self.is_oauth:
            self.scheme = SCHEMES[1]

    def get(self, path: str, **query: int) -> Answer:
        """GET at CloudWorks, repeated once if that may help. Raises `NotSent` or `Unknown`."""
        return self._patiently(self._request("GET", f"{self.cloudworks_url}{path}?{urlencode(query)}".rstrip("?")))

    def get_as(self, scheme: str, path: str, token: str | None = None) -> Answer:
        """GET with this scheme, and with the token or a different one."""
        authorization = f"{scheme} {token or self._tokens.token()}"
        return self._patiently(Request("GET", f"{self.cloudworks_url}{path}", authorization))

    def beginning(self, path: str) -> Answer:
        """GET, but read only the first part of the answer, which may be long."""
        request = self._request("GET", f"{self.cloudworks_url}{path}")
        response = opened(self._http, request)
        chunks = received(response, request)
        first = next(chunks, b"")
        chunks.close()
        return Answer(response.status, response.headers, first)

    def post(self, path: str) -> Answer:
        """POST without a body, sent once. Raises `NotSent` or `Unknown`."""
        return exchange(self._http, self._request("POST", f"{self.cloudworks_url}{path}"))

    def authentication(self, method: str, path: str) -> Answer:
        """A request to the authentication service."""
        return self._patiently(self._request(method, f"{self.auth_url}{path}"))

    def _request(self, method: str, url: str) -> Request:
        return Request(method, url, f"{self.scheme} {self._tokens.token()}")

    def _patiently(self, request: Request) -> Answer:
        try:
            answer = exchange(self._http, request)
        except CloudWorksError:
            self.sleep(PAUSE)
            return exchange(self._http, request)
        if answer.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            return answer
        self.sleep(min(answer.retry_after or PAUSE, LONGEST_PAUSE))
        return exchange(self._http, request)


def part(text: str) -> str:
    """An id, escaped for a path."""
    return quote(text, safe="")


def json_of(answer: Answer) -> object:
    """The answer's JSON; None if it is not JSON."""
    try:
        found: object = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        return None
    return found


def kind_of_body(answer: Answer) -> str:
    """The kind of an answer's body, in words."""
    if answer.is_anaplans:
        return "CloudWorks' JSON"
    if answer.is_page:
        return "a web page"
    if not answer.body:
        return "nothing"
    return "other JSON" if json_of(answer) is not None else "neither JSON nor a web page"


def described(answer: Answer) -> str:
    """Status and form of an answer: `404 with CloudWorks' JSON`."""
    return f"{answer.status} with {kind_of_body(answer)}"
