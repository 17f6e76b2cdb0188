"""A leader that knows how long runs take waits for many minutes, and the lane stays its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.cloudworks import Pace
from tests.model import promise
from tests.model.executions import one_checkpoint_at_a_time
from tests.model.function import Function
from tests.model.world import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Function]:
    """The function among sweeps, with a history of one run of an hour for each of two routes."""
    one_checkpoint_at_a_time(monkeypatch)
    made = Function(tmp_path)
    made.simulator.settings.pace = Pace(0, 3_600)
    for route in ("accounts", "units"):
        made.upload(route, "a.csv")
    made.world.pass_time(4_000)
    yield made
    made.close()


@pytest.mark.parametrize("route", ["accounts", "units"])
def test_nobody_takes_the_lane_of_a_leader_that_waits(function: Function, route: str) -> None:
    """The second route's runs are overdue after a minute."""
    sent = function.upload(route, "a.csv")
    function.world.pass_time(30)
    before = function.ledger.lane(sent.route.lane_id)

    longest = 0
    for _ in range(100):
        function.world.pass_time(30)
        lane = function.ledger.lane(sent.route.lane_id)
        assert lane.holder == before.holder
        assert lane.lease_until > function.world.now
        longest = max(longest, lane.lease_until - function.world.now)

    assert longest > 10 * 60_000
    function.world.pass_time(900)
    promise.come_to_rest(function)
    promise.check(function)


def test_an_upload_in_a_long_wait_gets_a_run_of_its_own(function: Function) -> None:
    function.upload("accounts", "a.csv")
    function.world.pass_time(1_500)
    function.upload("accounts", "a.csv")
    function.world.pass_time(9_000)

    promise.come_to_rest(function)
    promise.check(function)
    assert len(function.posts) == 4


def test_a_leader_that_dies_in_a_long_wait_is_followed_by_another(function: Function) -> None:
    function.upload("accounts", "a.csv")
    function.world.pass_time(1_000)
    function.world.troubles.add(Trouble("crash", "before", "anaplan GET", for_good=True))
    function.world.pass_time(4_000)

    promise.come_to_rest(function)
    promise.check(function)
    assert len(function.posts) == 3
