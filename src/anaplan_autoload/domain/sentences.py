"""Builds texts for people: what is quoted, and failures, first what happened, then the request, in brackets."""

from __future__ import annotations

import re

_REQUEST = r" \([A-Z]+ https?://[^\s()]+\)"
_SENTENCE = r'(?:"[^"]*"|(?!\.(?:\s|$))[^\n])+'


def quoted(text: str, longest: int | None = None) -> str:
    """In double quotes, on one line, with invisible characters spelled out; cut after `longest` characters."""
    shown = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    return '"' + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown) + '"'


def with_request(text: str, asked: str) -> str:
    """A text about a failure, followed by the request (`POST https://…`) that it came from."""
    return f"{text} ({asked})"


def without_request(text: str) -> str:
    """The text without its requests."""
    return re.sub(_REQUEST, "", text)


def requests_in(text: str) -> list[str]:
    """The requests that a text names: `POST https://…`."""
    return [match[2:-1] for match in re.findall(_REQUEST, text)]


def first_sentence(text: str) -> str:
    """The first sentence without its full stop. A full stop inside quotation marks does not end it."""
    match = re.match(_SENTENCE, text.strip())
    return match[0].strip() if match else ""
