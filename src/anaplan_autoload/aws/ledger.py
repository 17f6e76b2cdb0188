"""Lanes, leases, uploads and the load history, in one DynamoDB table.

Each lane has one item collection (`pk` = `lane#<lane id>`):

| `sk` | holds |
|---|---|
| `lane` | `Lane`: who leads, until when, what is open, what its integrations read |
| `batch#<batch id>#<n>` | the ids of the batch's uploads, at most 1,000 an item |
| `upload#<upload id>` | the object, its route as it was when recorded, its state |
| `run#<ended at>#<run id>` | the load history |

and, in no lane, the routes (see `routes_store`), how each route stands (see `standings`), what people have yet to be
told in a digest (see `digests`), how far the search for lost uploads has come (see `lost_uploads`), what is known of
the secret (see `rejections` and `renewals`) and, under `pk` = `key#<sha256 of bucket and key>`, of a key:

| `sk` | holds |
|---|---|
| the integration's or flow's id | the newest data that was loaded with `load = "each"`: a route may change its lane |
| `size#<route>` | the size of the file that the route loaded last, for its check |
| `content#<version id, else etag>` | when an event or request told of this content, and when a listing found it |

Items that need work have the attribute `waiting`, and so are in the sparse local index of that name: waiting uploads in
their order, and the first ids of an open batch. An open batch is not marked on the lane's own item, because that is
written at every look at a run, and a write of an item in the index costs two units. The index is local because only
local indexes can be read consistently. What decides who acts, and on what, is written conditionally.

Version 1.0 marked the lane's item. Such a mark is still read, and removed where its batch is closed: executions of 1.0
go on for up to a week after an update, and a paused or held lane may keep their batch for longer.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from msgspec import Struct

from anaplan_autoload.aws.table import Table
from anaplan_autoload.domain.contents import Problem
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.domain.protocol import Batch, Lane, Lease, Waiting
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.runs import RunError
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.aws.items import Item
    from anaplan_autoload.domain.protocol import Noted, PutBack, UploadState
    from anaplan_autoload.domain.runs import Run
    from anaplan_autoload.domain.sources import Reads

IDS_PER_ITEM = 1_000
"""Each id has 64 characters, so such an item stays far below DynamoDB's 400 KB."""
UPLOAD_DAYS = 90
RUN_DAYS = 400
RUNS_READ = 40
"""How many runs of a lane's history are read to learn how long an integration's runs take."""
OPEN_MARK = "~open"
"""An open batch's place in the index: after every upload, whose order begins with a digit."""

T = TypeVar("T")


class UploadRecord(Struct, frozen=True):
    """An upload as the ledger knows it."""

    upload: Upload
    route: Route
    state: UploadState
    recorded_at: int
    """Epoch ms."""
    run_id: str | None = None
    batch_id: str | None = None
    """The batch that covered it, once its state is final. It connects the upload to the load history."""
    final_at: int | None = None
    """When its state became final, epoch ms."""


class RunRecord(Struct, frozen=True, omit_defaults=True):
    """One line of the load history: a run that ended, or a batch that failed or was rejected without one."""

    id: str
    """The run's id, or `batch-<batch id>` where no run began."""
    lane: str
    route: str
    outcome: Ending
    ended_at: str
    """`2026-11-24T21:05:00.000Z`; runs' times are on Anaplan's clock."""
    started_at: str | None = None
    integration_id: str | None = None
    flow_id: str | None = None
    message: str = ""
    request: str = ""
    """The request to Anaplan that failed, `POST https://…`; empty if none did."""
    error_code: int | None = None
    author: str | None = None
    batch_id: str = ""
    trace_id: str = ""
    """The id of the batch's oldest upload."""
    uploads_total: int = 0
    file: str = ""
    """The key of the newest upload."""
    errors: tuple[RunError, ...] = ()
    """The first errors, as CloudWorks gave them."""
    errors_total: int = 0
    report_url: str | None = None
    rows_saved: bool = False
    """Whether rejected rows were saved there, and not the errors alone."""
    details_missing: str | None = None
    """Which errors and rejected rows could not be fetched or saved, and why; None if nothing is missing."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with files that failed their route's check."""
    retried: bool = False
    """The run failed and was started again: it is not announced."""
    announced: bool = False
    claimed_at: str | None = None
    """When its uploads were claimed or, after a retry, when this try began; on our clock, as the next two."""
    asked_at: str | None = None
    """When the run was requested."""
    told_at: str | None = None
    """When subscribers were told; None where the route's `notify` leaves the outcome out."""

    @property
    def sk(self) -> str:
        """Its sort key: the history reads in the order in which runs ended."""
        return f"run#{self.ended_at}#{self.id}"


