"""Starting, following and cancelling runs: `POST /integrations/{id}/run`, `/cancel`, `GET /integrations/run/{id}`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any

import pytest
import urllib3

from local.cloudworks import MemoryBuckets, Pace, Simulator, SimulatorSettings, StoredObject, Variants, seed, serve
from tests.unit.simulator.client import FILE, GOOD, NOON, Anaplan, Clock


def test_a_run_loads_the_file_into_the_model(anaplan: Anaplan) -> None:
    run = anaplan.ended(GOOD)
    assert (run["success"], run["message"], run["executionErrorCode"]) == (True, "Success", None)
    assert anaplan.rows == {"A": {"Code": "A", "Name": "Alpha"}, "B": {"Code": "B", "Name": "Beta"}}


def test_a_later_run_replaces_rows_of_the_same_code_and_keeps_the_others(anaplan: Anaplan) -> None:
    anaplan.ended(GOOD)
    anaplan.ended(b"Code,Name\nB,Changed\n")
    assert [row["Name"] for row in anaplan.rows.values()] == ["Alpha", "Changed"]


def test_a_run_reads_what_the_file_held_when_it_started(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.upload(b"Code,Name\nC,Later\n")
    anaplan.clock.time += 60
    assert list(anaplan.rows) == ["A", "B"]
    assert [run.source_version for run in anaplan.simulator.runs] == ["v1"]


def test_a_queued_run_reads_the_file_when_it_starts_and_not_when_it_is_accepted(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=30, run_seconds=10)
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.upload(b"Code,Name\nC,Later\n")
    anaplan.clock.time = anaplan.simulator.next_change() or 0
    anaplan.simulator.tick()
    anaplan.upload(b"Code,Name\nD,Too late\n")
    anaplan.clock.time += 60
    assert list(anaplan.rows) == ["C"]


class WatchedBuckets(MemoryBuckets):
    """Buckets that tell when something was read."""

    def __init__(self) -> None:
        super().__init__()
        self.was_read = Event()

    def read(self, bucket: str, key: str) -> StoredObject | None:
        self.was_read.set()
        return super().read(bucket, key)


def test_on_the_real_clock_a_queued_run_reads_its_file_without_anybody_asking() -> None:
    buckets = WatchedBuckets()
    simulator = Simulator(buckets, settings=SimulatorSettings(pace=Pace(queue_seconds=0.05, run_seconds=0.05)))
    seeded = seed(simulator, "inbox", [("Accounts", FILE)])
    simulator.start_foreign_run(seeded.integration_ids["Accounts"])
    assert not buckets.was_read.is_set()
    assert buckets.was_read.wait(timeout=10)
    simulator.close()


def test_what_is_loaded_is_in_the_model_only_when_the_run_has_ended(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    anaplan.run()
    anaplan.clock.time += 9.9
    assert anaplan.rows == {}


def test_while_an_integration_runs_or_is_queued_it_is_not_run_again(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.pace = Pace(queue_seconds=5, run_seconds=5)
    anaplan.run()
    for _ in range(2):
        assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 409) == "Integration is already running"
        anaplan.clock.time += 5
    anaplan.run()


def test_a_run_under_way_says_running_and_has_no_end(anaplan: Anaplan) -> None:
    run = anaplan.status(anaplan.run())
    assert run["message"] == "Running"
    assert run.get("endDate") is None


@pytest.mark.parametrize(
    "form, shown", [("absent", [False, False]), ("null", [True, True]), ("alternate", [False, True])]
)
def test_the_end_of_a_current_run_is_absent_or_null(anaplan: Anaplan, form: Any, shown: list[bool]) -> None:
    anaplan.simulator.settings.variants = Variants(end_date=form)
    run_id = anaplan.run()
    assert ["endDate" in anaplan.status(run_id) for _ in range(2)] == shown


def test_dates_and_the_date_header_are_in_whole_seconds_of_a_clock_that_may_be_ahead(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.skew_seconds = 3.4
    anaplan.clock.time += 0.7
    answer = anaplan.send("GET", f"/2/0/integrations/run/{anaplan.run()}", Authorization=f"Bearer {anaplan.token}")
    assert answer.json()["run"]["startDate"] == "2026-11-24T12:00:04.000Z"
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == NOON + 4


def test_many_requests_at_once_start_one_run(anaplan: Anaplan) -> None:
    def order(_: int) -> int:
        header = f"Bearer {anaplan.token}"
        return anaplan.send("POST", f"/2/0/integrations/{anaplan.id}/run", Authorization=header).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(order, range(8))) == [200] + [409] * 7
    assert len(anaplan.simulator.runs) == 1


def test_an_outage_leaves_runs_as_they_are() -> None:
    simulator = Simulator(MemoryBuckets(), clock=Clock())
    with serve(simulator) as before:
        anaplan = Anaplan(simulator, MemoryBuckets(), Clock(), before.auth_url)
        run_id = anaplan.run()
    with pytest.raises(urllib3.exceptions.HTTPError):
        anaplan.run()
    with serve(simulator, before.port):
        assert anaplan.status(run_id)["message"] == "Running"
        anaplan.http.clear()


def test_a_run_that_hangs_never_ends(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.paces[anaplan.id] = Pace(run_seconds=float("inf"))
    run_id = anaplan.run()
    anaplan.clock.time += 1000
    assert anaplan.status(run_id)["message"] == "Running"


def test_a_running_import_can_be_cancelled_and_imports_nothing(anaplan: Anaplan) -> None:
    anaplan.upload(GOOD)
    run_id = anaplan.run()
    anaplan.ask("POST", f"/integrations/{anaplan.id}/cancel")
    run = anaplan.status(run_id)
    assert (run["success"], run["message"], run["endDate"]) == (False, "Cancelled", "2026-11-24T12:00:00.000Z")
    anaplan.clock.time += 60
    assert anaplan.rows == {}


def test_only_a_running_integration_can_be_cancelled(anaplan: Anaplan) -> None:
    path = f"/integrations/{anaplan.id}/cancel"
    assert "not in running state" in anaplan.refused("POST", path, 409)
    anaplan.simulator.settings.pace = Pace(queue_seconds=5)
    anaplan.run()
    assert anaplan.refused("POST", path, 404) == "Resource not found"


def test_an_unknown_integration_or_run_is_not_found(anaplan: Anaplan) -> None:
    assert anaplan.refused("POST", f"/integrations/{'0' * 32}/run", 404) == "Resource not found"
    assert anaplan.refused("GET", f"/integrations/run/{'0' * 32}", 404) == "Resource not found"


def test_a_foreign_run_counts_as_running_and_shows_its_author(anaplan: Anaplan) -> None:
    foreign = anaplan.simulator.start_foreign_run(anaplan.id)
    anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 409)
    assert anaplan.status(foreign.id)["createdBy"] == "Bob Other"
    assert anaplan.history()["runs"][0]["triggeredBy"] == "Bob Other"


def test_version_1_paths_and_the_other_base_address_answer_as_well(anaplan: Anaplan) -> None:
    for base in ("/1/0", "/cloudworks/2/0"):
        header = f"Bearer {anaplan.token}"
        assert anaplan.send("GET", f"{base}/integrations/{anaplan.id}", Authorization=header).status == 200
