"""One HTTP exchange with Anaplan: an answer of bounded size, or an error that says whether the request had an effect.

After a failure one question matters: may the request have had an effect? `NotSent` means that it had none, `Refused`
and `TryLater` that Anaplan says it had none, `Unknown` that it may have had one. Nothing here retries, follows a
redirect or shows a header: an error's text never contains what a request carries.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Literal

import urllib3
from msgspec import Struct
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError, SSLError

from anaplan_autoload.anaplan.errors import (
    AddressInvalid,
    CloudWorksError,
    Facts,
    NotFound,
    NotSent,
    Refused,
    TryLater,
    Unknown,
)
from anaplan_autoload.anaplan.json_text import decoded, is_damaged

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse, PoolManager


CHUNK = 64 * 1024
"""Bytes read at a time."""
RETRY_AFTER_CAP = 3600.0
"""Seconds; one answer never delays a lane for longer."""
_LONGEST_QUOTE = 200
LOCAL_HOSTS = ("127.0.0.1", "localhost", "host.docker.internal")
"""Names of this machine. The last is its name inside a Docker container, and does not resolve elsewhere."""
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_URL = re.compile(rf"(https?)://({_LABEL}(?:\.{_LABEL})*)(:[0-9]{{1,5}})?((?:/[A-Za-z0-9._~-]+)*)/*")
_LONGEST_HOST = 253
_GAVE_UP = (HTTPStatus.REQUEST_TIMEOUT, 460, 499)
"""A gateway stopped waiting: 408, and the statuses of load balancers and nginx for a closed connection."""

AnswerKind = Literal["ok", "busy", "throttled", "refused", "unavailable", "lost", "unreachable"]
"""How a request to Anaplan ended, for the metric.

`busy`: a run is under way (409). `throttled`: too many requests (429). `refused`: another 4xx of Anaplan's own.
`unavailable`: 5xx, or the answer of a gateway or a proxy. `lost`: no complete answer. `unreachable`: no connection.
"""


class Limits(Struct, frozen=True):
    """How long a request may take, in seconds, and how large an answer may be, in bytes."""

    connect: float = 5.0
    read: float = 25.0
    """The longest silence of the server."""
    total: float = 20.0
    """For a request that is retried: the time for all tries together."""
    body: int = 8 * 1024 * 1024


LIMITS = Limits()


class RedactedRepr(Struct, frozen=True):
    """A value with secret fields: its repr shows only the fields named in `shown`."""

    shown: ClassVar[tuple[str, ...]] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What rich shows, for example in tracebacks with local variables."""
        return [(name, getattr(self, name)) for name in self.shown]


