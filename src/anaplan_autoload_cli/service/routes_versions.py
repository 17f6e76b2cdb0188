"""`routes push`, `show`, `pull`, `history`, `diff` and `rollback`: the versions of the routes in the ledger."""

from __future__ import annotations

import sys
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec import Struct

from anaplan_autoload.aws.routes_store import TooLarge
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import parse
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.failures import in_words
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.service.findings import COLUMNS as FINDINGS
from anaplan_autoload_cli.service.findings import Finding, skipped
from anaplan_autoload_cli.service.places import Source
from anaplan_autoload_cli.service.routes import against_anaplan, app, offline, reports_of, upload_buckets
from anaplan_autoload_cli.service.routes_in_use import NONE_YET, PUSH, described, file_of_function, routes_store
from anaplan_autoload_cli.times import MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.aws.routes_store import RoutesStore, Version
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload_cli.context import Cli

Comment = Annotated[str, typer.Option("--comment", "-m", help="Why; the history shows it.")]
Number = Annotated[int, typer.Argument(metavar="N", min=1, help="The version's number.", show_default=False)]

_VERSION = (
    Column("version", "Version"),
    Column("at", "Pushed"),
    Column("author", "By"),
    Column("comment", "Comment", fold=True),
)


class Changes(Struct, frozen=True):
    """What another text does to the routes."""

    added: tuple[str, ...]
    """Routes' names."""
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    diff: str
    """The texts compared line by line, as `diff -u` does it."""


@app.command()
def push(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The routes, such as routes.toml.", show_default=False)],
    comment: Comment = "",
    check_only: Annotated[bool, typer.Option("--check-only", help="Check and compare; write nothing.")] = False,
    without_anaplan: Annotated[bool, typer.Option("--offline", help="Do not ask Anaplan.")] = False,
) -> None:
    """Start to use routes: check them, show what changes, ask, and write them into the ledger as a new version.

    They are checked as by routes check --online. If Anaplan cannot be asked, its checks are skipped with a warning. A
    check that fails stops the push. If somebody else pushes in the meantime, nothing is written. The function uses the
    new routes within 30 seconds; uploads that wait already are loaded by the route that they were recorded with.

    Keys with --json: pushed, version (in use now), replaced, author, at, comment, added, removed, changed (names of
    routes), diff, findings (status, about, what, remedy).

    Examples:

        anaplan-autoload routes push routes.toml -m "Load actuals too" --stack autoload

        anaplan-autoload routes push routes.toml --check-only
    """
    cli = cli_of(context)
    text = _read(file)
    findings, found = offline(_source(file, text), reports_of(cli), upload_buckets(cli))
    if found is not None and not without_anaplan:
        findings += _online(cli, found)
    _stop_if_failed(cli, findings)
    store = routes_store(cli)
    current = store.current()
    changes = _changes(current, text, str(file))
    if check_only:
        _tell(cli, current, changes, findings, pushed=False)
        return
    _put(cli, store, current, text, comment, changes, findings)


@app.command()
def show(
    context: typer.Context,
    version: Annotated[int | None, typer.Option("--version", min=1, help="This one, not the one in use.")] = None,
) -> None:
    """The routes in use: which version, pushed when and by whom, and their text.

    Keys with --json: version, at, author, comment, text.
    """
    cli = cli_of(context)
    found = _wanted(routes_store(cli), version)
    if cli.out.as_json:
        cli.out.record(_record(found) | {"text": found.text}, _VERSION)
        return
    cli.out.hint(f"{_capital(described(found))}.")
    _tell_flaw(cli, found)
    _tell_file_of_function(cli)
    cli.out.text(found.text)


@app.command()
def pull(
    context: typer.Context,
    version: Annotated[int | None, typer.Option("--version", min=1, help="This one, not the one in use.")] = None,
) -> None:
    """Print the text of the routes in use and nothing else, exactly as it was pushed.

    Example:

        anaplan-autoload routes pull > routes.toml
    """
    cli = cli_of(context)
    found = _wanted(routes_store(cli), version)
    if found.flaw is not None:
        raise CommandFailed(f"Version {found.number} cannot be read: {found.flaw}.", remedy=PUSH)
    sys.stdout.write(found.text)


