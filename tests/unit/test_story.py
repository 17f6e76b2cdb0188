"""What is told of an upload, from what the ledger holds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import RunRecord, UploadRecord
from anaplan_autoload.aws.story import Moment, in_order, told
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.protocol import Batch
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.times import epoch_ms

UPLOADED, RECORDED, CLAIMED = "2026-11-24T21:00:00.000Z", "2026-11-24T21:00:01.000Z", "2026-11-24T21:00:02.000Z"
ASKED, BEGAN, ENDED = "2026-11-24T21:00:03.500Z", "2026-11-24T21:00:03.000Z", "2026-11-24T21:00:30.000Z"
TOLD = "2026-11-24T21:00:32.000Z"
ROUTE = Route(name="accounts", prefix="in/", integration="a" * 32)
UPLOAD = Upload(bucket="inbox", key="in/a.csv", event_time=UPLOADED, size=1200, version_id="v1")
RECORD = UploadRecord(UPLOAD, ROUTE, "loaded", epoch_ms(RECORDED), "r1", "b1", epoch_ms(TOLD))
RUN = RunRecord(
    id="r1",
    lane="a" * 32,
    route="accounts",
    outcome="loaded",
    ended_at=ENDED,
    started_at=BEGAN,
    message="Success",
    batch_id="b1",
    uploads_total=3,
    claimed_at=CLAIMED,
    asked_at=ASKED,
    told_at=TOLD,
)
FAILED = replace(RUN, id="r0", outcome="failed", retried=True, told_at=None, message="It failed", uploads_total=3)
BATCH = Batch("b1", ROUTE, 1, epoch_ms(CLAIMED), UPLOADED)
ARRIVAL = ["uploaded", "recorded"]


def waiting(**changes: Any) -> UploadRecord:
    return replace(RECORD, state="waiting", run_id=None, batch_id=None, final_at=None, **changes)


@pytest.mark.parametrize(
    ("record", "runs", "batch", "expected"),
    [
        (waiting(), [], None, ARRIVAL),
        (waiting(), [], BATCH, [*ARRIVAL, "claimed"]),
        (waiting(), [], replace(BATCH, posted_at=epoch_ms(ASKED)), [*ARRIVAL, "claimed", "asked"]),
        (waiting(), [FAILED], BATCH, [*ARRIVAL, "claimed", "asked", "began", "ended"]),
        (RECORD, [RUN], None, [*ARRIVAL, "claimed", "asked", "began", "ended", "told"]),
        (
            RECORD,
            [FAILED, RUN],
            None,
            [*ARRIVAL, "claimed", "asked", "began", "ended", "asked", "began", "ended", "told"],
        ),
        (replace(RECORD, state="superseded", run_id=None), [], None, [*ARRIVAL, "superseded"]),
        (RECORD, [], None, ARRIVAL),
    ],
    ids=[
        "waiting",
        "claimed",
        "asked",
        "failed and tried again",
        "loaded",
        "loaded by the second run",
        "superseded",
        "loaded by a run that the history forgot",
    ],
)
def test_a_story_has_what_is_known(
    record: UploadRecord, runs: list[RunRecord], batch: Batch | None, expected: list[str]
) -> None:
    assert [moment.what for moment in told(record, runs, batch)] == expected


def test_a_story_says_it_in_sentences() -> None:
    assert [moment.said for moment in told(RECORD, [FAILED, RUN])] == [
        "Stored as s3://inbox/in/a.csv, version v1, 1,200 bytes.",
        "Recorded for route accounts.",
        "Claimed with 2 more, to be covered by one run.",
        "CloudWorks was asked for a run.",
        "Run r0 began.",
        "Ended as failed: It failed. It was started again.",
        "CloudWorks was asked for a run.",
        "Run r1 began.",
        "Ended as loaded: Success.",
        "Subscribers were told that it is loaded.",
    ]


def test_a_batch_without_a_run_says_so() -> None:
    refused = replace(
        RUN, id="batch-b1", started_at=None, asked_at=None, outcome="rejected", message="No run reads it."
    )

    assert told(RECORD, [refused])[-2].said == "Ended as rejected without a run: No run reads it."


def test_causes_come_before_effects_although_clocks_differ() -> None:
    story = told(RECORD, [RUN])
    lines = [
        Moment("2026-11-24T21:00:32.000Z", "logged", "last"),
        Moment("2026-11-24T21:00:03.700Z", "logged", "Asked"),
    ]

    ordered = in_order(story, lines)

    assert [moment.said if moment.what == "logged" else moment.what for moment in ordered] == [
        *ARRIVAL,
        "claimed",
        "asked",
        "began",
        "Asked",
        "ended",
        "told",
        "last",
    ]
