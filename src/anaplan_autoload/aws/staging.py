"""Copy exactly the uploaded data to the key that the integration reads (`stage_to`).

CloudWorks reads one fixed key, so with `load = "each"` every object is copied there in turn. S3 makes the copy. A large
object is copied by parts, several at a time, in steps that fit into the function's timeout.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.refusals import code_of, in_words, may_heal, remedy

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from mypy_boto3_s3 import S3Client

    from anaplan_autoload.domain.events import Upload

SINGLE_COPY_BYTES = 512 * 1024**2
"""S3 copies this much in a few seconds; larger objects are copied by parts."""
PART_BYTES = 128 * 1024**2
PARTS_PER_STEP = 64
"""8 GiB, eight parts at a time: well under the function's timeout."""
PARALLEL = 8
MAX_PARTS = 10_000

GONE = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"})
"""S3 answers 405 if the version is a delete marker."""


class Overwritten(Exception):
    """The object at the key is not the one that was uploaded: newer data has come, with an event of its own."""


class Gone(Exception):
    """The object, or its version, does not exist any more."""


class NotCopied(Exception):
    """S3 will never copy the object, or let it be read; the text names the object, what S3 said, and the remedy."""


class PartedCopy(Struct, frozen=True, tag="parted"):
    """A multipart copy that is not complete."""

    upload_id: str
    size: int
    """Bytes."""
    part: int
    """Bytes a part."""
    next: int = 1
    """The number of the first part that has not been copied yet."""

    @property
    def parts(self) -> int:
        """How many parts the object has."""
        return -(-self.size // self.part)


def begin(s3: S3Client, upload: Upload, stage_to: str) -> PartedCopy | None:
    """Copy the upload to `stage_to` in its bucket. For a large object, only begin the copy, and return it.

    Raises `Overwritten`, `Gone` or `NotCopied`; any other error may pass.
    """
    with explained(upload, "copy"):
        size = upload.size if upload.size is not None else _size(s3, upload)
        if size <= SINGLE_COPY_BYTES:
            # Only CloudWorks reads the copy. Tags and annotations would be copied by default, and the role would need
            # permissions to read and to write them. A copy by parts never includes them.
            s3.copy_object(
                Bucket=upload.bucket,
                Key=stage_to,
                TaggingDirective="REPLACE",
                Tagging="",
                AnnotationDirective="EXCLUDE",
                **_source(upload),
                **owner_of(upload),
            )
            return None
        begun = s3.create_multipart_upload(Bucket=upload.bucket, Key=stage_to, **owner_of(upload))
        part = max(PART_BYTES, -(-size // MAX_PARTS))
        return PartedCopy(begun["UploadId"], size, part)


def copy_parts(s3: S3Client, upload: Upload, stage_to: str, copy: PartedCopy) -> PartedCopy | None:
    """Copy as many parts as one step has time for. Returns the rest, or None if the copy is complete.

    Raises `Overwritten`, `Gone` or `NotCopied`; any other error may pass.
    """

    def copy_part(number: int) -> None:
        start = (number - 1) * copy.part
        end = min(start + copy.part, copy.size) - 1
        s3.upload_part_copy(
            Bucket=upload.bucket,
            Key=stage_to,
            UploadId=copy.upload_id,
            PartNumber=number,
            CopySourceRange=f"bytes={start}-{end}",
            **_source(upload),
            **owner_of(upload),
        )

    last = min(copy.next + PARTS_PER_STEP - 1, copy.parts)
    try:
        with explained(upload, "copy"), ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(copy_part, range(copy.next, last + 1)))
            if last < copy.parts:
                return replace(copy, next=last + 1)
            _complete(s3, upload, stage_to, copy)
    except s3.exceptions.NoSuchUpload:
        return begin(s3, upload, stage_to)  # an attempt completed it and died before it could say so
    return None


def abandon(s3: S3Client, upload: Upload, stage_to: str, copy: PartedCopy) -> None:
    """Delete the parts of a copy that will not be completed, because S3 charges for them."""
    s3.abort_multipart_upload(Bucket=upload.bucket, Key=stage_to, UploadId=copy.upload_id, **owner_of(upload))


def _complete(s3: S3Client, upload: Upload, stage_to: str, copy: PartedCopy) -> None:
    listed = s3.get_paginator("list_parts").paginate(
        Bucket=upload.bucket, Key=stage_to, UploadId=copy.upload_id, **owner_of(upload)
    )
    parts: Any = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for page in listed for part in page["Parts"]]
    s3.complete_multipart_upload(
        Bucket=upload.bucket,
        Key=stage_to,
        UploadId=copy.upload_id,
        MultipartUpload={"Parts": parts},
        **owner_of(upload),
    )


def _source(upload: Upload) -> dict[str, Any]:
    owner = {"ExpectedSourceBucketOwner": upload.owner} if upload.owner else {}
    source = {"Bucket": upload.bucket, "Key": upload.key}
    if upload.version_id:
        return {"CopySource": {**source, "VersionId": upload.version_id}, **owner}
    return {"CopySource": source, **({"CopySourceIfMatch": upload.etag} if upload.etag else {}), **owner}


def owner_of(upload: Upload) -> dict[str, Any]:
    """Make S3 refuse if another account owns the bucket: anyone can take the name of a deleted bucket."""
    return {"ExpectedBucketOwner": upload.owner} if upload.owner else {}


def _size(s3: S3Client, upload: Upload) -> int:
    version: Any = {"VersionId": upload.version_id} if upload.version_id else {}
    return s3.head_object(Bucket=upload.bucket, Key=upload.key, **version, **owner_of(upload))["ContentLength"]


@contextmanager
def explained(upload: Upload, what: str, unexplained: Container[str] = ()) -> Iterator[None]:
    """Turn S3's refusals to copy or read (`what`) an upload into this module's three errors.

    Errors that may pass, and those of the codes in `unexplained`, are raised unchanged.
    """
    place = f"s3://{upload.bucket}/{upload.key}"
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code == "NoSuchUpload" or code in unexplained or may_heal(error):
            raise
        if code == "PreconditionFailed":
            raise Overwritten(f"{place} was overwritten before it could be loaded.") from error
        if code in GONE:
            raise Gone(f"{place} no longer exists. Upload it again if it should be loaded.") from error
        raise NotCopied(f"S3 refused to {what} {place}: {in_words(error)}. {remedy(error)}") from error
