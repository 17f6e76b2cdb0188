"""A digest: one mail about many loads of a lane. Systems got a document for each load."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.digests import Owed
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.report.subject import SUBJECT_LIMIT
from anaplan_autoload.report.text import ascii_only, count, cut, plain, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sns import SNSClient

WORST_FIRST: dict[ReportOutcome, str] = {
    "failed": "failed",
    "rejected": "rejected",
    "partial": "partly loaded",
    "loaded": "loaded",
    "recovered": "recovered",
}
"""The outcomes that a digest can report, and what the subject calls them."""
SHOWN = 1_000
"""How many loads the mail lists. Each takes less than 200 bytes, and SNS accepts 256 KiB."""


class Digest(Struct, frozen=True):
    """The contents of one mail."""

    id: str
    """The same loads always have the same id."""
    lane: str
    routes: tuple[str, ...]
    targets: tuple[str, ...]
    """The ids of their integrations and flows."""
    loads: tuple[Owed, ...]
    """First the loads that need somebody's attention; otherwise in the order in which they ended."""
    outcomes: dict[ReportOutcome, int]


def publish_digest(sns: SNSClient, topic_arn: str, owed: Sequence[Owed], contact: str | None = None) -> Digest:
    """Send people the digest of one lane; raises botocore's `ClientError` when SNS refuses.

    It has the same attributes as a mail about one load, but `route` and `integration_id` list all routes and ids. So a
    subscription that filters by one of them gets the digest.
    """
    found = digest(owed)
    texts = {"id": found.id, "outcome": "digest"}
    lists = {"route": found.routes, "integration_id": found.targets}
    sns.publish(
        TopicArn=topic_arn,
        Subject=subject(found),
        Message=json.dumps({"default": email_text(found, contact), "sms": subject(found)}, ensure_ascii=False),
        MessageStructure="json",
        MessageAttributes={
            **{name: {"DataType": "String", "StringValue": each} for name, each in texts.items()},
            **{name: {"DataType": "String.Array", "StringValue": json.dumps(each)} for name, each in lists.items()},
        },
    )
    return found


def digest(owed: Sequence[Owed]) -> Digest:
    """The digest of one lane's messages, of which there must be at least one."""
    names = "\0".join(sorted(f"{each.id} {each.outcome}" for each in owed))
    rank = list(WORST_FIRST)
    return Digest(
        id=f"digest-{sha256(names.encode()).hexdigest()[:32]}",
        lane=owed[0].lane,
        routes=tuple(sorted({each.route for each in owed})),
        targets=tuple(sorted({each.target for each in owed})),
        loads=tuple(sorted(owed, key=lambda each: (rank.index(each.outcome), each.ended_at, each.id))),
        outcomes=dict(Counter(each.outcome for each in owed)),
    )


def subject(found: Digest) -> str:
    """One line of at most 99 ASCII characters, the worst outcome first: `2 failed, 9 loaded: accounts, units`."""
    return cut(ascii_only(f"{_counts(found)}: {', '.join(found.routes)}"), SUBJECT_LIMIT, mark="...")


def email_text(found: Digest, contact: str | None) -> str:
    """The mail: what happened, what to do, the loads (those that need attention first), and why it is one mail."""
    routes = f"({'route' if len(found.routes) == 1 else 'routes'} {', '.join(found.routes)})"
    ended = [each.ended_at for each in found.loads]
    sections = (
        f"{count(len(found.loads), 'load')} into Anaplan ended {routes}: {_counts(found)}.",
        "\n".join(["What to do next:", *_advice(found), *([f"Contact: {plain(contact)}"] if contact else [])]),
        f"First: {readable(min(ended))}\nLast:  {readable(max(ended))}",
        "\n".join(_loads(found)),
        "You get one mail for all of these, because many loads ended within a short time. The stack's parameters "
        "DigestAfter and DigestMinutes say from how many on. DigestAfter=0 sends a mail for each.",
    )
    return "\n\n".join(sections) + "\n"


def _counts(found: Digest) -> str:
    return ", ".join(
        f"{found.outcomes[outcome]:,} {word}" for outcome, word in WORST_FIRST.items() if found.outcomes.get(outcome)
    )


def _advice(found: Digest) -> list[str]:
    if not found.outcomes.keys() & {"failed", "rejected", "partial"}:
        return ["Nothing."]
    return [
        "1. See what was wrong with each: anaplan-autoload loads --failed",
        "2. Correct the files where they come from, and upload them again under the same names. If a file was right, "
        "load it again: anaplan-autoload retry ID",
    ]


def _loads(found: Digest) -> list[str]:
    lines = [f"- {plain(load.said)} ({readable(load.ended_at)}, {load.id})" for load in found.loads[:SHOWN]]
    more = len(found.loads) - len(lines)
    return ["The loads, those that need you first:", *lines, *([f"- and {more:,} more"] if more else [])]
