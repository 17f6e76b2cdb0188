"""`retry` and `load`: load something again, or now."""

from __future__ import annotations

from hashlib import sha256
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.near import explain
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.lanes import known_lanes
from anaplan_autoload_cli.service.loads import LoadFilter, find_run, find_uploads
from anaplan_autoload_cli.service.objects import head
from anaplan_autoload_cli.service.places import (
    RoutesFile,
    object_named,
    read_routes,
    routes_name,
    the_function,
    the_ledger,
)
from anaplan_autoload_cli.service.sending import ROWS_AGAIN, chosen, reload, send

if TYPE_CHECKING:
    from anaplan_autoload.aws.ledger import Ledger, UploadRecord
    from anaplan_autoload.domain.routes import Route, Routes
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.service.places import Place


def retry(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="RUN_ID|s3://…|KEY", help="A run, or a file.", show_default=False)],
    again: Annotated[
        bool, typer.Option("--again", help="Also loads that were retried already, whether they wait or were loaded.")
    ] = False,
    file: RoutesFile = None,
) -> None:
    """Load again what a run was to load that failed or was partial, what was rejected, or a file whose last load was.

    With load = "latest" the newest upload of every key is loaded, because one run covers them; with "each" exactly the
    version that failed, unless newer data of its key was loaded since: older data never replaces newer.

    The same retry twice, even at once, loads nothing twice: what an earlier retry waits to load, or has loaded, is not
    asked for again without --again. A retry that failed may be retried.

    A run that failed or was partial may have loaded some rows. In a numbered list without a key, rows that are loaded
    again are added again: delete them there first, or upload only those that are missing.

    Keys with --json: bucket, key, version_id, route, lane, request_id, upload_id.

    Examples:

        anaplan-autoload retry 3f2a9c0e5d7b4a6f8e1c2d3b4a5f6e7d

        anaplan-autoload retry s3://finance-inbox/incoming/accounts/2026-11.csv
    """
    cli = cli_of(context)
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    with cli.out.progress("Reading the ledger"):
        if _is_run(what):
            failed = _of_run(ledger, routes, what)
        else:
            failed = _of_file(ledger, routes, object_named(cli, routes, what))
    route = _route(cli, routes, file, failed[0].upload)
    uploads = chosen([record.upload for record in failed], route)
    for upload in uploads:
        refuse_older(ledger, route, upload)
    found = {upload.id: _retries_of(ledger, route, upload) for upload in uploads}
    due = [upload for upload in uploads if again or found[upload.id].asked is None]
    _tell_retried(cli, [asked for upload in uploads if upload not in due and (asked := found[upload.id].asked)])
    if due:
        requests = [reload(each, route, None if again else found[each.id].request_id) for each in due]
        send(cli.out, ledger, the_function(cli), requests)
    cli.out.hint(f"See how it goes: anaplan-autoload status {quote(route.name)}")


def load(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="s3://…|KEY", help="The file.", show_default=False)],
    version: Annotated[str | None, typer.Option(help="A version of it; default: the newest.")] = None,
    file: RoutesFile = None,
) -> None:
    """Load an object now, as if it had just been uploaded, even if it was loaded before.

    In a numbered list without a key, rows that are loaded again are added again.

    Keys with --json: bucket, key, version_id, route, lane, request_id, upload_id.

    Example:

        anaplan-autoload load s3://finance-inbox/incoming/accounts/2026-11.csv
    """
    cli = cli_of(context)
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    place = object_named(cli, routes, url)
    route = _route(cli, routes, file, place)
    if version and route.load == "latest":
        raise CommandFailed(
            f'Route {route.name!r} has load = "latest": its run reads the current object, not a version.',
            remedy="Leave out --version, or copy the version to the key, which uploads it again.",
        )
    found = head(cli.aws.client("s3"), place, version)
    if found is None:
        cli.out.warning(f"You may not look at {place.url}; the function is asked to load it anyway.")
    else:
        refuse_older(ledger, route, found)
    asked = reload(found or _unseen(place, version), route)
    send(cli.out, ledger, the_function(cli), [asked])
    cli.out.hint(f"See how it goes: anaplan-autoload loads --key {quote(place.url)}")


def refuse_older(ledger: Ledger, route: Route, upload: Upload) -> None:
    """Raise `CommandFailed` where newer data of the upload's key was loaded: the function would only supersede it."""
    if route.load != "each":
        return
    newest = ledger.newest_loaded(route.target, upload)
    if newest is not None and upload.is_older_than(newest):
        version = f", version {newest.version_id}" if newest.version_id else ""
        raise CommandFailed(
            f"Newer data of s3://{upload.bucket}/{upload.key} was loaded: what was uploaded at "
            f"{newest.event_time}{version}. Older data never replaces newer.",
            remedy="If the older data is right, upload it again: then it is the newest.",
        )


