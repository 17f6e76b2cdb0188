"""What every part of the simulator stands on: the tenant, the buckets, the settings, the clock and fresh ids."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from local.cloudworks.buckets import Buckets
from local.cloudworks.settings import SimulatorSettings
from local.cloudworks.tenant import Tenant


class Environment:
    """Made once by the simulator and shared by its parts."""

    def __init__(
        self, buckets: Buckets, settings: SimulatorSettings, clock: Callable[[], float], random: Random
    ) -> None:
        """`clock` gives epoch seconds; `random` makes the ids, so that equal seeds give equal ids."""
        self.tenant = Tenant()
        self.buckets = buckets
        self.settings = settings
        self.now = clock
        self._random = random

    def anaplan_now(self) -> float:
        """Epoch seconds on Anaplan's clock."""
        return self.now() + self.settings.skew_seconds

    def new_id(self) -> str:
        """32 lower-case hex digits."""
        return f"{self._random.getrandbits(128):032x}"
