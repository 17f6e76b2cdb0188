"""The simulator that the tests of this folder ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloudworks import Pace, SimulatorSettings
from tests.unit.simulator.client import Anaplan, serving


@pytest.fixture
def anaplan() -> Iterator[Anaplan]:
    """Runs take ten seconds and start at once."""
    with serving(SimulatorSettings(pace=Pace(run_seconds=10))) as made:
        yield made
