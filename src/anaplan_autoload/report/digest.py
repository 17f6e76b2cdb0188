"""A digest: one message to people about many loads of a lane, whose documents systems got one by one."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, to_builtins

from anaplan_autoload.report.subject import SUBJECT_LIMIT
from anaplan_autoload.report.text import ascii_only, count, cut, plain, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sns import SNSClient

    from anaplan_autoload.domain.digests import Owed
    from anaplan_autoload.domain.outcomes import ReportOutcome

WORST_FIRST: dict[ReportOutcome, str] = {
    "failed": "failed",
    "rejected": "rejected",
    "partial": "partly loaded",
    "loaded": "loaded",
    "recovered": "recovered",
}
"""The outcomes that a digest can tell of, and what the subject calls them."""
SHOWN = 40
"""Loads that the mail lists."""
LISTED = 500
"""Loads that the document lists; each takes less than 400 bytes."""


class DigestedLoad(Struct, frozen=True):
    """One load of a digest."""

    id: str
    """The `id` of the document that systems got."""
    outcome: ReportOutcome
    route: str
    ended_at: str
    said: str
    """That document's subject."""


class Digest(Struct, frozen=True):
    """The JSON document of a digest. Systems can ignore it: they got a document for each load."""

    id: str
    """The same for the same loads."""
    lane: str
    routes: tuple[str, ...]
    since: str
    """When the first of the loads ended."""
    until: str
    """When the last of them ended."""
    total: int
    outcomes: dict[ReportOutcome, int]
    loads: tuple[DigestedLoad, ...]
    """The first 500, those that need somebody first."""
    outcome: Literal["digest"] = "digest"


def publish_digest(sns: SNSClient, topic_arn: str, owed: Sequence[Owed], contact: str | None = None) -> Digest:
    """Send what is owed for one lane to all subscribers; raises botocore's `ClientError` when SNS refuses.

    The attributes `route` and `integration_id` list all of its routes, so that a filter for one of them lets it pass.
    """
    found = digest(owed)
    lists = {"route": found.routes, "integration_id": sorted({each.target for each in owed})}
    bodies = {
        "default": json.dumps(to_builtins(found), separators=(",", ":")),
        "email": email_text(found, contact),
        "sms": subject(found),
    }
    sns.publish(
        TopicArn=topic_arn,
        Subject=subject(found),
        Message=json.dumps(bodies, ensure_ascii=False),
        MessageStructure="json",
        MessageAttributes={
            "outcome": {"DataType": "String", "StringValue": found.outcome},
            **{name: {"DataType": "String.Array", "StringValue": json.dumps(each)} for name, each in lists.items()},
        },
    )
    return found


def digest(owed: Sequence[Owed]) -> Digest:
    """What is owed for one lane, at least one message, as one document."""
    rank = list(WORST_FIRST)
    sorted_ = sorted(owed, key=lambda each: (rank.index(each.outcome), each.ended_at, each.id))
    counted = Counter(each.outcome for each in sorted_)
    names = "\0".join(sorted(f"{each.id} {each.outcome}" for each in owed))
    return Digest(
        id=f"digest-{sha256(names.encode()).hexdigest()[:32]}",
        lane=owed[0].lane,
        routes=tuple(sorted({each.route for each in owed})),
        since=min(each.ended_at for each in owed),
        until=max(each.ended_at for each in owed),
        total=len(owed),
        outcomes=dict(counted),
        loads=tuple(
            DigestedLoad(each.id, each.outcome, each.route, each.ended_at, each.said) for each in sorted_[:LISTED]
        ),
    )


def subject(found: Digest) -> str:
    """One line of at most 99 ASCII characters, the worst first: `2 failed, 9 loaded: accounts, units`."""
    return cut(ascii_only(f"{_counts(found)}: {', '.join(found.routes)}"), SUBJECT_LIMIT, mark="...")


def email_text(found: Digest, contact: str | None) -> str:
    """The mail: what happened, what to do, the loads that need somebody first, and why it is one mail."""
    bad = sum(number for outcome, number in found.outcomes.items() if outcome in ("failed", "rejected", "partial"))
    routes = f"({'route' if len(found.routes) == 1 else 'routes'} {', '.join(found.routes)})"
    sections = (
        f"{count(found.total, 'load')} into Anaplan ended {routes}: {_counts(found)}.",
        "\n".join(["What to do next:", *_advice(bad), *([f"Contact: {plain(contact)}"] if contact else [])]),
        f"First: {readable(found.since)}\nLast:  {readable(found.until)}",
        "\n".join(_loads(found)),
        "You get one mail for all of these, because many loads ended within a short time. The stack's parameters "
        "DigestAfter and DigestMinutes say from how many on; DigestAfter=0 sends a mail for each.",
    )
    return "\n\n".join(sections) + "\n"


def _counts(found: Digest) -> str:
    return ", ".join(
        f"{found.outcomes[outcome]:,} {word}" for outcome, word in WORST_FIRST.items() if found.outcomes.get(outcome)
    )


def _advice(bad: int) -> list[str]:
    if not bad:
        return ["Nothing."]
    return [
        f"1. See what was wrong with {'it' if bad == 1 else 'each'}: anaplan-autoload loads --failed",
        "2. Correct the files where they come from, and upload them again under the same names, or load one again "
        "with: anaplan-autoload retry ID",
    ]


def _loads(found: Digest) -> list[str]:
    lines = [f"- {plain(load.said)} ({readable(load.ended_at)}, {load.id})" for load in found.loads[:SHOWN]]
    more = found.total - len(lines)
    return ["The loads, those that need you first:", *lines, *([f"- and {more:,} more"] if more else [])]
