"""Check the files of a batch just before its run is requested, so that no run reads a file that fails the check.

With `load = "each"` this is exactly the version that will be staged. With `"latest"` it is what a run would read: what
the keys of the batch's uploads, and the route's other source files, hold now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws import contents, staging
from anaplan_autoload.domain.contents import verdict, wants_whole_file, why_rejected
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.protocol import Batch, Failure, Stop
from anaplan_autoload.domain.sources import digest
from anaplan_autoload.domain.times import iso
from anaplan_autoload.steps.leading import renewed, stops_if_lost
from anaplan_autoload.steps.starting import NotStaged, Superseded, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.contents import Problem
    from anaplan_autoload.domain.protocol import Lane, Lease
    from anaplan_autoload.domain.routes import Route

UPLOADS_PER_STEP = 500
CHECK_SECONDS = 20
"""After this time no other file is begun, so that the step ends within the function's timeout."""
KEPT_PROBLEMS = 5
"""The most problems that are stored and reported. One file may have three."""


class Passed(Struct, frozen=True, tag="passed"):
    """Every file that was looked at passed."""

    next: int | None = None
    """The number of the upload to continue with; None if that was all."""


class Unfit(Struct, frozen=True, tag="unfit"):
    """A file failed; the batch says so, in the ledger too."""

    batch: Batch
    reason: str


Checking = Passed | Unfit | Superseded | NotStaged | Stop


@stops_if_lost
def check(_step: StepContext, services: Services, lease: Lease, batch: Batch, start: int) -> Checking:
    """Check the batch's files, from the upload of number `start` on, as many as one step has time for.

    A batch with a file that fails is rejected as a whole, because its run would read that file too.
    """
    lane = renewed(services, lease)
    now = services.clock()
    if batch.upload is not None and (older := superseded(services, batch.route, batch.upload)):
        return older
    found: list[Problem] = []
    looked_at = 0
    try:
        for number, upload in _files(services, lane, lease, batch, start):
            if looked_at and services.clock() > now + CHECK_SECONDS * 1000 and not found:
                return Passed(number)
            found += _problems(services, batch, upload)
            looked_at += 1
    except staging.Overwritten as error:
        if batch.upload is None:
            raise  # replaced between two requests: the step is tried again
        return Superseded(str(error))
    except (staging.Gone, staging.NotCopied) as error:
        return NotStaged(str(error))
    if found:
        return _unfit(services, lease, batch, found, now, several=looked_at > 1 or start > 0)
    end = start + UPLOADS_PER_STEP
    return Passed(end if end < batch.total else None)


def _unfit(services: Services, lease: Lease, batch: Batch, found: list[Problem], now: int, *, several: bool) -> Unfit:
    reason = why_rejected(found, several=several, checked_at=iso(now) if batch.upload is None else None)
    failed = replace(batch, failure=Failure(reason, now, "rejected", tuple(found[:KEPT_PROBLEMS])))
    renewed(services, lease, failed)
    return Unfit(failed, reason)


def _files(services: Services, lane: Lane, lease: Lease, batch: Batch, start: int) -> Iterator[tuple[int, Upload]]:
    """One upload of each key that is to be checked, and its number among the batch's uploads."""
    if batch.upload is not None:
        yield 0, batch.upload
        return
    seen: dict[tuple[str, str], Upload] = {}
    end = start + UPLOADS_PER_STEP
    ids = services.ledger.batch_ids(lease.lane, batch, start, end)
    for number, record in enumerate(services.ledger.uploads(lease.lane, ids), start):
        upload = record.upload
        if seen.setdefault((upload.bucket, upload.key), upload) is upload:
            yield number, upload
    if end < batch.total:
        return
    owners = {upload.bucket: upload.owner for upload in seen.values()}
    for bucket, owner in owners.items():
        for key in _sources(lane, batch.route, bucket):
            if (bucket, key) not in seen:
                yield batch.total, Upload(bucket, key, batch.oldest, owner=owner)


def _sources(lane: Lane, route: Route, bucket: str) -> list[str]:
    """The keys of this bucket that a run of the route reads, and that the route loads, as far as they are known."""
    reads = lane.reads.get(route.name)
    if reads is None or reads.route != digest(route):
        return []
    keys = ((source, source.key.removeprefix("/")) for source in reads.sources or ())
    return list(dict.fromkeys(k for source, k in keys if route.matches(bucket, k) and source.is_read_from(bucket, k)))


def _problems(services: Services, batch: Batch, upload: Upload) -> list[Problem]:
    """What is wrong with a file. A file that no longer exists has no problem here: the run says if it needs it."""
    route = batch.route
    latest = batch.upload is None
    if route.check is None:
        return []
    try:
        content = contents.read_head(services.s3, upload, as_it_is_now=latest)
        if wants_whole_file(route.check, content.data, content.size):
            content = contents.read_whole(services.s3, upload, content, as_it_is_now=latest)
    except staging.Gone:
        if latest:
            return []
        raise
    last = services.ledger.loaded_size(route, upload) if route.check.shrink is not None else None
    found = verdict(route.check, content.data, content.size, last, allow_empty=route.allow_empty)
    return [replace(problem, key=upload.key) for problem in found]
