"""What users may see and do, by role and workspace."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from local.cloudworks import USERNAME
from tests.unit.simulator.client import Anaplan


def test_without_a_role_everything_is_refused(anaplan: Anaplan) -> None:
    anaplan.simulator.add_user(replace(anaplan.simulator.tenant.users[USERNAME], role=None))
    assert anaplan.refused("GET", "/integrations", 403) == "Not Permitted"
    assert anaplan.refused("POST", f"/integrations/{anaplan.id}/run", 452) == "Tenant not entitled"


@pytest.mark.parametrize("changes", [{"workspaces": frozenset()}, {"role": "Integration Admin"}])
def test_what_a_user_does_not_reach_is_an_empty_list_and_not_found(anaplan: Anaplan, changes: dict[str, Any]) -> None:
    anaplan.simulator.add_user(replace(anaplan.simulator.tenant.users[USERNAME], **changes))
    assert anaplan.ask("GET", "/integrations")["integrations"] == []
    assert anaplan.ask("GET", "/integrations/connections")["connections"] == []
    anaplan.ask("POST", f"/integrations/{anaplan.id}/run", status=404)
