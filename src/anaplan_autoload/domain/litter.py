"""Names that are not uploads: unfinished files, and files that programs leave behind.

Patterns are those of a shell (`*`, `?`, `[abc]`), compared with the last part of a key.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NEVER_UPLOADS = (
    # unfinished files: they get their real name when they are complete
    *("*.filepart", "*.part", "*.partial", "*.crdownload", "*.tmp", "*.swp", "*~", "*._COPYING_"),
    # what macOS, Windows and office programs leave beside files
    *("._*", ".DS_Store", "Thumbs.db", "desktop.ini", "~$*", ".~lock.*"),
    # what Spark and Hadoop write to say how far they are
    *("_SUCCESS", "_started_*", "_committed_*", "*_$folder$", ".*.crc"),
)
"""Matched in upper and lower case alike, as programs write them in both."""


def excluded_by(key: str, patterns: Iterable[str], prefix: str = "", suffix: str = "") -> str | None:
    """The pattern that makes a key not an upload; None if it is an upload.

    `patterns` are the route's own, in which capital letters matter. What its prefix or suffix names is meant to be an
    upload, as with `suffix = "_SUCCESS"`.
    """
    name = _last_part(key)
    own = (pattern for pattern in patterns if fnmatchcase(name, pattern))
    usual = (
        pattern
        for pattern in NEVER_UPLOADS
        if _matches_any_case(name, pattern) and not _is_meant(pattern, _last_part(prefix), _last_part(suffix))
    )
    return next(chain(own, usual), None)


def _is_meant(pattern: str, prefix: str, suffix: str) -> bool:
    """Whether a route mentions the pattern: `tmp`, `.tmp` and `x.tmp` mention `*.tmp`, `SUCCESS` mentions
    `_SUCCESS`.
    """
    bare = suffix.lower().lstrip("._")
    return (
        _matches_any_case(prefix, pattern)
        or _matches_any_case(suffix, pattern)
        or (bare != "" and bare == pattern.lower().lstrip("*._"))
    )


def _matches_any_case(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def _last_part(key: str) -> str:
    return key.rpartition("/")[2]
