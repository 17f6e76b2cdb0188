"""What the search for lost uploads reads and writes: S3's listing, and how far its rounds have come.

| `pk` | `sk` | holds |
|---|---|---|
| `reconcile` | `round` | `domain.lost.Round` |

in the ledger's table. Which uploads the ledger knows is for `Ledger` to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from anaplan_autoload.aws.objects import upload_of
from anaplan_autoload.aws.table import Table
from anaplan_autoload.domain.lost import Cursor, Listed, Round

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

_KEY = {"pk": "reconcile", "sk": "round"}


class Rounds:
    """How far the rounds have come, through the low-level client."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._table = Table(client, table)

    def get(self) -> Round:
        """What is known, read consistently; empty if no sweep has looked for lost uploads yet."""
        return msgspec.convert(self._table.get(_KEY) or {}, Round, strict=False)

    def put(self, known: Round, found: Round) -> bool:
        """Replace `known`. False if another sweep was faster; then nothing was written."""
        item = {**_KEY, **msgspec.to_builtins(replace(found, number=known.number + 1))}
        return self._table.put(item, "attribute_not_exists(pk) OR #number = :known", {":known": known.number})


def list_page(s3: S3Client, at: Cursor, owner: str | None) -> tuple[list[Listed], Cursor | None]:
    """One page of versions, at most 1,000, and where the next begins; None after the last page of the place.

    Raises `ClientError` if S3 refuses, for example because a bucket does not belong to the account `owner`.
    """
    request: Any = {"Bucket": at.place.bucket, "Prefix": at.place.prefix}
    if at.key:
        request["KeyMarker"] = at.key
    if at.version:
        request["VersionIdMarker"] = at.version
    if owner:
        request["ExpectedBucketOwner"] = owner
    page = s3.list_object_versions(**request)
    listed = [_listed(at.place.bucket, version, owner) for version in page.get("Versions", [])]
    if not page.get("IsTruncated"):
        return listed, None
    last = (listed[-1].upload.key, listed[-1].upload.event_time) if listed else at.last
    return listed, Cursor(at.place, page["NextKeyMarker"], page.get("NextVersionIdMarker") or "", last)


def _listed(bucket: str, version: Any, owner: str | None) -> Listed:
    upload = upload_of(bucket, version["Key"], version["Size"], version)
    return Listed(replace(upload, owner=owner), version["IsLatest"])
