"""The standing of a route: what was announced about it, and which load it still waits for.

`missing` is about due times (`expect`). A load counts for one due time only: the last load before it, else the first
after it. So a file that comes late does not count as the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anaplan_autoload.domain.outcomes import Ending
    from anaplan_autoload.domain.routes import Route

Trouble = Literal["missing", "failed"]
"""What a route can recover from."""


class Standing(Struct, frozen=True):
    """What the ledger stores about a route."""

    expect: str | None = None
    """The route's `expect` and `lane_id` to which `settled` refers; None if there was none yet."""
    lane: str | None = None
    settled: int = 0
    """The last due time that was dealt with, epoch ms."""
    used: int = 0
    """Loads that ended at or before this time (epoch ms) do not count for later due times."""
    missed: int | None = None
    """The due time that was announced as missed, if nothing has been loaded since; epoch ms."""
    failed: str | None = None
    """The id of the load that was announced as failed, if none has succeeded since."""

    def is_of(self, route: Route) -> bool:
        """Whether `settled` is about the route's due times as they are now."""
        return (self.expect, self.lane) == (route.expect, route.lane_id)

    def recovers_by(self, outcome: Ending) -> tuple[Trouble, ...]:
        """The trouble that a load of this outcome ends. A partial one ends a wait for the file, but not a failure."""
        came = outcome in ("loaded", "partial") and self.missed is not None
        succeeded = outcome == "loaded" and self.failed is not None
        return (*(("missing",) if came else ()), *(("failed",) if succeeded else ()))


def counted(ended: Iterable[int], due_at: int) -> int | None:
    """Which load counts for a due time. `ended` has the times at which loads ended, newest first, epoch ms."""
    late = None
    for at in ended:
        if at <= due_at:
            return at
        late = at
    return late
