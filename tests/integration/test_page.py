"""The load history page, against the function's own ledger: what it shows, and what its buttons do."""

from __future__ import annotations

import json
import re
from html import unescape
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from msgspec.structs import replace

from anaplan_autoload.page import widget
from anaplan_autoload.page.rejected import ROWS_SHOWN
from anaplan_autoload.page.services import PageServices, PageSettings
from tests.autoload import BUCKET, REPORTS, Autoload
from tests.integration.cli import ALIAS, Command, handling
from tests.integration.test_main_path import ACCOUNTS, KEY, latest
from tests.security.policy import load_template
from tests.security.privileges import PAGE_ROLE, Used, allowed

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "arn:aws:lambda:eu-west-1:123456789012:function:autoload-page"
BAD_ROWS = "Code,Name\nA1,Cash\n,Nameless\nA1,Twice\n"
OTHER = "incoming/Others.csv"
SHOWN_RUN = r'<td class="muted short">(run-\d{3})'
HOSTILE = "incoming/<img src=x onerror=alert(1)>\u202e&\"'.csv"


class Widget:
    """The page as a dashboard shows it; its buttons by their words."""

    def __init__(self, autoload: Autoload) -> None:
        settings = PageSettings(ledger_table=autoload.settings().ledger_table, function=ALIAS, reports_bucket=REPORTS)
        self.services = PageServices(settings, boto3.session.Session())
        self.html = ""

    def show(self, **event: Any) -> str:
        """What it shows for an event, without the style sheet."""
        self.html = widget.answer(self.services, event, PAGE).partition("</style>")[2]
        return self.html

    def press(self, words: str, **context: Any) -> str:
        """What the button with these words leads to."""
        [found] = re.findall(
            rf"<button[^>]*>{re.escape(words)}</button><cwdb-action [^>]*>(.*?)</cwdb-action>", self.html
        )
        return self.show(**json.loads(found), widgetContext=context)

    def press_first(self, pattern: str) -> str:
        """What the first button whose words match leads to."""
        found = re.search(rf"<button[^>]*>({pattern})</button>", self.html)
        assert found, self.html
        [asked, *_] = re.findall(rf"{re.escape(found[0])}<cwdb-action [^>]*>(.*?)</cwdb-action>", self.html)
        return self.show(**json.loads(asked))

    @property
    def text(self) -> str:
        """What people read of it."""
        return " ".join(unescape(re.sub(r"<cwdb-action.*?</cwdb-action>|<[^>]*>", " ", self.html)).split())


@pytest.fixture
def page(autoload: Autoload) -> Widget:
    """The page of the function's ledger."""
    return Widget(autoload)


