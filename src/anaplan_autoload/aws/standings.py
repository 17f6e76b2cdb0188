"""How each route stands, in the ledger's table: which due times were dealt with, and what it has to recover from.

| `pk` | `sk` | holds |
|---|---|---|
| `standing` | the route's name | `Standing`, and `telling`: when a sweep last began to say `missing` |

There is an item for each route with `expect`, and for each route that ever failed. All are in one collection, because
a sweep reads them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from anaplan_autoload.aws.items import decode
from anaplan_autoload.domain.standing import Standing, counted
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.ledger import Ledger, RunRecord
    from anaplan_autoload.domain.routes import Route

AT_A_TIME = 100
"""How many lines of the load history one read takes."""
TELLING_MS = 120_000
"""After this time, a sweep that began to announce something and did not note it has died."""


class Standings:
    """The routes' standings, through the low-level client; times are epoch ms."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def all(self) -> dict[str, Standing]:
        """Every route's, by its name, read consistently."""
        found: dict[str, Standing] = {}
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": "standing"}},
            "ConsistentRead": True,
        }
        while True:
            answer = self._client.query(**request)
            found |= {item["sk"]["S"]: _standing(item) for item in answer["Items"]}
            if "LastEvaluatedKey" not in answer:
                return found
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def get(self, route: str) -> Standing:
        """One route's, read consistently; an empty one if nothing was ever noted."""
        answer = self._client.get_item(TableName=self._table, Key=_key(route), ConsistentRead=True)
        return _standing(answer.get("Item", {}))

    def begin(self, route: Route, due_at: int) -> None:
        """Expect loads by this route from now on: due times up to this one are not missed."""
        self._update(
            route.name,
            "SET expect = :expect, lane = :lane, settled = :due REMOVE telling",
            {":expect": {"S": route.expect}, ":lane": {"S": route.lane_id}, ":due": _number(due_at)},
        )

    def end(self, route: str) -> None:
        """Expect no loads by this route any more."""
        self._update(route, "REMOVE expect, lane, settled, telling")

    def may_tell(self, route: str, due_at: int, now: int) -> bool:
        """Whether this sweep is to announce a missed due time; False if another one began to do so just before."""
        return self._update(
            route,
            "SET telling = :now",
            {":now": _number(now), ":died": _number(now - TELLING_MS), ":due": _number(due_at)},
            "settled < :due AND (attribute_not_exists(telling) OR telling <= :died)",
        )

    def miss(self, route: str, due_at: int) -> None:
        """Note that subscribers were told that a due time was missed."""
        self._update(route, "SET missed = :due", {":due": _number(due_at)}, "settled < :due")

    def settle(self, route: str, due_at: int, used: int | None = None) -> None:
        """Note that a due time was dealt with and, if a load counts for it, when that ended."""
        values = {":due": _number(due_at)} | ({} if used is None else {":used": _number(used)})
        noted = "" if used is None else ", used = :used"
        self._update(route, f"SET settled = :due{noted} REMOVE telling", values, "settled < :due")

    def fail(self, route: str, load: str) -> None:
        """Note that subscribers were told of a failed load."""
        self._update(route, "SET failed = :load", {":load": {"S": load}})

    def recover_from_missing(self, route: str, used: int) -> None:
        """Note that subscribers were told that the missing file came, with a load that ended at this time."""
        self._update(route, "SET used = :used REMOVE missed", {":used": _number(used)})

    def recover_from_failure(self, route: str) -> None:
        """Note that subscribers were told that loading works again."""
        self._update(route, "REMOVE failed")

    def _update(
        self, route: str, update: str, values: dict[str, Any] | None = None, condition: str | None = None
    ) -> bool:
        request: dict[str, Any] = {"TableName": self._table, "Key": _key(route), "UpdateExpression": update}
        if values:
            request["ExpressionAttributeValues"] = values
        if condition:
            request["ConditionExpression"] = condition
        try:
            self._client.update_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


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


def _key(route: str) -> dict[str, Any]:
    return {"pk": {"S": "standing"}, "sk": {"S": route}}


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _standing(item: dict[str, Any]) -> Standing:
    return msgspec.convert(decode(item), Standing, strict=False)
