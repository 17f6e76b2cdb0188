"""What a lane is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload.domain import rules
from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.domain.protocol import settling_for
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.expected import Expected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.aws.ledger import Ledger, RunRecord
    from anaplan_autoload.domain.protocol import Batch, Lane, Waiting
    from anaplan_autoload.domain.rules import Plan, Wait

LaneState = Literal["idle", "starting", "running", "backing off", "unled", "waiting", "paused", "held"]


class OpenBatch(Struct, frozen=True):
    """What is being loaded."""

    route: str
    uploads: int
    run_id: str | None
    """None until CloudWorks has returned it."""
    since: str
    """When the run was requested or, before that, when the batch was opened."""
    attempts: int
    retries: int
    files: int | None = None
    """How many different files; None if the ledger does not know."""


class LastLoad(Struct, frozen=True):
    """How the lane's last load ended."""

    outcome: Ending
    ended_at: str
    run_id: str
    """`batch-…` if no run began."""


class PlannedWait(Struct, frozen=True):
    """Uploads of one route that wait for its window, or for other files of their set."""

    route: str
    why: str
    """`waiting for entities.csv since Wed 06:12 UTC`, `window opens Mon 19:00 BST`."""
    uploads: int
    since: str
    """When the first of them was recorded."""
    opens_at: str | None
    """When the window opens; None while it is open."""
    awaited: tuple[str, ...]
    """The files that have not come."""

    @classmethod
    def of(cls, wait: Wait) -> PlannedWait:
        """A wait as it is shown."""
        opens_at = iso(wait.opens_at) if wait.opens_at else None
        return cls(wait.route.name, wait.why, len(wait.waiting), iso(wait.since), opens_at, wait.lacks)


class LaneStatus(Struct, frozen=True, kw_only=True):
    """What a lane is doing. Times are `2026-11-24T21:05:00.000Z`."""

    lane: str
    routes: tuple[str, ...]
    """Those of the routes file, and those of waiting uploads."""
    state: LaneState
    """`unled`: there is work, but no execution leads the lane; the next sweep starts one, within five minutes.
    `waiting`: a rule of their route makes all uploads wait."""
    paused: bool
    held: bool
    """Anaplan refused the log-in; nothing is claimed until the secret has another version."""
    holder: str | None
    """The ARN of the execution that leads."""
    lease_seconds: int | None
    """How long the lane's lease lasts unless its leader renews it; None if nobody leads."""
    batch: OpenBatch | None
    not_before: str | None
    """CloudWorks is not called before this time."""
    waiting: int
    """Uploads that no batch covers yet."""
    oldest_waiting: str | None
    last: LastLoad | None
    waiting_files: int = 0
    """How many different files these are."""
    settles_until: str | None = None
    """When the route's quiet time is over, unless more uploads arrive; None if nothing waits for it."""
    paused_until: str | None = None
    """When the pause ends by itself; None if it does not."""
    waits_for: tuple[PlannedWait, ...] = ()
    """Uploads that wait because of a rule of their route."""
    delay_seconds: float = 0
    """For how long the oldest upload could have been loaded, but was not. Planned waits do not count."""
    expected: tuple[Expected, ...] = ()
    """The routes that expect a file by some time, and whether it was loaded."""

    @property
    def gist(self) -> tuple[object, ...]:
        """Everything but the lease: the status is printed again when any of it changes."""
        return (
            *(self.lane, self.state, self.paused, self.batch, self.waiting, self.oldest_waiting, self.last),
            *(self.settles_until, self.paused_until, self.waits_for),
            self.expected,
        )


def lane_status(ledger: Ledger, lane: str, routes: Sequence[str], now: int) -> LaneStatus:
    """Look at one lane; `now` is epoch ms."""
    found = ledger.lane(lane)
    covered = set(ledger.batch_ids(lane, found.open)) if found.open else set()
    everything = ledger.waiting(lane)
    waiting = [item for item in everything if item.upload.id not in covered]
    loading = [item for item in everything if item.upload.id in covered]
    last = next(ledger.runs(lane, at_a_time=1), None)
    return described(lane, routes, found, waiting, last, now, loading)


def described(
    lane: str,
    routes: Sequence[str],
    found: Lane,
    waiting: Sequence[Waiting],
    last: RunRecord | None,
    now: int,
    loading: Sequence[Waiting] = (),
) -> LaneStatus:
    """The lane's status, from its items in the ledger.

    `waiting` are the uploads that no batch covers, oldest first. `loading` are those of the open batch that have no
    final state yet.
    """
    led = found.holder is not None and found.lease_until >= now
    planned = rules.plan(waiting, now)
    paused = found.is_paused(now)
    return LaneStatus(
        lane=lane,
        routes=tuple(routes),
        state=(state := _state(found, planned, led=led, now=now)),
        paused=paused,
        held=found.held is not None,
        holder=found.holder if led else None,
        lease_seconds=(found.lease_until - now) // 1000 if led else None,
        batch=_open_batch(found.open, loading) if found.open else None,
        not_before=iso(found.not_before) if found.not_before > now else None,
        waiting=len(waiting),
        oldest_waiting=waiting[0].upload.event_time if waiting else None,
        last=LastLoad(last.outcome, last.ended_at, last.id) if last else None,
        waiting_files=_files(waiting),
        settles_until=_settles_until(found, planned, now) if state == "starting" else None,
        paused_until=iso(found.paused_until) if paused and found.paused_until else None,
        waits_for=tuple(map(PlannedWait.of, planned.waits)),
        delay_seconds=max([0.0, *rules.ages(waiting, found, now).values()]),
    )


def _files(items: Sequence[Waiting]) -> int:
    """How many different files these uploads belong to."""
    return len({(item.upload.bucket, item.upload.key) for item in items})


def _settles_until(lane: Lane, planned: Plan, now: int) -> str | None:
    """When the route's quiet time is over for the uploads that are claimed next; None if they need not wait."""
    selection = planned.selection if lane.open is None else None
    seconds = settling_for(selection, now) if selection else 0
    return iso(now + seconds * 1000) if seconds else None


def _state(lane: Lane, planned: Plan, *, led: bool, now: int) -> LaneState:
    if lane.held is not None:
        return "held"
    if lane.is_paused(now) and not (led and lane.open):
        return "paused"
    if lane.open is None and planned.selection is None:
        return "waiting" if planned.waits else "idle"
    if not led:
        return "unled"
    if lane.open is not None and lane.open.run_id:
        return "running"
    return "backing off" if lane.not_before > now else "starting"


def _open_batch(batch: Batch, loading: Sequence[Waiting]) -> OpenBatch:
    since = iso(batch.posted_at or batch.opened_at)
    files = _files(loading) if len(loading) == batch.total else None
    return OpenBatch(batch.route.name, batch.total, batch.run_id, since, batch.attempts, batch.retries, files)
