"""The secret in Secrets Manager: its three forms, and what each of them sends to log in.

Reading is strict, because Anaplan locks a user out after repeated failed log-ins, and its errors show no value.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from base64 import b64encode
from contextlib import suppress
from functools import partial
from string import whitespace
from typing import TYPE_CHECKING, ClassVar, TypeVar

import msgspec

from anaplan_autoload.anaplan.errors import NO_FACTS, CloudWorksError
from anaplan_autoload.anaplan.http import RedactedRepr
from anaplan_autoload.anaplan.oauth import READABLE_TOKEN, OAuthCredentials

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

DAY_MS = 86_400_000

NO_VERSION = "none"
"""The version of a secret that cannot be read: it was created empty, or the function may not read it."""

SHAPES = (
    '{"username": "…", "password": "…"} or {"certificate": "<PEM>", "private_key": "<PEM>"}, '
    'and "private_key_password" too if the key is encrypted, or {"client_id": "…", "refresh_token": "…"}, '
    'and "client_secret" too if the OAuth client has one'
)
"""The three forms of the secret, for error texts."""

RESUMES = "Correct this and store the secret again. Loading resumes within minutes of the new version."
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}")


class LoginRefused(CloudWorksError):
    """This version of the secret cannot give a token; only a new version can."""

    def __init__(self, version: str, reason: str, answer: CloudWorksError | None = None) -> None:
        super().__init__(f"{answer.text if answer else reason} {RESUMES}", answer.facts if answer else NO_FACTS)
        self.version = version
        """The secret's version, as Secrets Manager names it, or `NO_VERSION`."""
        self.reason = reason
        """Why; the error's text also has the remedy, and the advice to store the secret again."""


class SecretInvalid(LoginRefused):
    """The secret does not have one of the three forms, or its values cannot be used. Nothing was sent to Anaplan."""

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

    kind: ClassVar[str] = "password"

    username: str
    password: str

    def login(self, now_ms: int) -> Login:
        """The log-in for these credentials."""
        authorization = "Basic " + _base64(f"{self.username}:{self.password}".encode())
        return Login(authorization, hidden=(self.password,), user=_shown_user(self.username, self.password))


class CertificateCredentials(RedactedRepr, frozen=True, forbid_unknown_fields=True):
    """A CA certificate that is registered with Anaplan and its RSA private key, both PEM text."""

    kind: ClassVar[str] = "certificate"

    certificate: str
    private_key: str
    private_key_password: str | None = None

    def login(self, now_ms: int) -> Login:
        """A new log-in, signed at `now_ms` (epoch ms): Anaplan accepts each signature once, and for a short time only.

        Format v2: eight bytes of epoch seconds, big-endian, then 92 random ones, signed SHA512withRSA (PKCS#1 v1.5).
        Sends only the certificate that belongs to the key and is valid now, even if the fields hold more.
        Raises `SecretInvalid` when certificate and key cannot be used.
        """
        # Most users log in with a password: this is no part of a cold start.
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA512

        from anaplan_autoload.anaplan import pem

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
        from anaplan_autoload.anaplan import pem

        return self._read(pem.ends_at)

    def _read(self, read: Callable[[str, str, str | None], _T]) -> _T:
        from anaplan_autoload.anaplan.pem import PemUnusable

        try:
            return read(self.certificate, self.private_key, self.private_key_password)
        except PemUnusable as error:
            reason = str(error)
        # Raise outside the `except` block, so that the secret's text does not become the error's context.
        raise SecretInvalid(reason)


Credentials = BasicCredentials | CertificateCredentials | OAuthCredentials

_FORMS: tuple[type[BasicCredentials | CertificateCredentials | OAuthCredentials], ...] = (
    BasicCredentials,
    CertificateCredentials,
    OAuthCredentials,
)
_PARTS = {
    "a password": ("username", "password"),
    "a certificate": ("certificate", "private_key", "private_key_password"),
    "an OAuth client": ("client_id", "refresh_token", "client_secret", "access_token", "expires_at"),
}
"""The fields of each form, as people call it: first the two that it needs."""
_FIELDS = tuple(name for names in _PARTS.values() for name in names)
_MAY_BE_EMPTY = ("private_key_password", "access_token", "expires_at")
_QUOTES = "'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_PLAIN_NAME = r"[A-Za-z_-]{1,40}"


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


def credentials_of(secret: Secret) -> Credentials:
    """The credentials in the secret. Raises `SecretInvalid` with its version."""
    return naming(secret, lambda: decode_secret(secret.text))


