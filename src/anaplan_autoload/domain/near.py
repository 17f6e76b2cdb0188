"""Routes that nearly match a key: what is different, in words.

Everything that explains why an upload has no route asks here: `routes match`, `loads --key`, `load`, and the log.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from msgspec import Struct

from anaplan_autoload.domain.patterns import is_blank, quoted, readings

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload.domain.patterns import Reading
    from anaplan_autoload.domain.routes import Route


class Difference(Struct, frozen=True):
    """A way in which two texts may differ that look alike."""

    words: str
    """As in `differs in …`."""
    level: Callable[[str], str]
    """Makes two texts equal that differ in nothing else."""


def _slashes(text: str) -> str:
    return re.sub("//+", "/", text.replace("\\", "/")).removeprefix("/")


def _blanks(text: str) -> str:
    return "".join(char for char in text if not is_blank(char))


DIFFERENCES = (
    Difference("URL encoding (%20 or + for a blank)", unquote_plus),
    Difference("upper and lower case", str.casefold),
    Difference("how its accents are encoded (Unicode NFC or NFD)", lambda text: unicodedata.normalize("NFC", text)),
    Difference("slashes", _slashes),
    Difference("blanks", _blanks),
)
"""In the order in which they have to be levelled."""


def why_not(route: Route, bucket: str, key: str) -> str:
    """What keeps a route from loading an object that it nearly matches; empty where nothing suggests that it should."""
    prefix, suffix = _start(route.prefix, key), _end(route.suffix, key)
    if prefix is None or suffix is None:
        for meant in readings(route, bucket):
            if None not in (_start(meant.prefix, key), _end(meant.suffix, key)):
                return f"{_named(route)} is taken literally; probably meant: {_named(meant)}"
    if prefix is None:
        return ""
    told = []
    if prefix:
        told.append(f"its prefix {quoted(route.prefix)} differs in {_listed(prefix)}")
    if suffix is None:
        told.append(f"its suffix is {quoted(route.suffix)}")
    elif suffix:
        told.append(f"its suffix {quoted(route.suffix)} differs in {_listed(suffix)}")
    if route.bucket not in (None, bucket):
        told.append(f"it loads from bucket {quoted(route.bucket or '')} only")
    return ", and ".join(told)


def _start(prefix: str, key: str) -> tuple[str, ...] | None:
    """How a key's beginning differs from the prefix: not at all, in some ways, or altogether (None)."""

    def alike(levels: list[Difference]) -> bool:
        wanted = _levelled(prefix, levels)
        return _levelled(key, levels).startswith(wanted) and bool(wanted or not prefix)

    return _needed(alike)


def _end(suffix: str, key: str) -> tuple[str, ...] | None:
    """As `_start`, of a key's end."""

    def alike(levels: list[Difference]) -> bool:
        wanted = _levelled(f".{suffix}", levels)[1:]  # its slash, if it begins with one, does not begin the key
        return _levelled(key, levels).endswith(wanted) and bool(wanted or not suffix)

    return _needed(alike)


def _needed(alike: Callable[[list[Difference]], bool]) -> tuple[str, ...] | None:
    """The differences that must be levelled to make two texts alike; None where that is not enough."""
    levels = list(DIFFERENCES)
    if not alike(levels):
        return () if alike([]) else None
    for difference in DIFFERENCES:
        without = [each for each in levels if each is not difference]
        if alike(without):
            levels = without
    return tuple(each.words for each in levels)


def _levelled(text: str, levels: list[Difference]) -> str:
    for difference in levels:
        text = difference.level(text)
    return text


def _named(pattern: Route | Reading) -> str:
    suffix = f" with suffix {quoted(pattern.suffix)}" if pattern.suffix else ""
    return f"prefix {quoted(pattern.prefix)}{suffix}"


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join([*words[:-2], " and ".join(words[-2:])])
