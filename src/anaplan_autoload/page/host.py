"""What the page needs of the place that shows it: links, the filters and buttons work differently in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anaplan_autoload.page.asking import Act, View
    from anaplan_autoload.page.html import Html
    from anaplan_autoload.page.reading import Listing


class Host(Protocol):
    """A place that shows the page."""

    def link(self, words: str, view: View) -> Html:
        """A link to a view; plain words where the place cannot show it."""

    def filters(self, listing: Listing) -> Html:
        """The form that chooses which loads are listed."""

    def action(self, words: str, act: Act, question: str) -> Html | None:
        """A button that does something once the question is answered with yes; None where nothing can be done.

        The question is our own words and names from the routes, nothing from a file.
        """
