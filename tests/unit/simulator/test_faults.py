"""Faults: lost requests and answers, errors, delays, expired tokens, too many requests."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3

from local.cloudworks import Fault, MemoryBuckets, Simulator, SimulatorSettings, serve
from tests.unit.simulator.client import Anaplan, Clock, fails


@pytest.mark.parametrize("kind, runs", [("lose_before", 0), ("lose_after", 1)])
def test_a_request_or_its_answer_can_be_lost(anaplan: Anaplan, kind: Any, runs: int) -> None:
    anaplan.simulator.add_fault(Fault(kind=kind, method="POST", path="/run$"))
    assert fails(anaplan)
    assert len(anaplan.simulator.runs) == runs
    assert not fails(anaplan, "GET")


def test_a_fault_happens_as_often_as_asked(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="lose_before", count=2))
    assert [fails(anaplan, "GET") for _ in range(3)] == [True, True, False]


def test_an_error_can_be_answered_instead_with_headers_and_html(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="status", status=503, headers={"Retry-After": "7"}, body="<p>Busy</p>"))
    answer = anaplan.send("GET", "/2/0/integrations", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Retry-After"], answer.data) == (503, "7", b"<p>Busy</p>")
    assert answer.headers["Content-Type"] == "text/html"


def test_a_truncated_answer_is_not_json_although_the_run_began(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="truncate"))
    answer = anaplan.send("POST", f"/2/0/integrations/{anaplan.id}/run", Authorization=f"Bearer {anaplan.token}")
    assert answer.status == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert len(anaplan.simulator.runs) == 1


def test_a_slow_answer_outlasts_an_impatient_client(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="slow", seconds=0.5))
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        anaplan.http.request("GET", anaplan.url + "/2/0/integrations", timeout=0.1)


def test_a_token_can_expire_at_a_bad_moment(anaplan: Anaplan) -> None:
    anaplan.simulator.add_fault(Fault(kind="expire_token", path="/run$"))
    anaplan.ask("GET", "/integrations")
    assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 403) == "Not Authorized"
    anaplan.ask("GET", "/integrations", status=403)


def test_random_faults_are_the_same_for_the_same_seed() -> None:
    def met(seed_number: int) -> list[str | None]:
        simulator = Simulator(
            MemoryBuckets(), clock=Clock(), settings=SimulatorSettings(fail_rate=0.5), seed=seed_number
        )
        with serve(simulator) as address:
            for _ in range(30):
                urllib3.request("GET", f"{address.admin_url}/state")
                try:
                    urllib3.request("GET", f"{address.cloudworks_url}/integrations", retries=False)
                except urllib3.exceptions.ProtocolError:
                    continue
        return [seen.fault for seen in simulator.requests]

    assert met(1) == met(1)
    assert {None, "lose_before", "status"} <= set(met(1))


def test_too_many_requests_in_a_minute_are_answered_with_429(anaplan: Anaplan) -> None:
    anaplan.clock.time += 60
    anaplan.simulator.settings.requests_per_minute = 2
    for _ in range(2):
        anaplan.ask("GET", "/integrations")
    answer = anaplan.send("GET", "/2/0/integrations", Authorization=f"Bearer {anaplan.token}")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    anaplan.clock.time += 60
    anaplan.ask("GET", "/integrations")
