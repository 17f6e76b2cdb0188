"""A token that CloudWorks accepts, kept in memory and renewed in time.

Anaplan locks a user out after repeated failed log-ins. So a version of the secret that Anaplan has refused once is
never sent again by any execution: each one checks the ledger before it logs in, and records a refusal there.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from anaplan_autoload.anaplan.credentials import LoginRefused, credentials_of, naming
from anaplan_autoload.anaplan.errors import CloudWorksError, Refused, TryLater, Unknown
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
from anaplan_autoload.anaplan.json_text import decoded
from anaplan_autoload.anaplan.oauth import DOCUMENTED_LIFE_SECONDS, READABLE_TOKEN, Access, OAuthCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3 import PoolManager

    from anaplan_autoload.anaplan.credentials import Login, Secret
    from anaplan_autoload.anaplan.renewal import Renewer

SECRET_SECONDS = 300
"""How long the secret is assumed to be unchanged when a run is asked for."""
LOOK_SECONDS = 3600
"""How often a function instance checks whether a refresh token should be used."""

_REMEDY = (
    "Check user and password, or that the certificate is registered with Anaplan. With single sign-on, a password "
    "works for exception users only. Repeated failed log-ins lock a user out, so this one is not repeated."
)
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_LONGEST_TIME = 15
"""Digits of a time in ms."""


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
        renewer: Callable[[], Renewer],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        limits: Limits = LIMITS,
    ) -> None:
        """Log in at `url` (`https://auth.anaplan.com`), and send credentials to no other host.

        `source` reads the secret. `rejected` says whether Anaplan has refused a version of it, and `reject` records
        that it has. `renewer` makes the renewer for a secret with a refresh token. `clock` returns epoch ms.
        Raises `AddressInvalid` if it is not safe to send credentials to `url`.
        """
        self._http = http
        self._url = checked_url(url)
        self._source = source
        self._rejected = rejected
        self._reject = reject
        self._make_renewer = renewer
        self._clock = clock
        self._limits = limits
        self._secret: Secret | None = None
        self._secret_due = 0
        self._token: _Token | None = None
        self._look_due = 0

    @property
    def secret_version(self) -> str | None:
        """The version of the secret that was read last; None before the first."""
        return self._secret.version if self._secret else None

    def token(self, fresh: bool = False, *, current: bool = False) -> str:
        """A token that does not expire soon; with `fresh`, one from a new log-in, because CloudWorks refused the last.

        The secret is read only for a log-in or a renewal, and with `current` also if that was over five minutes ago, so
        that a changed secret counts from the next run on.
        Raises `LoginRefused` (or its `SecretInvalid`) if only a new secret can help, `Refused` if the URL is not
        that of Anaplan's authentication service, and `TryLater` otherwise.
        """
        refused = self._token.value if fresh and self._token else None
        now = self._clock()
        if fresh or (self._token and self._token.expires_at <= now):
            self._token = None
        if self._token is None or not self._token.lasts(now) or (current and now >= self._secret_due):
            self._token = self._next(now, refused)
        return self._token.value

    @property
    def is_oauth(self) -> bool:
        """Whether the last token came from the OAuth service."""
        return self._token is not None and self._token.oauth

    @property
    def expires_at(self) -> int | None:
        """When the last token expires, epoch ms; None before the first."""
        return self._token.expires_at if self._token else None

    def keep_alive(self) -> None:
        """Use a refresh token that would otherwise expire unused. Checks the secret once an hour.

        Raises the same errors as `token`.
        """
        now = self._clock()
        if now < self._look_due:
            return
        self._look_due = now + LOOK_SECONDS * 1000
        secret = self._source()
        if isinstance(credentials_of(secret), OAuthCredentials) and self._renewer.is_due(secret):
            self._renewer.access(secret, limits=self._limits)

    @contextmanager
    def within(self, limits: Limits) -> Iterator[None]:
        """Limit log-ins to this time for a while, for callers that can do without a log-in."""
        usual, self._limits = self._limits, limits
        try:
            yield
        finally:
            self._limits = usual

    @cached_property
    def _renewer(self) -> Renewer:
        return self._make_renewer()

    def _read_secret(self) -> Secret:
        """The secret as it is now. A token of another version is dropped."""
        secret = self._source()
        if self._secret is None or self._secret.version != secret.version:
            self._token = None
        self._secret, self._secret_due = secret, self._clock() + SECRET_SECONDS * 1000
        return secret

    def _next(self, now: int, refused: str | None) -> _Token:
        """The token if it can still be used, or one to replace it."""
        try:
            secret = self._read_secret()
        except TryLater:
            if self._token is None:
                raise
            return self._token
        if self._token is None:
            return self._new(secret, now, refused)
        return self._token if self._token.lasts(now) else self._renewed(self._token, secret, now)

    def _new(self, secret: Secret, now: int, refused: str | None = None) -> _Token:
        """A token for a secret of any form, different from the `refused` one."""
        credentials = credentials_of(secret)
        if isinstance(credentials, OAuthCredentials):
            access = self._renewer.access(secret, refused, self._limits)
            return _Token(access.value, access.expires_at, oauth=True)
        return self._log_in(secret, naming(secret, lambda: credentials.login(now)), now)

    def _renewed(self, token: _Token, secret: Secret, now: int) -> _Token:
        """A token to replace one that expires soon."""
        if not token.oauth:
            return self._refreshed(token, now) or self._new(secret, now)
        try:
            return self._new(secret, now)
        except TryLater:
            return token

    def _log_in(self, secret: Secret, login: Login, now: int) -> _Token:
        self._token = None
        if self._rejected(secret.version):
            reason = f"Anaplan has refused the log-in{_of(login)}; it is not sent again (version {secret.version})."
            raise LoginRefused(secret.version, reason)
        request = Request(
            "POST", f"{self._url}/token/authenticate", login.authorization, login.body, hidden=login.hidden
        )
        answer = self._exchange(request)
        # An answer from a gateway or a proxy says nothing about the credentials.
        if answer.status in _REFUSALS and (answer.is_anaplans or not answer.body):
            self._reject(secret.version)
            words = said(request, answer)
            reason = f"Anaplan refused the log-in{_of(login)}{f': {words}' if words else ''} ({answer.status})."
            raise LoginRefused(secret.version, reason, failure(request, answer, _REMEDY))
        return self._issued(request, answer, now)

    def _refreshed(self, token: _Token, now: int) -> _Token | None:
        """The same token with a later expiry; None if that failed, and the caller must log in."""
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
            # A log-in whose answer was lost did no harm: no run was requested.
            raise TryLater(error.text, facts=error.facts) from error

    def _issued(self, request: Request, answer: Answer, now: int) -> _Token:
        if not answer.ok:
            error = failure(request, answer, "Check that ANAPLAN_AUTH_URL is Anaplan's authentication service.")
            raise error if isinstance(error, Refused | TryLater) else TryLater(error.text, facts=error.facts)
        info = _NO_TOKEN
        with suppress(ValueError, RecursionError):
            info = decoded(answer.body, _Issued).token_info
        # urllib3 shows invalid header values in its errors, so reject such tokens here.
        if not READABLE_TOKEN.fullmatch(info.token_value):
            error = unusable(request, answer, " without a usable token")
            raise TryLater(error.text, facts=error.facts)
        return _Token(info.token_value, info.expiry(now))


class _Token(Access, frozen=True):
    oauth: bool = False
    """Whether it came from the OAuth service."""


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
