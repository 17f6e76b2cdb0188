"""Integrations that run a process of several imports."""

from __future__ import annotations

from local.cloudworks import Pace
from tests.unit.simulator.client import GOOD, MIXED, Anaplan, create, import_job


def test_a_process_has_a_dump_for_each_of_its_imports(anaplan: Anaplan) -> None:
    jobs = [import_job(anaplan, "good.csv", "112000000001"), import_job(anaplan, "mixed.csv", "112000000002")]
    process = create(anaplan, "Both", *jobs, processId="118000000001")
    anaplan.upload(GOOD, "good.csv")
    anaplan.upload(MIXED, "mixed.csv")
    run_id = anaplan.run(process)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Partial success: 2 of 6 rows failed"
    path = f"/2/0/integrations/run/{run_id}/process/import/112000000002/dumps"
    assert anaplan.send("GET", path, Authorization=f"Bearer {anaplan.token}").status == 200
    anaplan.ask("GET", f"/integrations/run/{run_id}/process/import/112000000001/dumps", status=404)
    anaplan.ask("GET", f"/integrations/run/{run_id}/dumps", status=404)


def test_a_process_with_a_failed_import_fails_as_a_whole(anaplan: Anaplan) -> None:
    process = create(anaplan, "Broken", import_job(anaplan, "missing.csv"), processId="118000000001")
    run_id = anaplan.run(process)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Process failed"


def test_a_process_cannot_be_cancelled_in_any_state(anaplan: Anaplan) -> None:
    process = create(anaplan, "Slow", import_job(anaplan, "good.csv"), processId="118000000001")
    anaplan.upload(GOOD, "good.csv")
    anaplan.simulator.settings.pace = Pace(queue_seconds=5, run_seconds=10)
    path = f"/integrations/{process}/cancel"
    run_id = anaplan.run(process)
    assert anaplan.refused("POST", path, 404) == "Resource not found"
    anaplan.clock.time += 6
    assert anaplan.status(run_id)["message"] == "Running"
    assert "not in running state" in anaplan.refused("POST", path, 409)
    anaplan.clock.time += 60
    assert anaplan.status(run_id)["message"] == "Success"
    assert "not in running state" in anaplan.refused("POST", path, 409)
