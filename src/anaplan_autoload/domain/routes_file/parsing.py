"""From the text of a routes file to its routes."""

from __future__ import annotations

import tomllib
from pathlib import Path

from msgspec import Struct, convert, json
from msgspec.structs import replace

from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.routes_file.between_routes import conflicts, repeated_names
from anaplan_autoload.domain.routes_file.keys import CHECKS
from anaplan_autoload.domain.routes_file.mistakes import Mistake, RoutesInvalid, unknown_key
from anaplan_autoload.domain.routes_file.one_route import misfits
from anaplan_autoload.domain.routes_file.values import checked

MAX_ROUTE_BYTES = 32 * 1024
"""The largest route. It is stored with every upload, and several times in a durable execution's checkpoints."""


def load(path: Path, reports: tuple[str, str] | None = None) -> Routes:
    """Read a routes file; `reports` is the bucket and prefix of our own reports, which no route may match.

    Raises:
        RoutesInvalid: the file cannot be read or has mistakes; the error lists all of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a byte order mark first
    except UnicodeDecodeError:
        raise RoutesInvalid([Mistake("it is not UTF-8 text", "Save it as UTF-8.", file=str(path))]) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RoutesInvalid(
            [Mistake(f"it cannot be read ({reason})", "Put the routes file there.", file=str(path))]
        ) from None
    return parse(text, str(path), reports)


def parse(text: str, name: str, reports: tuple[str, str] | None = None) -> Routes:
    """The routes in a TOML text; `name` is what findings call the file, `reports` as for `load`.

    Raises:
        RoutesInvalid: the text has mistakes; the error lists all of them.
    """
    tables, mistakes = _tables(text)
    drafts = [_draft(number, table) for number, table in enumerate(tables, start=1)]
    mistakes += [mistake for draft in drafts for mistake in draft.mistakes]
    mistakes += repeated_names([draft.name for draft in drafts])
    valid = tuple(draft.route for draft in drafts if draft.route is not None)
    mistakes += conflicts(valid, reports)
    if mistakes:
        raise RoutesInvalid(replace(mistake, file=name) for mistake in mistakes)
    return Routes(valid)


class _Draft(Struct, frozen=True):
    """A `[[route]]`, as far as it could be understood."""

    name: object
    route: Route | None
    """None if anything in it is wrong."""
    mistakes: tuple[Mistake, ...]


def _tables(text: str) -> tuple[list[object], list[Mistake]]:
    """The `[[route]]` tables, not checked yet, and the mistakes outside of them."""
    try:
        text.encode()  # a lone surrogate is no text, and neither S3 nor the ledger takes it
        document: dict[str, object] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: very long numbers and deep nesting too
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        return [], [Mistake(f"it is not valid TOML: {reason}", "Correct it there.")]
    mistakes = [unknown_key(key, ["route"]) for key in document if key != "route"]
    tables = document.get("route", [])
    if not isinstance(tables, list):
        remedy = "Begin every route with [[route]], in double brackets."
        return [], [*mistakes, Mistake("route is not a list of tables", remedy)]
    if not tables and not mistakes:
        mistakes.append(Mistake("it has no route, so nothing would ever be loaded", "Add a [[route]]."))
    return tables, mistakes


def _draft(number: int, table: object) -> _Draft:
    """Check every value of one table, then how they fit together."""
    if not isinstance(table, dict):
        return _Draft(None, None, (Mistake("it is not a table", "Begin every route with [[route]].", route=number),))
    name = table.get("name")
    values, wrong = checked(table, CHECKS)
    wrong += misfits(table, values)
    route = None if wrong else convert(values, Route)
    if route and (size := len(json.encode(route))) > MAX_ROUTE_BYTES:
        reason = f"it takes {size:,} bytes, and every upload is stored with its route"
        remedy = f"Shorten its lists of names and patterns: at most {MAX_ROUTE_BYTES:,} bytes are allowed."
        route, wrong = None, [Mistake(reason, remedy)]
    shown = name if isinstance(name, str) and name else number
    return _Draft(name, route, tuple(replace(mistake, route=shown) for mistake in wrong))
