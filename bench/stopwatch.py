"""Tells the time that the function spends itself from the time that others take to answer it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Adds up wall and processor time, in milliseconds, while anybody at all is inside; threads may overlap."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._wall = self._processor = 0.0

    @property
    def times(self) -> tuple[float, float]:
        """Milliseconds so far: by the clock on the wall, and of this process's processors."""
        return self._wall, self._processor

    def __enter__(self) -> Self:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._add(-1)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._add(1)

    def over(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function, with the time inside it added up."""

        @wraps(function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> T:
            with self:
                return function(*args, **kwargs)

        return watched

    def _add(self, sign: int) -> None:
        self._wall += sign * time.perf_counter() * 1000
        self._processor += sign * time.process_time() * 1000
