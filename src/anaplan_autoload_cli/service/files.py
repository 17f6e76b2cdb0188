"""`check`: judge a file on this computer as the function would judge it in S3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins

from anaplan_autoload.domain.contents import HEAD_BYTES, WHOLE_BYTES, verdict, wants_whole_file
from anaplan_autoload_cli.completion import offered_routes
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.places import RoutesFile, named, read_routes

if TYPE_CHECKING:
    from anaplan_autoload.domain.contents import Problem
    from anaplan_autoload.domain.routes import Route

DataFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file to be uploaded.", show_default=False, dir_okay=False)
]
_PROBLEMS = (
    Column("about", "About"),
    Column("expected", "Expected", fold=True),
    Column("found", "Found", fold=True),
    Column("hint", "Hint", fold=True),
)


def check(
    context: typer.Context,
    data: DataFile,
    route: Annotated[
        str,
        typer.Option(metavar="NAME", help="The route.", show_default=False, autocompletion=offered_routes),
    ],
    file: RoutesFile = None,
) -> None:
    """Check a file before it is uploaded, as its route's check will check it in S3.

    It is the function's own code, for the pipeline that makes the file. Only shrink is left out, as it compares the
    file with the one loaded last. Exit code 1 if the file would be rejected.

    Keys with --json: file, route, passed, problems (about, expected, found, hint).

    Example:

        anaplan-autoload check Accounts.csv --route accounts
    """
    cli = cli_of(context)
    chosen = named(read_routes(cli, file), route)
    if chosen.check is None:
        raise CommandFailed(
            f"The route {route!r} has no check: it takes every file.",
            remedy=f"Add one to the route. A check that a good file passes: anaplan-autoload routes learn {route} FILE",
        )
    found = judged(chosen, data)
    problems = [{name: to_builtins(each)[name] for name in ("about", "expected", "found", "hint")} for each in found]
    if cli.out.as_json:
        cli.out.record({"file": str(data), "route": route, "passed": not found, "problems": problems}, ())
    elif found:
        cli.out.rows(problems, _PROBLEMS)
    if found:
        raise CommandFailed(
            f"{data} would be rejected by the route {route!r}.", remedy="Correct the file, or the route's check."
        )
    cli.out.done(f"{data} passes the check of the route {route!r}.")


def judged(route: Route, data: Path) -> tuple[Problem, ...]:
    """What is wrong with a file on this computer; raises `CommandFailed` if it cannot be read."""
    check = route.check
    if check is None:
        return ()
    content, size = beginning_of(data)
    if wants_whole_file(check, content, size):
        content = data.read_bytes()
    return verdict(check, content, size, allow_empty=route.allow_empty)


def beginning_of(data: Path) -> tuple[bytes, int]:
    """The first 64 KiB of a file, and its size; raises `CommandFailed` if it cannot be read.

    What comes through a pipe can be read only once and has no size, so all of it is read, up to `WHOLE_BYTES`.
    """
    try:
        with data.open("rb") as opened:
            if data.is_file():
                return opened.read(HEAD_BYTES), data.stat().st_size
            content = opened.read(WHOLE_BYTES + 1)
            return content if len(content) <= WHOLE_BYTES else content[:HEAD_BYTES], len(content)
    except OSError as error:
        raise CommandFailed(
            f"{data} cannot be read: {error.strerror or type(error).__name__}.", remedy="Name a file that exists."
        ) from error