def naming(secret: Secret, act: Callable[[], _T]) -> _T:
    """What `act` returns; a `SecretInvalid` that it raises gets the secret's version."""
    try:
        return act()
    except SecretInvalid as error:
        reason = error.reason
    # Raise outside the `except` block, so that the secret's text does not become the error's context.
    raise SecretInvalid(reason, secret.version)


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
    found = ((name, getattr(credentials, name, None)) for name in _FIELDS)
    values = {name: value for name, value in found if isinstance(value, str)}
    empty = [name for name, value in values.items() if not value.strip() and name not in _MAY_BE_EMPTY]
    if empty:
        return f"The secret's {_quoted(empty)} {_is(empty)} empty."
    match credentials:
        case BasicCredentials():
            return _unfit_to_log_in(credentials, values)
        case OAuthCredentials():
            return _unfit_to_be_sent({name: value for name, value in values.items() if value})
    return ""


def _unfit_to_log_in(credentials: BasicCredentials, values: dict[str, str]) -> str:
    for name in ("username", "password"):
        if any(unicodedata.category(character) == "Cc" for character in values[name]):
            return f'The secret\'s "{name}" has a line break or another control character. Store it without.'
        if values[name] != values[name].strip():
            return f'The secret\'s "{name}" begins or ends with a space. Store it without.'
    if any(unicodedata.category(character) == "Cf" for character in credentials.username):
        return 'The secret\'s "username" has a character that cannot be seen. Type it again.'
    if _is_quoted(credentials.username):
        return 'The secret\'s "username" has quotation marks around it. Store it without.'
    if ":" in credentials.username:
        return "The secret's \"username\" has a colon, which Anaplan's log-in cannot send."
    return ""


def _unfit_to_be_sent(values: dict[str, str]) -> str:
    """What is wrong with an OAuth client's values, which are copied from a page or an answer."""
    for name, value in values.items():
        if not READABLE_TOKEN.fullmatch(value):
            return (
                f'The secret\'s "{name}" has a space, a line break or another character that cannot belong to it. '
                "Copy it again."
            )
        if _is_quoted(value):
            return f'The secret\'s "{name}" has quotation marks around it. Store it without.'
    return ""


def _is_quoted(value: str) -> bool:
    return value[0] in f'"{_QUOTES}' and value[-1] in f'"{_QUOTES}'


def _mismatch(fields: dict[str, object]) -> str:
    """Why an object has none of the three forms. Names fields, never values."""
    for name in fields:
        meant = name.strip().lower().replace("-", "_").replace(" ", "_")
        if name not in _FIELDS and meant in _FIELDS:
            return f'The secret\'s field "{meant}" is spelled differently. Field names are in lower case.'
    parts = [part for part, names in _PARTS.items() if fields.keys() & set(names)]
    wanted = _PARTS[parts[0] if parts else "a certificate"][:2]
    missing = [name for name in wanted if name not in fields]
    lacks = f"lacks {_quoted(missing)}"
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        shown = [name for name in unknown if re.fullmatch(_PLAIN_NAME, name)]
        named = f": {_quoted(shown)}" if shown else ""  # another name may be a secret in the wrong place
        too = f", and {lacks}" if missing else ""
        return f"The secret has {len(unknown)} field{'s' if len(unknown) > 1 else ''} too many{named}{too}."
    untyped = [name for name, value in fields.items() if not isinstance(value, str) and name != "expires_at"]
    if untyped:
        return f"The secret's {_quoted(untyped)} {_is(untyped)} not text."
    if len(parts) > 1:
        return f"The secret mixes {' and '.join(parts)}. Store one of them."
    return f"The secret {lacks}."


def _quoted(names: list[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def ends_at(secret: Secret, password_days: int) -> int | None:
    """When the log-in ends, epoch ms: its certificate ends, or its password was stored `password_days` ago.

    None if that is not known: `password_days` is 0, or it is a refresh token. Raises `SecretInvalid`.
    """
    credentials = decode_secret(secret.text)
    if isinstance(credentials, CertificateCredentials):
        return credentials.ends_at()
    if not isinstance(credentials, BasicCredentials) or not password_days or secret.stored_at is None:
        return None
    return secret.stored_at + password_days * DAY_MS


def _shown_user(username: str, password: str) -> str:
    """The user's name if it is an e-mail address, as Anaplan's are; another text may be a secret in the wrong field."""
    return username if _EMAIL.fullmatch(username) and password not in username else ""


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")
