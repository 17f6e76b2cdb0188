"""`loads`: the load history."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anaplan_autoload.aws.ledger import UPLOAD_DAYS
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.aws.story import CLOCKS_DIFFER_MS
from anaplan_autoload.domain import rules
from anaplan_autoload.domain.near import explain
from anaplan_autoload.domain.times import epoch_ms, iso
from anaplan_autoload.operations.history import (
    Found,
    LoadFilter,
    covered,
    find_run,
    find_uploads,
    history,
)
from anaplan_autoload.operations.lanes import known_lanes
from anaplan_autoload.page.asking import NOT_LOADED, View
from anaplan_autoload.page.file import file_page
from anaplan_autoload.page.services import PageServices, PageSettings
from anaplan_autoload_cli.completion import offered_routes
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.lanes import tell_held, tell_paused
from anaplan_autoload_cli.service.places import (
    Place,
    RoutesFile,
    did_you_mean,
    is_run,
    named,
    no_such_route,
    object_named,
    place_of,
    read_routes,
    the_ledger,
)
from anaplan_autoload_cli.times import MOST, count, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from anaplan_autoload.aws.ledger import Ledger, RunRecord, UploadRecord
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Output, Record

_COLUMNS = (
    Column("ended_at", "Ended"),
    Column("route", "Route"),
    Column("outcome", "Outcome"),
    Column("seconds", "Seconds"),
    Column("file", "File", fold=True),
    Column("covered", "Uploads", spare=True),
    Column("message", "Message", fold=True),
    Column("run_id", "Run"),
)
_OF_A_KEY = (
    Column("uploaded_at", "Uploaded"),
    Column("requested", "Requested"),
    Column("state", "State"),
    Column("ended_at", "Ended"),
    Column("message", "Message", fold=True),
    Column("run_id", "Run"),
    Column("version_id", "Version"),
)


_OF_A_RUN = (
    Column("key", "Key"),
    Column("uploaded_at", "Uploaded"),
    Column("state", "State"),
    Column("version_id", "Version"),
    Column("bucket", "Bucket", spare=True),
)


def loads(
    context: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="ROUTE|RUN_ID|s3://…|KEY",
            help="Short for --route, --run or --key.",
            autocompletion=offered_routes,
        ),
    ] = None,
    route: Annotated[str | None, typer.Option(help="Only by this route.", autocompletion=offered_routes)] = None,
    key: Annotated[str | None, typer.Option(help="Was this file loaded? s3://bucket/key, or only a key.")] = None,
    since: Annotated[str | None, typer.Option(help="Not older than 12h, 7d or 2026-11-24.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what failed, was partial or was rejected.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 25,
    lane: Annotated[str | None, typer.Option(help="Only in this lane; for routes that were removed.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only this run (or batch-…).")] = None,
    files: Annotated[bool, typer.Option("--files", help="With --run: every upload that it covered.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with the loads and their details.")] = None,
    file: RoutesFile = None,
) -> None:
    """The load history, newest first. Of a file: was it loaded, when, and by which run?

    The history goes back 400 days, single uploads 90. For a key, the lane of its route is searched, and the other lanes
    only if that lane has no upload of the key. --run ID --files lists every upload that a run covered, as --key does.

    --html FILE writes one file that a browser shows without a network: the loads with their errors, the first rejected
    rows and their uploads. --route, --key (here any part of a key), --since, --failed and --limit choose the loads.

    Keys with --json: run_id (batch-… where no run began), lane, route, outcome, started_at, ended_at, seconds,
    integration_id, flow_id, message, request (to Anaplan that failed, if one did), error_code, author, uploads, files
    (how many different ones), file (the newest; both null where the ledger does not know it any more), errors (action,
    message, occurrences, values), report_url, retried (it was started again), announced, claimed_at, asked_at, told_at
    (null in lines of older versions). With --key: bucket, key, version_id, size, uploaded_at, recorded_at, requested
    (by load, retry or backfill), route, lane, state (waiting, loaded, partial, failed, rejected or superseded), run_id,
    started_at, ended_at, message, report_url.

    Examples:

        anaplan-autoload loads --failed --since 7d

        anaplan-autoload loads s3://finance-inbox/incoming/accounts/2026-11.csv

        anaplan-autoload loads 3f2a9c0e5d7b4a6f8e1c2d3b4a5f6e7d --files
    """
    cli = cli_of(context)
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    if what:
        if route or run or key:
            raise typer.BadParameter(f"{what} goes with none of --route, --run and --key.")
        route, run, key = _meant(what, routes)
    if files and not run:
        raise typer.BadParameter("--files goes with a run.")
    if html:
        if run or lane:
            raise typer.BadParameter("--html goes with neither --run nor --lane.")
        from_day = iso(moment(since)) if since else ""
        outcome = NOT_LOADED if failed else ""
        _write_page(cli, routes, View(route or "", outcome, key or "", from_day, rows=limit), html)
        return
    if run:
        _show_run(cli, ledger, [lane] if lane else known_lanes(routes, ledger.pending()), run, files=files)
        return
    if route:
        lane = lane or named(routes, route).lane_id
    oldest = moment(since) if since else 0
    if key:
        wanted = _wanted(key)
        with cli.out.progress("Reading the ledger"):
            uploads = find_uploads(ledger, routes, wanted, [lane] if lane else None)
            records = list(islice(_of_a_key(ledger, uploads, route, oldest, failed=failed), limit))
        cli.out.rows(records, _OF_A_KEY, nothing="" if records else nothing_known(routes, _placed(cli, routes, key)))
        _tell_stopped(cli.out, ledger, {found.lane: [found.record.route.name] for found in uploads})
        _tell_waits(cli.out, ledger, uploads)
        return
    known = known_lanes(routes, ledger.pending())
    lanes = {lane: known.get(lane, [])} if lane else known
    runs = (each for each in history(ledger, lanes, iso(oldest), limit) if route in (None, each.route))
    found = list(islice((each for each in runs if not failed or each.outcome != "loaded"), limit))
    mistyped = did_you_mean(lane, known, "") if lane and lane not in known else ""
    _show_runs(cli.out, found, covered(ledger, found), nothing=f"No loads were found. {mistyped}".rstrip())
    tell_held(cli.out, _held(ledger, lanes))


def _write_page(cli: Cli, routes: Routes, view: View, path: Path) -> None:
    settings = PageSettings(
        ledger_table=cli.settings.require("table"),
        function=cli.settings.get("function") or "",
        reports_bucket=cli.settings.get("reports") or "",
    )
    with cli.out.progress("Reading the ledger"):
        page = file_page(PageServices(settings, cli.aws, routes), view)
    path.write_text(page, encoding="utf-8")
    cli.out.done(f"Written: {path}")


def batch_without_run(cli: Cli, batch_id: str) -> RunRecord:
    """What the ledger says of a batch that ended without a run; raises `CommandFailed` where it knows none of it."""
    routes, ledger = read_routes(cli, None), the_ledger(cli)
    return find_run(ledger, known_lanes(routes, ledger.pending()), batch_id)


def _held(ledger: Ledger, lanes: Mapping[str, Sequence[str]]) -> list[str]:
    """The routes of the held lanes; a lane without routes is named by its id."""
    return [name for lane, names in lanes.items() if ledger.lane(lane).held is not None for name in names or (lane,)]


def _meant(what: str, routes: Routes) -> tuple[str | None, str | None, str | None]:
    """The route, the run and the key that a word means: one of them. Raises `CommandFailed` for a mistyped route."""
    names = [route.name for route in routes]
    if what in names:
        return what, None, None
    if not is_run(what):
        return None, None, what
    if did_you_mean(what, names, ""):
        raise no_such_route(what, routes)
    return None, what, None


def _wanted(key: str) -> LoadFilter:
    if not key.startswith("s3://"):
        return LoadFilter(None, key)
    place = place_of(key)
    return LoadFilter(place.bucket, place.key)


def _show_run(cli: Cli, ledger: Ledger, lanes: Iterable[str], run_id: str, *, files: bool) -> None:
    """One line of the history, or the uploads that it covered."""
    run = find_run(ledger, lanes, run_id)
    covered = [record for record in ledger.uploads_in(run.lane) if record.batch_id == run.batch_id]
    if not files:
        _show_runs(cli.out, [run], {run.batch_id: covered})
        return
    covered.sort(key=lambda record: record.upload.order)
    cli.out.rows(
        [_upload_record(Found(run.lane, record), run) for record in covered],
        _OF_A_RUN,
        nothing=f"The ledger keeps uploads for {UPLOAD_DAYS} days, and this run is older.",
    )


def _show_runs(
    out: Output, runs: Sequence[RunRecord], covered: Mapping[str, Sequence[UploadRecord]], nothing: str = ""
) -> None:
    """Print lines of the history with the files of each; people get the numbers in words."""
    records: list[Record] = []
    for run in runs:
        uploads = covered.get(run.batch_id, ())
        files = len({(each.upload.bucket, each.upload.key) for each in uploads})
        whole = 0 < len(uploads) == run.uploads_total
        newest = max(uploads, key=lambda each: each.upload.order).upload.key if whole else None
        known = files if whole else None
        record = _run_record(run) | {"files": known, "file": newest}
        records.append(record if out.as_json else record | {"covered": files_and_uploads(known, run.uploads_total)})
    out.rows(records, _COLUMNS, nothing=nothing)


def _tell_stopped(out: Output, ledger: Ledger, lanes: Mapping[str, Sequence[str]]) -> None:
    """Print which of these lanes load nothing, and the remedy."""
    tell_held(out, _held(ledger, lanes))
    now = wall_clock()
    paused = {lane: names for lane, names in lanes.items() if ledger.lane(lane).is_paused(now)}
    tell_paused(out, [name for names in paused.values() for name in names[:1]])


def _tell_waits(out: Output, ledger: Ledger, uploads: Iterable[Found]) -> None:
    """Say what the waiting uploads wait for, if a rule of their route makes them wait."""
    routes = {(found.lane, found.record.route.name) for found in uploads if found.record.state == "waiting"}
    for lane in sorted({lane for lane, _ in routes}):
        for wait in rules.plan(ledger.waiting(lane), wall_clock()).waits:
            if (lane, wait.route.name) in routes:
                out.hint(f"Route {wait.route.name}: {wait.why}.")


def _placed(cli: Cli, routes: Routes, key: str) -> Place:
    """The object's place, in a bucket without a name where its bucket is not known."""
    try:
        return object_named(cli, routes, key)
    except CommandFailed:
        return Place("", key)


