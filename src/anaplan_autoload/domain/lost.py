"""Which of the objects that a bucket lists are lost uploads: S3 has them, and no event told the function of them.

The sweep goes through what the routes' prefixes hold in rounds, a few pages at a time. Here it is decided what a round
lists, and which of the listed versions are old enough, and new enough, to be compared with the ledger.
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
"""An event may come this late; a younger object is left to the next round."""
OVERLAP_MS = 60 * 60_000
"""A round looks again at what was uploaded this long before the last one began: longer than `GRACE_MS`."""
PARTS_OVERLAP_MS = 7 * 86_400_000
"""The same for an object that was uploaded in parts. S3 shows the time when such an upload was begun, and the inbox
drops one that was not completed in a week."""
MEMORY_MS = 89 * 86_400_000
"""The ledger forgets an upload 90 days after its end, so older objects cannot be compared with it."""


class Place(Struct, frozen=True, order=True):
    """What is listed at once."""

    bucket: str
    prefix: str


class Cursor(Struct, frozen=True):
    """How far a round has come."""

    place: Place
    key: str = ""
    """S3's markers: the last key and version of the last page, both empty at the beginning of a place."""
    version: str = ""
    last: tuple[str, str] = ("", "")
    """Key and time of the last version that was listed: the next one may be an older version of that key."""


class Round(Struct, frozen=True):
    """The rounds through the buckets, as the ledger remembers them; times are epoch ms, 0 for never."""

    number: int = 0
    """How often this was written, so that of two sweeps at once only one goes on."""
    started: int = 0
    """When the latest round began."""
    ended: int = 0
    """When the latest round that came to its end did so."""
    covered: int = 0
    """When the latest round began that could list everything."""
    at: Cursor | None = None
    """Where the round goes on; None where none is under way."""
    since: Mapping[str, int] = {}
    """What a route takes (see `taken_by`) → when a sweep first saw it. Older objects are not looked for."""
    trouble: str = ""
    """The latest listing that S3 refused, in words."""
    trouble_at: int = 0
    found: int = 0
    """How many lost uploads were found so far."""
    found_at: int = 0

    def is_due(self, every: int, now: int) -> bool:
        """Whether to list something: a round is under way, or the next one is due after `every` seconds."""
        return self.at is not None or now - self.started >= every * 1000


class Listed(Struct, frozen=True):
    """One version of an object, as S3 lists it: those of a key newest first."""

    upload: Upload
    """`event_time` is S3's `Last-Modified`, in whole seconds."""
    latest: bool
    """Whether the key holds this version now."""


class Candidate(Struct, frozen=True):
    """An object that should be in the ledger."""

    upload: Upload
    route: Route
    replaced: bool
    """A newer version of its key came in the same second. Times cannot tell the two apart, so this is not loaded."""


def places(routes: Routes, buckets: Iterable[str]) -> list[Place]:
    """What to list, in order: prefixes that lie under another one are listed with that."""
    found: list[Place] = []
    for bucket in sorted(set(buckets)):
        first = len(found)
        for prefix in sorted({route.prefix for route in routes if route.admits(bucket)}):
            if len(found) == first or not prefix.startswith(found[-1].prefix):
                found.append(Place(bucket, prefix))
    return found


def next_place(listed: Iterable[Place], after: Place | None) -> Place | None:
    """The place that comes after another one, which may have left the routes meanwhile; None at the end."""
    return next((place for place in listed if after is None or place > after), None)


def taken_by(route: Route, routes: Routes) -> str:
    """Stands for which objects a route takes, and for the lane in which the ledger knows them.

    A route that is changed so that it takes other objects starts over: what lies there already is not a lost upload.
    """
    closer = sorted(
        (other.prefix, other.suffix, other.bucket or "")
        for other in routes
        if other is not route and other.prefix.startswith(route.prefix)
    )
    parts = (route.lane_id, route.prefix, route.suffix, route.bucket or "", *route.exclude, *map(str, closer))
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


class Watched(Struct, frozen=True):
    """The routes, and from when on each is looked after."""

    routes: Routes
    since: Mapping[str, int]
    """As `Round.since`."""
    by_name: Mapping[str, int]
    """Route's name → the same time."""

    @classmethod
    def of(cls, routes: Routes, since: Mapping[str, int], now: int) -> Watched:
        """`since` is what is known so far; what is new counts from now on."""
        taken = {route.name: taken_by(route, routes) for route in routes}
        by_name = {name: since.get(each, now) for name, each in taken.items()}
        return cls(routes, {taken[name]: at for name, at in by_name.items()}, by_name)


def candidates(
    listed: Iterable[Listed], last: tuple[str, str], watched: Watched, covered: int, now: int
) -> Iterator[Candidate]:
    """The listed versions that the ledger should know; `last` is what was listed before them, `covered` a round's.

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
    """The upload with its time. An object in parts may have been begun before an older version was: what a key holds
    now is its newest data, so that counts as uploaded now.
    """
    if version.latest and _in_parts(version.upload) and version.upload.version_id:
        return replace(version.upload, event_time=iso(now // 1000 * 1000))
    return version.upload


def _in_parts(upload: Upload) -> bool:
    """Whether it was uploaded in parts: the etag of such an object ends with their number."""
    return "-" in upload.etag
