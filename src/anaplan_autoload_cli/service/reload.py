"""`retry` and `load`: load something again, or now."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.operations.history import LoadFilter, find_run, find_uploads
from anaplan_autoload.operations.lanes import known_lanes
from anaplan_autoload.operations.reloading import ROWS_AGAIN, failed_uploads, plan_retry, refuse_older, route_for
from anaplan_autoload.operations.sending import reload
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.objects import head
from anaplan_autoload_cli.service.places import (
    RoutesFile,
    is_run,
    object_named,
    read_routes,
    routes_name,
    the_function,
    the_ledger,
)
from anaplan_autoload_cli.service.sending import send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.aws.ledger import Ledger, UploadRecord
    from anaplan_autoload.domain.routes import Routes
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
    """Load the uploads of a run again that failed, was partial or was rejected; or a file whose last load did so.

    With load = "latest" the newest upload of every key is loaded, because one run covers them; with "each" exactly the
    version that failed, unless newer data of its key was loaded since: older data never replaces newer.

    The same retry twice, even at once, loads nothing twice: what an earlier retry has loaded, or is about to load, is
    not requested again without --again. A failed retry may be retried.

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
        if is_run(what):
            failed = failed_uploads(ledger, find_run(ledger, known_lanes(routes, ledger.pending()), what))
        else:
            failed = _of_file(ledger, routes, object_named(cli, routes, what))
    plan = plan_retry(ledger, routes, failed, routes_name(cli, file), again=again)
    _tell_retried(cli, plan.retried)
    if plan.requests:
        send(cli.out, ledger, the_function(cli), plan.requests)
    cli.out.hint(f"See how it goes: anaplan-autoload status {quote(plan.route.name)}")


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
    route = route_for(routes, place.bucket, place.key, routes_name(cli, file))
    if version and route.load == "latest":
        raise CommandFailed(
            f'Route {route.name!r} has load = "latest": its run reads the current object, not a version.',
            remedy="Leave out --version, or copy the version to the key, which uploads it again.",
        )
    found = head(cli.aws.client("s3"), place, version)
    if found is None:
        cli.out.warning(f"You may not read {place.url}; the function is asked to load it anyway.")
    else:
        refuse_older(ledger, route, found)
    asked = reload(found or _unseen(place, version), route)
    send(cli.out, ledger, the_function(cli), [asked])
    cli.out.hint(f"See how it goes: anaplan-autoload loads --key {quote(place.url)}")


def _tell_retried(cli: Cli, asked: Sequence[UploadRecord]) -> None:
    for record in asked:
        url = f"s3://{record.upload.bucket}/{record.upload.key}"
        became = "waits to be loaded" if record.state == "waiting" else f"was loaded by run {record.run_id}"
        cli.out.warning(f"{url} was retried already and {became}. To load it once more, add --again. {ROWS_AGAIN}")


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


def _unseen(place: Place, version: str | None) -> Upload:
    return Upload(place.bucket, place.key, event_time="", version_id=version)
