"""Anaplan's OAuth service: exchanges a refresh token for an access token, and perhaps for a new refresh token.

Anaplan's administrator chooses for each OAuth client whether its refresh tokens are *rotatable* (every use
returns a new one, and the old one stops working) or *non-rotatable*. An answer does not say which: a client's tokens
rotate if the answer has a different refresh token.
"""

from __future__ import annotations

import re
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import Struct

from anaplan_autoload.anaplan.errors import CloudWorksError, Facts, Refused, TryLater
from anaplan_autoload.anaplan.http import (
    LIMITS,
    Answer,
    Limits,
    RedactedRepr,
    Request,
    checked_url,
    exchange,
    failure,
    in_words,
    quoted,
    unusable,
)
from anaplan_autoload.anaplan.json_text import decoded

if TYPE_CHECKING:
    from urllib3 import PoolManager

MARGIN_SECONDS = 120
"""A token is renewed this long before it expires, so that it cannot expire during a request."""
DOCUMENTED_LIFE_SECONDS = 1800
"""The assumed life of a token whose expiry is not given (35 minutes were measured)."""
READABLE_TOKEN = re.compile(r"[\x21-\x7e]+")
"""The characters of a valid token. No other token is sent, because urllib3's errors show invalid header values."""

_REGIONAL = r"(?i)https://([a-z0-9]+)\.auth\.anaplan\.com"
_GLOBAL = "https://auth.anaplan.com"
_MOST_REGIONS = "https://us1a.app.anaplan.com"
_LONGEST_LIFE = 7 * 86_400
"""Seconds. If an answer names a longer life, it is not trusted."""
_LONGEST_NUMBER = 9
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_PASSING = ("authorization_pending", "server_error", "slow_down", "temporarily_unavailable")
"""Errors that say nothing about the client or its token."""
_URL_REMEDY = "Check that ANAPLAN_OAUTH_URL, or what follows from ANAPLAN_AUTH_URL, is Anaplan's OAuth service."
_REMEDIES = {
    "invalid_grant": "The refresh token has expired, was revoked, or was replaced when something else used it. "
    "Get a new one: anaplan-autoload auth login --device.",
    "access_denied": "Check that the user may still use the OAuth client, then get a new refresh token: "
    "anaplan-autoload auth login --device.",
}
_CLIENT_REMEDY = (
    'Check "client_id" against Anaplan\'s Administration, OAuth clients. A client for the authorization code grant '
    'also needs its "client_secret"; one for the device grant has none.'
)


def oauth_url(auth_url: str) -> str:
    """The OAuth service of the region that an authentication service belongs to.

    `https://auth.anaplan.com` → `https://us1a.app.anaplan.com`, `https://eu3.auth.anaplan.com` →
    `https://eu3.app.anaplan.com`, as in Anaplan's list of hosts. Other hosts (Australia's, a simulator) serve both.
    """
    url = auth_url.rstrip("/")
    if url.lower() == _GLOBAL:
        return _MOST_REGIONS
    region = re.fullmatch(_REGIONAL, url)
    return f"https://{region[1].lower()}.app.anaplan.com" if region else url


