"""Stores in the ledger's table which version of the secret Anaplan refused, so that nobody sends it again.

| `pk` | `sk` | holds |
|---|---|---|
| `secret#<the secret's name>` | `rejected` | `version` |

Version 1.0 had the secret's id in the place of its name: mostly an ARN. Its items are still read, because executions of
1.0 go on for up to a week after an update, and a version that it saw refused must not be sent again either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.aws.secret import secret_name
from anaplan_autoload.aws.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.items import Item


class Rejections:
    """The refused version of one secret, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str, secret_id: str) -> None:
        """`secret_id` is a name or an ARN: both lead to the same item."""
        self._table = Table(client, table)
        self._key = _key(secret_name(secret_id))
        self._read = [self._key] if secret_name(secret_id) == secret_id else [self._key, _key(secret_id)]

    def includes(self, version: str) -> bool:
        """Whether Anaplan refused this version of the secret."""
        items = map(self._table.get, self._read)
        return any(item is not None and item["version"] == version for item in items)

    def add(self, version: str) -> None:
        """Record that Anaplan refused this version: accounts lock after a few wrong passwords."""
        self._table.put({**self._key, "version": version})


def _key(secret: str) -> Item:
    return {"pk": f"secret#{secret}", "sk": "rejected"}
