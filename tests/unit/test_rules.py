"""Which uploads may be loaded now, and which wait for a window or for other files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from anaplan_autoload.domain import rules
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.protocol import Batch, Lane, Noted, Waiting
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.times import iso

HOUR = 3_600_000


def ms(text: str) -> int:
    """A time in UTC, such as `2026-11-25 06:00`, as epoch ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


MORNING = ms("2026-11-25 06:12")
"""A Wednesday."""
PLAIN = Route(name="plain", prefix="plain/", integration="a" * 32)
NIGHT = Route(name="night", prefix="night/", integration="b" * 32, window=("19:00-06:30 Europe/London mon-fri",))
NIGHT_EACH = replace(NIGHT, name="night-each", prefix="night-each/", load="each")
SET = Route(name="set", prefix="set/", integration="c" * 32, needs=("accounts.csv", "entities.csv"), within=6 * 3600)
SET_BY_NIGHT = replace(SET, window=NIGHT.window)


def up(route: Route, name: str, minute: int = 0, *, size: int = 10) -> Waiting:
    """An upload that came so many minutes after 06:12."""
    at = MORNING + minute * 60_000
    return Waiting(Upload("inbox", route.prefix + name, iso(at), size=size, version_id=f"v{minute}"), route, at)


accounts, entities = up(SET, "accounts.csv", 1), up(SET, "entities.csv", 2)
accounts_again, notes = up(SET, "accounts.csv", 3), up(SET, "notes.txt", 4)
no_entities = up(SET, "entities.csv", 5, size=0)
by_night, each_by_night, plain = up(NIGHT, "a.csv"), up(NIGHT_EACH, "a.csv", 1), up(PLAIN, "a.csv", 6)
NOON, EVENING = ms("2026-11-25 12:00"), ms("2026-11-25 19:00")
OPENS = "window opens Wed 19:00 GMT"
FOR_ENTITIES = "waiting for entities.csv since Wed 06:13 UTC"


@pytest.mark.parametrize(
    ("waiting", "now", "taken", "waits"),
    [
        pytest.param([], NOON, [], {}, id="nothing waits"),
        pytest.param([by_night], NOON, [], {"night": OPENS}, id="outside its window"),
        pytest.param([by_night], EVENING - 1, [], {"night": OPENS}, id="just before it opens"),
        pytest.param([by_night], EVENING, [by_night], {}, id="when it opens"),
        pytest.param([by_night], MORNING, [by_night], {}, id="before it closes"),
        pytest.param([by_night, plain], NOON, [plain], {"night": OPENS}, id="another route is not blocked"),
        pytest.param([by_night, plain], EVENING, [by_night], {}, id="the oldest goes first"),
        pytest.param([each_by_night], NOON, [], {"night-each": OPENS}, id="each respects its window"),
        pytest.param([each_by_night, by_night], EVENING, [each_by_night], {}, id="each goes alone"),
        pytest.param([accounts], NOON, [], {"set": FOR_ENTITIES}, id="half of a set"),
        pytest.param([accounts, accounts_again], NOON, [], {"set": FOR_ENTITIES}, id="twice the same half"),
        pytest.param([accounts, entities], NOON, [accounts, entities], {}, id="the whole set"),
        pytest.param([entities, accounts], NOON, [entities, accounts], {}, id="in any order"),
        pytest.param(
            [accounts, entities, accounts_again, notes],
            NOON,
            [accounts, entities, accounts_again, notes],
            {},
            id="all else that waits goes along",
        ),
        pytest.param([accounts, plain], NOON, [plain], {"set": FOR_ENTITIES}, id="a set does not block a route"),
        pytest.param([accounts, no_entities], NOON, [no_entities], {}, id="an empty member is refused"),
        pytest.param([up(NIGHT, "a.csv", size=0)], NOON, [up(NIGHT, "a.csv", size=0)], {}, id="and by day too"),
        pytest.param(
            [notes],
            NOON,
            [],
            {"set": "waiting for accounts.csv and entities.csv since Wed 06:16 UTC"},
            id="a file that is not a member",
        ),
        pytest.param(
            [up(SET_BY_NIGHT, "accounts.csv")],
            NOON,
            [],
            {"set": "waiting for entities.csv since Wed 06:12 GMT; window opens Wed 19:00 GMT"},
            id="a set and a window",
        ),
        pytest.param(
            [up(SET_BY_NIGHT, "accounts.csv"), up(SET_BY_NIGHT, "entities.csv")],
            NOON,
            [],
            {"set": OPENS},
            id="a whole set outside its window",
        ),
    ],
)
def test_what_is_loaded_and_what_waits(
    waiting: list[Waiting], now: int, taken: list[Waiting], waits: dict[str, str]
) -> None:
    planned = rules.plan(waiting, now)

    assert list(planned.selection.waiting if planned.selection else ()) == taken
    assert {wait.route.name: wait.why for wait in planned.waits} == waits


