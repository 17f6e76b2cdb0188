"""`python -m docs.screenshots [SCENE …]`: take the pictures in docs/screenshots, in light and dark, of what runs here.

A scene gives the addresses of pages, by the names of their pictures, while its block lasts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from anaplan_autoload.page.asking import View
from anaplan_autoload.page.reading import listing
from anaplan_autoload.page.views import view_of_load
from anaplan_autoload_cli.dashboard.page import page
from anaplan_autoload_cli.dashboard.recording import demo
from local.aws.stack import ROOT, Options, Stack
from local.browser import BrowserMissing, browsing
from local.cloudworks import Pace, SimulatorSettings
from local.page import address, serve_page
from local.transcripts.stage import ROUTES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = Path(__file__).with_name("screenshots")
INSTALL = ROOT / "tests/browser/install"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH, HEIGHT = 1400, 600
"""Pixels; a picture is as high as its page, and at least this."""
INTEGRATIONS = (("Accounts", "incoming/accounts/accounts.csv"), ("Actuals", "source/Actuals.csv"))
UPLOADED = (
    ("accounts.csv", "incoming/accounts/accounts.csv"),
    ("accounts.csv", "incoming/actuals/2026-09.csv"),
    ("accounts_with_mistakes.csv", "incoming/actuals/2026-10.csv"),
    ("accounts.csv", "incoming/actuals/2026-11.csv"),
    ("accounts_corrected.csv", "incoming/accounts/accounts.csv"),
)
"""A file of local/data, and the key that it is uploaded to."""


@contextmanager
def dashboard() -> Iterator[Mapping[str, str]]:
    """The dashboard, with what was recorded on a laptop."""
    recording = demo()
    with TemporaryDirectory() as directory:
        file = Path(directory) / "dashboard.html"
        file.write_text(page(recording.stack, recording), encoding="utf-8")
        yield {"dashboard": file.as_uri()}


@contextmanager
def load_history() -> Iterator[Mapping[str, str]]:
    """The load history page after some loads, and the one of them that rejected rows."""
    with TemporaryDirectory() as logs:
        options = Options(anaplan=SimulatorSettings(pace=Pace(run_seconds=1)), logs=Path(logs))
        with Stack(options) as stack:
            stack.deploy(ROUTES.format(**stack.seed(INTEGRATIONS)))
            for name, key in UPLOADED:
                stack.upload(key, (ROOT / "local/data" / name).read_bytes())
                stack.wait_idle()
            with serve_page(stack.page) as url:
                [partial] = listing(stack.page, View(outcome="partial")).loads
                yield {"load-history": url, "load": url + address(view_of_load(partial))}


SCENES: tuple[Callable[[], AbstractContextManager[Mapping[str, str]]], ...] = (dashboard, load_history)


def take(browser: Browser, name: str, url: str) -> None:
    """Take the pictures of a page."""
    for scheme in SCHEMES:
        shown = browser.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(url)
        shown.screenshot(path=PICTURES / f"{name}-{scheme}.png", full_page=True)
        shown.close()


def main() -> None:
    """Take the pictures of the named scenes, or of all. Ends the program if no browser is installed."""
    names = [scene.__name__ for scene in SCENES]
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description="Take the docs' pictures.")
    parser.add_argument("scene", nargs="*", help=f"some of {', '.join(names)}; default: all")
    asked = parser.parse_args().scene or names
    subprocess.run([INSTALL], check=True)  # noqa: S603  (our own)
    PICTURES.mkdir(exist_ok=True)
    try:
        with browsing() as browser:
            for scene in SCENES:
                if scene.__name__ in asked:
                    with scene() as pages:
                        for name, url in pages.items():
                            take(browser, name, url)
    except BrowserMissing as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