class Request(RedactedRepr, frozen=True):
    """One request to Anaplan."""

    shown = ("method", "url")

    method: str
    url: str
    authorization: str
    """Empty: the header is left out."""
    body: bytes | None = None
    """JSON."""
    accept: str = "application/json"
    hidden: tuple[str, ...] = ()
    """The secret texts from which the body or the authorization was made."""

    @property
    def asked(self) -> str:
        """How an error's text names this request."""
        return f"{self.method} {self.url}"

    @property
    def facts(self) -> Facts:
        """What is known of a failure without an answer."""
        return Facts(self.asked)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be shown, even if an answer repeats them."""
        return self.authorization, self.authorization.partition(" ")[2], *self.hidden

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers; never to be shown."""
        headers = {"Accept": self.accept, "User-Agent": "anaplan-autoload"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return headers


class Answer(RedactedRepr, frozen=True):
    """An answer of any status."""

    shown = ("status",)

    status: int
    headers: Mapping[str, str]
    """Names are not case-sensitive."""
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status means success."""
        return 200 <= self.status < 300

    @property
    def is_html(self) -> bool:
        """Whether the answer is a web page: it came from a proxy, or CloudWorks does not know the path."""
        return self.headers.get("Content-Type", "").lower().startswith("text/html")

    @property
    def is_page(self) -> bool:
        """Whether the answer is a web page, with or without a content type. Rows can begin with other tags."""
        start = self.body.lstrip()[:9].lower()
        return self.is_html or ("Content-Type" not in self.headers and start.startswith((b"<html", b"<!doctype")))

    @property
    def date_ms(self) -> int | None:
        """The `Date` header as epoch ms: the server's clock, in whole seconds. None when absent or malformed."""
        return _http_date(self.headers.get("Date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds from now of the `Retry-After` header, in either of its forms; None when absent or malformed."""
        text = self.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
            return min(float(text), RETRY_AFTER_CAP)
        then, now = _http_date(text), self.date_ms
        if then is None or now is None:
            return None
        return min(max((then - now) / 1000, 0.0), RETRY_AFTER_CAP)

    @property
    def message(self) -> str:
        """Anaplan's own error message, from either of its formats; empty if there is none, or it is damaged.

        CloudWorks: `{"status": {"code", "message"}}`; authentication: `{"status": "FAILURE_…", "statusMessage"}`.
        """
        if is_damaged(self.body):
            return ""  # a secret in it would not be recognized
        return self._own_words() or ""

    @property
    def is_anaplans(self) -> bool:
        """Whether the body is Anaplan's own error JSON, in either of its formats.

        Anything else (a web page, no body, other JSON) comes from a gateway, a proxy or a maintenance page.
        """
        return self._own_words() is not None

    def _own_words(self) -> str | None:
        try:
            envelope = decoded(self.body, _Envelope)
        except (ValueError, RecursionError):
            return None
        match envelope.status:
            case _Status(message=message):
                return message or ""
            case str(status) if status.startswith("FAILURE"):
                return ": ".join(text for text in (status, envelope.statusMessage or envelope.message) if text)
        return None


class _Status(Struct, frozen=True):
    code: int | str
    message: str | None = None


class _Envelope(Struct, frozen=True):
    status: _Status | str | None = None
    statusMessage: str | None = None  # noqa: N815  (Anaplan's name)
    message: str | None = None


class _Departures(threading.local):
    count = 0


_departures = _Departures()


def departures() -> int:
    """How often this thread has connected to Anaplan. If a failed request did not change it, nothing was sent."""
    return _departures.count


def note_departure() -> None:
    """A connection calls this when it is open, before the first byte of a request is sent."""
    _departures.count += 1


class _Answers(threading.local):
    counts: Counter[AnswerKind] | None = None


_answers = _Answers()


@contextmanager
def counting_answers() -> Iterator[Counter[AnswerKind]]:
    """Count how this thread's requests to Anaplan end, until the block ends."""
    counts: Counter[AnswerKind] = Counter()
    _answers.counts = counts
    try:
        yield counts
    finally:
        _answers.counts = None


def note_answer(kind: AnswerKind) -> None:
    """Count one request, inside a `counting_answers` block."""
    if _answers.counts is not None:
        _answers.counts[kind] += 1


def answer_kind(answer: Answer) -> AnswerKind:
    """What kind of answer it is."""
    if answer.ok:
        return "unavailable" if answer.is_page else "ok"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "throttled"
    if not issubclass(proven(answer.status, own=answer.is_anaplans), Refused):
        return "unavailable"
    return "busy" if answer.status == HTTPStatus.CONFLICT else "refused"


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        note_departure()


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        note_departure()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def http_pool() -> PoolManager:
    """Opens connections. It verifies certificates and never repeats a request by itself."""
    # All connections share one context, because each new one would read the certificate authorities again.
    pool = urllib3.PoolManager(retries=False, ssl_context=ssl.create_default_context())
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return pool


def checked_url(url: str) -> str:
    """A base URL without its closing slash; `AddressInvalid` if it is not safe to send credentials there.

    Plain http is accepted only for this machine itself, for the simulator.
    """
    if "@" in url:
        raise AddressInvalid("the URL holds a user name or password; give the host alone, as in https://host/path")
    match = _URL.fullmatch(url)
    if match is None or len(match[2]) > _LONGEST_HOST:
        raise AddressInvalid(f"{url!r} is not a usable URL; give https://host/path, without a query")
    scheme, host, port, path = match.groups(default="")
    if port and not 0 < int(port[1:]) <= 65535:
        raise AddressInvalid(f"{url!r} has no usable port; give one from 1 to 65535, or none")
    if scheme != "https" and host not in LOCAL_HOSTS:
        raise AddressInvalid(f"{url!r} is not encrypted; give https://{host}{port}{path}")
    return f"{scheme}://{host}{port}{path}"


def opened(http: PoolManager, request: Request, limits: Limits = LIMITS) -> BaseHTTPResponse:
    """Send the request and return the answer. The caller reads its body and then releases it.

    Raises `NotSent` or `Unknown`. Any other error (`AddressInvalid`, a bug) was raised before anything was sent.
    """
    try:
        return _sent(http, request, limits)
    except NotSent:
        note_answer("unreachable")
        raise
    except Unknown:
        note_answer("lost")
        raise


def _sent(http: PoolManager, request: Request, limits: Limits) -> BaseHTTPResponse:
    before = departures()
    # A connection that is kept open can die while the function is frozen. A request over it would look like one whose
    # answer was lost. So each request uses a new connection.
    http.clear()
    try:
        return http.request(
            request.method,
            request.url,
            body=request.body,
            headers=request.headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=limits.connect, read=limits.read),
        )
    except (NewConnectionError, ConnectTimeoutError) as error:
        text = "There is no connection to Anaplan. Nothing was sent; it is safe to try again."
        raise NotSent(text, facts=request.facts) from error
    except LocationValueError as error:
        raise AddressInvalid(f"{request.url!r} is not a usable URL; nothing was sent. Check its host.") from error
    except HTTPError as error:
        if departures() == before:
            found = "The server's certificate cannot be trusted" if _is_untrusted(error) else "No secure connection"
            text = f"{found}. Nothing was sent; check the URL and any TLS proxy."
            raise NotSent(text, facts=request.facts) from error
        raise Unknown(f"Anaplan's answer was lost ({type(error).__name__}).", facts=request.facts) from error
    except Exception as error:
        if departures() == before:
            raise
        raise Unknown(f"Anaplan's answer was lost ({type(error).__name__}).", facts=request.facts) from error


def exchange(http: PoolManager, request: Request, limits: Limits = LIMITS) -> Answer:
    """Send the request and return the whole answer, of any status. Raises `NotSent` or `Unknown`."""
    return read(opened(http, request, limits), request, limits.body)


def read(response: BaseHTTPResponse, request: Request, cap: int = LIMITS.body) -> Answer:
    """Read an answer to its end and release it. Raises `Unknown` if it breaks off or exceeds `cap` bytes."""
    body = bytearray()
    for chunk in received(response, request):
        body += chunk
        if len(body) > cap:
            response.close()
            note_answer("lost")
            raise Unknown(f"Anaplan's answer is longer than {cap} bytes; the rest was not read.", facts=request.facts)
    answer = Answer(response.status, response.headers, bytes(body))
    note_answer(answer_kind(answer))
    return answer


def received(response: BaseHTTPResponse, request: Request) -> Generator[bytes]:
    """The body of an answer in chunks; `Unknown` if it breaks off. Always frees the connection."""
    try:
        yield from response.stream(CHUNK)
    except Exception as error:  # not only urllib3's own: a chunk of negative length is a ValueError
        note_answer("lost")
        raise Unknown(f"Anaplan's answer was cut off ({type(error).__name__}).", facts=request.facts) from error
    finally:
        response.close()


def failure(request: Request, answer: Answer, remedy: str, meaning: str = "") -> CloudWorksError:
    """The error for an answer without success. Secrets of the request are removed from its text.

    Its text begins with the answer, in the words of `meaning` if given, because a mail's subject shows only that.
    """
    status = answer.status
    if 300 <= status < 400:
        # Do not trust the target of a redirect.
        text = f"Anaplan's address redirects ({status}), which is not followed. Check the URL's host and path."
        return Unknown(text, status, request.facts)
    words = quoted(answer.message, request.secrets)
    facts = Facts(request.asked, _answered(request, answer, meaning), words, remedy)
    text = in_words(facts, by_anaplan=bool(words) or not answer.is_html)
    kind = proven(status, own=answer.is_anaplans)
    return kind(text, answer.retry_after, facts) if issubclass(kind, TryLater) else kind(text, status, facts)


def unusable(request: Request, answer: Answer, found: str) -> Unknown:
    """The error for an answer that is a success but cannot be used; `found` continues the text `Anaplan answered
    200`.
    """
    facts = Facts(request.asked, f"{answer.status}{found}")
    return Unknown(in_words(facts), answer.status, facts)


def in_words(facts: Facts, *, by_anaplan: bool = True) -> str:
    """An error's text: the answer, Anaplan's or another's, and what to do."""
    answered = f"Anaplan answered {facts.answered}" if by_anaplan else facts.answered
    return f"{answered}. {facts.remedy}".rstrip()


def proven(status: int, *, own: bool) -> type[NotFound | Refused | TryLater | Unknown]:
    """What an answer without success proves; `own`: it is Anaplan's own JSON, not that of a gateway or a proxy.

    | status | Anaplan's own JSON | anything else |
    |---|---|---|
    | 404 | `NotFound`: do not retry | `TryLater`: the request did not reach CloudWorks |
    | 429, 503 | `TryLater` | `TryLater` |
    | 408 (and from a gateway 460, 499) | `Unknown` | `Unknown`: it was passed on, and the answer came too late |
    | other 4xx | `Refused`: do not retry | `TryLater` |
    | 3xx, other 5xx | `Unknown` | `Unknown`: the first host may have done something before it failed |
    """
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return TryLater
    if not 400 <= status < 500 or status == HTTPStatus.REQUEST_TIMEOUT or (status in _GAVE_UP and not own):
        return Unknown
    if not own:
        return TryLater
    return NotFound if status == HTTPStatus.NOT_FOUND else Refused


def said(request: Request, answer: Answer) -> str:
    """Anaplan's own message in quotation marks, without the request's secrets; empty if there is none."""
    words = quoted(answer.message, request.secrets).removesuffix(".")
    return f'"{words}"' if words else ""


def _answered(request: Request, answer: Answer, meaning: str) -> str:
    words = said(request, answer)
    if not words and answer.is_html:
        return f"A web page came back instead of Anaplan's answer ({_status(answer.status)})"
    if meaning:
        return f"{answer.status}: {meaning}" + (f" ({words})" if words else "")
    return _status(answer.status) + (f" {words}" if words else "")


def quoted(text: str, secrets: Iterable[str] = ()) -> str:
    """Anaplan's text, safe to log: one line without control characters or secrets, at most 200 characters."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)  # 452 is CloudWorks' own


def _http_date(text: str) -> int | None:
    try:
        # "-0000" and a missing zone give a naive time; the RFC says to read it as UTC.
        then = parsedate_to_datetime(text)
        return int(then.replace(tzinfo=then.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _is_untrusted(error: HTTPError) -> bool:
    return isinstance(error, SSLError) and any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)
