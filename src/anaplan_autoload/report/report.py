"""What became of a batch, told to everyone: a log line, metrics and an SNS message.

A `Report` is the one description; the other modules of this package render it. Call them inside durable steps:
outside, a replay would repeat them. Each may be repeated without harm: a message has the same `id` and `outcome` every
time, so subscribers can drop what they have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from anaplan_autoload.domain.times import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anaplan_autoload.domain.events import Upload


ReportOutcome: TypeAlias = Literal["loaded", "partial", "failed", "rejected", "held", "overdue"]
"""How a batch ends, and two more that are worth a message: log-in refused (`held`), a run that takes long."""


class ReportedUpload(Struct, frozen=True):
    """One upload as the message shows it."""

    bucket: str
    key: str
    version_id: str | None
    size: int | None
    """Bytes; null where the event did not tell."""
    event_time: str

    @classmethod
    def of(cls, upload: Upload) -> ReportedUpload:
        """What the message shows of an upload."""
        return cls(upload.bucket, upload.key, upload.version_id, upload.size, upload.event_time)


class ReportedError(Struct, frozen=True):
    """One kind of error in a run, as CloudWorks' `runerror` counts them."""

    action: str
    """The name of the import or process."""
    message: str
    occurrences: int
    """Rows; one that has several errors is counted for each."""
    values: tuple[str, ...] = ()
    """Examples of what was rejected."""


class Report(Struct, frozen=True, kw_only=True):
    """The JSON document of the SNS message. Times are `2026-11-24T21:05:00.123Z`."""

    id: str
    """The run's id, or `batch-<batch id>` where none began: the same each time the message is sent."""
    outcome: ReportOutcome
    route: str
    integration_id: str | UnsetType = UNSET
    """Exactly one of `integration_id` and `flow_id` is set; the other is absent from the document."""
    flow_id: str | UnsetType = UNSET
    run_id: str | None
    """Null where no run began, as is `started_at`."""
    started_at: str | None
    ended_at: str | None
    """Null while a run goes on (`overdue`)."""
    message: str
    """Anaplan's own words where a run ended; else ours, with the remedy."""
    error_code: int | None = None
    uploads: tuple[ReportedUpload, ...] = ()
    """Oldest first; maybe not all of them."""
    uploads_total: int
    files_total: int | None = None
    """How many files they are, as several uploads of one key are one; null where there are too many to tell."""
    errors: tuple[ReportedError, ...] = ()
    """Maybe not all of them."""
    errors_total: int = 0
    report_url: str | None = None
    """`s3://bucket/prefix/` with what was saved of the errors and the rejected rows; null where nothing was."""
    report_link: str | None = None
    """The same place in AWS's console, for people."""
    rows_saved: bool = False
    """Whether rejected rows were saved there, and not the errors alone."""
    details_missing: str | None = None
    """Which of the errors and rejected rows could not be had or saved, and why; null where nothing is missing."""
    secret_id: str | UnsetType = UNSET
    """With `held`, the secret to mend; else absent from the document."""

    @property
    def files_listed(self) -> int:
        """How many files `uploads` speak of."""
        return files_in(self.uploads)

    @property
    def files(self) -> int | None:
        """How many files the uploads are; None where that is not known, as not all uploads are listed."""
        if self.files_total is None and self.uploads_total <= len(self.uploads):
            return self.files_listed
        return self.files_total

    @property
    def rejected(self) -> str:
        """`rows_rejected` as far as is known: a report may hold the first errors only."""
        at_least = "at least " if self.errors_total > len(self.errors) else ""
        return f"{at_least}{self.rows_rejected:,}"

    @property
    def target(self) -> str:
        """The id of what was run: the integration's or the flow's."""
        return self.integration_id or self.flow_id or ""

    @property
    def rows_rejected(self) -> int:
        """How many rows `errors` speak of; one that has several errors is counted for each."""
        return sum(error.occurrences for error in self.errors)

    @property
    def seconds(self) -> float | None:
        """How long the run took, on Anaplan's clock; None where it has not begun or not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return seconds_between(self.started_at, self.ended_at)


def files_in(uploads: Iterable[ReportedUpload]) -> int:
    """How many files these uploads are: several of one key are one."""
    return len({(upload.bucket, upload.key) for upload in uploads})


def held_message(secret_id: str, reason: str) -> str:
    """The message of a `held` report: why, and which secret it is about, never what that holds."""
    return f"{reason} The secret is {secret_id}."