@pytest.mark.parametrize(
    ("needed", "came", "told"),
    [
        ("Größe.csv", "Gro\u0308ße.csv", "how its accents are encoded (Unicode NFC or NFD)"),
        ("a b.csv", "A  b.csv", "upper and lower case and spaces"),
        ("a b.csv", "a%20b.csv", "URL encoding (%20 or + for a space)"),
        ("eu/a.csv", "eu//a.csv", "slashes"),
    ],
)
def test_a_late_set_names_the_file_that_came_under_almost_its_name(needed: str, came: str, told: str) -> None:
    route = replace(SET, needs=(needed, "entities.csv"))
    [wait] = rules.plan([up(route, "notes.txt"), up(route, came, 1)], NOON).waits

    assert wait.news.startswith(
        f'{needed} and entities.csv have not come yet. "{came}" came, but differs from "{needed}" in {told}. The first '
    )


def test_a_late_set_names_no_file_that_is_merely_similar() -> None:
    [wait] = rules.plan([up(SET, "accounts-2.csv"), up(SET, "entities.csv")], NOON).waits

    assert wait.news.startswith("accounts.csv has not come yet. The first ")


@pytest.mark.timeout(10)
def test_a_late_set_is_compared_in_time_with_however_many_files_that_came() -> None:
    """The claim that says it would otherwise outlast the function's timeout, and so would each one after it."""
    route = replace(SET, needs=tuple(f"needed-{number}.csv" for number in range(50)))
    waiting = tuple(up(route, f"a-file-of-some-other-name-{number}.csv") for number in range(20_000))
    wait = rules.Wait(route, (*waiting, up(route, "Needed-49.csv")), MORNING, lacks=route.needs)

    assert '"Needed-49.csv" came, but differs from "needed-49.csv" in upper and lower case. ' in wait.news


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        pytest.param(replace(SET, settle=30), True, id="another key was changed"),
        pytest.param(replace(SET, needs=("entities.csv",)), True, id="a member was removed"),
        pytest.param(replace(SET, needs=()), True, id="the set was given up"),
        pytest.param(replace(SET, needs=(*SET.needs, "rates.csv")), False, id="a member was added"),
        pytest.param(replace(SET, integration="d" * 32), False, id="another integration is another set"),
    ],
)
def test_a_changed_route_does_not_split_a_set(changed: Route, taken: bool) -> None:
    planned = rules.plan([accounts, up(changed, "entities.csv", 9)], NOON)

    selection = planned.selection
    assert (selection is not None) == taken
    if selection is not None:
        assert (selection.route, len(selection.waiting)) == (changed, 2)


@pytest.mark.parametrize(
    ("waiting", "now", "enough"),
    [
        ([], NOON, False),
        ([plain], NOON, False),
        ([each_by_night], NOON, False),
        ([each_by_night], EVENING, True),
        ([by_night, each_by_night], EVENING, False),
        ([up(replace(PLAIN, load="each"), "a.csv")], NOON, True),
        ([each_by_night, up(replace(PLAIN, load="each"), "a.csv")], NOON, True),
        ([accounts, up(replace(PLAIN, load="each"), "a.csv")], NOON, False),
    ],
)
def test_a_backlog_is_read_only_as_far_as_it_decides(waiting: list[Waiting], now: int, enough: bool) -> None:
    assert rules.is_enough(waiting, now) is enough


