"""`make local`: the laptop's AWS on a terminal, until Ctrl-C."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec
from msgspec.structs import replace

from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import load
from local.aws.journal import function_lines, metrics
from local.aws.processes import EVERYWHERE
from local.aws.stack import ROOT, STACK_NAME, Message, Options, Stack
from local.cloudworks import Pace, SimulatorSettings
from local.page import serve_page
from local.sam import files

LOOK_SECONDS = 0.5
KEPT = "The routes are broken and were not pushed. Correct the file, and save it again."
ROUTES = """\
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
suffix = ".csv"
integration = "{Accounts}"

[[route]]
name = "sales"
prefix = "incoming/sales/"
suffix = ".csv"
integration = "{Sales}"
load = "each"
stage_to = "source/sales.csv"
"""
INTEGRATIONS = (("Accounts", "incoming/accounts/accounts.csv"), ("Sales", "source/sales.csv"))
GUIDE = """\
Autoload runs on this machine, with a simulated Anaplan. All logs are in {logs}

In another terminal:
  source {environment}
  printf 'code,name\\nA1,Cash\\nA2,Bank\\n' > accounts.csv
Upload it with any S3 client:
  aws s3 cp accounts.csv s3://{inbox}/incoming/accounts/accounts.csv
  {python} -c \\
    "import boto3; boto3.client('s3').upload_file('accounts.csv', '{inbox}', 'incoming/accounts/accounts.csv')"
Under incoming/sales/ every upload gets a run of its own, oldest first; a repeated code is a rejected row.
Watch it with the command line, which environment.sh points at this stack ({stack}):
  anaplan-autoload status --watch
  anaplan-autoload loads
  anaplan-autoload routes history
or in a browser, with buttons to retry, load, pause and resume: {page}
To change the routes, edit and save {routes}
It is pushed at once, and the function uses it within 30 seconds. Or push any file: anaplan-autoload routes push FILE
Ctrl-C stops everything.
"""
DOCKER_GUIDE = """\
Containers reach all of this, and so do other machines in your network: it listens on every address, without a password.
The events of events/ are in {events}, with objects that are there. With Docker running:
  {command}
"""
SAM_FOLDER = ROOT / ".local/sam"
BOTOCORES = re.compile(r"\[INFO\]\s+\S+Z\s.*Found (credentials|endpoint) ")
"""Lines that the SDK logs in every invocation, and that are not useful here."""
HEARTBEATS = frozenset({"AnaplanAnswers", "Sweeps", "LanesHeld"})
"""Metrics that are written all the time and say nothing about loads."""
QUIET = frozenset(
    {"level", "message", "timestamp", "service", "executionArn", "operationId", "operationName", "attempt", "location"}
)


def main() -> None:
    """Keep a stack up and tell what happens in it, until interrupted or terminated."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs = ROOT / ".local/logs" / time.strftime("%Y-%m-%dT%H.%M.%S")
    print("Starting …", flush=True)
    try:
        with Stack(_stack_options(options, logs)) as stack, serve_page(stack.page) as page:
            current = stack.store.current()
            routes_text = current.text if current else ROUTES.format(**stack.seed(INTEGRATIONS))
            edited = EditedRoutes(stack, routes_text)
            print(_guide(stack, edited.path, page), flush=True)
            if options.docker:
                written = files.Files(SAM_FOLDER)
                command = " ".join(quote(word) for word in written.command("s3-put"))
                print(DOCKER_GUIDE.format(events=written.events.relative_to(ROOT), command=command), flush=True)
            try:
                for line in _happenings(stack, edited):
                    print(line, flush=True)
            finally:
                print("Stopping …", flush=True)
    except KeyboardInterrupt:
        print("Everything has stopped.")


