"""When mails are gathered, and what the one that replaces them says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from anaplan_autoload.aws.settings import Settings, SettingsInvalid, from_environment
from anaplan_autoload.domain.digests import Owed, due, is_digested
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.report.digest import SHOWN, digest, email_text, publish_digest, subject
from anaplan_autoload.report.message import MESSAGE_LIMIT

MINUTE = 60_000
NOW = 100 * MINUTE
OWED = Owed("model", "r1", "loaded", "accounts", "a" * 32, "2026-11-24T21:00:00.000Z", "Loaded: accounts: a.csv", NOW)


def owed(number: int, outcome: ReportOutcome = "loaded", **changes: Any) -> Owed:
    at = f"2026-11-24T21:{number % 60:02}:00.000Z"
    return replace(OWED, **{"id": f"run-{number}", "outcome": outcome, "ended_at": at, **changes})


@pytest.mark.parametrize(
    ("told", "after", "expected"),
    [
        ([], 5, False),
        ([1, 2, 3, 4], 5, False),
        ([1, 2, 3, 4, 5], 5, True),
        ([1, 2, 3, 4, 9], 5, True),
        ([1, 2, 3, 4, 10], 5, False),
        ([0, 0, 0, 0, 0], 5, True),
        ([1, 2, 3, 4, 5], 0, False),
        ([], 0, False),
        ([1], 1, True),
    ],
)
def test_a_message_waits_for_a_digest_where_so_many_came_before_it(told: list[int], after: int, expected: bool) -> None:
    assert is_digested([NOW - ago * MINUTE for ago in told], NOW, after, 10 * MINUTE) is expected


def test_a_digest_is_of_one_lane_and_one_time_and_not_before_it_is_due() -> None:
    later, other = owed(3, due_at=NOW + 1), owed(4, lane="orders")

    found = due([owed(2), other, later, owed(1), owed(5, due_at=NOW - 1)], NOW)

    assert sorted([each.id for each in one] for one in found) == [["run-1", "run-2"], ["run-4"], ["run-5"]]


def test_the_worst_comes_first() -> None:
    found = digest([owed(1), owed(2, "failed"), owed(3, "rejected", route="units"), owed(4, "partial"), owed(5)])

    assert subject(found) == "1 failed, 1 rejected, 1 partly loaded, 2 loaded: accounts, units"
    assert [load.id for load in found.loads] == ["run-2", "run-3", "run-4", "run-1", "run-5"]
    text = email_text(found, "#anaplan")
    assert text.startswith(
        "5 loads into Anaplan ended (routes accounts, units): 1 failed, 1 rejected, 1 partly loaded, 2 loaded.\n\n"
        "What to do next:\n1. See what was wrong with each: anaplan-autoload loads --failed\n"
    )
    assert "Contact: #anaplan" in text


def test_there_is_nothing_to_do_where_all_was_loaded() -> None:
    assert "What to do next:\nNothing.\n" in email_text(digest([owed(1), owed(2)]), None)


def test_the_same_loads_are_the_same_digest() -> None:
    assert digest([owed(1), owed(2)]).id == digest([owed(2), owed(1)]).id
    assert digest([owed(1), owed(2)]).id != digest([owed(1)]).id
    assert digest([owed(1)]).id != digest([owed(1, "recovered")]).id


class Topic:
    """Keeps what is published."""

    def publish(self, **parameters: Any) -> None:
        """Keep it."""
        self.got = parameters


def test_the_longest_digest_fits_a_message_and_passes_a_filter_for_one_of_its_routes() -> None:
    topic = Topic()
    longest = "Failed: " + "x" * 91
    many = [owed(number, said=longest, id=f"{number:032}", route=f"r{number % 9}") for number in range(SHOWN + 5)]

    publish_digest(topic, "arn", many)  # type: ignore[arg-type]

    assert len(topic.got["Message"].encode()) < MESSAGE_LIMIT
    assert len(topic.got["Subject"]) <= 99
    assert "- and 5 more" in json.loads(topic.got["Message"])["default"]
    attributes = topic.got["MessageAttributes"]
    assert attributes["route"]["DataType"] == "String.Array"
    assert "r3" in json.loads(attributes["route"]["StringValue"])


REQUIRED = dict.fromkeys(
    [
        *("ANAPLAN_SECRET_ID", "LEDGER_TABLE", "TOPIC_ARN", "ANAPLAN_AUTH_URL"),
        *("CLOUDWORKS_URL", "AWS_LAMBDA_FUNCTION_NAME"),
    ],
    "x",
)


def settings(**variables: str) -> Settings:
    return from_environment({**REQUIRED, **variables})


def test_the_settings_of_digests_are_read_from_the_environment() -> None:
    assert (settings().digest_after, settings().digest_ms) == (5, 10 * MINUTE)
    chosen = settings(DIGEST_AFTER="0", DIGEST_MINUTES="60", MAIL_TOPIC_ARN=" ", PUBLISH_EVENTS="false")
    assert (chosen.digest_after, chosen.digest_ms, chosen.mail_topic_arn, chosen.publish_events) == (
        *(0, 60 * MINUTE),
        *(None, False),
    )


@pytest.mark.parametrize("variables", [{"DIGEST_AFTER": "101"}, {"DIGEST_MINUTES": "-1"}, {"DIGEST_AFTER": "five"}])
def test_a_setting_that_cannot_be_is_named_with_what_it_takes(variables: dict[str, str]) -> None:
    [name] = variables
    with pytest.raises(SettingsInvalid, match=f"{name} is '.+'; it takes a whole number, 0 to"):
        settings(**variables)
