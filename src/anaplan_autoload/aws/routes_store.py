"""The routes in the ledger: every version of the routes file that was ever pushed.

| `pk` | `sk` | holds |
|---|---|---|
| `routes` | `current` | the version in use, whole, so that one read is enough |
| `routes` | `v#<number, ten digits>` | each version, the one in use included; kept forever |

An item holds the TOML text as its author wrote it, compressed: DynamoDB takes 400 KB an item, and 500 routes with every
key and a comment each are a megabyte of text.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from anaplan_autoload.domain.routes_file.mistakes import Mistake, RoutesInvalid
from anaplan_autoload.domain.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.domain.routes import Routes

MAX_TEXT = 2_000_000
"""Bytes of a routes file. A function that starts has to understand it within seconds."""
MAX_STORED = 390_000
"""Bytes of the compressed text: DynamoDB's 400 KB less what else an item holds."""
MAX_COMMENT = 1_000
"""Characters."""
_SORT_KEY = r"v#([0-9]{10})"
_PAGE = 20

Item = dict[str, Any]
"""An item as the low-level client gives it."""


class TooLarge(ValueError):
    """The routes or their comment do not fit into an item; the text says by how much, and what to do."""


class Version(Struct, frozen=True):
    """One version of the routes."""

    number: int
    """From 1; 0 where the item does not say."""
    text: str
    """TOML, as its author wrote it; empty where the item has a flaw."""
    author: str
    """The ARN of the user who pushed it, as the command line stored it."""
    at: str
    """`2026-11-24T21:05:00.000Z`."""
    comment: str
    flaw: str | None = None
    """What is wrong with the item, which somebody must have changed by hand; None where it can be read."""
    stamp: Item | None = None
    """The item's `version` as it stands there, for the condition of a push."""

    @property
    def name(self) -> str:
        """What findings call the file."""
        return f"routes version {self.number}"

    def routes(self, reports: tuple[str, str] | None) -> Routes:
        """Its routes; `reports` as for `routes_file.parsing.parse`. Raises `RoutesInvalid`."""
        from anaplan_autoload.domain.routes_file.parsing import parse  # an invocation that resumes reads no routes

        if self.flaw is not None:
            raise RoutesInvalid([Mistake(self.flaw, "Push the routes again.", file=self.name)])
        return parse(self.text, self.name, reports)


class RoutesStore:
    """The versions in the ledger's table, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def current(self) -> Version | None:
        """The version in use; None if there is none. One consistent read."""
        return self._get("current")

    def version(self, number: int) -> Version | None:
        """A version by its number; None if it does not exist."""
        return self._get(_sort_key(number)) if 0 < number < 10**10 else None

    def versions(self) -> Iterator[Version]:
        """Every version, the newest first."""
        request: Item = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :v)",
            "ExpressionAttributeValues": {":pk": {"S": "routes"}, ":v": {"S": "v#"}},
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": _PAGE,
        }
        while True:
            answer = self._client.query(**request)
            for item in answer["Items"]:
                if re.fullmatch(_SORT_KEY, item["sk"]["S"]):
                    yield _version(item)
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def push(self, text: str, *, replaces: Version | None, author: str, comment: str, now: int) -> Version | None:
        """Start to use a version, unless `replaces` is no longer in use: then None, and nothing is written.

        Raises `TooLarge`. The text is not checked here.
        """
        stored = _compressed(text)
        if len(comment) > MAX_COMMENT:
            raise TooLarge(f"The comment has {len(comment)} characters; it may have {MAX_COMMENT}. Shorten it.")
        newest = next(self.versions(), None)
        number = newest.number + 1 if newest else 1
        stamp = {"N": str(number)}
        pushed = Version(number, text, author, iso(now), comment, stamp=stamp)
        item = {
            "pk": {"S": "routes"},
            "version": stamp,
            "toml": {"B": stored},
            "author": {"S": author},
            "at": {"S": pushed.at},
            "comment": {"S": comment},
        }
        seen = replaces.stamp if replaces else None
        unchanged: Item = {"ConditionExpression": "attribute_not_exists(version)"}
        if seen:
            unchanged = {"ConditionExpression": "version = :seen", "ExpressionAttributeValues": {":seen": seen}}
        puts: Any = [
            {"Put": {"TableName": self._table, "Item": {**item, "sk": {"S": "current"}}, **unchanged}},
            {
                "Put": {
                    "TableName": self._table,
                    "Item": {**item, "sk": {"S": _sort_key(number)}},
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            },
        ]
        try:
            self._client.transact_write_items(TransactItems=puts)
        except self._client.exceptions.TransactionCanceledException as cancelled:
            reasons = {reason.get("Code") for reason in cancelled.response.get("CancellationReasons", [])}
            if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
                return None
            raise
        return pushed

    def _get(self, sort_key: str) -> Version | None:
        answer = self._client.get_item(
            TableName=self._table, Key={"pk": {"S": "routes"}, "sk": {"S": sort_key}}, ConsistentRead=True
        )
        return _version(answer["Item"]) if "Item" in answer else None


def _sort_key(number: int) -> str:
    return f"v#{number:010}"


def _compressed(text: str) -> bytes:
    plain = text.encode()
    if len(plain) > MAX_TEXT:
        raise TooLarge(
            f"The routes are {len(plain):,} bytes long; the ledger takes {MAX_TEXT:,}. Leave comments out, or divide "
            "the routes between two stacks."
        )
    stored = zlib.compress(plain, 9)
    if len(stored) > MAX_STORED:
        raise TooLarge(
            f"The routes are {len(stored):,} bytes long after compression; the ledger takes {MAX_STORED:,}. Leave "
            "comments out, or divide the routes between two stacks."
        )
    return stored


def _version(item: Item) -> Version:
    """The version in an item, even if somebody has edited the item by hand."""
    stamp: Item | None = item.get("version")
    number = _text(stamp, "N")
    text, flaw = _toml(item.get("toml"))
    match = re.fullmatch(_SORT_KEY, item["sk"]["S"])
    if match:
        number = match[1]
    elif not number.isdecimal():
        flaw = flaw or "its version is not a number"
    return Version(
        int(number) if number.isdecimal() else 0,
        text,
        _text(item.get("author"), "S"),
        _text(item.get("at"), "S"),
        _text(item.get("comment"), "S"),
        flaw,
        stamp,
    )


def _toml(attribute: Item | None) -> tuple[str, str | None]:
    """The text that an attribute holds, and what is wrong with it."""
    if not attribute or "B" not in attribute:
        return "", "it holds no compressed text (attribute toml)"
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(attribute["B"], MAX_TEXT + 1)
        if len(plain) > MAX_TEXT:
            return "", f"its text has more than {MAX_TEXT:,} bytes"
        return (plain.decode(), None) if unpacking.eof else ("", "its compressed text ends early (attribute toml)")
    except zlib.error:
        return "", "its text cannot be decompressed (attribute toml)"
    except UnicodeDecodeError:
        return "", "its text is not UTF-8 (attribute toml)"


def _text(attribute: Item | None, kind: str) -> str:
    value = attribute.get(kind, "") if attribute else ""
    return value if isinstance(value, str) else ""
