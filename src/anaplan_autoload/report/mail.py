"""The text of the mail."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from anaplan_autoload.domain.contents import described
from anaplan_autoload.report.subject import files
from anaplan_autoload.report.text import (
    ERRORS_SHOWN,
    UPLOADS_SHOWN,
    count,
    cut,
    duration,
    in_words,
    plain,
    readable,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.report.report import Report, ReportedError, ReportedUpload


NAMES_LIMIT = 200
"""Characters of the names of files in a mail's first sentence."""
AGAIN = (
    "Loading a file again changes nothing in a module, or in a list whose items have a key or a code. "
    "In a numbered list without a key it adds the rows again: first delete the rows that were added, or upload only "
    "the missing rows."
)
"""What a repeated load does in Anaplan. Every mail that advises one says this."""


def email_text(report: Report, contact: str | None = None) -> str:
    """The mail: what happened, what a model builder can do about it, the details, and what an administrator needs.

    Of bounded length, and without the control characters that names of files and Anaplan's messages may contain.
    `contact` is whom readers can ask.
    """
    sections = (
        "\n".join([headline(report), *reason(report)]),
        "\n".join(["What to do next:", *advice(report), *([f"Contact: {plain(contact)}"] if contact else [])]),
        _times(report),
        _uploads(report),
        _errors(report),
        _problems(report),
        plain(report.details_missing or ""),
        "\n".join(["For the administrator:", *_for_the_administrator(report)]),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def headline(report: Report) -> str:
    """The news in one sentence."""
    names = files(report, NAMES_LIMIT)
    was, it = ("was", "it") if report.files == 1 or report.uploads_total == 1 else ("were", "them")
    route = f"(route {report.route})"
    match report.outcome:
        case "loaded":
            return f"{names} {was} loaded into Anaplan {route}."
        case "partial":
            return f"{names} {was} loaded into Anaplan {route}, but some rows were rejected."
        case "failed":
            return f"{names} {was} NOT loaded into Anaplan {route}."
        case "rejected" if report.problems:
            return f"{names} {was} NOT loaded into Anaplan {route}, because a file failed the route's check."
        case "rejected":
            return f"{names} {was} NOT loaded into Anaplan {route}, because no run would read {it}."
        case "held":
            return f"Loading into Anaplan is on hold {route}, because the log-in does not work. Waiting: {names}."
        case "incomplete":
            return f"A set of files is not complete, so it is not loaded into Anaplan yet {route}. Waiting: {names}."
        case "missing":
            return f"Nothing new was loaded into Anaplan {route}, although a file was expected."
        case "recovered":
            return f"{names} {was} loaded into Anaplan {route}. The route has recovered."
        case "overdue" if report.run_id is None:
            return f"{names} could not be loaded into Anaplan yet {route}. Autoload keeps trying."
        case "overdue":
            return f"Loading {names} into Anaplan is taking longer than expected {route}. Autoload keeps following it."


def reason(report: Report) -> list[str]:
    """What Anaplan or Autoload says about it, in one line; empty if nothing."""
    if not report.message:
        return []
    code = "" if report.error_code is None else f" (code {report.error_code})"
    if report.outcome == "recovered":
        return [plain(report.message)]
    who = "Anaplan says" if report.run_id and report.ended_at else "Reason"
    return [f"{who}: {plain(report.message)}{code}"]


def advice(report: Report) -> list[str]:
    """What a model builder can do, without a command line."""
    match report.outcome:
        case "loaded":
            return ["Nothing."]
        case "partial":
            return _steps(
                _where(report) or "See the errors below. The run's history in CloudWorks has them too.",
                "Correct the rejected rows where they come from.",
                f"Upload the file again, under the same name. The other rows are in Anaplan already. {AGAIN}",
            )
        case "failed":
            return _advice_after_failure(report)
        case "rejected":
            return _advice_after_rejection(report)
        case "held":
            return [
                "Model builders: nothing. Autoload keeps the uploads and loads them when the log-in works. "
                "Do not upload them again.",
                "Administrators: the three steps below.",
            ]
        case "incomplete":
            return _steps(
                f"Upload what has not come, under exactly these names: {_named(report.awaited or ())}.",
                "If it will not come, tell your administrator. The files that came are kept. Do not upload them again.",
            )
        case "missing":
            return _steps(
                "If the reason says that the file waits or is being loaded, do nothing: another message follows.",
                "If you supply this file, check that it was written and uploaded, or upload it under its usual name.",
                "If it was uploaded, forward this message to your administrator: it may have a name or folder that "
                "Autoload does not expect.",
            )
        case "recovered":
            return ["Nothing."]
        case "overdue" if report.run_id is None:
            return [
                "Nothing. Another message follows when it ends. CloudWorks shows what the integration is busy with, "
                "or whether Anaplan is out of service."
            ]
        case "overdue":
            return [
                "Nothing, if you know that the load is long. Another message follows when it ends. Otherwise look at "
                "the run in CloudWorks, and cancel it there if it hangs, because later uploads wait for it."
            ]


def _advice_after_failure(report: Report) -> list[str]:
    if report.run_id is None:
        return [
            *_steps(
                "If the reason names the file, correct it, and upload it again under the same name.",
                "Otherwise forward this message to your administrator. You need not upload the file again.",
            ),
            f"No run of this batch has ended. {AGAIN}",
        ]
    return _steps(
        "If Anaplan names the file or its rows, correct them where they come from. If it names something in "
        "the model (a list, a module, an action), correct that in Anaplan.",
        *([where] if (where := _where(report)) else []),
        "Upload the file again under the same name, or ask your administrator to load it again. Until "
        f"then Anaplan may have none or some of the rows. {AGAIN}",
    )


def _advice_after_rejection(report: Report) -> list[str]:
    if report.problems:
        return _steps(
            "Correct the file where it comes from, and upload it again under the same name.",
            "If the file is right and the check is not, forward this message to your administrator; the file need "
            "not be uploaded again.",
        )
    return _steps(
        "If it is the file that the reason names, upload it again under exactly that name.",
        "Otherwise forward this message to your administrator; the file need not be uploaded again.",
    )


def _where(report: Report) -> str:
    """Where to see the saved errors and rows; empty if nothing was saved."""
    if not report.report_url:
        return ""
    place = plain(report.report_link or report.report_url)
    if report.rows_saved:
        return f"See the rejected rows and all errors, if you have access to AWS (if not, ask for them): {place}"
    return f"See all errors, if you have access to AWS (if not, ask for them): {place}"


def _for_the_administrator(report: Report) -> list[str]:
    kind = "flow" if report.flow_id else "integration"
    run = f", run {report.run_id}" if report.run_id else ""
    lines = []
    if report.outcome == "held":
        lines += _steps(
            "Find the cause. If Anaplan refused the log-in, sign in to Anaplan as its user: the password may have "
            "changed, the user may be locked, or single sign-on may admit exception users only. A certificate must be "
            "registered with Anaplan and valid. If the secret cannot be used, the reason above says what it needs.",
            "Store a log-in that works as a new version of the secret, even if it is the same as before: "
            f"aws secretsmanager put-secret-value --secret-id {_argument(report.secret_id or 'SECRET')} "
            "--secret-string file://log-in.json",
            f"Wait: loading resumes within minutes. See it with: anaplan-autoload status {_argument(report.route)}",
        )
    if report.outcome == "failed":
        lines.append(f"Load it again: anaplan-autoload retry {_argument(report.id)}")
    if report.outcome == "missing":
        lines.append(f"See what waits and what runs: anaplan-autoload status {_argument(report.route)}")
        lines.append(f"See the route's loads: anaplan-autoload loads --route {_argument(report.route)}")
    if report.outcome == "rejected" and report.problems:
        lines.append(
            "If the route's check is wrong, correct it and push the routes. A check that a good file passes: "
            f"anaplan-autoload routes learn {_argument(report.route)} FILE"
        )
        lines.append(f"Load it again, once the check is right: anaplan-autoload retry {_argument(report.id)}")
    elif report.outcome == "rejected":
        lines.append("See what each route's integration reads: anaplan-autoload routes check --online")
        lines.append(
            f"Load it again, once the integration or the route is right: anaplan-autoload retry {_argument(report.id)}"
        )
    if report.outcome == "incomplete":
        lines.append(f"See what the route waits for: anaplan-autoload status {_argument(report.route)}")
        lines.append(
            "To load without the rest, take it out of the route's needs, push, and load one of the files again."
        )
    if report.outcome in ("failed", "partial") and report.run_id and not report.flow_id:
        lines.append(f"See its errors: anaplan-autoload errors {_argument(report.run_id)}")
    if report.report_url:
        saved = "Rejected rows and errors" if report.rows_saved else "Errors"
        lines.append(f"{saved}: {plain(report.report_url)}")
    if report.request:
        lines.append(f"Request: {plain(report.request)}")
    return [*lines, plain(f"Route {report.route}, {kind} {report.target}{run}.")]


def _named(names: Sequence[str]) -> str:
    """The first ten names, and how many more."""
    more = [f"and {len(names) - UPLOADS_SHOWN:,} more"] if len(names) > UPLOADS_SHOWN else []
    return ", ".join([*map(plain, names[:UPLOADS_SHOWN]), *more])


def _steps(*steps: str) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]


def _argument(text: str) -> str:
    return quote(plain(text))


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
    return "\n".join(["Uploads, oldest first:", *lines, *([f"- and {more:,} more"] if more > 0 else [])])


def _upload_note(upload: ReportedUpload) -> str:
    weight = "" if upload.size is None else f"{size(upload.size)}, "
    return f"{weight}uploaded {readable(upload.event_time)}"


def _errors(report: Report) -> str:
    shown = report.errors[:ERRORS_SHOWN]
    if not shown:
        return ""
    head = f"Rows rejected: {report.rejected} (a row with several errors counts for each). The first errors:"
    more = report.errors_total - len(shown)
    lines = [f"- {in_words(error, _examples(error))}" for error in shown]
    return "\n".join([head, *lines, *([f"- and {count(more, 'more kind')} of error"] if more > 0 else [])])


def _problems(report: Report) -> str:
    """What was expected of a file above what was found."""
    return f"What the check found:\n{described(report.problems)}" if report.problems else ""


def _examples(error: ReportedError) -> str:
    values = ", ".join(cut(plain(value), 80) for value in error.values[:3] if value)
    return f", for example: {values}" if values else ""
