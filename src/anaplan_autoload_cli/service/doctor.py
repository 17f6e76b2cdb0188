"""`doctor`: everything between an upload and Anaplan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from shlex import quote
from typing import TYPE_CHECKING

import typer
from botocore.exceptions import BotoCoreError, ClientError

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.anaplan.credentials import LoginRefused, SecretInvalid, decode_secret
from anaplan_autoload.anaplan.errors import CloudWorksError
from anaplan_autoload.anaplan.oauth import OAuthCredentials
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.operations.lanes import known_lanes
from anaplan_autoload.operations.status import lane_status
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.failures import in_words
from anaplan_autoload_cli.login import may_rotate
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service import deployment
from anaplan_autoload_cli.service.deployed_service import DeployedService
from anaplan_autoload_cli.service.findings import Finding, failed, ok, show, skipped, warning
from anaplan_autoload_cli.service.lost import lost_uploads
from anaplan_autoload_cli.service.online import check_exports, check_route
from anaplan_autoload_cli.service.places import RoutesFile, Source, file_source, find_routes_path, named_routes_path
from anaplan_autoload_cli.service.routes import doubtful, offline, reports_of, upload_buckets
from anaplan_autoload_cli.service.routes_in_use import (
    NONE_YET,
    PUSH,
    described,
    file_of_function,
    routes_in_use,
    routes_store,
)
from anaplan_autoload_cli.settings import NoSuchStack
from anaplan_autoload_cli.times import count, length

if TYPE_CHECKING:
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload.operations.status import LaneStatus
    from anaplan_autoload_cli.context import Cli

Check = Callable[[DeployedService], Iterator[Finding]]

STACK_NAME_MAX = 64
"""Characters: the template names the function after its stack, and Lambda takes no longer name of a function."""

NOWHERE = "the routes are not known: no stack is named, and there is no routes file here"
OLD_SECONDS = 3600
"""An upload that waits this long is reported; the template's alarm rings then too."""


def doctor(context: typer.Context, file: RoutesFile = None) -> None:
    """Check everything between an upload and Anaplan: one line each, with the remedy if something is wrong.

    Logs in with the function's secret, once; a version of it that Anaplan has refused is not sent again. A check
    that cannot run is skipped, with the reason, and never counts as ok. Exit code 1 if any check failed, or if none of
    the most important ones could run.

    Keys with --json: status (ok, warning, failed or skipped), about, what, remedy.

    Example:

        anaplan-autoload doctor --stack autoload
    """
    cli = cli_of(context)
    findings, routes = _routes(cli, file)
    site = DeployedService(cli, routes)
    with cli.out.progress("Checking") as progress:
        for about, check in CHECKS.items():
            progress.update(f"Checking: {about}")
            findings += _because_of(findings, about) or guarded(about, check, site)
    if findings[0].about == "routes" and findings[0].status == "skipped":
        findings[:1] = _because_of(findings, "routes") or findings[:1]
    show(cli.out, findings)
    if all(finding.status == "skipped" for finding in findings if finding.about in ESSENTIAL):
        raise CommandFailed(
            f"Nothing essential could be checked: {', '.join(ESSENTIAL)}.",
            remedy="Name the stack with --stack, and look as a user who may read its parts.",
        )


def _routes(cli: Cli, file: str | None) -> tuple[list[Finding], Routes | None]:
    """The findings about the routes in use and, if a file is named, about that file too."""
    findings: list[Finding] = []
    found: Routes | None = None
    try:
        findings, found = _in_use(cli) if cli.settings.get("table") else ([], None)
        path = find_routes_path(cli, file)
    except Exception as error:  # an unexpected error must not stop the other checks
        failure = error if isinstance(error, CommandFailed) else in_words(error, cli)
        findings = [skipped("routes", failure.message.rstrip("."), failure.remedy)]
        path = named_routes_path(cli, file)
    if path is not None:
        of_file, found = offline(file_source(path), reports_of(cli), upload_buckets(cli))
        findings += of_file
    return findings or [skipped("routes", NOWHERE)], found


