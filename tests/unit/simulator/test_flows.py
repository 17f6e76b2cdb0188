"""Integration flows: `/integrationflows`."""

from __future__ import annotations

import pytest

from local.cloudworks import Variants, seed
from tests.unit.simulator.client import GOOD, MIXED, Anaplan, create_flow, step


@pytest.fixture
def flow(anaplan: Anaplan) -> str:
    """A flow of two imports; only the first has a file."""
    second = seed(anaplan.simulator, "inbox", [("Products", "products.csv")]).integration_ids["Products"]
    anaplan.upload(GOOD)
    return create_flow(anaplan, step(anaplan.id), step(second))


def test_a_flow_runs_its_steps_one_after_another(anaplan: Anaplan, flow: str) -> None:
    anaplan.upload(GOOD, "products.csv")
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    shown = anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]
    assert [s["latestRun"]["startDate"] for s in shown["steps"]] == [
        "2026-11-24T12:00:00.000Z",
        "2026-11-24T12:00:10.000Z",
    ]
    assert shown["latestRun"]["endDate"] == "2026-11-24T12:00:20.000Z"
    assert shown["latestRun"]["message"] == "Success"
    (run,) = anaplan.history()["runs"]
    assert run["triggerSource"] == "manual_inf"
    assert anaplan.status(run["id"])["flowGroupId"] == flow


def test_a_flow_stops_at_a_failed_step_and_says_so(anaplan: Anaplan, flow: str) -> None:
    anaplan.upload(b"")
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    shown = anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]
    assert shown["latestRun"]["success"] is False
    assert ["latestRun" in step for step in shown["steps"]] == [True, False]


def test_a_flow_continues_after_a_partial_success_and_after_a_failure_if_set_so(anaplan: Anaplan) -> None:
    going_on = [{"type": "failure", "strategy": "continue"}]
    ids = seed(anaplan.simulator, "inbox", [("Missing", "missing.csv"), ("Mixed", "mixed.csv")]).integration_ids
    anaplan.upload(MIXED, "mixed.csv")
    made = create_flow(anaplan, step(ids["Missing"], exceptionBehavior=going_on), step(ids["Mixed"]), step(anaplan.id))
    anaplan.ask("POST", f"/integrationflows/{made}/run")
    anaplan.clock.time += 60
    assert len(anaplan.simulator.runs) == 3


def test_a_flow_under_way_is_not_run_again(anaplan: Anaplan, flow: str) -> None:
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 11
    anaplan.refused("POST", f"/integrationflows/{flow}/run", 409)
    anaplan.refused("DELETE", f"/integrationflows/{flow}", 409)


def test_a_flow_runs_only_the_steps_asked_for(anaplan: Anaplan, flow: str) -> None:
    anaplan.ask("POST", f"/integrationflows/{flow}/run", {"stepsToRun": [anaplan.id]})
    anaplan.clock.time += 60
    assert [run.integration_id for run in anaplan.simulator.runs] == [anaplan.id]


def test_a_flow_needs_two_enabled_steps(anaplan: Anaplan) -> None:
    body = {"name": "Short", "version": "2.0", "type": "IntegrationFlow"}
    steps = [step(anaplan.id), step(anaplan.id, isSkipped=True)]
    anaplan.refused("POST", "/integrationflows", 400, body | {"steps": steps})


def test_the_run_id_of_a_flow_is_known_to_run_status_only_if_set_so(anaplan: Anaplan, flow: str) -> None:
    run_id = anaplan.ask("POST", f"/integrationflows/{flow}/run")["run"]["id"]
    anaplan.ask("GET", f"/integrations/run/{run_id}", status=404)
    anaplan.simulator.settings.variants = Variants(flow_runs_resolve=True)
    assert anaplan.status(run_id)["flowGroupId"] == flow


def test_a_flow_is_listed_replaced_and_deleted(anaplan: Anaplan, flow: str) -> None:
    (shown,) = anaplan.ask("GET", "/integrationflows")["integrationFlows"]
    assert (shown["id"], shown["stepsCount"]) == (flow, 2)
    body = {"name": "Daily", "version": "2.0", "type": "IntegrationFlow", "steps": [step(anaplan.id)] * 2}
    anaplan.ask("PUT", f"/integrationflows/{flow}", body)
    assert anaplan.ask("GET", f"/integrationflows/{flow}")["integrationFlow"]["name"] == "Daily"
    anaplan.ask("DELETE", f"/integrationflows/{flow}")
    assert anaplan.ask("GET", "/integrationflows")["integrationFlows"] == []
