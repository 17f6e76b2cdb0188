"""Windows and due times: days, midnight, both changes of the clocks, and texts that are neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.domain import schedule
from anaplan_autoload.domain.schedule import ScheduleInvalid

NIGHT = "19:00-06:30 Europe/London mon-fri"


def ms(text: str) -> int:
    """A time in UTC, such as `2026-11-25 06:00`, as epoch ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def utc(at: int | None) -> str | None:
    """The reverse of `ms`."""
    return None if at is None else f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M}"


OPENINGS = [
    # windows, now (UTC), when the next one opens; None while one is open
    ([NIGHT], "2026-11-25 18:59", "2026-11-25 19:00"),  # a Wednesday
    ([NIGHT], "2026-11-25 19:00", None),
    ([NIGHT], "2026-11-26 06:29", None),
    ([NIGHT], "2026-11-26 06:30", "2026-11-26 19:00"),
    ([NIGHT], "2026-11-28 06:29", None),  # Friday's window lasts until Saturday morning
    ([NIGHT], "2026-11-28 06:30", "2026-11-30 19:00"),
    ([NIGHT], "2026-06-24 18:00", None),  # 19:00 in summer time
    (["08:00-12:00 UTC", "13:00-17:00 UTC"], "2026-11-25 12:30", "2026-11-25 13:00"),
    (["08:00-12:00 UTC", "13:00-17:00 UTC"], "2026-11-25 13:30", None),
    (["08:00-12:00 UTC sun"], "2026-11-29 12:00", "2026-12-06 08:00"),
    (["00:00-24:00 UTC sat,sun"], "2026-11-28 23:59", None),
    (["00:00-24:00 UTC sat,sun"], "2026-11-30 00:00", "2026-12-05 00:00"),
    (["22:00-02:00 Asia/Kolkata fri-mon"], "2026-11-30 17:00", None),
    (["22:00-02:00 Asia/Kolkata fri-mon"], "2026-11-30 21:00", "2026-12-04 16:30"),
    ([], "2026-11-30 17:00", None),
    # Clocks go forward in London on 2026-03-29: 01:00 becomes 02:00.
    (["01:30-05:00 Europe/London"], "2026-03-29 01:29", "2026-03-29 01:30"),
    (["01:30-05:00 Europe/London"], "2026-03-29 03:59", None),
    (["01:30-05:00 Europe/London"], "2026-03-29 04:00", "2026-03-30 00:30"),
    (["00:30-01:15 Europe/London"], "2026-03-29 00:45", None),
    (["00:30-01:15 Europe/London"], "2026-03-29 01:15", "2026-03-29 23:30"),
    # Clocks go back in London on 2026-10-25: 02:00 becomes 01:00.
    (["00:30-01:30 Europe/London"], "2026-10-24 23:30", None),
    (["00:30-01:30 Europe/London"], "2026-10-25 01:29", None),
    (["00:30-01:30 Europe/London"], "2026-10-25 01:30", "2026-10-26 00:30"),
    (["01:30-03:00 Europe/London"], "2026-10-25 00:30", None),
]


@pytest.mark.parametrize(("windows", "now", "opens"), OPENINGS)
def test_a_window_is_open_from_its_first_minute_until_before_its_last(
    windows: list[str], now: str, opens: str | None
) -> None:
    assert utc(schedule.opens_at(windows, ms(now))) == opens


OPENED = [
    ([NIGHT], "2026-11-25 18:59", None),
    ([NIGHT], "2026-11-25 19:00", "2026-11-25 19:00"),
    ([NIGHT], "2026-11-26 06:29", "2026-11-25 19:00"),
    (["08:00-12:00 UTC", "12:00-17:00 UTC"], "2026-11-25 13:00", "2026-11-25 08:00"),
    (["08:00-12:00 UTC", "13:00-17:00 UTC"], "2026-11-25 13:00", "2026-11-25 13:00"),
    ([], "2026-11-25 13:00", None),
]


@pytest.mark.parametrize(("windows", "now", "opened"), OPENED)
def test_since_when_a_window_has_been_open(windows: list[str], now: str, opened: str | None) -> None:
    assert utc(schedule.opened_at(windows, ms(now))) == opened


