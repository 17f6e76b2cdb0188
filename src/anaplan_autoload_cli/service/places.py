"""Where the service is: its routes, its ledger and its function, as the commands of this package reach them."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.domain import routes
from anaplan_autoload_cli.login import LEASE_MS
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from anaplan_autoload.domain.routes import Route, Routes
    from anaplan_autoload_cli.context import Cli

USUAL_ROUTES = (Path("src/routes.toml"), Path("routes.toml"))
"""Where the routes file is looked for: in the project, then here."""

RoutesFile = Annotated[
    str | None, typer.Option("--file", help="The routes; default: src/routes.toml, else routes.toml.")
]
RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.", show_default=False)]


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


def routes_path(cli: Cli, given: str | None) -> Path:
    """The routes file that is named, else the first of the usual ones; raises `CommandFailed` where there is none."""
    if named := cli.settings.get("routes", given):
        return Path(named)
    if found := next((path for path in USUAL_ROUTES if path.exists()), None):
        return found
    raise CommandFailed(
        f"There is no routes file: neither {USUAL_ROUTES[0]} nor {USUAL_ROUTES[1]}.",
        remedy="Go to the project's directory, or name the file with --file.",
    )


def read_routes(cli: Cli, given: str | None) -> Routes:
    """The routes of that file; raises `RoutesInvalid` where it holds a mistake."""
    return routes.load(routes_path(cli, given))


def named(found: Routes, name: str) -> Route:
    """The route of that name; raises `CommandFailed` that says which there are."""
    if route := next((route for route in found if route.name == name), None):
        return route
    raise CommandFailed(
        f"There is no route {name!r}.", remedy=f"The routes file has: {', '.join(route.name for route in found)}."
    )


def the_ledger(cli: Cli) -> Ledger:
    """The function's ledger."""
    return Ledger(cli.aws.client("dynamodb"), cli.settings.require("table"), LEASE_MS)


class Function:
    """The function, as somebody who sends it events sees it."""

    def __init__(self, client: LambdaClient, alias: str) -> None:
        """`alias` is its alias's ARN: a durable function answers to no other name."""
        self._client = client
        self._alias = alias

    def send(self, event: object) -> None:
        """Send an event to be handled in an execution of its own; see `send_text`."""
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


def the_function(cli: Cli) -> Function:
    """The function, through its alias."""
    return Function(cli.aws.client("lambda"), cli.settings.require("function"))
