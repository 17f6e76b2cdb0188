"""Anaplan's authentication service: log in with password or certificate, refresh, validate, log out."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import Answer, Refusal, Request, json_answer, unrouted
from local.cloudworks.json_shapes import Json
from local.cloudworks.tenant import User

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

VALIDATION_URL = "https://auth.anaplan.com/token/validate"
ATTEMPTS = 5
"""How many failed log-ins in a row lock a user."""
SIGNED_BYTES = 100
TIMESTAMP_BYTES = 8
TOLERANCE_SECONDS = 600
"""How far the time in a certificate log-in may be from Anaplan's."""


class Token(Struct, frozen=True, kw_only=True):
    """A token that was given out; times are epoch seconds on Anaplan's clock."""

    value: str
    id: str
    refresh_id: str
    refresh_token: str
    """Long-lived, and a secret like the token."""
    user: str
    expires_at: float
    oauth: bool = False
    """Whether the OAuth service gave it out."""

    def __repr__(self) -> str:
        """Without the value."""
        return f"Token(id={self.id!r}, user={self.user!r})"


class CertificateLogin(Json, frozen=True):
    """The body of a log-in with a certificate. Only version 2 is taken: version 1 is being retired."""

    encoded_data: str
    encoded_signed_data: str
    encoded_data_format: str


class Failed(Exception):
    """A log-in or a token is refused with 401."""

    def __init__(self, user: str | None = None) -> None:
        """`user` is known where somebody's password or signature was wrong: it counts towards a lock."""
        super().__init__("refused")
        self.user = user


