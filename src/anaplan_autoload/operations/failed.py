"""The error of an operation that cannot be done."""

from __future__ import annotations


class OperationFailed(Exception):
    """What was asked for was not done: why, and the remedy."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
