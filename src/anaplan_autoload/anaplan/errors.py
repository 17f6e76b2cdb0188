"""What a request to Anaplan may come to, sorted by what it proves.

The one question that matters after a failure is whether the request may have had an effect: it had none with `NotSent`,
`Refused` and `TryLater`; with `Unknown` nobody can tell. `http.proven` says which answer proves what.
"""

from __future__ import annotations


class AddressInvalid(ValueError):
    """A configured URL cannot be used; the text says why, without any password that the URL may hold."""


class CloudWorksError(Exception):
    """A request to Anaplan came to nothing. The text says what was answered, what to do, and what was asked."""


class Refused(CloudWorksError):
    """Anaplan refused the request for good: asking again unchanged gets the same answer. Nothing began."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status, 400 to 499."""


class NotFound(Refused):
    """There is no such thing, or our user may not see it (404)."""


class Busy(CloudWorksError):
    """The integration or flow is running already (409); whose run that is, the answer does not tell."""


class TryLater(CloudWorksError):
    """Nothing began: Anaplan had no time (429, 503), was not reached, or a gateway answered in its place."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        """Seconds that Anaplan asked for, at most `RETRY_AFTER_CAP`; None when it named none."""


class NotSent(TryLater):
    """No connection came about, so Anaplan has not seen the request."""


class Unknown(CloudWorksError):
    """The answer was lost, late or unusable: the request may or may not have had its effect."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status of the answer; None where none arrived, or not all of it."""
