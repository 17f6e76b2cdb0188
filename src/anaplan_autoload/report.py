"""What became of a batch, told to everyone: a log line, metrics and an SNS message.

A `Report` is the one description; everything else here is a rendering of it. Call these functions inside durable steps:
outside, a replay would repeat them. Each may be repeated without harm: a message has the same `id` and `outcome` every
time, so subscribers can drop what they have seen.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from msgspec import UNSET, Struct, UnsetType, to_builtins
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_durable_execution_sdk_python.types import LoggerInterface
    from mypy_boto3_sns import SNSClient

    from anaplan_autoload.events import Upload

ReportOutcome: TypeAlias = Literal["loaded", "partial", "failed", "held", "overdue"]
"""How a batch ends, and two more that are worth a message: log-in refused (`held`), a run that takes long."""

Item = TypeVar("Item", bound=Struct)

NAMESPACE = "AnaplanAutoload"
MESSAGE_LIMIT = 255 * 1024
"""Bytes. SNS takes 256 KiB, attributes included; these and the subject fit into the rest."""
SUBJECT_LIMIT = 99
"""Characters: SNS asks for less than 100, without line breaks or control characters."""
UPLOADS_SHOWN = 10
ERRORS_SHOWN = 5
TEXT_SHOWN = 800


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
    errors: tuple[ReportedError, ...] = ()
    """Maybe not all of them."""
    errors_total: int = 0
    report_url: str | None = None
    """`s3://bucket/prefix/` with the errors and the rejected rows; null where none were saved."""

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
        return _seconds_between(self.started_at, self.ended_at)


def held_message(secret_id: str, reason: str) -> str:
    """The message of a `held` report: why, with the remedy, and which secret it is about, never what that holds."""
    return f"{reason} The secret is {secret_id}."


# The log line


def log_run(logger: LoggerInterface, report: Report, *, retrying: bool = False) -> None:
    """Write one structured line to a step's logger, or Powertools'; the keys are stable, so that they can be queried.

    `outcome`, `retrying`, `route`, `target_id`, `report_id`, `run_id`, `started_at`, `ended_at`, `run_seconds`,
    `run_message`, `error_code`, `uploads` (the first ten, `bucket/key`), `uploads_total`, `errors` (the first five, in
    words; without the rejected values, which are the user's data), `errors_total`, `rows_rejected`, `report_url`.
    Level: info when loaded; warning when partial, overdue or about to be retried; error when failed or held.
    """
    levels = {"loaded": logger.info, "partial": logger.warning, "overdue": logger.warning}
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
        "run_message": _plain(report.message),
        "error_code": report.error_code,
        "uploads": [_plain(f"{upload.bucket}/{upload.key}") for upload in report.uploads[:UPLOADS_SHOWN]],
        "uploads_total": report.uploads_total,
        "errors": [_in_words(error) for error in report.errors[:ERRORS_SHOWN]],
        "errors_total": report.errors_total,
        "rows_rejected": report.rows_rejected,
        "report_url": report.report_url,
    }


# Metrics


def write_metrics(report: Report, *, oldest: str, retrying: bool = False) -> None:
    """Write the metrics of a batch that ended to stdout, as one document in CloudWatch's embedded metric format.

    Their only dimension is `route`. One of `RunsLoaded`, `RunsPartial` and `RunsFailed` is 1, or `RunsRetried` alone
    for a failed run that is about to be started again, so that only what stays failed rings the alarm. `RunSeconds`
    where a run began and ended; `UploadsCovered` and `UploadToLoadedSeconds`, from `oldest` (the event time of the
    batch's oldest upload) to the end of the run, where rows were loaded. A `held` or `overdue` report ends no run, and
    writes nothing.
    """
    if report.outcome in ("held", "overdue"):
        return
    metrics = _metrics(report.route)
    metrics.add_metric("RunsRetried" if retrying else f"Runs{report.outcome.capitalize()}", MetricUnit.Count, 1)
    if report.seconds is not None:
        metrics.add_metric("RunSeconds", MetricUnit.Seconds, report.seconds)
    if report.outcome != "failed":
        metrics.add_metric("UploadsCovered", MetricUnit.Count, report.uploads_total)
        if report.ended_at is not None:
            metrics.add_metric("UploadToLoadedSeconds", MetricUnit.Seconds, _seconds_between(oldest, report.ended_at))
    metrics.flush_metrics()


def count_unrouted(uploads: int) -> None:
    """Write `UploadsUnrouted`, without a dimension: how many uploads of an event no route takes."""
    metrics = _metrics(route=None)
    metrics.add_metric("UploadsUnrouted", MetricUnit.Count, uploads)
    metrics.flush_metrics()


def oldest_waiting(seconds_by_route: Mapping[str, float]) -> None:
    """Write `OldestWaitingSeconds` for every route given: the age of its oldest waiting upload, 0 where none waits."""
    for route, seconds in seconds_by_route.items():
        metrics = _metrics(route)
        metrics.add_metric("OldestWaitingSeconds", MetricUnit.Seconds, seconds)
        metrics.flush_metrics()


def _metrics(route: str | None) -> EphemeralMetrics:
    """Fresh metrics: Powertools' `Metrics` shares its values among instances, and steps may run side by side.

    The empty service keeps `POWERTOOLS_SERVICE_NAME` from becoming a second dimension.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    if route is not None:
        metrics.add_dimension("route", route)
    return metrics


# The SNS message


def publish(sns: SNSClient, topic_arn: str, report: Report) -> str:
    """Send the report to all subscribers, filterable by `outcome`, `route` and `integration_id` (a flow's id too).

    Returns SNS's message id. Raises botocore's `ClientError` when SNS refuses.
    """
    attributes = {"outcome": report.outcome, "route": report.route, "integration_id": report.target}
    answer = sns.publish(
        TopicArn=topic_arn,
        Subject=subject(report),
        Message=message(report),
        MessageStructure="json",
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
    return answer["MessageId"]


def message(report: Report) -> str:
    """The body for `MessageStructure="json"`: text for `email` and `sms`, the JSON document for all other protocols.

    SNS sends `default` to every protocol without a key of its own: queues, functions, HTTP, Firehose, `email-json`. So
    the document is sent once, and has nearly all of the 256 KiB to itself.
    """
    bodies = {"default": "", "email": email_text(report), "sms": subject(report)}
    bodies["default"] = document(shorten(report, MESSAGE_LIMIT - _sent_bytes(bodies)))
    return json.dumps(bodies, ensure_ascii=False)


def document(report: Report) -> str:
    """The report as JSON, in ASCII: keys may hold characters that queues refuse (U+FFFF), and those are escaped so."""
    return json.dumps(to_builtins(report), separators=(",", ":"))


def shorten(report: Report, limit: int) -> Report:
    """The report cut so that its document takes at most `limit` bytes in the message: never dropped, counts kept.

    First long texts are cut, then the last errors (beyond half of the room) and the last uploads go; `errors_total` and
    `uploads_total` tell how many there were. What remains without any takes a few KiB, and is never cut further.
    """
    if _sent_bytes(document(report)) <= limit:
        return report
    terse = replace(report, message=_cut(report.message), errors=tuple(_terse(error) for error in report.errors))
    room = limit - _sent_bytes(document(replace(terse, errors=(), uploads=())))
    errors = _first_that_fit(terse.errors, room // 2)
    uploads = _first_that_fit(report.uploads, room - sum(map(_item_bytes, errors)))
    return replace(terse, errors=errors, uploads=uploads)


def _first_that_fit(items: tuple[Item, ...], room: int) -> tuple[Item, ...]:
    for number, item in enumerate(items):
        room -= _item_bytes(item)
        if room < 0:
            return items[:number]
    return items


def _item_bytes(item: Struct) -> int:
    return _sent_bytes(json.dumps(to_builtins(item), separators=(",", ":")))


def _terse(error: ReportedError) -> ReportedError:
    values = tuple(_cut(value) for value in error.values[:ERRORS_SHOWN])
    return replace(error, action=_cut(error.action), message=_cut(error.message), values=values)


def _sent_bytes(value: object) -> int:
    """Bytes as a value in the message: a document's quotes and backslashes are escaped there once more."""
    return len(json.dumps(value, ensure_ascii=False).encode())


# Text for people

PUNCTUATION = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")


def subject(report: Report) -> str:
    """One line of at most 99 ASCII characters, such as `Loaded: accounts (3 files)`; also what phones get."""
    files = _count(report.uploads_total, "file")
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
    return _cut(_ascii(_plain(text)), SUBJECT_LIMIT, mark="...")


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
        f"What to do next: {_advice(report)}",
        _reference(report),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _headline(report: Report) -> str:
    files, was = _count(report.uploads_total, "file"), "was" if report.uploads_total == 1 else "were"
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
    return f"{who}: {_plain(report.message)}{code}"


def _times(report: Report) -> str:
    lines = []
    if report.started_at:
        lines.append(f"Started: {_readable(report.started_at)}")
    if report.ended_at:
        took = "" if report.seconds is None else f", after {_duration(report.seconds)}"
        lines.append(f"{'Ended:  ' if report.started_at else 'Time:   '} {_readable(report.ended_at)}{took}")
    return "\n".join(lines)


def _uploads(report: Report) -> str:
    shown = report.uploads[:UPLOADS_SHOWN]
    if not shown:
        return ""
    lines = [f"- {_plain(upload.key)} ({_upload_note(upload)})" for upload in shown]
    more = report.uploads_total - len(shown)
    return "\n".join(["Files, oldest first:", *lines, *([f"- and {more:,} more"] if more > 0 else [])])


def _upload_note(upload: ReportedUpload) -> str:
    size = "" if upload.size is None else f"{_size(upload.size)}, "
    return f"{size}uploaded {_readable(upload.event_time)}"


def _errors(report: Report) -> str:
    shown = report.errors[:ERRORS_SHOWN]
    if not shown:
        return ""
    head = f"Rows rejected: {_rejected(report)} (a row with several errors counts for each). The first errors:"
    more = report.errors_total - len(shown)
    lines = [f"- {_in_words(error, _examples(error))}" for error in shown]
    return "\n".join([head, *lines, *([f"- and {_count(more, 'more kind')} of error"] if more > 0 else [])])


def _in_words(error: ReportedError, note: str = "") -> str:
    return f"{_plain(error.action)}: {_plain(error.message)} ({_count(error.occurrences, 'row')}{note})"


def _examples(error: ReportedError) -> str:
    values = ", ".join(_cut(_plain(value), 80) for value in error.values[:3] if value)
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
        return f"All errors and rejected rows: {_plain(report.report_url)}"
    return "The errors are in the run's history in CloudWorks, and for about two days the rejected rows."


def _reference(report: Report) -> str:
    kind = "flow" if report.flow_id else "integration"
    run = f", run {report.run_id}" if report.run_id else ""
    return _plain(f"Route {report.route}, {kind} {report.target}{run}.")


def _rejected_note(report: Report) -> str:
    return f", rows rejected: {_rejected(report)}" if report.rows_rejected else ""


def _rejected(report: Report) -> str:
    """How many rows, as far as is known: a report may hold the first errors only."""
    at_least = "at least " if report.errors_total > len(report.errors) else ""
    return f"{at_least}{report.rows_rejected:,}"


def _plain(text: str) -> str:
    """On one line, of bounded length, without what does not print: control and format characters, line separators."""
    return _cut("".join(character if character.isprintable() else " " for character in text).strip())


def _ascii(text: str) -> str:
    """Letters lose their accents, quotes and dashes their shape; what is left becomes `?`."""
    letters = unicodedata.normalize("NFKD", text.translate(PUNCTUATION))
    return "".join(each for each in letters if not unicodedata.combining(each)).encode("ascii", "replace").decode()


def _cut(text: str, limit: int = TEXT_SHOWN, mark: str = "\u2026") -> str:
    return text if len(text) <= limit else text[: limit - len(mark)].rstrip() + mark


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.3g} GB"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "less than a second"


def _readable(time: str) -> str:
    return f"{datetime.fromisoformat(time).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _seconds_between(earlier: str, later: str) -> float:
    """Never negative: Anaplan's clock and S3's differ, and its times are whole seconds."""
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