def _of_a_key(
    ledger: Ledger, uploads: list[Found], route: str | None, oldest: int, *, failed: bool
) -> Iterator[Record]:
    """The uploads with the last run of the batch that covered each."""
    runs: dict[str, RunRecord] = {}
    for lane in {found.lane for found in uploads}:
        first = min(found.record.recorded_at for found in uploads if found.lane == lane)
        for run in ledger.runs(lane, iso(first - CLOCKS_DIFFER_MS)):
            runs.setdefault(run.batch_id, run)
    for found in uploads:
        record = found.record
        if epoch_ms(record.upload.event_time) < oldest or route not in (None, record.route.name):
            continue
        if failed and record.state in ("waiting", "loaded"):
            continue
        yield _upload_record(found, runs.get(record.batch_id or ""))


def _upload_record(found: Found, run: RunRecord | None) -> Record:
    upload = found.record.upload
    return {
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "size": upload.size,
        "uploaded_at": upload.event_time,
        "recorded_at": iso(found.record.recorded_at),
        "requested": upload.request_id is not None,
        "route": found.record.route.name,
        "lane": found.lane,
        "state": found.record.state,
        "run_id": run.id if run else found.record.run_id,
        "started_at": run.started_at if run else None,
        "ended_at": run.ended_at if run else None,
        "message": run.message if run else None,
        "report_url": run.report_url if run else None,
    }


