"""The fields that filter the list of loads, for hosts that can load the page again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.page.asking import NOT_LOADED, OUTCOMES, ROWS
from anaplan_autoload.page.html import Html, element, joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anaplan_autoload.page.asking import View
    from anaplan_autoload.page.reading import Listing


def fields(listing: Listing, view: View) -> Html:
    """The labelled fields, filled in with this view's values."""
    routes = [("", "all"), *((name, name) for name in _routes(listing, view))]
    outcomes = [("", "all"), (NOT_LOADED, "all but loaded"), *((each, each) for each in OUTCOMES)]
    return joined(
        _choice("route", "Route", routes, view.route),
        _choice("outcome", "Outcome", outcomes, view.outcome),
        _field("key", "Key contains", view.key, "search"),
        _field("since", "From (UTC day)", view.since, "date"),
        _field("until", "To", view.until, "date"),
        _choice("rows", "Show", [(str(rows), f"{rows:,} loads") for rows in ROWS], str(view.rows)),
    )


def _routes(listing: Listing, view: View) -> list[str]:
    return sorted({*listing.routes, *([view.route] if view.route else [])})


def _field(name: str, label: str, value: str, kind: str) -> Html:
    return _labelled(name, label, element("input", type=kind, name=name, id=f"autoload-{name}", value=value))


def _choice(name: str, label: str, choices: Iterable[tuple[str, str]], chosen: str) -> Html:
    options = [element("option", words, value=value, selected=value == chosen) for value, words in choices]
    return _labelled(name, label, element("select", *options, name=name, id=f"autoload-{name}"))


def _labelled(name: str, label: str, field: Html) -> Html:
    return element("div", element("label", label, for_=f"autoload-{name}"), field)
