"""What an integration or a flow reads from S3, and whether a run reads what was uploaded.

A run takes no file name: it reads its integration's source files and nothing else. Any other upload would be reported
as loaded although no run read it, so it is rejected. If it is not certain what a run reads, the upload is not rejected.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct, json
from msgspec.structs import replace

from anaplan_autoload.domain.tenant import ANAPLAN, S3

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anaplan_autoload.domain.events import Upload
    from anaplan_autoload.domain.routes import Route
    from anaplan_autoload.domain.tenant import Integration, Job

FRESH_MS = 24 * 3_600_000
"""How long the list of an integration's source files is kept."""
MOST_BYTES = 64 * 1024
"""What a lane remembers: hundreds of routes may share one, and its item has room for 400 KB in all."""
_SHOWN = 3
"""How many keys a text names."""
_OTHER_CLOUDS = ("AzureBlob", "GoogleBigQuery")
_NO_FIXED_KEY = r"(?s)s3://|.*/\Z|.*\*"
"""A URL, a folder, a pattern: CloudWorks documents none of them for a source, so what it would read is not known."""
_PLAIN_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)"
"""A bucket's own name, and not an access point's alias, which stands for a bucket of another name."""


class Source(Struct, frozen=True):
    """A file in S3 that an integration reads."""

    key: str
    bucket: str | None = None
    """As CloudWorks shows it; None if it does not."""

    def is_read_from(self, bucket: str, key: str) -> bool:
        """Whether this is the object: it has exactly this key, and the bucket is not known to be another one."""
        elsewhere = self.bucket is not None and self.bucket != bucket and re.fullmatch(_PLAIN_BUCKET, self.bucket)
        return self.names(key) and not elsewhere

    def names(self, key: str) -> bool:
        """Whether this is the object's key, in whatever bucket. A slash before the source's key may mean the root."""
        return key in (self.key, self.key.removeprefix("/"))


Sources = tuple[Source, ...]
"""All files that are read, at least one. Where this is None, they are not known."""


class Reads(Struct, frozen=True):
    """What a route's integration or flow was found to read, as the lane remembers it."""

    route: str
    """The digest of the route for which CloudWorks was asked: after any change of the route it is asked again."""
    asked_at: int
    """Epoch ms."""
    sources: Sources | None = None
    """None if CloudWorks did not say."""

    def is_fresh(self, route: Route, now: int) -> bool:
        """Whether it is still valid for this route; `now` is epoch ms."""
        return self.route == digest(route) and self.is_recent(now)

    def is_recent(self, now: int) -> bool:
        """Whether it was found out within a day."""
        return 0 <= now - self.asked_at < FRESH_MS


def digest(route: Route) -> str:
    """Identifies a route as it is now: any change of it changes this."""
    return sha256(json.encode(route)).hexdigest()[:16]


def remembered(before: Mapping[str, Reads], route: Route, found: Reads) -> dict[str, Reads]:
    """What a lane remembers of its routes after this was found; the oldest is forgotten where it would be too much.

    If it is too much by itself, it counts as not known.
    """
    if len(json.encode(found)) > MOST_BYTES:
        found = replace(found, sources=None)
    kept, room = {route.name: found}, MOST_BYTES - len(json.encode(found))
    others = [item for item in before.items() if item[0] != route.name and item[1].is_recent(found.asked_at)]
    for name, reads in sorted(others, key=lambda item: item[1].asked_at, reverse=True):
        room -= len(json.encode({name: reads}))
        if room < 0:
            break
        kept[name] = reads
    return kept


def sources_of(integrations: Iterable[Integration]) -> Sources | None:
    """What these integrations read from S3 together; None if any of it is not known, or nothing is read."""
    found: list[Source] = []
    for integration in integrations:
        if integration.jobs is None:
            return None
        for job in integration.jobs:
            sources = _sources_of(job)
            if sources is None:
                return None
            found += sources
    return tuple(dict.fromkeys(found)) or None


