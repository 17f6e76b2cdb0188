"""Errors and rejected rows: `/integrations/runerror/{id}` and `/integrations/run/{id}/dumps`."""

from __future__ import annotations

from local.cloudworks import Variants
from tests.unit.simulator.client import GOOD, MIXED, Anaplan


def test_errors_are_grouped_by_reason_with_examples(anaplan: Anaplan) -> None:
    run = anaplan.ended(MIXED)
    (found,) = anaplan.ask("GET", f"/integrations/runerror/{run['id']}")["runs"]
    (action,) = found["errorMessages"]
    assert (action["actionName"], action["failureDumpGenerated"]) == ("Accounts from accounts.csv", True)
    shown = [(e["localMessageText"], e["occurrences"], e["values"]) for e in action["errorMessage"]]
    assert shown == [("Code is empty", 1, ["Row 3: "]), ("Duplicate code", 1, ["Row 4: A"])]


def test_errors_may_come_as_an_object_and_their_absence_as_an_object_or_an_array(anaplan: Anaplan) -> None:
    clean, mixed = anaplan.ended(GOOD)["id"], anaplan.ended(MIXED)["id"]
    assert anaplan.ask("GET", f"/integrations/runerror/{clean}")["runs"] == {}
    anaplan.simulator.settings.variants = Variants(errors="object", no_errors="array")
    assert anaplan.ask("GET", f"/integrations/runerror/{clean}")["runs"] == []
    assert anaplan.ask("GET", f"/integrations/runerror/{mixed}")["runs"]["id"] == mixed


def test_rejected_rows_can_be_had_as_csv_for_two_days(anaplan: Anaplan) -> None:
    path = f"/2/0/integrations/run/{anaplan.ended(MIXED)['id']}/dumps"
    answer = anaplan.send("GET", path, Authorization=f"Bearer {anaplan.token}")
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.data.decode().splitlines()[1:] == [
        "E,3,1,0,,Nameless,Code is empty",
        "E,4,1,0,A,Again,Duplicate code",
    ]
    anaplan.clock.time += 48 * 3600
    anaplan.token = anaplan.log_in().json()["tokenInfo"]["tokenValue"]
    anaplan.ask("GET", path.removeprefix("/2/0"), status=404)


def test_a_clean_run_has_no_dump_and_the_singular_path_is_not_routed(anaplan: Anaplan) -> None:
    run_id = anaplan.ended(GOOD)["id"]
    message = anaplan.refused("GET", f"/integrations/run/{run_id}/dumps", 404)
    assert message == "Your integration run was successful / no errors"
    answer = anaplan.send("GET", f"/2/0/integrations/run/{run_id}/dump", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html")
