"""`routes check` and `routes match`: check routes, and see which route an upload takes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain import rules
from anaplan_autoload.domain.contents import as_toml, learned
from anaplan_autoload.domain.near import explain
from anaplan_autoload.domain.patterns import doubts
from anaplan_autoload.domain.routes import Routes
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.times import iso
from anaplan_autoload_cli.cloudworks.workspace import Workspace
from anaplan_autoload_cli.completion import RouteName
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.lazy import group
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.files import DataFile, beginning_of
from anaplan_autoload_cli.service.findings import Finding, failed, ok, show, warning
from anaplan_autoload_cli.service.online import AnaplanTenant, check_routes
from anaplan_autoload_cli.service.places import (
    RoutesFile,
    Source,
    named,
    object_named,
    read_routes,
    routes_source,
)
from anaplan_autoload_cli.settings import NoSuchStack

if TYPE_CHECKING:
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.routes_file.mistakes import Mistake
    from anaplan_autoload_cli.context import Cli

app = group("Push, check and compare routes, and see which route an upload takes.")

REPORTS_PREFIX = "reports/"
SAMPLE_INTEGRATION = "a2fb43a93bc84bcb9f37dd59a75eb940"
"""The integration in the project's sample of a routes file. It does not exist."""

_COLUMNS = (
    Column("object", "Object"),
    Column("route", "Route"),
    Column("why", "Why"),
    Column("excluded_by", "Ignored for"),
    Column("integration", "Integration"),
    Column("flow", "Flow"),
    Column("load", "Load"),
    Column("stage_to", "Stage to"),
    Column("lane", "Lane"),
    Column("window", "Window"),
    Column("opens_at", "Opens"),
    Column("needs", "Needs"),
    Column("within", "Within, s"),
    Column("check", "Check"),
    Column("near_misses", "Others"),
)
_OF_A_ROUTE = (
    *("route", "integration", "flow", "load", "stage_to", "lane"),
    *("window", "opens_at", "needs", "within", "check"),
)
"""What `match` says of the route that takes an upload."""


@app.command()
def check(
    context: typer.Context,
    path: Annotated[str | None, typer.Argument(metavar="FILE", help="Short for --file.")] = None,
    online: Annotated[bool, typer.Option("--online", help="Compare it with Anaplan too.")] = False,
    file: RoutesFile = None,
) -> None:
    """Check routes for every mistake that the function would refuse, and with --online against Anaplan.

    Without a file, and with a stack, these are the routes in the ledger. To see what a push would change too, use
    routes push FILE --check-only.

    A prefix or suffix that will hardly match anything, such as incoming/* or %20, is a warning.

    Online, for each route: that its integration or flow exists and can be seen, reads the uploaded key or stage_to, and
    from the right bucket; and that no export lands under a route. Exit code 1 if any check failed.

    Keys with --json: status (ok, warning, failed or skipped), about, what, remedy.

    Example:

        anaplan-autoload routes check routes.toml --online
    """
    cli = cli_of(context)
    if path and file:
        raise typer.BadParameter("Name the file once.")
    findings, found = offline(routes_source(cli, path or file), reports_of(cli), upload_buckets(cli))
    if online and found is not None:
        findings += against_anaplan(cli, found)
    show(cli.out, findings)


@app.command()
def match(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="s3://…|KEY", help="The file; it need not exist.", show_default=False)],
    file: RoutesFile = None,
) -> None:
    """Which route an upload takes, and why: the longest matching prefix wins.

    Keys with --json: object, route, why, excluded_by (the pattern for which the route ignores it), integration, flow,
    load, stage_to, lane, window, opens_at (null while the window is open, or where there is none), needs, within
    (seconds), check (as in routes.toml), near_misses (route, why).

    Example:

        anaplan-autoload routes match s3://finance-inbox/incoming/accounts/2026-11.csv
    """
    cli = cli_of(context)
    routes = read_routes(cli, file)
    place = object_named(cli, routes, url)
    explained = explain(routes, place.bucket, place.key)
    misses = [{"route": miss.route.name, "why": miss.why} for miss in explained.near_misses]
    record = {
        "object": place.url,
        "why": explained.why,
        "excluded_by": explained.excluded_by,
        **_what_it_does(explained.route),
    }
    if cli.out.as_json:
        cli.out.record(record | {"near_misses": misses}, _COLUMNS)
    else:
        cli.out.record(record | {"near_misses": [f"{miss['route']}: {miss['why']}" for miss in misses]}, _COLUMNS)


