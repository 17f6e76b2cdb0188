"""The CloudWorks client: start a run, follow it, and read its result.

The errors say whether the request had an effect (see `http.proven`). `Refused`, `NotFound`, `Busy` and `TryLater` mean
that nothing began. `Unknown` means that it may have begun. Reads are retried a few times. Writes are sent once, because
CloudWorks has no idempotency key.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import closing
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from anaplan_autoload.anaplan import wire
from anaplan_autoload.anaplan.errors import (
    Busy,
    CloudWorksError,
    NotFound,
    NotSent,
    Refused,
    Unknown,
)
from anaplan_autoload.anaplan.http import (
    LIMITS,
    Answer,
    Limits,
    Request,
    answer_kind,
    checked_url,
    failure,
    note_answer,
    opened,
    quoted,
    read,
    received,
    unusable,
)
from anaplan_autoload.anaplan.json_text import decoded
from anaplan_autoload.domain.runs import Flow, History, Run, RunError
from anaplan_autoload.domain.tenant import Integration

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from urllib3 import BaseHTTPResponse, PoolManager

NOTHING_VISIBLE = (
    "CloudWorks lists nothing. Either nothing exists yet, or the user cannot see it: assign the user to the "
    "workspace, and note that Restricted Integration User and Integration Admin do not see each other's objects."
)
"""What to tell someone whose listing is empty: a lack of rights looks the same as a lack of objects."""

_LONGEST_ENVELOPE = 16 * 1024
"""Bytes of a dump to read before deciding whether it is an error: Anaplan's error JSON is far shorter."""

PAUSES = (0.5, 1.5)
"""Seconds before the second and the third try of a read, give or take half."""

_ROLE = (
    "Give the user the role Restricted Integration User and assign it to the integration's workspace; it does not see "
    "what an Integration Admin made."
)
_REMEDIES = {
    HTTPStatus.BAD_REQUEST: "Correct the request. A flow, for example, needs at least two enabled steps.",
    HTTPStatus.UNAUTHORIZED: _ROLE,
    HTTPStatus.FORBIDDEN: _ROLE,
    HTTPStatus.NOT_FOUND: "Check the id, and that the user is assigned to the workspace.",
    HTTPStatus.CONFLICT: "It is in use or in another state; look at it in CloudWorks.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests from this tenant; try again later.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Try again later. If it happens again, check that workspace and model still exist.",
    452: _ROLE,
    HTTPStatus.INTERNAL_SERVER_ERROR: "If it happens again, look at the integration, or ask Anaplan's support.",
}
_MEANINGS = {
    HTTPStatus.UNAUTHORIZED: "the user may not do this",
    HTTPStatus.FORBIDDEN: "the user may not do this",
    HTTPStatus.NOT_FOUND: "{thing} does not exist, or the user cannot see it",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests",
    452: "the user may not do this",
}
"""What each status means. Anaplan's own message often says less."""
_THINGS = {
    "/integrationflows/": "the flow",
    "/integrations/run/": "the run",
    "/integrations/runerror/": "the run",
    "/integrations/connections/": "the connection",
    "/integrations/": "the integration",
}
_NOT_CLOUDWORKS = (
    "The answer came from a gateway, a proxy or a maintenance page, not from CloudWorks. If it happens again, check "
    "CLOUDWORKS_URL and the version in it (/2/0)."
)
_KNOWN = {
    "already running": "Wait until that run has ended.",
    "Duplicate resource name": "The name is taken. Choose another, or rename what has it.",
    "Credentials are invalid": "Check that the AWS keys are active and belong to the right user.",
    "Bucket name is invalid": "Check the bucket's name, and that it exists.",
    "Bucket access denied": "Give the keys' user this policy: anaplan-autoload connections policy --bucket BUCKET",
    "Role arn is invalid": "Check the role's ARN, and that its trust policy admits Anaplan.",
    "Invalid value for workspace_id": "Name the integrations' workspace with --workspace; it must be one of yours.",
    "Invalid value for model_id": "Check --model: 32 digits and capital letters, as in the model's address.",
    "Invalid value for connection_id": "Check the connection: `anaplan-autoload connections list`.",
    "The resource is being referenced": "Something still uses it: see `integrations list` and `flows list`.",
    "Tenant integration count": "A tenant holds at most 500 integrations and flows; delete what is not used.",
    "Invalid workspace": "Check that the integration's workspace and model still exist.",
    "Invalid model": "Check that the integration's workspace and model still exist.",
    "Model Not Found": "Check that the integration's workspace and model still exist.",
}
"""Remedies for CloudWorks' messages that say more than the status. They go first; those for a status follow."""
_HIDDEN_FIELD = r"(?i)secret|password|token|key|credential|authorization"

