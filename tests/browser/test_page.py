"""The load history page in a real browser: what people see and reach, by keyboard too, whatever files are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from msgspec.structs import replace

from anaplan_autoload.page.asking import View
from anaplan_autoload.page.file import file_page
from anaplan_autoload.page.services import PageServices, PageSettings
from anaplan_autoload.page.widget import answer
from local.browser import MISSING, browsing, find_chromium
from local.page import serve_page
from tests.autoload import REPORTS, Autoload
from tests.integration.cli import ALIAS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(find_chromium() is None, reason=MISSING)

ROUTES = """
[[route]]
name = "accounts"
prefix = "accounts/"
integration = "{accounts}"

[[route]]
name = "sales"
prefix = "sales/"
integration = "{sales}"
load = "each"
stage_to = "source/sales.csv"

[[route]]
name = "many"
prefix = "many/"
integration = "{many}"
"""
GOOD = "Code,Name\nA1,Cash\nA2,Receivables\n"
BAD = "Code,Name\nB1,Cash\n,Nameless\nB1,<b onmouseover=hack()>Twice\n"
HOSTILE = 'sales/<script>hack()</script><img src=x onerror=hack()>"\u202e.csv'
MANY = 1_010
PAGE_ARN = "arn:aws:lambda:eu-west-1:123456789012:function:autoload-page"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def autoload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Autoload]:
    """The function after some loads: good ones, bad ones, one with a hostile name, and more than 1,000 old ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with Autoload(tmp_path_factory.mktemp("browser")) as made:
            made.routes(ROUTES, accounts="accounts/a.csv", sales="source/sales.csv", many="many/a.csv")
            for key, content in (
                ("accounts/a.csv", GOOD),
                ("sales/bad.csv", BAD),
                (HOSTILE, BAD),
                ("sales/1.csv", GOOD),
            ):
                made.invoke(made.upload(key, content))
            [run] = made.ledger.runs(made.lane())
            for number in range(MANY):
                ended_at = f"2026-01-01T00:00:00.{number:04}Z"
                old = replace(run, id=f"old-{number}", route="many", lane=made.ids["many"], ended_at=ended_at)
                made.ledger.record_run(old, made.now())
            yield made


@pytest.fixture(scope="module")
def services(autoload: Autoload) -> PageServices:
    """What the page works with."""
    settings = PageSettings(ledger_table=autoload.settings().ledger_table, function=ALIAS, reports_bucket=REPORTS)
    return PageServices(settings, boto3.session.Session(region_name="eu-west-1"))


@pytest.fixture(scope="module")
def server(services: PageServices) -> Iterator[str]:
    """The page, served."""
    with serve_page(services) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with browsing() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """The list of loads; fails the test for a script of somebody else's, an error, or a request to anywhere else."""
    opened = browser.new_page()
    strange: list[str] = []
    opened.on("request", lambda asked: strange.append(asked.url) if not asked.url.startswith(server) else None)
    opened.on("pageerror", lambda error: strange.append(str(error)))
    opened.on("console", lambda said: strange.append(said.text))
    opened.on("dialog", lambda dialog: strange.append(dialog.message))
    opened.goto(f"{server}/?since=2026-02-01")
    yield opened
    opened.close()
    assert strange == []


def rows(page: Page) -> list[str]:
    """The outcomes of the loads that are listed and to be seen."""
    classes = [row.get_attribute("class") or "" for row in page.locator("tr.o:visible").all()]
    return [text.split()[1].removeprefix("o-") for text in classes]


def open_load(page: Page, file: str) -> None:
    """Open the load of this file."""
    page.locator("tr.o", has_text=file).first.get_by_role("link").click()