class OAuthCredentials(RedactedRepr, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An OAuth client of Anaplan's, and a refresh token that a user granted to it."""

    kind: ClassVar[str] = "refresh token (OAuth)"

    client_id: str
    refresh_token: str
    client_secret: str | None = None
    """Only clients for the authorization code grant have one. Clients for the device grant do not."""
    access_token: str | None = None
    """Written by Autoload with every new refresh token, so that all executions share one access token."""
    expires_at: object = None
    """The access token's expiry in epoch ms, written with it; anything else counts as expired."""

    @property
    def rotates(self) -> bool:
        """Whether it is known that every use of the refresh token replaces it."""
        return self.access_token is not None

    @property
    def expiry(self) -> int:
        """The access token's expiry in epoch ms; 0 if there is none."""
        return self.expires_at if isinstance(self.expires_at, int) and self.access_token else 0

    def replaced_by(self, grant: Grant) -> str:
        """The secret's next value, with the new refresh token and the access token that came with it."""
        changed = msgspec.structs.replace(
            self,
            refresh_token=grant.refresh_token or self.refresh_token,
            access_token=grant.access_token,
            expires_at=grant.expires_at,
        )
        return msgspec.json.encode(changed).decode()


class Access(RedactedRepr, frozen=True):
    """An access token."""

    shown = ("expires_at",)

    value: str
    expires_at: int
    """Epoch ms."""

    def lasts(self, now: int) -> bool:
        """Whether it does not expire soon."""
        return self.expires_at > now + MARGIN_SECONDS * 1000


class Grant(RedactedRepr, frozen=True):
    """What the OAuth service returns for a refresh token, or for a device code that the user has confirmed."""

    shown = ("expires_at",)

    access_token: str
    """Empty if the answer had no usable access token."""
    expires_at: int
    """Epoch ms."""
    refresh_token: str | None
    """None if the answer had no usable refresh token."""

    @property
    def access(self) -> Access:
        """The access token."""
        return Access(self.access_token, self.expires_at)

    def replaces(self, credentials: OAuthCredentials) -> bool:
        """Whether the answer has a different refresh token, so that the one that was sent no longer works."""
        return self.refresh_token is not None and self.refresh_token != credentials.refresh_token


class Denied(CloudWorksError):
    """The OAuth service refuses the client or its token for good. `code` is OAuth's, such as `invalid_grant`."""

    def __init__(self, text: str, code: str, facts: Facts) -> None:
        super().__init__(text, facts)
        self.code = code


def refresh(http: PoolManager, url: str, credentials: OAuthCredentials, now: int, limits: Limits = LIMITS) -> Grant:
    """Send the refresh token to `url`, once.

    Raises `Denied` if it is refused, `Unknown` if there is no usable answer but the token may have been replaced, and
    `TryLater` if nothing happened.
    """
    form = {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "refresh_token": credentials.refresh_token,
    }
    if credentials.client_secret:
        form["client_secret"] = credentials.client_secret
    hidden = (credentials.refresh_token, credentials.client_secret or "", credentials.access_token or "")
    request = posted(url, "/oauth/token", form, hidden)
    answer = exchange(http, request, limits)
    if not answer.ok:
        raise refused(request, answer)
    grant = granted(answer, now)
    if not grant.access_token and not grant.replaces(credentials):
        raise unusable(request, answer, " without a usable token")
    return grant


def posted(url: str, path: str, form: dict[str, str], hidden: tuple[str, ...]) -> Request:
    """A request to the OAuth service. It has a JSON body, not RFC 6749's form, and no `Authorization` header."""
    return Request("POST", checked_url(url) + path, "", msgspec.json.encode(form), hidden=hidden)


def granted(answer: Answer, now: int) -> Grant:
    """The tokens of an answer, without those that are missing or unusable."""
    found = _Granted()
    with suppress(ValueError, RecursionError):
        found = decoded(answer.body, _Granted)
    access_token = _token(found.access_token) or ""
    expires_at = now + _life(found.expires_in) * 1000 if access_token else 0
    return Grant(access_token, expires_at, _token(found.refresh_token))


def refused(request: Request, answer: Answer) -> CloudWorksError:
    """The error for an unsuccessful answer: `Denied`, `TryLater` if nothing happened, or else `Unknown`."""
    told = told_error(answer)
    if told is not None and answer.status in _REFUSALS:
        facts = _facts(request, answer, told)
        if told.error in _PASSING:
            return TryLater(in_words(facts), answer.retry_after, facts)
        return Denied(in_words(facts), told.error, facts)
    error = failure(request, answer, _URL_REMEDY)
    if answer.status in _REFUSALS and not answer.body:
        return Denied(error.text, "", error.facts)
    return TryLater(error.text, facts=error.facts) if isinstance(error, Refused) else error


class OAuthError(Struct, frozen=True):
    """The OAuth service's own error, in the form of RFC 6749."""

    error: str
    error_description: str | None = None


def told_error(answer: Answer) -> OAuthError | None:
    """The error in the answer; None if it is not in the OAuth service's own form, but comes from a gateway."""
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(answer.body, type=OAuthError)
    return None


def _facts(request: Request, answer: Answer, told: OAuthError) -> Facts:
    words = quoted(": ".join(text for text in (told.error, told.error_description) if text), request.secrets)
    words = words.removesuffix(".")
    return Facts(request.asked, f'{answer.status} "{words}"', words, _REMEDIES.get(told.error, _CLIENT_REMEDY))


class _Granted(RedactedRepr, frozen=True):
    access_token: object = None
    expires_in: object = None
    refresh_token: object = None


def _token(found: object) -> str | None:
    return found if isinstance(found, str) and READABLE_TOKEN.fullmatch(found) else None


def _life(found: object) -> int:
    """A token's life in seconds; the documented one if the answer has no plausible value."""
    told = str(found)
    seconds = int(told) if told.isdecimal() and len(told) <= _LONGEST_NUMBER else 0
    return seconds if 0 < seconds <= _LONGEST_LIFE else DOCUMENTED_LIFE_SECONDS
