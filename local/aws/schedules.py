"""EventBridge's schedules, for fixed rates."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread

from local.aws.executions import Executions


class Rate:
    """Sends the function one event (JSON), again and again, until it is closed."""

    def __init__(self, every_seconds: float, event: str, executions: Executions) -> None:
        self._every_seconds = every_seconds
        self._event = event.encode()
        self._executions = executions
        self._closing = Event()
        self._thread = Thread(target=self._run, name="schedule", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every_seconds):
            with suppress(OSError):  # shutting down; and the next one makes up for it
                self._executions.start(self._event)
