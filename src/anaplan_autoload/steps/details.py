"""The errors and rejected rows of a run, fetched from CloudWorks and saved in the reports bucket."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.anaplan.credentials import LoginRefused
from anaplan_autoload.anaplan.errors import CloudWorksError, Refused
from anaplan_autoload.aws.refusals import AWS_TROUBLE, in_words, may_heal
from anaplan_autoload.report.report import ReportedError
from anaplan_autoload.report.text import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.anaplan.cloudworks import Dump
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.protocol import Batch
    from anaplan_autoload.domain.runs import Run, RunError

KEPT_ERRORS = 20
"""How many errors the history keeps; all of them are in S3."""
KEPT_VALUES = 5
KEPT_CHARACTERS = 300
"""Characters of each text, so that a history item stays far below DynamoDB's 400 KB."""
DUMP_BYTES = 50 * 1024**2
SECONDS = 20
"""After this time no dump is begun, and the current one is cut, so that the step ends within the timeout."""
MISSING_CHARACTERS = 1_000
ATTEMPTS = 4
LEADERS = 3
"""How many leaders may die while they fetch a run's details. After that, the run is recorded without them."""


class Details(Struct, frozen=True):
    """The details of a run's errors, as far as they could be fetched."""

    errors: tuple[RunError, ...] = ()
    url: str | None = None
    """Where they and the rejected rows were saved."""
    rows_saved: bool = False
    missing: tuple[str, ...] = ()
    """What could not be fetched and why, one sentence each."""
    request: str = ""
    """If something is missing, the first request to Anaplan that failed."""

    @property
    def kept(self) -> tuple[RunError, ...]:
        """The first errors, shortened for the history."""
        return tuple(map(_shortened, self.errors[:KEPT_ERRORS]))

    @property
    def said_missing(self) -> str | None:
        """All that is missing, for people; None if nothing is."""
        return cut(" ".join(self.missing), MISSING_CHARACTERS) or None


def details_of(step: StepContext, services: Services, batch: Batch, run: Run) -> Details:
    """The run's errors and rejected rows. Each is fetched and saved separately, so that one failure stops no other.

    Anaplan keeps dumps for about two days, so errors that may pass are retried a few times. After that, the history
    says what is missing.
    """
    if run.outcome == "loaded" or batch.route.flow:
        return Details()  # a flow's message names the failed steps; its own id has no errors and no dump
    if batch.attempts > LEADERS:
        return Details(
            missing=("The errors and rejected rows could not be fetched: the function died each time it tried.",)
        )
    fetching = _Fetching(services, batch.route.name, run)
    fetching.fetch()
    if fetching.passing and step.attempt < ATTEMPTS:
        raise fetching.passing[0]
    found = fetching.details()
    if found.missing:
        extra = {"run_id": run.id, "missing": found.said_missing}
        step.logger.warning("Some of the run's errors or rejected rows are missing", extra=extra)
    return found


class _Fetching:
    """One attempt to fetch and save all details of a run."""

    def __init__(self, services: Services, route: str, run: Run) -> None:
        self._services = services
        self._route = route
        self._run = run
        self._until = services.clock() + SECONDS * 1000
        self._errors: tuple[RunError, ...] = ()
        self._url: str | None = None
        self._rows_saved = False
        self._missing: list[str] = []
        self._request = ""
        self.passing: list[Exception] = []
        """Errors that may pass."""

    def details(self) -> Details:
        """What was fetched."""
        request = self._request if self._missing else ""
        return Details(self._errors, self._url, self._rows_saved, tuple(self._missing), request)

    def fetch(self) -> None:
        """Fetch and save everything."""
        from anaplan_autoload.aws import rejected_rows

        with self._noting("The errors could not be fetched"):
            self._errors = self._services.cloudworks.errors(self._run.id)
        bucket = self._services.settings.reports_bucket
        if bucket is None or not self._run.ended_at:
            return
        prefix = rejected_rows.report_prefix(self._route, self._run.ended_at, self._run.id)
        if self._errors:
            with self._noting("The list of all errors could not be saved"):
                s3, reported = self._services.s3, map(ReportedError.of, self._errors)
                self._url = rejected_rows.save_errors(s3, bucket, prefix, reported, self._services.account)
        self._save_all_rows(bucket, prefix)

    def _save_all_rows(self, bucket: str, prefix: str) -> None:
        """An import has one dump, a process one for every import in it."""
        notes = len(self._missing)
        if self._save_rows(bucket, prefix, None):
            return
        notes_of_whole = self._missing[notes:]
        with_dump = dict.fromkeys(error.action_id for error in self._errors if error.dump and error.action_id)
        saved = [self._save_rows(bucket, prefix, action_id) for action_id in with_dump]
        if saved and all(saved):
            self._missing = [note for note in self._missing if note not in notes_of_whole]

    def _save_rows(self, bucket: str, prefix: str, action_id: str | None) -> bool:
        """Save the rows of one action, or of the whole run. Returns whether there were any, and they were saved."""
        of, name = (f" of action {action_id}", f"rejected-{action_id}") if action_id else ("", "rejected")
        if self._services.clock() > self._until:
            self._missing.append(f"Rejected rows{of} could not be saved: there was no time left.")
            return False
        saved = False
        with self._noting(f"Rejected rows{of} could not be saved"):
            dump = self._services.cloudworks.dump(self._run.id, action_id, cap=DUMP_BYTES)
            if dump is not None:
                self._copy(dump, bucket, prefix, name, of)
                saved = True
        return saved

    def _copy(self, dump: Dump, bucket: str, prefix: str, name: str, of: str) -> None:
        from anaplan_autoload.aws.rejected_rows import save_rejected_rows

        timely = _Timely(dump, self._services.clock, self._until)
        self._url = save_rejected_rows(self._services.s3, bucket, prefix, name, timely, self._services.account)
        if dump.truncated or timely.cut:
            self._missing.append(f"Only the first of the rejected rows{of} were saved: there are many.")
        self._rows_saved = True

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Note a failure, so that the rest continues."""
        try:
            yield
        except LoginRefused:
            self._missing.append(f"{what}: Anaplan refused the log-in.")
        except CloudWorksError as error:
            self._request = self._request or error.facts.asked
            self._note(what, error.text, None if isinstance(error, Refused) else error)
        except AWS_TROUBLE as error:
            said = in_words(error) if isinstance(error, ClientError) else str(error)
            self._note(what, said, error if may_heal(error) else None)

    def _note(self, what: str, said: str, passing: Exception | None) -> None:
        self._missing.append(f"{what}: {said.removesuffix('.')}.")
        if passing is not None:
            self.passing.append(passing)


class _Timely:
    """A dump's chunks, until the time is over."""

    def __init__(self, chunks: Dump, clock: Callable[[], int], until: int) -> None:
        self._chunks = chunks
        self._clock = clock
        self._until = until
        self.cut = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            if self._clock() > self._until:
                self.cut = True
                return


def _shortened(error: RunError) -> RunError:
    values = tuple(value[:KEPT_CHARACTERS] for value in error.values[:KEPT_VALUES])
    return replace(error, action=error.action[:KEPT_CHARACTERS], message=error.message[:KEPT_CHARACTERS], values=values)
