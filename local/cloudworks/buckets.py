"""Where runs read their source files and write their exports: S3, or a dictionary in tests."""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class StoredObject(Struct, frozen=True):
    """An object as it was at the moment of reading."""

    content: bytes
    etag: str
    """Without quotes."""
    version_id: str | None = None
    """None where the bucket keeps no versions."""


class Buckets(Protocol):
    """All that the simulator needs from S3."""

    def exists(self, bucket: str) -> bool:
        """Whether the bucket exists and may be used."""

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """The object as it is now; None if it does not exist or may not be read."""

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object, replacing any of that key."""


class S3Buckets:
    """S3, or what answers like it, through a boto3 client."""

    def __init__(self, client: S3Client) -> None:
        """The client is used from several threads, which boto3 clients allow."""
        self._client = client

    def exists(self, bucket: str) -> bool:
        """Whether `HeadBucket` succeeds."""
        try:
            self._client.head_bucket(Bucket=bucket)
        except (ClientError, BotoCoreError):
            return False
        return True

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """The object's current version; None after any error, because CloudWorks does not tell them apart."""
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError):
            return None
        version = found.get("VersionId")
        return StoredObject(
            content=found["Body"].read(),
            etag=found["ETag"].strip('"'),
            version_id=None if version == "null" else version,
        )

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Put a CSV file."""
        self._client.put_object(Bucket=bucket, Key=key, Body=content, ContentType="text/csv")


class MemoryBuckets:
    """Buckets without S3: every bucket exists, every write makes a version."""

    def __init__(self) -> None:
        """Start empty."""
        self._versions: dict[tuple[str, str], list[StoredObject]] = {}

    def exists(self, bucket: str) -> bool:
        """Any bucket that has a name."""
        return bool(bucket)

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """The newest version."""
        versions = self._versions.get((bucket, key))
        return versions[-1] if versions else None

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Add a version; ids are `v1`, `v2` and so on for each key."""
        versions = self._versions.setdefault((bucket, key), [])
        etag = md5(content, usedforsecurity=False).hexdigest()
        versions.append(StoredObject(content, etag, f"v{len(versions) + 1}"))