@app.command()
def learn(context: typer.Context, name: RouteName, data: DataFile, file: RoutesFile = None) -> None:
    """Print the check that a good file passes, to paste into its route: columns, delimiter and encoding.

    If a name in the header is empty, appears twice or contains the delimiter, the other columns are required.

    Keys with --json: route, check (the line).

    Example:

        anaplan-autoload routes learn accounts Accounts.csv
    """
    cli = cli_of(context)
    route = named(read_routes(cli, file), name)
    try:
        check = learned(*beginning_of(data))
    except ValueError as error:
        raise CommandFailed(
            f"Nothing can be learned from {data}: {error}.", remedy="Name a CSV file whose first line has the columns."
        ) from None
    line = as_toml(check)
    if cli.out.as_json:
        cli.out.record({"route": route.name, "check": line}, _COLUMNS)
        return
    cli.out.text(line)
    cli.out.hint(f'Put this line into [[route]] "{route.name}", then: anaplan-autoload routes push FILE')


def against_anaplan(cli: Cli, found: Routes) -> list[Finding]:
    """What Anaplan says about the routes."""
    with cli.out.progress("Asking Anaplan"):
        tenant = AnaplanTenant(cli.cloudworks, Workspace(cli.cloudworks))
        return list(check_routes(found, tenant, upload_buckets(cli)))


def offline(source: Source, reports: tuple[str, str] | None, buckets: list[str]) -> tuple[list[Finding], Routes | None]:
    """What the function would say about the routes, with warnings, and the routes if they are valid.

    `buckets`: those that uploads come from, as far as they are known.
    """
    try:
        found = source.parse(reports)
    except RoutesInvalid as error:
        return [_refused(source, mistake) for mistake in error.mistakes], None
    names = ", ".join(route.name for route in found)
    return [
        ok(source.about, f"{source} has no mistakes: {names}"),
        *_samples(source, found),
        *doubtful(str(source), found, buckets),
    ], found


def doubtful(name: str, found: Routes, buckets: list[str]) -> list[Finding]:
    """A warning for each prefix, suffix and `stage_to` that is probably a mistake; `name` is the file's."""
    return [warning(f"route {doubt.route}", f"{name}: {doubt.what}", doubt.remedy) for doubt in doubts(found, buckets)]


def reports_of(cli: Cli) -> tuple[str, str] | None:
    """Where the function saves rejected rows; None if it is not known, for example without a stack or without AWS."""
    with suppress(ClientError, BotoCoreError, NoSuchStack):
        if bucket := cli.settings.get("reports"):
            return bucket, REPORTS_PREFIX
    return None


def upload_buckets(cli: Cli) -> list[str]:
    """The known buckets of uploads."""
    with suppress(ClientError, BotoCoreError, NoSuchStack):
        arns = (cli.settings.get("existing_buckets") or "").split(",")
        buckets = [cli.settings.get("inbox"), *(arn.strip().rpartition(":")[2] for arn in arns)]
        return [bucket for bucket in buckets if bucket]
    return []


def _samples(source: Source, found: Routes) -> list[Finding]:
    """The routes that still have the sample's integration, which the function cannot tell from another."""
    return [
        warning(
            f"route {route.name}",
            f"{SAMPLE_INTEGRATION} is the sample's id: its runs would fail",
            f"Put your integration's id into {source}. See: anaplan-autoload integrations list",
        )
        for route in found
        if route.integration == SAMPLE_INTEGRATION
    ]


def _refused(source: Source, mistake: Mistake) -> Finding:
    place = f"{mistake.place}: " if mistake.place else ""
    return failed(source.about, f"{place}{mistake.reason}", mistake.remedy)


def _what_it_does(route: Route | None) -> dict[str, object]:
    if route is None:
        return dict.fromkeys(_OF_A_ROUTE)
    opens_at = rules.closed_until(route, wall_clock())
    return {
        "route": route.name,
        "integration": route.integration,
        "flow": route.flow,
        "load": route.load,
        "stage_to": route.stage_to,
        "lane": route.lane_id,
        "window": list(route.window) or None,
        "opens_at": iso(opens_at) if opens_at else None,
        "needs": list(route.needs) or None,
        "within": route.within if route.needs else None,
        "check": as_toml(route.check).removeprefix("check = ") if route.check else None,
    }
