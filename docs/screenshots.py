"""`python -m docs.screenshots [NAME …]`: take the pictures in docs/images, in light and dark, of what runs here.

A scene gives the addresses of pages while its block lasts, by the names of their pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Literal

from anaplan_autoload.page.asking import View
from anaplan_autoload.page.reading import listing
from anaplan_autoload.page.views import view_of_load
from local.aws.stack import ROOT, Options, Stack
from local.browser import BrowserMissing, browsing
from local.cloudworks import Pace, SimulatorSettings
from local.page import PageServer, address

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).with_name("images")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH, HEIGHT = 1280, 600
"""Pixels; a picture is as high as its page, and at least this."""
ROUTES = """\
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{Accounts}"

[[route]]
name = "actuals"
prefix = "incoming/actuals/"
integration = "{Actuals}"
load = "each"
stage_to = "source/actuals.csv"
"""
INTEGRATIONS = (("Accounts", "incoming/accounts/accounts.csv"), ("Actuals", "source/actuals.csv"))
UPLOADED = (
    ("accounts.csv", "incoming/accounts/accounts.csv"),
    ("accounts.csv", "incoming/actuals/2026-09.csv"),
    ("accounts_with_mistakes.csv", "incoming/actuals/2026-10.csv"),
    ("accounts.csv", "incoming/actuals/2026-11.csv"),
    ("accounts_corrected.csv", "incoming/accounts/accounts.csv"),
)
"""A file of local/data, and the key that it is uploaded to."""


@contextmanager
def load_history() -> Iterator[Mapping[str, str]]:
    """The load history page after some loads, and the one of them that rejected rows."""
    options = Options(anaplan=SimulatorSettings(pace=Pace(run_seconds=1)), logs=Path(mkdtemp(prefix="pictures-")))
    with Stack(options) as stack:
        stack.deploy(ROUTES.format(**stack.seed(INTEGRATIONS)))
        for name, key in UPLOADED:
            stack.upload(key, (ROOT / "local/data" / name).read_bytes())
            stack.wait_idle()
        with PageServer(stack.page) as page:
            [partial] = listing(stack.page, View(outcome="partial")).loads
            yield {"load-history": page.url, "load": page.url.rstrip("/") + address(view_of_load(partial))}


SCENES: tuple[Callable[[], AbstractContextManager[Mapping[str, str]]], ...] = (load_history,)


def take(browser: Browser, name: str, url: str) -> None:
    """Take the pictures of a page."""
    for scheme in SCHEMES:
        page = browser.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.screenshot(path=FOLDER / f"{name}-{scheme}.png", full_page=True)
        page.close()


def main() -> int:
    """Take the pictures of the scenes that are named, else all of them; returns the exit code."""
    names = [scene.__name__ for scene in SCENES]
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description="Take the pictures in docs/images.")
    parser.add_argument("scene", nargs="*", choices=[*names, []], help=f"default: all of {', '.join(names)}")
    asked = parser.parse_args().scene or names
    FOLDER.mkdir(exist_ok=True)
    try:
        with browsing() as browser:
            for scene in SCENES:
                if scene.__name__ in asked:
                    with scene() as pages:
                        for name, url in pages.items():
                            take(browser, name, url)
    except BrowserMissing as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
