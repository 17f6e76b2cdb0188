"""Renews the access token of an OAuth log-in, and never loses a refresh token that every use replaces.

A refresh token that rotates works once. Two executions that send the same one lose it, and so does one that dies
between Anaplan's answer and the secret. So one execution at a time renews, under a lease in the ledger:

1. lease: an execution that does not get it waits for the new version of the secret, with an access token for all.
2. read the secret again: it may have been renewed meanwhile.
3. note in the ledger which version's token is about to be spent, and renew the lease in the same write.
4. send it.
5. write the secret: the new refresh token, and the access token with it. Only then is the access token used.
6. note the new version in the ledger, and give the lease back.

A death before 4 costs nothing, and one after 5 neither. In between, the new token is lost, and only a new log-in helps:
Anaplan refuses the old one, that version of the secret is recorded as rejected, and the lanes are held. If the secret
cannot be written, the new token stays in memory, and the next call in this function instance tries again.

A refresh token that does not rotate is noted as such in the ledger. From then on it is like a password: no lease, and
every function instance has an access token of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.anaplan import oauth
from anaplan_autoload.anaplan.credentials import LoginRefused, Secret, credentials_of
from anaplan_autoload.anaplan.errors import TryLater, Unknown
from anaplan_autoload.anaplan.http import LIMITS, Limits, RedactedRepr, checked_url, in_words
from anaplan_autoload.anaplan.oauth import Access, Grant, OAuthCredentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import PoolManager

PATIENCE_SECONDS = 12
"""How long to wait for another execution that renews. It usually takes a second."""
LOOK_SECONDS = 1
EARLY_SECONDS = 600
"""An access token that CloudWorks refuses before its time is replaced at most this often. A user who lacks a role is
refused each time, and Secrets Manager keeps every version for a day: AWS asks for at most one in ten minutes."""
IDLE_SECONDS = 4 * 3600
"""A refresh token that rotates is used this long after its access token has expired, even if nothing is loaded.
Unless Anaplan's administrator chose otherwise, one that is not used dies after about twelve hours."""

AGAIN = "Get a new refresh token: anaplan-autoload auth login --device."
_INTERRUPTED = (
    "An earlier renewal was interrupted after this refresh token had been sent, so Anaplan may have replaced it by one "
    f"that nobody has. {AGAIN}"
)
_REPLACED = "The secret was replaced while its log-in was renewed. The new one is used next."


class NotStored(Exception):
    """Secrets Manager refuses to write the secret, and would again. The text says why, and what to allow."""


class Renewal(Struct, frozen=True, omit_defaults=True):
    """What the ledger remembers about the renewals of one secret. Versions are Secrets Manager's ids."""

    spent: str | None = None
    """The version whose refresh token was sent last."""
    stored: str | None = None
    """The version that it was replaced by; None while that is not known."""
    kept: str | None = None
    """The version whose refresh token does not rotate."""
    early_at: int = 0
    """Epoch ms; when an access token was last replaced before its time."""


class Records(Protocol):
    """The ledger's part: a lease, and a `Renewal`. `holder` names one renewal."""

    shared: bool
    """Whether the function sees them too."""

    def read(self) -> Renewal:
        """What is remembered."""

    def lease(self, holder: str, now: int) -> Renewal | None:
        """Take the lease if it is free, expired or ours; None if it is not."""

    def spend(self, holder: str, now: int, renewal: Renewal) -> bool:
        """Renew the lease, and note what is about to be spent, in one write; False if the lease is lost."""

    def end(self, holder: str, renewal: Renewal) -> None:
        """Note how it ended, and give the lease back, if it is still ours. A failure is ignored: leases expire."""


class Store(Protocol):
    """Secrets Manager's part. Raises `NotStored`, or `TryLater` for trouble that may pass."""

    def write(self, text: str, version: str) -> None:
        """Make this the secret's current value, as the version of this id. Writing it twice has no effect."""

    def rehearse(self, text: str) -> None:
        """Write a version that nobody uses, to see whether the secret can be written."""


class _Unsaved(RedactedRepr, frozen=True):
    """A new refresh token that is not in the secret yet."""

    holder: str
    secret: Secret
    """Whose token it replaces."""
    successor: str
    """The version to write."""
    text: str
    access: Access
    renewal: Renewal


class _Turn(RedactedRepr, frozen=True):
    """One renewal: who, with what, and what the ledger remembered before."""

    holder: str
    secret: Secret
    credentials: OAuthCredentials
    before: Renewal


