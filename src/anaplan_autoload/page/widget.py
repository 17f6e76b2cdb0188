"""The page as a custom widget of a CloudWatch dashboard: the handler of the function `Page`.

The dashboard calls it synchronously and shows the HTML that it returns. A `<cwdb-action>` makes the element before it
call the function again, with the JSON within, and what the widget's fields hold in `widgetContext.forms.all`. See
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/add_custom_widget_dashboard_about.html
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from anaplan_autoload.page.acting import perform
from anaplan_autoload.page.asking import Act, View, act_of, fields_of, view_of
from anaplan_autoload.page.document import TROUBLE, notice, trouble, view_page
from anaplan_autoload.page.filters import fields
from anaplan_autoload.page.html import Html, element, joined, raw
from anaplan_autoload.page.services import PageServices, settings_from
from anaplan_autoload.page.style import sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_durable_execution_sdk_python.types import LambdaContext

    from anaplan_autoload.page.reading import Listing

DESCRIBED = """\
## Load history

What Autoload for Anaplan loaded, and what its lanes are doing. Days that are left empty are those of the dashboard.

### Widget parameters

Param | Description
---|---
**route** | Only the loads of this route

### Example parameters

``` yaml
route: accounts
```
"""
_logger = Logger(service="anaplan-autoload-page", location=None)


class WidgetHost:
    """A widget: its buttons call the function with this ARN again."""

    def __init__(self, endpoint: str, view: View) -> None:
        """`view` is shown again after an act."""
        self._endpoint = endpoint
        self._view = view

    def link(self, words: str, view: View) -> Html:
        """A button that looks like a link; unlike a link without an address, the keyboard reaches it."""
        return joined(element("button", words, type="button", class_="link"), self._call({"view": fields_of(view)}))

    def filters(self, listing: Listing) -> Html:
        """The fields. The dashboard sends their contents with each call."""
        button = element("button", "Filter", type="button", class_="btn btn-primary")
        clear = element("button", "Clear", type="button", class_="btn")
        chosen, none = self._call({"filter": True}), self._call({"view": {}})
        return element("form", fields(listing, self._view), button, chosen, clear, none, class_="filters")

    def action(self, words: str, act: Act, question: str) -> Html:
        """A button; the dashboard asks the question."""
        request = {"act": fields_of(act), "view": fields_of(self._view)}
        return joined(element("button", words, type="button", class_="btn"), self._call(request, question))

    def _call(self, request: Mapping[str, object], question: str | None = None) -> Html:
        return element(
            "cwdb-action",
            script_safe(request),
            action="call",
            display="widget",
            endpoint=self._endpoint,
            confirmation=plain(question) if question else None,
        )


def handler(event: dict[str, Any], context: LambdaContext) -> str:
    """Answer the dashboard: HTML, or the widget's documentation in Markdown."""
    if "describe" in event:
        return DESCRIBED
    return answer(_services(), event, context.invoked_function_arn or "")


def answer(services: PageServices, event: dict[str, Any], endpoint: str) -> str:
    """The widget's HTML for an event; what is done is logged."""
    view, said = View(), None
    try:
        view = asked_view(event)
        if "act" in event:
            act = act_of(event["act"])
            said = notice(perform(services, act))
            _logger.info("Done on the load history page", extra={"act": fields_of(act)})
        body = view_page(services, WidgetHost(endpoint, view), within(view, event))
    except TROUBLE as error:
        _logger.warning("Not done or not shown on the load history page", extra={"reason": str(error)})
        body = joined(trouble(error), WidgetHost(endpoint, view).link("All loads", View()))
    theme = event.get("widgetContext", {}).get("theme")
    shown = element(
        "div", sheet(), said, body, class_=f"autoload {theme if theme in ('light', 'dark') else ''}".rstrip()
    )
    return str(shown)


def asked_view(event: dict[str, Any]) -> View:
    """What to show: from the button that was pressed, or else the fields, or else the widget's parameters."""
    if "view" in event:
        return view_of(event["view"])
    forms = event.get("widgetContext", {}).get("forms", {}).get("all", {})
    return view_of(forms or {"route": event.get("route", "")})


def within(view: View, event: dict[str, Any]) -> View:
    """The view with the dashboard's days, if it is a list without its own days."""
    span = event.get("widgetContext", {}).get("timeRange", {})
    span = span.get("zoom", span)
    if view.run or view.upload or view.since or view.until or view.older or "start" not in span:
        return view
    days = {name: f"{datetime.fromtimestamp(int(span[end]) / 1000, UTC):%Y-%m-%d}" for name, end in _ENDS}
    return view_of(fields_of(view) | days)


_ENDS = (("since", "start"), ("until", "end"))


def script_safe(request: Mapping[str, object]) -> Html:
    """JSON that means the same whether the dashboard reads it as text or as HTML."""
    text = json.dumps(request)
    return raw(re.sub(r"[<>&']", lambda found: f"\\u{ord(found[0]):04x}", text))


def plain(question: str) -> str:
    """A question without HTML's special characters, because it is not documented how the dashboard shows it."""
    return re.sub(r"[<>&\"'`]", " ", question)


@cache
def _services() -> PageServices:
    return PageServices(settings_from(os.environ), boto3.session.Session())
