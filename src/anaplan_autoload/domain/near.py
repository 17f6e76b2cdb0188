"""Explains why an object has its route or has no route, and how routes that nearly match it differ.

Used by everything that explains a route: `routes match`, `loads --key`, `load`, and the log.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_plus

from msgspec import Struct

from anaplan_autoload.domain.patterns import is_blank, readings
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.sentences import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from anaplan_autoload.domain.patterns import Reading
    from anaplan_autoload.domain.routes import Routes


class NearMiss(Struct, frozen=True):
    """A route that nearly matches an object."""

    route: Route
    why: str
    """Why it does not match, as in `its suffix is ".csv"`."""


class Explanation(Struct, frozen=True):
    """Which route loads an object, if any, and why."""

    route: Route | None
    why: str
    """One sentence."""
    near_misses: tuple[NearMiss, ...]
    """In the file's order."""
    excluded_by: str | None = None
    """The pattern for which the route ignores it."""


def explain(routes: Routes, bucket: str, key: str) -> Explanation:
    """What happens to an object of this name and why, with the routes that nearly match it."""
    route = routes.match(bucket, key)
    others = ((other, _why_not(other, route, bucket, key)) for other in routes if other is not route)
    pattern = route.excluded_by(key) if route else None
    return Explanation(
        route=route,
        excluded_by=pattern,
        why=_why(route, routes.stager(bucket, key), bucket) + (_why_ignored(pattern) if pattern else ""),
        near_misses=tuple(NearMiss(other, why) for other, why in others if why),
    )


def _why(route: Route | None, stager: Route | None, bucket: str) -> str:
    if route is not None:
        of_bucket = "in any bucket" if route.bucket is None else f"in bucket {quoted(bucket)}"
        suffix = f" and suffix {quoted(route.suffix)}" if route.suffix else ""
        return f"route {quoted(route.name)} has the closest prefix {quoted(route.prefix)}{suffix}, {of_bucket}"
    if stager is not None:
        return f"it is the copy that route {quoted(stager.name)} stages for its integration: ignored"
    return "no route matches it: counted as unrouted, not loaded"


def _why_ignored(pattern: str) -> str:
    return f", but names like {quoted(pattern)} are not uploads: ignored, and counted as excluded"


def _why_not(other: Route, chosen: Route | None, bucket: str, key: str) -> str:
    if chosen is not None and other.matches(bucket, key):
        return f"it matches too, but route {quoted(chosen.name)} is closer"
    return why_not(other, bucket, key)


class Difference(Struct, frozen=True):
    """A way in which two similar-looking texts may differ."""

    words: str
    """As in `differs in …`."""
    level: Callable[[str], str]
    """Makes two texts equal if they differ only in this way."""


def _slashes(text: str) -> str:
    return re.sub("//+", "/", text.replace("\\", "/")).removeprefix("/")


def _without_spaces(text: str) -> str:
    return "".join(char for char in text if not is_blank(char))


Levels: TypeAlias = tuple[Difference, ...]

DIFFERENCES: Levels = (
    Difference("URL encoding (%20 or + for a space)", unquote_plus),
    Difference("upper and lower case", str.casefold),
    Difference("how its accents are encoded (Unicode NFC or NFD)", lambda text: unicodedata.normalize("NFC", text)),
    Difference("slashes", _slashes),
    Difference("spaces", _without_spaces),
)
"""In the order in which they must be removed from a text."""


def why_not(route: Route, bucket: str, key: str) -> str:
    """Why a route does not load an object that it nearly matches; empty if it is not close."""
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


def folded(name: str) -> str:
    """The same for all names that look alike."""
    return _levelled(name, DIFFERENCES)


def difference(one: str, other: str) -> str:
    """How two names that look alike differ, as in `slashes`; empty if they are equal, or very different."""
    return _listed(_needed(lambda levels: _levelled(one, levels) == _levelled(other, levels)) or ())


def _start(prefix: str, key: str) -> tuple[str, ...] | None:
    """How the start of a key differs from the prefix: not at all, in some ways, or completely (None)."""

    def alike(levels: Levels) -> bool:
        wanted = _levelled(prefix, levels)
        return _levelled(key, levels).startswith(wanted) and bool(wanted or not prefix)

    return _needed(alike)


def _end(suffix: str, key: str) -> tuple[str, ...] | None:
    """As `_start`, of a key's end."""

    def alike(levels: Levels) -> bool:
        wanted = _levelled(f".{suffix}", levels)[1:]  # its slash, if it begins with one, does not begin the key
        return _levelled(key, levels).endswith(wanted) and bool(wanted or not suffix)

    return _needed(alike)


def _needed(alike: Callable[[Levels], bool]) -> tuple[str, ...] | None:
    """The differences to remove so that two texts are equal; None if that is not enough."""
    levels = DIFFERENCES
    if not alike(levels):
        return () if alike(()) else None
    for difference in DIFFERENCES:
        without = tuple(each for each in levels if each is not difference)
        if alike(without):
            levels = without
    return tuple(each.words for each in levels)


@lru_cache(maxsize=4096)
def _levelled(text: str, levels: Levels) -> str:
    """Cached, because one key is compared with hundreds of routes."""
    for difference in levels:
        text = difference.level(text)
    return text


def _named(pattern: Route | Reading) -> str:
    suffix = f" with suffix {quoted(pattern.suffix)}" if pattern.suffix else ""
    return f"prefix {quoted(pattern.prefix)}{suffix}"


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join([*words[:-2], " and ".join(words[-2:])])
