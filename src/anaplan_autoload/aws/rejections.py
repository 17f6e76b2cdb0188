"""Stores in the ledger's table which version of the secret Anaplan refused, so that nobody sends it again.

| `pk` | `sk` | holds |
|---|---|---|
| `secret#<the secret's name>` | `rejected` | `version` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.aws.secret import secret_name
from anaplan_autoload.aws.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Rejections:
    """The refused version of one secret, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str, secret_id: str) -> None:
        """`secret_id` is a name or an ARN: both lead to the same item."""
        self._table = Table(client, table)
        self._key = {"pk": f"secret#{secret_name(secret_id)}", "sk": "rejected"}

    def includes(self, version: str) -> bool:
        """Whether Anaplan refused this version of the secret."""
        item = self._table.get(self._key)
        return item is not None and item["version"] == version

    def add(self, version: str) -> None:
        """Record that Anaplan refused this version: accounts lock after a few wrong passwords."""
        self._table.put({**self._key, "version": version})
