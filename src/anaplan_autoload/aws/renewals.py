"""Stores in the ledger's table which execution renews an OAuth log-in, and the result of the last renewal.

| `pk` | `sk` | holds |
|---|---|---|
| `secret#<the secret's name>` | `renewal` | `Renewal`, and the lease: `holder`, `lease_until` (epoch ms) |

The item holds version ids of the secret, never a token.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from anaplan_autoload.anaplan.renewal import Renewal
from anaplan_autoload.aws.refusals import AWS_TROUBLE
from anaplan_autoload.aws.secret import secret_name
from anaplan_autoload.aws.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.items import Item

_NAMES = ("early_at", "spent", "stored", "kept")
"""The fields of `Renewal`. Those that are None are left out."""


class Renewals:
    """The renewals of one secret's log-in, through the low-level client; see `renewal.Records`."""

    shared = True

    def __init__(self, client: DynamoDBClient, table: str, secret_id: str, lease_ms: int) -> None:
        """`secret_id` is a name or an ARN: both lead to the same item."""
        self._table = Table(client, table)
        self._key = {"pk": f"secret#{secret_name(secret_id)}", "sk": "renewal"}
        self._lease_ms = lease_ms

    def read(self) -> Renewal:
        """Read the stored `Renewal`, consistently."""
        return _renewal(self._table.get(self._key) or {})

    def lease(self, holder: str, now: int) -> Renewal | None:
        """Take the lease if it is free, expired or ours; None if it is not."""
        return self._update(
            "SET holder = :me, lease_until = :until",
            "attribute_not_exists(holder) OR holder = :me OR lease_until < :now",
            {":me": holder, ":until": now + self._lease_ms, ":now": now},
        )

    def spend(self, holder: str, now: int, renewal: Renewal) -> bool:
        """Renew the lease and note which version is about to be sent, in one write; False if the lease is lost."""
        sets, removes, values = _written(renewal)
        noted = self._update(
            f"SET {', '.join(['lease_until = :until', *sets])} REMOVE {', '.join(removes)}",
            "holder = :me",
            {":me": holder, ":until": now + self._lease_ms, **values},
        )
        return noted is not None

    def end(self, holder: str, renewal: Renewal) -> None:
        """Note the result and release the lease, if it is still ours. A failure is ignored, as leases expire."""
        sets, removes, values = _written(renewal)
        with suppress(*AWS_TROUBLE):
            self._update(
                f"SET {', '.join(sets)} REMOVE {', '.join(['holder', 'lease_until', *removes])}",
                "holder = :me",
                {":me": holder, **values},
            )

    def _update(self, change: str, condition: str, values: Item) -> Renewal | None:
        item = self._table.update_and_get(self._key, change, condition, values)
        return None if item is None else _renewal(item)


def _renewal(item: Item) -> Renewal:
    return msgspec.convert(item, Renewal)


def _written(renewal: Renewal) -> tuple[list[str], list[str], dict[str, str | int]]:
    """The parts of SET and REMOVE, and the values. `early_at` is always set, other fields if they are known."""
    noted = {name: value for name in _NAMES if (value := getattr(renewal, name)) is not None}
    sets = [f"#{name} = :{name}" for name in noted]
    return sets, [f"#{name}" for name in _NAMES if name not in noted], {f":{name}": noted[name] for name in noted}
