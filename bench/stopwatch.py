"""Separates the function's own processor time from that of moto and the simulator in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Adds up this process's processor time, in milliseconds, while at least one thread is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._milliseconds = 0.0

    @property
    def milliseconds(self) -> float:
        """The sum so far; read it while no thread is inside."""
        return self._milliseconds

    def __enter__(self) -> Self:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._milliseconds -= time.process_time() * 1000
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._milliseconds += time.process_time() * 1000

    def over(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, with the time inside it added up."""

        @wraps(function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> T:
            with self:
                return function(*args, **kwargs)

        return watched
