"""Decides which loads go into a digest: one mail for many loads, so that a burst does not fill a mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.domain.outcomes import ReportOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Owed(Struct, frozen=True):
    """A message that systems got at once, and that people will get in a digest."""

    lane: str
    id: str
    """The message's id."""
    outcome: ReportOutcome
    route: str
    target: str
    """The id of its integration or flow."""
    ended_at: str
    said: str
    """Its subject."""
    due_at: int
    """When the digest is to be sent, epoch ms."""


def is_digested(told: Iterable[int], now: int, after: int, window_ms: int) -> bool:
    """Whether a message waits for a digest, because its lane reported `after` loads within the window before it.

    `told` and `now` are epoch ms. If `after` is 0, there are no digests.
    """
    return 0 < after <= sum(now - window_ms < at <= now for at in told)


def due(owed: Iterable[Owed], now: int) -> list[Sequence[Owed]]:
    """The digests to send now: each has the messages of one lane and due time, in the order in which loads ended."""
    digests: dict[tuple[str, int], list[Owed]] = {}
    for each in sorted(owed, key=lambda one: (one.ended_at, one.id)):
        if each.due_at <= now:
            digests.setdefault((each.lane, each.due_at), []).append(each)
    return list(digests.values())
