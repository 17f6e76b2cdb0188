"""Renews the access token of an OAuth log-in, and protects refresh tokens that rotate (each use replaces them).

A rotating refresh token works only once. It is lost if two executions send it, or if an execution dies after Anaplan's
answer and before the secret is written. So only one execution at a time renews, under a lease in the ledger:

1. Take the lease. Executions that do not get it wait for the secret's new version, and share its access token.
2. Read the secret again: another execution may have renewed it in the meantime.
3. Note in the ledger which version's token is about to be sent, and renew the lease in the same write.
4. Send the token.
5. Write the new refresh token and the access token to the secret. The access token is used only after that.
6. Note the new version in the ledger, and release the lease.

If the execution dies before step 4 or after step 5, nothing is lost. In between, the new token is lost, and a new
log-in is needed: Anaplan refuses the old token, that version of the secret is recorded as rejected, and the lanes are
held. If the secret cannot be written for now, the new token stays in memory, and the next call in this function
instance tries again.

A refresh token that does not rotate is noted as such in the ledger. From then on it is used like a password: without a
lease, and with a separate access token in each function instance.
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
"""How long to wait while another execution renews, which usually takes a second."""
LOOK_SECONDS = 1
EARLY_SECONDS = 600
"""If CloudWorks refuses an access token that has not expired, it is replaced at most once in this time. A user without
the needed role is refused every time, and AWS advises against writing a secret more than once in ten minutes."""
IDLE_SECONDS = 4 * 3600
"""A rotating refresh token is used this long after its access token has expired, even if nothing is loaded. An unused
one expires after about twelve hours, unless Anaplan's administrator chose another time."""

AGAIN = "Get a new refresh token: anaplan-autoload auth login --device."
_INTERRUPTED = (
    "An earlier renewal was interrupted after this refresh token had been sent, so Anaplan may have replaced it by one "
    f"that nobody has. {AGAIN}"
)
_REPLACED = "The secret was replaced while its log-in was renewed. The new one is used next."


class NotStored(Exception):
    """Secrets Manager refuses to write the secret, and a retry would not help. The text says why, and what to allow."""


class Renewal(Struct, frozen=True, omit_defaults=True):
    """What the ledger stores about the renewals of one secret. Versions are Secrets Manager's version ids."""

    spent: str | None = None
    """The version whose refresh token was sent last."""
    stored: str | None = None
    """The version that replaced it; None while that is not known."""
    kept: str | None = None
    """The version whose refresh token does not rotate."""
    early_at: int = 0
    """When an access token was last replaced before it expired, epoch ms."""


class Records(Protocol):
    """Where the lease and the `Renewal` are stored: the ledger. `holder` identifies one renewal."""

    shared: bool
    """Whether the function uses the same records."""

    def read(self) -> Renewal:
        """Read the stored `Renewal`."""

    def lease(self, holder: str, now: int) -> Renewal | None:
        """Take the lease if it is free, expired or ours; None if it is not."""

    def spend(self, holder: str, now: int, renewal: Renewal) -> bool:
        """Renew the lease and note which version is about to be sent, in one write; False if the lease is lost."""

    def end(self, holder: str, renewal: Renewal) -> None:
        """Note the result and release the lease, if it is still ours. A failure is ignored, as leases expire."""


class Store(Protocol):
    """Writes the secret. Raises `NotStored`, or `TryLater` if a retry may help."""

    def write(self, text: str, version: str) -> None:
        """Make this the secret's current value, with this version id. Writing it again changes nothing."""

    def rehearse(self, text: str) -> None:
        """Write a version that nothing uses, to find out whether the secret can be written."""


class _Unsaved(RedactedRepr, frozen=True):
    """A new refresh token that is not in the secret yet."""

    holder: str
    secret: Secret
    """The secret whose token it replaces."""
    successor: str
    """The version to write."""
    text: str
    access: Access
    renewal: Renewal


class _Turn(RedactedRepr, frozen=True):
    """One renewal: its holder, the secret that it uses, and what the ledger stored before it."""

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
        is sent only after a test that the secret can be written. It is for people, who often may only read it.
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
        """Return an access token that does not expire soon, and is not the one that CloudWorks has just `refused`.

        Exception: the refused one is returned again if a token was replaced early in the last `EARLY_SECONDS`.
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
        """Whether to use the refresh token now, although no access token is needed.

        There are three reasons: it would expire unused, it is not known whether it rotates, or the last new one could
        not be stored yet.
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
        """Renew under the lease, unless another execution already has, or this one must not."""
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
        """Take the lease, and read the secret; None if another execution has it, or its result cannot be read yet."""
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
            self._records.end(holder, before)  # Secrets Manager still returns the previous version
            return None
        return turn

    def _check(self, turn: _Turn) -> None:
        """Raise an error if this version's token must not be sent; its text says why."""
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
        """The refused token, if replacing it now would be too soon after the last early replacement."""
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
        """Send the refresh token. If a different one comes back, store it."""
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
            raise TryLater(error.text, facts=error.facts) from error
        except TryLater:
            self._records.end(turn.holder, turn.before)
            raise

    # Storing the new token.

    def _save(self, unsaved: _Unsaved) -> Access:
        """Write the secret, unless somebody has stored another log-in in the meantime.

        Secrets Manager may return an older version for a while, so times show which version is newer.
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
        """Retry writing a new token that could not be stored before."""
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
