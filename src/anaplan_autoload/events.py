"""Event to uploads: what S3, EventBridge, SNS, the sweep and the command line send, in one small vocabulary."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct


class Upload(Struct, frozen=True, omit_defaults=True):
    """One object that was created, as its event described it."""

    bucket: str
    key: str
    """Decoded: as S3 shows it, never URL-encoded."""
    event_time: str
    """`2026-11-24T21:05:00.123Z`, always with milliseconds."""
    size: int | None = None
    """Bytes; None where the event does not tell."""
    etag: str = ""
    """Without quotes."""
    version_id: str | None = None
    """None where the bucket keeps no versions (S3 then says nothing or `null`)."""
    sequencer: str = ""
    """Hex; orders the events of one key only."""
    request_id: str | None = None
    """Set on a requested reload alone."""

    @property
    def identity(self) -> str:
        """What tells this upload from others of its key: duplicates of an event share it."""
        if self.request_id is not None:
            return f"request {self.request_id}"
        return self.version_id or self.sequencer or f"{self.etag} {self.event_time}"

    @property
    def id(self) -> str:
        """sha256 (hex) of bucket, key and identity; the upload's key in the ledger."""
        return sha256("\0".join((self.bucket, self.key, self.identity)).encode()).hexdigest()

    @property
    def order(self) -> str:
        """Sorts uploads oldest first: by event time, and within one key by sequencer, right-padded with zeros."""
        key = sha256(f"{self.bucket}\0{self.key}".encode()).hexdigest()[:16]
        return f"{self.event_time}#{key}#{self.sequencer:0<32}"
