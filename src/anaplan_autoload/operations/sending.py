"""Sends requests for loads to the function, and waits until they are recorded."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec
from msgspec import Struct

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Load, Upload
from anaplan_autoload.operations.lanes import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.domain.routes import Route

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 120
"""How long to wait for the next request to be recorded: Lambda may be throttled."""


class Reload(Struct, frozen=True):
    """A load to request."""

    load: Load
    route: Route


def reload(upload: Upload, route: Route, request_id: str | None = None) -> Reload:
    """A repeated load of an upload: with `load = "each"`, of exactly that version; otherwise of the current object."""
    version_id = upload.version_id if route.load == "each" else None
    return Reload(
        Load(bucket=upload.bucket, key=upload.key, version_id=version_id, request_id=request_id or uuid4().hex), route
    )


def chosen(uploads: Sequence[Upload], route: Route) -> list[Upload]:
    """Which of a route's uploads to request again, oldest first.

    With `load = "each"`, all of them, as each needs its own run. With `"latest"`, the newest of every key: one run
    covers them all, and then every key counts as loaded.
    """
    oldest_first = sorted(uploads, key=lambda upload: upload.order)
    if route.load == "each":
        return oldest_first
    return list({(upload.bucket, upload.key): upload for upload in oldest_first}.values())


class Watcher:
    """Follows the progress of the requests. This base class ignores it."""

    def asked(self, done: int, total: int) -> None:
        """`done` of `total` requests were sent to the function."""

    def recorded(self, done: int, total: int) -> None:
        """`done` of `total` requests are in the ledger."""


class Patience(Struct, frozen=True):
    """How long to wait until the ledger has all requests of a lane."""

    seconds: float = PATIENCE_SECONDS
    """Since the last one was recorded."""
    pause_ms: int = 0
    """After this time the pause ends by itself, in case this process dies before it resumes the lane; 0: never."""


def ask(
    ledger: Ledger,
    send: Callable[[object], None],
    reloads: Sequence[Reload],
    watcher: Watcher,
    patience: Patience,
) -> int:
    """Ask for these loads, all of one lane, in this order. Returns how many are not recorded yet.

    Lambda does not keep the order of events. So for several requests, the lane is paused until the ledger has them all.
    Then they are loaded oldest first, or by one run. A lane that was paused before stays paused.
    """
    if len(reloads) < 2:
        for each in reloads:
            send(_event(each))
        return 0
    with _paused(ledger, send, reloads[0].route.lane_id, patience):
        for number, each in enumerate(reloads, start=1):
            send(_event(each))
            watcher.asked(number, len(reloads))
        return _missing(ledger, reloads, watcher, patience)


@contextmanager
def _paused(ledger: Ledger, send: Callable[[object], None], lane: str, patience: Patience) -> Iterator[None]:
    """Pause the lane, so that leaders claim nothing. Afterwards, even after an error, it is as it was before."""
    now = wall_clock()
    if ledger.lane(lane).is_paused(now):
        yield
        return
    ledger.pause(lane, now + patience.pause_ms if patience.pause_ms else 0)
    try:
        yield
    finally:
        let_go(ledger, send, lane)


def _missing(ledger: Ledger, reloads: Sequence[Reload], watcher: Watcher, patience: Patience) -> int:
    """Wait until the ledger has all requests; returns how many are missing when the time is over."""
    missing = [each.load.upload_id for each in reloads]
    deadline = time.monotonic() + patience.seconds
    while missing and time.monotonic() < deadline:
        known = {found.upload.id for found in ledger.uploads(reloads[0].route.lane_id, missing)}
        if known:
            deadline = time.monotonic() + patience.seconds
            missing = [upload_id for upload_id in missing if upload_id not in known]
        watcher.recorded(len(reloads) - len(missing), len(reloads))
        if missing:
            time.sleep(LOOK_SECONDS)
    return len(missing)


def _event(each: Reload) -> object:
    return {"load": msgspec.to_builtins(each.load)}
