"""What was observed during a storm: plain values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from anaplan_autoload.domain.protocol import UploadState
from local.cloudworks import Run, Seen


class Made(Struct, frozen=True):
    """An upload that was made."""

    route: str
    key: str
    version_id: str
    sha256: str
    """Of the content, in hex; unlike that of any other upload."""
    at: float
    """Epoch seconds before S3 was asked to store it."""


class Known(Struct, frozen=True):
    """What the ledger knows of an upload."""

    state: UploadState
    run_id: str | None


class Announced(Struct, frozen=True):
    """A message that subscribers got."""

    id: str
    outcome: str
    message: str
    versions: frozenset[str]
    """The version ids of its uploads."""


class Trouble(Struct, frozen=True):
    """What went wrong on purpose, except in CloudWorks."""

    until: float
    """When CloudWorks' answers were spoiled no more, epoch seconds."""
    kills: tuple[float, ...]
    """When runtimes were killed, epoch seconds."""
    stops: int
    """Leaders that were stopped for good."""
    events: int
    """Deliveries of the uploads' events."""
    late: int
    """Those of them that were delayed, and so reordered."""
    redriven: int
    """Dead letters that were sent to the function again."""


class Evidence(Struct, frozen=True, kw_only=True):
    """All of it. Uploads, runs and messages are in the order of time."""

    made: tuple[Made, ...]
    loads: dict[str, Literal["latest", "each"]]
    """By route."""
    lanes: dict[str, str]
    """Lane by route."""
    integrations: dict[str, str]
    """Route by integration."""
    runs: tuple[Run, ...]
    requests: tuple[Seen, ...]
    """What CloudWorks was asked."""
    messages: tuple[Announced, ...]
    known: tuple[Known | None, ...]
    """What the ledger knows of each of `made`; None: nothing."""
    trouble: Trouble
    executions: dict[str, int]
    """How many ended with which status."""
    seconds: float
    """From the first upload until everything had come to rest."""
