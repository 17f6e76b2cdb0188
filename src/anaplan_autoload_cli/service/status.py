"""`status`: what every lane is doing."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain import rules
from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.domain.protocol import settling_for
from anaplan_autoload.domain.times import epoch_ms, iso
from anaplan_autoload_cli.completion import offered_routes
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.service.expected import Expected, expected_of
from anaplan_autoload_cli.service.lanes import (
    differences,
    find_lane,
    known_lanes,
    stray_lanes,
    tell_held,
    tell_strangers,
)
from anaplan_autoload_cli.service.loads import files_and_uploads
from anaplan_autoload_cli.service.places import RoutesFile, routes_and_origin, the_ledger, the_standings
from anaplan_autoload_cli.times import length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anaplan_autoload.aws.ledger import Ledger, RunRecord
    from anaplan_autoload.domain.protocol import Batch, Lane, Waiting
    from anaplan_autoload.domain.rules import Plan, Wait
    from anaplan_autoload_cli.output import Output

LaneState = Literal["idle", "starting", "running", "backing off", "unled", "waiting", "paused", "held"]

WATCH_SECONDS = 3
CLEAR = "\x1b[H\x1b[2J"

_COLUMNS = (
    Column("routes", "Routes"),
    Column("state", "State"),
    Column("for", "For"),
    Column("waits", "Waiting"),
    Column("oldest", "Oldest"),
    Column("waits_for", "Waits for", fold=True),
    Column("last", "Last load"),
)
_DETAILS = (
    Column("lane", "Lane"),
    Column("routes", "Routes"),
    Column("state", "State"),
    Column("paused", "Paused"),
    Column("held", "Held"),
    Column("batch", "Loading"),
    Column("not_before", "Not before"),
    Column("settles_until", "Settles until"),
    Column("waits", "Waiting"),
    Column("oldest", "Oldest waiting"),
    Column("waits_for", "Waits for", fold=True),
    Column("holder", "Leader"),
    Column("lease_seconds", "Lease left, s"),
    Column("last_load", "Last load"),
    Column("expects", "Expected"),
)


class OpenBatch(Struct, frozen=True):
    """What is being loaded."""

    route: str
    uploads: int
    run_id: str | None
    """None until CloudWorks has said so."""
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
    """`batch-…` where no run began."""


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
    """`unled`: there is something to do and no execution does it; the next sweep starts one, within five minutes.
    `waiting`: all uploads wait by a rule of their route."""
    paused: bool
    held: bool
    """Anaplan refused the log-in; nothing is claimed until the secret has another version."""
    holder: str | None
    """The ARN of the execution that leads."""
    lease_seconds: int | None
    """How long the lane's lease lasts unless its leader renews it; None if nobody leads."""
    batch: OpenBatch | None
    not_before: str | None
    """Nothing is asked of CloudWorks before."""
    waiting: int
    """Uploads that no batch covers yet."""
    oldest_waiting: str | None
    last: LastLoad | None
    waiting_files: int = 0
    """How many different files these are."""
    settles_until: str | None = None
    """When the route's quiet time is over, unless more comes; None while nothing settles."""
    paused_until: str | None = None
    """When the pause ends by itself; None where it does not."""
    waits_for: tuple[PlannedWait, ...] = ()
    """What a rule of their route keeps back."""
    delay_seconds: float = 0
    """For how long the oldest upload could have been loaded but was not: planned waits do not count."""
    expected: tuple[Expected, ...] = ()
    """Of the routes that say by when they expect something."""

    @property
    def gist(self) -> tuple[object, ...]:
        """What is printed again when it changes: everything but the lease."""
        return (
            *(self.lane, self.state, self.paused, self.batch, self.waiting, self.oldest_waiting, self.last),
            *(self.settles_until, self.paused_until, self.waits_for),
            self.expected,
        )


