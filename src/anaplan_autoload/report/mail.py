"""A report in words: the mail and its subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.report.text import (
    ERRORS_SHOWN,
    UPLOADS_SHOWN,
    ascii_only,
    count,
    cut,
    duration,
    in_words,
    plain,
    readable,
    size,
)

if TYPE_CHECKING:
    from anaplan_autoload.report.report import Report, ReportedError, ReportedUpload


SUBJECT_LIMIT = 99
"""Characters: SNS asks for less than 100, without line breaks or control characters."""


def subject(report: Report) -> str:
    """One line of at most 99 ASCII characters, such as `Loaded: accounts (3 files)`; also what phones get."""
    files = count(report.uploads_total, "file")
    match report.outcome:
        case "loaded":
            text = f"Loaded: {report.route} ({files})"
        case "partial":
            text = f"Partly loaded: {report.route} ({files}){_rejected_note(report)}"
        case "failed":
            text = f"Failed: {report.route} ({files})" + (f": {report.message}" if report.message else "")
        case "held":
            text = f"On hold: {report.route}: the log-in to Anaplan does not work"
        case "overdue":
            text = f"{'Still running' if report.run_id else 'Still waiting'}: {report.route} ({files})"
    return cut(ascii_only(plain(text)), SUBJECT_LIMIT, mark="...")


def email_text(report: Report) -> str:
    """The mail: what was loaded and when, how many rows failed and why, where the rest is, and what to do next.

    Free of control characters (names of files and Anaplan's words may hold any), of bounded length.
    """
    sections = (
        _headline(report),
        _reason(report),
        _times(report),
        _uploads(report),
        _errors(report),
        plain(report.details_missing or ""),
        f"What to do next: {_advice(report)}",
        _reference(report),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _headline(report: Report) -> str:
    files, was = count(report.uploads_total, "file"), "was" if report.uploads_total == 1 else "were"
    match report.outcome:
        case "loaded":
            return f"{files} {was} loaded into Anaplan ({report.route})."
        case "partial":
            return f"{files} {was} loaded into Anaplan ({report.route}), but some rows were rejected."
        case "failed":
            return f"{files} {was} NOT loaded into Anaplan ({report.route})."
        case "held":
            return f"Loading is on hold ({report.route}); waiting: {files}."
        case "overdue":
            return f"A load is taking longer than expected ({report.route}, {files}). It is still followed."


def _reason(report: Report) -> str:
    if not report.message:
        return ""
    code = "" if report.error_code is None else f" (code {report.error_code})"
    who = "Anaplan says" if report.run_id and report.ended_at else "Reason"
    return f"{who}: {plain(report.message)}{code}"


def _times(report: Report) -> str:
    lines = []
    if report.started_at:
        lines.append(f"Started: {readable(report.started_at)}")
    if report.ended_at:
        took = "" if report.seconds is None else f", after {duration(report.seconds)}"
        lines.append(f"{'Ended:  ' if report.started_at else 'Time:   '} {readable(report.ended_at)}{took}")
    return "\n".join(lines)


def _uploads(report: Report) -> str:
    shown = report.uploads[:UPLOADS_SHOWN]
    if not shown:
        return ""
    lines = [f"- {plain(upload.key)} ({_upload_note(upload)})" for upload in shown]
    more = report.uploads_total - len(shown)
    return "\n".join(["Files, oldest first:", *lines, *([f"- and {more:,} more"] if more > 0 else [])])


def _upload_note(upload: ReportedUpload) -> str:
    weight = "" if upload.size is None else f"{size(upload.size)}, "
    return f"{weight}uploaded {readable(upload.event_time)}"


def _errors(report: Report) -> str:
    shown = report.errors[:ERRORS_SHOWN]
    if not shown:
        return ""
    head = f"Rows rejected: {_rejected(report)} (a row with several errors counts for each). The first errors:"
    more = report.errors_total - len(shown)
    lines = [f"- {in_words(error, _examples(error))}" for error in shown]
    return "\n".join([head, *lines, *([f"- and {count(more, 'more kind')} of error"] if more > 0 else [])])


def _examples(error: ReportedError) -> str:
    values = ", ".join(cut(plain(value), 80) for value in error.values[:3] if value)
    return f", for example: {values}" if values else ""


def _advice(report: Report) -> str:
    match report.outcome:
        case "loaded":
            return "nothing."
        case "partial":
            return (
                "correct the rejected rows where they come from, and upload the file again; "
                f"the other rows are in Anaplan. {_where(report)}"
            )
        case "failed" if report.run_id is None:
            return "correct what the reason names, then upload the file again. No run of this batch came to an end."
        case "failed":
            return (
                "correct what Anaplan names, then upload the file again: loading twice does no harm. If the file is "
                f"not to blame, have it loaded again: anaplan-autoload retry {report.run_id}. "
                f"Until then Anaplan may hold none of the rows, or some. {_where(report)}"
            )
        case "held":
            return (
                "put a user name and password, or a certificate, that Anaplan accepts into the secret. "
                "Uploads are kept, and are loaded by themselves within minutes of the change."
            )
        case "overdue" if report.run_id is None:
            return (
                "nothing; it is tried further, and another message follows when it ends. "
                "CloudWorks shows what the integration is busy with, or whether Anaplan is out of service."
            )
        case "overdue":
            return (
                "nothing, if the load is known to be long; another message follows when it ends. "
                "Otherwise look at the run in CloudWorks, and cancel it there if it hangs: "
                "later uploads wait for it."
            )


def _where(report: Report) -> str:
    if report.report_url:
        return f"All errors and rejected rows: {plain(report.report_url)}"
    return "The errors are in the run's history in CloudWorks, and for about two days the rejected rows."


def _reference(report: Report) -> str:
    kind = "flow" if report.flow_id else "integration"
    run = f", run {report.run_id}" if report.run_id else ""
    return plain(f"Route {report.route}, {kind} {report.target}{run}.")


def _rejected_note(report: Report) -> str:
    return f", rows rejected: {_rejected(report)}" if report.rows_rejected else ""


def _rejected(report: Report) -> str:
    """How many rows, as far as is known: a report may hold the first errors only."""
    at_least = "at least " if report.errors_total > len(report.errors) else ""
    return f"{at_least}{report.rows_rejected:,}"
