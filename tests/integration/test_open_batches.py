"""How a sweep knows open batches, and what happens to the ids of those that a dead leader closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_durable_execution_sdk_python.exceptions import InvocationError
from msgspec import Struct

from anaplan_autoload.aws.items import decode, encode
from anaplan_autoload.aws.ledger import IDS_PER_ITEM, OPEN_MARK, Leftover
from anaplan_autoload.domain.protocol import Batch, Lease
from anaplan_autoload.domain.times import iso
from local.cloudworks import Pace
from tests.integration.test_edges import sweep
from tests.integration.test_main_path import ACCOUNTS, KEY, latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.autoload import Autoload

MANY = IDS_PER_ITEM + 100
"""Two items of ids."""


class Site(Struct):
    """A lane, and what can have happened in it."""

    autoload: Autoload
    lease: Lease
    batches: int = 0

    def opened(self, total: int = 1) -> Batch:
        self.batches += 1
        autoload, [route] = self.autoload, self.autoload.known_routes()
        batch = Batch(f"batch-{self.batches}", route, total, autoload.now(), iso(autoload.now()))
        ids = [f"{number:064x}" for number in range(total)]
        assert autoload.ledger.open_batch(self.lease, batch, ids, autoload.now(), {})
        return batch

    def closed(self, total: int = 1) -> Batch:
        batch = self.opened(total)
        assert self.autoload.ledger.close_batch(self.lease, batch, self.autoload.now())
        return batch

    def left(self, total: int = 1) -> Batch:
        """The leader died after it closed the batch, and before it deleted the ids."""
        batch = self.opened(total)
        ids = [item for item in self.autoload.dump_table() if item["sk"]["S"].startswith(f"batch#{batch.id}#")]
        assert self.autoload.ledger.close_batch(self.lease, batch, self.autoload.now())
        for item in ids:
            self.autoload.dynamodb.put_item(TableName="ledger", Item=item)
        return batch

    def marked_by_1_0(self) -> Batch:
        """Version 1.0 marked the lane's item, and not the ids."""
        batch = self.opened()
        for item in self.autoload.dump_table():
            if item["sk"]["S"] == "lane":
                self.put({**decode(item), "waiting": OPEN_MARK})
            elif item["sk"]["S"].startswith(f"batch#{batch.id}#"):
                self.put({name: value for name, value in decode(item).items() if name in ("pk", "sk", "ids")})
        return batch

    def recorded(self) -> None:
        self.autoload.record_backlog(self.autoload.upload(KEY, ACCOUNTS), 1)

    def put(self, item: dict[str, Any]) -> None:
        self.autoload.dynamodb.put_item(TableName="ledger", Item=encode(item))

    def items(self, kind: str) -> list[dict[str, Any]]:
        found = map(decode, self.autoload.dump_table())
        return [item for item in found if item["sk"].partition("#")[0] == kind]


@pytest.fixture
def site(autoload: Autoload) -> Site:
    latest(autoload)
    lane = autoload.lane()
    autoload.ledger.acquire(lane, "the leader", autoload.now())
    return Site(autoload, Lease(lane, "the leader", autoload.now()))


HAPPENED: dict[str, tuple[list[Callable[[Site], object]], bool, list[str]]] = {
    "nothing": ([], False, []),
    "a batch is open": ([Site.opened], True, []),
    "a batch was closed": ([Site.closed], False, []),
    "ids were left": ([Site.left], False, ["batch-1"]),
    "ids were left, twice": ([Site.left, Site.left], False, ["batch-1", "batch-2"]),
    "ids were left, and a batch is open": ([Site.left, Site.opened], True, ["batch-1"]),
    "ids were left, and an upload waits": ([Site.left, Site.recorded], True, ["batch-1"]),
    "1.0 opened a batch": ([Site.marked_by_1_0], True, []),
    "ids were left, and 1.0 opened a batch": ([Site.left, Site.marked_by_1_0], True, ["batch-1"]),
}


@pytest.mark.parametrize("happened", HAPPENED)
def test_only_the_open_batch_of_a_lane_is_work(site: Site, happened: str) -> None:
    acts, works, left = HAPPENED[happened]
    for act in acts:
        act(site)

    backlog = site.autoload.ledger.backlog()

    assert [(each.lane, each.free) for each in backlog.pending] == ([(site.lease.lane, True)] if works else [])
    assert [each.batch_id for each in backlog.leftovers] == left
    assert site.autoload.ledger.pending() == backlog.pending


