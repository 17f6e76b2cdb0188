"""What operators do while uploads wait: new versions, changed and removed routes, items deleted, tables restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3

from local.cloudworks import Pace
from tests.integration.test_main_path import ACCOUNTS, KEY, LATEST, latest

if TYPE_CHECKING:
    from tests.autoload import Autoload

REGIONS = """
[[route]]
name = "regions"
prefix = "regions/"
integration = "{regions}"
"""


def waiting_upload(autoload: Autoload) -> str:
    """Let an upload wait in a lane that is paused; returns the lane."""
    lane = autoload.lane()
    autoload.ledger.pause(lane)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    return lane


def resume(autoload: Autoload, lane: str) -> None:
    """End the pause, and let the lane be drained."""
    autoload.ledger.resume(lane)
    autoload.invoke({"drain": lane})


def test_a_load_whose_leader_broke_is_ended_by_the_next_version(autoload: Autoload) -> None:
    autoload.use_routes_file()
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.when("GET", "/integrations/run/", lambda: autoload.write_routes("# none"), skip=2)

    first = autoload.start(autoload.upload(KEY, ACCOUNTS))
    autoload.ended(first, failed=True)
    latest_routes = LATEST.format(accounts=autoload.ids["accounts"])
    autoload.write_routes(latest_routes)
    autoload.pass_time(200)
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert autoload.runs_asked_for() == 1
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_an_upload_keeps_the_integration_that_it_was_recorded_with(autoload: Autoload) -> None:
    before = latest(autoload)
    lane = waiting_upload(autoload)
    autoload.routes(LATEST, other=KEY, accounts="incoming/Other.csv")

    resume(autoload, lane)

    [run] = autoload.simulator.runs
    assert run.integration_id == before
    assert [message["integration_id"] for message in autoload.messages()] == [before]


def test_an_upload_whose_route_was_removed_is_still_loaded(autoload: Autoload) -> None:
    latest(autoload)
    lane = waiting_upload(autoload)
    autoload.routes(REGIONS, regions="regions/Regions.csv")
    autoload.ledger.resume(lane)

    autoload.invoke({"sweep": True})
    autoload.drain()

    assert [message["route"] for message in autoload.messages()] == ["accounts"]


def test_a_lane_item_that_was_deleted_by_hand_loses_no_upload_and_overlaps_no_run(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=300)
    lane = autoload.lane()

    def delete() -> None:
        boto3.client("dynamodb").delete_item(TableName="ledger", Key={"pk": {"S": f"lane#{lane}"}, "sk": {"S": "lane"}})

    autoload.when("GET", "/integrations/run/", delete, skip=2)
    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "left"
    autoload.invoke({"sweep": True})
    autoload.drain()

    first, second = autoload.simulator.runs
    assert second.started_at >= first.ended_at
    [message] = autoload.messages()
    assert message["id"] == second.id


def test_a_batch_item_that_was_deleted_by_hand_only_repeats_the_load(autoload: Autoload) -> None:
    latest(autoload)
    lane = autoload.lane()

    def delete() -> None:
        found = autoload.ledger.lane(lane).open
        assert found is not None
        boto3.client("dynamodb").delete_item(
            TableName="ledger", Key={"pk": {"S": f"lane#{lane}"}, "sk": {"S": f"batch#{found.id}#0000"}}
        )

    autoload.when("GET", "/integrations/run/", delete)
    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"
    assert len(autoload.simulator.runs) == 2


def test_a_table_restored_to_before_a_load_loads_again_what_waited_then(autoload: Autoload) -> None:
    latest(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    lane = autoload.lane()
    autoload.ledger.pause(lane)
    autoload.invoke(event)
    autoload.ledger.resume(lane)
    backup = autoload.dump_table()
    autoload.invoke({"drain": lane})

    autoload.restore_table(backup)
    autoload.pass_time(200)
    autoload.invoke({"sweep": True})
    autoload.drain()

    assert [message["outcome"] for message in autoload.messages()] == ["loaded", "loaded"]


def test_a_table_restored_while_a_run_went_on_finds_the_run_again(autoload: Autoload) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.pass_time(60)
    autoload.simulator.settings.pace = Pace(run_seconds=300)
    backups: list[list[dict[str, object]]] = []
    autoload.when("POST", "/run$", lambda: backups.append(autoload.dump_table()))
    autoload.when("GET", "/integrations/run/", lambda: autoload.restore_table(backups[0]), skip=2)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.drain()

    assert len(autoload.simulator.runs) == 2
    assert [message["outcome"] for message in autoload.messages()] == ["loaded", "loaded"]
