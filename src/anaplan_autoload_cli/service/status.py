"""`status`: what every lane is doing."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload.operations.expected import expected_of
from anaplan_autoload.operations.lanes import known_lanes
from anaplan_autoload.operations.status import lane_status
from anaplan_autoload_cli.completion import offered_routes
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.service.lanes import (
    differences,
    find_lane,
    stray_lanes,
    tell_held,
    tell_strangers,
)
from anaplan_autoload_cli.service.loads import files_and_uploads
from anaplan_autoload_cli.service.lost import note_on_lost_uploads
from anaplan_autoload_cli.service.places import RoutesFile, routes_and_origin, the_ledger, the_standings
from anaplan_autoload_cli.times import length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anaplan_autoload.operations.status import LaneStatus, OpenBatch
    from anaplan_autoload_cli.output import Output

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


def status(
    context: typer.Context,
    route: Annotated[
        str | None, typer.Argument(metavar="ROUTE", help="Everything about its lane.", autocompletion=offered_routes)
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
        if only is None and (note := note_on_lost_uploads(cli)):
            cli.out.hint(note)
        tell_strangers(cli, file, strangers)

    if watch:
        _watch(look, show)
    else:
        show(look())


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
