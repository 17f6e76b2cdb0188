"""How a batch ended, as one value. The other modules of this package turn it into a log line, metrics and a message.

Call them inside durable steps, because a replay would repeat them outside. Repeating one is harmless: a message has the
same `id` and `outcome` every time, so subscribers can ignore what they have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from anaplan_autoload.domain.contents import Problem
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.domain.standing import Trouble
from anaplan_autoload.domain.times import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.runs import RunError


class ReportedUpload(Struct, frozen=True):
    """One upload as the message shows it."""

    bucket: str
    key: str
    version_id: str | None
    size: int | None
    """Bytes; null if the event did not say."""
    event_time: str

    @classmethod
    def of(cls, upload: Upload) -> ReportedUpload:
        """The part of an upload that the message shows."""
        return cls(upload.bucket, upload.key, upload.version_id, upload.size, upload.event_time)


class ReportedError(Struct, frozen=True):
    """One kind of error in a run, as CloudWorks' `runerror` counts them."""

    action: str
    """The name of the import or process."""
    message: str
    occurrences: int
    """Rows; a row with several errors counts for each."""
    values: tuple[str, ...] = ()
    """Examples of what was rejected."""

    @classmethod
    def of(cls, error: RunError) -> ReportedError:
        """The part of an error that the message shows."""
        return cls(error.action, error.message, error.occurrences, error.values)


class LastLoad(Struct, frozen=True):
    """The last load of a route."""

    ended_at: str
    file: str | None
    """The key of its newest upload; null where it is not known."""


class Report(Struct, frozen=True, kw_only=True):
    """The JSON document of the SNS message. Times are `2026-11-24T21:05:00.123Z`."""

    id: str
    """The run's id, or `batch-<batch id>` if no run began, `set-…` with `incomplete`, `missing-…` with `missing`. The
    same each time the message is sent."""
    outcome: ReportOutcome
    route: str
    integration_id: str | UnsetType = UNSET
    """Exactly one of `integration_id` and `flow_id` is set; the other is absent from the document."""
    flow_id: str | UnsetType = UNSET
    run_id: str | None
    """Null if no run began; then `started_at` is null too."""
    started_at: str | None
    ended_at: str | None
    """Null while a run continues (`overdue`)."""
    message: str
    """Anaplan's own message if a run ended; otherwise Autoload's, with the remedy."""
    request: str | None = None
    """The request to Anaplan that failed, `POST https://…`; null if none did."""
    error_code: int | None = None
    uploads: tuple[ReportedUpload, ...] = ()
    """Oldest first; may not be all of them."""
    uploads_total: int
    files_total: int | None = None
    """How many files these are; several uploads of one key are one file. Null if there are too many to count."""
    errors: tuple[ReportedError, ...] = ()
    """May not be all of them."""
    errors_total: int = 0
    report_url: str | None = None
    """`s3://bucket/prefix/` with the saved errors and rejected rows; null if nothing was saved."""
    report_link: str | None = None
    """The same place in AWS's console, for people."""
    rows_saved: bool = False
    """Whether rejected rows were saved there, and not the errors alone."""
    details_missing: str | None = None
    """Which errors and rejected rows could not be fetched or saved, and why; null if nothing is missing."""
    problems: tuple[Problem, ...] = ()
    """With `rejected`, what is wrong with files that failed their route's check; empty if no run would read them."""
    trace_id: str | None = None
    """The id of the batch's oldest upload, as in every log line from its event to this message; null where the report
    is about a route."""
    secret_id: str | UnsetType = UNSET
    """With `held`, the secret to correct; otherwise absent from the document."""
    awaited: tuple[str, ...] | UnsetType = UNSET
    """With `incomplete`, the files of `needs` that have not come; otherwise absent from the document."""
    due_at: str | UnsetType = UNSET
    """With `missing`, when something should have been loaded; otherwise absent, as the next two."""
    last_load: LastLoad | UnsetType | None = UNSET
    """With `missing`, the last load; null if none is known."""
    recovered_from: tuple[Trouble, ...] | UnsetType = UNSET
    """With `recovered`, what this load ended."""

    @classmethod
    def of_route(cls, route: Route, outcome: ReportOutcome, id: str, message: str) -> Report:
        """A report about a route without a run; use `replace` to add the rest."""
        return cls(
            id=id,
            outcome=outcome,
            route=route.name,
            integration_id=route.integration or UNSET,
            flow_id=route.flow or UNSET,
            run_id=None,
            started_at=None,
            ended_at=None,
            message=message,
            uploads_total=0,
        )

    @property
    def files_listed(self) -> int:
        """How many files `uploads` contains."""
        return files_in(self.uploads)

    @property
    def files(self) -> int | None:
        """How many files the uploads are; None if it is not known, because not all uploads are listed."""
        if self.files_total is None and self.uploads_total <= len(self.uploads):
            return self.files_listed
        return self.files_total

    @property
    def rejected(self) -> str:
        """`rows_rejected`, as far as it is known: a report may have the first errors only."""
        at_least = "at least " if self.errors_total > len(self.errors) else ""
        return f"{at_least}{self.rows_rejected:,}"

    @property
    def target(self) -> str:
        """The id of the integration or flow that was run."""
        return self.integration_id or self.flow_id or ""

    @property
    def rows_rejected(self) -> int:
        """How many rows `errors` counts; a row with several errors counts for each."""
        return sum(error.occurrences for error in self.errors)

    @property
    def seconds(self) -> float | None:
        """How long the run took, on Anaplan's clock; None if it has not begun or not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return seconds_between(self.started_at, self.ended_at)


def files_in(uploads: Iterable[ReportedUpload]) -> int:
    """How many files these uploads are: several of one key are one."""
    return len({(upload.bucket, upload.key) for upload in uploads})


def held_message(secret_id: str, reason: str) -> str:
    """The message of a `held` report: why, and which secret it concerns, never its content."""
    return f"{reason} The secret is {secret_id}."
