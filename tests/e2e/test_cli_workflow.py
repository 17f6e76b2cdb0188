"""From an empty tenant to rejected rows: the installed command, as a new user would type it, in order."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cloudworks import PASSWORD, USERNAME, WORKSPACE_ID, Pace
from tests.cli_tenant import BAD_ROWS, BUCKET, GOOD_ROWS, MODEL_ID, SECRET_ACCESS_KEY, CliTenant, empty_tenant

SOURCES = str(Path(__file__).parents[2] / "src")
COMMAND = (sys.executable, "-m", "anaplan_autoload_cli")
PATIENCE_SECONDS = 60


@pytest.fixture
def tenant() -> Iterator[CliTenant]:
    with empty_tenant(run_seconds=0.5) as made:
        yield made


class Terminal:
    """A command on a terminal, with somebody who types."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], directory: Path) -> None:
        self._fd, inner = pty.openpty()
        self.process = subprocess.Popen(  # noqa: S603  (our own words)
            (*COMMAND, *arguments),
            env=environment,
            cwd=directory,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self.shown = ""

    def until(self, words: str) -> None:
        """Read until these words are shown."""
        while words not in self.shown:
            self.shown += os.read(self._fd, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._fd, text.encode())

    def ended(self) -> int:
        """Read the rest; returns the exit code."""
        try:
            while more := os.read(self._fd, 4096):
                self.shown += more.decode(errors="replace")
        except OSError:
            pass  # how Linux says that nobody is at the other end any more
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


class Shell:
    """A directory and an environment in which commands are typed."""

    def __init__(self, tenant: CliTenant, directory: Path) -> None:
        kept = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": SOURCES, "TERM": "xterm"}
        self.environment = kept | tenant.environment
        self._directory = directory
        self._terminals: list[Terminal] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a pipe."""
        return subprocess.run(  # noqa: S603
            (*COMMAND, *arguments),
            env=self.environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def on_terminal(self, *arguments: str) -> Terminal:
        """Begin a command on a terminal."""
        self._terminals.append(Terminal(arguments, self.environment, self._directory))
        return self._terminals[-1]

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command in a pipe."""
        return subprocess.Popen(  # noqa: S603
            (*COMMAND, *arguments),
            env=self.environment,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Leave nothing behind."""
        for terminal in self._terminals:
            terminal.close()


@pytest.fixture
def shell(tenant: CliTenant, tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tenant, tmp_path)
    yield made
    made.close()


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def test_the_five_steps_in_order_from_an_empty_tenant(tenant: CliTenant, shell: Shell, tmp_path: Path) -> None:
    tenant.put("source/Accounts.csv", BAD_ROWS)

    checked = shell.run("auth", "check")
    assert checked.returncode == 0
    assert USERNAME in checked.stdout
    assert "CloudWorks lists nothing" in checked.stderr

    connected = shell.run("--yes", "connections", "create", "--name", "inbox", "--bucket", BUCKET)
    assert connected.returncode == 0
    assert SECRET_ACCESS_KEY not in connected.stdout + connected.stderr

    (tmp_path / "integrations.toml").write_text(
        f'workspace = "{WORKSPACE_ID}"\nmodel = "{MODEL_ID}"\nconnection = "inbox"\n'
        '[[integration]]\nname = "Accounts"\n'
        'import = { file = "source/Accounts.csv", action = "112000000001", data_source = "113000000001" }\n'
    )
    applied = shell.run("integrations", "apply", "integrations.toml", "--json")
    assert [made["state"] for made in json.loads(applied.stdout)] == ["created"]

    ran = shell.run("integrations", "run", "Accounts")
    assert ran.returncode == 3
    assert "partial" in ran.stdout

    shown = shell.run("history", "Accounts", "--json")
    (run,) = json.loads(shown.stdout)
    assert run["run_id"] in ran.stdout
    assert "Code is empty" in shell.run("errors", run["run_id"]).stdout
    assert shell.run("dump", run["run_id"], "-o", "rows.csv").returncode == 0
    assert "Nobody" in (tmp_path / "rows.csv").read_text()

    tenant.put("source/Accounts.csv", GOOD_ROWS)
    assert shell.run("integrations", "run", "Accounts").returncode == 0
    assert tenant.simulator.models[MODEL_ID].keys() == {"A1", "A2"}


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(shell: Shell) -> None:
    del shell.environment["ANAPLAN_PASSWORD"]
    terminal = shell.on_terminal("auth", "check")
    terminal.until("Password of ada.builder@example.com: ")
    terminal.type(f"{PASSWORD}\n")
    assert terminal.ended() == 0
    assert "Token expires" in terminal.shown
    assert PASSWORD not in terminal.shown


def test_deleting_asks_on_a_terminal(tenant: CliTenant, shell: Shell) -> None:
    tenant.connect()
    for answer, left in (("n", 1), ("y", 0)):
        terminal = shell.on_terminal("connections", "delete", BUCKET)
        terminal.until("? [y/N]: ")
        terminal.type(f"{answer}\n")
        assert terminal.ended() == left
        assert len(tenant.simulator.tenant.connections) == left


@pytest.fixture
def endless(tenant: CliTenant) -> None:
    """An integration Accounts whose runs take an hour."""
    tenant.connect()
    tenant.integrate("Accounts", "a.csv")
    tenant.simulator.settings.pace = Pace(run_seconds=3600)


@pytest.mark.usefixtures("endless")
def test_an_interrupt_on_a_terminal_cancels_the_run_when_that_is_wanted(tenant: CliTenant, shell: Shell) -> None:
    terminal = shell.on_terminal("integrations", "run", "Accounts")
    terminal.until("running")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.until("? [y/N]: ")
    terminal.type("y\n")
    assert terminal.ended() == 1
    assert "Cancelled" in terminal.shown


@pytest.mark.usefixtures("endless")
def test_an_interrupt_on_a_terminal_leaves_the_run_alone_otherwise(tenant: CliTenant, shell: Shell) -> None:
    terminal = shell.on_terminal("integrations", "run", "Accounts")
    terminal.until("running")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.until("? [y/N]: ")
    terminal.type("n\n")
    assert terminal.ended() == 130
    assert "--join" in terminal.shown
    assert tenant.simulator.runs[0].phase(tenant.simulator.now()) == "running"


@pytest.mark.usefixtures("endless")
def test_an_interrupt_where_nobody_can_answer_leaves_the_run_alone_and_says_so(tenant: CliTenant, shell: Shell) -> None:
    process = shell.begun("integrations", "run", "Accounts")
    wait_for(lambda: any("/integrations/run/" in seen.path for seen in tenant.simulator.requests))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    (run,) = tenant.simulator.runs
    assert (process.returncode, out) == (130, "")
    assert f"Run {run.id} continues at Anaplan" in err
    assert "Traceback" not in err
    assert run.phase(tenant.simulator.now()) == "running"
