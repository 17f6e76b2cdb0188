"""How each route stands, in the ledger's table: which due times were dealt with, and what it has to recover from.

| `pk` | `sk` | holds |
|---|---|---|
| `standing` | the route's name | `Standing`, and `telling`: when a sweep last began to say `missing` |

There is an item for each route with `expect`, and for each route that ever failed. All are in one collection, because
a sweep reads them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from anaplan_autoload.aws.table import Table
from anaplan_autoload.domain.standing import Standing, counted
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.items import Item
    from anaplan_autoload.aws.ledger import Ledger, RunRecord
    from anaplan_autoload.domain.routes import Route

AT_A_TIME = 100
"""How many lines of the load history one read takes."""
TELLING_MS = 120_000
"""After this time, a sweep that began to announce something and did not note it has died."""


class Standings:
    """The routes' standings, through the low-level client; times are epoch ms."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def all(self) -> dict[str, Standing]:
        """Every route's, by its name, read consistently."""
        pages = self._table.query("pk = :pk", {":pk": "standing"})
        return {item["sk"]: _standing(item) for page in pages for item in page}

    def get(self, route: str) -> Standing:
        """One route's, read consistently; an empty one if nothing was ever noted."""
        return _standing(self._table.get(_key(route)) or {})

    def begin(self, route: Route, due_at: int) -> None:
        """Expect loads by this route from now on: due times up to this one are not missed."""
        self._update(
            route.name,
            "SET expect = :expect, lane = :lane, settled = :due REMOVE telling",
            {":expect": route.expect, ":lane": route.lane_id, ":due": due_at},
        )

    def end(self, route: str) -> None:
        """Expect no loads by this route any more."""
        self._update(route, "REMOVE expect, lane, settled, telling")

    def may_tell(self, route: str, due_at: int, now: int) -> bool:
        """Whether this sweep is to announce a missed due time; False if another one began to do so just before."""
        return self._update(
            route,
            "SET telling = :now",
            {":now": now, ":died": now - TELLING_MS, ":due": due_at},
            "settled < :due AND (attribute_not_exists(telling) OR telling <= :died)",
        )

    def miss(self, route: str, due_at: int) -> None:
        """Note that subscribers were told that a due time was missed."""
        self._update(route, "SET missed = :due", {":due": due_at}, "settled < :due")

    def settle(self, route: str, due_at: int, used: int | None = None) -> None:
        """Note that a due time was dealt with and, if a load counts for it, when that ended."""
        values = {":due": due_at} | ({} if used is None else {":used": used})
        noted = "" if used is None else ", used = :used"
        self._update(route, f"SET settled = :due{noted} REMOVE telling", values, "settled < :due")

    def fail(self, route: str, load: str) -> None:
        """Note that subscribers were told of a failed load."""
        self._update(route, "SET failed = :load", {":load": load})

    def recover_from_missing(self, route: str, used: int) -> None:
        """Note that subscribers were told that the missing file came, with a load that ended at this time."""
        self._update(route, "SET used = :used REMOVE missed", {":used": used})

    def recover_from_failure(self, route: str) -> None:
        """Note that subscribers were told that loading works again."""
        self._update(route, "REMOVE failed")

    def _update(self, route: str, change: str, values: Item | None = None, condition: str = "") -> bool:
        return self._table.update(_key(route), change, condition, values)


def load_for(ledger: Ledger, route: Route, due_at: int, since: int) -> RunRecord | None:
    """The route's load that counts for a due time, of those that ended after `since`; epoch ms."""
    found: dict[int, RunRecord] = {}

    def ended() -> Iterator[int]:
        for run in ledger.runs(route.lane_id, iso(since + 1), at_a_time=AT_A_TIME):
            if run.route == route.name and run.outcome in ("loaded", "partial"):
                at = epoch_ms(run.ended_at)
                found[at] = run
                yield at

    counts = counted(ended(), due_at)
    return None if counts is None else found[counts]


def _key(route: str) -> Item:
    return {"pk": "standing", "sk": route}


def _standing(item: Item) -> Standing:
    return msgspec.convert(item, Standing, strict=False)
