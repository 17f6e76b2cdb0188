"""Stores in the ledger's table which version of the secret Anaplan refused, so that nobody sends it again.

| `pk` | `sk` | holds |
|---|---|---|
| `secret#<the secret's name>` | `rejected` | `version` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.aws.secret import secret_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Rejections:
    """The refused version of one secret, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str, secret_id: str) -> None:
        """`secret_id` is a name or an ARN: both lead to the same item."""
        self._client = client
        self._table = table
        self._key = {"pk": {"S": f"secret#{secret_name(secret_id)}"}, "sk": {"S": "rejected"}}

    def includes(self, version: str) -> bool:
        """Whether Anaplan refused this version of the secret."""
        answer = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        return answer.get("Item", {}).get("version") == {"S": version}

    def add(self, version: str) -> None:
        """Record that Anaplan refused this version: accounts lock after a few wrong passwords."""
        self._client.put_item(TableName=self._table, Item={**self._key, "version": {"S": version}})
