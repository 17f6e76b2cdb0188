"""Requested loads, on their way to the function."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from msgspec import Struct

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Load, Upload
from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.service.lanes import let_go

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload_cli.output import Output, Progress, Record
    from anaplan_autoload_cli.service.places import FunctionAlias

ROWS_AGAIN = "In a numbered list without a key, rows that are loaded again are added again."
"""What a repeated load does in Anaplan; added wherever one is offered that may repeat rows."""
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 120
"""How long requests may take to be recorded, since the last one that was: Lambda may be throttled."""

_COLUMNS = (
    Column("route", "Route"),
    Column("key", "Key"),
    Column("version_id", "Version"),
    Column("request_id", "Request"),
)
_BAR = 20


class Reload(Struct, frozen=True):
    """A load to be asked for."""

    load: Load
    route: Route

    @property
    def upload_id(self) -> str:
        """The id under which the ledger will know it."""
        return Upload(self.load.bucket, self.load.key, event_time="", request_id=self.load.request_id).id


def reload(upload: Upload, route: Route, request_id: str | None = None) -> Reload:
    """A repeated load of an upload: with `load = "each"` of exactly that version, else of the key's current object."""
    version_id = upload.version_id if route.load == "each" else None
    return Reload(
        Load(bucket=upload.bucket, key=upload.key, version_id=version_id, request_id=request_id or uuid4().hex), route
    )


def chosen(uploads: Sequence[Upload], route: Route) -> list[Upload]:
    """Which of a route's uploads to request again, oldest first.

    With `load = "each"` every one, as each is a load of its own. With `"latest"` the newest of every key: one run
    covers them all, and only so does each key show as loaded.
    """
    oldest_first = sorted(uploads, key=lambda upload: upload.order)
    if route.load == "each":
        return oldest_first
    return list({(upload.bucket, upload.key): upload for upload in oldest_first}.values())


def send(out: Output, ledger: Ledger, function: FunctionAlias, reloads: Sequence[Reload]) -> None:
    """Ask for these loads, all of one lane, in this order, and print what was asked for.

    Lambda delivers in no order. So where there are several, the lane is paused until the ledger has them all, and they
    are loaded oldest first, or by one run. A lane that was paused before stays so.
    """
    if len(reloads) == 1:
        function.send(_event(reloads[0]))
    elif reloads:
        with out.progress("Asking") as progress, _paused(ledger, function, reloads[0].route.lane_id):
            for number, each in enumerate(reloads, start=1):
                function.send(_event(each))
                progress.update(f"Asking {bar(number, len(reloads))}")
            _wait_until_recorded(out, ledger, reloads, progress)
    out.rows([_record(each) for each in reloads], _COLUMNS)


def bar(done: int, total: int) -> str:
    """Progress: `████░░░░ 12 of 30`."""
    full = _BAR * done // total if total else _BAR
    return f"{'█' * full}{'░' * (_BAR - full)} {done} of {total}"


@contextmanager
def _paused(ledger: Ledger, function: FunctionAlias, lane: str) -> Iterator[None]:
    """Keep the lane's leaders from claiming. Afterwards, also after an error, the lane is as it was."""
    if ledger.lane(lane).is_paused(wall_clock()):
        yield
        return
    ledger.pause(lane)
    try:
        yield
    finally:
        let_go(ledger, function.send, lane)


def _wait_until_recorded(out: Output, ledger: Ledger, reloads: Sequence[Reload], progress: Progress) -> None:
    missing = [each.upload_id for each in reloads]
    lane = reloads[0].route.lane_id
    deadline = time.monotonic() + PATIENCE_SECONDS
    while missing and time.monotonic() < deadline:
        known = {found.upload.id for found in ledger.uploads(lane, missing)}
        if known:
            deadline = time.monotonic() + PATIENCE_SECONDS
            missing = [upload_id for upload_id in missing if upload_id not in known]
        progress.update(f"Recorded {bar(len(reloads) - len(missing), len(reloads))}")
        if missing:
            time.sleep(LOOK_SECONDS)
    if missing:
        out.warning(
            f"{len(missing)} of {len(reloads)} requests are not recorded yet. The function has them all; if it refuses "
            "one, it is in the dead-letter queue (anaplan-autoload redrive)."
        )


def _event(each: Reload) -> object:
    return {"load": msgspec.to_builtins(each.load)}


def _record(each: Reload) -> Record:
    return {
        "bucket": each.load.bucket,
        "key": each.load.key,
        "version_id": each.load.version_id,
        "route": each.route.name,
        "lane": each.route.lane_id,
        "request_id": each.load.request_id,
        "upload_id": each.upload_id,
    }
