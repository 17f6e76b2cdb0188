"""How runs end: `success`, `message` and `executionErrorCode` of `GET /integrations/run/{id}`."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from local.cloudworks import Result, Variants
from tests.unit.simulator.client import GOOD, MIXED, Anaplan


def test_some_bad_rows_are_a_partial_success_with_counts(anaplan: Anaplan) -> None:
    run = anaplan.ended(MIXED)
    assert run["message"] == "Partial success: 2 of 4 rows failed"
    assert (run["success"], run["executionErrorCode"]) == (True, 38)
    assert list(anaplan.rows) == ["A", "B"]


@pytest.mark.parametrize(
    "form, shown", [("success and code", (True, 38)), ("code alone", (False, 38)), ("message alone", (True, None))]
)
def test_a_partial_success_is_shown_in_three_ways(anaplan: Anaplan, form: Any, shown: tuple[bool, int | None]) -> None:
    anaplan.simulator.settings.variants = Variants(partial=form)
    run = anaplan.ended(MIXED)
    assert (run["success"], run["executionErrorCode"]) == shown


@pytest.mark.parametrize(
    "content, code, message",
    [
        (None, 39, "The file incoming/accounts.csv was not found in the bucket inbox"),
        (b"", 35, "The file is empty"),
        (b"Code\n\xff\xfe", 35, "The file is not UTF-8"),
        (b'Code\n"A', 35, "The file is not CSV: unexpected end of data"),
        (b"Code,Name\n,x\n,y\n", 12, "All 2 rows failed"),
        (b"Code,Name\nA\n", 12, "All 1 rows failed"),
    ],
    ids=["missing", "empty", "binary", "broken", "all bad", "ragged"],
)
def test_what_cannot_be_loaded_fails_and_says_why(
    anaplan: Anaplan, content: bytes | None, code: int, message: str
) -> None:
    run = anaplan.ended(content)
    assert (run["success"], run["executionErrorCode"], run["message"]) == (False, code, message)
    assert anaplan.rows == {}


def test_a_broken_connection_fails_the_run(anaplan: Anaplan) -> None:
    connection = anaplan.simulator.tenant.connections[anaplan.seeded.connection_id]
    anaplan.simulator.add_connection(replace(connection, error_code=1))
    assert anaplan.ended(GOOD)["executionErrorCode"] == 39
    shown = anaplan.ask("GET", "/integrations/connections")["connections"][0]
    assert (shown["status"], shown["integrationErrorCode"]) == (0, 1)


def test_a_test_can_say_how_the_next_run_ends(anaplan: Anaplan) -> None:
    anaplan.simulator.force_result(anaplan.id, Result(False, "Integration trigger error"))
    assert anaplan.ended(GOOD)["message"] == "Integration trigger error"
    assert anaplan.ended(GOOD)["message"] == "Success"