SCHEMES = ("AnaplanAuthToken", "Bearer")
"""How a token may be presented in `Authorization`."""

_T = TypeVar("_T")


class TokenSource(Protocol):
    """Where tokens come from: `tokens.Tokens`."""

    @property
    def is_oauth(self) -> bool:
        """Whether the last token came from Anaplan's OAuth service."""

    def token(self, fresh: bool = False) -> str:
        """A token; with `fresh`, a new one, because CloudWorks has refused the last."""


class Dump:
    """The CSV of an action's rejected rows, to be iterated over once, in chunks of bytes."""

    def __init__(self, first: bytes, rest: Generator[bytes], cap: int) -> None:
        self._first = first
        self._rest = rest
        self._left = cap
        self.truncated = False
        """Whether the dump was cut because it was longer than the cap; known after the last chunk."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the rows; `Unknown` if the dump is cut off."""
        with closing(self._rest):
            for chunk in chain((self._first,), self._rest):
                self.truncated = len(chunk) > self._left
                yield chunk[: self._left]
                self._left -= len(chunk)
                if self.truncated:
                    return


class CloudWorks:
    """A client of CloudWorks 2/0, for one user. Not thread-safe.

    Every method may also raise the errors of getting a token: `LoginRefused`, or `TryLater` if the authentication
    service cannot be reached.
    """

    def __init__(
        self,
        http: PoolManager,
        url: str,
        tokens: TokenSource,
        limits: Limits = LIMITS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Talk to the CloudWorks at `url` (`https://api.cloudworks.anaplan.com/2/0`), and to no other host.

        Raises `AddressInvalid` if it is not safe to send tokens to `url`.
        """
        self._http = http
        self._url = checked_url(url)
        self._tokens = tokens
        self._limits = limits
        self._sleep = sleep
        self._scheme = SCHEMES[0]

    def run_integration(self, integration_id: str) -> str:
        """Start the integration, once, and return the run's id. Raises `Busy` while it is running."""
        return self._start(f"/integrations/{_id(integration_id)}/run")

    def run_flow(self, flow_id: str) -> str:
        """Start all enabled steps of the flow, once, and return the run's id. Raises `Busy` while it is running."""
        return self._start(f"/integrationflows/{_id(flow_id)}/run")

    def cancel(self, integration_id: str) -> None:
        """Cancel the integration's run; `Refused` (409) when none is running, `NotFound` while one is queued."""
        self._tell("POST", f"/integrations/{_id(integration_id)}/cancel", _json)

    def run(self, run_id: str) -> Run:
        """The run as it is now."""
        return self._ask(f"/integrations/run/{_id(run_id)}", lambda answer: wire.decode_run(answer.body, run_id))

    def history(self, integration_id: str, offset: int = 0, limit: int = 25) -> History:
        """A page of the integration's runs, newest first."""
        # Anaplan's documentation requires both parameters.
        path = _with_query(f"/integrations/runs/{_id(integration_id)}", {"offset": offset, "limit": limit})
        return self._ask(path, lambda answer: wire.decode_history(answer.body, answer.date_ms))

    def histories(self, integration_id: str, limit: int = 25) -> Iterator[History]:
        """The pages of the integration's runs, newest first. If runs begin while they are read, some may show twice."""
        yield from _pages(lambda offset: self.history(integration_id, offset, limit), lambda page: page.runs)

    def integration(self, integration_id: str, limits: Limits | None = None) -> Integration:
        """The integration with its jobs; `limits` is for callers that have less time."""
        path = f"/integrations/{_id(integration_id)}"
        return self._ask(path, lambda answer: wire.decode_integration_detail(_json(answer)), limits)

    def flow(self, flow_id: str, limits: Limits | None = None) -> Flow:
        """The flow with the latest run of it and of each of its steps.

        It is not documented whether a flow's run id can be read like an integration's; see `Flow.run_since`.
        """
        path = f"/integrationflows/{_id(flow_id)}"
        return self._ask(path, lambda answer: wire.decode_flow(answer.body, answer.date_ms), limits)

    def errors(self, run_id: str) -> tuple[RunError, ...]:
        """What the run's actions reported; empty for a clean run."""
        return self._ask(f"/integrations/runerror/{_id(run_id)}", lambda answer: wire.decode_errors(answer.body))

    def dump(self, run_id: str, action_id: str | None = None, *, cap: int) -> Dump | None:
        """The rows that the run rejected, at most `cap` bytes of them; None when there are none.

        For a process, `action_id` names the import within it. Anaplan keeps dumps for about 48 hours.
        """
        process = f"/process/import/{_id(action_id)}" if action_id else ""
        path = f"/integrations/run/{_id(run_id)}{process}/dumps"
        return self._patiently(lambda limits: self._open_dump(path, cap, limits))

    def request(
        self, method: str, path: str, body: object = None, params: Mapping[str, str | int] | None = None
    ) -> object:
        """Any other request; `path` begins with a slash. Returns the decoded JSON, None for an empty answer.

        GETs are retried where that may help. Other requests are sent once.
        """
        path = _with_query(path, params or {})
        if method == "GET":
            return self._ask(path, _json)
        return self._tell(method, path, _json, body)

    def pages(self, path: str, key: str, limit: int = 100) -> Iterator[object]:
        """Each item that the listing at `path` holds under `key`, page by page."""

        def page(offset: int) -> wire.Page:
            asked = _with_query(path, {"offset": offset, "limit": limit})
            return self._ask(asked, lambda answer: wire.decode_page(answer.body, key))

        for found in _pages(page, lambda found: found.items):
            yield from found.items

    def _start(self, path: str) -> str:
        try:
            return self._tell("POST", path, lambda answer: wire.decode_run_id(answer.body))
        except Refused as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            raise Busy(error.text, error.facts) from error

    def _ask(self, path: str, decode: Callable[[Answer], _T], limits: Limits | None = None) -> _T:
        """GET, in several tries, and decode the successful answer."""

        def attempt(limits: Limits) -> _T:
            request, response = self._sent("GET", path, limits)
            return _decoded(request, read(response, request, limits.body), decode)

        return self._patiently(attempt, limits)

    def _tell(self, method: str, path: str, decode: Callable[[Answer], _T], body: object = None) -> _T:
        """Send a request that may change something, once, and decode the successful answer."""
        request, response = self._sent(method, path, self._limits, body)
        return _decoded(request, read(response, request, self._limits.body), decode)

    def _open_dump(self, path: str, cap: int, limits: Limits) -> Dump | None:
        request, response = self._sent("GET", path, limits, accept="*/*")
        if not 200 <= response.status < 300:
            answer = read(response, request, limits.body)
            if answer.status == HTTPStatus.NOT_FOUND and answer.message:
                return None  # CloudWorks' own 404; a route that does not exist answers with a web page
            raise _failure(request, answer)
        chunks = received(response, request)
        first = next(chunks, b"")
        while len(first) < _LONGEST_ENVELOPE and (more := next(chunks, b"")):
            first += more
        start = Answer(response.status, response.headers, first)
        note_answer(answer_kind(start))
        if start.is_page or _is_json_answer(start):
            chunks.close()
            found = quoted(start.message, request.secrets) or ("a web page" if start.is_page else "something")
            raise unusable(request, start, f" with {found} instead of rows")
        return Dump(first, chunks, cap) if first else None

    def _sent(
        self, method: str, path: str, limits: Limits, body: object = None, accept: str = "application/json"
    ) -> tuple[Request, BaseHTTPResponse]:
        """Send with a token. If CloudWorks refuses it, nothing began, so send once more with a fresh one.

        CloudWorks answers 403, and not only 401, to a token that has expired.
        """
        request, response = self._sent_once(method, path, limits, body, accept, fresh=False)
        if response.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return request, response
        answer = read(response, request, limits.body)
        if not _is_about_the_token(answer):
            raise _failure(request, answer)
        request, response = self._sent_once(method, path, limits, body, accept, fresh=True)
        if response.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or not self._tokens.is_oauth:
            return request, response
        response.close()
        return self._sent_otherwise(method, path, limits, body, accept)

    def _sent_otherwise(
        self, method: str, path: str, limits: Limits, body: object, accept: str
    ) -> tuple[Request, BaseHTTPResponse]:
        """Send an OAuth token by the other scheme, and stay with that if CloudWorks takes it.

        CloudWorks takes the authentication service's tokens by both. Which one it needs for OAuth's is not documented;
        published clients use the first.
        """
        usual = self._scheme
        self._scheme = next(scheme for scheme in SCHEMES if scheme != usual)
        request, response = self._sent_once(method, path, limits, body, accept, fresh=False)
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            self._scheme = usual
        return request, response

    def _sent_once(
        self, method: str, path: str, limits: Limits, body: object, accept: str, fresh: bool
    ) -> tuple[Request, BaseHTTPResponse]:
        token = self._tokens.token(fresh)
        encoded = None if body is None else msgspec.json.encode(body)
        request = Request(method, self._url + path, f"{self._scheme} {token}", encoded, accept, tuple(_secrets(body)))
        return request, opened(self._http, request, limits)

    def _patiently(self, attempt: Callable[[Limits], _T], limits: Limits | None = None) -> _T:
        """Repeat a read whose answer was lost, within `Limits.total` seconds."""
        limits = limits or self._limits
        deadline = time.monotonic() + limits.total
        for pause in PAUSES:
            try:
                return attempt(_until(limits, deadline))
            except (Unknown, NotSent):
                jittered = pause * random.uniform(0.5, 1.5)  # noqa: S311  (spreads load, not for security)
                if time.monotonic() + jittered >= deadline:
                    raise
                self._sleep(jittered)
        return attempt(_until(limits, deadline))


def _until(limits: Limits, deadline: float) -> Limits:
    left = max(deadline - time.monotonic(), 0.1)
    return msgspec.structs.replace(limits, read=min(limits.read, left))


def _failure(request: Request, answer: Answer) -> CloudWorksError:
    known = (remedy for words, remedy in _KNOWN.items() if words.lower() in answer.message.lower())
    remedy = next(known, _REMEDIES.get(answer.status, ""))
    meaning = _MEANINGS.get(answer.status, "").format(thing=_thing(request.url)) if answer.is_anaplans else ""
    if 400 <= answer.status < 500 and not answer.is_anaplans:
        remedy = _NOT_CLOUDWORKS
    return failure(request, answer, remedy, meaning)


def _thing(url: str) -> str:
    """What a request was about, in words."""
    return next((thing for part, thing in _THINGS.items() if part in url), "it")


def _is_json_answer(answer: Answer) -> bool:
    """Whether an answer that should hold rows holds JSON instead. Rows can begin with a brace too."""
    try:
        found: object = msgspec.json.decode(answer.body)
    except (ValueError, RecursionError):
        return False
    return (isinstance(found, dict) and "status" in found) or "json" in answer.headers.get("Content-Type", "").lower()


def _is_about_the_token(answer: Answer) -> bool:
    """Whether a 401 or 403 may mean that the token has expired. A gateway's 403 says nothing about the token."""
    return answer.is_anaplans or (answer.status == HTTPStatus.UNAUTHORIZED and not answer.is_html)


def _decoded(request: Request, answer: Answer, decode: Callable[[Answer], _T]) -> _T:
    if not answer.ok:
        raise _failure(request, answer)
    try:
        return decode(answer)
    except (ValueError, RecursionError) as error:
        found = "a web page" if answer.is_html else quoted(str(error), request.secrets)
    # Raise outside the `except` block, so that the decoded data does not become the error's context.
    raise unusable(request, answer, f", but not in CloudWorks' form ({found})")


def _json(answer: Answer) -> object:
    return decoded(answer.body) if answer.body else None


class _Paged(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def total(self) -> int | None: ...


_P = TypeVar("_P", bound=_Paged)


def _pages(ask: Callable[[int], _P], items: Callable[[_P], object]) -> Iterator[_P]:
    """Pages by offset, up to the total; without a total, up to an empty page. A repeated page ends the listing too.

    A page may hold fewer items than requested, so its length does not say whether it is the last one.
    """
    offset = 0
    seen = set()
    while True:
        page = ask(offset)
        content = msgspec.json.encode(items(page))
        if not items(page) or content in seen:
            return
        yield page
        seen.add(content)
        offset += page.size
        if page.total is not None and offset >= page.total:
            return


def _id(text: str) -> str:
    """An id, escaped for use in a path."""
    if text.strip(".") == "":
        raise NotFound(f"{text!r} is not a CloudWorks id; nothing was sent.", HTTPStatus.NOT_FOUND)
    return quote(text, safe="")


def _with_query(path: str, params: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(params)}" if params else path


def _secrets(body: object) -> Iterator[str]:
    """The texts in a request's body that errors must not show, even if the answer repeats them."""
    if isinstance(body, dict):
        for name, value in body.items():
            if isinstance(value, str) and re.search(_HIDDEN_FIELD, str(name)):
                yield value
            else:
                yield from _secrets(value)
    elif isinstance(body, list | tuple):
        for item in body:
            yield from _secrets(item)
