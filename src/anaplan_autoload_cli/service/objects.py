"""Objects in S3, as uploads to load again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anaplan_autoload.aws.objects import upload_of
from anaplan_autoload.domain.events import Upload
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from anaplan_autoload_cli.service.places import Place

_GONE = ("404", "NoSuchKey", "NoSuchVersion", "NotFound")


def head(s3: S3Client, place: Place, version_id: str | None = None) -> Upload | None:
    """The object in S3, as an upload; None if this user may not read it, although the function may.

    Raises `CommandFailed` where there is no such object or version.
    """
    version: Any = {"VersionId": version_id} if version_id else {}
    try:
        found = s3.head_object(Bucket=place.bucket, Key=place.key, **version)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("403", "AccessDenied"):
            return None
        if code in _GONE or (version_id and code == "400"):
            which = f" with version {version_id}" if version_id else ""
            raise CommandFailed(
                f"There is no {place.url}{which}.", remedy="Check bucket and key; the key is not URL-encoded."
            ) from error
        raise
    return upload_of(place.bucket, place.key, found["ContentLength"], found)
