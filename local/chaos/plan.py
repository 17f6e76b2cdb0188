"""The plan of a storm, drawn from a seed. Pure, so equal seeds give equal plans."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import Literal

from msgspec import Struct

UPLOADS_PER_SECOND = 2.0
TROUBLE = 1.5
"""How long trouble lasts, as a multiple of how long uploads come: leaders are still at work then."""
BURSTS = (1, 1, 1, 2, 3, 5, 8)
BURST_GAP_SECONDS = 0.4
KEYS_PER_ROUTE = 3
"""Of a route that loads each: few, so that newer data of a key overtakes older."""
SPOILED_ROWS = 12
"""One in this many uploads has a row that Anaplan rejects."""
KILL_EVERY_SECONDS = 5.0
STOP_EVERY_SECONDS = 25.0
REORDERED_SHARE = 0.4
REORDERED_SECONDS = 8.0
DOUBLED_SHARE = 0.25
DOUBLED_SECONDS = 12.0
SHARED_LANE = "shared"


class PlannedRoute(Struct, frozen=True):
    """A route, and the integration of the same name that it runs."""

    name: str
    load: Literal["latest", "each"]
    lane: str | None
    """None: the integration's own."""

    @property
    def prefix(self) -> str:
        """Where its uploads go."""
        return f"incoming/{self.name}/"

    @property
    def source(self) -> str:
        """The key that its integration reads: the uploaded one with `latest`, `stage_to` with `each`."""
        return f"{self.prefix}source.csv" if self.load == "latest" else f"source/{self.name}.csv"

    def toml(self, integration_id: str) -> str:
        """Its table in `routes.toml`."""
        lines = [f'name = "{self.name}"', f'prefix = "{self.prefix}"', f'integration = "{integration_id}"']
        if self.load == "each":
            lines += ['load = "each"', f'stage_to = "{self.source}"']
        if self.lane is not None:
            lines.append(f'lane = "{self.lane}"')
        return "\n".join(["[[route]]", *lines, ""])


class PlannedUpload(Struct, frozen=True):
    """One object that is put into the inbox, and how its event travels."""

    at: float
    """Seconds after the start, as are all times of a plan."""
    route: PlannedRoute
    key: str
    content: bytes
    """Unlike that of any other upload."""
    deliveries: tuple[float, ...]
    """Seconds by which each copy of its event is late; the first two may come in any order."""

    @property
    def sha256(self) -> str:
        """Of the content, in hex: it identifies the source of a run."""
        return sha256(self.content).hexdigest()


class Blow(Struct, frozen=True):
    """A runtime to kill, or a leader to stop for good."""

    at: float
    pick: float
    """From 0 to below 1: which of those that are there."""


class Plan(Struct, frozen=True):
    """All of it, in the order of time."""

    seed: int
    seconds: float
    """How long trouble lasts, in seconds."""
    routes: tuple[PlannedRoute, ...]
    uploads: tuple[PlannedUpload, ...]
    kills: tuple[Blow, ...]
    stops: tuple[Blow, ...]


def draw(seed: int, uploads: int, routes: int) -> Plan:
    """Draw a plan. Raises ValueError unless there is an upload, and a route for either mode."""
    if uploads < 1 or routes < 2:
        raise ValueError(f"{uploads} uploads over {routes} routes: ask for at least 1 over 2")
    random = Random(seed)  # noqa: S311 (not for security)
    uploading = uploads / UPLOADS_PER_SECOND
    seconds = TROUBLE * uploading
    planned = _routes(routes)
    return Plan(
        seed=seed,
        seconds=seconds,
        routes=planned,
        uploads=_uploads(random, planned, uploads, uploading),
        kills=_blows(random, KILL_EVERY_SECONDS, seconds),
        stops=_blows(random, STOP_EVERY_SECONDS, seconds),
    )


def _routes(count: int) -> tuple[PlannedRoute, ...]:
    """Both modes by turns; the last two, one of either, share a lane."""
    return tuple(
        PlannedRoute(
            name=f"route{number:02}",
            load="latest" if number % 2 else "each",
            lane=SHARED_LANE if number > count - 2 else None,
        )
        for number in range(1, count + 1)
    )


def _uploads(random: Random, routes: tuple[PlannedRoute, ...], count: int, seconds: float) -> tuple[PlannedUpload, ...]:
    """Bursts to one route each, at any time within so many seconds."""
    drawn: list[PlannedUpload] = []
    while len(drawn) < count:
        route = random.choice(routes)
        at = random.uniform(0, seconds)
        for _ in range(min(random.choice(BURSTS), count - len(drawn))):
            drawn.append(_upload(random, route, at, len(drawn)))
            at += random.uniform(0, BURST_GAP_SECONDS)
    return tuple(sorted(drawn, key=lambda upload: upload.at))


def _upload(random: Random, route: PlannedRoute, at: float, number: int) -> PlannedUpload:
    key = route.source if route.load == "latest" else f"{route.prefix}{random.randrange(KEYS_PER_ROUTE)}.csv"
    rows = [f"U{number},upload {number}", *(["U0,spoiled", "U0,spoiled"] if number % SPOILED_ROWS == 0 else [])]
    content = "\n".join(["code,name", *rows, ""]).encode()
    return PlannedUpload(at, route, key, content, _deliveries(random))


def _deliveries(random: Random) -> tuple[float, ...]:
    first = random.uniform(0, REORDERED_SECONDS) if random.random() < REORDERED_SHARE else 0.0
    if random.random() >= DOUBLED_SHARE:
        return (first,)
    return (first, random.uniform(0, DOUBLED_SECONDS))


def _blows(random: Random, every_seconds: float, seconds: float) -> tuple[Blow, ...]:
    """One in each stretch of time, so that a short storm has its share too."""
    count = max(1, int(seconds / every_seconds))
    stretch = seconds / count
    return tuple(Blow((number + random.random()) * stretch, random.random()) for number in range(count))
