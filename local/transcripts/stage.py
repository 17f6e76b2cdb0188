"""The laptop's stack as the page's stage: an empty Anaplan workspace, a service, and people who upload."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anaplan_autoload.report.mail import email_text
from anaplan_autoload.report.subject import subject
from local.aws.notifications import straight
from local.aws.stack import ROOT, STACK_NAME, Options, Stack
from local.cloudworks import PASSWORD, USERNAME, WORKSPACE_ID, Pace, Result, SimulatorSettings, User
from local.cloudworks.seeding import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from local.demo.timeline import as_report
from local.transcripts.page import Ended, PageFailed
from local.transcripts.terminal import Terminal

DATA = ROOT / "local/data"
NEW_PASSWORD = "difference-engine"  # noqa: S105 (opens nothing but the simulator)
MODEL_ID = "E559BFF3B1AD4CDE874F745BEA259711"
IDLE_SECONDS = 120
LOOK_SECONDS = 0.25
RUN_SECONDS, LONG_RUN_SECONDS = 2.0, 25.0

SETTINGS = f"""\
stack = "{STACK_NAME}"
"""
INTEGRATIONS = f"""\
workspace  = "{WORKSPACE_ID}"
model      = "{MODEL_ID}"
connection = "inbox"

[[integration]]
name   = "Accounts"
import = {{ file = "incoming/accounts/accounts.csv", action = "112000000001", data_source = "113000000001" }}

[[integration]]
name   = "Actuals"
import = {{ file = "source/Actuals.csv", action = "112000000002", data_source = "113000000002" }}
"""
ROUTES = """\
[[route]]
name        = "accounts"
prefix      = "incoming/accounts/"
integration = "{Accounts}"