class Authentication:
    """The service. The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment) -> None:
        """Nobody is logged in or locked."""
        self._environment = environment
        self._tokens: dict[str, Token] = {}
        self._failures: dict[str, int] = {}
        self._seen: set[bytes] = set()
        self.lockouts: dict[str, float] = {}
        """Users that were locked, by log-in name, and since when."""

    def handle(self, request: Request) -> Answer:
        """Answer a request to `/token/…`."""
        try:
            match request.method, request.path:
                case "POST", "/token/authenticate":
                    return self._authenticate(request)
                case "POST", "/token/refresh":
                    return self._refresh(request)
                case "GET", "/token/validate":
                    return self._validate(request)
                case "POST", "/token/logout":
                    return self._log_out(request)
                case _:
                    return unrouted()
        except Failed as failed:
            self._count(failed.user)
            return _failure(401, "FAILURE_BAD_CREDENTIAL", "Failed to authenticate. Verify the credentials.")
        except Refusal as refusal:
            return _failure(refusal.status, "FAILURE_BAD_HEADER", refusal.message)

    def user_of(self, authorization: str) -> User | None:
        """Whose token a CloudWorks request carries, in either form; None where it is not or no longer good."""
        scheme, _, value = authorization.partition(" ")
        token = self._tokens.get(value)
        if (
            scheme not in ("AnaplanAuthToken", "Bearer")
            or token is None
            or token.expires_at <= self._environment.anaplan_now()
            or (token.oauth and self._environment.settings.variants.oauth_scheme not in ("both", scheme))
        ):
            return None
        return self._environment.tenant.users.get(token.user)

    def name_of(self, authorization: str) -> str | None:
        """The log-in name of a token's owner, of an expired one too: for the request log."""
        token = self._tokens.get(authorization.partition(" ")[2])
        return token.user if token else None

    def expire(self, authorization: str) -> None:
        """End the life of the token that a request carries."""
        token = self._tokens.get(authorization.partition(" ")[2])
        if token is not None:
            self._tokens[token.value] = replace(token, expires_at=self._environment.anaplan_now())

    def given_out(self) -> tuple[str, ...]:
        """The tokens of all log-ins that were not logged out."""
        return tuple(self._tokens)

    def expire_all(self) -> None:
        """End the life of every token."""
        self._tokens = {
            value: replace(token, expires_at=self._environment.anaplan_now()) for value, token in self._tokens.items()
        }

    # Logging in

    def _authenticate(self, request: Request) -> Answer:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            user = self._by_password(_unpack(value))
        elif scheme == "CACertificate":
            user = self._by_certificate(_unpack(value), request.body)
        else:
            raise Refusal(400, "Invalid header. Verify the header.")
        self._failures.pop(user.name, None)
        return _shown(201, "Login successful", self.issue(user.name))

    def _by_password(self, pair: bytes) -> User:
        name, colon, password = pair.decode(errors="replace").partition(":")
        if not colon:
            raise Refusal(400, "Invalid header. Verify the header.")
        user = self._environment.tenant.users.get(name)
        if user is None or name in self.lockouts or user.password is None or user.password != password:
            raise Failed(name)
        return user

    def _by_certificate(self, pem: bytes, body: bytes) -> User:
        certificate = _certificate(pem)
        user = next(
            (user for user in self._environment.tenant.users.values() if _same(user.certificate, certificate)), None
        )
        if user is None or user.name in self.lockouts:
            raise Failed(user.name if user else None)
        if (
            not certificate.not_valid_before_utc.timestamp()
            <= self._environment.anaplan_now()
            < certificate.not_valid_after_utc.timestamp()
        ):
            raise Failed(user.name)
        try:
            login = msgspec.json.decode(body, type=CertificateLogin)
        except msgspec.MsgspecError as error:
            raise Refusal(400, "Invalid request body.") from error
        if not self._signed(certificate, login):
            raise Failed(user.name)
        return user

    def _signed(self, certificate: Certificate, login: CertificateLogin) -> bool:
        """Whether the signed bytes are of version 2, of now, new, and signed with the certificate's key."""
        data = _unpack(login.encoded_data)
        sent_at = int.from_bytes(data[:TIMESTAMP_BYTES], "big")
        if login.encoded_data_format != "v2" or len(data) != SIGNED_BYTES or data in self._seen:
            return False
        if abs(sent_at - self._environment.anaplan_now()) > TOLERANCE_SECONDS:
            return False
        self._seen.add(data)
        return _verified(certificate, data, _unpack(login.encoded_signed_data))

    def _count(self, user: str | None) -> None:
        if user not in self._environment.tenant.users or user is None:
            return
        self._failures[user] = self._failures.get(user, 0) + 1
        if self._failures[user] >= ATTEMPTS:
            self.lockouts.setdefault(user, self._environment.anaplan_now())

    # Tokens

    def issue(self, user: str, *, oauth: bool = False) -> Token:
        """A token for the user of that log-in name."""
        token = Token(
            value=f"{self._environment.new_id()}{self._environment.new_id()}",
            id=str(UUID(self._environment.new_id())),
            refresh_id=str(UUID(self._environment.new_id())),
            refresh_token=f"{self._environment.new_id()}{self._environment.new_id()}",
            user=user,
            oauth=oauth,
            expires_at=self._environment.anaplan_now() + self._environment.settings.token_life_seconds,
        )
        self._tokens[token.value] = token
        return token

    def _refresh(self, request: Request) -> Answer:
        token = self._token(request)
        if token.oauth:
            raise Failed
        token = replace(
            token, expires_at=self._environment.anaplan_now() + self._environment.settings.token_life_seconds
        )
        self._tokens[token.value] = token
        return _shown(200, "Token refreshed", token)

    def _validate(self, request: Request) -> Answer:
        token = self._token(request)
        if token.oauth and not self._environment.settings.variants.oauth_validates:
            raise Failed
        user = self._environment.tenant.users[token.user]
        return json_answer(
            200,
            {
                "meta": {"validationUrl": VALIDATION_URL},
                "status": "SUCCESS",
                "statusMessage": "Token validated",
                "userInfo": {"userGuid": user.guid, "userId": user.name, "customerGuid": "c" * 32},
                "tokenInfo": {"expiresAt": int(token.expires_at * 1000), "tokenId": token.id},
            },
        )

    def _log_out(self, request: Request) -> Answer:
        try:
            token = self._token(request)
        except Refusal as refusal:
            raise Failed from refusal  # 401 where the other two operations answer 400: as seen live
        del self._tokens[token.value]
        return Answer(204)

    def _token(self, request: Request) -> Token:
        """The living token that the request carries; `Bearer` is malformed here, unlike at CloudWorks."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme != "AnaplanAuthToken" or not value:
            raise Refusal(400, "Invalid header. Verify the header.")
        token = self._tokens.get(value)
        if token is None or token.expires_at <= self._environment.anaplan_now():
            raise Failed
        return token


def _failure(status: int, code: str, message: str) -> Answer:
    return json_answer(status, {"status": code, "statusMessage": message})


def _shown(status: int, message: str, token: Token) -> Answer:
    return json_answer(
        status,
        {
            "meta": {"validationUrl": VALIDATION_URL},
            "status": "SUCCESS",
            "statusMessage": message,
            "tokenInfo": {
                "expiresAt": int(token.expires_at * 1000),
                "tokenId": token.id,
                "tokenValue": token.value,
                "refreshTokenId": token.refresh_id,
                "refreshToken": token.refresh_token,
            },
        },
    )


def _unpack(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "Invalid header. Verify the header.") from error


def _certificate(pem: bytes) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Refusal(400, "Invalid header. Verify the header.") from error


def _same(pem: str | None, certificate: Certificate) -> bool:
    return pem is not None and _certificate(pem.encode()) == certificate


def _verified(certificate: Certificate, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is SHA512withRSA (PKCS#1 v1.5) over `data`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA512

    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(signature, data, PKCS1v15(), SHA512())
    except InvalidSignature:
        return False
    return True