class Renewer:
    """Access tokens for a secret that holds a refresh token. Not thread-safe."""

    def __init__(
        self,
        http: PoolManager,
        url: str,
        source: Callable[[], Secret],
        store: Store,
        records: Records,
        *,
        rejected: Callable[[str], bool],
        reject: Callable[[str], None],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
        careful: bool = False,
    ) -> None:
        """Renew at `url` (`https://us1a.app.anaplan.com`), and send refresh tokens to no other host.

        `source`, `rejected`, `reject` and `clock` are as in `Tokens`. With `careful`, a refresh token that may rotate
        is not sent before it is certain that the secret can be written: for people, who often may only read it.
        Raises `AddressInvalid` if it is not safe to send tokens to `url`.
        """
        self._http = http
        self._url = checked_url(url)
        self._source = source
        self._store = store
        self._records = records
        self._rejected = rejected
        self._reject = reject
        self._clock = clock
        self._sleep = sleep
        self._careful = careful
        self._writable = False
        self._unsaved: _Unsaved | None = None

    def access(self, secret: Secret, refused: str | None = None, limits: Limits = LIMITS) -> Access:
        """An access token that does not expire soon, and is not the one that CloudWorks has just `refused`.

        If that one was replaced before its time a short while ago, it is returned again.
        Raises `LoginRefused` (or its `SecretInvalid`) if only a new secret can help, and `TryLater` otherwise.
        """
        if self._unsaved is not None:
            return self._save_at_last(self._unsaved)
        holder, deadline = _name(), self._clock() + PATIENCE_SECONDS * 1000
        while True:
            credentials = self._credentials(secret)
            if ready := self._ready(credentials, refused):
                return ready
            before = self._records.read()
            if before.kept == secret.version:
                self._check_rejected(secret)
                return self._renew(_Turn(holder, secret, credentials, before), before, limits)
            self._check_shared(credentials)
            if turn := self._turn(holder):
                return self._renew_alone(turn, refused, limits)
            if self._clock() >= deadline:
                raise TryLater("Another execution is renewing Anaplan's log-in, or the result cannot be read yet.")
            self._sleep(LOOK_SECONDS)
            secret = self._source()

    def is_due(self, secret: Secret) -> bool:
        """Whether to use the refresh token now, although nobody needs it.

        So that it does not expire unused; so that it is known whether it rotates; to store what could not be stored.
        """
        if self._unsaved is not None:
            return True
        if self._rejected(secret.version):
            return False
        credentials = self._credentials(secret)
        if credentials.rotates:
            return credentials.expiry + IDLE_SECONDS * 1000 < self._clock()
        return self._records.read().kept != secret.version

    # One at a time.

    def _renew_alone(self, turn: _Turn, refused: str | None, limits: Limits) -> Access:
        """Renew under the lease, unless that has been done meanwhile or must not be."""
        try:
            ready = self._early(turn, refused) or self._ready(turn.credentials, refused)
            if ready is None:
                self._check(turn)
        except (LoginRefused, TryLater):
            self._records.end(turn.holder, turn.before)
            raise
        if ready is not None:
            self._records.end(turn.holder, turn.before)
            return ready
        return self._spend(turn, refused, limits)

    def _turn(self, holder: str) -> _Turn | None:
        """The lease, and the secret as it is now; None while another has it, or its result cannot be read yet."""
        before = self._records.lease(holder, self._clock())
        if before is None:
            return None
        try:
            secret = self._source()
            turn = _Turn(holder, secret, self._credentials(secret), before)
        except (LoginRefused, TryLater):
            self._records.end(holder, before)
            raise
        if before.stored is not None and before.spent == secret.version:
            self._records.end(holder, before)  # Secrets Manager still returns the version before
            return None
        return turn

    def _check(self, turn: _Turn) -> None:
        """Raise the reason why this version's token must not be sent."""
        self._check_rejected(turn.secret)
        if self._writable or not (turn.credentials.rotates or self._careful):
            return
        try:
            self._store.rehearse(turn.secret.text)
        except NotStored as error:
            why = "is replaced at every use" if turn.credentials.rotates else "may be replaced when it is used"
            reason = f"The refresh token {why}, and the next one could not be stored. {error} Nothing was sent."
            raise (TryLater(reason) if self._careful else LoginRefused(turn.secret.version, reason)) from None
        self._writable = True

    def _early(self, turn: _Turn, refused: str | None) -> Access | None:
        """The refused token, if it was replaced before its time a short while ago."""
        if refused is None or not self._is_early(turn, refused):
            return None
        lately = turn.before.early_at + EARLY_SECONDS * 1000 > self._clock()
        return Access(refused, turn.credentials.expiry) if lately else None

    def _is_early(self, turn: _Turn, refused: str | None) -> bool:
        return turn.credentials.access_token == refused and turn.credentials.expiry > self._clock()

    def _spend(self, turn: _Turn, refused: str | None, limits: Limits) -> Access:
        now = self._clock()
        early_at = now if self._is_early(turn, refused) else turn.before.early_at
        spent = Renewal(spent=turn.secret.version, early_at=early_at)
        if not self._records.spend(turn.holder, now, spent):
            raise TryLater("Another execution has begun to renew Anaplan's log-in.")
        return self._renew(turn, spent, limits)

    def _renew(self, turn: _Turn, spent: Renewal, limits: Limits) -> Access:
        """Send the refresh token, and store the one that comes back if it is another."""
        grant = self._ask(turn, spent, limits)
        if not grant.replaces(turn.credentials):
            if turn.before.kept != turn.secret.version:
                self._records.end(turn.holder, Renewal(kept=turn.secret.version))
            return grant.access
        text = turn.credentials.replaced_by(grant)
        unsaved = _Unsaved(turn.holder, turn.secret, _name(), text, grant.access, spent)
        self._unsaved = unsaved
        return self._save(unsaved)

    def _ask(self, turn: _Turn, spent: Renewal, limits: Limits) -> Grant:
        try:
            return oauth.refresh(self._http, self._url, turn.credentials, self._clock(), limits)
        except oauth.Denied as error:
            self._reject(turn.secret.version)
            self._records.end(turn.holder, spent)
            raise _denied(turn, error) from error
        except Unknown as error:
            self._records.end(turn.holder, spent)
            raise TryLater(str(error), facts=error.facts) from error
        except TryLater:
            self._records.end(turn.holder, turn.before)
            raise

    # Storing the new token.

    def _save(self, unsaved: _Unsaved) -> Access:
        """Write the secret, unless somebody stored another log-in meanwhile.

        Secrets Manager may return an older version for a while, so a newer one is known by its time.
        """
        current = self._source()
        if current.version != unsaved.successor:
            if current.version != unsaved.secret.version and _is_newer(current, unsaved.secret):
                self._forget(unsaved, replace(unsaved.renewal, stored=current.version))
                raise TryLater(_REPLACED)
            self._write(unsaved)
        self._writable = True
        self._forget(unsaved, replace(unsaved.renewal, stored=unsaved.successor))
        if not unsaved.access.value:
            raise TryLater("Anaplan replaced the refresh token, but its answer had no access token. It is asked again.")
        return unsaved.access

    def _write(self, unsaved: _Unsaved) -> None:
        try:
            self._store.write(unsaved.text, unsaved.successor)
        except NotStored as error:
            self._reject(unsaved.secret.version)
            self._records.end(unsaved.holder, unsaved.renewal)
            reason = f"Anaplan replaced the refresh token, but the new one could not be stored, so it is lost. {error}"
            raise LoginRefused(unsaved.secret.version, f"{reason} {AGAIN}") from None

    def _save_at_last(self, unsaved: _Unsaved) -> Access:
        """Write what could not be written before."""
        if self._records.lease(unsaved.holder, self._clock()) is None:
            raise TryLater("Another execution is renewing Anaplan's log-in, while this one has not stored its result.")
        return self._save(unsaved)

    def _forget(self, unsaved: _Unsaved, ended: Renewal) -> None:
        self._unsaved = None
        self._records.end(unsaved.holder, ended)

    # Reading.

    def _credentials(self, secret: Secret) -> OAuthCredentials:
        credentials = credentials_of(secret)
        if isinstance(credentials, OAuthCredentials):
            return credentials
        raise TryLater(_REPLACED)

    def _ready(self, credentials: OAuthCredentials, refused: str | None) -> Access | None:
        """The access token in the secret, if it can be used."""
        access = Access(credentials.access_token or "", credentials.expiry)
        return access if access.lasts(self._clock()) and access.value != refused else None

    def _check_shared(self, credentials: OAuthCredentials) -> None:
        if credentials.rotates and not self._records.shared:
            raise TryLater(
                "The access token in the secret has expired, and making a new one replaces the refresh token. The "
                "function may be doing that at this moment: name its stack with --stack, so that only one does."
            )

    def _check_rejected(self, secret: Secret) -> None:
        if self._rejected(secret.version):
            reason = f"The refresh token was refused or lost; it is not sent again (version {secret.version}). {AGAIN}"
            raise LoginRefused(secret.version, reason)


def _denied(turn: _Turn, error: oauth.Denied) -> LoginRefused:
    facts = error.facts
    if error.code == "invalid_grant" and turn.before.spent == turn.secret.version:
        facts = replace(facts, remedy=_INTERRUPTED)
    reason = f"Anaplan refused the refresh token: {facts.answered}. {facts.remedy}"
    return LoginRefused(turn.secret.version, reason, oauth.Denied(in_words(facts), error.code, facts))


def _is_newer(one: Secret, other: Secret) -> bool:
    return (one.stored_at or 0) > (other.stored_at or 0)


def _name() -> str:
    return str(uuid4())
