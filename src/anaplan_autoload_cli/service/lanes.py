"""`pause` and `resume`, and which lanes there are."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.protocol import Lane
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.lanes import HELD, let_go, route_names
from anaplan_autoload_cli.completion import RouteName
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.service.places import (
    RoutesFile,
    find_routes_path,
    no_such_route,
    read_routes,
    the_function,
    the_ledger,
)
from anaplan_autoload_cli.times import ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Output

_COLUMNS = (
    Column("lane", "Lane"),
    Column("routes", "Routes"),
    Column("paused", "Paused"),
    Column("paused_until", "Until"),
)


def pause(
    context: typer.Context,
    route: RouteName,
    until: Annotated[
        str | None, typer.Option(help="When it ends by itself: 12h, 3d (from now) or 2026-11-30T07:00 (UTC).")
    ] = None,
    file: RoutesFile = None,
) -> None:
    """Stop loading by a route. Uploads are recorded and wait; a run that has begun is followed to its end.

    Routes that share a lane pause together. With --until, the lane resumes by itself, within five minutes of that time.
    Without it, the alarm on the oldest waiting upload rings if the pause is forgotten. A second pause replaces the
    first.

    Keys with --json: lane, routes, paused, and with --until paused_until.

    Examples:

        anaplan-autoload pause accounts

        anaplan-autoload pause accounts --until 2026-11-30T07:00+00:00
    """
    cli = cli_of(context)
    end = ahead(until) if until else 0
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    lane = find_lane(routes, ledger, route)
    strangers = differences(routes, ledger, [lane])
    ledger.pause(lane, end)
    shared = route_names(routes, lane)
    told = iso(end) if end else None
    ends = {"paused_until": told} if told else {}
    cli.out.record({"lane": lane, "routes": shared, "paused": True} | ends, _COLUMNS)
    length = f" until {told}" if told else ""
    cli.out.done(f"Paused{length}: {_all(shared, route)}. Continue with: anaplan-autoload resume {quote(route)}")
    tell_strangers(cli, file, strangers)


def resume(context: typer.Context, route: RouteName, file: RoutesFile = None) -> None:
    """Continue loading by a route: waiting uploads are loaded now. This ends a pause; a held lane needs a new log-in.

    Keys with --json: lane, routes, paused.
    """
    cli = cli_of(context)
    routes, ledger, function = read_routes(cli, file), the_ledger(cli), the_function(cli)
    lane = find_lane(routes, ledger, route)
    found, strangers = ledger.lane(lane), differences(routes, ledger, [lane])
    let_go(ledger, function.send, lane)
    shared = route_names(routes, lane)
    cli.out.record({"lane": lane, "routes": shared, "paused": False}, _COLUMNS)
    if found.is_paused(wall_clock()):
        cli.out.done(f"Resumed: {_all(shared, route)}.")
    else:
        cli.out.hint(f"Not paused: {_all(shared, route)}.")
    if found.held is not None:
        tell_held(cli.out, shared or [lane])
    tell_strangers(cli, file, strangers)


def tell_held(out: Output, names: Iterable[str]) -> None:
    """Print the remedy for held lanes, named by their routes."""
    if shown := ", ".join(names):
        out.warning(f"{shown}: {HELD}")


def tell_paused(out: Output, names: Iterable[str]) -> None:
    """Say which lanes, named by their routes, load nothing because they are paused."""
    for name in names:
        out.warning(f"{name}: paused, so nothing is loaded. Continue with: anaplan-autoload resume {quote(name)}")


def differences(routes: Routes, ledger: Ledger, lanes: Iterable[str]) -> list[str]:
    """Signs that the function has other routes than these; of `lanes`, those that the ledger does not know."""
    pending = {found.lane for found in ledger.pending()}
    unknown = stray_lanes(routes, ledger)
    unseen = [
        name
        for lane in lanes
        if lane not in pending and _is_untouched(ledger, lane)
        for name in route_names(routes, lane)
    ]
    return [
        *([f"the ledger has work in lanes that it does not name ({', '.join(unknown)})"] if unknown else []),
        *([f"nothing was ever uploaded in the lane of {', '.join(unseen)}"] if unseen else []),
    ]


def stray_lanes(routes: Routes, ledger: Ledger) -> list[str]:
    """The lanes that have work but none of these routes, each named by what waits in it."""
    return [", ".join(found.oldest) or found.lane for found in ledger.pending() if found.lane not in routes.lanes]


def tell_strangers(cli: Cli, file: str | None, found: Sequence[str]) -> None:
    """Say that the routes file may not be the deployed one, if `differences` found any."""
    path = find_routes_path(cli, file)
    if found and path:
        cli.out.hint(f"By {path}, {'; '.join(found)}. If it is not the file that is deployed, name that with --file.")


def _is_untouched(ledger: Ledger, lane: str) -> bool:
    """Whether the lane has nothing but a pause."""
    return (
        replace(ledger.lane(lane), paused=False, paused_until=0) == Lane()
        and next(ledger.runs(lane, at_a_time=1), None) is None
    )


def find_lane(routes: Routes, ledger: Ledger, wanted: str) -> str:
    """The lane of that route, or of that id: routes that were removed have left their lanes behind.

    Raises `CommandFailed` that says which routes there are.
    """
    if route := next((route for route in routes if route.name == wanted), None):
        return route.lane_id
    pending = ledger.pending()
    if wanted in routes.lanes or any(found.lane == wanted for found in pending):
        return wanted
    if left := next((found.lane for found in pending if wanted in found.oldest), None):
        return left
    raise no_such_route(wanted, routes)


def _all(names: list[str], otherwise: str) -> str:
    return ", ".join(names) or otherwise
