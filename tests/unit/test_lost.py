"""Which listed objects are lost uploads, as tables."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.lost import Listed, Place, Round, Watched, candidates, next_place, places, taken_by
from anaplan_autoload.domain.routes import Routes
from anaplan_autoload.domain.routes_file.parsing import parse
from anaplan_autoload.domain.times import epoch_ms, iso

NOW = epoch_ms("2026-11-24T12:00:00.000Z")
HOUR = 3_600_000
DAY = 24 * HOUR
ID = "a2fb43a93bc84bcb9f37dd59a75eb940"
ROUTES = parse(
    f"""
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{ID}"
suffix = ".csv"
exclude = ["*-draft.csv"]

[[route]]
name = "orders"
prefix = "incoming/orders/"
integration = "{ID[::-1]}"
load = "each"
stage_to = "source/orders.csv"

[[route]]
name = "others"
prefix = "incoming/"
integration = "{ID[1:]}0"
bucket = "finance"
""",
    "routes.toml",
)
KEY = "incoming/accounts/a.csv"


def listed(key: str = KEY, ago: int = HOUR, *, latest: bool = True, etag: str = "a" * 32, size: int = 9) -> Listed:
    upload = Upload("inbox", key, iso(NOW - ago), size=size, etag=etag, version_id="v1")
    return Listed(upload, latest)


def found(*versions: Listed, covered: int = 0, since: int = 0, last: tuple[str, str] = ("", "")) -> list[str]:
    """The keys of the candidates; those that are replaced are marked."""
    watched = Watched(ROUTES, {}, {route.name: since for route in ROUTES})
    return [
        f"{each.upload.key}{' replaced' if each.replaced else ''}"
        for each in candidates(versions, last, watched, covered, NOW)
    ]


@pytest.mark.parametrize(
    ("version", "is_candidate"),
    [
        (listed(), True),
        (listed("incoming/accounts/a.txt"), False),
        (listed("incoming/accounts/a-draft.csv"), False),
        (listed("incoming/accounts/~$a.csv"), False),
        (listed("elsewhere/a.csv"), False),
        (listed("source/orders.csv"), False),
        (listed("incoming/orders/", size=0), False),
        (listed("incoming/orders/a.csv", size=0), True),
        (listed(latest=False), False),
        (listed("incoming/orders/a.csv", latest=False), True),
        (listed(ago=15 * 60_000), True),
        (listed(ago=15 * 60_000 - 1000), False),
        (listed(ago=89 * DAY), True),
        (listed(ago=89 * DAY + 1000), False),
    ],
    ids=[
        *("an upload", "another suffix", "excluded", "litter", "no route", "our own copy", "a folder", "an empty file"),
        *("what was replaced, with latest", "what was replaced, with each", "old enough", "too young"),
        *("as old as the ledger remembers", "older than the ledger remembers"),
    ],
)
def test_a_listed_version_is_compared_with_the_ledger(version: Listed, is_candidate: bool) -> None:
    assert bool(found(version)) is is_candidate


@pytest.mark.parametrize(
    ("etag", "ago", "is_candidate"),
    [
        ("a" * 32, 3 * HOUR, True),
        ("a" * 32, 3 * HOUR + 1000, False),
        ("a" * 32 + "-7", 3 * HOUR + 1000, True),
        ("a" * 32 + "-7", 7 * DAY + 2 * HOUR, True),
        ("a" * 32 + "-7", 7 * DAY + 2 * HOUR + 1000, False),
    ],
)
def test_what_an_earlier_round_has_compared_is_left_out(etag: str, ago: int, is_candidate: bool) -> None:
    """An object in parts shows the time when its upload was begun, which may have taken days."""
    assert bool(found(listed(etag=etag, ago=ago), covered=NOW - 2 * HOUR)) is is_candidate


def test_what_is_older_than_its_route_is_left_out() -> None:
    assert found(listed(ago=2 * HOUR), since=NOW - HOUR) == []
    assert found(listed(ago=HOUR), since=NOW - HOUR) == [KEY]


def test_of_the_versions_of_one_second_the_newest_counts_also_over_the_end_of_a_page() -> None:
    key = "incoming/orders/a.csv"
    newest, before, long_before = (listed(key), listed(key, latest=False), listed(key, 2 * HOUR, latest=False))

    assert found(newest, before, long_before) == [key, f"{key} replaced", key]
    assert found(before, last=(key, newest.upload.event_time)) == [f"{key} replaced"]


def test_what_a_key_holds_now_is_its_newest_data_whenever_its_upload_was_begun() -> None:
    watched = Watched(ROUTES, {}, {route.name: 0 for route in ROUTES})
    begun = listed("incoming/orders/a.csv", 5 * HOUR, etag="b" * 32 + "-3")
    older = listed("incoming/orders/a.csv", HOUR, latest=False)

    times = [each.upload.event_time for each in candidates([begun, older], ("", ""), watched, 0, NOW)]

    assert times == [iso(NOW), iso(NOW - HOUR)]


def test_a_prefix_under_another_is_listed_with_it() -> None:
    assert places(ROUTES, ["inbox", "finance", "inbox"]) == [
        Place("finance", "incoming/"),
        Place("inbox", "incoming/accounts/"),
        Place("inbox", "incoming/orders/"),
    ]


def test_a_round_goes_on_after_a_place_that_is_gone() -> None:
    listed_places = places(ROUTES, ["inbox"])

    assert next_place(listed_places, None) == listed_places[0]
    assert next_place(listed_places, Place("inbox", "incoming/assets/")) == listed_places[1]
    assert next_place(listed_places, listed_places[-1]) is None


@pytest.mark.parametrize(
    ("changed", "starts_over"),
    [
        ({"name": "charts"}, False),
        ({"retries": 0}, False),
        ({"suffix": ""}, True),
        ({"exclude": ()}, True),
        ({"bucket": "inbox"}, True),
        ({"lane": "model"}, True),
        ({"integration": ID[1:] + "1"}, True),
    ],
)
def test_a_route_that_takes_other_objects_starts_over(changed: dict[str, object], starts_over: bool) -> None:
    """What lies there was loaded by another route, or by none: the ledger does not know it in this lane."""
    route, *others = ROUTES
    after = replace(route, **changed)

    before = taken_by(route, ROUTES)
    assert (taken_by(after, Routes((after, *others))) != before) is starts_over


def test_a_route_that_takes_over_from_a_closer_one_starts_over() -> None:
    *closer, others = ROUTES

    assert taken_by(others, ROUTES) != taken_by(others, Routes((others,)))
    assert taken_by(closer[0], ROUTES) == taken_by(closer[0], Routes((closer[0],)))


def test_what_is_known_of_routes_that_are_gone_is_forgotten() -> None:
    first = Watched.of(ROUTES, {"gone": 1}, 10)
    again = Watched.of(ROUTES, first.since, 20)

    assert set(first.since.values()) == {10}
    assert again == first


@pytest.mark.parametrize(
    ("known", "is_due"),
    [
        (Round(), True),
        (Round(started=NOW - HOUR), True),
        (Round(started=NOW - HOUR + 1), False),
    ],
)
def test_a_round_begins_at_its_time(known: Round, is_due: bool) -> None:
    assert known.is_due(3600, NOW) is is_due
