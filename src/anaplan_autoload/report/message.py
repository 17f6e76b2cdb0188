"""The SNS message of a report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from anaplan_autoload.report.mail import email_text
from anaplan_autoload.report.subject import subject
from anaplan_autoload.report.text import ERRORS_SHOWN, cut

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from anaplan_autoload.domain.contents import Problem
    from anaplan_autoload.report.report import Report, ReportedError


Item = TypeVar("Item", bound=Struct)


MESSAGE_LIMIT = 255 * 1024
"""Bytes. SNS takes 256 KiB, attributes included; these and the subject fit into the rest."""

PROBLEM_TEXT = 200
"""Characters of each text of a file's problem that stay in a message which is shortened."""


def publish(sns: SNSClient, topic_arn: str, report: Report, contact: str | None = None) -> str:
    """Send the report to all subscribers, filterable by `outcome`, `route` and `integration_id` (a flow's id too).

    The attribute `id` is that of the document. `contact` is whom readers of the mail can ask.

    Returns SNS's message id. Raises botocore's `ClientError` when SNS refuses.
    """
    answer = sns.publish(
        TopicArn=topic_arn,
        Subject=subject(report),
        Message=message(report, contact),
        MessageStructure="json",
        MessageAttributes=_attributes(report),  # type: ignore[arg-type]
    )
    return answer["MessageId"]


def publish_mail(sns: SNSClient, topic_arn: str, report: Report, contact: str | None = None) -> None:
    """Send the report to people alone: the mail, or its subject as a text message. Attributes are as in `publish`.

    Raises botocore's `ClientError` when SNS refuses.
    """
    sns.publish(
        TopicArn=topic_arn,
        Subject=subject(report),
        Message=json.dumps({"default": email_text(report, contact), "sms": subject(report)}, ensure_ascii=False),
        MessageStructure="json",
        MessageAttributes=_attributes(report),  # type: ignore[arg-type]
    )


def _attributes(report: Report) -> dict[str, dict[str, str]]:
    values = {
        "id": report.id,
        "outcome": report.outcome,
        "route": report.route,
        "integration_id": report.target,
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def message(report: Report, contact: str | None = None) -> str:
    """The body for `MessageStructure="json"`: text for `email` and `sms`, the JSON document for all other protocols.

    SNS sends `default` to every protocol that has no own key: queues, functions, HTTP, Firehose, `email-json`. So the
    document is sent once, and can use nearly all of the 256 KiB.
    """
    bodies = {"default": "", "email": email_text(report, contact), "sms": subject(report)}
    bodies["default"] = document(shorten(report, MESSAGE_LIMIT - _sent_bytes(bodies)))
    return json.dumps(bodies, ensure_ascii=False)


def document(report: Report) -> str:
    """The report as JSON, in ASCII: keys may contain characters that queues refuse (U+FFFF), and ASCII escapes them."""
    return json.dumps(to_builtins(report), separators=(",", ":"))


def shorten(report: Report, limit: int) -> Report:
    """The report, shortened so that its document takes at most `limit` bytes in the message. Counts are kept.

    First long texts are shortened, then the last errors (beyond half of the room) and the last uploads are left out;
    `errors_total` and `uploads_total` say how many there were. The rest takes a few KiB, and is never shortened.
    """
    if _sent_bytes(document(report)) <= limit:
        return report
    terse = replace(
        report,
        message=cut(report.message),
        errors=tuple(_terse(error) for error in report.errors),
        problems=tuple(_brief(problem) for problem in report.problems),
    )
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
    values = tuple(cut(value) for value in error.values[:ERRORS_SHOWN])
    return replace(error, action=cut(error.action), message=cut(error.message), values=values)


def _brief(problem: Problem) -> Problem:
    short = {name: cut(getattr(problem, name), PROBLEM_TEXT) for name in ("expected", "found", "hint")}
    return replace(problem, **short)


def _sent_bytes(value: object) -> int:
    """Bytes as a value in the message, where a document's quotes and backslashes are escaped again."""
    return len(json.dumps(value, ensure_ascii=False).encode())