[[route]]
name        = "actuals"
prefix      = "incoming/actuals/"
integration = "{Actuals}"
load        = "each"
stage_to    = "source/Actuals.csv"
"""
MENDED = {
    "1510,Depreciation of Equipment,Balance Sheet,1000,EUR\n": "",
    "4020,Subscriptions (renewals),Profit and Loss,4000,EUR\n": "",
    "\n,Provisions,": "\n2600,Provisions,",
    "\n,Insurance,": "\n6350,Insurance,",
}
"""What is to be replaced in `accounts_with_mistakes.csv`, and by what."""
ACTUALS = {
    "actuals-2026-09.csv": "Code,Account,Amount\n2026-09-1010,1010,4180.00\n2026-09-4010,4010,-9120.50\n",
    "actuals-2026-10.csv": "Code,Account,Amount\n2026-10-1010,1010,3977.25\n2026-10-4010,4010,-8870.00\n",
    "actuals-2026-11.csv": "Code,Account,Amount\n2026-11-1010,1010,4311.40\n2026-11-4010,4010,-9034.10\n",
}


def options(logs: Path) -> Options:
    """A stack whose runs are short, and looked at often."""
    return Options(
        runtimes=2,
        environment={
            "POLL_MIN_SECONDS": "1",
            "POLL_MAX_SECONDS": "2",
            "LEASE_SECONDS": "150",
        },
        anaplan=SimulatorSettings(pace=Pace(run_seconds=RUN_SECONDS), access_keys={ACCESS_KEY_ID: SECRET_ACCESS_KEY}),
        logs=logs,
    )


class LaptopStage:
    """Commands run against the stack, as somebody whose directory holds the project's files; see `page.Stage`."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        """`directory` is empty; it becomes the home directory of the commands."""
        self.names = {
            "inbox": stack.inbox,
            "secret": stack.resources.outputs["SecretArn"],
            "workspace": WORKSPACE_ID,
            "user": USERNAME,
            "password": PASSWORD,
        }
        self._stack = stack
        self._directory = directory
        self._terminal = Terminal(directory, self._environment())
        self._told = 0
        self._doings: dict[str, Callable[[], str | None]] = {
            "before_the_service": self._before_the_service,
            "write_routes": self._write_routes,
            "newer_routes": self._push_newer_routes,
            "deploy": self._deploy,
            "start_over": self._start_over,
            "idle": self._idle,
            "runs_take_long": lambda: self._runs_take(LONG_RUN_SECONDS),
            "runs_are_short": lambda: self._runs_take(RUN_SECONDS),
            "run_begun": self._run_begun,
            "mail": self._mail,
            "forget_mail": self._forget_mail,
            "break_model": self._break_model,
            "rotate_password": self._rotate_password,
            "sweep": self._sweep,
            "lose_events": self._lose_events,
            "deliver_events": self._deliver_events,
        }
        self._populate()

    def run(self, line: str, answers: tuple[str, ...]) -> Ended:
        """Run a command on the terminal."""
        return self._terminal.run(line, answers)

    def do(self, name: str) -> str | None:
        """Do what the page asks for by this name; raises KeyError for a name that is none of the above."""
        told = self._doings[name]()
        if runs := self._stack.simulator.runs:
            self.names["run"] = runs[-1].id
        return told

    # What exists at the beginning.

    def _environment(self) -> dict[str, str]:
        """The laptop's AWS, and of this process's environment only the path to Python."""
        return self._stack.aws.environment | {
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
            "PATH": f"{self._directory / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        }

    def _populate(self) -> None:
        """One user in Anaplan who sees one empty workspace; files and commands in the directory."""
        self._stack.simulator.add_user(
            User(name=USERNAME, display_name="Ada Builder", password=PASSWORD, workspaces=frozenset({WORKSPACE_ID}))
        )
        for command, module in (("anaplan-autoload", "anaplan_autoload_cli"), ("aws", "local.transcripts.aws")):
            self._write(f"bin/{command}", f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n').chmod(0o755)
        self._write(
            ".aws/credentials",
            f"[cloudworks]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n",
        )
        self._write(".autoload.toml", SETTINGS)
        self._write("integrations.toml", INTEGRATIONS)
        for name, content in ACTUALS.items():
            self._write(name, content)
        for file in DATA.glob("*.csv"):
            shutil.copy(file, self._directory)
        self._write("accounts_mended.csv", _mended((DATA / "accounts_with_mistakes.csv").read_text(encoding="utf-8")))

    def _write(self, name: str, content: str) -> Path:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    # What happens.

    def _before_the_service(self) -> None:
        """Nothing is deployed yet: uploads only lie there."""
        self._lose_events()

    def _write_routes(self) -> None:
        ids = {one.name: one.id for one in self._stack.simulator.tenant.integrations.values()}
        self._write("routes.toml", ROUTES.format(**ids))

    def _deploy(self) -> None:
        """The service is deployed: uploads reach it from now on."""
        self._deliver_events()

    def _start_over(self) -> None:
        """New sandboxes, which read the routes at their first event: nobody waits 30 seconds for a page."""
        self._stack.pool.deploy()

    def _push_newer_routes(self) -> None:
        """The only routes in the ledger have a key that this function does not know."""
        table, dynamodb = self._stack.resources.outputs["LedgerTableName"], self._stack.aws.dynamodb
        for key in ("current", *(f"v#{version.number:010}" for version in self._stack.store.versions())):
            dynamodb.delete_item(TableName=table, Key={"pk": {"S": "routes"}, "sk": {"S": key}})
        text = (self._directory / "routes.toml").read_text(encoding="utf-8")
        self._stack.deploy(f'{text}priority    = "high"\n')

    def _idle(self) -> None:
        self._stack.wait_idle(IDLE_SECONDS)

    def _runs_take(self, seconds: float) -> None:
        self._stack.simulator.settings.pace = Pace(run_seconds=seconds)

    def _run_begun(self) -> None:
        """Somebody waits until Anaplan shows a run that has not ended."""
        deadline = time.monotonic() + IDLE_SECONDS
        simulator = self._stack.simulator
        while not any(run.phase(simulator.now()) == "running" for run in simulator.runs):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no run began within {IDLE_SECONDS} s")
            time.sleep(LOOK_SECONDS)

    def _forget_mail(self) -> None:
        """Mail that came so far is not shown."""
        self._idle()
        self._told = len(self._stack.messages())

    def _mail(self) -> str:
        """What came since the last mail, as those get it who subscribed by mail: the laptop delivers to queues only."""
        self._idle()
        reports = [as_report(message) for message in self._stack.messages()[self._told :]]
        self._told += len(reports)
        if not reports:
            raise PageFailed("no mail came")
        mails = [f"Subject: {subject(one)}\n\n{email_text(one)}".rstrip() for one in reports]
        return "\n\n".join(f"```text\n{mail}\n```" for mail in mails)

    def _break_model(self) -> None:
        """The next run of Accounts fails for a reason that is not in the file, and that a retry does not remove."""
        [accounts] = [one for one in self._stack.simulator.tenant.integrations.values() if one.name == "Accounts"]
        self._stack.simulator.force_result(accounts.id, Result(False, "Process failed"))

    def _rotate_password(self) -> None:
        """Somebody changes the password in Anaplan, and nobody thinks of the secret."""
        simulator = self._stack.simulator
        simulator.add_user(replace(simulator.tenant.users[USERNAME], password=NEW_PASSWORD))
        simulator.expire_tokens()
        login = {"username": USERNAME, "password": NEW_PASSWORD}
        self._write("log-in.json", msgspec.json.encode(login).decode())

    def _sweep(self) -> None:
        """The schedule's event, sooner than in five minutes."""
        self._stack.invoke({"sweep": True})
        self._idle()

    def _lose_events(self) -> None:
        self._stack.notifications.travel = lambda _: ()

    def _deliver_events(self) -> None:
        self._idle()
        self._stack.notifications.travel = straight


def _mended(content: str) -> str:
    for mistake, correction in MENDED.items():
        content = content.replace(mistake, correction)
    return content
