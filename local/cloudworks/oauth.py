"""Anaplan's OAuth service: the device grant (RFC 8628), and refresh tokens, both rotating and non-rotating.

Its errors have the same statuses as Auth0's, because Anaplan's own errors link to Auth0's pages.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from local.cloudworks.auth import Authentication
from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import Answer, Request, json_answer, unrouted
from local.cloudworks.tenant import OAuthClient, User

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER_SECONDS = 5
"""Added to the interval between two requests after `slow_down`."""
FOREVER = float("inf")


class RefreshToken(Struct, frozen=True, kw_only=True):
    """A refresh token that was issued; times are epoch seconds on Anaplan's clock."""

    value: str
    client_id: str
    user: str
    family: str
    """Shared by all refresh tokens of one log-in. If a spent one is used again, they may all be revoked."""
    expires_at: float
    state: Literal["good", "spent", "revoked"] = "good"

    def __repr__(self) -> str:
        """Leave out the value, which is secret."""
        return f"RefreshToken(user={self.user!r}, state={self.state!r})"


class Device(Struct, frozen=True, kw_only=True):
    """A device that waits for its user."""

    code: str
    user_code: str
    client_id: str
    offline: bool
    """Whether it asked for a refresh token."""
    expires_at: float
    interval: float
    asked_at: float
    state: Literal["pending", "denied", "used"] | User = "pending"

    def __repr__(self) -> str:
        """Leave out the codes, which are secret."""
        return f"Device(client_id={self.client_id!r})"


class Body(Struct, frozen=True):
    """The fields of a request."""

    client_id: str
    grant_type: str = ""
    scope: str = ""
    refresh_token: str = ""
    client_secret: str | None = None
    device_code: str = ""


class Wrong(Exception):
    """An invalid request; `answer` is the OAuth error to return."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        """`error` is OAuth's code."""
        super().__init__(error)
        self.answer = json_answer(status, {"error": error, "error_description": description})


