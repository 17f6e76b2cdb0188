"""What people are told of the search for lost uploads, as a table."""

from __future__ import annotations

import pytest

from anaplan_autoload.domain.events import Reconcile
from anaplan_autoload.domain.lost import Round
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.service.lost import findings_of

NOW = epoch_ms("2026-11-24T12:00:00.000Z")
HOURLY = Reconcile(3600, ("inbox",))


def ago(seconds: int) -> int:
    return NOW - seconds * 1000


@pytest.mark.parametrize(
    ("known", "status", "words"),
    [
        (Round(), "ok", "has not ended yet"),
        (Round(started=ago(600)), "ok", "has not ended yet"),
        (Round(started=ago(600), ended=ago(590)), "ok", "ended 9m 50s ago; none found so far"),
        (
            Round(started=ago(9000), ended=ago(8990)),
            "warning",
            "last looked for 2h 29m ago, although that should be every 1h",
        ),
        (
            Round(started=ago(9), ended=ago(9), found=2, found_at=ago(3600)),
            "warning",
            "2 uploads found whose events never",
        ),
        (Round(started=ago(9), ended=ago(9), found=2, found_at=ago(8 * 86_400)), "ok", "2 uploads found so far"),
        (
            Round(started=ago(9), trouble="s3://a/ could not be listed.", trouble_at=ago(9)),
            "warning",
            "s3://a/ could not",
        ),
    ],
)
def test_the_search_is_told_of_with_what_is_wrong(known: Round, status: str, words: str) -> None:
    [finding] = findings_of(HOURLY, known, NOW)

    assert finding.status == status
    assert words in finding.what
    assert not finding.what.endswith(".")
    assert (finding.remedy is None) == (status == "ok")
