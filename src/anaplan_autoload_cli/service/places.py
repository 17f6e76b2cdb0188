"""Finds the service's routes, ledger and function for the commands of this package."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.standings import Standings
from anaplan_autoload.domain.routes import Routes
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import load
from anaplan_autoload_cli.login import LEASE_MS
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.routes_in_use import NONE_YET, PUSH, routes_in_use, routes_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_lambda import LambdaClient

    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload_cli.context import Cli

USUAL_ROUTES = (Path("src/routes.toml"), Path("routes.toml"))
"""Where to look for the routes file if no stack is named: in the project, then here."""

RoutesFile = Annotated[
    str | None, typer.Option("--file", help="The routes; default: those in use, without a stack routes.toml.")
]


class Source(Struct, frozen=True):
    """Where routes come from."""

    name: str
    """What messages call it: a file's path, or a version."""
    about: str
    """What a finding is about."""
    parse: Callable[[tuple[str, str] | None], Routes]
    """The routes; its argument is as for `routes_file.parsing.parse`. Raises `RoutesInvalid`."""

    def __str__(self) -> str:
        """Its name."""
        return self.name


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
    _check_unicode(url)
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise CommandFailed(
            f"{url!r} is not the URL of an object.", remedy="Write it as s3://bucket/key, the key not URL-encoded."
        )
    return Place(bucket, key)


def _check_unicode(text: str) -> None:
    """Raise `CommandFailed` for bytes that the terminal's encoding does not know: keys in S3 are UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CommandFailed(f"{text!r} is not UTF-8, as keys in S3 are.", remedy="Type the key again.") from None


def is_run(text: str) -> bool:
    """Whether this is a run's id and not a file: ids have neither a slash nor a dot."""
    return "/" not in text and "." not in text


def object_named(cli: Cli, routes: Routes, text: str) -> Place:
    """The place of an object given as `s3://bucket/key`, or as a key alone: in its route's bucket, else in the inbox.

    Raises `CommandFailed` if the text names no object, or the key's bucket is not known.
    """
    if "://" in text or not text:
        return place_of(text)
    _check_unicode(text)
    buckets = {route.bucket for route in routes if route.covers(text) and route.bucket}
    bucket = buckets.pop() if len(buckets) == 1 else cli.settings.get("inbox")
    if bucket is None:
        raise CommandFailed(
            f"It is not known which bucket {text!r} is in.",
            remedy=f"Write it as s3://bucket/{text}, or name the inbox with --inbox or --stack.",
        )
    return Place(bucket, text)


def did_you_mean(wanted: str, names: Iterable[str], otherwise: str) -> str:
    """The names that are close to a mistyped one; `otherwise` if there are none."""
    known = {name.casefold(): name for name in names}
    close = [known[name] for name in get_close_matches(wanted.casefold(), known, n=3)]
    return f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else otherwise


def no_such_route(wanted: str, routes: Routes) -> CommandFailed:
    """The error for a route that does not exist."""
    names = [route.name for route in routes]
    return CommandFailed(
        f"There is no route {wanted!r}.",
        remedy=did_you_mean(wanted, [*names, *routes.lanes], f"The routes are: {', '.join(names)}."),
    )


def find_routes_path(cli: Cli, given: str | None) -> Path | None:
    """The routes file that is named, else, where no stack is known, the first of the usual ones.

    None if the routes in use are meant, or if there are none.
    """
    if path := named_routes_path(cli, given):
        return path
    if _stack_is_known(cli):
        return None
    return next((path for path in USUAL_ROUTES if path.exists()), None)


def named_routes_path(cli: Cli, given: str | None) -> Path | None:
    """The routes file that is named: by an option, the environment or `.autoload.toml`."""
    named = cli.settings.get("routes", given)
    return Path(named) if named else None


def file_source(path: Path) -> Source:
    """A routes file."""
    return Source(str(path), "routes file", lambda reports: load(path, reports))


def _stack_is_known(cli: Cli) -> bool:
    return cli.settings.get("table") is not None


def _no_routes_file() -> CommandFailed:
    return CommandFailed(
        f"There is no routes file: neither {USUAL_ROUTES[0]} nor {USUAL_ROUTES[1]}.",
        remedy="Name the stack with --stack, name the file with --file, or go to the project's directory.",
    )


def routes_source(cli: Cli, given: str | None) -> Source:
    """The routes that are to be checked: a file's, else the ledger's; raises `CommandFailed` where there are none."""
    if path := find_routes_path(cli, given):
        return file_source(path)
    if not _stack_is_known(cli):
        raise _no_routes_file()
    version = routes_store(cli).current()
    if version is None:
        raise CommandFailed(NONE_YET, remedy=PUSH)
    return Source(version.name, "routes", version.routes)


def read_routes(cli: Cli, given: str | None) -> Routes:
    """The routes of the file that is named, else those in use; raises as `routes_and_origin`."""
    return routes_and_origin(cli, given)[0]


def routes_and_origin(cli: Cli, given: str | None) -> tuple[Routes, str]:
    """The routes of the file that is named, else those in use, and which these are, for people.

    Raises `RoutesInvalid` if the file has a mistake, `CommandFailed` if there are no routes.
    """
    if path := find_routes_path(cli, given):
        return load(path), str(path)
    if not _stack_is_known(cli):
        raise _no_routes_file()
    found = routes_in_use(cli)
    if found.trouble is not None:
        cli.out.warning(f"The newest routes cannot be used. In use: {found.described}. {found.trouble}")
    return found.routes, found.described


def routes_name(cli: Cli, given: str | None) -> str:
    """Where `read_routes` finds the routes, for messages such as `no route in routes.toml matches`."""
    path = find_routes_path(cli, given)
    return str(path) if path else "use"


def known_routes(cli: Cli, given: str | None = None) -> list[Route]:
    """The routes that `read_routes` gives; none if there are none. For commands that can work without."""
    with suppress(CommandFailed, RoutesInvalid, ClientError, BotoCoreError):
        return list(read_routes(cli, given))
    return []


def named(found: Routes, name: str) -> Route:
    """The route of that name; raises `CommandFailed` that says which there are."""
    if route := next((route for route in found if route.name == name), None):
        return route
    raise no_such_route(name, found)


def the_ledger(cli: Cli) -> Ledger:
    """The function's ledger."""
    return Ledger(cli.aws.client("dynamodb"), cli.settings.require("table"), LEASE_MS)


def the_standings(cli: Cli) -> Standings:
    """How each route stands, in the ledger."""
    return Standings(cli.aws.client("dynamodb"), cli.settings.require("table"))


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
        """Send an event, as JSON text. The function has it once this returns; raises Lambda's error if it is
        refused.
        """
        answer: Any = self._client.invoke(FunctionName=self._alias, InvocationType="Event", Payload=event.encode())
        if answer["StatusCode"] != HTTPStatus.ACCEPTED:
            raise CommandFailed(
                "The function did not accept the event.",
                asked=f"Invoke {self._alias}",
                answered=str(answer["StatusCode"]),
                remedy="Check that --function is the alias of the function.",
            )


def the_function(cli: Cli) -> FunctionAlias:
    """The function, through its alias."""
    return FunctionAlias(cli.aws.client("lambda"), cli.settings.require("function"))