def _in_use(cli: Cli) -> tuple[list[Finding], Routes | None]:
    """The routes that the function uses."""
    if file_of_function(cli):
        used = routes_in_use(cli)
        sound = ok("routes", f"in use: {used.described} ({_names(used.routes)})")
        return [sound, *doubtful(used.described, used.routes, upload_buckets(cli))], used.routes
    version = routes_store(cli).current()
    if version is None:
        return [failed("routes", NONE_YET.rstrip("."), PUSH)], None
    findings, found = offline(Source(version.name, "routes", version.routes), reports_of(cli), upload_buckets(cli))
    if found is None:
        return findings, None
    return [ok("routes", f"in use: {described(version)} ({_names(found)})"), *findings[1:]], found


def _names(found: Routes) -> str:
    return ", ".join(route.name for route in found)


def _because_of(findings: list[Finding], about: str) -> list[Finding]:
    """What to report for the other checks if one failed that they all depend on."""
    barrier = next((each.about for each in findings if each.about in BARRIERS and each.status == "failed"), None)
    return [skipped(about, f"because of that: see {barrier}")] if barrier else []


def guarded(about: str, check: Check, site: DeployedService) -> list[Finding]:
    """What a check finds; where it cannot run, why."""
    findings: list[Finding] = []
    try:
        findings += check(site)
    except CommandFailed as error:
        findings.append(skipped(about, error.message.rstrip("."), error.remedy))
    except ClientError as error:
        refusal = error.response.get("Error", {})
        what = f"AWS refused {error.operation_name} ({refusal.get('Code', 'no code')}: {refusal.get('Message', '')})"
        findings.append(skipped(about, what, f"Look as a user who may {error.operation_name}, and check --stack."))
    except LoginRefused:
        findings.append(skipped(about, "there is no log-in to check this with"))
    except (BotoCoreError, CloudWorksError) as error:
        findings.append(skipped(about, str(error).rstrip(".")))
    except Exception as error:  # an answer of the wrong shape may show as any
        failure = in_words(error, site.cli)
        findings.append(skipped(about, failure.message.rstrip("."), failure.remedy))
    return findings


def account(site: DeployedService) -> Iterator[Finding]:
    """Which AWS user and account this is: every user may ask that."""
    try:
        found = site.cli.aws.client("sts").get_caller_identity()
    except ClientError as error:
        refusal = error.response.get("Error", {})
        yield failed(
            "AWS",
            f"it does not take these credentials ({refusal.get('Code', 'no code')}: {refusal.get('Message', '')})",
            "Log in to AWS again, or give other credentials with --profile.",
        )
        return
    except BotoCoreError as error:
        failure = in_words(error, site.cli)
        yield failed("AWS", failure.message.rstrip("."), failure.remedy or "Check --profile, --region and the network.")
        return
    yield ok("AWS", f"account {found['Account']}, {site.cli.aws.region_name}, as {found['Arn'].rpartition(':')[2]}")


def stack(site: DeployedService) -> Iterator[Finding]:
    """The named stack can be deployed and exists; says nothing if it does."""
    given = site.cli.settings.get("stack") or ""
    name = given.rpartition(":stack/")[2].partition("/")[0]  # it may be an ARN
    if len(name) > STACK_NAME_MAX:
        yield failed(
            "stack",
            f"the name {name} has {len(name)} characters; the function is named after the stack, and Lambda takes "
            f"{STACK_NAME_MAX}",
            f"Deploy the stack under a name of at most {STACK_NAME_MAX} characters.",
        )
        return
    try:
        _ = site.cli.settings.outputs  # asks for it
    except NoSuchStack as error:
        yield failed("stack", error.message.rstrip("."), error.remedy or "")


def secret(site: DeployedService) -> Iterator[Finding]:
    """The secret has one of the three forms, and Anaplan has not refused it."""
    try:
        credentials = decode_secret(site.secret.text)
    except LoginRefused as error:
        yield failed("secret", error.reason.rstrip("."), "Put the value into the secret; loading resumes by itself.")
        return
    if site.is_refused:
        yield failed(
            "secret",
            "Anaplan has refused this version of it; it is not sent again, because that could lock the user out",
            "Put working credentials into it: loading resumes within minutes of the new version.",
        )
        return
    if isinstance(credentials, OAuthCredentials) and credentials.rotates and may_rotate(site.cli.settings) is False:
        yield failed(
            "secret",
            "its refresh token is replaced at every use, and the function may not store the next one",
            "Deploy the stack with RefreshTokenRotates=true.",
        )
        return
    yield ok("secret", f"it holds a {credentials.kind}")


