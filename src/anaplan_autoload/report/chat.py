"""A report for Slack and Teams, through Amazon Q Developer in chat applications.

Q Developer drops every SNS message whose body is not in a form that it knows. The body of our other messages is the
document that queues get. So chat has its own topic, for messages in the form of Q Developer's custom notifications: see
"Custom notifications" in its administrator guide.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, to_builtins

from anaplan_autoload.report.event import DETAIL_TYPES
from anaplan_autoload.report.mail import advice, headline, reason
from anaplan_autoload.report.subject import subject
from anaplan_autoload.report.text import ERRORS_SHOWN, in_words, plain

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

    from anaplan_autoload.report.report import Report

MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Slack's own escapes. Without them a file's name could address a channel (`<!here>`) or hide a link."""
LINES = 4
"""How many lines of advice are shown."""


class Content(Struct, frozen=True, rename="camel"):
    """What people read."""

    title: str
    description: str
    next_steps: list[str]
    keywords: list[str]
    text_type: Literal["client-markdown"] = "client-markdown"


class Metadata(Struct, frozen=True, rename="camel"):
    """What Q Developer sorts by."""

    thread_id: str
    """Each route has one thread, if the channel's preferences allow threads."""
    summary: str
    event_type: str
    related_resources: list[str]
    additional_context: dict[str, str]
    enable_custom_actions: bool = False


class Notification(Struct, frozen=True):
    """Q Developer's custom notification."""

    id: str
    """The document's `id` and `outcome`, so that a repeated message has the same id."""
    content: Content
    metadata: Metadata
    version: Literal["1.0"] = "1.0"
    source: Literal["custom"] = "custom"


def publish_chat(sns: SNSClient, topic_arn: str, report: Report, stack: str) -> None:
    """Send the report to the channels; raises botocore's `ClientError` when SNS refuses."""
    sns.publish(TopicArn=topic_arn, Message=json.dumps(to_builtins(notification(report, stack))))


def notification(report: Report, stack: str) -> Notification:
    """The report for a channel that several stacks may share. Its length is limited, and markup in it is escaped."""
    errors = [f"- {in_words(error)}" for error in report.errors[:ERRORS_SHOWN]]
    return Notification(
        id=f"{report.id} {report.outcome}",
        content=Content(
            title=escaped(subject(report)),
            description=escaped("\n".join([headline(report), *reason(report), *errors])),
            next_steps=[escaped(line) for line in advice(report)[:LINES]],
            keywords=[report.outcome, report.route],
        ),
        metadata=Metadata(
            thread_id=f"{stack}/{report.route}",
            summary=escaped(subject(report)),
            event_type=DETAIL_TYPES[report.outcome],
            related_resources=[plain(report.report_url)] if report.report_url else [],
            additional_context={"stack": stack, "route": report.route, "report": report.id},
        ),
    )


def escaped(text: str) -> str:
    """Text in which Slack and Teams see no mentions and no links hidden behind other words."""
    return text.translate(MARKUP).replace("](", "] (")
