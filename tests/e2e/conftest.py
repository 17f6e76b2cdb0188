"""The whole of it on this machine: the real function in AWS's runtime, moto, and the CloudWorks simulator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws.stack import Options, Stack
from local.cloudworks import Pace, SimulatorSettings

SHORT = {"POLL_MIN_SECONDS": "1", "POLL_MAX_SECONDS": "2", "LEASE_SECONDS": "15"}
"""Seconds; the lease outlasts the function's timeout plus the longest wait, as the template demands on AWS."""
TIMEOUT_SECONDS = 10
ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{Accounts}"

[[route]]
name = "sales"
prefix = "incoming/sales/"
integration = "{Sales}"
load = "each"
stage_to = "source/sales.csv"
"""


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the parts of a session's stack log."""
    if sys.platform != "linux":
        pytest.skip("AWS's runtime emulator runs on Linux only")
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def stack(logs: Path) -> Iterator[Stack]:
    """The real function with two routes: `accounts`, loaded as `latest`, and `sales`, loaded as `each`."""
    options = Options(
        environment=SHORT,
        timeout_seconds=TIMEOUT_SECONDS,
        sweep_seconds=10,
        anaplan=SimulatorSettings(pace=Pace(run_seconds=1)),
        logs=logs,
    )
    with Stack(options) as stack:
        ids = stack.seed([("Accounts", "incoming/accounts/accounts.csv"), ("Sales", "source/sales.csv")])
        stack.deploy(ROUTES.format(**ids))
        yield stack
