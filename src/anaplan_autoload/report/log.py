"""The log line of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, to_builtins

from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.report.subject import subject
from anaplan_autoload.report.text import ERRORS_SHOWN, UPLOADS_SHOWN, in_words, plain

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import LoggerInterface

    from anaplan_autoload.report.report import Report


class LogLine(Struct, frozen=True, kw_only=True):
    """What the log line of a report holds besides the keys of every line. Null keys are left out of the log."""

    outcome: ReportOutcome
    retrying: bool
    """Whether the run failed and is about to be started again: then nobody is told yet."""
    route: str
    target_id: str
    """The id of the integration or flow."""
    report_id: str
    """The message's `id`."""
    trace_id: str | None
    """The id of the oldest upload, as in every line from its event on; null where a route is reported."""
    run_id: str | None
    started_at: str | None
    ended_at: str | None
    run_seconds: float | None
    run_message: str
    """Anaplan's own message if a run ended; otherwise Autoload's."""
    request: str | None
    """The request to Anaplan that failed, `POST https://…`."""
    error_code: int | None
    uploads: list[str]
    """The first ten, as `bucket/key`."""
    uploads_total: int
    errors: list[str]
    """The first five, in words, without the rejected values, which are the user's data."""
    errors_total: int
    rows_rejected: int
    report_url: str | None
    """Where errors and rejected rows were saved: `s3://bucket/prefix/`."""
    details_missing: str | None
    """Which errors and rejected rows could not be fetched or saved, and why."""
    problems: list[str]
    """What is wrong with files that failed their route's check, in words."""


def log_run(logger: LoggerInterface, report: Report, *, retrying: bool = False) -> None:
    """Write one structured line to a step's logger, or Powertools'; its keys (`LogLine`) are stable, for queries.

    Level: info when loaded or recovered; warning when partial, overdue, incomplete or about to be retried; error when
    failed, rejected, held or missing.
    """
    levels = {
        "loaded": logger.info,
        "recovered": logger.info,
        "partial": logger.warning,
        "overdue": logger.warning,
        "incomplete": logger.warning,
    }
    write = logger.warning if retrying else levels.get(report.outcome, logger.error)
    write(subject(report), extra=to_builtins(log_line(report, retrying)))


def log_line(report: Report, retrying: bool) -> LogLine:
    """A report in the form of the log."""
    return LogLine(
        outcome=report.outcome,
        retrying=retrying,
        route=report.route,
        target_id=report.target,
        report_id=report.id,
        trace_id=report.trace_id,
        run_id=report.run_id,
        started_at=report.started_at,
        ended_at=report.ended_at,
        run_seconds=report.seconds,
        run_message=plain(report.message),
        request=report.request,
        error_code=report.error_code,
        uploads=[plain(f"{upload.bucket}/{upload.key}") for upload in report.uploads[:UPLOADS_SHOWN]],
        uploads_total=report.uploads_total,
        errors=[in_words(error) for error in report.errors[:ERRORS_SHOWN]],
        errors_total=report.errors_total,
        rows_rejected=report.rows_rejected,
        report_url=report.report_url,
        details_missing=report.details_missing,
        problems=[
            plain(f"{problem.key}: {problem.about}: expected {problem.expected}; found {problem.found}")
            for problem in report.problems
        ],
    )
