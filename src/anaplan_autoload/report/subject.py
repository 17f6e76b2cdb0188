"""The subject of the mail. A phone may show nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.domain.sentences import first_sentence
from anaplan_autoload.report.text import ascii_only, count, cut, cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload.report.report import Report

SUBJECT_LIMIT = 99
"""Characters: SNS asks for less than 100, without line breaks or control characters."""
ROUTE_LIMIT = 30
"""Characters of a route's name; names may have 63."""
FILES_ROOM = 34
"""Characters that the files get at least beside a reason."""
NAME_LEAST = 12
"""Characters of a file's name that stay, however many others there are to count."""


def subject(report: Report) -> str:
    """One line of at most 99 ASCII characters, the news first. Text messages use it too.

    `Loaded: accounts: Accounts.csv`, `Failed: accounts: the file is empty (Accounts.csv)`.
    """
    match report.outcome:
        case "loaded":
            return _line("Loaded", report)
        case "partial":
            return _line("Partly loaded", report, f"{_rows(report)} rejected" if report.rows_rejected else "")
        case "failed":
            return _line("Failed", report, _reason(report))
        case "rejected":
            return _line("Rejected", report, _reason(report))
        case "held":
            return _line("On hold", report, _reason(report) or "the log-in to Anaplan does not work", files_too=False)
        case "incomplete":
            return _line("Incomplete", report, _reason(report), files_too=False)
        case "missing":
            return _line("Missing", report, _reason(report), files_too=False)
        case "recovered":
            return _line("Recovered", report)
        case "overdue":
            return _line("Still running", report) if report.run_id else _line("Still waiting", report, _reason(report))


def files(report: Report, room: int, written: Callable[[str], str] = str) -> str:
    """Which files a report is about, in at most `room` characters: `Accounts.csv and 2 more files (7 uploads)`.

    Several uploads of one key are one file. If the report does not list all uploads, it may not know how many files
    there are, and says only what it knows. A long name keeps both ends, because the date is often at its end.
    `written` can change the name, for example into ASCII.
    """
    if not report.uploads:
        return count(report.files, "file") if report.files else count(report.uploads_total, "upload")
    name, tail = written(_name(report)), _others(report, in_full=True)
    if len(tail) > room - NAME_LEAST:
        tail = _others(report, in_full=False)
    return cut_middle(name, max(room - len(tail), NAME_LEAST)) + tail


def _line(start: str, report: Report, news: str = "", *, files_too: bool = True) -> str:
    head = f"{start}: {cut_middle(_ascii_line(report.route), ROUTE_LIMIT)}: "
    news = _ascii_line(news)
    room = SUBJECT_LIMIT - len(head)
    if not news:
        return head + files(report, room, _ascii_line)
    if not files_too or (report.uploads and _ascii_line(_name(report)) in news and not _others(report, in_full=False)):
        return head + cut(news, room, mark="...")
    which = f" ({files(report, max(room - len(news), FILES_ROOM) - 3, _ascii_line)})"
    return head + cut(news, room - len(which), mark="...") + which


def _ascii_line(text: str) -> str:
    return " ".join(ascii_only(printable(text)).split())


def _reason(report: Report) -> str:
    """Why, in the message's first sentence, with files named briefly."""
    text = report.message
    if report.uploads:
        upload = report.uploads[0]
        text = text.replace(f"s3://{upload.bucket}/{upload.key}", _name(report))
    sentence = first_sentence(printable(text))
    return (
        sentence[:1].lower() + sentence[1:]
        if sentence.startswith(("The ", "No ", "A ", "There ", "Nothing "))
        else sentence
    )


def _name(report: Report) -> str:
    """The oldest upload's file name: its key's last part."""
    key = report.uploads[0].key
    return " ".join(printable(key.rstrip("/").rpartition("/")[2]).split()) or "a file without a name"


def _others(report: Report, *, in_full: bool) -> str:
    """The words after the first file's name, about the other files and uploads."""
    uploads = f" ({count(report.uploads_total, 'upload')})"
    if report.files is None:
        listed = report.files_listed
        if listed == 1:
            return f" ({count(report.uploads_total, 'upload')}, maybe of other files too)" if in_full else uploads
        return f" and at least {count(listed - 1, 'more file')}{uploads if in_full else ''}"
    if report.files == 1:
        return uploads if report.uploads_total > 1 else ""
    counted = uploads if in_full and report.uploads_total > report.files else ""
    return f" and {count(report.files - 1, 'more file')}{counted}"


def _rows(report: Report) -> str:
    return f"{report.rejected} {'row' if report.rejected == '1' else 'rows'}"