DUE = [
    ("06:00 Europe/London mon-fri", "2026-11-25 06:00", "2026-11-24 06:00", "2026-11-25 06:00"),
    ("06:00 Europe/London mon-fri", "2026-11-25 05:59", "2026-11-23 06:00", "2026-11-24 06:00"),
    ("06:00 Europe/London mon-fri", "2026-11-30 05:00", "2026-11-26 06:00", "2026-11-27 06:00"),
    ("06:00 Europe/London sun", "2026-11-25 00:00", "2026-11-15 06:00", "2026-11-22 06:00"),
    ("06:00 America/New_York", "2026-07-01 10:00", "2026-06-30 10:00", "2026-07-01 10:00"),
    ("01:30 Europe/London", "2026-03-29 02:00", "2026-03-28 01:30", "2026-03-29 01:30"),  # 02:30 on the clock
    ("01:30 Europe/London", "2026-10-25 02:00", "2026-10-24 00:30", "2026-10-25 00:30"),  # the first of two
    ("00:00 Pacific/Auckland", "2026-11-25 11:00", "2026-11-24 11:00", "2026-11-25 11:00"),
]


@pytest.mark.parametrize(("text", "now", "before", "latest"), DUE)
def test_the_last_two_due_times(text: str, now: str, before: str, latest: str) -> None:
    assert tuple(map(utc, schedule.due_times(text, ms(now)))) == (before, latest)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.sampled_from(["Europe/London", "Asia/Kolkata"]))
def test_a_window_that_is_closed_opens_when_it_says(now: datetime, zone: str) -> None:
    windows = [f"19:00-06:30 {zone} mon-thu", f"10:15-11:00 {zone} sat"]
    at = ms(f"{now:%Y-%m-%d %H:%M}")
    opens = schedule.opens_at(windows, at)
    if opens is not None:
        assert opens > at
        assert schedule.opens_at(windows, opens) is None
        assert schedule.opens_at(windows, opens - 1) == opens


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_due_times_are_past_and_in_order(now: datetime) -> None:
    at = ms(f"{now:%Y-%m-%d %H:%M}")
    before, latest = schedule.due_times("06:00 Europe/London mon,wed", at)
    assert before < latest <= at
    assert timedelta(milliseconds=at - latest) < timedelta(days=6)


@pytest.mark.parametrize(
    ("text", "said"),
    [(NIGHT, "Mon 19:00 BST"), ("19:00-06:30 America/New_York", "Mon 14:00 EDT"), ("06:00 UTC", "Mon 18:00 UTC")],
)
def test_times_are_said_as_on_the_clock_there(text: str, said: str) -> None:
    assert schedule.on_the_clock(ms("2026-06-22 18:00"), text) == said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not name hours"),
        ("19:00-06:30", "does not name hours"),
        ("19:00 - 06:30 Europe/London", "does not name hours"),
        ("19:00-06:30 Europe/London mon fri", "does not name hours"),
        ("19:00-06:30 Europe/Londn mon-fri", '"Europe/Londn" is not a time zone'),
        ("19:00-06:30 ../../etc/passwd", "is not a time zone"),
        ("19:00-06:30 /etc/localtime", "is not a time zone"),
        ("19:00-06:30 Europe", "is not a time zone"),
        ("19-06 UTC", '"19" is not a time of day'),
        ("19:00-25:00 UTC", '"25:00" is not a time of day'),
        ("19:00-24:01 UTC", '"24:01" is not a time of day'),
        ("19:00-06:60 UTC", '"06:60" is not a time of day'),
        ("24:00-06:00 UTC", "opens at 24:00"),
        ("06:00-06:00 UTC", "at the same time"),
        ("19:00 UTC", "not a span of time"),
        ("19:00-06:30 UTC weekdays", '"weekdays" is not a day'),
        ("19:00-06:30 UTC mon-", '"mon-" is not a day'),
        ("19:00-06:30 UTC mon,,tue", '"" is not a day'),
        ("\x1e", r'"\x1e" does not name hours'),
        ("19:00-06:30 Euro\x07pe", r'"Euro\x07pe" is not a time zone'),
    ],
)
def test_what_is_not_a_window_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ScheduleInvalid, match=r"Write|Use") as refused:
        schedule.window(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "text", ["06:00", "6 UTC", "06:00-07:00 UTC", "24:00 UTC", "06:00 Mars/Olympus", "06:00 UTC x"]
)
def test_what_is_not_a_due_time_is_refused(text: str) -> None:
    with pytest.raises(ScheduleInvalid, match=r"Write|Use"):
        schedule.due(text)
