"""What happened to one upload, in order of time. `of_upload` reads it from the ledger, `told` puts it into words.

The times come from three clocks: S3's says when an object was stored, Anaplan's when a run began and ended (in whole
seconds), and the function's everything else. They differ by about a second, so `in_order` keeps causes before effects.
"""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from anaplan_autoload.aws.ledger import Ledger, RunRecord, UploadRecord
    from anaplan_autoload.domain.protocol import Batch

CLOCKS_DIFFER_MS = 10 * 60_000
"""Allowed difference between Anaplan's clock, which dates runs, and ours, which dates uploads."""

What = Literal["uploaded", "recorded", "claimed", "asked", "began", "ended", "told", "superseded", "logged"]
Clock = Literal["S3", "Autoload", "Anaplan"]


class Moment(Struct, frozen=True):
    """One thing that happened to an upload."""

    at: str
    """`2026-11-24T21:05:00.123Z`, on `clock`."""
    what: What
    said: str
    """One sentence. It may contain file names and Anaplan's messages, so escape it."""
    clock: Clock = "Autoload"
    run_id: str | None = None


def of_upload(ledger: Ledger, lane: str, record: UploadRecord) -> list[Moment]:
    """Read an upload's story: one query of the lane's history and, while the upload waits, the lane's open batch."""
    batch = _open_batch(ledger, lane, record) if record.state == "waiting" else None
    batch_id = batch.id if batch else record.batch_id
    since = iso(record.recorded_at - CLOCKS_DIFFER_MS)
    runs = [run for run in ledger.runs(lane, since) if run.batch_id == batch_id] if batch_id else []
    return told(record, runs[::-1], batch)


def _open_batch(ledger: Ledger, lane: str, record: UploadRecord) -> Batch | None:
    """The lane's open batch, if it covers the upload."""
    batch = ledger.lane(lane).open
    return batch if batch is not None and record.upload.id in ledger.batch_ids(lane, batch) else None


def told(record: UploadRecord, runs: Sequence[RunRecord], batch: Batch | None = None) -> list[Moment]:
    """An upload's story, causes before effects.

    `runs` are the history's runs of the batch that covered it, oldest first: all but the last failed and were
    started again. `batch` is that batch while it is open.
    """
    moments = [*_arrival(record)]
    claimed_at = runs[0].claimed_at if runs else iso(batch.opened_at) if batch else None
    total = runs[0].uploads_total if runs else batch.total if batch else 0
    if claimed_at:
        others = f"with {total - 1:,} more" if total > 1 else "alone"
        moments.append(Moment(claimed_at, "claimed", f"Claimed {others}, to be covered by one run."))
    for run in runs:
        moments += _of_run(run)
    if batch is not None:
        moments += _underway(batch)
    if record.state == "superseded" and record.final_at is not None:
        moments.append(Moment(iso(record.final_at), "superseded", "Not loaded, because newer data of its key was."))
    return moments


def _arrival(record: UploadRecord) -> Iterator[Moment]:
    upload = record.upload
    size = "" if upload.size is None else f", {upload.size:,} bytes"
    version = f", version {upload.version_id}" if upload.version_id else ""
    yield Moment(upload.event_time, "uploaded", f"Stored as s3://{upload.bucket}/{upload.key}{version}{size}.", "S3")
    requested = "A load of it was requested, and recorded" if upload.request_id else "Recorded"
    yield Moment(iso(record.recorded_at), "recorded", f"{requested} for route {record.route.name}.")


def _of_run(run: RunRecord) -> Iterator[Moment]:
    run_id = None if run.id.startswith("batch-") else run.id
    if run.asked_at:
        yield Moment(run.asked_at, "asked", "CloudWorks was asked for a run.", run_id=run_id)
    if run.started_at:
        yield Moment(run.started_at, "began", f"Run {run.id} began.", "Anaplan", run_id)
    how = f"Ended as {run.outcome}" if run_id else f"Ended as {run.outcome} without a run"
    again = " It was started again." if run.retried else ""
    yield Moment(run.ended_at, "ended", _sentence(f"{how}: {run.message}") + again, _clock(run_id), run_id)
    if run.told_at:
        yield Moment(run.told_at, "told", f"Subscribers were told that it is {run.outcome}.", run_id=run_id)


def _clock(run_id: str | None) -> Clock:
    return "Anaplan" if run_id else "Autoload"


def _sentence(text: str) -> str:
    text = text.rstrip().removesuffix(":")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _underway(batch: Batch) -> Iterator[Moment]:
    """What is known about a run that has not ended."""
    if batch.posted_at is not None:
        said = f"CloudWorks was asked for a run, and began {batch.run_id}." if batch.run_id else "CloudWorks was asked."
        yield Moment(iso(batch.posted_at), "asked", said, run_id=batch.run_id)


def in_order(story: Iterable[Moment], log: Iterable[Moment] = ()) -> list[Moment]:
    """A story merged with log lines, by time. `story` keeps its order; `log` may be in any order."""
    latest = 0
    placed: list[tuple[int, Moment]] = []
    for moment in story:
        latest = max(latest, epoch_ms(moment.at))
        placed.append((latest, moment))
    logged = sorted(((epoch_ms(line.at), line) for line in log), key=lambda entry: entry[0])
    return [moment for _, moment in merge(placed, logged, key=lambda entry: entry[0])]
