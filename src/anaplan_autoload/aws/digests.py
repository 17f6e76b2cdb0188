"""What people have yet to be told in a digest, in the ledger's table.

| `pk` | `sk` | holds |
|---|---|---|
| `digest` | `<lane>#<message id>#<outcome>` | `Owed` |

A lane's leader notes what it owes before it tells systems; a sweep sends the digest and then forgets what was in it. So
a death at any point leaves something to send, at worst twice. All items are in one collection, because a sweep reads
them all.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from anaplan_autoload.aws.ledger import decode, encode
from anaplan_autoload.domain.digests import Owed
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.ledger import Ledger


class Digests:
    """The messages that are owed, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def all(self) -> list[Owed]:
        """Everything that is owed, read consistently."""
        return list(self._owed())

    def due_at(self, lane: str, now: int, window_ms: int) -> int:
        """When the lane's digest is to be sent, epoch ms: with what is owed already, else a window from now."""
        first = next(self._owed(f"{lane}#", Limit=1), None)
        return first.due_at if first is not None and first.due_at > now else now + window_ms

    def owe(self, owed: Owed) -> None:
        """Note a message, unless it is noted already."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item=encode({**_key(owed), **msgspec.to_builtins(owed)}),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def forget(self, told: Iterable[Owed]) -> None:
        """Forget what people were told."""
        for each in told:
            self._client.delete_item(TableName=self._table, Key=encode(_key(each)))

    def _owed(self, beginning: str = "", **limit: Any) -> Iterator[Owed]:
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk" + (" AND begins_with(sk, :beginning)" if beginning else ""),
            "ExpressionAttributeValues": encode({":pk": "digest", **({":beginning": beginning} if beginning else {})}),
            "ConsistentRead": True,
            **limit,
        }
        while True:
            answer = self._client.query(**request)
            yield from (msgspec.convert(decode(item), Owed, strict=False) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def told_lately(ledger: Ledger, lane: str, now: int, window_ms: int, enough: int) -> list[int]:
    """When the lane told of its last loads, epoch ms, newest first: at least `enough` of a window, if there are.

    Loads that were retried, or of which nobody wanted to be told, are read and left out: so a few more are read.
    """
    since = iso(now - 2 * window_ms)
    runs = islice(ledger.runs(lane, since, at_a_time=2 * enough), 4 * enough)
    return [epoch_ms(run.told_at) for run in runs if run.told_at]


def _key(owed: Owed) -> dict[str, str]:
    return {"pk": "digest", "sk": f"{owed.lane}#{owed.id}#{owed.outcome}"}
