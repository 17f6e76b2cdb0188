"""What may be loaded again, and by which route."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.near import explain
from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload.operations.sending import chosen, reload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.aws.ledger import Ledger, RunRecord, UploadRecord
    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.routes import Route, Routes
    from anaplan_autoload.operations.sending import Reload

ROWS_AGAIN = "In a numbered list without a key, rows that are loaded again are added again."
"""What a repeated load does in Anaplan. Texts that offer a load which may repeat rows include it."""


class Retries(Struct, frozen=True):
    """The retries of an upload so far, from the ledger."""

    request_id: str
    """The request id of the next retry. Two people who ask at the same time get the same id."""
    asked: UploadRecord | None
    """The last retry, if it waits or was loaded."""


def retries_of(ledger: Ledger, route: Route, upload: Upload) -> Retries:
    """Follow an upload to its last retry. Each retry's request id is derived from the upload that failed before it."""
    while True:
        again = reload(upload, route, f"retry-{sha256(upload.id.encode()).hexdigest()[:32]}")
        record = ledger.upload(route.lane_id, again.load.upload_id)
        if record is None or record.state in ("waiting", "loaded"):
            return Retries(again.load.request_id, record)
        upload = record.upload


class RetryPlan(Struct, frozen=True):
    """The loads that a retry requests."""

    route: Route
    requests: tuple[Reload, ...]
    """Oldest first."""
    retried: tuple[UploadRecord, ...]
    """Earlier retries that wait or were loaded. Their uploads are not requested again."""


def plan_retry(
    ledger: Ledger, routes: Routes, failed: Sequence[UploadRecord], name: str, *, again: bool = False
) -> RetryPlan:
    """The loads to request so that these uploads of one batch are loaded; with `again`, also those retried before.

    `name` is where the routes are, for messages. Raises `OperationFailed` if the uploads cannot be loaded again.
    """
    first = failed[0].upload
    route = route_for(routes, first.bucket, first.key, name)
    uploads = chosen([record.upload for record in failed], route)
    for upload in uploads:
        refuse_older(ledger, route, upload)
    found = [(upload, retries_of(ledger, route, upload)) for upload in uploads]
    due = [(upload, retries) for upload, retries in found if again or retries.asked is None]
    requests = tuple(reload(upload, route, None if again else retries.request_id) for upload, retries in due)
    return RetryPlan(route, requests, tuple(each.asked for _, each in found if each.asked and not again))


def failed_uploads(ledger: Ledger, run: RunRecord) -> list[UploadRecord]:
    """The uploads of a run that did not load everything; raises `OperationFailed` if there is nothing to load again."""
    if run.outcome == "loaded":
        raise OperationFailed(
            f"Run {run.id} loaded everything at {run.ended_at}.",
            remedy=f"To load a file once more, use anaplan-autoload load s3://…. {ROWS_AGAIN}",
        )
    uploads = [record for record in ledger.uploads_in(run.lane) if record.batch_id == run.batch_id]
    if not uploads:
        raise OperationFailed(
            f"The ledger no longer knows which uploads run {run.id} was to load, or they still wait.",
            remedy="See anaplan-autoload status; or load a file by its name: anaplan-autoload load s3://….",
        )
    if all(record.state == "loaded" for record in uploads):
        raise OperationFailed(
            f"Run {run.id} failed, but was started again, and then all was loaded by run {uploads[0].run_id}."
        )
    return uploads


def refuse_older(ledger: Ledger, route: Route, upload: Upload) -> None:
    """Raise `OperationFailed` if newer data of the upload's key was loaded: the function would only supersede it."""
    if route.load != "each":
        return
    newest = ledger.newest_loaded(route.target, upload)
    if newest is not None and upload.is_older_than(newest):
        version = f", version {newest.version_id}" if newest.version_id else ""
        raise OperationFailed(
            f"Newer data of s3://{upload.bucket}/{upload.key} was loaded: what was uploaded at "
            f"{newest.event_time}{version}. Older data never replaces newer.",
            remedy="If the older data is right, upload it again: then it is the newest.",
        )


def route_for(routes: Routes, bucket: str, key: str, name: str) -> Route:
    """The route by which the function will load an object; `name` is where the routes are, for messages.

    Raises `OperationFailed` if no route loads it.
    """
    route = routes.match(bucket, key)
    if route is not None and route.excluded_by(key) is None:
        return route
    explained = explain(routes, bucket, key)
    url = f"s3://{bucket}/{key}"
    if explained.excluded_by is not None:
        raise OperationFailed(
            f"Nothing was loaded: {url}: {explained.why}.",
            remedy=f"Upload it under another name, or correct the route's exclude in {name}.",
        )
    if routes.is_staged(bucket, key):
        raise OperationFailed(
            f"Nothing was loaded: {url}: {explained.why}.", remedy="Load the upload it was copied from."
        )
    near = "; ".join(f"route {miss.route.name} is close: {miss.why}" for miss in explained.near_misses)
    raise OperationFailed(
        f"Nothing was loaded: no route in {name} matches {url}.",
        remedy=f"{near[:1].upper()}{near[1:]}. Correct the route or the key."
        if near
        else "Add a route, and push the routes: anaplan-autoload routes push FILE.",
    )