def is_known(run: Run, records: Iterable[RunRecord]) -> bool:
    """Whether the ledger has this run. CloudWorks shows a flow's run without its id, so its start identifies it."""
    return any(
        record.id == run.id or (record.flow_id is not None and record.started_at == run.started_at is not None)
        for record in records
    )


class NotTaken(Struct, frozen=True):
    """Why a lane could not be taken."""

    reason: Literal["led", "paused", "held"]


class Taken(Struct, frozen=True):
    """The lane as it was before it was taken."""

    lane: Lane


class Pending(Struct, frozen=True):
    """A lane that has something to do, as the sweep sees it."""

    lane: str
    oldest: Mapping[str, str]
    """Route name → event time of its oldest waiting upload."""
    ruled: tuple[Waiting, ...] = ()
    """The uploads, oldest first, whose routes have a window or need other files."""
    free: bool = True
    """Whether there is more to do: other uploads, or an open batch."""


class Leftover(Struct, frozen=True):
    """The ids of a batch that is closed: the leader that closed it died before it deleted them."""

    lane: str
    batch_id: str
    total: int
    """How many ids there were."""


class Backlog(Struct, frozen=True):
    """What the index of unfinished work holds."""

    pending: list[Pending]
    leftovers: list[Leftover]
    lanes: dict[str, Lane]
    """The items that were read: of lanes in which a batch is marked."""


class _Found(Struct):
    """What the index holds of one lane."""

    oldest: dict[str, str] = {}
    ruled: list[Waiting] = []
    free: bool = False
    marked: list[Leftover] = []
    """Batches with a mark. The lane's item says whether one of them is open."""

    def add(self, item: Item) -> None:
        kind, _, rest = item["sk"].partition("#")
        if kind == "upload":
            self._add_upload(item)
        elif kind == "batch":
            self.marked.append(Leftover(_lane_of(item), rest.partition("#")[0], item["total"]))
        else:
            self.free = True

    def _add_upload(self, item: Item) -> None:
        name, event_time = item["route"]["name"], item["event_time"]
        self.oldest[name] = min(self.oldest.get(name, event_time), event_time)
        if item["route"].get("window") or item["route"].get("needs"):
            self.ruled.append(_waiting(item))
        else:
            self.free = True

    def leftovers(self, lane: Lane) -> list[Leftover]:
        """The batches that are not the lane's open one."""
        return [each for each in self.marked if lane.open is None or lane.open.id != each.batch_id]

    def as_pending(self, lane: str) -> Pending:
        ruled = sorted(self.ruled, key=lambda item: item.upload.order)
        return Pending(lane, self.oldest, tuple(ruled), self.free)


