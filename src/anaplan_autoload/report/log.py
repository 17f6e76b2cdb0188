"""The log line of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.report.subject import subject
from anaplan_autoload.report.text import ERRORS_SHOWN, UPLOADS_SHOWN, in_words, plain

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import LoggerInterface

    from anaplan_autoload.report.report import Report


def log_run(logger: LoggerInterface, report: Report, *, retrying: bool = False) -> None:
    """Write one structured line to a step's logger, or Powertools'; the keys are stable, for queries.

    `outcome`, `retrying`, `route`, `target_id`, `report_id`, `run_id`, `started_at`, `ended_at`, `run_seconds`,
    `run_message`, `error_code`, `uploads` (the first ten, `bucket/key`), `uploads_total`, `errors` (the first five, in
    words; without the rejected values, which are the user's data), `errors_total`, `rows_rejected`, `report_url`,
    `details_missing`, `problems` (of files that failed their route's check, in words).
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
    write(subject(report), extra=_log_fields(report, retrying))


def _log_fields(report: Report, retrying: bool) -> dict[str, object]:
    return {
        "outcome": report.outcome,
        "retrying": retrying,
        "route": report.route,
        "target_id": report.target,
        "report_id": report.id,
        "run_id": report.run_id,
        "started_at": report.started_at,
        "ended_at": report.ended_at,
        "run_seconds": report.seconds,
        "run_message": plain(report.message),
        "error_code": report.error_code,
        "uploads": [plain(f"{upload.bucket}/{upload.key}") for upload in report.uploads[:UPLOADS_SHOWN]],
        "uploads_total": report.uploads_total,
        "errors": [in_words(error) for error in report.errors[:ERRORS_SHOWN]],
        "errors_total": report.errors_total,
        "rows_rejected": report.rows_rejected,
        "report_url": report.report_url,
        "details_missing": report.details_missing,
        "problems": [
            plain(f"{problem.key}: {problem.about}: expected {problem.expected}; found {problem.found}")
            for problem in report.problems
        ],
    }
