"""What the page needs from its host, because links, filters and buttons work differently in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anaplan_autoload.page.asking import Act, View
    from anaplan_autoload.page.html import Html
    from anaplan_autoload.page.reading import Listing


class Host(Protocol):
    """A place that shows the page."""

    def link(self, words: str, view: View) -> Html:
        """A link to a view, or plain words if the place cannot show it."""

    def filters(self, listing: Listing) -> Html:
        """The form that chooses which loads are listed."""

    def action(self, words: str, act: Act, question: str) -> Html | None:
        """A button that carries out an act after the user has confirmed the question; None if there are no actions.

        The question has only our own words and names from the routes, nothing from a file.
        """
