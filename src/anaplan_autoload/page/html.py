"""Builds HTML in which all text is escaped. Only `raw` lets markup through unchanged."""

from __future__ import annotations

from html import escape
from typing import TypeAlias


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "Html | str | None"
Attribute: TypeAlias = "str | bool | None"

_VOID = frozenset({"br", "input", "meta", "link"})


def safe(text: str) -> Html:
    """Text as HTML: escaped, without characters that do not print, such as those that turn the reading direction."""
    if isinstance(text, Html):
        return text
    return Html(escape("".join(each if each.isprintable() else " " for each in text)))


def raw(markup: str) -> Html:
    """Mark our own markup, such as the style sheet, as HTML. Never use it for text from elsewhere."""
    return Html(markup)


def joined(*parts: Child) -> Html:
    """The parts one after another, without those that are None."""
    return Html("".join(safe(part) for part in parts if part is not None))


def element(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element. In the names of attributes, an underscore at the end is dropped (`class_`), others become dashes.

    Attributes that are None or False are left out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*children)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{safe(str(value))}"'