def _run_record(run: RunRecord) -> dict[str, object]:
    seconds = (epoch_ms(run.ended_at) - epoch_ms(run.started_at)) / 1000 if run.started_at else None
    return {
        "run_id": run.id,
        "lane": run.lane,
        "route": run.route,
        "outcome": run.outcome,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "integration_id": run.integration_id,
        "flow_id": run.flow_id,
        "message": run.message,
        "request": run.request or None,
        "error_code": run.error_code,
        "author": run.author,
        "uploads": run.uploads_total,
        "errors": [
            {
                "action": error.action,
                "message": error.message,
                "occurrences": error.occurrences,
                "values": list(error.values),
            }
            for error in run.errors
        ],
        "report_url": run.report_url,
        "retried": run.retried,
        "announced": run.announced,
        "claimed_at": run.claimed_at,
        "asked_at": run.asked_at,
        "told_at": run.told_at,
        "seconds": seconds,
    }


def files_and_uploads(files: int | None, uploads: int) -> str:
    """How much a batch covers, as in `1 file, 5 uploads`; `3 files` if each file was uploaded once."""
    if files is None:
        return count(uploads, "upload")
    told = count(files, "file")
    return told if files == uploads else f"{told}, {count(uploads, 'upload')}"


def nothing_known(routes: Routes, place: Place) -> str:
    """Why the ledger may know nothing of a key."""
    told = f"The ledger has no upload with this key in the last {UPLOAD_DAYS} days."
    explained = explain(routes, place.bucket, place.key)
    near = "".join(f" Route {miss.route.name} is close: {miss.why}." for miss in explained.near_misses)
    return f"{told} As the routes are now, {explained.why}.{near if explained.route is None else ''}"
