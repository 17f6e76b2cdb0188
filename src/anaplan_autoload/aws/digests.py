"""Stores in the ledger's table the messages that people will get in a digest.

| `pk` | `sk` | holds |
|---|---|---|
| `digest` | `<lane>#<message id>#<outcome>` | `Owed` |

A lane's leader stores a message here before it informs systems. A sweep sends the digest, and then deletes its
messages. So if either dies at any point, nothing is lost; at worst, a digest is sent twice. All items have the same
`pk`, because a sweep reads them all.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from anaplan_autoload.aws.table import Table
from anaplan_autoload.domain.digests import Owed
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.ledger import Ledger


class Digests:
    """The messages that wait for a digest, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def all(self) -> list[Owed]:
        """All messages that wait for a digest, read consistently."""
        return list(self._owed())

    def due_at(self, lane: str, now: int, window_ms: int) -> int:
        """When to send the lane's digest, epoch ms: with the messages that wait already, or else a window from now."""
        first = next(self._owed(f"{lane}#", Limit=1), None)
        return first.due_at if first is not None and first.due_at > now else now + window_ms

    def owe(self, owed: Owed) -> None:
        """Store a message, unless it is stored already."""
        self._table.put({**_key(owed), **msgspec.to_builtins(owed)}, "attribute_not_exists(pk)")

    def forget(self, told: Iterable[Owed]) -> None:
        """Delete messages that people have been sent."""
        for each in told:
            self._table.delete(_key(each))

    def _owed(self, beginning: str = "", **limit: Any) -> Iterator[Owed]:
        condition = "pk = :pk" + (" AND begins_with(sk, :beginning)" if beginning else "")
        values = {":pk": "digest"} | ({":beginning": beginning} if beginning else {})
        for page in self._table.query(condition, values, **limit):
            yield from (msgspec.convert(item, Owed, strict=False) for item in page)


def told_lately(ledger: Ledger, lane: str, now: int, window_ms: int, enough: int) -> list[int]:
    """When people were told of the lane's last loads, epoch ms, newest first: at least `enough`, if there are.

    Loads that were retried, or that nobody wanted to be told about, are left out. So more loads than that are read.
    """
    since = iso(now - 2 * window_ms)
    runs = islice(ledger.runs(lane, since, at_a_time=2 * enough), 4 * enough)
    return [epoch_ms(run.told_at) for run in runs if run.told_at]


def _key(owed: Owed) -> dict[str, str]:
    return {"pk": "digest", "sk": f"{owed.lane}#{owed.id}#{owed.outcome}"}