class EditedRoutes:
    """The routes file that people edit: each version of it without mistakes is pushed."""

    def __init__(self, stack: Stack, text: str) -> None:
        """Write the file, and push it unless it is in use."""
        self.path = stack.logs / "routes.toml"
        self._stack = stack
        self.path.write_text(text)
        self._seen: str | None = text
        current = stack.store.current()
        if current is None or current.text != text:
            stack.push(text)

    def look(self) -> list[str]:
        """Push the file if it was changed; returns lines to print."""
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            text = None
        if text == self._seen:
            return []
        self._seen = text
        try:
            found = load(self.path)
        except RoutesInvalid as error:
            return [*(f"         {mistake}" for mistake in error.mistakes), f"         {KEPT}"]
        number = self._stack.push(text or "")
        names = ", ".join(route.name for route in found)
        return [f"         routes pushed as version {number}, in use within 30 seconds: {names}"]


def environment_script(stack: Stack) -> str:
    """Shell commands that lead any SDK and the command line to this stack, and bring the command line itself."""
    settings = stack.aws.environment | {"AUTOLOAD_STACK": STACK_NAME}
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in settings.items())
    command = f"PYTHONPATH={quote(str(ROOT / 'src'))} {quote(sys.executable)} -m anaplan_autoload_cli"
    return f'{exports}anaplan-autoload() {{ {command} "$@"; }}\n'


def readable(line: str) -> str:
    """A line of the function's log for people: time, message, and its other keys."""
    if values := metrics([line]):
        route = values[0].dimensions.get("route", "")
        return f"         metrics {route}: " + ", ".join(f"{one.name} {one.value:g}" for one in values)
    try:
        record = msgspec.json.decode(line, type=dict[str, Any])
        at, level, message = record["timestamp"][11:19], record["level"], record["message"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return line
    rest = " ".join(f"{name}={value}" for name, value in record.items() if name not in QUIET and value is not None)
    return f"{at} {'' if level == 'INFO' else level + ' '}{message}  {rest}".rstrip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.aws.console", description="A laptop's AWS, with Anaplan beside it."
    )
    parser.add_argument("--runtimes", type=int, default=4, help="invocations that run at the same time (default: 4)")
    parser.add_argument("--run-seconds", type=float, default=5.0, help="how long Anaplan's runs take (default: 5)")
    parser.add_argument(
        "--docker",
        action="store_true",
        help="listen where containers reach it, and write .local/sam for sam local invoke",
    )
    return parser.parse_args()


def _stack_options(options: argparse.Namespace, logs: Path) -> Options:
    """The stack's; with `--docker` it is for `sam local invoke` too, and the package for that is built here."""
    anaplan = SimulatorSettings(pace=Pace(run_seconds=options.run_seconds))
    common = Options(runtimes=options.runtimes, anaplan=anaplan, logs=logs)
    if not options.docker:
        return common
    package = ROOT / ".local/sam-package"
    files.build(package)
    return replace(common, listen=EVERYWHERE, prepare=lambda stack: files.prepare(stack, SAM_FOLDER, package))


def _guide(stack: Stack, edited: Path, page: str) -> str:
    script = stack.logs / "environment.sh"
    script.write_text(environment_script(stack))
    return GUIDE.format(
        logs=stack.logs,
        environment=script,
        inbox=stack.inbox,
        page=page,
        routes=edited,
        stack=STACK_NAME,
        python=quote(sys.executable),
    )


def _happenings(stack: Stack, edited: EditedRoutes) -> Iterator[str]:
    """What the function logs, measures and publishes, forever."""
    shown: dict[Path, int] = {}
    told = 0
    while True:
        yield from edited.look()
        for path in sorted(stack.logs.glob("runtime-*.log")):
            lines = function_lines(path)
            yield from (readable(line) for line in lines[shown.get(path, 0) :] if _is_news(line))
            shown[path] = len(lines)
        messages = stack.messages()
        yield from (_told(message) for message in messages[told:])
        told = len(messages)
        time.sleep(LOOK_SECONDS)


def _is_news(line: str) -> bool:
    values = {one.name for one in metrics([line])}
    return not BOTOCORES.match(line) and not (values and values <= HEARTBEATS)


def _told(message: Message) -> str:
    document = message.document
    return f"         SNS {document['outcome']}: {document['route']}: {document['message']}"


if __name__ == "__main__":
    main()
