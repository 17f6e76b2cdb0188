"""How the user of the command line logs in to Anaplan.

With a secret (`--secret-id`), with a user's name and password, or with a CA certificate and its key. A password comes
from the environment or from a prompt, never from an argument, which others on the machine could read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from msgspec import Struct

from anaplan_autoload.anaplan.credentials import LoginRefused, Secret
from anaplan_autoload.anaplan.http import http_pool
from anaplan_autoload.anaplan.oauth import oauth_url
from anaplan_autoload.anaplan.renewal import Renewal, Renewer
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws.rejections import Rejections
from anaplan_autoload.aws.renewals import Renewals
from anaplan_autoload.aws.secret import SecretStore, secret_source
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.settings import environment

if TYPE_CHECKING:
    from anaplan_autoload_cli.output import Output
    from anaplan_autoload_cli.settings import CommandSettings

NOBODY = (
    "Name a secret with --secret-id (or a stack with --stack), or set ANAPLAN_USERNAME and ANAPLAN_PASSWORD, or "
    "ANAPLAN_CERTIFICATE and ANAPLAN_PRIVATE_KEY, which are files."
)
LEASE_MS = 180_000
"""How long the function must wait for this process to renew an OAuth log-in; as long as for itself."""


class LoginMethod(Struct, frozen=True):
    """A way to log in."""

    description: str
    """For people: `user ada@example.com`."""
    source: Callable[[], Secret]
    secret_id: str | None = None
    """Set where the credentials come from Secrets Manager."""


def login_method(settings: CommandSettings, out: Output) -> LoginMethod:
    """The log-in that flags, environment or file name, else the stack's secret, else what the user types.

    Raises `CommandFailed` if two log-ins are named, or if none is named and nobody can be asked.
    """
    if flag := settings.flag("secret_id"):
        return with_secret(settings, flag)
    username, certificate = settings.get("username"), settings.get("certificate")
    if username and certificate:
        raise CommandFailed(
            "Both a user (ANAPLAN_USERNAME) and a certificate (ANAPLAN_CERTIFICATE) are named.",
            remedy="Unset one of them.",
        )
    if certificate:
        return _with_certificate(certificate, settings.require("private_key"))
    if username:
        return _with_password(out, username)
    if secret_id := settings.get("secret_id"):
        return with_secret(settings, secret_id)
    if not out.interactive:
        raise CommandFailed("No log-in to Anaplan is named.", remedy=NOBODY)
    return _with_password(out, asked_for("Anaplan user"))


class Alone:
    """Replaces the ledger if it is not known; other processes do not see it. See `renewal.Records`."""

    shared = False

    def __init__(self) -> None:
        self._renewal = Renewal()

    def read(self) -> Renewal:
        """The stored renewal."""
        return self._renewal

    def lease(self, holder: str, now: int) -> Renewal | None:
        """Take the lease, which is always free."""
        return self._renewal

    def spend(self, holder: str, now: int, renewal: Renewal) -> bool:
        """Store it."""
        self._renewal = renewal
        return True

    def end(self, holder: str, renewal: Renewal) -> None:
        """Store it."""
        self._renewal = renewal


def with_secret(settings: CommandSettings, secret_id: str) -> LoginMethod:
    """A log-in with what Secrets Manager holds, which is read again each time."""
    client = settings.session.client("secretsmanager")
    return LoginMethod(f"secret {secret_id}", secret_source(client, secret_id), secret_id)


def tokens(settings: CommandSettings, method: LoginMethod) -> Tokens:
    """The function's own log-in. A secret that Anaplan has refused is not sent again where the ledger is known."""
    rejected, reject = _memory_of_refusals(settings, method)

    def renewer() -> Renewer:
        """For a secret with a refresh token, which must not be lost when it is replaced."""
        secret_id, table = settings.require("secret_id", method.secret_id), settings.get("table")
        return Renewer(
            http_pool(),
            url_of_oauth(settings),
            method.source,
            SecretStore(settings.session.client("secretsmanager"), secret_id),
            Renewals(settings.session.client("dynamodb"), table, secret_id, LEASE_MS) if table else Alone(),
            rejected=rejected,
            reject=reject,
            careful=True,
        )

    return Tokens(
        http_pool(),
        settings.require("auth_url"),
        method.source,
        rejected=rejected,
        reject=reject,
        renewer=renewer,
    )


def url_of_oauth(settings: CommandSettings) -> str:
    """Anaplan's OAuth service: what is set, else that of the authentication service's region."""
    return settings.get("oauth_url") or oauth_url(settings.require("auth_url"))


def may_rotate(settings: CommandSettings) -> bool | None:
    """Whether the stack lets the function store a refresh token that was replaced; None if no stack is named."""
    return settings.outputs.get("RefreshTokenRotates") == "true" if settings.get("stack") else None


def refusal(error: LoginRefused, method: LoginMethod) -> str:
    """Why there is no token. The advice to store the secret again is left out if there is no secret."""
    return str(error) if method.secret_id else error.reason


def asked_for(prompt: str) -> str:
    """What the user types, the prompt on stderr; raises `CommandFailed` if it is empty."""
    answer = str(typer.prompt(prompt, err=True)).strip()
    if not answer:
        raise CommandFailed(f"{prompt}: nothing was typed.")
    return answer


def _memory_of_refusals(
    settings: CommandSettings, method: LoginMethod
) -> tuple[Callable[[str], bool], Callable[[str], None]]:
    """Whether a version of the secret was refused, and how to note it: in the ledger, which the function reads too."""
    secret_id, table = method.secret_id, settings.get("table")
    if not secret_id or not table:
        refused: set[str] = set()
        return refused.__contains__, refused.add
    rejections = Rejections(settings.session.client("dynamodb"), table, secret_id)
    return rejections.includes, rejections.add


def _with_password(out: Output, username: str) -> LoginMethod:
    password = environment().get("ANAPLAN_PASSWORD")
    if not password:
        if not out.interactive:
            raise CommandFailed(
                f"The password of {username} is not known, and there is no terminal to type it in.",
                remedy="Set ANAPLAN_PASSWORD, or name a secret with --secret-id.",
            )
        password = getpass(f"Password of {username}: ")
    return _given(f"user {username}", {"username": username, "password": password})


def _with_certificate(certificate: str, private_key: str) -> LoginMethod:
    content = {"certificate": _pem(certificate), "private_key": _pem(private_key)}
    if password := environment().get("ANAPLAN_PRIVATE_KEY_PASSWORD"):
        content["private_key_password"] = password
    return _given(f"certificate {certificate}", content)


def _pem(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error
    if "-----BEGIN" not in text:
        raise CommandFailed(
            f"{path} is not a PEM file.", remedy="Convert it; PEM files are text with a line -----BEGIN … ."
        )
    return text


def _given(description: str, content: dict[str, str]) -> LoginMethod:
    """Credentials in the form of the secret, so that there is one way to read them."""
    secret = Secret("given", json.dumps(content))
    return LoginMethod(description, lambda: secret)