def test_a_load_is_listed_with_its_lane_and_its_story(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    assert "Nothing was loaded yet." in page.show()
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    page.show()
    assert f"accounts {KEY} loaded" in page.text and "accounts idle nothing loaded" in page.text
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    run = autoload.simulator.runs[0]
    assert f"Run {run.id}" in page.text and "Uploads 1 upload" in page.text
    page.press(KEY)
    moments = re.findall(r'<th scope="row">(\w+)</th>', page.html)
    assert moments == ["uploaded", "recorded", "claimed", "asked", "began", "ended", "told"]


def test_rejected_rows_are_shown_up_to_twenty(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    rows = "".join(f",Row {number}\n" for number in range(ROWS_SHOWN + 5))
    autoload.invoke(autoload.upload(KEY, f"Code,Name\nA1,Cash\n{rows}"))

    page.show()
    assert re.search(rf"{KEY} partial \d+ s {ROWS_SHOWN + 5} Partial success", page.text)
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    assert f"The first {ROWS_SHOWN} rows of rejected" in page.text
    assert f"Row {ROWS_SHOWN - 1} " in page.text and f"Row {ROWS_SHOWN} " not in page.text
    assert "Code is empty" in page.text and "console.aws.amazon.com/s3/buckets/reports" in page.html


def test_a_rejected_row_stays_one_row_whatever_it_holds(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, "Code,Name\n,One\u2028and\x0cthe\x85same\n"))

    page.show()
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")

    assert "All 1 row of rejected" in page.text and "One and the same" in page.text


def test_a_failed_load_is_retried_once_however_often_it_is_asked_for(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    autoload.upload(KEY, ACCOUNTS)
    page.show()
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    load = page.html

    page.press("Retry this load")
    assert "Asked to load 1 upload again." in page.text
    autoload.drain()
    page.html = load
    page.press("Retry this load")

    assert "Retried before: 1 upload; each waits or was loaded since." in page.text
    assert autoload.sent.take() == []
    assert [run.outcome for run in autoload.ledger.runs(autoload.lane())] == ["loaded", "partial"]


def test_several_uploads_are_asked_for_while_their_lane_is_paused(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.let_read("accounts", KEY, OTHER)
    autoload.ledger.pause(autoload.lane())
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    autoload.invoke(autoload.upload(OTHER, BAD_ROWS))
    autoload.ledger.resume(autoload.lane())
    autoload.invoke({"drain": autoload.lane()})
    page.show()
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")

    with handling(autoload):
        page.press("Retry this load")

    assert "Asked to load 2 uploads again." in page.text
    assert [run.uploads_total for run in autoload.ledger.runs(autoload.lane())] == [2, 2]
    assert not autoload.ledger.lane(autoload.lane()).paused


def test_an_upload_is_loaded_again_once_for_each_look_at_it(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    page.show()
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    page.press(KEY)
    upload = page.html

    page.press("Load this upload again")
    assert f"Asked to load s3://{BUCKET}/{KEY} by route accounts." in page.text
    page.html = upload
    page.press("Load this upload again")
    autoload.drain()

    assert len(autoload.simulator.runs) == 2
    page.show(view={"key": KEY})
    assert page.text.count(f"{KEY} ") >= 2 and "(requested again)" in page.text
    page.press_first(re.escape(KEY))
    assert "A load of it was requested" in page.text


def test_a_lane_is_paused_and_resumed(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    page.show()

    page.press("Pause accounts")
    assert "paused" in page.text and autoload.ledger.lane(autoload.lane()).paused
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    page.show(view={"key": "accounts.csv"})
    page.press(KEY)
    assert "Waits the lane is paused" in page.text
    page.show()
    page.press("Resume accounts")

    assert autoload.sent.take() == [{"drain": autoload.lane()}]
    assert not autoload.ledger.lane(autoload.lane()).paused


def test_loads_are_chosen_by_route_outcome_key_and_day(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    today = page.services.ledger.runs(autoload.lane()).__next__().ended_at[:10]

    def listed(**view: str) -> list[str]:
        return re.findall(r'<tr class="o o-(\w+)', page.show(view=view))

    assert listed() == ["partial", "loaded"]
    assert listed(outcome="loaded") == ["loaded"]
    assert listed(outcome="not loaded") == ["partial"]
    assert listed(route="accounts") == ["partial", "loaded"]
    assert listed(route="others") == []
    assert listed(key="ACCOUNTS.csv") == ["partial", "loaded"]
    assert listed(key=f"s3://{BUCKET}/incoming") == ["partial", "loaded"]
    assert listed(key="elsewhere") == []
    assert listed(since=today, until=today) == ["partial", "loaded"]
    assert listed(until="2020-01-01") == []
    assert listed(since="2090-01-01") == []


def test_a_long_history_is_shown_page_by_page(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [run] = autoload.ledger.runs(autoload.lane())
    for number in range(150):
        autoload.ledger.record_run(replace(run, id=f"run-{number:03}"), autoload.now())

    page.show()
    first = re.findall(SHOWN_RUN, page.html)
    page.press("Older loads")
    second = re.findall(SHOWN_RUN, page.html)

    assert sorted([*first, *second]) == [f"run-{number:03}" for number in range(150)]
    assert "Older loads" not in page.html


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"view": {"outcome": "good"}}, "'good' is not an outcome. They are: loaded, partial, failed, rejected."),
        ({"view": {"since": "today"}}, "'today' is not a day. Write it as 2026-11-24."),
        ({"view": {"until": "20261124"}}, "'20261124' is not a day. Write it as 2026-11-24."),
        ({"view": {"rows": "7"}}, "'7' rows cannot be shown."),
        ({"view": {"key": "x" * 2000}}, "The field key has 2000 characters"),
        ({"view": {"run": "2026#none", "lane": "x"}}, "There is no such load."),
        ({"view": {"upload": "none", "lane": "x"}}, "There is no such upload."),
        ({"act": {"do": "delete", "lane": "x"}}, "This action is not known"),
        ({"act": {"do": "pause", "lane": "x"}}, "There is no such lane."),
        ({"act": {"do": "load", "lane": "x", "upload": "x"}}, "A load needs the id of its request."),
    ],
)
def test_what_cannot_be_is_refused_in_words(autoload: Autoload, page: Widget, event: dict[str, Any], told: str) -> None:
    latest(autoload)

    page.show(**event)

    assert told in page.text and "All loads" in page.html
    assert autoload.sent.take() == []


def test_nothing_that_others_wrote_is_markup(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.let_read("accounts", HOSTILE)
    autoload.invoke(autoload.upload(HOSTILE, 'Code,Name\nA1,Cash\n,"<script>alert(2)</script>"\n'))

    for _ in ("list", "load", "upload"):
        page.show() if not page.html else page.press_first(r"\d{4}-\d\d-\d\d [^<]*|incoming/[^<]*")
        assert not re.search(r"<(?:img|script)|\u202e", page.html)
        assert "&lt;img src=x onerror=alert(1)&gt; &amp;&quot;&#x27;.csv" in page.html
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    assert "&lt;script&gt;alert(2)" in page.html


def test_the_dashboards_days_and_theme_are_followed(autoload: Autoload, page: Widget) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    past = {"timeRange": {"start": 1_600_000_000_000, "end": 1_600_086_400_000}, "theme": "dark"}

    assert "No loads were found" in page.show(widgetContext=past)
    assert widget.answer(page.services, {"widgetContext": past}, PAGE).startswith('<div class="autoload dark">')
    assert 'name="since" id="autoload-since" value=""' in page.html
    page.show(widgetContext={"forms": {"all": {"outcome": "failed"}}}, filter=True)
    assert "No loads were found" in page.text and '<option value="failed" selected>' in page.html


def test_the_deployed_handler_answers_and_describes_itself(
    autoload: Autoload, page: Widget, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    variables = load_template()["Resources"]["Page"]["Properties"]["Environment"]["Variables"]
    values = {"LEDGER_TABLE": "ledger", "REPORTS_BUCKET": REPORTS, "FUNCTION_ALIAS_ARN": ALIAS}
    for name in variables:
        monkeypatch.setenv(name, values.get(name, ""))
    context: Any = SimpleNamespace(invoked_function_arn=PAGE)

    assert KEY in widget.handler({"widgetContext": {}}, context)
    assert widget.handler({"describe": True}, context).startswith("## Load history")
    assert values.keys() <= variables.keys()


def test_the_page_uses_every_right_that_it_has(autoload: Autoload, page: Widget, used: Used) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    page.show()
    page.press_first(r"\d{4}-\d\d-\d\d [^<]*")
    page.press("Retry this load")
    page.show()
    page.press("Pause accounts")

    exercised = {each.sid for each in allowed(PAGE_ROLE) for need in used.page_needs if each.allows(need)}
    assert {each.sid for each in allowed(PAGE_ROLE)} - exercised == {"PageLogLines"}, "Lambda writes the log"


def test_the_command_line_writes_the_same_page_as_one_file(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    command = Command(autoload, monkeypatch, tmp_path)

    written = command("loads", "--html", "out.html", "--since", "1d")

    assert written.code == 0, written.err
    html = (tmp_path / "out.html").read_text()
    assert KEY in html and "Nameless" in html and "Code is empty" in html
    assert "raise --limit" not in html
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    command("loads", "--html", "one.html", "--limit", "1")
    assert "There are more loads: raise --limit." in (tmp_path / "one.html").read_text()
    assert "<button" not in html and "<script" not in html and "http-equiv" in html
    assert command("loads", "--html", "x.html", "--run", "1").code == 2
