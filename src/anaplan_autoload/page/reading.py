"""Reads what a view shows from the ledger, with the command line's functions. It never writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import RunRecord, UploadRecord
from anaplan_autoload.aws.rejected_rows import console_link
from anaplan_autoload.aws.story import Moment, in_order, of_upload
from anaplan_autoload.domain import rules
from anaplan_autoload.operations.expected import expected_of
from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload.operations.history import AT_ONCE, MOST_READ, Found, covered, find_run, history, of_batch
from anaplan_autoload.operations.lanes import known_lanes
from anaplan_autoload.operations.status import LaneStatus, lane_status
from anaplan_autoload.page.asking import NOT_LOADED, View
from anaplan_autoload.page.rejected import Rejected, rejected_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload.page.services import PageServices

SEARCHED = 5_000
"""How many loads are read at most to find those that a view asks for."""
UPLOADS_SHOWN = 100
NOT_KNOWN = "The ledger does not know it. The history goes back 400 days, single uploads 90."


class Listing(Struct, frozen=True, kw_only=True):
    """A page of the history."""

    view: View
    loads: tuple[RunRecord, ...]
    """Newest first."""
    older: View | None = None
    """Where the next page of the list starts; None if this is the last."""
    cut: bool = False
    """Whether the search stopped before it had found a whole page."""
    uploads: tuple[Found, ...] = ()
    """If the view has a key: the uploads of matching keys, last recorded first."""
    lanes: tuple[LaneStatus, ...] = ()
    routes: tuple[str, ...] = ()
    now: int
    """Epoch ms."""


class LoadDetail(Struct, frozen=True, kw_only=True):
    """One load."""

    run: RunRecord
    uploads: tuple[UploadRecord, ...]
    """The uploads of its batch, oldest first. If there are many, some are left out."""
    others: tuple[RunRecord, ...]
    """The other runs of the batch, oldest first."""
    rejected: Rejected
    link: str | None
    """The link to its report in the AWS console."""


class UploadDetail(Struct, frozen=True, kw_only=True):
    """One upload."""

    lane: str
    record: UploadRecord
    runs: tuple[RunRecord, ...]
    """Of the batch that covered it, oldest first."""
    story: tuple[Moment, ...]
    waits: str = ""
    """Why it waits; empty if it does not wait, or nothing holds it back."""


def listing(services: PageServices, view: View) -> Listing:
    """A page of the history, with what the lanes are doing."""
    routes, now = services.routes(), services.now()
    known = known_lanes(routes, services.ledger.pending())
    lanes = {lane: names for lane, names in known.items() if view.route in names} if view.route else known
    lanes = lanes or known  # a route that was removed may have used any of them
    uploads = _uploads_of(services, lanes, view.key) if view.key else []
    batches = {found.record.batch_id for found in uploads if found.record.batch_id}
    searched = _searched(_history(services, lanes, view), view, batches)
    return Listing(
        view=view,
        loads=searched.found,
        older=replace(view, older=searched.last) if searched.last else None,
        cut=searched.cut,
        uploads=tuple(uploads[:UPLOADS_SHOWN]),
        lanes=_states(services, routes, lanes, now),
        routes=tuple(sorted({route.name for route in routes} | {run.route for run in searched.found})),
        now=now,
    )


class _Searched(Struct, frozen=True):
    """What a search of the history found."""

    found: tuple[RunRecord, ...]
    last: str = ""
    """The sort key after which the next page starts; empty if there are no more loads."""
    cut: bool = False


def _searched(runs: Iterator[RunRecord], view: View, batches: set[str]) -> _Searched:
    """The first loads that the view asks for, up to one page. No more is read than needed for that."""
    found: list[RunRecord] = []
    for number, run in enumerate(runs, start=1):
        if _is_asked_for(run, view, batches):
            if len(found) == view.rows:
                return _Searched(tuple(found), found[-1].sk)
            found.append(run)
        if number == SEARCHED:
            return _Searched(tuple(found), run.sk, cut=True)
    return _Searched(tuple(found))


def load_detail(services: PageServices, view: View) -> LoadDetail:
    """One load; raises `OperationFailed` if the ledger does not know it."""
    run = run_of(services, view.lane, view.run)
    covers = (each for each in services.ledger.uploads_in(run.lane) if run.batch_id and each.batch_id == run.batch_id)
    uploads = list(islice(covers, run.uploads_total))
    return _detail(services, run, uploads, of_batch(services.ledger, uploads[0], run.lane) if uploads else [])


def load_details(services: PageServices, runs: Sequence[RunRecord]) -> Iterator[LoadDetail]:
    """Several loads. Each lane is read only once."""
    uploads = covered(services.ledger, runs)
    batches: dict[str, list[RunRecord]] = {}
    for run in sorted(runs, key=lambda each: each.sk):
        batches.setdefault(run.batch_id, []).append(run)
    for run in runs:
        yield _detail(services, run, uploads.get(run.batch_id, []), batches[run.batch_id])


def _detail(
    services: PageServices, run: RunRecord, uploads: Iterable[UploadRecord], batch: Iterable[RunRecord]
) -> LoadDetail:
    arn = services.settings.function
    return LoadDetail(
        run=run,
        uploads=tuple(sorted(uploads, key=lambda record: record.upload.order)[:UPLOADS_SHOWN]),
        others=tuple(each for each in batch if run.batch_id and each.id != run.id),
        rejected=rejected_of(services, run),
        link=console_link(run.report_url, arn) if run.report_url and arn else None,
    )


def upload_detail(services: PageServices, view: View) -> UploadDetail:
    """One upload; raises `OperationFailed` if the ledger does not know it."""
    record = services.ledger.upload(view.lane, view.upload)
    if record is None:
        raise OperationFailed("There is no such upload.", remedy=NOT_KNOWN)
    runs = tuple(of_batch(services.ledger, record, view.lane))
    story = tuple(in_order(of_upload(services.ledger, view.lane, record)))
    waits = _waits(services, view, story) if record.state == "waiting" else ""
    return UploadDetail(lane=view.lane, record=record, runs=runs, story=story, waits=waits)


def _waits(services: PageServices, view: View, story: Sequence[Moment]) -> str:
    """Why an upload waits; empty if nothing holds it back."""
    if any(each.what == "claimed" for each in story):
        return ""
    lane = services.ledger.lane(view.lane)
    waits = [
        wait.why
        for wait in rules.plan(services.ledger.waiting(view.lane), services.now()).waits
        if any(each.upload.id == view.upload for each in wait.waiting)
    ]
    stops = ["the lane is held"] * (lane.held is not None) + ["the lane is paused"] * lane.is_paused(services.now())
    return "; ".join([*stops, *waits])


def run_of(services: PageServices, lane: str, run: str) -> RunRecord:
    """The load with that sort key (without `run#`) or id; raises `OperationFailed` if the ledger does not know it."""
    if "#" not in run:
        lanes = [lane] if lane else known_lanes(services.routes(), services.ledger.pending())
        return find_run(services.ledger, lanes, run)
    if found := services.ledger.run(lane, f"run#{run}"):
        return found
    raise OperationFailed("There is no such load.", remedy=NOT_KNOWN)


def _history(services: PageServices, lanes: Iterable[str], view: View) -> Iterator[RunRecord]:
    """The loads of these lanes within the view's dates, newest first, from where the previous page ended."""
    lanes = list(lanes)
    after = view.older.removeprefix("run#")
    until = after.partition("#")[0] or view.until or "~"
    at_a_time = max(10, view.rows // (len(lanes) or 1))
    for run in history(services.ledger, lanes, view.since, at_a_time, until):
        if not after or run.sk < view.older:
            yield run


def _is_asked_for(run: RunRecord, view: View, batches: set[str]) -> bool:
    """Whether the view shows a load; `batches` are those with an upload of the key."""
    named = not view.key or run.batch_id in batches or _is_named(view.key, "", run.file)
    ended = view.outcome in ("", run.outcome) or (view.outcome == NOT_LOADED and run.outcome != "loaded")
    return view.route in ("", run.route) and ended and named


def _is_named(wanted: str, bucket: str, key: str) -> bool:
    text = f"s3://{bucket}/{key}" if wanted.startswith("s3://") else key
    return wanted.casefold() in text.casefold()


def _uploads_of(services: PageServices, lanes: Iterable[str], key: str) -> list[Found]:
    """The uploads whose key contains this text, last recorded first, among the first `MOST_READ` of each lane."""

    def of_lane(lane: str) -> list[Found]:
        records = islice(services.ledger.uploads_in(lane), MOST_READ)
        return [Found(lane, each) for each in records if _is_named(key, each.upload.bucket, each.upload.key)]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = [each for some in threads.map(of_lane, lanes) for each in some]
    return sorted(found, key=lambda each: each.record.recorded_at, reverse=True)


def _states(
    services: PageServices, routes: Routes, lanes: Mapping[str, Sequence[str]], now: int
) -> tuple[LaneStatus, ...]:
    """What these lanes are doing."""
    standings = services.standings.all()

    def look(lane: str) -> LaneStatus:
        of_lane = [route for route in routes if route.lane_id == lane]
        expected = expected_of(services.ledger, standings, of_lane, now)
        return replace(lane_status(services.ledger, lane, lanes[lane], now), expected=expected)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return tuple(threads.map(look, lanes))