def log_in(site: DeployedService) -> Iterator[Finding]:
    """Anaplan takes the log-in, and CloudWorks its token; the user sees something."""
    try:
        connections, integrations = site.workspace.connections(), site.workspace.integrations()
    except SecretInvalid:
        yield skipped("log-in", "the secret cannot be used")
        return
    except LoginRefused as error:
        yield failed("log-in", error.reason.rstrip("."), "Correct the secret; loading resumes by itself.")
        return
    yield ok("log-in", "Anaplan accepts it")
    if integrations:
        yield ok(
            "roles", f"the user sees {count(len(integrations), 'integration')}, {count(len(connections), 'connection')}"
        )
    else:
        yield failed("roles", "the user sees no integration", NOTHING_VISIBLE)


def routes_online(site: DeployedService) -> Iterator[Finding]:
    """What every route runs exists, and reads the route's uploads."""
    if site.routes is None:
        yield skipped("routes online", "the routes have mistakes, or are not known")
    for route in site.routes or ():
        yield from check_route(route, site.tenant, site.buckets)


def exports(site: DeployedService) -> Iterator[Finding]:
    """No export lands under a route."""
    if site.routes is None:
        yield skipped("exports", "the routes have mistakes, or are not known")
    else:
        yield from check_exports(site.routes, site.tenant)


def lanes(site: DeployedService) -> Iterator[Finding]:
    """No lane is held, paused or left without a leader."""
    now = wall_clock()
    pending = site.ledger.pending()
    names = known_lanes(site.routes, pending) if site.routes else {found.lane: list(found.oldest) for found in pending}
    troubles = [
        finding
        for lane, routes in names.items()
        for finding in _troubles(lane_status(site.ledger, lane, routes, now), now)
    ]
    yield from troubles or [ok("lanes", f"none of {len(names)} is held, paused or behind")]


def _troubles(lane: LaneStatus, now: int) -> Iterator[Finding]:
    about = f"lane of {', '.join(lane.routes) or lane.lane}"
    waiting = f"{count(lane.waiting, 'upload')} waiting"
    age = lane.delay_seconds
    if lane.held:
        yield failed(
            about, f"held, because Anaplan refused the log-in; {waiting}", "Put working credentials into the secret."
        )
    elif lane.paused:
        route = quote(lane.routes[0] if lane.routes else lane.lane)
        until = f" until {lane.paused_until}" if lane.paused_until else ""
        yield warning(about, f"paused{until}; {waiting}", f"To continue: anaplan-autoload resume {route}.")
    elif lane.state == "unled" and age > OLD_SECONDS:
        yield failed(
            about,
            f"{waiting}, the oldest for {length(age)}, and no execution loads them",
            "Check that the sweep runs, and see the function's log.",
        )
    elif age > OLD_SECONDS:
        yield warning(
            about,
            f"{waiting}, the oldest for {length(age)}",
            "See what runs: anaplan-autoload status, and in CloudWorks.",
        )


CHECKS: dict[str, Check] = {
    "AWS": account,
    "stack": stack,
    "function": deployment.function,
    "inbox": deployment.notifications,
    "permission": deployment.permission,
    "other buckets": deployment.existing_buckets,
    "buckets of routes": deployment.routes_without_events,
    "sweep": deployment.sweep,
    "lost uploads": lost_uploads,
    "versions": deployment.versioning,
    "ledger": deployment.ledger,
    "secret": secret,
    "log-in": log_in,
    "routes online": routes_online,
    "exports": exports,
    "topic": deployment.topic,
    "reports": deployment.reports,
    "dead letters": deployment.dead_letters,
    "lanes": lanes,
}
"""Along an upload's way."""

BARRIERS = ("AWS", "stack")
"""If one of these fails, no other check can run."""

ESSENTIAL = ("function", "inbox", "ledger", "secret", "log-in")
"""If none of these could run, nothing is known about the service."""
