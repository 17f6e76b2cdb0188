"""Finds the service's routes, ledger and function for the commands of this package."""

from __future__ import annotations

import json
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.domain import routes
from anaplan_autoload_cli.completion import offered_routes
from anaplan_autoload_cli.login import LEASE_MS
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.package import deployed_routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_lambda import LambdaClient

    from anaplan_autoload.domain.routes import Route, Routes
    from anaplan_autoload_cli.context import Cli

USUAL_ROUTES = (Path("src/routes.toml"), Path("routes.toml"))
"""Where to look for the routes file: in the project, then here."""

RoutesFile = Annotated[
    str | None, typer.Option("--file", help="The routes; default: src/routes.toml, else routes.toml.")
]
RouteName = Annotated[
    str,
    typer.Argument(metavar="ROUTE", help="The route's name.", show_default=False, autocompletion=offered_routes),
]


class Place(Struct, frozen=True):
    """An object's place in S3."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"


def place_of(url: str) -> Place:
    """The place that `s3://bucket/key` names; raises `CommandFailed` for anything else."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise CommandFailed(f"{url!r} names no object.", remedy="Write it as s3://bucket/key, the key not URL-encoded.")
    return Place(bucket, key)


def object_named(cli: Cli, routes: Routes, text: str) -> Place:
    """The place of an object given as `s3://bucket/key`, or as a key alone: in its route's bucket, else in the inbox.

    Raises `CommandFailed` where the text names none, or the key's bucket is not known.
    """
    if "://" in text or not text:
        return place_of(text)
    buckets = {route.bucket for route in routes if route.covers(text) and route.bucket}
    bucket = buckets.pop() if len(buckets) == 1 else cli.settings.get("inbox")
    if bucket is None:
        raise CommandFailed(
            f"It is not known which bucket {text!r} is in.",
            remedy=f"Write it as s3://bucket/{text}, or name the inbox with --inbox or --stack.",
        )
    return Place(bucket, text)


def did_you_mean(wanted: str, names: Iterable[str], otherwise: str) -> str:
    """The names that come close to a mistyped one, else what else to say."""
    known = {name.casefold(): name for name in names}
    close = [known[name] for name in get_close_matches(wanted.casefold(), known, n=3)]
    return f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else otherwise


def no_such_route(wanted: str, routes: Routes) -> CommandFailed:
    """The error for a route that is not in the routes file."""
    names = [route.name for route in routes]
    return CommandFailed(
        f"There is no route {wanted!r}.",
        remedy=did_you_mean(wanted, [*names, *routes.lanes], f"The routes file has: {', '.join(names)}."),
    )


def find_routes_path(cli: Cli, given: str | None) -> Path | None:
    """The routes file that is named, else the first of the usual ones; None where there is none."""
    if named := cli.settings.get("routes", given):
        return Path(named)
    return next((path for path in USUAL_ROUTES if path.exists()), None)


def routes_path(cli: Cli, given: str | None) -> Path:
    """As `find_routes_path`; raises `CommandFailed` where there is none."""
    if path := find_routes_path(cli, given):
        return path
    raise CommandFailed(
        f"There is no routes file: neither {USUAL_ROUTES[0]} nor {USUAL_ROUTES[1]}.",
        remedy="Go to the project's directory, name the file with --file, or name the stack with --stack.",
    )


def read_routes(cli: Cli, given: str | None) -> Routes:
    """The routes of that file, else those that are deployed with the function, and then a hint says so.

    Raises `RoutesInvalid` where the file holds a mistake, `CommandFailed` where there are no routes to be had.
    """
    path = find_routes_path(cli, given)
    if path is None and (alias := cli.settings.get("function")):
        found = deployed_routes(cli.aws.client("lambda"), alias)
        cli.out.hint(f"There is no routes file here. These are the routes deployed with {alias}.")
        return found
    return routes.load(path or routes_path(cli, given))


def routes_name(cli: Cli, given: str | None) -> str:
    """How messages name the routes of `read_routes`."""
    path = find_routes_path(cli, given)
    return str(path) if path else "the deployed routes.toml"


def known_routes(cli: Cli, given: str | None = None) -> list[Route]:
    """The routes of that file, or of the usual one; none if it is not valid. For commands that can work without."""
    try:
        return list(routes.load(routes_path(cli, given)))
    except (CommandFailed, routes.RoutesInvalid):
        return []


def named(found: Routes, name: str) -> Route:
    """The route of that name; raises `CommandFailed` that says which there are."""
    if route := next((route for route in found if route.name == name), None):
        return route
    raise no_such_route(name, found)


def the_ledger(cli: Cli) -> Ledger:
    """The function's ledger."""
    return Ledger(cli.aws.client("dynamodb"), cli.settings.require("table"), LEASE_MS)


class FunctionAlias:
    """The function, as somebody who sends it events sees it."""

    def __init__(self, client: LambdaClient, alias: str) -> None:
        """`alias` is its alias's ARN: a durable function answers to no other name."""
        self._client = client
        self._alias = alias

    def send(self, event: object) -> None:
        """Send an event, to be handled in a new execution; see `send_text`."""
        self.send_text(json.dumps(event, ensure_ascii=False))

    def send_text(self, event: str) -> None:
        """Send an event, as JSON text. It is the function's once this returns; raises what Lambda refuses it with."""
        answer: Any = self._client.invoke(FunctionName=self._alias, InvocationType="Event", Payload=event.encode())
        if answer["StatusCode"] != HTTPStatus.ACCEPTED:
            raise CommandFailed(
                "The function did not take the event.",
                asked=f"Invoke {self._alias}",
                answered=str(answer["StatusCode"]),
                remedy="Check that --function is the alias of the function.",
            )


def the_function(cli: Cli) -> FunctionAlias:
    """The function, through its alias."""
    return FunctionAlias(cli.aws.client("lambda"), cli.settings.require("function"))
