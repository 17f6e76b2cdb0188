"""`python -m docs.screenshots`: draw the dashboard, and take a picture of it in each color scheme with Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from anaplan_autoload_cli.dashboard.page import page
from anaplan_autoload_cli.dashboard.recording import demo

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).with_name("screenshots")
INSTALL = ROOT / "tests/browser/install"
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SIZE = (1400, 1790)
"""Pixels across and down: the whole page."""
SCHEMES = {"light": 1, "dark": 0}
"""Chromium's numbers for them."""
SECONDS = 60


def chromium() -> str:
    """The browser: the one in `AUTOLOAD_CHROMIUM`, or one of the usual names. Ends the program where there is none."""
    subprocess.run([INSTALL], check=True)  # noqa: S603  (our own)
    for program in (os.environ.get("AUTOLOAD_CHROMIUM", ""), *PROGRAMS):
        if found := program and shutil.which(program):
            return found
    sys.exit("There is no Chromium. Install one, or name it in AUTOLOAD_CHROMIUM.")


def take(browser: str, file: Path, scheme: str, picture: Path) -> None:
    """Take a picture of an HTML file."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"]
    options += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, file.as_uri()], check=True, timeout=SECONDS, capture_output=True)  # noqa: S603


def main() -> None:
    """Write the pictures."""
    browser, recording = chromium(), demo()
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as directory:
        file = Path(directory) / "dashboard.html"
        file.write_text(page(recording.stack, recording), encoding="utf-8")
        for scheme in SCHEMES:
            take(browser, file, scheme, PICTURES / f"dashboard-{scheme}.png")


if __name__ == "__main__":
    main()
