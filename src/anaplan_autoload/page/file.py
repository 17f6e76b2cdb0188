"""The page as one self-contained file: the loads with their details, and filters that use only CSS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from anaplan_autoload.domain.times import iso
from anaplan_autoload.page import reading, views
from anaplan_autoload.page.asking import OUTCOMES
from anaplan_autoload.page.document import document
from anaplan_autoload.page.html import Html, element, joined
from anaplan_autoload.page.style import CSS, policy, sheet
from anaplan_autoload.report.text import readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anaplan_autoload.page.asking import Act, View
    from anaplan_autoload.page.reading import Listing
    from anaplan_autoload.page.services import PageServices


class FileHost:
    """The page in a file: links lead to loads in the same file, and there are no actions."""

    def __init__(self, anchors: dict[str, str]) -> None:
        """`anchors`: where in the file each load is, by its `View.run`."""
        self._anchors = anchors

    def link(self, words: str, view: View) -> Html:
        """A link to a load in the file, or the words alone if it is not there."""
        anchor = self._anchors.get(view.run)
        return element("a", words, href=f"#{anchor}") if anchor else element("span", words)

    def filters(self, listing: Listing) -> Html:
        """Radio buttons. The style sheet hides the rows that they exclude."""
        used = [each for each in OUTCOMES if any(run.outcome == each for run in listing.loads)]
        routes = [(f"r-{number}", name) for number, name in enumerate(listing.routes)]
        return joined(
            _choice("outcome", "Outcome", [("o-all", "all"), *((f"o-{each}", each) for each in used)]),
            _choice("route", "Route", [("r-all", "all"), *routes]),
        )

    def action(self, words: str, act: Act, question: str) -> None:
        """None, because a file cannot carry out actions."""


def file_page(services: PageServices, view: View) -> str:
    """The document with a view's loads, as the ledger has them now."""
    listing = reading.listing(services, view)
    anchors = {views.view_of_load(run).run: f"load-{number}" for number, run in enumerate(listing.loads)}
    host = FileHost(anchors)
    css = CSS + "".join(_rules(listing))
    head = joined(element("meta", http_equiv="Content-Security-Policy", content=policy(css)), sheet(css))
    more = "There are more loads: raise --limit. " if listing.older else ""
    written = f"{more}Written {readable(iso(listing.now))}. To retry, load, pause or resume, use the command line."
    details = [
        _section(anchors[views.view_of_load(detail.run).run], views.load_view(detail, host))
        for detail in reading.load_details(services, listing.loads)
    ]
    body = joined(views.list_view(replace(listing, older=None), host), element("p", written, class_="muted"), *details)
    return document("Load history", head, body)


def _section(anchor: str, content: Html) -> Html:
    back = element("p", element("a", "Back to the list", href=f"#{views.LIST}"))
    return element("section", content, back, class_="load", id=anchor)


def _choice(group: str, legend: str, choices: Iterable[tuple[str, str]]) -> Html:
    return element("fieldset", element("legend", legend), *(_radio(group, value, words) for value, words in choices))


def _radio(group: str, value: str, words: str) -> Html:
    button = element("input", type="radio", name=group, id=value, checked=value.endswith("-all"))
    return element("span", button, " ", element("label", words, for_=value))


def _rules(listing: Listing) -> Iterator[str]:
    """Rules that hide the rows of other outcomes and routes while a button is chosen."""
    for each in (*(f"o-{each}" for each in OUTCOMES), *(f"r-{number}" for number in range(len(listing.routes)))):
        yield f".autoload:has(#{each}:checked) tr.o:not(.{each}) {{ display: none; }}\n"
