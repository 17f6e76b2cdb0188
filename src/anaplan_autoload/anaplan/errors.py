"""The errors of a request to Anaplan, sorted by whether the request had an effect.

    CloudWorksError            a request failed: `facts`
    ├── Refused                no effect, and it would be refused again: `status`
    │   └── NotFound           404
    ├── Busy                   no effect: 409, a run is under way
    ├── TryLater               no effect, for now: `retry_after`
    │   └── NotSent            there was no connection
    ├── Denied                 no effect: OAuth's own refusal, `code` (in `oauth`)
    ├── Unknown                it may have had an effect: `status`
    └── LoginRefused           no effect, until the secret changes: `version`, `reason` (in `credentials`)
        └── SecretInvalid      nothing was sent
    AddressInvalid             a URL in the settings cannot be used; not a CloudWorksError

After a failure one question matters: may the request have had an effect? With `NotSent`, `Refused` and `TryLater` it
had none. With `Unknown` it may have had one. `http.proven` says which answer means what.

Code decides by an error's class and fields. As a string, for logs and terminals, an error names the request too.
"""

from __future__ import annotations

from msgspec import Struct


class AddressInvalid(ValueError):
    """A configured URL cannot be used. The text says why, and never shows a password that the URL may hold."""


class Facts(Struct, frozen=True):
    """The separate facts about a failed request. Never holds a secret."""

    asked: str = ""
    """`POST https://…`"""
    answered: str = ""
    """`404 Not Found "No such run"`; empty if there was no answer."""
    said: str = ""
    """Anaplan's own message alone; empty if there was none."""
    remedy: str = ""
    """What to do about it."""


NO_FACTS = Facts()


class CloudWorksError(Exception):
    """A request to Anaplan failed."""

    def __init__(self, text: str, facts: Facts = NO_FACTS) -> None:
        super().__init__(text)
        self.text = text
        """What Anaplan answered, and what to do, in sentences."""
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.text} ({self.facts.asked})" if self.facts.asked else self.text


class Refused(CloudWorksError):
    """Anaplan refused the request. The same request would be refused again. Nothing began."""

    def __init__(self, text: str, status: int, facts: Facts = NO_FACTS) -> None:
        super().__init__(text, facts)
        self.status = status
        """The HTTP status, 400 to 499."""


class NotFound(Refused):
    """It does not exist, or our user may not see it (404)."""


class Busy(CloudWorksError):
    """The integration or flow is running already (409). The answer does not say who started that run."""


class TryLater(CloudWorksError):
    """Nothing began: Anaplan was busy (429, 503), could not be reached, or a gateway answered instead."""

    def __init__(self, text: str, retry_after: float | None = None, facts: Facts = NO_FACTS) -> None:
        super().__init__(text, facts)
        self.retry_after = retry_after
        """The wait that Anaplan asked for, in seconds, at most `RETRY_AFTER_CAP`; None if it named none."""


class NotSent(TryLater):
    """There was no connection, so Anaplan has not seen the request."""


class Unknown(CloudWorksError):
    """The answer was lost, late or unusable. The request may have had an effect."""

    def __init__(self, text: str, status: int | None = None, facts: Facts = NO_FACTS) -> None:
        super().__init__(text, facts)
        self.status = status
        """The HTTP status of the answer; None if no complete answer arrived."""
