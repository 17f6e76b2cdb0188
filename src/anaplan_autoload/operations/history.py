"""The load history, and which uploads a load covered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from heapq import merge
from itertools import chain, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.aws.story import CLOCKS_DIFFER_MS
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload.operations.lanes import known_lanes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anaplan_autoload.aws.ledger import Ledger, RunRecord, UploadRecord
    from anaplan_autoload.domain.routes import Routes

AT_ONCE = 10
"""How many lanes are read at the same time: as many as a client has connections."""
MOST_READ = 10_000
"""How many uploads of a lane are read to name the files of a list of loads."""


class LoadFilter(Struct, frozen=True):
    """A key whose uploads are wanted, in one bucket or in any."""

    bucket: str | None
    key: str

    def covers(self, record: UploadRecord) -> bool:
        """Whether the upload is one of them."""
        return record.upload.key == self.key and self.bucket in (None, record.upload.bucket)


class Found(Struct, frozen=True):
    """An upload, and the lane that it was recorded in."""

    lane: str
    record: UploadRecord


def history(
    ledger: Ledger, lanes: Iterable[str], since: str = "", at_a_time: int = 100, until: str = "~"
) -> Iterator[RunRecord]:
    """The load history of several lanes as one, newest first, of runs that ended from `since` to `until` (ISO)."""

    def begun(lane: str) -> Iterator[RunRecord]:
        runs = ledger.runs(lane, since, until, at_a_time=at_a_time)
        return chain(list(islice(runs, 1)), runs)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        of_each = list(threads.map(begun, lanes))
    yield from merge(*of_each, key=lambda run: run.sk, reverse=True)


def of_batch(ledger: Ledger, record: UploadRecord, lane: str) -> list[RunRecord]:
    """The runs of the batch that covered an upload, oldest first: several where a failed one was started again."""
    if record.batch_id is None:
        return []
    since = iso(record.recorded_at - CLOCKS_DIFFER_MS)
    return [run for run in ledger.runs(lane, since) if run.batch_id == record.batch_id][::-1]


def find_uploads(ledger: Ledger, routes: Routes, wanted: LoadFilter, lanes: Iterable[str] | None = None) -> list[Found]:
    """A key's uploads in the ledger, last recorded first, in these lanes; without `lanes`, wherever they may be.

    The ledger has no index by key, so all uploads of a lane are read. The lane of the key's route is read first. If it
    has none, all lanes are read, as the key may have been recorded before the routes were changed.
    """
    if lanes is not None:
        return _in_lanes(ledger, lanes, wanted)
    first = {route.lane_id for route in routes if route.covers(wanted.key) and _admits(route.bucket, wanted.bucket)}
    return _in_lanes(ledger, first, wanted) or _in_lanes(
        ledger, [lane for lane in known_lanes(routes, ledger.pending()) if lane not in first], wanted
    )


def find_run(ledger: Ledger, lanes: Iterable[str], run_id: str) -> RunRecord:
    """The history item with that id; raises `OperationFailed` if there is none."""
    for lane in lanes:
        if found := next((run for run in ledger.runs(lane) if run.id == run_id), None):
            return found
    raise OperationFailed(
        f"The ledger knows no run {run_id}.",
        remedy="See anaplan-autoload loads; runs that the service did not start are in anaplan-autoload history.",
    )


def _admits(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _in_lanes(ledger: Ledger, lanes: Iterable[str], wanted: LoadFilter) -> list[Found]:
    found = [Found(lane, each) for lane in lanes for each in ledger.uploads_in(lane) if wanted.covers(each)]
    return sorted(found, key=lambda each: (each.record.recorded_at, each.record.upload.order), reverse=True)


def covered(ledger: Ledger, runs: Iterable[RunRecord]) -> dict[str, list[UploadRecord]]:
    """The uploads of each of these batches, as far as they are among the first `MOST_READ` of their lane.

    The ledger has no index by batch, so the uploads of the whole lane are read, or only a part of them if it is huge.
    """
    wanted = {run.batch_id for run in runs}
    found: dict[str, list[UploadRecord]] = {}
    for lane in {run.lane for run in runs}:
        for record in islice(ledger.uploads_in(lane), MOST_READ):
            if record.batch_id in wanted and record.batch_id:
                found.setdefault(record.batch_id, []).append(record)
    return found
