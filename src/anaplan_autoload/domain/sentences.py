"""Builds texts for people: what is quoted, and what a text says first."""

from __future__ import annotations

import re

_SENTENCE = r'(?:"[^"]*"|(?!\.(?:\s|$))[^\n])+'


def quoted(text: str, longest: int | None = None) -> str:
    """In double quotes, on one line, with invisible characters spelled out; cut after `longest` characters."""
    shown = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    return '"' + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown) + '"'


def first_sentence(text: str) -> str:
    """The first sentence without its full stop. A full stop inside quotation marks does not end it."""
    match = re.match(_SENTENCE, text.strip())
    return match[0].strip() if match else ""
