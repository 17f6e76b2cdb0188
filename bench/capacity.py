"""DynamoDB's read and write units of every call, by AWS's rules, from the items in the table.

moto does not report sizes, so each call is watched: the items that it writes are read before and after it through
a client that is not watched. The rules are those of the developer guide's "Read and write operations" and "Item sizes":
reads round up to 4 KB and count 1 a unit when strongly consistent, half when not; writes round the larger of the old
and the new item up to 1 KB; a transaction counts double; and each write of an item that is, or was, in a local index is
written there once more, or twice where it moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks
    from mypy_boto3_dynamodb import DynamoDBClient

    from bench.stopwatch import Stopwatch

KEY = ("pk", "sk")
INDEXED = "waiting"
"""An item with this attribute is in the local index, with all its attributes."""

Item = Mapping[str, Any]


def size(item: Item) -> int:
    """Bytes that an item counts for: names and values."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content.strip("-").strip("0").replace(".", "")) + 1) // 2 + 1
        case "M":
            return 3 + size(content) + len(content)
        case "L":
            return 3 + sum(map(_size, content)) + len(content)
    return 1


def write_units(before: Item | None, after: Item | None) -> int:
    """Units of one write, its index entries included; a write that failed its condition leaves both alike."""
    units = max(1, _kilobytes(before or {}, 1), _kilobytes(after or {}, 1))
    if before == after:
        return units
    old = before if before and INDEXED in before else None
    new = after if after and INDEXED in after else None
    if old and new and old[INDEXED] == new[INDEXED]:
        return units + max(_kilobytes(old, 1), _kilobytes(new, 1))
    return units + sum(_kilobytes(entry, 1) for entry in (old, new) if entry)


def _kilobytes(item: Item, step: int) -> int:
    return ceil(size(item) / (step * 1024))


class Meter:
    """Counts the calls to one table, and their units."""

    def __init__(self, unwatched: DynamoDBClient, table: str, overhead: Stopwatch) -> None:
        self._client = unwatched
        self._table = table
        self._overhead = overhead
        self._before: list[Item | None] = []
        self._params: dict[str, Any] = {}
        self.calls: Counter[str] = Counter()
        self.read_units = 0.0
        self.write_units = 0

    def watch(self, events: BaseEventHooks) -> None:
        """Count what passes a client, or every client that its session makes from now on."""
        events.register("provide-client-params.dynamodb.*", self._called)
        events.register("after-call.dynamodb.*", self._answered)

    def _called(self, params: dict[str, Any], model: Any, **_: object) -> None:
        with self._overhead:
            self._params = params
            self._before = [self._item(key) for key in _written(model.name, params)]

    def _answered(self, parsed: dict[str, Any], model: Any, **_: object) -> None:
        with self._overhead:
            self.calls[model.name] += 1
            after = [self._item(key) for key in _written(model.name, self._params)]
            transaction = 2 if model.name.startswith("Transact") else 1
            self.write_units += transaction * sum(map(write_units, self._before, after))
            self.read_units += _read_units(model.name, self._params, parsed)

    def _item(self, key: Item) -> Item | None:
        return self._client.get_item(TableName=self._table, Key=dict(key), ConsistentRead=True).get("Item")


def _written(operation: str, params: Mapping[str, Any]) -> Iterator[Item]:
    """The keys of the items that a call writes."""
    match operation:
        case "PutItem":
            yield {name: params["Item"][name] for name in KEY}
        case "UpdateItem" | "DeleteItem":
            yield params["Key"]
        case "TransactWriteItems":
            for action in params["TransactItems"]:
                for kind, write in action.items():
                    yield from _written(f"{kind}Item", write)


def _read_units(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    consistency = 1.0 if params.get("ConsistentRead") else 0.5
    match operation:
        case "GetItem":
            return consistency * max(1, _kilobytes(answer.get("Item", {}), 4))
        case "BatchGetItem":
            items = (item for found in answer["Responses"].values() for item in found)
            return 0.5 * sum(_kilobytes(item, 4) for item in items)
        case "TransactGetItems":
            return 2.0 * sum(max(1, _kilobytes(found.get("Item", {}), 4)) for found in answer["Responses"])
        case "Query" | "Scan":
            return consistency * max(1, ceil(sum(map(size, answer["Items"])) / 4096))
    return 0.0