@app.command()
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 25,
) -> None:
    """Every version of the routes, the newest first: when, by whom, and why.

    Keys with --json: version, at, author, comment, in_use.
    """
    cli = cli_of(context)
    store = routes_store(cli)
    current = store.current()
    records = [
        _record(each) | {"in_use": current is not None and each.number == current.number}
        for each in islice(store.versions(), limit)
    ]
    cli.out.rows(records, (*_VERSION, Column("in_use", "In use")), nothing=f"{NONE_YET} {PUSH}")


@app.command()
def diff(
    context: typer.Context,
    one: Annotated[str | None, typer.Argument(metavar="FILE|N", help="A file, or a version.")] = None,
    two: Annotated[int | None, typer.Argument(metavar="M", min=1, help="Another version.")] = None,
) -> None:
    """Compare routes: version N with M or with those in use, those in use with a file, or with those before.

    Keys with --json: added, removed, changed (names of routes), diff.

    Examples:

        anaplan-autoload routes diff routes.toml     (what a push would change)

        anaplan-autoload routes diff                 (what the last push changed)

        anaplan-autoload routes diff 3 5
    """
    cli = cli_of(context)
    store = routes_store(cli)
    if one is not None and not one.isdecimal():
        if two is not None:
            raise CommandFailed("A file is compared with the routes in use only.", remedy="Leave the number out.")
        changes = _changes(store.current(), _read(Path(one)), one)
    else:
        newer = _wanted(store, two)
        older = _wanted(store, int(one)) if one else store.version(newer.number - 1)
        changes = _changes(older, newer.text, newer.name)
    if cli.out.as_json:
        cli.out.record(msgspec.to_builtins(changes), ())
    else:
        _show(cli, changes)


@app.command()
def rollback(context: typer.Context, number: Number, comment: Comment = "") -> None:
    """Go back to an earlier version, as a new version with its text.

    Keys with --json: as for push.

    Example:

        anaplan-autoload routes rollback 4
    """
    cli = cli_of(context)
    store = routes_store(cli)
    version = _wanted(store, number)
    version.routes(reports_of(cli))  # refuse what the function could not understand
    current = store.current()
    changes = _changes(current, version.text, version.name)
    _put(cli, store, current, version.text, comment or f"Roll back to version {number}", changes, ())


# What push and rollback share.


def _put(
    cli: Cli,
    store: RoutesStore,
    current: Version | None,
    text: str,
    comment: str,
    changes: Changes,
    findings: Sequence[Finding],
) -> None:
    """Show what changes, ask, and write it; raises `CommandFailed` if somebody else pushed first."""
    if current is not None and current.flaw is None and current.text == text:
        _tell(cli, current, changes, findings, pushed=False)
        cli.out.hint(f"Nothing to do: these are the routes in use ({described(current)}).")
        return
    if not cli.out.as_json:
        _show(cli, changes)
    target = cli.settings.get("stack") or cli.settings.require("table")
    cli.out.confirm(f"Use these routes for {target}, in place of {_number(current)}?")
    author = cli.aws.client("sts").get_caller_identity()["Arn"]
    try:
        pushed = store.push(text, replaces=current, author=author, comment=comment, now=wall_clock())
    except TooLarge as error:
        raise CommandFailed(str(error)) from error
    if pushed is None:
        raise _somebody_was_faster(store, current)
    _tell(cli, pushed, changes, findings, pushed=True, replaced=current.number if current else None)
    cli.out.done(f"Version {pushed.number} is in the ledger. The function uses it within 30 seconds.")
    _tell_file_of_function(cli)


def _tell(
    cli: Cli,
    version: Version | None,
    changes: Changes,
    findings: Sequence[Finding],
    *,
    pushed: bool,
    replaced: int | None = None,
) -> None:
    """Print, with `--json`, what was or would be done; without, the difference where nothing was written."""
    if cli.out.as_json:
        about = _record(version) if version else dict.fromkeys(("version", "at", "author", "comment"))
        record = {"pushed": pushed, **about, "replaced": replaced, **msgspec.to_builtins(changes)}
        cli.out.record(record | {"findings": msgspec.to_builtins(findings)}, ())
        return
    if worth := [msgspec.to_builtins(each) for each in findings if each.status != "ok"]:
        cli.out.rows(worth, FINDINGS)
    if not pushed:
        _show(cli, changes)


