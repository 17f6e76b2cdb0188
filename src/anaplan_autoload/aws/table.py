"""The ledger's table, with plain values in place of DynamoDB's.

A failed condition is a return value, not an exception. In an expression, `#name` stands for the attribute `name`, so
that reserved words can be used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from anaplan_autoload.aws.items import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.items import Item

_NAME = re.compile(r"#(\w+)")
_KEYS_AT_ONCE = 100
"""How many items DynamoDB returns for one list of keys."""


class Table:
    """Reads and writes items, through the low-level client."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    # Reading.

    def get(self, key: Item) -> Item | None:
        """An item, read consistently; None if there is none."""
        answer = self._client.get_item(TableName=self._name, Key=encode(key), ConsistentRead=True)
        return decode(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Item]) -> Iterator[Item]:
        """The items with these keys that exist, in any order. Changes of the last second may be missing."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            wanted: Any = {self._name: {"Keys": list(map(encode, keys[start : start + _KEYS_AT_ONCE]))}}
            while wanted:
                answer = self._client.batch_get_item(RequestItems=wanted)
                yield from map(decode, answer["Responses"][self._name])
                wanted = answer.get("UnprocessedKeys")

    def get_together(self, *keys: Item) -> list[Item] | None:
        """The items with these keys as they are at one moment, empty where there is none; None while one is written."""
        gets: list[Any] = [{"Get": {"TableName": self._name, "Key": encode(key)}} for key in keys]
        try:
            answer = self._client.transact_get_items(TransactItems=gets)
        except self._client.exceptions.TransactionCanceledException:
            return None
        return [decode(found.get("Item", {})) for found in answer["Responses"]]

    def query(self, condition: str, values: Mapping[str, Any], **request: Any) -> Iterator[list[Item]]:
        """The items of one partition that meet a condition on their key, read consistently, page by page."""
        values = encode(values)
        return self._pages("query", KeyConditionExpression=condition, ExpressionAttributeValues=values, **request)

    def scan(self, index: str) -> Iterator[list[Item]]:
        """All items in an index, read consistently, page by page."""
        return self._pages("scan", IndexName=index)

    def _pages(self, operation: Literal["query", "scan"], **request: Any) -> Iterator[list[Item]]:
        read: Any = getattr(self._client, operation)
        request |= {"TableName": self._name, "ConsistentRead": True}
        answer = read(**request)
        yield list(map(decode, answer["Items"]))
        while start := answer.get("LastEvaluatedKey"):
            answer = read(ExclusiveStartKey=start, **request)
            yield list(map(decode, answer["Items"]))

    # Writing.

    def put(self, item: Item, condition: str = "", values: Mapping[str, Any] | None = None) -> bool:
        """Write a whole item, if the condition holds."""
        request: Any = {"TableName": self._name, "Item": encode(item), **_expressions(condition, values)}
        try:
            self._client.put_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def delete(self, key: Item) -> None:
        """Delete an item, if there is one."""
        self._client.delete_item(TableName=self._name, Key=encode(key))

    def update(self, key: Item, change: str, condition: str = "", values: Mapping[str, Any] | None = None) -> bool:
        """Change an item, if the condition holds. The answer shows nothing of the item."""
        return self._update(key, change, condition, values) is not None

    def update_and_get(
        self, key: Item, change: str, condition: str = "", values: Mapping[str, Any] | None = None
    ) -> Item | None:
        """Change an item, if the condition holds. Returns the item as it is then; None if the condition failed."""
        return self._update(key, change, condition, values, ReturnValues="ALL_NEW")

    def get_and_update(self, key: Item, change: str, condition: str, values: Mapping[str, Any]) -> tuple[bool, Item]:
        """Change an item, if the condition holds. Returns whether it did, and the item as it was before."""
        returns = {"ReturnValues": "ALL_OLD", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        try:
            return True, self._updated(key, change, condition, values, **returns)
        except self._client.exceptions.ConditionalCheckFailedException as refused:
            found: Any = refused.response.get("Item", {})
            return False, decode(found)

    def put_and_update(self, item: Item, key: Item, change: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Write a whole item and change another in one transaction, if the condition on the other holds."""
        update = {"UpdateExpression": change, **_expressions(condition, values, change)}
        actions: Any = [
            {"Put": {"TableName": self._name, "Item": encode(item)}},
            {"Update": {"TableName": self._name, "Key": encode(key), **update}},
        ]
        try:
            self._client.transact_write_items(TransactItems=actions)
        except self._client.exceptions.TransactionCanceledException as cancelled:
            reasons = cancelled.response.get("CancellationReasons", [])
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
                return False
            raise
        return True

    def _update(
        self, key: Item, change: str, condition: str, values: Mapping[str, Any] | None, **returns: str
    ) -> Item | None:
        try:
            return self._updated(key, change, condition, values, **returns)
        except self._client.exceptions.ConditionalCheckFailedException:
            return None

    def _updated(
        self, key: Item, change: str, condition: str, values: Mapping[str, Any] | None, **returns: str
    ) -> Item:
        request: Any = {"UpdateExpression": change, **_expressions(condition, values, change), **returns}
        answer = self._client.update_item(TableName=self._name, Key=encode(key), **request)
        return decode(answer.get("Attributes", {}))


def _expressions(condition: str, values: Mapping[str, Any] | None, change: str = "") -> dict[str, Any]:
    """A request's condition, names and values, without those that are empty: DynamoDB refuses these."""
    parts = {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in _NAME.findall(f"{change} {condition}")},
        "ExpressionAttributeValues": encode(values or {}),
    }
    return {name: part for name, part in parts.items() if part}
