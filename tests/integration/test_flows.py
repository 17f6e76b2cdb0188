"""Flows are run and followed like integrations, although CloudWorks tells less about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.cloudworks import Fault, Pace
from tests.integration.test_main_path import ACCOUNTS, KEY

if TYPE_CHECKING:
    from tests.autoload import Autoload

FLOW = """
[[route]]
name = "nightly"
prefix = "incoming/"
flow = "{flow}"
"""


def a_flow(autoload: Autoload) -> str:
    """A flow of two imports: of the upload, and of a file that is there already."""
    autoload.upload("source/Regions.csv", "Code\nR1\n")
    ids = autoload.seed(accounts=KEY, regions="source/Regions.csv")
    step = {"type": "Integration", "dependsOn": [], "isSkipped": False, "exceptionBehavior": []}
    made = autoload.cloudworks().request(
        "POST",
        "/integrationflows",
        {
            "name": "Nightly",
            "version": "2.0",
            "type": "IntegrationFlow",
            "steps": [{**step, "referrer": each} for each in ids.values()],
        },
    )
    flow = str(made["integrationFlow"]["integrationFlowId"])  # type: ignore[index]
    autoload.write_routes(FLOW.format(flow=flow))
    return flow


def test_an_upload_runs_its_flow(autoload: Autoload) -> None:
    flow = a_flow(autoload)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"
    [message] = autoload.messages()
    assert (message["outcome"], message["flow_id"]) == ("loaded", flow)
    assert len(autoload.simulator.flow_runs) == 1


def test_a_flow_with_a_partial_step_is_partial(autoload: Autoload) -> None:
    a_flow(autoload)

    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,Cash\n,Nameless\n"))

    [message] = autoload.messages()
    assert message["outcome"] == "partial" and "accounts" in message["message"]


def test_a_flow_run_right_after_another_is_not_taken_for_it(autoload: Autoload) -> None:
    a_flow(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=1)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    first, second = autoload.messages()
    assert first["started_at"] != second["started_at"]
    assert len(autoload.simulator.flow_runs) == 2


def test_a_flow_run_whose_answer_was_lost_is_found_and_not_taken_for_the_one_before(autoload: Autoload) -> None:
    a_flow(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.simulator.settings.pace = Pace(run_seconds=60)
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path="/run$"))

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert len(autoload.simulator.flow_runs) == 2
    assert [message["outcome"] for message in autoload.messages()] == ["loaded", "loaded"]
