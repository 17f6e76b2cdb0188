"""Integrations: `/integrations`."""

from __future__ import annotations

from typing import Any

import pytest

from local.cloudworks import WORKSPACE_ID, seed
from tests.unit.simulator.client import FILE, GOOD, MODEL, Anaplan, create, export_job, import_job, integration


def test_a_made_integration_shows_its_jobs_with_their_connections(anaplan: Anaplan) -> None:
    made = create(anaplan, "Products", import_job(anaplan, "products.csv"))
    shown = anaplan.ask("GET", f"/integrations/{made}")["integration"]
    source = shown["jobs"][0]["sources"][0]
    assert (source["connectionName"], source["bucketName"], source["file"]) == ("S3 inbox", "inbox", "products.csv")
    assert source["isConnectionDeleted"] is False
    assert (shown["integrationType"], shown["version"]) == ("Import", "2.0")


def test_integrations_are_listed_without_jobs_25_at_a_time(anaplan: Anaplan) -> None:
    seed(anaplan.simulator, "inbox", [(f"Import {number}", FILE) for number in range(30)])
    answer = anaplan.ask("GET", "/integrations")
    assert len(answer["integrations"]) == 25
    assert "jobs" not in answer["integrations"][0]
    assert answer["meta"]["paging"]["totalSize"] == 31
    assert len(anaplan.ask("GET", "/integrations?offset=25&limit=25")["integrations"]) == 6


def test_a_summary_carries_the_latest_run(anaplan: Anaplan) -> None:
    assert "latestRun" not in anaplan.ask("GET", "/integrations")["integrations"][0]
    anaplan.ended(GOOD)
    assert anaplan.ask("GET", "/integrations")["integrations"][0]["latestRun"]["message"] == "Success"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": "Accounts"}, "Duplicate resource name not allowed"),
        ({"version": "3.0"}, "Invalid request body"),
        ({"jobs": []}, "Invalid request body"),
        ({"modelId": MODEL.lower()}, "Invalid value for model_id"),
        ({"workspaceId": "nowhere"}, "Invalid value for workspace_id"),
        ({"processId": "112000000001"}, "Invalid value for process_id"),
    ],
)
def test_an_integration_is_checked(anaplan: Anaplan, changes: dict[str, Any], message: str) -> None:
    body = integration(anaplan, "Products", import_job(anaplan)) | changes
    assert anaplan.refused("POST", "/integrations", 400, body) == message


def test_a_job_without_a_known_connection_is_refused(anaplan: Anaplan) -> None:
    job = import_job(anaplan)
    job["sources"][0]["connectionId"] = "0" * 32
    body = integration(anaplan, "Products", job)
    assert anaplan.refused("POST", "/integrations", 400, body) == "Invalid value for connection_id"


def test_version_1_names_workspace_and_model_in_the_target(anaplan: Anaplan) -> None:
    job = import_job(anaplan)
    job["targets"][0] |= {"workspaceId": WORKSPACE_ID, "modelId": MODEL}
    body = {"name": "Products", "version": "1.0", "jobs": [job]}
    made = anaplan.ask("POST", "/integrations", body)["integration"]["integrationId"]
    assert anaplan.ask("GET", f"/integrations/{made}")["integration"]["modelId"] == MODEL


def test_a_tenant_holds_500_integrations(anaplan: Anaplan) -> None:
    seed(anaplan.simulator, "inbox", [(f"Import {number}", FILE) for number in range(499)])
    anaplan.refused("POST", "/integrations", 409, integration(anaplan, "One more", import_job(anaplan)))


def test_an_integration_is_replaced_and_deleted(anaplan: Anaplan) -> None:
    path = f"/integrations/{anaplan.id}"
    anaplan.ask("PUT", path, integration(anaplan, "Renamed", import_job(anaplan, "renamed.csv")))
    assert anaplan.ask("GET", path)["integration"]["jobs"][0]["sources"][0]["file"] == "renamed.csv"
    anaplan.ask("DELETE", path)
    anaplan.ask("GET", path, status=404)


def test_a_running_integration_is_not_deleted(anaplan: Anaplan) -> None:
    anaplan.run()
    assert anaplan.refused("DELETE", f"/integrations/{anaplan.id}", 409) == "Integration is already running"


def test_an_export_writes_the_model_to_a_folder_of_the_bucket(anaplan: Anaplan) -> None:
    anaplan.ask("PUT", f"/integrations/{anaplan.id}", integration(anaplan, "Accounts", import_job(anaplan)))
    anaplan.ended(GOOD)
    anaplan.run(create(anaplan, "Export", export_job(anaplan, "exports/")))
    anaplan.clock.time += 60
    anaplan.simulator.tick()
    written = anaplan.buckets.read("inbox", "exports/Action 116000000001.csv")
    assert written is not None
    assert written.content == b"Code,Name\r\nA,Alpha\r\nB,Beta\r\n"
