"""From the secret in Secrets Manager to a token that CloudWorks accepts.

Anaplan locks a user out after repeated failed log-ins. So a version of the secret that Anaplan has refused once is
never sent again by any execution: each one checks the ledger before it logs in, and records a refusal there.
"""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from base64 import b64encode
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from string import whitespace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from anaplan_autoload.anaplan import pem
from anaplan_autoload.anaplan.errors import NO_FACTS, CloudWorksError, Refused, TryLater, Unknown
from anaplan_autoload.anaplan.http import (
    LIMITS,
    Answer,
    Limits,
    RedactedRepr,
    Request,
    checked_url,
    exchange,
    failure,
    said,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3 import PoolManager

_T = TypeVar("_T")

SECRET_SECONDS = 300
"""How long the secret is assumed to be unchanged: a new version is used at most this much later."""

DAY_MS = 86_400_000

MARGIN_SECONDS = 120
"""A token is renewed this long before it expires, so that it cannot expire during a request."""

DOCUMENTED_LIFE_SECONDS = 1800
"""The assumed life of a token whose expiry is not given (35 minutes were measured)."""

NO_VERSION = "none"
"""The version of a secret that cannot be read: it was created empty, or the function may not read it."""

SHAPES = (
    '{"username": "…", "password": "…"} or {"certificate": "<PEM>", "private_key": "<PEM>"}, '
    'and "private_key_password" too if the key is encrypted'
)
"""The two forms of the secret, for error texts."""

_REMEDY = (
    "Check user and password, or that the certificate is registered with Anaplan. With single sign-on, a password "
    "works for exception users only. Repeated failed log-ins lock a user out, so this one is not repeated."
)
RESUMES = "Correct this and store the secret again. Loading resumes within minutes of the new version."
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}")
_LONGEST_TIME = 16
"""Digits of a time in ms."""
_READABLE_TOKEN = re.compile(r"[\x21-\x7e]+")


class LoginRefused(CloudWorksError):
    """This version of the secret cannot give a token; only a new version can."""

    def __init__(self, version: str, reason: str, answer: CloudWorksError | None = None) -> None:
        text = str(answer) if answer else reason
        super().__init__(f"{text} {RESUMES}", answer.facts if answer else NO_FACTS)
        self.version = version
        """The secret's version, as Secrets Manager names it, or `NO_VERSION`."""
        self.reason = reason
        """Why, for readers who do not need the request; the error's text also has the request and the remedy."""
        self.text = text
        """Why, with the remedy and the request, but without the advice to store the secret again."""


class SecretInvalid(LoginRefused):
    """The secret does not have one of the two forms, or its values cannot be used. Nothing was sent to Anaplan."""

    def __init__(self, reason: str, version: str = NO_VERSION) -> None:
        super().__init__(version, reason)


class Secret(RedactedRepr, frozen=True):
    """What Secrets Manager holds."""

    shown = ("version",)

    version: str
    text: str
    stored_at: int | None = None
    """When this version was stored, epoch ms."""


class Login(RedactedRepr, frozen=True):
    """What a log-in sends."""

    authorization: str
    body: bytes | None = None
    hidden: tuple[str, ...] = ()
    """See `Request.hidden`."""
    user: str = ""
    """The user's name, for messages; empty if it is not certain."""


class BasicCredentials(RedactedRepr, frozen=True, forbid_unknown_fields=True):
    """A user's name and password. With single sign-on, Anaplan accepts exception users only."""

    username: str
    password: str

    def login(self, now_ms: int) -> Login:
        """The log-in for these credentials."""
        authorization = "Basic " + _base64(f"{self.username}:{self.password}".encode())
        return Login(authorization, hidden=(self.password,), user=_shown_user(self.username, self.password))


