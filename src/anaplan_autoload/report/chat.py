"""A report as Slack and Teams show it, through Amazon Q Developer in chat applications.

Q Developer drops every SNS message whose whole body is not of a form that it knows, and `default` of our messages is
the document that queues get. So chat has a topic of its own, which takes its custom notifications: see "Custom
notifications" in Q Developer's administrator guide.
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
    """One thread a route, if the channel's preferences allow threads."""
    summary: str
    event_type: str
    related_resources: list[str]
    additional_context: dict[str, str]
    enable_custom_actions: bool = False


class Notification(Struct, frozen=True):
    """Q Developer's custom notification."""

    id: str
    """The document's `id` and `outcome`: the same each time that it is sent."""
    content: Content
    metadata: Metadata
    version: Literal["1.0"] = "1.0"
    source: Literal["custom"] = "custom"


def publish_chat(sns: SNSClient, topic_arn: str, report: Report, stack: str) -> None:
    """Send the report to the channels; raises botocore's `ClientError` when SNS refuses."""
    sns.publish(TopicArn=topic_arn, Message=json.dumps(to_builtins(notification(report, stack))))


def notification(report: Report, stack: str) -> Notification:
    """The report for a channel that several stacks may share. Of bounded length, without markup from files' names."""
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
    """Text that neither Slack nor Teams reads as a mention or a link behind other words."""
    return text.translate(MARKUP).replace("](", "] (")
