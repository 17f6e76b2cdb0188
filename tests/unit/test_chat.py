"""What Slack and Teams show."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from msgspec import to_builtins

from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.report.chat import notification
from anaplan_autoload.report.event import DETAIL_TYPES
from tests.unit.test_report import OUTCOMES, URL, a_partial_report, a_report, an_upload


def test_a_channel_reads_the_news_then_what_to_do() -> None:
    shown = notification(a_partial_report(), "finance")

    assert shown.content.title == "Partly loaded: accounts: 17 rows rejected (a.csv)"
    assert shown.content.description.splitlines() == [
        "a.csv was loaded into Anaplan (route accounts), but some rows were rejected.",
        "Anaplan says: 3 of 120 rows failed (code 38)",
        "- Import Accounts: Invalid date (17 rows)",
    ]
    assert shown.content.next_steps[0].startswith("1. See the rejected rows")
    assert shown.metadata.thread_id == "finance/accounts"
    assert shown.metadata.related_resources == [URL]


@pytest.mark.parametrize("name", ["<!here>.csv", "<@U0123>.csv", "<https://evil.example|a.csv>", "[a.csv](https://x)"])
def test_a_files_name_addresses_nobody_and_hides_no_link(name: str) -> None:
    content = notification(a_report(uploads=(an_upload(name),), message=name), "finance").content
    text = "\n".join([content.title, content.description, *content.next_steps])

    assert "<" not in text and ">" not in text and "](" not in text


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_short_enough_to_be_shown(outcome: ReportOutcome) -> None:
    long = a_report(
        outcome, uploads=tuple(an_upload("x" * 900) for _ in range(9)), uploads_total=9, message="y " * 9_000
    )

    assert len(json.dumps(to_builtins(notification(long, "s" * 64)))) < 10_000


def test_every_outcome_is_an_event() -> None:
    assert DETAIL_TYPES.keys() == set(get_args(ReportOutcome))
    assert len(set(DETAIL_TYPES.values())) == len(DETAIL_TYPES)
