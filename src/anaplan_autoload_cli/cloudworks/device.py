"""The device grant (RFC 8628): a person confirms in a browser, and this process gets a refresh token.

No OAuth library is used: they send forms, but Anaplan expects JSON. Anaplan also grants fewer scopes than were asked
for, which oauthlib treats as an error. Working around both would take more code than this module.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from anaplan_autoload.anaplan import oauth
from anaplan_autoload.anaplan.errors import CloudWorksError, NotSent, TryLater, Unknown
from anaplan_autoload.anaplan.http import LOCAL_HOSTS, RedactedRepr, exchange, http_pool, unusable
from anaplan_autoload.anaplan.oauth import Grant, OAuthCredentials
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload.anaplan.http import Answer, Request

SCOPE = "openid profile email offline_access"
"""`offline_access` asks for a refresh token."""
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_SECONDS = 5
"""Between two requests, if the service does not name an interval."""
SLOWER_SECONDS = 5
"""Added to the interval after every `slow_down`."""
LONGEST_INTERVAL_SECONDS = 60
LIFE_SECONDS = 900
"""How long a code is assumed to be valid, if the service does not say."""
_LONGEST_LIFE = 3600
_REMEDIES = {
    "access_denied": "Run it again, and confirm in the browser as the user that Autoload is to be.",
    "expired_token": "Run it again, and confirm in the browser before the time is over.",
    "invalid_grant": "Run it again: the code was used already, or its answer was lost.",
}
_CLIENT_REMEDY = (
    "Check --client-id in Anaplan's Administration, OAuth clients: it must be a client for the device grant. Anaplan "
    "has switched this grant off for users who must use single sign-on."
)


class Device(RedactedRepr, frozen=True):
    """A log-in that waits for the user to confirm it. The code is a secret: anybody who has it can get the tokens."""

    shown = ("user_code", "page")

    code: str
    user_code: str
    page: str
    """The address where the user confirms. It includes the user code, if the service offers that."""
    seconds: float
    """How long the user has to confirm."""
    interval: float
    """Seconds between two requests."""


class NewLogin(Struct, frozen=True):
    """A refresh token, in the form of the secret."""

    text: str
    """The secret's value."""
    rotates: bool | None
    """Whether each use replaces it; None if that is not known."""

    def __repr__(self) -> str:
        """Leave out the value, which is secret."""
        return f"NewLogin(rotates={self.rotates!r})"


def begin(url: str, client_id: str) -> Device:
    """Ask for a code. Raises `CommandFailed` if Anaplan refuses or the answer cannot be used."""
    request = oauth.posted(url, "/oauth/device/code", {"client_id": client_id, "scope": SCOPE}, ())
    answer = exchange(http_pool(), request)
    if not answer.ok:
        raise _refused(request, answer)
    found = _Begun()
    with suppress(ValueError, RecursionError):
        found = msgspec.json.decode(answer.body, type=_Begun)
    page = found.verification_uri_complete or found.verification_uri
    if not (found.device_code and found.user_code and _is_safe(page)):
        raise unusable(request, answer, " without a code and a safe address to confirm it at")
    return Device(
        found.device_code,
        found.user_code,
        page,
        _seconds(found.expires_in, LIFE_SECONDS, _LONGEST_LIFE),
        _seconds(found.interval, INTERVAL_SECONDS, LONGEST_INTERVAL_SECONDS),
    )


def wait(
    url: str,
    client_id: str,
    device: Device,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Grant:
    """Ask until the user has confirmed. Raises `CommandFailed` if the user denies it or does not confirm in time."""
    form = {"grant_type": GRANT, "client_id": client_id, "device_code": device.code}
    request = oauth.posted(url, "/oauth/token", form, (device.code,))
    deadline, interval = clock() + device.seconds, device.interval
    while True:
        sleep(interval)
        if clock() >= deadline:
            raise CommandFailed("Nobody confirmed in time.", remedy=_REMEDIES["expired_token"])
        try:
            answer = exchange(http_pool(), request)
        except (NotSent, Unknown):
            interval = min(2 * interval, LONGEST_INTERVAL_SECONDS)
            continue
        if answer.ok:
            return _checked(request, answer)
        told = oauth.told_error(answer)
        if told is not None and told.error == "slow_down":
            interval += SLOWER_SECONDS
        elif told is None:
            # A gateway answered, so nothing is known about the code.
            interval = min(2 * interval, LONGEST_INTERVAL_SECONDS)
        elif told.error != "authorization_pending":
            raise _refused(request, answer)


def tried(url: str, client_id: str, grant: Grant) -> NewLogin:
    """The new log-in. Its refresh token is used once, to find out whether it rotates."""
    credentials = OAuthCredentials(client_id, grant.refresh_token or "")
    try:
        again = oauth.refresh(http_pool(), url, credentials, time.time_ns() // 1_000_000)
    except TryLater:
        return NewLogin(msgspec.json.encode(credentials).decode(), None)
    except Unknown as error:
        raise CommandFailed(
            "The answer to the first use of the refresh token was lost. It may have been replaced.",
            asked=error.facts.asked or None,
            remedy="Run it again.",
        ) from None
    if again.replaces(credentials):
        return NewLogin(credentials.replaced_by(again), True)
    return NewLogin(msgspec.json.encode(credentials).decode(), False)


class _Begun(Struct, frozen=True):
    device_code: str = ""
    user_code: str = ""
    verification_uri: str = ""
    verification_uri_complete: str = ""
    expires_in: object = None
    interval: object = None


def _checked(request: Request, answer: Answer) -> Grant:
    grant = oauth.granted(answer, time.time_ns() // 1_000_000)
    if grant.refresh_token is None:
        raise CommandFailed(
            "Anaplan granted access, but gave no refresh token that can be used.",
            asked=request.asked,
            remedy="Let the OAuth client ask for offline_access (Anaplan's Administration), then run it again.",
        )
    return grant


def _refused(request: Request, answer: Answer) -> CloudWorksError | CommandFailed:
    told = oauth.told_error(answer)
    error = oauth.refused(request, answer)
    if told is None:
        return error
    return CommandFailed(
        "Anaplan did not grant access.",
        asked=request.asked,
        answered=error.facts.answered,
        remedy=_REMEDIES.get(told.error, _CLIENT_REMEDY),
    )


def _is_safe(page: str) -> bool:
    """Whether people may be sent there to log in."""
    with suppress(ValueError):
        parts = urlsplit(page)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
    return False


def _seconds(found: object, usual: float, most: float) -> float:
    """The time that the service names, at least a second and at most `most`; `usual` if it names no valid time."""
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < float("inf"):
        return usual
    return min(max(float(found), 1.0), most)
