"""Read the beginning of a file in S3, or all of it, for its route's check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct

from anaplan_autoload.aws.refusals import code_of
from anaplan_autoload.aws.staging import explained, owner_of
from anaplan_autoload.domain.contents import HEAD_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from anaplan_autoload.domain.events import Upload

NO_SUCH_RANGE = frozenset({"InvalidRange", "416"})
"""S3's answer to a request for a part of an object that has no bytes."""


class Content(Struct, frozen=True):
    """The beginning of a file in S3, or all of it."""

    data: bytes
    """Its beginning, or all of it."""
    size: int
    """Bytes of the whole file."""
    etag: str = ""


def read_head(s3: S3Client, upload: Upload, *, as_it_is_now: bool) -> Content:
    """The first 64 KiB, in one request: of exactly the uploaded version, or of what its key holds now.

    Raises `Overwritten`, `Gone` or `NotCopied`; any other error may pass.
    """
    try:
        return _read(s3, upload, _pinned(upload, as_it_is_now), Range=f"bytes=0-{HEAD_BYTES - 1}")
    except ClientError as error:
        if code_of(error) not in NO_SUCH_RANGE:
            raise
        return Content(b"", 0)


def read_whole(s3: S3Client, upload: Upload, head: Content, *, as_it_is_now: bool) -> Content:
    """All of the file whose beginning was read; raises as `read_head`, `Overwritten` if it was replaced since."""
    return _read(s3, upload, {**_pinned(upload, as_it_is_now), "IfMatch": head.etag})


def _read(s3: S3Client, upload: Upload, which: dict[str, Any], **part: Any) -> Content:
    with explained(upload, "read", NO_SUCH_RANGE):
        answer = s3.get_object(Bucket=upload.bucket, Key=upload.key, **which, **part, **owner_of(upload))
        data = answer["Body"].read()
    size = answer.get("ContentRange", "").rpartition("/")[2]
    return Content(data, int(size) if size.isdecimal() else answer["ContentLength"], answer["ETag"])


def _pinned(upload: Upload, as_it_is_now: bool) -> dict[str, Any]:
    """Which version to read: that of the upload, as staging copies it."""
    if as_it_is_now:
        return {}
    if upload.version_id:
        return {"VersionId": upload.version_id}
    return {"IfMatch": upload.etag} if upload.etag else {}
