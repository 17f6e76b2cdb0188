"""Child processes that leave nothing behind. For Linux, where AWS's runtime emulator runs too.

Each leads a session of its own, so that everything it starts can be found again, and Ctrl-C reaches only this process.
A guardian process ends a moment after this process, and ends the sessions that it left.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Self

from msgspec import Struct

from local.http_server import HOST

EVERYWHERE = "0.0.0.0"  # noqa: S104 (asked for with --docker)
"""The address to listen on so that containers, which use the address of this machine's bridge, can connect."""
ATTEMPTS = 3
READY_SECONDS = 60.0
GRACE_SECONDS = 2.0
LAST_LINES = 20


class StartFailed(RuntimeError):
    """A part of the laptop's AWS did not come up; the text ends with the last lines of its log."""


class Command(Struct, frozen=True):
    """How to start one process."""

    name: str
    """Names its log file too."""
    arguments: tuple[str, ...]
    environment: dict[str, str]
    """The whole environment: nothing is inherited."""
    directory: Path


class Guardian:
    """A process that ends the sessions that its creator leaves behind, even when the creator is killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.aws.processes"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def watch(self, session: int) -> None:
        """End this session when our process has ended."""
        self._tell(f"+{session}")

    def forget(self, session: int) -> None:
        """Forget the session: it has ended, and its number may be used again."""
        self._tell(f"-{session}")

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 (a pipe was asked for)
        with self._lock, suppress(BrokenPipeError):
            pipe.write(line + "\n")
            pipe.flush()


class Process:
    """One child and everything that it starts; what they print goes to `<logs>/<name>.log` (stderr: `.err`)."""

    def __init__(self, command: Command, logs: Path, guardian: Guardian) -> None:
        self.name = command.name
        self.log = logs / f"{command.name}.log"
        self.errors = logs / f"{command.name}.err"
        self._guardian = guardian
        with self.log.open("ab") as output, self.errors.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 (our own commands)
                command.arguments,
                env=command.environment,
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        guardian.watch(self.pid)

    @property
    def pid(self) -> int:
        """The process's id, which is its session's too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process itself still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it and everything that it started, at once (SIGKILL)."""
        kill_session(self.pid)
        self._process.wait()
        kill_session(self.pid)  # what it started while the first list was read
        self._guardian.forget(self.pid)

    def stop(self) -> None:
        """Ask it to end, and kill what is left after a moment."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_SECONDS)
        self.kill()

    def last_lines(self) -> str:
        """The end of what it printed."""
        return "\n".join(tail(self.log, LAST_LINES) + tail(self.errors, LAST_LINES))


class Server(Struct, frozen=True):
    """A process that listens on a port of 127.0.0.1."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        """Its base URL, without a slash at the end."""
        return f"http://{HOST}:{self.port}"


def start_server(make: Callable[[int], Command], logs: Path, guardian: Guardian) -> Server:
    """Start the command that `make` gives for a free port; return once it listens there.

    A port can be taken between the look and its use, so a server that ends at once is tried again on another.
    """
    for _ in range(ATTEMPTS):
        port = free_port()
        process = Process(make(port), logs, guardian)
        try:
            if _listens(process, port):
                return Server(process, port)
        except BaseException:
            process.kill()
            raise
        process.kill()
    raise StartFailed(f"{process.name} does not start. The end of its log:\n{process.last_lines()}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a file; empty if the file does not exist."""
    return path.read_text(errors="replace").splitlines()[-count:] if path.exists() else []


def bare_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's paths and locale, and `more`; nothing else, so that no credentials leak in."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    return kept | dict(more)


def kill_session(session: int) -> None:
    """Kill every process of the session."""
    for pid in _members(session):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _members(session: int) -> list[int]:
    return [pid for pid in _pids() if _session_of(pid) == session]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _session_of(pid: int) -> int | None:
    """The process's session, None when it is gone or a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # pid (name, which may hold anything) state ppid pgrp session …
    state, _, _, session = status.rpartition(")")[2].split()[:4]
    return None if state == "Z" else int(session)


def _listens(process: Process, port: int) -> bool:
    """Whether the process came to listen on the port; False as soon as it has ended."""
    deadline = time.monotonic() + READY_SECONDS
    while process.alive and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return process.alive
        time.sleep(0.05)
    return False


def _guard(lines: Iterable[str]) -> None:
    """Remember the sessions that the lines name until there are no more lines, then end what is left."""
    sessions: set[int] = set()
    for line in lines:
        session = int(line[1:])
        if line.startswith("+"):
            sessions.add(session)
        else:
            sessions.discard(session)
    for session in sessions:
        kill_session(session)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _guard(sys.stdin)
