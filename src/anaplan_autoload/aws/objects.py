"""Turns S3's description of an object into an upload."""

from __future__ import annotations

from typing import Any

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.times import iso


def upload_of(bucket: str, key: str, size: int, told: Any) -> Upload:
    """The object as an upload, of the time when it was last modified: S3 knows it in whole seconds.

    `told` is S3's answer, or an entry of its listing. The two have different names for the size, so it is a parameter.
    """
    version_id = told.get("VersionId")
    return Upload(
        bucket=bucket,
        key=key,
        event_time=iso(int(told["LastModified"].timestamp()) * 1000),
        size=size,
        etag=told["ETag"].strip('"'),
        version_id=None if version_id == "null" else version_id,
    )
