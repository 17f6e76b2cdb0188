"""`backfill`: load objects in a bucket that were never loaded."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import typer

from anaplan_autoload.aws.ledger import UPLOAD_DAYS
from anaplan_autoload.aws.objects import upload_of
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.reloading import ROWS_AGAIN
from anaplan_autoload.operations.sending import chosen, reload
from anaplan_autoload_cli.completion import RouteName
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.places import (
    RoutesFile,
    named,
    read_routes,
    the_function,
    the_ledger,
)
from anaplan_autoload_cli.service.sending import send
from anaplan_autoload_cli.times import count, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_s3 import S3Client

    from anaplan_autoload.domain.routes import Route, Routes

_COLUMNS = (
    Column("uploaded_at", "Uploaded"),
    Column("key", "Key"),
    Column("size", "Bytes"),
    Column("version_id", "Version"),
)


def backfill(
    context: typer.Context,
    route: RouteName,
    since: Annotated[str, typer.Option(help="Uploads not older than 12h, 7d or 2026-11-24.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the objects that would be loaded.")] = False,
    bucket: Annotated[str | None, typer.Option(help="The bucket; default: the route's, else the inbox.")] = None,
    file: RoutesFile = None,
) -> None:
    """Load objects in the bucket that the ledger does not know: older than the service, or with a lost event.

    Known uploads are left alone, whatever their state: for failed loads, use retry. Names that the route excludes are
    left out. Versions are told apart by their ids or, in a bucket without versions, by time and content. With load =
    "each" every unknown version is loaded, oldest first (unless newer data of its key was loaded already); with
    "latest", one run loads what the keys hold now.

    The same backfill twice, even at once, loads nothing twice.

    Keys with --json: bucket, key, version_id, route, lane, request_id, upload_id; with --dry-run bucket, key,
    version_id, size, uploaded_at.

    Example:

        anaplan-autoload backfill accounts --since 7d --dry-run
    """
    cli = cli_of(context)
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    found = named(routes, route)
    oldest = moment(since)
    if oldest < wall_clock() - UPLOAD_DAYS * 86_400_000:
        raise CommandFailed(
            f"The ledger keeps uploads for {UPLOAD_DAYS} days; older ones would be loaded again.",
            remedy=f"Begin later, or load older files one by one: anaplan-autoload load s3://…. {ROWS_AGAIN}",
        )
    place = bucket or found.bucket or cli.settings.require("inbox")
    with cli.out.progress(f"Listing s3://{place}/{found.prefix}"):
        lying = [
            each for each in listed(cli.aws.client("s3"), place, found, iso(oldest)) if _is_its(routes, found, each)
        ]
        known = [record.upload for record in ledger.uploads_in(found.lane_id)]
        unknown = chosen(without_known(lying, known), found)
    cli.out.hint(f"Since {iso(oldest)}: {count(len(lying), 'upload')} there, {len(unknown)} to be loaded.")
    if dry_run:
        cli.out.rows([_record(upload) for upload in unknown], _COLUMNS, nothing="There is nothing to load.")
        return
    if len(unknown) > 1:
        cli.out.confirm(f"Load {count(len(unknown), 'file')} by route {found.name}?")
    send(cli.out, ledger, the_function(cli), [reload(each, found, request_of(each)) for each in unknown])


def listed(s3: S3Client, bucket: str, route: Route, since: str) -> Iterator[Upload]:
    """The objects under a route's prefix since a time (ISO): every version, or with `"latest"` the current ones.

    In a bucket without versions these are the same.
    """
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=route.prefix):
        for version in page.get("Versions", []):
            upload = upload_of(bucket, version["Key"], version["Size"], version)
            if upload.event_time >= since and (version["IsLatest"] or route.load == "each"):
                yield upload


def without_known(lying: Iterable[Upload], known: Iterable[Upload]) -> list[Upload]:
    """The objects that are not known under any identity that an event or a request could give them.

    Without a version id an upload is known by content and time: an event tells of it when it is done, so not before the
    time that S3 lists.
    """
    versions: set[tuple[str, str, str]] = set()
    latest: dict[tuple[str, str, str], str] = {}
    for upload in known:
        if upload.version_id:
            versions.add((upload.bucket, upload.key, upload.version_id))
        content = (upload.bucket, upload.key, upload.etag)
        latest[content] = max(latest.get(content, ""), upload.event_time[:19])

    def is_known(upload: Upload) -> bool:
        if upload.version_id:
            return (upload.bucket, upload.key, upload.version_id) in versions
        return latest.get((upload.bucket, upload.key, upload.etag), "") >= upload.event_time[:19]

    return [upload for upload in lying if not is_known(upload)]


def request_of(upload: Upload) -> str:
    """The id of the request for an upload: the same whenever it is backfilled, so that it is loaded once."""
    return f"backfill-{sha256(upload.identity.encode()).hexdigest()[:32]}"


def _is_its(routes: Routes, route: Route, upload: Upload) -> bool:
    folder = upload.key.endswith("/") and upload.size == 0
    return not folder and routes.match(upload.bucket, upload.key) == route and not route.excluded_by(upload.key)


def _record(upload: Upload) -> dict[str, object]:
    return {
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "size": upload.size,
        "uploaded_at": upload.event_time,
    }
