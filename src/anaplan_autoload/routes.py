"""Upload to route: which integration or flow loads an object, and how.

`routes.toml` is the user's own file. It is read once, at cold start, and refused as a whole when anything in it is
wrong: a mistake found at deployment is cheaper than one found at 3 a.m.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Load = Literal["latest", "each"]


class Route(Struct, frozen=True, omit_defaults=True):
    """One `[[route]]` of `routes.toml`; durations are whole seconds.

    A snapshot of it is stored with every upload, so that later changes of `routes.toml` do not touch what already waits.
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

    @property
    def target(self) -> str:
        """The id of what is run: the integration's or the flow's."""
        return self.integration or self.flow or ""

    @property
    def lane_id(self) -> str:
        """The lane that this route's runs take turns in."""
        return self.lane or self.target