class CertificateCredentials(RedactedRepr, frozen=True, forbid_unknown_fields=True):
    """A CA certificate that is registered with Anaplan and its RSA private key, both PEM text."""

    certificate: str
    private_key: str
    private_key_password: str | None = None

    def login(self, now_ms: int) -> Login:
        """A new log-in, signed at `now_ms` (epoch ms): Anaplan accepts each signature once, and for a short time only.

        Format v2: eight bytes of epoch seconds, big-endian, then 92 random ones, signed SHA512withRSA (PKCS#1 v1.5).
        Sends only the certificate that belongs to the key and is valid now, even if the fields hold more.
        Raises `SecretInvalid` when certificate and key cannot be used.
        """
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA512

        pair = self._read(partial(pem.read_pair, now_ms=now_ms))
        data = (now_ms // 1000).to_bytes(8, "big") + secrets.token_bytes(92)
        body = {
            "encodedData": _base64(data),
            "encodedSignedData": _base64(pair.key.sign(data, PKCS1v15(), SHA512())),
            "encodedDataFormat": "v2",
        }
        return Login(
            authorization="CACertificate " + _base64(pair.certificate_pem),
            body=msgspec.json.encode(body),
            hidden=(self.private_key, self.private_key_password or ""),
        )

    def ends_at(self) -> int:
        """When the certificate ends, epoch ms. Raises `SecretInvalid` when certificate and key cannot be used."""
        return self._read(pem.ends_at)

    def _read(self, read: Callable[[str, str, str | None], _T]) -> _T:
        try:
            return read(self.certificate, self.private_key, self.private_key_password)
        except pem.PemUnusable as error:
            reason = str(error)
        # Raise outside the `except` block, so that the secret's text does not become the error's context.
        raise SecretInvalid(reason)


Credentials = BasicCredentials | CertificateCredentials

_FORMS: tuple[type[BasicCredentials | CertificateCredentials], ...] = (BasicCredentials, CertificateCredentials)
_FIELDS = ("username", "password", "certificate", "private_key", "private_key_password")
_QUOTES = "'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_PLAIN_NAME = re.compile(r"[A-Za-z_-]{1,40}")


def decode_secret(text: str) -> Credentials:
    """The credentials in the secret's JSON.

    Raises `SecretInvalid`, which names the wrong fields but shows no value.
    """
    fields = _fields(text)
    for form in _FORMS:
        with suppress(ValueError):
            credentials = msgspec.convert(fields, form)
            if problem := _unfit(credentials):
                raise _malformed(problem)
            return credentials
    raise _malformed(_mismatch(fields))


def _malformed(problem: str) -> SecretInvalid:
    return SecretInvalid(f"{problem} Store exactly {SHAPES}, with text in every field.")


def _fields(text: str) -> dict[str, object]:
    """The secret's JSON object."""
    text = text.strip(f"\ufeff\u200b\0{whitespace}")  # Windows editors may write a byte order mark
    if not text:
        raise _malformed("The secret is empty.")
    decoded: object = None
    problem = ""
    try:
        decoded = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        problem = f"The secret is not JSON.{_about_quotes(text)}"
    if problem:
        raise _malformed(problem)
    if isinstance(decoded, str):
        raise _malformed(
            "The secret is a JSON text, not a JSON object. Store the object itself, without quotation marks around it."
        )
    if not isinstance(decoded, dict):
        raise _malformed("The secret is JSON, but not an object with fields.")
    return decoded


def _about_quotes(text: str) -> str:
    """What is wrong with the quotation marks of a text that should be a JSON object; empty if nothing is."""
    if text[0] in _QUOTES:
        return " Store the object itself, without quotation marks around it."
    if text.startswith('{\\"'):
        return " Its quotation marks have backslashes before them. Store it without."
    curved = any(mark in text for mark in _QUOTES.removeprefix("'`"))
    return " Its quotation marks are not JSON's straight ones." if curved or text.startswith("{'") else ""


def _unfit(credentials: Credentials) -> str:
    """What is wrong with the values of a secret that has the right fields; empty if nothing is."""
    values = {name: value for name in _FIELDS if (value := getattr(credentials, name, None)) is not None}
    empty = [name for name, value in values.items() if not value.strip() and name != "private_key_password"]
    if empty:
        return f"The secret's {_quoted(empty)} {_is(empty)} empty."
    if isinstance(credentials, CertificateCredentials):
        return ""
    for name in ("username", "password"):
        if any(unicodedata.category(character) == "Cc" for character in values[name]):
            return f'The secret\'s "{name}" has a line break or another control character. Store it without.'
        if values[name] != values[name].strip():
            return f'The secret\'s "{name}" begins or ends with a space. Store it without.'
    if any(unicodedata.category(character) == "Cf" for character in credentials.username):
        return 'The secret\'s "username" has a character that cannot be seen. Type it again.'
    if credentials.username[0] in f'"{_QUOTES}' and credentials.username[-1] in f'"{_QUOTES}':
        return 'The secret\'s "username" has quotation marks around it. Store it without.'
    if ":" in credentials.username:
        return "The secret's \"username\" has a colon, which Anaplan's log-in cannot send."
    return ""


def _mismatch(fields: dict[str, object]) -> str:
    """Why an object has neither form of the secret. Names fields, never values."""
    for name in fields:
        meant = name.strip().lower().replace("-", "_").replace(" ", "_")
        if name not in _FIELDS and meant in _FIELDS:
            return f'The secret\'s field "{meant}" is spelled differently. Field names are in lower case.'
    of_password = fields.keys() & {"username", "password"}
    wanted = ("username", "password") if of_password else ("certificate", "private_key")
    missing = [name for name in wanted if name not in fields]
    lacks = f"lacks {_quoted(missing)}"
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        shown = [name for name in unknown if _PLAIN_NAME.fullmatch(name)]
        named = f": {_quoted(shown)}" if shown else ""  # another name may be a secret in the wrong place
        too = f", and {lacks}" if missing else ""
        return f"The secret has {len(unknown)} field{'s' if len(unknown) > 1 else ''} too many{named}{too}."
    untyped = [name for name, value in fields.items() if not isinstance(value, str)]
    if untyped:
        return f"The secret's {_quoted(untyped)} {_is(untyped)} not text."
    if of_password and fields.keys() - {"username", "password"}:
        return "The secret mixes a password and a certificate. Store one of the two."
    return f"The secret {lacks}."


def _quoted(names: list[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def ends_at(secret: Secret, password_days: int) -> int | None:
    """When the log-in ends, epoch ms: its certificate ends, or its password was stored `password_days` ago.

    None if that is not known: `password_days` is 0. Raises `SecretInvalid`.
    """
    credentials = decode_secret(secret.text)
    if isinstance(credentials, CertificateCredentials):
        return credentials.ends_at()
    if not password_days or secret.stored_at is None:
        return None
    return secret.stored_at + password_days * DAY_MS


class Tokens:
    """Tokens for CloudWorks, kept in memory and renewed in time. Not thread-safe.

    A token belongs to the version of the secret that it was made with, and is dropped when the secret changes.
    """

    def __init__(
        self,
        http: PoolManager,
        url: str,
        source: Callable[[], Secret],
        *,
        rejected: Callable[[str], bool],
        reject: Callable[[str], None],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        limits: Limits = LIMITS,
    ) -> None:
        """Log in at `url` (`https://auth.anaplan.com`), and send credentials to no other host.

        `source` reads the secret. `rejected` says whether Anaplan has refused a version of it, and `reject` records
        that it has. `clock` gives epoch ms. Raises `AddressInvalid` if it is not safe to send credentials to `url`.
        """
        self._http = http
        self._url = checked_url(url)
        self._source = source
        self._rejected = rejected
        self._reject = reject
        self._clock = clock
        self._limits = limits
        self._secret: Secret | None = None
        self._secret_due = 0
        self._token: _Token | None = None

    @property
    def secret_version(self) -> str | None:
        """The version of the secret that was read last; None before the first."""
        return self._secret.version if self._secret else None

    def token(self, fresh: bool = False) -> str:
        """A token that does not expire soon; with `fresh`, one from a new log-in, because CloudWorks refused the last.

        Raises `LoginRefused` (or its `SecretInvalid`) if only a new secret can help, `Refused` if the URL is not
        that of Anaplan's authentication service, and `TryLater` otherwise.
        """
        if fresh:
            self._token = None
        secret = self._current_secret()
        now = self._clock()
        token = self._token
        if token is None or token.expires_at <= now:
            token = self._log_in(secret, now)
        elif token.expires_at <= now + MARGIN_SECONDS * 1000:
            token = self._refreshed(token, now) or self._log_in(secret, now)
        self._token = token
        return token.value

    @contextmanager
    def within(self, limits: Limits) -> Iterator[None]:
        """Limit log-ins to this time for a while, for callers that can do without one."""
        usual, self._limits = self._limits, limits
        try:
            yield
        finally:
            self._limits = usual

    def _current_secret(self) -> Secret:
        """The secret, read again if there is no token or the last reading is old."""
        if self._secret is not None and self._token is not None and self._clock() < self._secret_due:
            return self._secret
        secret = self._source()
        if self._secret is None or self._secret.version != secret.version:
            self._token = None
        self._secret, self._secret_due = secret, self._clock() + SECRET_SECONDS * 1000
        return secret

    def _log_in(self, secret: Secret, now: int) -> _Token:
        self._token = None
        login = self._login(secret, now)
        if self._rejected(secret.version):
            reason = f"Anaplan has refused the log-in{_of(login)}; it is not sent again (version {secret.version})."
            raise LoginRefused(secret.version, reason)
        request = Request(
            "POST", f"{self._url}/token/authenticate", login.authorization, login.body, hidden=login.hidden
        )
        answer = self._exchange(request)
        # An answer of a gateway or a proxy says nothing about the credentials.
        if answer.status in _REFUSALS and (answer.is_anaplans or not answer.body):
            self._reject(secret.version)
            words = said(request, answer)
            reason = f"Anaplan refused the log-in{_of(login)}{f': {words}' if words else ''} ({answer.status})."
            raise LoginRefused(secret.version, reason, failure(request, answer, _REMEDY))
        return self._issued(request, answer, now)

    def _login(self, secret: Secret, now: int) -> Login:
        try:
            return decode_secret(secret.text).login(now)
        except SecretInvalid as error:
            reason = error.reason
        raise SecretInvalid(reason, secret.version)

    def _refreshed(self, token: _Token, now: int) -> _Token | None:
        """The token with a later expiry, or None if that failed; then the caller logs in."""
        # The authentication service accepts only this scheme; it answers 400 to a Bearer header.
        request = Request("POST", f"{self._url}/token/refresh", f"AnaplanAuthToken {token.value}")
        try:
            return self._issued(request, self._exchange(request), now)
        except CloudWorksError:
            return None

    def _exchange(self, request: Request) -> Answer:
        try:
            return exchange(self._http, request, self._limits)
        except Unknown as error:
            raise TryLater(
                str(error), facts=error.facts
            ) from error  # a log-in whose answer was lost did no harm: no run was requested

    def _issued(self, request: Request, answer: Answer, now: int) -> _Token:
        if not answer.ok:
            error = failure(request, answer, "Check that ANAPLAN_AUTH_URL is Anaplan's authentication service.")
            raise error if isinstance(error, Refused | TryLater) else TryLater(str(error), facts=error.facts)
        info = _NO_TOKEN
        with suppress(ValueError, RecursionError):
            info = msgspec.json.decode(answer.body, type=_Issued).token_info
        # urllib3 shows invalid header values in its errors, so reject such tokens here.
        if not _READABLE_TOKEN.fullmatch(info.token_value):
            error = unusable(request, answer, " without a usable token")
            raise TryLater(str(error), facts=error.facts)
        return _Token(info.token_value, info.expiry(now))


class _Token(RedactedRepr, frozen=True):
    shown = ("expires_at",)

    value: str
    expires_at: int
    """Epoch ms."""


class _TokenInfo(RedactedRepr, frozen=True, rename="camel"):
    token_value: str
    expires_at: object = None

    def expiry(self, now: int) -> int:
        """When the token expires, epoch ms; now plus its documented life if the answer gives no future time."""
        told = str(self.expires_at)
        expiry = int(told) if told.isdecimal() and len(told) < _LONGEST_TIME else 0
        return expiry if expiry > now else now + DOCUMENTED_LIFE_SECONDS * 1000


class _Issued(RedactedRepr, frozen=True, rename="camel"):
    token_info: _TokenInfo


_NO_TOKEN = _TokenInfo("")


def _of(login: Login) -> str:
    return f" of {login.user}" if login.user else ""


def _shown_user(username: str, password: str) -> str:
    """The user's name if it is an e-mail address, as Anaplan's are; another text may be a secret in the wrong field."""
    return username if _EMAIL.fullmatch(username) and password not in username else ""


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
