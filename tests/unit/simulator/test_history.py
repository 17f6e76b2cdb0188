"""The history of runs: `/integrations/runs/{id}`."""

from __future__ import annotations

from local.cloudworks import Pace, Variants
from tests.unit.simulator.client import GOOD, NOON, Anaplan


def test_a_history_without_runs_has_no_list_of_them(anaplan: Anaplan) -> None:
    history = anaplan.history()
    assert "runs" not in history
    assert history["totalRuns"] == 0


def test_pages_may_be_shorter_than_asked_for(anaplan: Anaplan) -> None:
    for _ in range(3):
        anaplan.ended(GOOD)
    anaplan.simulator.settings.variants = Variants(largest_page=2)
    answer = anaplan.ask("GET", f"/integrations/runs/{anaplan.id}?offset=0&limit=25")
    assert len(answer["history_of_runs"]["runs"]) == 2
    assert answer["meta"]["paging"] == {"currentPageSize": 2, "offset": 0, "totalSize": 3}


def test_a_history_is_paged_newest_first(anaplan: Anaplan) -> None:
    ids = [anaplan.ended(GOOD)["id"] for _ in range(4)]
    answer = anaplan.ask("GET", f"/integrations/runs/{anaplan.id}?offset=1&limit=2")
    assert [run["id"] for run in answer["history_of_runs"]["runs"]] == [ids[2], ids[1]]
    assert answer["meta"]["paging"] == {"currentPageSize": 2, "offset": 1, "totalSize": 4}


def test_a_history_may_lag_behind_the_runs(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.history_lag_seconds = 20
    anaplan.run()
    anaplan.clock.time += 19
    assert "runs" not in anaplan.history()
    anaplan.clock.time += 1
    assert len(anaplan.history()["runs"]) == 1


def test_a_queued_run_is_not_in_the_history_and_has_no_start(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=5)
    run_id = anaplan.run()
    assert anaplan.status(run_id)["startDate"] is None
    assert "runs" not in anaplan.history()


def test_the_last_run_is_a_number_or_a_date(anaplan: Anaplan) -> None:
    anaplan.ended(GOOD)
    assert anaplan.history()["runs"][0]["lastRun"] == NOON + 10
    anaplan.simulator.settings.variants = Variants(last_run="iso")
    assert anaplan.history()["runs"][0]["lastRun"] == "2026-11-24T12:00:10.000Z"
