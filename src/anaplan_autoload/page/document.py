"""The page of a view, and an HTML document around it for use outside a dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.aws.refusals import AWS_TROUBLE
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload.page import reading, views
from anaplan_autoload.page.asking import View
from anaplan_autoload.page.html import Html, element, joined, raw

if TYPE_CHECKING:
    from anaplan_autoload.page.host import Host
    from anaplan_autoload.page.html import Child
    from anaplan_autoload.page.services import PageServices

TROUBLE = (OperationFailed, RoutesInvalid, *AWS_TROUBLE)
"""The errors that the page explains to the user. Any other error is a bug, and goes to the log."""


def view_page(services: PageServices, host: Host, view: View) -> Html:
    """The HTML of a view. Raises the errors in `TROUBLE`."""
    if view.upload:
        return joined(_back(host), views.upload_view(reading.upload_detail(services, view), host))
    if view.run:
        return joined(_back(host), views.load_view(reading.load_detail(services, view), host))
    return views.list_view(reading.listing(services, view), host)


def notice(text: str) -> Html:
    """A line that says what was done; screen readers read it at once."""
    return element("p", text, class_="notice", role="status")


def trouble(error: Exception) -> Html:
    """A line that says why something could not be done or shown, and the remedy."""
    remedy = error.remedy if isinstance(error, OperationFailed) else None
    return element("p", f"{error}", f" {remedy}" if remedy else None, class_="trouble", role="alert")


def document(title: str, head: Child, body: Html) -> str:
    """A whole HTML document."""
    written = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            head,
        ),
        element("body", element("main", body), class_="autoload"),
        lang="en",
    )
    return raw(f"<!doctype html>{written}\n")


def _back(host: Host) -> Html:
    return element("p", host.link("All loads", View()))
