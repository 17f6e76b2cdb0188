"""The errors of a request to Anaplan, sorted by whether the request had an effect.

After a failure one question matters: may the request have had an effect? With `NotSent`, `Refused` and `TryLater` it
had none. With `Unknown` it may have had one. `http.proven` says which answer means what.
"""

from __future__ import annotations


class AddressInvalid(ValueError):
    """A configured URL cannot be used. The text says why, and never shows a password that the URL may hold."""


class CloudWorksError(Exception):
    """A request to Anaplan failed. The text says what Anaplan answered, what to do, and what was requested."""


class Refused(CloudWorksError):
    """Anaplan refused the request. The same request would be refused again. Nothing began."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status, 400 to 499."""


class NotFound(Refused):
    """It does not exist, or our user may not see it (404)."""


class Busy(CloudWorksError):
    """The integration or flow is running already (409). The answer does not say who started that run."""


class TryLater(CloudWorksError):
    """Nothing began: Anaplan was busy (429, 503), could not be reached, or a gateway answered instead."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        """The wait that Anaplan asked for, in seconds, at most `RETRY_AFTER_CAP`; None if it named none."""


class NotSent(TryLater):
    """There was no connection, so Anaplan has not seen the request."""


class Unknown(CloudWorksError):
    """The answer was lost, late or unusable. The request may have had an effect."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status of the answer; None if no complete answer arrived."""