def _somebody_was_faster(store: RoutesStore, shown: Version | None) -> CommandFailed:
    found = store.current()
    if found is None or (shown is not None and found.stamp == shown.stamp):
        return CommandFailed(
            "Somebody else is pushing routes at this moment; nothing was written.", remedy="Try again."
        )
    return CommandFailed(
        f"Somebody else pushed first, so nothing was written: {described(found)} is in use, not {_number(shown)}.",
        remedy="See what they changed: anaplan-autoload routes diff. Take it into your file, and push again.",
    )


def _number(version: Version | None) -> str:
    return f"version {version.number}" if version else "none"


# Checking.


def _online(cli: Cli, found: Routes) -> list[Finding]:
    """What Anaplan says about the routes; if it cannot be asked, one finding that says why."""
    try:
        return against_anaplan(cli, found)
    except Exception as error:  # if Anaplan cannot be asked, the routes may still be right
        failure = error if isinstance(error, CommandFailed) else in_words(error, cli)
        return [skipped("Anaplan", f"it could not be asked: {failure.message.rstrip('.')}", failure.remedy)]


def _stop_if_failed(cli: Cli, findings: Sequence[Finding]) -> None:
    """Show what was found and raise `CommandFailed` where a check failed."""
    wrong = [each for each in findings if each.status == "failed"]
    if not wrong:
        return
    shown = findings if cli.out.as_json else [each for each in findings if each.status != "ok"]
    cli.out.rows([msgspec.to_builtins(each) for each in shown], FINDINGS)
    raise CommandFailed(
        f"{len(wrong)} of {len(findings)} checks failed; nothing was written.",
        remedy="Each says what to do. --offline leaves out what concerns Anaplan.",
    )


# Texts.


def _read(file: Path) -> str:
    """A routes file's text, byte for byte, without a byte order mark."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandFailed(f"{file} is not UTF-8 text.", remedy="Save it as UTF-8.") from None
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.", remedy="Name a file that exists.") from None


def _source(file: Path, text: str) -> Source:
    return Source(str(file), "routes file", lambda reports: parse(text, str(file), reports))


def _wanted(store: RoutesStore, number: int | None) -> Version:
    """A version, or the one in use; raises `CommandFailed` where there is none."""
    found = store.current() if number is None else store.version(number)
    if found is not None:
        return found
    newest = next(store.versions(), None)
    if newest is None:
        raise CommandFailed(NONE_YET, remedy=PUSH)
    if number is None:
        raise CommandFailed(
            "No version is in use, although there are some: somebody deleted the item (pk routes, sk current).",
            remedy=f"Go back to one: anaplan-autoload routes rollback {newest.number}.",
        )
    raise CommandFailed(
        f"There is no version {number}; the newest is {newest.number}.", remedy="See: anaplan-autoload routes history."
    )


def _changes(before: Version | None, after: str, name: str) -> Changes:
    """What `after` changes of a version; `name` is what the text is called."""
    old, new = _by_name(before.text if before else ""), _by_name(after)
    old_name = before.name if before else "no routes"
    lines = unified_diff((before.text if before else "").splitlines(), after.splitlines(), old_name, name, lineterm="")
    return Changes(
        added=tuple(each for each in new if each not in old),
        removed=tuple(each for each in old if each not in new),
        changed=tuple(each for each in new if each in old and new[each] != old[each]),
        diff="\n".join(lines),
    )


def _by_name(text: str) -> dict[str, object]:
    """The routes of a text by their names; none if it has mistakes."""
    try:
        return {route.name: route for route in parse(text, "")}
    except RoutesInvalid:
        return {}


def _show(cli: Cli, changes: Changes) -> None:
    if changes.diff:
        cli.out.text(changes.diff)
    named = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)
    cli.out.hint(f"Routes {said}." if said else "No route changes.")


def _record(version: Version) -> dict[str, object]:
    return {"version": version.number, "at": version.at, "author": version.author, "comment": version.comment}


def _tell_flaw(cli: Cli, version: Version) -> None:
    if version.flaw is not None:
        cli.out.warning(f"Version {version.number} cannot be read: {version.flaw}. {PUSH}")


def _tell_file_of_function(cli: Cli) -> None:
    if file := file_of_function(cli):
        cli.out.warning(
            f"The function does not use the ledger's routes: its variable ROUTES_FILE names {file} in its package."
        )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
