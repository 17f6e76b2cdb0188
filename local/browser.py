"""Debian's headless Chromium, driven by Playwright: for the tests in a browser and the pictures in the docs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""As tests/browser/install looks for them."""
MISSING = "There is no Chromium. Run tests/browser/install, or name one in AUTOLOAD_CHROMIUM."


class BrowserMissing(RuntimeError):
    """No Chromium is installed; the text says what to do."""


def find_chromium() -> str | None:
    """The program: the one that AUTOLOAD_CHROMIUM names, else the first of the usual ones; None if none exists."""
    named = os.environ.get("AUTOLOAD_CHROMIUM")
    return next((path for name in (named, *PROGRAMS) if name and (path := shutil.which(name))), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser, for as long as the block lasts; raises `BrowserMissing` if none is installed."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    if program is None:
        raise BrowserMissing(MISSING)
    # Chromium's sandbox needs rights that root in a container lacks. It only shows our own pages.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()
