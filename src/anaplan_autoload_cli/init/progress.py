"""Looks at what is done: in AWS, at Anaplan and in the files here. Changes nothing.

What cannot be seen is `None`, with the reason in `Seen.trouble`: a new user may not have log-ins to everything yet.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.anaplan.credentials import LoginRefused, decode_secret
from anaplan_autoload.aws.secret import secret_source
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import load
from anaplan_autoload.domain.tenant import S3, Connection, Integration
from anaplan_autoload_cli.cloudworks.workspace import Workspace
from anaplan_autoload_cli.failures import in_words
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.places import the_ledger
from anaplan_autoload_cli.service.routes_in_use import routes_store
from anaplan_autoload_cli.settings import NoSuchStack

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.init.answers import Answers


class Seen(Struct, frozen=True):
    """What exists already. None: it could not be seen."""

    deployed: bool | None = None
    outputs: dict[str, str] = {}
    """The stack's."""
    confirmed: bool | None = None
    """Whether the address has confirmed its subscription."""
    bucket_tells: bool | None = None
    """Whether the existing bucket sends its events to EventBridge."""
    stored: bool | None = None
    """Whether the secret holds a log-in."""
    refused: str | None = None
    """Why Anaplan refuses it."""
    connection: Connection | None = None
    """A connection to the bucket that works."""
    integration: Integration | None = None
    near: tuple[str, ...] = ()
    """Names of integrations that are similar to the missing one."""
    looked: bool = False
    """Whether CloudWorks could be asked."""
    routed: bool = False
    """Whether the routes file runs the integration."""
    routes_file: bool = False
    """Whether there is one."""
    pushed: bool | None = None
    """Whether the routes in use run the integration."""
    loaded: bool | None = None
    """Whether anything was loaded."""
    trouble: tuple[str, ...] = ()
    """Why something could not be seen; each is a sentence."""

    @property
    def bucket(self) -> str | None:
        """The bucket that the stack made."""
        return self.outputs.get("InboxBucketName")


def look(cli: Cli, without_stack: Cli, answers: Answers, routes_file: Path) -> Seen:
    """Check everything that an upload passes. `without_stack` asks Anaplan even before there is a stack."""
    seen = _files(Seen(), routes_file, None)
    for part in (_stack, _subscription, _existing_bucket, _secret):
        seen = _guarded(cli, part, answers, seen)
    seen = _guarded(cli if seen.deployed else without_stack, _anaplan, answers, seen)
    seen = _files(seen, routes_file, seen.integration)
    return _guarded(cli, _routes, answers, seen)


def _guarded(cli: Cli, part: Callable[[Cli, Answers, Seen], Seen], answers: Answers, seen: Seen) -> Seen:
    try:
        return part(cli, answers, seen)
    except Exception as error:  # if one thing cannot be seen, the others still can
        failure = error if isinstance(error, CommandFailed) else in_words(error, cli)
        why = f"{failure.message} {failure.remedy or ''}".strip()
        return seen if why in seen.trouble else replace(seen, trouble=(*seen.trouble, why))


def _stack(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    try:
        return replace(seen, deployed=True, outputs=cli.settings.outputs)
    except NoSuchStack:
        return replace(seen, deployed=False)


def _subscription(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    topic = seen.outputs.get("MailTopicArn") or seen.outputs.get("TopicArn")
    if not topic or not answers.email:
        return seen
    pages = cli.aws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    arns = [
        each.get("SubscriptionArn", "")
        for page in pages
        for each in page["Subscriptions"]
        if each.get("Endpoint") == answers.email
    ]
    return replace(seen, confirmed=any(arn.startswith("arn:") for arn in arns))


def _existing_bucket(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    if not answers.bucket or not seen.deployed:
        return seen
    told = cli.aws.client("s3").get_bucket_notification_configuration(Bucket=answers.bucket)
    return replace(seen, bucket_tells="EventBridgeConfiguration" in told)


def _secret(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    if not seen.deployed:
        return seen
    secret = secret_source(cli.aws.client("secretsmanager"), cli.settings.require("secret_id"))
    try:
        decode_secret(secret().text)
    except LoginRefused:  # there is none yet, or it cannot be read: both have to be stored
        return replace(seen, stored=False)
    return replace(seen, stored=True)


def _anaplan(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    """CloudWorks, if a log-in is known without asking the user for one."""
    if not seen.stored and not (cli.settings.get("username") or cli.settings.get("certificate")):
        return seen
    workspace = Workspace(cli.cloudworks)
    try:
        integrations, connections = workspace.integrations(), workspace.connections()
    except LoginRefused as error:
        return replace(seen, refused=error.reason)
    buckets = {answers.bucket} if answers.bucket else {seen.bucket}
    connection = next((each for each in connections if each.type == S3 and each.works and each.bucket in buckets), None)
    named = next((each for each in integrations if answers.integration in (each.name, each.id)), None)
    detail = workspace.details(named.id) if named else None
    near = () if named else tuple(get_close_matches(answers.integration, [each.name for each in integrations]))
    return replace(seen, looked=True, connection=connection, integration=detail, near=near)


def _files(seen: Seen, routes_file: Path, integration: Integration | None) -> Seen:
    if not routes_file.exists():
        return replace(seen, routes_file=False, routed=False)
    try:
        routed = integration is not None and any(route.target == integration.id for route in load(routes_file))
    except RoutesInvalid as error:
        return replace(seen, routes_file=True, trouble=(*seen.trouble, str(error)))
    return replace(seen, routes_file=True, routed=routed)


def _routes(cli: Cli, answers: Answers, seen: Seen) -> Seen:
    """The routes in use, and whether one of this integration has loaded anything."""
    if not seen.deployed or seen.integration is None:
        return seen
    current = routes_store(cli).current()
    routes = current.routes(None) if current is not None else ()
    route = next((route for route in routes if route.target == seen.integration.id), None)
    if route is None:
        return replace(seen, pushed=False)
    latest = next(the_ledger(cli).runs(route.lane_id, at_a_time=1), None)
    return replace(seen, pushed=True, loaded=latest is not None)
