"""Finds the route of an upload: which integration or flow loads it, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from msgspec import Struct

from anaplan_autoload.domain.contents import Check
from anaplan_autoload.domain.litter import excluded_by
from anaplan_autoload.domain.outcomes import ReportOutcome

Load = Literal["latest", "each"]

DEFAULT_WITHIN = 86_400
"""Seconds: `within` where a route has `needs` alone, so that no set waits unannounced."""


class Route(Struct, frozen=True, omit_defaults=True):
    """One `[[route]]` of `routes.toml`; durations are whole seconds.

    A copy of it is stored with every upload, so that later changes of `routes.toml` do not affect uploads that already
    wait.
    """

    name: str
    prefix: str
    integration: str | None = None
    """CloudWorks integration id, 32 lower-case hex; exactly one of `integration` and `flow` is set."""
    flow: str | None = None
    load: Load = "latest"
    suffix: str = ""
    bucket: str | None = None
    stage_to: str | None = None
    settle: int = 0
    lane: str | None = None
    retries: int = 2
    overdue: int = 7200
    allow_empty: bool = False
    exclude: tuple[str, ...] = ()
    """Patterns of names to ignore, in addition to those that every route ignores."""
    window: tuple[str, ...] = ()
    """When runs may begin, as `schedule.window` reads it; at any time if empty."""
    needs: tuple[str, ...] = ()
    """Names below the prefix; a run begins when each of these files was uploaded since the last run."""
    within: int = DEFAULT_WITHIN
    """How long after the first file of such a set the rest may come before it is announced as incomplete."""
    check: Check | None = None
    """What a file must be like to be loaded."""
    expect: str | None = None
    """A due time (see `domain.schedule`): something must have been loaded since the due time before."""
    notify: tuple[str, ...] | None = None
    """The outcomes that go to the topic, besides `held`; None for all."""

    @property
    def target(self) -> str:
        """The id of the integration or flow that the route runs."""
        return self.integration or self.flow or ""

    @property
    def lane_id(self) -> str:
        """The lane in which this route's runs happen one at a time."""
        return self.lane or self.target

    def admits(self, bucket: str) -> bool:
        """Whether the route covers this bucket. A route without `bucket` covers all buckets."""
        return self.bucket is None or self.bucket == bucket

    def covers(self, key: str) -> bool:
        """Whether the key has the prefix and the suffix; the bucket is not looked at."""
        return key.startswith(self.prefix) and key.endswith(self.suffix)

    def matches(self, bucket: str, key: str) -> bool:
        """Whether the route matches the object. Another route that matches too may be closer."""
        return self.admits(bucket) and self.covers(key)

    @property
    def may_wait(self) -> bool:
        """Whether its uploads may have to wait for a window or for other files."""
        return bool(self.window or self.needs)

    def tells(self, outcome: ReportOutcome) -> bool:
        """Whether this outcome goes to the topic. `held` always does: nothing is loaded until somebody acts."""
        return self.notify is None or outcome == "held" or outcome in self.notify

    def excluded_by(self, key: str) -> str | None:
        """The pattern for which a key of this route is ignored; None where it is an upload."""
        return excluded_by(key, self.exclude, self.prefix, self.suffix)


class Routes(Struct, frozen=True, dict=True):
    """The valid routes of one file, in its order; made by `routes_file.parsing`."""

    routes: tuple[Route, ...]

    def __iter__(self) -> Iterator[Route]:
        """In the file's order."""
        return iter(self.routes)

    def __len__(self) -> int:
        """How many routes there are; 0 until some have been pushed."""
        return len(self.routes)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes' ids, each once, in the file's order."""
        return tuple(dict.fromkeys(route.lane_id for route in self.routes))

    def match(self, bucket: str, key: str) -> Route | None:
        """The route that loads this object, or None.

        The longest prefix wins. At equal prefixes, a route that names the bucket wins, then the longer suffix. There is
        never a tie, because two routes with the same prefix, suffix and bucket are rejected.
        """
        for length in self._prefix_lengths:
            for route in self._by_prefix.get(key[:length], ()):
                if route.matches(bucket, key):
                    return route
        return None

    def is_staged(self, bucket: str, key: str) -> bool:
        """Whether this object is a route's `stage_to`: a copy that Autoload made, which no route matches."""
        return self.stager(bucket, key) is not None

    def stager(self, bucket: str, key: str) -> Route | None:
        """The route whose `stage_to` this object is."""
        return next((route for route in self._by_stage.get(key, ()) if route.admits(bucket)), None)

    # Looked up by prefix and by copy: with hundreds of routes, looking at each would take longer than a match may.

    @cached_property
    def _by_prefix(self) -> dict[str, list[Route]]:
        """The routes of each prefix, the closest first."""
        found: defaultdict[str, list[Route]] = defaultdict(list)
        for route in sorted(self.routes, key=_closeness, reverse=True):
            found[route.prefix].append(route)
        return dict(found)

    @cached_property
    def _prefix_lengths(self) -> list[int]:
        """The lengths of all prefixes, the longest first."""
        return sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    @cached_property
    def _by_stage(self) -> dict[str, list[Route]]:
        """The routes that stage to each key."""
        found: defaultdict[str, list[Route]] = defaultdict(list)
        for route in self.routes:
            if route.stage_to is not None:
                found[route.stage_to].append(route)
        return dict(found)


def _closeness(route: Route) -> tuple[int, bool, int]:
    return len(route.prefix), route.bucket is not None, len(route.suffix)
