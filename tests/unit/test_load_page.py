"""The load history page's small parts: what is escaped, what is understood, and whom the laptop's server obeys."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest

from anaplan_autoload.page.asking import View, fields_of, view_of
from anaplan_autoload.page.html import element, joined, raw, safe
from anaplan_autoload.page.services import PageServices, PageSettings
from anaplan_autoload.page.style import CSS, policy
from anaplan_autoload.page.widget import plain, script_safe
from local.page import address, serve_page


@pytest.mark.parametrize(
    ("made", "html"),
    [
        (safe("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#x27;"),
        (safe("a\u202e\x00\nb"), "a   b"),
        (element("p", "<i>", raw("<br>")), "<p>&lt;i&gt;<br></p>"),
        (element("a", "x", href='"><script>'), '<a href="&quot;&gt;&lt;script&gt;">x</a>'),
        (element("input", value="", checked=True, disabled=False, id=None), '<input value="" checked>'),
        (element("label", for_="x", class_="y", aria_label="z"), '<label for="x" class="y" aria-label="z"></label>'),
        (joined("a<", None, element("b", " c ")), "a&lt;<b> c </b>"),
    ],
)
def test_everything_but_our_own_markup_is_escaped(made: str, html: str) -> None:
    assert made == html


@pytest.mark.parametrize(
    "view",
    [View(), View(route="a&b", outcome="not loaded", key='"<ä>', since="2026-11-24", until="2026-11-25", rows=1000)],
)
def test_a_view_is_the_same_after_it_was_an_address(view: View) -> None:
    assert view_of(fields_of(view)) == view
    assert view_of({**fields_of(view), "token": "unknown fields are left alone"}) == view
    assert address(view) == ("/" if view == View() else f"/?{urlencode(fields_of(view))}")


def test_what_a_button_sends_is_the_same_as_text_and_as_html() -> None:
    sent = script_safe({"key": "</cwdb-action><script>'&\u202e"})

    assert sent == '{"key": "\\u003c/cwdb-action\\u003e\\u003cscript\\u003e\\u0027\\u0026\\u202e"}'
    assert plain("Load <b>'x'</b> & \"y\"?") == "Load  b  x  /b     y ?"


def test_the_policy_allows_our_style_sheet_and_no_script() -> None:
    assert "default-src 'none'" in policy() and "script-src" not in policy()
    assert policy() != policy(CSS + " ")
    assert not re.search(r"url\(|@import|</", CSS)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server that refuses before it asks AWS anything."""
    settings = PageSettings(ledger_table="ledger", function="arn:aws:lambda:eu-west-1:1:function:autoload:live")
    with serve_page(PageServices(settings, boto3.session.Session(region_name="eu-west-1"))) as served:
        yield served


def asked(server: str, method: str, path: str, form: str = "", **headers: str) -> tuple[int, str]:
    """How it answers: the status and the text."""
    host = server.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": host, "Content-Length": str(len(form)), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(form.encode())
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        pytest.param("GET", "/", {"Host": "attacker.example"}, 403, id="a name that was made to lead here"),
        pytest.param("GET", "/", {"Host": "127.0.0.1"}, 403, id="another port"),
        pytest.param("GET", "/../etc/passwd", {}, 404, id="another path"),
        pytest.param("POST", "/act", {}, 403, id="no origin"),
        pytest.param("POST", "/act", {"Origin": "https://attacker.example"}, 403, id="another page"),
        pytest.param("POST", "/act", {"Origin": "null"}, 403, id="a page without an origin"),
        pytest.param("POST", "/act", {"Origin": "own"}, 403, id="no token"),
        pytest.param("POST", "/act", {"Origin": "own", "Host": "attacker.example"}, 403, id="another name"),
        pytest.param("PUT", "/act", {"Origin": "own"}, 501, id="another method"),
    ],
)
def test_the_laptops_page_obeys_its_own_pages_alone(
    server: str, method: str, path: str, headers: dict[str, Any], status: int
) -> None:
    own = server
    headers = {name: own if value == "own" else value for name, value in headers.items()}

    found, text = asked(server, method, path, urlencode({"do": "pause", "lane": "x", "token": "guessed"}), **headers)

    assert found == status, text
