"""Which load counts for a due time, what a load ends, and the words for a file that did not come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.domain.missing import Underway, missing_message
from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.standing import Standing, Trouble, counted
from tests.unit.test_schedule import ms

SIX = "06:00 Europe/London mon-fri"


@pytest.mark.parametrize(
    ("ended", "due_at", "which"),
    [
        ([], 100, None),
        ([90], 100, 90),
        ([100], 100, 100),
        ([90, 80], 100, 90),
        ([101], 100, 101),
        ([120, 110], 100, 110),
        ([120, 110, 90, 80], 100, 90),
    ],
)
def test_the_last_load_in_time_counts_else_the_first_that_is_late(
    ended: list[int], due_at: int, which: int | None
) -> None:
    assert counted(ended, due_at) == which


def test_nothing_older_than_the_load_that_counts_is_looked_at() -> None:
    rest = iter([90, 80])

    assert counted(rest, 100) == 90
    assert list(rest) == [80]


@given(st.lists(st.integers(0, 60), max_size=20), st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True))
def test_no_load_counts_for_two_due_times(ended: list[int], due_times: list[int]) -> None:
    newest_first = sorted(set(ended), reverse=True)
    used = 0
    for due_at in sorted(due_times):
        which = counted([at for at in newest_first if at > used], due_at)
        assert which is None or which > used
        used = max(used, due_at, which or 0)


@pytest.mark.parametrize(
    ("standing", "outcome", "ends"),
    [
        (Standing(), "loaded", ()),
        (Standing(missed=1), "loaded", ("missing",)),
        (Standing(missed=1), "partial", ("missing",)),
        (Standing(missed=1), "failed", ()),
        (Standing(missed=1), "rejected", ()),
        (Standing(failed="run"), "loaded", ("failed",)),
        (Standing(failed="run"), "partial", ()),
        (Standing(failed="run"), "failed", ()),
        (Standing(missed=1, failed="run"), "loaded", ("missing", "failed")),
        (Standing(missed=1, failed="run"), "partial", ("missing",)),
    ],
)
def test_what_a_load_ends(standing: Standing, outcome: Ending, ends: tuple[Trouble, ...]) -> None:
    assert standing.recovers_by(outcome) == ends


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"settle": 30}, True),
        ({"expect": "06:01 Europe/London mon-fri"}, False),
        ({"lane": "model"}, False),
        ({"expect": None}, False),
    ],
)
def test_other_due_times_or_another_lane_start_over(changed: dict[str, object], same: bool) -> None:
    route = Route(**{"name": "accounts", "prefix": "in/", "integration": "a" * 32, "expect": SIX, **changed})  # type: ignore[arg-type]

    assert Standing(expect=SIX, lane="a" * 32).is_of(route) is same


LATE = Underway(waiting_since=ms("2026-11-24 05:50"))


@pytest.mark.parametrize(
    ("last", "lane", "words"),
    [
        (None, Underway(), "Nothing was loaded, and no earlier load is known. It was expected by Tue 06:00 GMT. "),
        (("2026-11-23 05:41", "in/a.csv"), Underway(), "Nothing was loaded since Mon 05:41 GMT (a.csv). "),
        (("2026-11-23 05:41", ""), Underway(), "Nothing was loaded since Mon 05:41 GMT. It was expected by "),
        (("2026-11-02 05:41", "a"), Underway(), "Nothing was loaded since Mon 2026-11-02 05:41 GMT (a). "),
        (("2026-06-01 05:41", "a"), Underway(), "Nothing was loaded since Mon 2026-06-01 06:41 BST (a). "),
        (None, Underway(), "No upload waits and no load is under way: the file has not come."),
        (None, LATE, "It is late: an upload has been waiting since Tue 05:50 GMT."),
        (None, Underway(loading_since=ms("2026-11-24 05:58")), "It is late: a load has been under way since Tue 05:58"),
        (None, Underway(paused=True), "The lane is paused, so nothing is loaded until somebody resumes it."),
        (None, Underway(held=True), "The lane is on hold, because the log-in to Anaplan does not work."),
    ],
)
def test_what_is_missing_since_when_and_whether_it_is_under_way(
    last: tuple[str, str] | None, lane: Underway, words: str
) -> None:
    known = (ms(last[0]), last[1]) if last else None

    assert words in missing_message(SIX, ms("2026-11-24 06:00"), ms("2026-11-24 06:03"), known, lane)