def _sources_of(job: Job) -> list[Source] | None:
    """What a job reads from S3, perhaps nothing; None if it names its source in an unknown form."""
    found: list[Source] = []
    for end in job.sources:
        if end.type in (ANAPLAN, *_OTHER_CLOUDS):
            continue
        if end.type != S3 or not end.file or re.match(_NO_FIXED_KEY, end.file):
            return None
        found.append(Source(end.file, end.bucket_name))
    return None if job.type.startswith(S3) and not found else found


def is_unread(route: Route, upload: Upload, sources: Sources | None) -> bool:
    """Whether no run of the route reads this upload. False if that is not known.

    With `load = "each"`, a run has to read the copy at `stage_to`. A marker (an empty upload of a route with
    `allow_empty` that takes none of the files that are read) has nothing to be read.
    """
    if sources is None:
        return False
    key = route.stage_to or upload.key
    if any(source.is_read_from(upload.bucket, key) for source in sources):
        return False
    return not (upload.size == 0 and is_for_markers(route, sources))


def is_for_markers(route: Route, sources: Sources) -> bool:
    """Whether a route takes only markers: it allows empty files, and takes none of the files that its run reads."""
    return route.load == "latest" and route.allow_empty and not any(route.covers(source.key) for source in sources)


def why_unread(route: Route, uploads: Sequence[Upload], sources: Sources) -> str:
    """Why uploads of a route are rejected, and what to do. The first sentence says what happened."""
    what = "flow" if route.flow else "integration"
    if route.stage_to is not None:
        news = f"No run reads stage_to {_quoted(route.stage_to)}."
        keys = [route.stage_to]
    else:
        news = f"No run reads {'this file' if len({upload.key for upload in uploads}) == 1 else 'these files'}."
        keys = list(dict.fromkeys(upload.key for upload in uploads))
    elsewhere = next((source for source in sources for key in keys if source.names(key)), None)
    if elsewhere is not None:
        bucket = uploads[0].bucket
        return (
            f"{news} The {what} reads {_quoted(elsewhere.key)} from bucket {_quoted(elsewhere.bucket or '')}, and the "
            f"upload came to {_quoted(bucket)}. Upload to that bucket, or give the {what} a connection to "
            f"{_quoted(bucket)}."
        )
    facts = f"The {what} reads only {_listed([source.key for source in sources])}, not {_listed(keys)}"
    near = next((found for key in keys for source in sources if (found := _near_miss(key, source.key))), "")
    return f"{news} {facts}{near}. {_remedy(route, sources, what)}"


def _remedy(route: Route, sources: Sources, what: str) -> str:
    target = sources[0].key if len(sources) == 1 else None
    if route.stage_to is not None:
        wanted = f"stage_to = {_quoted(target)}" if target else "stage_to to the right one of these keys"
        return f"Set {wanted} on the route, or let the {what} read {_quoted(route.stage_to)}."
    there = "that key" if target else "one of these keys"
    outside = target is not None and not route.covers(target)
    staged = f"stage_to = {_quoted(target or '')}" if outside else "a stage_to outside every route's prefix"
    told = "" if outside else f", and let the {what} read that key"
    return f'Upload to {there}; or, to load files of any name, set load = "each" on the route with {staged}{told}.'


def _near_miss(key: str, source: str) -> str:
    """How two similar-looking keys differ; empty if they do not look alike."""
    if unicodedata.normalize("NFC", key) == unicodedata.normalize("NFC", source):
        return " (they look the same, but their accented letters are encoded differently: Unicode NFC and NFD)"
    if _folded(key) == _folded(source):
        return " (upper and lower case differ)"
    if " ".join(_folded(key).split()) == " ".join(_folded(source).split()):
        return " (spaces differ)"
    return ""


def _folded(key: str) -> str:
    return unicodedata.normalize("NFC", key).casefold().removeprefix("/")


def _listed(keys: Sequence[str]) -> str:
    """`"a"`, `"a" and "b"`, `"a", "b", "c" and 4 more`."""
    shown = [_quoted(key) for key in keys[:_SHOWN]]
    if len(keys) > _SHOWN:
        shown.append(f"{len(keys) - _SHOWN} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _quoted(text: str) -> str:
    return f'"{text}"'