def tab_to(page: Page, words: str) -> None:
    """Press the tab key until something with these words has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        text = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText")
        if text.strip() == words:
            return
    raise AssertionError(f"the keyboard does not reach {words!r}")


def test_loads_are_listed_newest_first_with_their_lanes(page: Page) -> None:
    assert rows(page) == ["loaded", "partial", "partial", "loaded"]
    lanes = page.get_by_role("region", name="What each lane is doing now")
    assert lanes.get_by_role("rowheader").all_inner_texts() == ["accounts", "sales", "many"]
    assert page.locator("tr.o").nth(1).get_by_role("cell").nth(4).inner_text() == "2", "rows rejected"


def test_loads_are_filtered(page: Page) -> None:
    page.get_by_label("Outcome").select_option("partial")
    page.get_by_role("button", name="Filter").click()
    assert rows(page) == ["partial", "partial"]
    page.get_by_label("Key contains").fill("BAD.csv")
    page.get_by_label("Key contains").press("Enter")
    assert rows(page) == ["partial"]
    assert page.get_by_label("Outcome").input_value() == "partial", "the fields stay as they were chosen"
    assert page.get_by_role("link", name="Clear").get_attribute("href") == "/"
    page.get_by_label("Outcome").select_option("")
    page.get_by_label("Key contains").fill("")
    page.get_by_label("Route").select_option("accounts")
    page.get_by_role("button", name="Filter").click()
    assert rows(page) == ["loaded"]
    page.get_by_label("From").fill("2027-01-01")
    page.get_by_role("button", name="Filter").click()
    assert page.get_by_text("No loads were found.").is_visible()


def test_a_load_shows_its_errors_rejected_rows_and_uploads_and_an_upload_its_story(page: Page) -> None:
    open_load(page, "sales/bad.csv")
    errors = page.get_by_role("region", name="All errors of the run")
    assert "Duplicate code" in errors.inner_text() and "Code is empty" in errors.inner_text()
    assert "<b onmouseover=hack()>Twice" in page.get_by_role("region", name="All 2 rows of rejected").inner_text()
    assert "console.aws.amazon.com" in (page.get_by_role("link", name="s3://reports").get_attribute("href") or "")
    page.get_by_role("link", name="sales/bad.csv").click()
    moments = page.get_by_role("region", name="In order").get_by_role("rowheader").all_inner_texts()
    assert moments == ["uploaded", "recorded", "claimed", "asked", "began", "ended", "told"]


def test_a_retry_asks_first_and_loads(page: Page, autoload: Autoload) -> None:
    autoload.upload("sales/bad.csv", GOOD)
    open_load(page, "sales/bad.csv")
    assert not page.get_by_role("button", name="Yes: retry this load").is_visible()
    page.get_by_text("Retry this load", exact=True).click()
    page.get_by_role("button", name="Yes: retry this load").click()

    assert page.get_by_role("status").inner_text() == "Asked to load 1 upload again."
    [event] = autoload.sent.take()
    assert (event["load"]["key"], event["load"]["version_id"] is not None) == ("sales/bad.csv", True)


def test_a_lane_is_paused_and_resumed_by_keyboard_alone(page: Page, autoload: Autoload) -> None:
    for words, state in (("Pause accounts", "paused"), ("Resume accounts", "idle")):
        tab_to(page, words)
        page.keyboard.press("Enter")
        tab_to(page, f"Yes: {words.lower()}")
        page.keyboard.press("Enter")
        page.get_by_role("status").wait_for()
        assert page.get_by_role("row", name="accounts").first.get_by_role("cell").first.inner_text() == state
    assert autoload.sent.take() == [{"drain": autoload.lane()}]


def test_filters_and_details_are_reached_by_keyboard_alone(page: Page) -> None:
    tab_to(page, "Outcome")
    page.keyboard.type("partial")
    tab_to(page, "Filter")
    page.keyboard.press("Enter")
    page.wait_for_url("**outcome=partial**")
    newest = page.locator("tr.o").first.get_by_role("link").inner_text()
    tab_to(page, newest)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Load by route sales").wait_for()
    tab_to(page, "All loads")


def test_a_thousand_rows_are_shown_at_once_and_the_rest_after_them(page: Page, server: str) -> None:
    page.goto(f"{server}/?route=many&rows=1000")
    assert page.locator("tr.o").count() == 1_000
    page.get_by_role("link", name="Older loads").click()
    assert page.locator("tr.o").count() == MANY - 1_000
    assert page.get_by_role("link", name="Older loads").count() == 0


def test_a_hostile_name_is_text_everywhere(page: Page) -> None:
    shown = HOSTILE.replace("\u202e", " ")
    assert page.locator("bdi", has_text="<script>").first.inner_text() == shown
    open_load(page, "<script>hack()")
    page.get_by_role("link", name="<script>").click()
    assert page.locator("dd bdi").inner_text() == shown
    assert page.locator("img, script").count() == 0


VIEWS = ("list", "load", "upload", "confirmation", "trouble")


def test_axe_finds_nothing_serious(browser: Browser, server: str) -> None:
    opened = browser.new_page(bypass_csp=True)
    found: dict[str, list[str]] = {}
    for view in VIEWS:
        match view:
            case "list":
                opened.goto(f"{server}/?since=2026-02-01")
            case "load":
                open_load(opened, "sales/bad.csv")
            case "confirmation":
                opened.get_by_text("Load this upload again", exact=True).click()
            case "upload":
                opened.get_by_role("link", name="sales/bad.csv").click()
            case "trouble":
                opened.goto(f"{server}/?outcome=none")
        found |= serious(opened, view)
    opened.close()
    assert found == {}


def serious(page: Page, view: str) -> dict[str, list[str]]:
    """What axe finds serious about a page, in light and dark."""
    from axe_playwright_python.sync_playwright import Axe  # here, as it imports Playwright, which few tests need

    found: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        violations = Axe().run(page).response["violations"]
        said = [f"{each['id']}: {each['nodes'][0]['html']}" for each in violations if each["impact"] in SERIOUS]
        found |= {f"{view}, {scheme}": said} if said else {}
    return found


def test_axe_notices_what_is_unreadable(browser: Browser, server: str) -> None:
    """Guards against a check that looks at nothing and so finds nothing."""
    opened = browser.new_page(bypass_csp=True)
    opened.goto(f"{server}/?since=2026-02-01")
    opened.add_style_tag(content=".autoload h1 { color: #999999; }")
    found = serious(opened, "list")
    opened.close()
    assert any("color-contrast" in each for each in found["list, light"])


def test_the_file_needs_no_network_and_filters_without_a_script(
    browser: Browser, services: PageServices, tmp_path: Path
) -> None:
    file = tmp_path / "out.html"
    file.write_text(file_page(services, View(since="2026-02-01")), encoding="utf-8")
    opened = browser.new_page(bypass_csp=True)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("dialog", lambda dialog: asked.append(dialog.message))
    opened.goto(file.as_uri())

    everything = rows(opened)
    opened.get_by_label("partial").check()
    assert set(rows(opened)) == {"partial"} and len(everything) > len(rows(opened))
    opened.get_by_label("accounts").check()
    assert rows(opened) == []
    opened.get_by_label("all").nth(1).check()
    open_load(opened, "sales/bad.csv")
    assert opened.get_by_role("heading", name="Load by route sales").is_visible()
    assert opened.get_by_text("<b onmouseover=hack()>Twice").locator("visible=true").count() == 1
    found = serious(opened, "file")
    opened.close()

    assert asked == [file.as_uri()]
    assert found == {}


def test_the_widget_works_in_a_dashboard(browser: Browser, services: PageServices, autoload: Autoload) -> None:
    opened = browser.new_page()
    questions: list[str] = []

    def agree(dialog: Any) -> None:
        questions.append(dialog.message)
        dialog.accept()

    opened.on("dialog", agree)
    opened.expose_function("invoke", lambda event: answer(services, event, PAGE_ARN))
    opened.goto((Path(__file__).parent / "dashboard.html").as_uri())
    opened.evaluate("show({view: {since: '2026-02-01'}})")
    opened.get_by_label("Outcome").select_option("partial")
    opened.get_by_role("button", name="Filter").click()
    opened.locator("tr.o-loaded").first.wait_for(state="detached")
    opened.locator("tr.o", has_text="<script>hack()").get_by_role("button").click()
    opened.get_by_role("button", name="Retry this load").click()

    opened.get_by_role("status").wait_for()
    assert opened.get_by_role("status").inner_text() == "Asked to load 1 upload again."
    assert [question[:27] for question in questions] == ["Load again by route sales w"]
    assert autoload.sent.take()[0]["load"]["key"] == HOSTILE
    found = serious(opened, "widget")
    opened.close()
    assert found == {}
