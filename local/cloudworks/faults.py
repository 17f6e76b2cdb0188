"""Trouble on demand: lost requests, lost answers, errors, delays, garbled bodies and expired tokens."""

from __future__ import annotations

import re
from random import Random
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

Kind = Literal["lose_before", "lose_after", "status", "slow", "truncate", "expire_token"]


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of trouble, and which requests meet it.

    `lose_before` closes the connection without doing anything, `lose_after` does what was asked and then closes it,
    `status` answers with an error instead, `slow` answers late, `truncate` answers with half of the JSON, and
    `expire_token` ends the life of the token that came with the request.
    """

    kind: Kind
    method: str | None = None
    """None: any."""
    path: str = ""
    """A regular expression, searched for in the path without its query; empty: any."""
    count: int | None = 1
    """How many requests meet it; None: all, until faults are cleared."""
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    """`Retry-After`, for example."""
    body: str = "<html><body>Internal Server Error</body></html>"
    content_type: str = "text/html"
    seconds: float = 0.0
    """How late a slow answer is."""

    def matches(self, method: str, path: str) -> bool:
        """Whether a request meets this fault."""
        return self.method in (None, method) and re.search(self.path, path) is not None


RANDOM_FAULTS = (
    Fault(kind="lose_before"),
    Fault(kind="lose_after"),
    Fault(kind="status", status=500),
    Fault(kind="status", status=503),
    Fault(kind="truncate"),
)
"""What a request meets by chance."""


class Faults:
    """The faults that wait for requests, oldest first."""

    def __init__(self, random: Random) -> None:
        """`random` decides which requests meet a fault by chance, and which."""
        self._random = random
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let the next matching requests meet `fault`; raises ValueError if its path is not a regular expression."""
        try:
            re.compile(fault.path)
        except re.error as error:
            raise ValueError(f"fault path {fault.path!r} is not a regular expression: {error}") from error
        self._waiting.append(fault)

    def clear(self) -> None:
        """Call off all faults."""
        self._waiting.clear()

    def take(self, method: str, path: str, fail_rate: float) -> Fault | None:
        """The fault that this request meets, if any; counted faults are used up by it."""
        for index, fault in enumerate(self._waiting):
            if fault.matches(method, path):
                self._use_up(index)
                return fault
        if fail_rate and self._random.random() < fail_rate:
            return self._random.choice(RANDOM_FAULTS)
        return None

    def _use_up(self, index: int) -> None:
        fault = self._waiting[index]
        if fault.count is None:
            return
        if fault.count > 1:
            self._waiting[index] = replace(fault, count=fault.count - 1)
        else:
            del self._waiting[index]