class Ledger:
    """The table, through the low-level client; `now` is always epoch milliseconds on the caller's clock."""

    def __init__(self, client: DynamoDBClient, table: str, lease_ms: int) -> None:
        self._table = Table(client, table)
        self._lease_ms = lease_ms

    # Uploads.

    def record(self, upload: Upload, route: Route, now: int, *, superseded: bool = False) -> bool:
        """Record an upload as waiting, or as superseded. If it was known already, nothing changes: False."""
        state = (
            {"state": "superseded", "ttl": _ttl(now, UPLOAD_DAYS)}
            if superseded
            else {"state": "waiting", "waiting": upload.order}
        )
        item = {
            **_key(route.lane_id, f"upload#{upload.id}"),
            **msgspec.to_builtins(upload),
            "route": msgspec.to_builtins(route),
            **state,
            "recorded_at": now,
        }
        return self._table.put(item, "attribute_not_exists(pk)")

    def upload(self, lane: str, upload_id: str) -> UploadRecord | None:
        """What is known of an upload."""
        item = self._get(lane, f"upload#{upload_id}")
        return _upload_record(item) if item else None

    def uploads(self, lane: str, ids: Sequence[str]) -> list[UploadRecord]:
        """What is known of these uploads, in their order; those that are not known are left out."""
        items = self._table.get_many([_key(lane, f"upload#{each}") for each in ids])
        found = {item["sk"].removeprefix("upload#"): _upload_record(item) for item in items}
        return [found[each] for each in ids if each in found]

    def uploads_in(self, lane: str) -> Iterator[UploadRecord]:
        """Every upload of the last 90 days in the lane, unordered. Slow, for the command line: it reads them all."""
        values = {":pk": f"lane#{lane}", ":uploads": "upload#"}
        for page in self._table.query("pk = :pk AND begins_with(sk, :uploads)", values):
            yield from map(_upload_record, page)

    def waiting(self, lane: str, enough: Callable[[Sequence[Waiting]], bool] | None = None) -> list[Waiting]:
        """The waiting uploads of a lane, oldest first, read consistently, page by page until there are `enough`."""
        found: list[Waiting] = []
        values = {":pk": f"lane#{lane}", ":end": OPEN_MARK}
        for page in self._table.query("pk = :pk AND waiting < :end", values, IndexName="waiting"):
            found += [_waiting(item) for item in page]
            if enough is not None and enough(found):
                break
        return found

    def finish_uploads(
        self, lane: str, ids: Iterable[str], state: UploadState, batch: Batch, run_id: str | None, now: int
    ) -> int:
        """Give a batch's waiting uploads their final state; those that have one keep it. Returns how many changed."""
        changed = 0
        for upload_id in ids:
            changed += self._table.update(
                _key(lane, f"upload#{upload_id}"),
                "SET #state = :state, run_id = :run, batch_id = :batch, final_at = :now, #ttl = :ttl REMOVE waiting",
                "#state = :waiting",
                {
                    ":state": state,
                    ":run": run_id,
                    ":batch": batch.id,
                    ":now": now,
                    ":ttl": _ttl(now, UPLOAD_DAYS),
                    ":waiting": "waiting",
                },
            )
        return changed

    def newest_loaded(self, target: str, upload: Upload) -> Upload | None:
        """The newest data of this upload's key that this integration or flow loaded; None if there is none."""
        item = self._table.get(_loaded_key(target, upload))
        return msgspec.convert(item, Upload, strict=False) if item else None

    def remember_loaded(self, target: str, upload: Upload, now: int) -> None:
        """Note that this upload's data is in Anaplan, unless newer data of its key is. For the lane's leader only."""
        loaded = self.newest_loaded(target, upload)
        if loaded is not None and upload.is_older_than(loaded):
            return
        item = {**_loaded_key(target, upload), **msgspec.to_builtins(upload), "ttl": _ttl(now, UPLOAD_DAYS)}
        self._table.put(item)

    def loaded_size(self, route: Route, upload: Upload) -> int | None:
        """Bytes of the file that the route loaded last, with `load = "latest"` from this key; None if not known."""
        item = self._table.get(_size_key(route, upload))
        return int(item["size"]) if item else None

    def remember_size(self, route: Route, upload: Upload, now: int) -> None:
        """Note the size of a file that the route loaded, if it is known. For the lane's leader only."""
        if upload.size is not None:
            item = {**_size_key(route, upload), "size": upload.size, "ttl": _ttl(now, RUN_DAYS)}
            self._table.put(item)

    # Lost uploads: objects that S3 lists and for which no event came.

    def note_told(self, upload: Upload, now: int) -> bool:
        """Note that an event or a request named an object, if a listing could not recognize the upload by its identity.

        Returns False if a listing found the object before its event came: then it is known already.
        """
        if upload.version_id and upload.request_id is None:
            return True
        noted, found = self._table.get_and_update(
            _content_key(upload),
            "SET told = :at, #ttl = :ttl",
            "(attribute_not_exists(told) OR told < :at) AND (attribute_not_exists(listed) OR listed < :at)",
            {":at": upload.event_time, ":ttl": _ttl(now, UPLOAD_DAYS)},
        )
        return noted or upload.request_id is not None or found.get("listed", "") < upload.event_time

    def unknown(self, lane: str, listed: Sequence[Upload]) -> list[Upload]:
        """Those of the listed objects that are known neither by their identity nor by their content."""
        recorded = {record.upload.id for record in self.uploads(lane, [upload.id for upload in listed])}
        left = [upload for upload in listed if upload.id not in recorded]
        told = {
            (item["pk"], item["sk"]): item.get("told", "")
            for item in self._table.get_many(list(map(_content_key, left)))
        }
        return [upload for upload in left if not _is_told(upload, told.get(_place_of(_content_key(upload)), ""))]

    def record_found(self, upload: Upload, route: Route, now: int, *, superseded: bool) -> bool:
        """Record a listed object as an upload whose event was lost; False if it was known already.

        Without a version, its content is noted first, so that a late event adds no second upload.
        """
        if upload.version_id is None and not self._note_found(upload, now):
            return False
        return self.record(upload, route, now, superseded=superseded)

    def _note_found(self, upload: Upload, now: int) -> bool:
        return self._table.update(
            _content_key(upload),
            "SET listed = :now, #ttl = :ttl",
            "attribute_not_exists(told) OR told < :at",
            {":now": iso(now), ":at": upload.event_time, ":ttl": _ttl(now, UPLOAD_DAYS)},
        )

    # Lanes and leases.

    def lane(self, lane: str) -> Lane:
        """The lane's item, read consistently; an empty one if nothing was ever recorded."""
        return _lane(self._get(lane, "lane") or {})

    def acquire(self, lane: str, holder: str, now: int) -> Taken | NotTaken:
        """Take the lane if it is free, ours already, or its leader's lease has expired.

        A paused lane can be taken while a batch is open, so that its run is followed to the end.
        """
        taken, found = self._table.get_and_update(
            _key(lane, "lane"),
            "SET holder = :me, lease_until = :until",
            "(attribute_not_exists(holder) OR holder = :me OR lease_until < :now)"
            " AND (attribute_not_exists(paused) OR paused_until <= :now OR attribute_exists(#open))"
            " AND attribute_not_exists(held)",
            {":me": holder, ":until": now + self._lease_ms, ":now": now},
        )
        if taken:
            return Taken(_lane(found))
        return NotTaken("paused" if "paused" in found else "held" if "held" in found else "led")

    def renew(
        self, lease: Lease, now: int, batch: Batch | None = None, not_before: int | None = None, *, wait: int = 0
    ) -> Lane | None:
        """Extend the lease and, in the same write, note how far the open batch has come.

        `wait` is how many seconds the leader is about to wait: the lease outlasts that by its whole length.
        Returns the lane as it is now, or None if the lease is lost; then nothing was written.
        """
        sets = ["lease_until = :until"]
        values: Item = {":me": lease.holder, ":until": now + wait * 1000 + self._lease_ms}
        condition = "holder = :me"
        if batch is not None:
            sets.append("#open = :open")
            values |= {":open": msgspec.to_builtins(batch), ":batch": batch.id}
            condition += " AND #open.id = :batch"
        if not_before is not None:
            sets.append("not_before = :not_before")
            values[":not_before"] = not_before
        return self._update_lane(lease.lane, f"SET {', '.join(sets)}", condition, values)

    def open_batch(
        self, lease: Lease, batch: Batch, ids: Sequence[str], now: int, put_back: Mapping[str, PutBack]
    ) -> bool:
        """Open a batch of exactly these uploads; False if the lease is lost or another batch is open.

        The first ids are written, with the batch's mark, in the same transaction as the lane's item that points to
        them; the others before. `put_back` is what the lane remembers of other batches.
        """
        first, *others = _chunks(ids, IDS_PER_ITEM)
        for number, chunk in enumerate(others, 1):
            self._table.put(_later_ids(lease.lane, batch, number, chunk, now))
        return self._table.put_and_update(
            _first_ids(lease.lane, batch, first),
            _key(lease.lane, "lane"),
            "SET #open = :open, lease_until = :until, put_back = :back",
            "holder = :me AND attribute_not_exists(#open)",
            {
                ":open": msgspec.to_builtins(batch),
                ":until": now + self._lease_ms,
                ":me": lease.holder,
                ":back": msgspec.to_builtins(put_back),
            },
        )

    def close_batch(self, lease: Lease, batch: Batch, now: int) -> Lane | None:
        """Clear the open batch and delete its ids; None if the lease is lost. Closing twice has no effect."""
        lane = self._update_lane(
            lease.lane,
            "SET lease_until = :until REMOVE #open, waiting, not_before",
            "holder = :me AND (attribute_not_exists(#open) OR #open.id = :batch)",
            {":me": lease.holder, ":until": now + self._lease_ms, ":batch": batch.id},
        )
        if lane is not None:
            self._forget_ids(lease.lane, batch.id, batch.total)
        return lane

    def put_back(self, lease: Lease, batch: Batch, put_back: Mapping[str, PutBack], now: int) -> Lane | None:
        """Dissolve a batch whose run has not begun: its uploads wait again. Returns None if the lease is lost.

        Putting it back twice has no effect.
        """
        lane = self._update_lane(
            lease.lane,
            "SET lease_until = :until, put_back = :back REMOVE #open, waiting, not_before",
            "holder = :me AND (attribute_not_exists(#open) OR #open.id = :batch)",
            {
                ":me": lease.holder,
                ":until": now + self._lease_ms,
                ":back": msgspec.to_builtins(put_back),
                ":batch": batch.id,
            },
        )
        if lane is not None:
            self._forget_ids(lease.lane, batch.id, batch.total)
        return lane

    def batch_ids(self, lane: str, batch: Batch, start: int = 0, stop: int | None = None) -> list[str]:
        """The ids of the batch's uploads from `start` up to `stop`, in the order in which they were claimed."""
        stop = batch.total if stop is None else min(stop, batch.total)
        ids: list[str] = []
        first = start // IDS_PER_ITEM
        for number in range(first, -(-stop // IDS_PER_ITEM)):
            ids += (self._get(lane, _ids_sk(batch.id, number)) or {}).get("ids", [])
        return ids[start - first * IDS_PER_ITEM : stop - first * IDS_PER_ITEM]

    def release(self, lease: Lease) -> None:
        """Give the lane back, if it is still ours."""
        self._update_lane(lease.lane, "REMOVE holder, lease_until", "holder = :me", {":me": lease.holder})

    def hold(self, lease: Lease, batch: Batch | None, secret_version: str) -> None:
        """Give the lane back and keep everyone out until the secret has another version.

        A batch whose run was not requested yet is dissolved: its uploads wait, and the next claim takes them.
        """
        dissolve = batch is not None and batch.run_id is None and batch.unresolved_since is None
        held = self._update_lane(
            lease.lane,
            "SET held = :version REMOVE holder, lease_until" + (", #open, waiting" if dissolve else ""),
            "holder = :me",
            {":me": lease.holder, ":version": secret_version},
        )
        if held is not None and dissolve and batch is not None:
            self._forget_ids(lease.lane, batch.id, batch.total)

    def unhold(self, lane: str, secret_version: str) -> None:
        """End the hold of a lane that was held for this version of the secret."""
        self._update_lane(lane, "REMOVE held", "held = :version", {":version": secret_version})

    def note_author(self, lease: Lease, author: str) -> None:
        """Note who CloudWorks says starts our runs."""
        self._update_lane(lease.lane, "SET author = :author", "holder = :me", {":me": lease.holder, ":author": author})

    def note_reads(self, lease: Lease, reads: Mapping[str, Reads]) -> Lane | None:
        """Note what the lane's integrations read, by route; None when the lease is lost: then nothing was written."""
        return self._note(lease, "reads", reads)

    def note_waits(self, lease: Lease, waits: Mapping[str, Noted]) -> Lane | None:
        """Note what was logged about the lane's planned waits, by route; None when the lease is lost."""
        return self._note(lease, "waits", waits)

    def _note(self, lease: Lease, attribute: str, value: object) -> Lane | None:
        return self._update_lane(
            lease.lane,
            f"SET #{attribute} = :noted",
            "holder = :me",
            {":me": lease.holder, ":noted": msgspec.to_builtins(value)},
        )

    def pause(self, lane: str, until: int = 0) -> None:
        """Claim nothing more in this lane until it is resumed, or until a time (epoch ms).

        A run that has begun is followed to its end. Nothing is returned, so that the page needs no right to see more.
        """
        update = "SET paused = :yes, paused_until = :until" if until else "SET paused = :yes REMOVE paused_until"
        values = {":yes": True, ":until": until} if until else {":yes": True}
        self._table.update(_key(lane, "lane"), update, "", values)

    def resume(self, lane: str) -> None:
        """End a pause; a drain of the lane should follow."""
        self._table.update(_key(lane, "lane"), "REMOVE paused, paused_until", "attribute_exists(paused)")

    # The load history.

    def record_run(self, run: RunRecord, now: int) -> RunRecord:
        """Enter a run in the history. If the history has it already, that entry is kept and returned."""
        item = {
            **_key(run.lane, run.sk),
            **msgspec.to_builtins(run),
            "ttl": _ttl(now, RUN_DAYS),
        }
        new = self._table.put(item, "attribute_not_exists(pk)")
        return run if new else (self.run(run.lane, run.sk) or run)

    def run(self, lane: str, sk: str) -> RunRecord | None:
        """One line of the history."""
        item = self._get(lane, sk)
        return msgspec.convert(item, RunRecord, strict=False) if item else None

    def mark_announced(self, run: RunRecord, told_at: str | None) -> None:
        """Note that a run was announced, and when subscribers were told; None if they did not want to be."""
        self._table.update(
            _key(run.lane, run.sk), "SET announced = :yes, told_at = :told", "", {":yes": True, ":told": told_at}
        )

    def runs(self, lane: str, since: str = "", until: str = "~", *, at_a_time: int = 1_000) -> Iterator[RunRecord]:
        """The lane's history, newest first, of runs that ended from `since` to `until`, read so many at a time.

        Both are times in ISO form, or the beginning of one.
        """
        values = {":pk": f"lane#{lane}", ":from": f"run#{since}", ":to": f"run#{until}~"}
        condition = "pk = :pk AND sk BETWEEN :from AND :to"
        for page in self._table.query(condition, values, Limit=at_a_time, ScanIndexForward=False):
            for item in page:
                yield msgspec.convert(item, RunRecord, strict=False)

    def lengths(self, lane: str, target: str, count: int) -> list[int]:
        """Seconds that the last runs of an integration or flow took, newest first; those that failed are left out.

        Only the lane's last `RUNS_READ` runs are read; returns at most `count` lengths.
        """
        found = [
            round((epoch_ms(run.ended_at) - epoch_ms(run.started_at)) / 1000)
            for run in islice(self.runs(lane, at_a_time=RUNS_READ), RUNS_READ)
            if target in (run.integration_id, run.flow_id) and run.started_at and run.outcome in ("loaded", "partial")
        ]
        return found[:count]

    # For the sweep.

    def pending(self) -> list[Pending]:
        """Every lane that has something waiting or open, from one consistent scan of the sparse index."""
        return self.backlog().pending

    def backlog(self) -> Backlog:
        """What the sparse index holds, by one consistent scan: the lanes with work, and what dead leaders left.

        A lane's item is read after the scan where a batch of it is marked: only the lane's open batch is work.
        """
        found: dict[str, _Found] = {}
        for page in self._table.scan("waiting"):
            for item in page:
                found.setdefault(_lane_of(item), _Found()).add(item)
        lanes = {name: self.lane(name) for name, each in found.items() if each.marked}
        leftovers: list[Leftover] = []
        for name, lane in lanes.items():
            each = found[name]
            left = each.leftovers(lane)
            leftovers += left
            each.free = each.free or len(left) < len(each.marked)
        pending = [each.as_pending(name) for name, each in found.items() if each.oldest or each.free]
        return Backlog(pending, leftovers, lanes)

    def delete_leftover(self, left: Leftover) -> bool:
        """Delete the ids of a closed batch; False if it may still be open, and then nothing is deleted.

        Writes of one transaction can be seen one by one, so the ids of a batch that is just being opened may be there
        before the lane's item points to them. A transaction of reads shows both as they are at one moment.
        """
        found = self._table.get_together(_key(left.lane, "lane"), _key(left.lane, _ids_sk(left.batch_id, 0)))
        if found is None:
            return False
        lane, ids = found
        if not ids or lane.get("open", {}).get("id") == left.batch_id:
            return False
        self._forget_ids(left.lane, left.batch_id, left.total)
        return True

    # Plumbing.

    def _update_lane(self, lane: str, change: str, condition: str, values: Item) -> Lane | None:
        item = self._table.update_and_get(_key(lane, "lane"), change, condition, values)
        return None if item is None else _lane(item)

    def _forget_ids(self, lane: str, batch_id: str, total: int) -> None:
        """Delete a batch's ids, those with the mark last: while any are left, a sweep can find them."""
        for number in reversed(range(-(-total // IDS_PER_ITEM))):
            self._table.delete(_key(lane, _ids_sk(batch_id, number)))

    def _get(self, lane: str, sk: str) -> Item | None:
        return self._table.get(_key(lane, sk))


def _key(lane: str, sk: str) -> Item:
    return {"pk": f"lane#{lane}", "sk": sk}


def _lane_of(item: Item) -> str:
    lane: str = item["pk"].removeprefix("lane#")
    return lane


def _ids_sk(batch_id: str, number: int) -> str:
    return f"batch#{batch_id}#{number:04}"


def _first_ids(lane: str, batch: Batch, ids: Sequence[str]) -> Item:
    """The first ids, with the mark. Version 1.0, if it is deployed again, reads the rest as of a waiting upload."""
    return {
        **_key(lane, _ids_sk(batch.id, 0)),
        "ids": list(ids),
        "total": batch.total,
        "waiting": OPEN_MARK,
        "route": {"name": batch.route.name},
        "event_time": batch.oldest,
    }


def _later_ids(lane: str, batch: Batch, number: int, ids: Sequence[str], now: int) -> Item:
    """Further ids. If their leader dies before the batch is open, nothing points to them, so they expire by themselves.

    If a batch were open for longer than that, its uploads would be loaded again: they wait until their state is final.
    """
    return {**_key(lane, _ids_sk(batch.id, number)), "ids": list(ids), "ttl": _ttl(now, RUN_DAYS)}


def _loaded_key(target: str, upload: Upload) -> Item:
    return {"pk": _place(upload.bucket, upload.key), "sk": target}


def _size_key(route: Route, upload: Upload) -> Item:
    """With `load = "each"` every file comes under a key of its own, so the key is that of the copy."""
    return {"pk": _place(upload.bucket, route.stage_to or upload.key), "sk": f"size#{route.name}"}


def _content_key(upload: Upload) -> Item:
    return {"pk": _place(upload.bucket, upload.key), "sk": f"content#{upload.version_id or upload.etag}"}


def _place_of(key: Item) -> tuple[str, str]:
    return key["pk"], key["sk"]


def _is_told(upload: Upload, told: str) -> bool:
    """Whether an event at the time `told` (ISO; empty: none came) was about this listed object.

    A version is one object. The same content may be uploaded again, but its event comes after the upload is complete,
    so not before the time that S3 lists.
    """
    return told != "" if upload.version_id else told[:19] >= upload.event_time[:19]


def _place(bucket: str, key: str) -> str:
    return "key#" + sha256(f"{bucket}\0{key}".encode()).hexdigest()


def _ttl(now: int, days: int) -> int:
    return now // 1000 + days * 86_400


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _lane(item: Item) -> Lane:
    return msgspec.convert(item, Lane, strict=False)


def _waiting(item: Item) -> Waiting:
    return Waiting(_upload(item), msgspec.convert(item["route"], Route), item["recorded_at"])


def _upload_record(item: Item) -> UploadRecord:
    return UploadRecord(
        _upload(item),
        msgspec.convert(item["route"], Route),
        item["state"],
        item["recorded_at"],
        item.get("run_id"),
        item.get("batch_id"),
        item.get("final_at"),
    )


def _upload(item: Item) -> Upload:
    return msgspec.convert(item, Upload, strict=False)