class Retries(Struct, frozen=True):
    """The retries of an upload so far, from the ledger."""

    request_id: str
    """The request id of the next retry. Two people who ask at the same time get the same id."""
    asked: UploadRecord | None
    """The last one, where it waits or was loaded."""


def _retries_of(ledger: Ledger, route: Route, upload: Upload) -> Retries:
    """Follow an upload to its last retry. Each retry's request id is derived from the upload that failed before it."""
    while True:
        again = reload(upload, route, f"retry-{sha256(upload.id.encode()).hexdigest()[:32]}")
        record = ledger.upload(route.lane_id, again.upload_id)
        if record is None or record.state in ("waiting", "loaded"):
            return Retries(again.load.request_id, record)
        upload = record.upload


def _tell_retried(cli: Cli, asked: list[UploadRecord]) -> None:
    for record in asked:
        url = f"s3://{record.upload.bucket}/{record.upload.key}"
        became = "waits to be loaded" if record.state == "waiting" else f"was loaded by run {record.run_id}"
        cli.out.warning(f"{url} was retried already and {became}. To load it once more, add --again. {ROWS_AGAIN}")


def _is_run(text: str) -> bool:
    """Whether this is a run's id and not a file: ids have neither a slash nor a dot."""
    return "/" not in text and "." not in text


def _of_run(ledger: Ledger, routes: Routes, run_id: str) -> list[UploadRecord]:
    """The uploads that a run covered which did not load them all."""
    run = find_run(ledger, known_lanes(routes, ledger.pending()), run_id)
    if run.outcome == "loaded":
        raise CommandFailed(
            f"Run {run.id} loaded everything at {run.ended_at}.",
            remedy=f"To load a file once more, use anaplan-autoload load s3://…. {ROWS_AGAIN}",
        )
    uploads = [record for record in ledger.uploads_in(run.lane) if record.batch_id == run.batch_id]
    if not uploads:
        raise CommandFailed(
            f"The ledger no longer knows which uploads run {run.id} was to load, or they still wait.",
            remedy="See anaplan-autoload status; or load a file by its name: anaplan-autoload load s3://….",
        )
    if all(record.state == "loaded" for record in uploads):
        raise CommandFailed(
            f"Run {run.id} failed, but was started again, and then all was loaded by run {uploads[0].run_id}."
        )
    return uploads


def _of_file(ledger: Ledger, routes: Routes, place: Place) -> list[UploadRecord]:
    """The newest upload of a file, if it was not loaded."""
    found = find_uploads(ledger, routes, LoadFilter(place.bucket, place.key))
    if not found:
        raise CommandFailed(
            f"The ledger knows of no upload to {place.url}.",
            remedy=f"To load it: anaplan-autoload load {quote(place.url)}",
        )
    newest = found[0].record
    if newest.state == "waiting":
        raise CommandFailed(
            f"{place.url} waits to be loaded, or is being loaded.", remedy="See: anaplan-autoload status."
        )
    if newest.state == "loaded":
        raise CommandFailed(
            f"{place.url} was loaded by run {newest.run_id}.",
            remedy=f"{ROWS_AGAIN} To load it once more: anaplan-autoload load {quote(place.url)}",
        )
    return [newest]


def _route(cli: Cli, routes: Routes, file: str | None, place: Place | Upload) -> Route:
    """The route by which the function will load the object, as the routes have it."""
    route = routes.match(place.bucket, place.key)
    if route is not None and route.excluded_by(place.key) is None:
        return route
    explained = explain(routes, place.bucket, place.key)
    url, path = f"s3://{place.bucket}/{place.key}", routes_name(cli, file)
    if explained.excluded_by is not None:
        raise CommandFailed(
            f"Nothing was loaded: {url}: {explained.why}.",
            remedy=f"Upload it under another name, or correct the route's exclude in {path}.",
        )
    if routes.is_staged(place.bucket, place.key):
        raise CommandFailed(
            f"Nothing was loaded: {url}: {explained.why}.", remedy="Load the upload it was copied from."
        )
    near = "; ".join(f"route {miss.route.name} is close: {miss.why}" for miss in explained.near_misses)
    raise CommandFailed(
        f"Nothing was loaded: no route in {path} matches {url}.",
        remedy=f"{near[:1].upper()}{near[1:]}. Correct the route or the key."
        if near
        else "Add a route, and push the routes: anaplan-autoload routes push FILE.",
    )


def _unseen(place: Place, version: str | None) -> Upload:
    return Upload(place.bucket, place.key, event_time="", version_id=version)
