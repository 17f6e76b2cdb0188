"""A terminal on which commands are typed, and what is read on it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from local.transcripts.page import Ended, PageFailed

COLUMNS = 120
PATIENCE_SECONDS = 120
"""For one command, on a busy machine."""
PROMPT = b": "
"""What all questions end with."""


class Terminal:
    """A plain terminal: no colours, nothing that moves, `COLUMNS` wide."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        """Commands are run in `directory` and see nothing but `environment` and what kind of terminal this is."""
        self._directory = directory
        self._environment = {
            **environment,
            "COLUMNS": str(COLUMNS),
            "LINES": "50",
            "TERM": "dumb",
            "NO_COLOR": "1",
        }

    def run(self, line: str, answers: tuple[str, ...] = ()) -> Ended:
        """Run a command of the shell, answering its questions in this order.

        Raises `PageFailed` when it takes too long or asks more or less than that.
        """
        outside, inside = pty.openpty()
        process = subprocess.Popen(  # noqa: S603 (our own page's words)
            ("/bin/bash", "-c", line),
            cwd=self._directory,
            env=self._environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        try:
            shown = _conversation(outside, line, list(answers))
            return Ended(_text(shown), process.wait(PATIENCE_SECONDS))
        finally:
            process.kill()
            process.wait()
            os.close(outside)


def _conversation(fd: int, line: str, answers: list[str]) -> bytes:
    """Read until the command ends, and answer what it asks."""
    shown, answered = b"", 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise PageFailed(f"{line}: not done after {PATIENCE_SECONDS} s; it printed:\n{_text(shown)}")
        if not (more := _read(fd)):
            break
        shown += more
        if answers and len(shown) > answered and shown.endswith(PROMPT):
            os.write(fd, f"{answers.pop(0)}\n".encode())
            answered = len(shown)
    if answers:
        raise PageFailed(f"{line}: it did not ask for {answers!r}; it printed:\n{_text(shown)}")
    return shown


def _read(fd: int) -> bytes:
    """What was printed; empty once the command has ended, which Linux reports as an error."""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def _text(shown: bytes) -> str:
    lines = shown.decode(errors="replace").replace("\r\n", "\n").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")
