"""The service commands' choices and wordings, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.protocol import Batch, Lane, Waiting
from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.sending import chosen, reload
from anaplan_autoload.operations.status import described
from anaplan_autoload_cli.context import Cli
from anaplan_autoload_cli.output import CommandFailed, Output
from anaplan_autoload_cli.service.backfill import request_of, without_known
from anaplan_autoload_cli.service.places import object_named, place_of
from anaplan_autoload_cli.service.sending import bar
from anaplan_autoload_cli.settings import CommandSettings
from anaplan_autoload_cli.times import length

NOW = 1_795_000_000_000
LATEST = Route(name="accounts", prefix="in/", integration="a" * 32)
EACH = Route(name="accounts", prefix="in/", integration="a" * 32, load="each", stage_to="source/a.csv")
BATCH = Batch(id="b", route=LATEST, total=1, opened_at=NOW - 60_000, oldest=iso(NOW))
RUNNING = Batch(id="b", route=LATEST, total=1, opened_at=NOW - 60_000, oldest=iso(NOW), run_id="r", posted_at=NOW)
LED: dict[str, Any] = {"holder": "arn", "lease_until": NOW + 1000}
DEAD: dict[str, Any] = {"holder": "arn", "lease_until": NOW - 1000}


def upload(key: str = "in/a.csv", at: int = NOW, **changes: Any) -> Upload:
    return Upload("inbox", key, iso(at), **changes)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0.4, "0s"),
        (59, "59s"),
        (60, "1m"),
        (125, "2m 5s"),
        (7200, "2h"),
        (7320, "2h 2m"),
        (90_000, "1d 1h"),
    ],
)
def test_a_length_of_time_shows_its_two_largest_units(seconds: float, text: str) -> None:
    assert length(seconds) == text


def test_a_bar_fills_as_things_are_done() -> None:
    assert [bar(done, 4) for done in (0, 2, 4)] == [
        f"{'░' * 20} 0 of 4",
        f"{'█' * 10}{'░' * 10} 2 of 4",
        f"{'█' * 20} 4 of 4",
    ]


@pytest.mark.parametrize("text", ["", "s3://", "s3://inbox", "s3://inbox/", "inbox/key", "https://inbox/key"])
def test_a_text_that_is_not_an_s3_url_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        place_of(text)
    assert "s3://bucket/key" in (refused.value.remedy or "")


@pytest.mark.parametrize("text", ["s3://inbox/incoming/\udcff.csv", "incoming/\udcff.csv"])
def test_a_key_that_is_not_unicode_is_refused(text: str) -> None:
    cli = Cli(CommandSettings({"inbox": "inbox"}, None, {}), Output())

    with pytest.raises(CommandFailed, match=r"incoming/\\udcff.csv' is not UTF-8"):
        object_named(cli, Routes(()), text)


def test_a_key_keeps_what_a_url_would_encode() -> None:
    assert place_of("s3://inbox/a b/ü+%20?#.csv").key == "a b/ü+%20?#.csv"


@pytest.mark.parametrize(
    ("lane", "waits", "state"),
    [
        (Lane(), False, "idle"),
        (Lane(**LED), False, "idle"),
        (Lane(), True, "unled"),
        (Lane(**DEAD), True, "unled"),
        (Lane(**LED), True, "starting"),
        (Lane(**LED, open=BATCH), False, "starting"),
        (Lane(**LED, open=BATCH, not_before=NOW + 5000), False, "backing off"),
        (Lane(**LED, open=RUNNING), True, "running"),
        (Lane(**DEAD, open=RUNNING), False, "unled"),
        (Lane(paused=True), True, "paused"),
        (Lane(paused=True, **LED, open=RUNNING), True, "running"),
        (Lane(paused=True, **DEAD, open=RUNNING), True, "paused"),
        (Lane(held="v1"), True, "held"),
        (Lane(held="v1", paused=True, open=RUNNING), True, "held"),
    ],
)
def test_a_lanes_state_follows_from_its_leader_and_its_batch(lane: Lane, waits: bool, state: str) -> None:
    waiting = [Waiting(upload(), LATEST, NOW)] if waits else []

    assert described("lane", ["accounts"], lane, waiting, None, NOW).state == state


def test_latest_asks_for_the_newest_of_every_key_and_each_for_every_version_oldest_first() -> None:
    old, new, other = upload(at=NOW - 2000), upload(at=NOW - 1000), upload("in/b.csv", at=NOW)

    assert chosen([other, new, old], EACH) == [old, new, other]
    assert chosen([other, new, old], LATEST) == [new, other]


def test_a_version_is_asked_for_only_where_each_is_loaded() -> None:
    versioned = upload(version_id="v1")

    assert reload(versioned, EACH).load.version_id == "v1"
    assert reload(versioned, LATEST).load.version_id is None
    assert reload(versioned, EACH).load.request_id != reload(versioned, EACH).load.request_id


def test_a_reload_is_known_to_the_ledger_by_its_request() -> None:
    asked = reload(upload(), LATEST, "mine")

    assert asked.load.upload_id == upload(at=NOW + 5, etag="e", version_id="v", request_id="mine").id


def test_an_object_is_recognized_by_its_version_however_it_was_recorded() -> None:
    lying = [upload(version_id="v1"), upload(version_id="v2"), upload("in/b.csv", version_id="v1")]
    known = [upload(version_id="v1", request_id="a request"), upload("in/c.csv", version_id="v2")]

    assert without_known(lying, known) == [lying[1], lying[2]]


@pytest.mark.parametrize(
    ("known_at", "etag", "known"),
    [(0, "e", True), (900, "e", True), (60_000, "e", True), (-1000, "e", False), (0, "f", False)],
)
def test_without_versions_it_is_known_by_content_and_time(known_at: int, etag: str, known: bool) -> None:
    lying = upload(at=NOW, etag="e")

    found = without_known([lying], [upload(at=NOW + known_at, etag=etag, sequencer="01")])

    assert (found == []) == known


def test_a_backfill_asks_for_the_same_upload_by_the_same_request() -> None:
    assert request_of(upload(version_id="v1")) == request_of(upload(version_id="v1", at=NOW + 1))
    assert request_of(upload(version_id="v1")) != request_of(upload(version_id="v2"))
