"""The simulator's own operations: `/simulator/`, and the simulator as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.cloudworks import USERNAME, WORKSPACE_ID
from tests.unit.simulator.client import FILE, GOOD, Anaplan, admin, fails


def test_the_simulator_can_be_seeded_changed_and_watched_over_http(anaplan: Anaplan) -> None:
    body = {"bucket": "inbox", "integrations": [{"name": "Products", "file": FILE}]}
    made = admin(anaplan, "POST", "seed", body)["integration_ids"]["Products"]
    admin(anaplan, "POST", "settings", {"skew_seconds": 5, "pace": {"run_seconds": 1}})
    anaplan.upload(GOOD)
    started = admin(anaplan, "POST", "runs", {"integration_id": made})["id"]
    anaplan.clock.time += 1
    state = admin(anaplan, "GET", "state")
    (run,) = state["runs"]
    assert (run["id"], run["phase"], run["author"]) == (started, "ended", "Bob Other")
    assert state["imported"] == {run["model_id"]: 2}
    assert list(admin(anaplan, "GET", f"models/{run['model_id']}")) == ["A", "B"]
    assert state["anaplan_now"] - state["now"] == pytest.approx(5)


def test_faults_and_results_can_be_ordered_and_faults_called_off_over_http(anaplan: Anaplan) -> None:
    admin(anaplan, "POST", "faults", {"kind": "lose_before", "path": "/integrations", "count": None})
    assert fails(anaplan, "GET")
    admin(anaplan, "DELETE", "faults")
    admin(anaplan, "POST", "results", {"integration_id": anaplan.id, "success": False, "message": "No", "code": 39})
    run = anaplan.ended(GOOD)
    assert (run["message"], run["executionErrorCode"]) == ("No", 39)


def test_passwords_can_be_changed_and_tokens_ended_over_http(anaplan: Anaplan) -> None:
    user = {"name": USERNAME, "display_name": "Ada Builder", "password": "changed", "workspaces": [WORKSPACE_ID]}
    admin(anaplan, "POST", "users", user)
    admin(anaplan, "POST", "tokens/expire")
    anaplan.ask("GET", "/integrations", status=403)
    assert anaplan.log_in().status == 401
    assert anaplan.log_in(password="changed").status == 201


@pytest.mark.parametrize(
    "path, body, part",
    [
        ("settings", {"skew": 5}, "skew"),
        ("settings", {"fail_rate": "often"}, "fail_rate"),
        ("faults", {"kind": "explode"}, "explode"),
        ("faults", {"kind": "slow", "path": "("}, "path"),
        ("seed", {"bucket": "inbox", "integrations": [{"name": "Accounts", "file": "x"}]}, "Accounts"),
    ],
)
def test_mistakes_in_orders_to_the_simulator_are_explained(anaplan: Anaplan, path: str, body: Any, part: str) -> None:
    assert part in admin(anaplan, "POST", path, body, 400)["error"]


def test_the_simulator_runs_alone_and_ends_when_told() -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "local.cloudworks", "--bucket", "inbox", "--integration", f"Accounts={FILE}"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own)
        assert process.stdout is not None
        told = dict(process.stdout.readline().strip().split("=" if index else ": ") for index in range(3))
        url = told["CLOUDWORKS_URL"]
        assert urllib3.request("GET", f"{url}/integrations", retries=False).status == 403
        process.terminate()
    assert process.returncode == 0
    assert told["integration Accounts"]
