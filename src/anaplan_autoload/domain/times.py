"""Times as text and as epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def epoch_ms(text: str) -> int:
    """A time made by `iso` as epoch ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def iso(ms: int) -> str:
    """Epoch milliseconds as `2026-11-24T21:05:00.123Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(earlier: str, later: str) -> float:
    """Never negative, although Anaplan's clock and S3's differ and Anaplan's times are whole seconds."""
    return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