@pytest.mark.parametrize(
    ("act", "deleted"), [(Site.left, True), (Site.opened, False), (Site.closed, False), (Site.marked_by_1_0, False)]
)
def test_ids_are_deleted_only_if_their_batch_is_closed(
    site: Site, act: Callable[[Site], Batch], *, deleted: bool
) -> None:
    batch = act(site)
    before = site.items("batch")

    assert site.autoload.ledger.delete_leftover(Leftover(site.lease.lane, batch.id, batch.total)) is deleted
    assert site.items("batch") == ([] if deleted else before)


def test_ids_are_not_deleted_while_somebody_writes_the_lane(site: Site) -> None:
    batch = site.left()
    services = site.autoload.services_now()

    def conflict(**_: object) -> None:
        raise services.dynamodb.exceptions.TransactionCanceledException({"Error": {"Code": "x"}}, "TransactGetItems")

    services.dynamodb.meta.events.register("before-call.dynamodb.TransactGetItems", conflict)

    assert not services.ledger.delete_leftover(Leftover(site.lease.lane, batch.id, batch.total))
    assert len(site.items("batch")) == 1


def test_a_sweep_deletes_all_the_ids_that_were_left_and_drains_nothing(site: Site) -> None:
    site.left(MANY)
    site.autoload.ledger.release(site.lease)
    assert len(site.items("batch")) == 2

    assert sweep(site.autoload) == []
    assert site.items("batch") == []


def test_ids_whose_batch_was_never_opened_expire(site: Site) -> None:
    site.opened(MANY)
    site.autoload.ledger.release(site.lease)
    autoload, [route] = site.autoload, site.autoload.known_routes()
    refused = Batch("refused", route, MANY, autoload.now(), iso(autoload.now()))
    ids = [f"{number:064x}" for number in range(MANY)]

    assert not autoload.ledger.open_batch(site.lease, refused, ids, autoload.now(), {})

    [left] = [item for item in site.items("batch") if item["sk"].startswith("batch#refused#")]
    assert 399 < (left["ttl"] - autoload.now() / 1000) / 86_400 <= 400
    assert "waiting" not in left


def test_a_batch_whose_uploads_are_final_is_resumed_when_its_leader_died(site: Site) -> None:
    batch = site.opened()

    assert sweep(site.autoload) == ["led"]
    assert site.autoload.ledger.lane(site.lease.lane).open is None
    assert [message["id"] for message in site.autoload.messages()] == [site.autoload.simulator.runs[0].id]
    assert site.autoload.ledger.batch_ids(site.lease.lane, batch) == []


def test_a_batch_that_1_0_opened_is_resumed_and_leaves_no_mark(site: Site) -> None:
    site.marked_by_1_0()

    assert sweep(site.autoload) == ["led"]
    assert site.items("batch") == []
    [lane] = site.items("lane")
    assert "open" not in lane and "waiting" not in lane


def test_1_0_takes_an_open_batch_for_a_waiting_upload_if_it_is_deployed_again(site: Site) -> None:
    batch = site.opened()
    oldest: dict[str, str] = {}

    for item in map(decode, site.autoload.dynamodb.scan(TableName="ledger", IndexName="waiting")["Items"]):
        name, event_time = item["route"]["name"], item["event_time"]  # as its sweep reads them
        oldest[name] = min(oldest.get(name, event_time), event_time)

    assert oldest == {"accounts": batch.oldest}


def test_a_lane_is_not_in_the_index_while_its_run_is_followed(autoload: Autoload) -> None:
    """So each look at the run costs one write unit, and not two."""
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=60)
    seen: list[list[str]] = []

    def look() -> None:
        found = autoload.dynamodb.scan(TableName="ledger", IndexName="waiting")["Items"]
        seen.append(sorted(item["sk"]["S"].partition("#")[0] for item in found))

    autoload.when("GET", "/integrations/run/", look)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert seen == [["batch", "upload"]]


def test_a_leader_that_dies_between_two_deletions_leaves_the_mark(site: Site) -> None:
    batch = site.opened(MANY)
    services = site.autoload.services_now()
    deletions: list[object] = []

    def die(**_: object) -> None:
        deletions.append(None)
        if len(deletions) == 2:
            raise InvocationError("the sandbox died")

    services.dynamodb.meta.events.register("before-call.dynamodb.DeleteItem", die)
    with pytest.raises(InvocationError):
        services.ledger.close_batch(site.lease, batch, site.autoload.now())

    assert [each.batch_id for each in site.autoload.ledger.backlog().leftovers] == [batch.id]
