"""The function's runtimes: AWS's own runtime client under AWS's own emulator of the runtime API.

As on Lambda, a runtime takes one invocation at a time, is initialised by its first and used again by later ones; one
that crashed or ran into the function's timeout is replaced. Unlike on Lambda their number is fixed: invocations queue.
"""

from __future__ import annotations

import http.client
import os
import random
import sys
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import msgspec
from msgspec import Struct

from local.aws.processes import Command, Guardian, Server, free_port, start_server
from local.http_server import HOST

INVOKE = "/2015-03-31/functions/function/invocations"
"""The emulator's only path: it serves one function and does not look at the name."""
MARGIN_SECONDS = 10.0


class Sandbox(Struct, frozen=True, kw_only=True):
    """What every runtime of the function is started with."""

    emulator: Path
    """The `aws-lambda-rie` binary."""
    handler: str
    timeout_seconds: int
    environment: dict[str, str]
    """All of it, as Lambda would set it."""
    directory: Path


class Invoked(Struct, frozen=True):
    """How an invocation ended."""

    payload: bytes
    """JSON: what the handler returned, or an error."""
    failed: bool
    """Whether the handler raised, crashed or ran out of time."""


class Runtime:
    """One runtime; its process is started by the first invocation, and again after it died."""

    def __init__(self, number: int, sandbox: Sandbox, logs: Path, guardian: Guardian) -> None:
        self._name = f"runtime-{number}"
        self._sandbox = sandbox
        self._logs = logs
        self._guardian = guardian
        self._server: Server | None = None
        self._lock = Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process that can be killed to simulate a crash; None before the first invocation."""
        server = self._server
        return server.process.pid if server is not None and server.process.alive else None

    def invoke(self, payload: bytes) -> Invoked:
        """Run the handler once with this event."""
        server = self._ready()
        patience = self._sandbox.timeout_seconds + MARGIN_SECONDS  # the emulator watches the timeout itself
        connection = http.client.HTTPConnection(HOST, server.port, timeout=patience)
        try:
            connection.request("POST", INVOKE, payload, {"Content-Type": "application/json"})
            return self._judge(connection.getresponse().read())
        except TimeoutError:
            self.kill()
            return self._timed_out()
        except (OSError, http.client.HTTPException):
            self.kill()
            return _error("Runtime.ExitError", "Runtime exited with error: signal: killed")
        finally:
            connection.close()

    def kill(self) -> None:
        """End the runtime at once, in the middle of its work."""
        with self._lock:
            if self._server is not None:
                self._server.process.kill()
                self._server = None

    def close(self) -> None:
        """Kill it for good: invocations that still wait for it fail."""
        self._closed = True
        self.kill()

    def _ready(self) -> Server:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self._name} is shut down")
            if self._server is None or not self._server.process.alive:
                self._server = start_server(self._command, self._logs, self._guardian)
            return self._server

    def _command(self, port: int) -> Command:
        sandbox = self._sandbox
        return Command(
            name=self._name,
            arguments=(
                str(sandbox.emulator),
                "--log-level",
                "warn",
                "--runtime-api-address",
                f"{HOST}:{free_port()}",
                "--runtime-interface-emulator-address",
                f"{HOST}:{port}",
                sys.executable,
                "-m",
                "awslambdaric",
                sandbox.handler,
            ),
            environment=sandbox.environment | {"AWS_LAMBDA_FUNCTION_TIMEOUT": str(sandbox.timeout_seconds)},
            directory=sandbox.directory,
        )

    def _judge(self, payload: bytes) -> Invoked:
        """The emulator answers a timeout with plain text. An error is recognized only by the form of its JSON."""
        try:
            answer = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            return self._timed_out()
        failed = isinstance(answer, dict) and "errorType" in answer and "errorMessage" in answer
        return Invoked(payload, failed)

    def _timed_out(self) -> Invoked:
        return _error("Sandbox.Timedout", f"Task timed out after {self._sandbox.timeout_seconds}.00 seconds")


class Pool:
    """The function's runtimes, as one."""

    def __init__(self, count: int, sandbox: Sandbox, logs: Path, guardian: Guardian) -> None:
        self._runtimes = [Runtime(number, sandbox, logs, guardian) for number in range(1, count + 1)]
        self._free: SimpleQueue[Runtime] = SimpleQueue()
        self._lock = Lock()
        self._busy: set[Runtime] = set()
        self._outdated: set[Runtime] = set()
        for runtime in self._runtimes:
            self._free.put(runtime)

    def invoke(self, payload: bytes) -> Invoked:
        """Run the handler once, in the next runtime that is free."""
        runtime = self._free.get()
        with self._lock:
            self._busy.add(runtime)
        try:
            self._renew(runtime)
            return runtime.invoke(payload)
        finally:
            with self._lock:
                self._busy.discard(runtime)
            self._free.put(runtime)

    def deploy(self) -> None:
        """Have every invocation from now on run in a fresh runtime; those under way finish in their old ones."""
        with self._lock:
            self._outdated = set(self._runtimes)

    @property
    def busy(self) -> list[int]:
        """The process ids of the runtimes that run the handler at this moment."""
        with self._lock:
            return [runtime.pid for runtime in self._busy if runtime.pid is not None]

    def kill_one(self, pid: int | None) -> int | None:
        """Kill the runtime of this process id, else a busy one, else any; returns its id, None if none is up."""
        with self._lock:
            busy = sorted(self._busy, key=self._runtimes.index)
        candidates = [runtime for runtime in busy or self._runtimes if runtime.pid is not None]
        if pid is not None:
            candidates = [runtime for runtime in self._runtimes if runtime.pid == pid]
        if not candidates:
            return None
        runtime = random.choice(candidates)  # noqa: S311 (not for security)
        killed = runtime.pid
        runtime.kill()
        return killed

    def close(self) -> None:
        """Kill every runtime."""
        for runtime in self._runtimes:
            runtime.close()

    def _renew(self, runtime: Runtime) -> None:
        with self._lock:
            outdated = runtime in self._outdated
            self._outdated.discard(runtime)
        if outdated:
            runtime.kill()


def find_emulator(root: Path) -> Path:
    """The `aws-lambda-rie` binary: the one that AUTOLOAD_RIE names, else the one that make puts under `.local/bin`.

    Raises FileNotFoundError, with what to do, if it does not exist.
    """
    path = Path(os.environ.get("AUTOLOAD_RIE") or root / ".local/bin/aws-lambda-rie")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: AWS's runtime emulator is missing; `make local` fetches it")
    return path


def _error(kind: str, message: str) -> Invoked:
    return Invoked(msgspec.json.encode({"errorType": kind, "errorMessage": message}), failed=True)
