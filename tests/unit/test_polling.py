"""When a run is looked at again, as a table and as properties that hold for any history."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.domain.polling import LONGEST_WAIT, next_look, windows
from anaplan_autoload.domain.protocol import next_delay

POLL = (2, 60)
LENGTHS = st.lists(st.integers(0, 20 * 3600), min_size=1, max_size=20)


def looks(length: float, history: Sequence[int]) -> list[float]:
    """The times of all looks at a run of this length; the last is the first at its end or later."""
    times = [0.0]
    while times[-1] < length:
        times.append(times[-1] + next_look(times[-1], history, *POLL))
    return times


@pytest.mark.parametrize(
    ("waited", "history", "delay"),
    [
        (0, [], 2),
        (100, [], 15),
        (5_000, [], 60),
        (0, [300] * 20, 2),
        (2, [300] * 20, 3),
        (300, [300] * 20, 6),
        (3_600, [3_600] * 20, 38),
        (14_400, [14_400] * 20, 60),
        (4_000, [3_600] * 20, 60),
        (10, [5] * 20, 2),
        (256, [14_400] * 20, 550),
        (1_100, [14_400] * 20, 606),
        (3_250, [3_240, 3_960] * 10, 32),
        (3_900, [3_240, 3_960] * 10, 5),
    ],
)
def test_the_next_look_comes_after(waited: float, history: list[int], delay: int) -> None:
    assert next_look(waited, history, *POLL) == delay


@given(st.floats(0, 100_000))
def test_without_a_history_the_delay_grows_with_the_time_waited(waited: float) -> None:
    assert next_look(waited, [], *POLL) == next_delay(waited, *POLL)


@given(st.floats(0, 200_000), LENGTHS)
def test_no_wait_is_above_fifteen_minutes_and_none_is_shorter_than_the_shortest(
    waited: float, history: list[int]
) -> None:
    assert POLL[0] <= next_look(waited, history, *POLL) <= LONGEST_WAIT


@given(st.floats(0, 200_000), LENGTHS)
def test_from_the_first_window_on_no_wait_is_above_the_longest_between_two_looks(
    waited: float, history: list[int]
) -> None:
    begin = windows(history)[0].begin

    assert next_look(max(waited, begin), history, *POLL) <= POLL[1]


@given(st.floats(1, 20_000), LENGTHS)
def test_a_run_that_ends_early_is_noticed_within_three_times_its_length(length: float, history: list[int]) -> None:
    begin = windows(history)[0].begin
    if length < begin:
        assert looks(length, history)[-1] - length <= 3 * length + 1


@given(st.integers(2, 20 * 3600), st.integers(1, 20))
def test_a_run_as_long_as_all_before_it_is_noticed_within_two_percent(length: int, count: int) -> None:
    late = looks(length, [length] * count)[-1] - length

    assert late <= min(max(POLL[0], 0.02 * length), POLL[1]) + 1


@given(st.floats(0, 1), LENGTHS)
def test_in_a_window_each_wait_is_at_most_as_long_as_the_one_before(part: float, history: list[int]) -> None:
    window = windows(history)[0]
    middle = window.begin + part * (window.end - window.begin)
    waits = [next_look(waited, history, *POLL) for waited in (max(0, window.begin), max(0, middle))]

    assert waits[1] <= waits[0] or middle >= window.end


@pytest.mark.parametrize("history", [[], [60, 65, 600]])
@pytest.mark.parametrize("waited", [0, 30, 70, 5_000])
def test_lengths_that_no_run_can_have_say_nothing(history: list[int], waited: float) -> None:
    odd = [-5, -(10**9), 10**9, 10**12]

    assert next_look(waited, [*odd, *history, *odd], *POLL) == next_look(waited, history, *POLL)


@given(LENGTHS)
def test_windows_follow_one_another_and_hold_every_length(history: list[int]) -> None:
    found = windows(history)

    assert all(before.end < after.begin for before, after in pairwise(found))
    assert all(any(window.begin <= length <= window.end for window in found) for length in history)


@given(st.permutations([60, 65, 600, 610, 4_000]), st.floats(0, 10_000))
def test_the_order_of_the_history_does_not_matter(history: list[int], waited: float) -> None:
    assert next_look(waited, history, *POLL) == next_look(waited, sorted(history), *POLL)


@pytest.mark.parametrize(("length", "most"), [(60, 5), (300, 7), (3_600, 10), (14_400, 23)])
def test_a_run_as_usual_takes_few_looks(length: int, most: int) -> None:
    assert len(looks(length, [length] * 20)) <= most


@pytest.mark.parametrize("length", [60, 600])
def test_two_usual_lengths_are_both_noticed_soon(length: int) -> None:
    assert looks(length, [60, 600] * 10)[-1] - length <= 10
