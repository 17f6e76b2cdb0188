"""The page's style sheet, and the content security policy that allows only this style sheet."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from anaplan_autoload.page.html import Html, element, raw

CSS = Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def sheet(css: str = CSS) -> Html:
    """The element with a style sheet."""
    return element("style", raw(css))


def policy(css: str = CSS) -> str:
    """A content security policy: no scripts, no images, only this style sheet, and only addresses of this page."""
    allowed = b64encode(sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{allowed}'; form-action 'self'; base-uri 'none'"