class OAuth:
    """The service. The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment, authentication: Authentication) -> None:
        """Start without devices and refresh tokens."""
        self._environment = environment
        self._authentication = authentication
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._devices: dict[str, Device] = {}
        self.spent_again = 0
        """How often a refresh token was used that had been spent already."""

    def handle(self, request: Request) -> Answer:
        """Answer a request to `/oauth/…`, or to the page where a user confirms a device."""
        try:
            match request.method, request.path:
                case "POST", "/oauth/device/code":
                    return self._begin(_decode(request), request.headers.get("host", "127.0.0.1"))
                case "POST", "/oauth/token":
                    return self._token(_decode(request))
                case "GET", "/activate":
                    return self._page(request.query.get("user_code", ""))
                case _:
                    return unrouted()
        except Wrong as wrong:
            return wrong.answer

    def grant(self, client_id: str, user: str) -> str:
        """A refresh token, as if that user had just logged in through that client."""
        return self._issue(client_id, user, self._environment.new_id())

    def decide(self, user_code: str, user: User | None) -> None:
        """Confirm a device as this user, or deny it if `user` is None. Raises KeyError for an unknown code."""
        device = next((each for each in self._devices.values() if each.user_code == user_code), None)
        if device is None:
            raise KeyError(user_code)
        self._devices[device.code] = replace(device, state=user or "denied")

    def given_out(self) -> tuple[str, ...]:
        """Every refresh token and device code that was issued."""
        return (*self._refresh_tokens, *self._devices)

    def good(self) -> tuple[str, ...]:
        """The refresh tokens that work."""
        return tuple(token.value for token in self._refresh_tokens.values() if token.state == "good")

    def revoke_all(self) -> None:
        """Revoke every refresh token."""
        for token in self._refresh_tokens.values():
            self._refresh_tokens[token.value] = replace(token, state="revoked")

    # Devices

    def _begin(self, body: Body, host: str) -> Answer:
        client = self._client(body, "device")
        settings = self._environment.settings
        text = self._environment.new_id().upper()
        device = Device(
            code=self._environment.new_id(),
            user_code=f"{text[:4]}-{text[4:8]}",
            client_id=client.id,
            offline=not body.scope or "offline_access" in body.scope.split(),
            expires_at=self._now() + settings.device_seconds,
            interval=settings.device_interval_seconds,
            asked_at=-FOREVER,
        )
        self._devices[device.code] = device
        page = f"http://{host}/activate"
        return json_answer(
            200,
            {
                "device_code": device.code,
                "user_code": device.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={device.user_code}",
                "expires_in": int(settings.device_seconds),
                "interval": int(settings.device_interval_seconds),
            },
        )

    def _page(self, user_code: str) -> Answer:
        """Opening the page confirms the device as the tenant's first user."""
        users = list(self._environment.tenant.users.values())
        try:
            self.decide(user_code, users[0])
        except (KeyError, IndexError):
            return Answer(404, b"<html><body>There is no such device.</body></html>", "text/html")
        return Answer(200, b"<html><body>The device is confirmed.</body></html>", "text/html")

    def _poll(self, body: Body) -> Answer:
        client = self._client(body, "device")
        device = self._devices.get(body.device_code)
        if device is None or device.client_id != client.id or device.state == "used":
            raise Wrong("invalid_grant", "The device code is not known or was used", 403)
        asked_at, self._devices[device.code] = device.asked_at, replace(device, asked_at=self._now())
        if device.expires_at <= self._now():
            raise Wrong("expired_token", "The device code has expired", 403)
        if self._now() - asked_at < device.interval:
            slower = replace(self._devices[device.code], interval=device.interval + SLOWER_SECONDS)
            self._devices[device.code] = slower
            raise Wrong("slow_down", "Polling too fast", 429)
        if device.state == "denied":
            raise Wrong("access_denied", "The user has denied the request", 403)
        if not isinstance(device.state, User):
            raise Wrong("authorization_pending", "The user has not confirmed yet", 403)
        self._devices[device.code] = replace(self._devices[device.code], state="used")
        refresh_token = (
            self._issue(client.id, device.state.name, self._environment.new_id()) if device.offline else None
        )
        return self._granted(device.state.name, refresh_token)

    # Tokens

    def _token(self, body: Body) -> Answer:
        if body.grant_type == DEVICE_GRANT:
            return self._poll(body)
        if body.grant_type == "refresh_token":
            return self._refresh(body)
        raise Wrong("unsupported_grant_type", "The grant type is not supported")

    def _refresh(self, body: Body) -> Answer:
        client = self._client(body)
        token = self._refresh_tokens.get(body.refresh_token)
        if token is None or token.client_id != client.id:
            raise Wrong("invalid_grant", "Unknown or invalid refresh token", 403)
        if token.state == "spent":
            self._used_again(token)
        if token.state != "good" or token.expires_at <= self._now():
            raise Wrong("invalid_grant", "Unknown or invalid refresh token", 403)
        if not client.rotates:
            same = token.value if self._environment.settings.variants.refresh_token_repeated else None
            return self._granted(token.user, same)
        self._refresh_tokens[token.value] = replace(token, state="spent")
        return self._granted(token.user, self._issue(client.id, token.user, token.family))

    def _used_again(self, token: RefreshToken) -> None:
        """Revoke the token's family, as a strict service does: a spent token that comes again may be stolen."""
        self.spent_again += 1
        if self._environment.settings.variants.reuse_revokes:
            for other in self._refresh_tokens.values():
                if other.family == token.family and other.state == "good":
                    self._refresh_tokens[other.value] = replace(other, state="revoked")

    def _client(self, body: Body, grant: str | None = None) -> OAuthClient:
        client = self._environment.tenant.clients.get(body.client_id)
        if client is None or client.secret != (body.client_secret or None):
            raise Wrong("invalid_client", "Client authentication failed", 401)
        if grant not in (None, client.grant):
            raise Wrong("unauthorized_client", "The client may not use this grant", 403)
        return client

    def _issue(self, client_id: str, user: str, family: str) -> str:
        client = self._environment.tenant.clients[client_id]
        token = RefreshToken(
            value=f"{self._environment.new_id()}{self._environment.new_id()}",
            client_id=client_id,
            user=user,
            family=family,
            expires_at=self._now() + client.refresh_seconds if client.rotates else FOREVER,
        )
        self._refresh_tokens[token.value] = token
        return token.value

    def _granted(self, user: str, refresh_token: str | None) -> Answer:
        access = self._authentication.issue(user, oauth=True)
        answer = {
            "access_token": access.value,
            "id_token": f"id-token-{self._environment.new_id()}",
            "scope": "openid email offline_access",
            "expires_in": int(self._environment.settings.token_life_seconds),
            "token_type": "Bearer",
        }
        return json_answer(200, answer | ({"refresh_token": refresh_token} if refresh_token else {}))

    def _now(self) -> float:
        return self._environment.anaplan_now()


def _decode(request: Request) -> Body:
    try:
        return msgspec.json.decode(request.body, type=Body)
    except msgspec.MsgspecError as error:
        raise Wrong("invalid_request", "The request is not JSON, or lacks a field") from error
