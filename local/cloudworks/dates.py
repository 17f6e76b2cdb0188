"""Epoch seconds to the texts that Anaplan's services write."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

from anaplan_autoload.domain.times import iso


def whole_second(epoch: float) -> str:
    """`2026-11-24T21:05:00.000Z`: the dates of runs and objects, in whole seconds, rounded down."""
    return iso(int(epoch) * 1000)


def spaced(epoch: float) -> str:
    """`2026-11-24 21:05:00.123456+00:00`: the dates of a flow's steps, and of nothing else."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")


def http_date(epoch: float) -> str:
    """`Tue, 24 Nov 2026 21:05:00 GMT`: the `Date` header."""
    return formatdate(int(epoch), usegmt=True)