# Sets that are late.

SINCE = accounts.recorded_at


@pytest.mark.parametrize(
    ("noted", "now", "told"),
    [
        pytest.param({}, SINCE + 6 * HOUR, False, id="exactly in time"),
        pytest.param({}, SINCE + 6 * HOUR + 1, True, id="late"),
        pytest.param({"set": Noted("", SINCE, False)}, SINCE + 7 * HOUR, True, id="noted, but nobody was told"),
        pytest.param({"set": Noted("", SINCE, True)}, SINCE + 700 * HOUR, False, id="everyone was told"),
        pytest.param({"set": Noted("", SINCE - 1, True)}, SINCE + 7 * HOUR, True, id="told of an earlier set"),
        pytest.param({"other": Noted("", SINCE, True)}, SINCE + 7 * HOUR, True, id="told of another route"),
    ],
)
def test_a_late_set_is_announced_once(noted: dict[str, Noted], now: int, told: bool) -> None:
    waits = rules.plan([accounts, accounts_again], now).waits

    late = rules.incomplete(noted, waits, now)

    assert [wait.lacks for wait in late] == ([("entities.csv",)] if told else [])


def test_a_route_that_waits_for_its_window_alone_is_never_incomplete() -> None:
    now = NOON + 3 * HOUR
    waits = rules.plan([by_night], now).waits

    assert rules.incomplete({}, waits, now) == []


def test_a_note_changes_only_with_what_it_says() -> None:
    before = rules.notes({}, rules.plan([accounts], NOON).waits)
    told = {"set": replace(before["set"], incomplete=True)}

    assert rules.notes(told, rules.plan([accounts, accounts_again, notes], NOON + HOUR).waits) == told
    assert rules.notes(told, ()) == {}


# Freshness.


@pytest.mark.parametrize(
    ("waiting", "lane", "now", "hours"),
    [
        pytest.param([plain], Lane(), plain.recorded_at + HOUR, 1, id="no rule"),
        pytest.param([by_night], Lane(), NOON, 0, id="outside its window"),
        pytest.param([by_night], Lane(), EVENING + HOUR, 1, id="since the window opened"),
        pytest.param([accounts], Lane(), NOON, 0, id="an incomplete set"),
        pytest.param([accounts, entities], Lane(), entities.recorded_at + HOUR, 1, id="since the set was complete"),
        pytest.param(
            [accounts, entities, accounts_again], Lane(), entities.recorded_at + HOUR, 1, id="a repeated member"
        ),
        pytest.param([plain], Lane(paused=True, paused_until=NOON), NOON - 1, 0, id="a pause that has an end"),
        pytest.param([plain], Lane(paused=True, paused_until=NOON), NOON + HOUR, 1, id="since the pause ended"),
        pytest.param([plain], Lane(paused=True), plain.recorded_at + HOUR, 1, id="a pause without an end"),
    ],
)
def test_planned_waits_do_not_make_uploads_old(waiting: list[Waiting], lane: Lane, now: int, hours: float) -> None:
    [age] = rules.ages(waiting, lane, now).values()
    assert max(0, age) == hours * 3600


def test_a_run_that_goes_on_after_its_window_is_as_old_as_its_batch() -> None:
    opened = EVENING + 60_000
    batch = Batch(id="b", route=NIGHT, total=1, opened_at=opened, oldest=by_night.upload.event_time)

    ages = rules.ages([by_night], Lane(open=batch), EVENING + 15 * HOUR)

    assert ages == {"night": 15 * 3600 - 60}


@pytest.mark.parametrize(
    ("lane", "paused"),
    [
        (Lane(), False),
        (Lane(paused=True), True),
        (Lane(paused=True, paused_until=NOON + 1), True),
        (Lane(paused=True, paused_until=NOON), False),
    ],
)
def test_a_pause_ends_by_itself(lane: Lane, paused: bool) -> None:
    assert lane.is_paused(NOON) is paused


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b and 2 more"),
    ],
)
def test_names_are_listed(names: list[str], words: str) -> None:
    assert rules.listed(names) == words
