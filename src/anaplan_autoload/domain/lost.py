"""Which of the objects that a bucket lists are lost uploads: S3 has them, but the function got no event for them.

The sweep lists the routes' prefixes in rounds, a few pages at a time. This module decides what a round lists, and which
of the listed versions are old enough, and new enough, to be compared with the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GRACE_MS = 15 * 60_000
"""Events may be this late. An object younger than this is left to the next round."""
OVERLAP_MS = 60 * 60_000
"""A round also checks uploads from this long before the last round began. Longer than `GRACE_MS`."""
PARTS_OVERLAP_MS = 7 * 86_400_000
"""The same for objects uploaded in parts. S3 shows the time at which such an upload began, and the inbox drops uploads
that are not complete after a week."""
MEMORY_MS = 89 * 86_400_000
"""The ledger forgets an upload 90 days after its end, so older objects cannot be compared with it."""


class Place(Struct, frozen=True, order=True):
    """One place to list: a prefix of a bucket."""

    bucket: str
    prefix: str


class Cursor(Struct, frozen=True):
    """The progress of a round."""

    place: Place
    key: str = ""
    """S3's markers: the last key and version of the last page, both empty at the beginning of a place."""
    version: str = ""
    last: tuple[str, str] = ("", "")
    """Key and time of the last version that was listed: the next one may be an older version of that key."""


class Round(Struct, frozen=True):
    """The rounds through the buckets, as stored in the ledger. Times are epoch ms; 0 means never."""

    number: int = 0
    """How often this was written. If two sweeps run at once, it lets only one of them continue."""
    started: int = 0
    """When the latest round began."""
    ended: int = 0
    """When a round last ended."""
    covered: int = 0
    """When the latest round that could list everything began."""
    at: Cursor | None = None
    """Where the round continues; None if no round is under way."""
    since: Mapping[str, int] = {}
    """What a route takes (see `taken_by`) → when a sweep first saw it. Older objects are not looked for."""
    trouble: str = ""
    """In words, the latest listing that S3 refused."""
    trouble_at: int = 0
    found: int = 0
    """How many lost uploads were found so far."""
    found_at: int = 0

    def is_due(self, every: int, now: int) -> bool:
        """Whether to list something: a round is under way, or the next one is due after `every` seconds."""
        return self.at is not None or now - self.started >= every * 1000


class Listed(Struct, frozen=True):
    """One version of an object. S3 lists the versions of a key newest first."""

    upload: Upload
    """`event_time` is S3's `Last-Modified`, in whole seconds."""
    latest: bool
    """Whether this is the key's current version."""


class Candidate(Struct, frozen=True):
    """An object that should be in the ledger."""

    upload: Upload
    route: Route
    replaced: bool
    """A newer version of its key came in the same second. Times cannot tell the two apart, so this is not loaded."""


def places(routes: Routes, buckets: Iterable[str]) -> list[Place]:
    """The places to list, in order. A prefix under another prefix is listed together with it."""
    found: list[Place] = []
    for bucket in sorted(set(buckets)):
        first = len(found)
        for prefix in sorted({route.prefix for route in routes if route.admits(bucket)}):
            if len(found) == first or not prefix.startswith(found[-1].prefix):
                found.append(Place(bucket, prefix))
    return found


def next_place(listed: Iterable[Place], after: Place | None) -> Place | None:
    """The place after another one, whose route may have been removed in the meantime; None at the end."""
    return next((place for place in listed if after is None or place > after), None)


def taken_by(route: Route, routes: Routes) -> str:
    """Identifies which objects a route takes, and in which lane the ledger stores them.

    A route that is changed to take other objects starts over: objects that were there before are not lost uploads.
    """
    closer = sorted(
        (other.prefix, other.suffix, other.bucket or "")
        for other in routes
        if other is not route and other.prefix.startswith(route.prefix)
    )
    parts = (route.lane_id, route.prefix, route.suffix, route.bucket or "", *route.exclude, *map(str, closer))
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


class Watched(Struct, frozen=True):
    """The routes, and since when lost uploads are looked for in each."""

    routes: Routes
    since: Mapping[str, int]
    """As `Round.since`."""
    by_name: Mapping[str, int]
    """Route's name → the same time."""

    @classmethod
    def of(cls, routes: Routes, since: Mapping[str, int], now: int) -> Watched:
        """`since` has the routes known so far. New ones count from now on."""
        taken = {route.name: taken_by(route, routes) for route in routes}
        by_name = {name: since.get(each, now) for name, each in taken.items()}
        return cls(routes, {taken[name]: at for name, at in by_name.items()}, by_name)


def candidates(
    listed: Iterable[Listed], last: tuple[str, str], watched: Watched, covered: int, now: int
) -> Iterator[Candidate]:
    """The listed versions that should be in the ledger. `last` was listed just before them; `covered` is the round's.

    With `load = "latest"` a run reads what the key holds, so only that version counts.
    """
    for version in listed:
        upload = version.upload
        replaced, last = last == (upload.key, upload.event_time), (upload.key, upload.event_time)
        route = watched.routes.match(upload.bucket, upload.key)
        if route is None or route.excluded_by(upload.key) or (route.load == "latest" and not version.latest):
            continue
        if upload.key.endswith("/") and upload.size == 0:
            continue
        if _is_in_time(upload, max(watched.by_name[route.name], now - MEMORY_MS), covered, now):
            yield Candidate(_dated(version, now), route, replaced)


def _is_in_time(upload: Upload, since: int, covered: int, now: int) -> bool:
    """Whether it is old enough that its event should have come, and was not compared in an earlier round."""
    overlap = PARTS_OVERLAP_MS if _in_parts(upload) else OVERLAP_MS
    return max(since, covered - overlap) <= epoch_ms(upload.event_time) <= now - GRACE_MS


def _dated(version: Listed, now: int) -> Upload:
    """The upload with its time. S3 may date an object uploaded in parts before an older version. The current version
    is the newest data, so it counts as uploaded now.
    """
    if version.latest and _in_parts(version.upload) and version.upload.version_id:
        return replace(version.upload, event_time=iso(now // 1000 * 1000))
    return version.upload


def _in_parts(upload: Upload) -> bool:
    """Whether it was uploaded in parts: the etag of such an object ends with their number."""
    return "-" in upload.etag