def status(
    context: typer.Context,
    route: Annotated[
        str | None, typer.Argument(metavar="[ROUTE]", help="Everything about its lane.", autocompletion=offered_routes)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    file: RoutesFile = None,
) -> None:
    """What every lane is doing: what runs, since when, what waits, and how the last load ended.

    States: idle; starting; running; backing off (a retry is due, or CloudWorks asked to wait); unled (the next sweep,
    within five minutes, starts a leader); waiting (for a route's window, or for other files of a set); paused; held
    (Anaplan refused the log-in).

    Keys with --json: lane, routes, state, paused, held, holder, lease_seconds, batch (route, uploads, run_id, since,
    attempts, retries, files), not_before, waiting (uploads), waiting_files, oldest_waiting, settles_until,
    paused_until, waits_for (route, why, uploads, since, opens_at, awaited), delay_seconds, last
    (outcome, ended_at, run_id), expected (route, state: loaded, missing or not loaded, due_at, loaded_at, words). With
    --watch in a pipe: an array each time that something changed.

    Examples:

        anaplan-autoload status --watch

        anaplan-autoload status accounts
    """
    cli = cli_of(context)
    (routes, origin), ledger, standings = routes_and_origin(cli, file), the_ledger(cli), the_standings(cli)
    only = find_lane(routes, ledger, route) if route else None
    strangers = differences(routes, ledger, [only] if only else routes.lanes)
    if only is None and not stray_lanes(routes, ledger):
        strangers = []  # a new route has never been used

    def look() -> list[LaneStatus]:
        lanes = known_lanes(routes, ledger.pending())
        wanted = {lane: names for lane, names in lanes.items() if only in (None, lane)}
        stand, now = standings.all(), wall_clock()
        return [
            replace(
                lane_status(ledger, lane, names, now),
                expected=expected_of(ledger, stand, (each for each in routes if each.lane_id == lane), now),
            )
            for lane, names in wanted.items()
        ]

    def show(lanes: Sequence[LaneStatus]) -> None:
        _show(cli.out, lanes, detailed=only is not None)
        cli.out.hint(f"Routes: {origin}.")
        tell_strangers(cli, file, strangers)

    if watch:
        _watch(look, show)
    else:
        show(look())


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
    """The state that the lane's items add up to.

    `waiting` are the uploads that no batch covers, oldest first; `loading` those that the open batch covers, as far as
    they have no final state yet.
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
    """How many different files these uploads are of."""
    return len({(item.upload.bucket, item.upload.key) for item in items})


def _settles_until(lane: Lane, planned: Plan, now: int) -> str | None:
    """When what is to be claimed next has been quiet for as long as its route asks for."""
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


# How it is shown.


def _watch(look: Callable[[], list[LaneStatus]], show: Callable[[Sequence[LaneStatus]], None]) -> None:
    """Show it until Ctrl-C: on a terminal every few seconds on a clean screen, elsewhere when it has changed."""
    told: list[tuple[object, ...]] | None = None
    with suppress(KeyboardInterrupt):
        while True:
            lanes = look()
            gist = [lane.gist for lane in lanes]
            if sys.stdout.isatty():
                sys.stdout.write(CLEAR)
                show(lanes)
            elif gist != told:
                show(lanes)
                sys.stdout.flush()
            told = gist
            time.sleep(WATCH_SECONDS)


def _show(out: Output, lanes: Sequence[LaneStatus], *, detailed: bool) -> None:
    now = wall_clock()
    records = [msgspec.to_builtins(lane) if out.as_json else _for_people(lane, now) for lane in lanes]
    if detailed and records:
        out.record(records[0], _DETAILS)
    else:
        waits = any(lane.waits_for for lane in lanes)
        out.rows(records, [column for column in _COLUMNS if waits or column.key != "waits_for"])
    tell_held(out, [name for lane in lanes if lane.held for name in lane.routes or (lane.lane,)])


def _for_people(lane: LaneStatus, now: int) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(lane)
    until = f" until {lane.paused_until}" if lane.state == "paused" and lane.paused_until else ""
    settles = f", settles until {lane.settles_until}" if lane.settles_until else ""
    expects = [each.words if len(lane.routes) == 1 else f"{each.route} {each.words}" for each in lane.expected]
    return shown | {
        "state": ", ".join([f"{lane.state}{until}{settles}", *expects]),
        "paused": (f"until {lane.paused_until}" if lane.paused_until else "yes") if lane.paused else None,
        "waits_for": [f"{wait.route}: {wait.why}" for wait in lane.waits_for] or None,
        "expects": ", ".join(expects) or None,
        "held": "yes" if lane.held else None,
        "waits": files_and_uploads(lane.waiting_files, lane.waiting) if lane.waiting else None,
        "for": _age(lane.batch.since, now) if lane.batch else None,
        "oldest": _age(lane.oldest_waiting, now) if lane.oldest_waiting else None,
        "last": f"{lane.last.outcome} {_age(lane.last.ended_at, now)} ago" if lane.last else None,
        "last_load": lane.last and f"{lane.last.outcome} at {lane.last.ended_at}, run {lane.last.run_id}",
        "batch": lane.batch and _batch_for_people(lane.batch),
    }


def _batch_for_people(batch: OpenBatch) -> str:
    run = f"run {batch.run_id}" if batch.run_id else "no run yet"
    attempts = f", attempt {batch.attempts}" if batch.attempts > 1 else ""
    retries = f", retry {batch.retries}" if batch.retries else ""
    covers = files_and_uploads(batch.files, batch.uploads)
    return f"{covers} by route {batch.route} since {batch.since}, {run}{attempts}{retries}"


def _age(time: str, now: int) -> str:
    return length((now - epoch_ms(time)) / 1000)
