"""`sam local invoke` against the laptop's AWS.

`test_the_container_runs_it` needs Docker (`make test-docker`). The others do all but the container: SAM's own code
resolves the template and the variables and starts the execution, the emulator runs from its Python package as SAM
starts it in its image, and the function runs under the runtime emulator of SAM's images.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.aws.clients import CREDENTIALS
from local.aws.processes import EVERYWHERE, Command, Guardian, Server, bare_environment, free_port, start_server
from local.aws.runtimes import find_emulator
from local.aws.stack import ROOT, Options, Stack
from local.cloudworks import Pace, SimulatorSettings
from local.http_server import HOST
from local.sam import files
from local.sam.samples import SAMPLES
from tests.e2e.conftest import SHORT

pytestmark = pytest.mark.timeout(300)

SAM = ROOT / ".venv-sam/bin"
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))
TRIED = NAMES if NIGHTLY else ["eventbridge-object-created", "s3-put", "sweep"]
"""Each takes half a minute: every one of them at night."""
IGNORED = {"s3-delete", "s3-folder", "s3-test-event", "sweep"}
"""Samples that leave nothing to load."""
HOSTS = f"""
import socket
ask = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: ask(
    "{HOST}" if host == "{files.MACHINE}" else host, *more, **named
)
"""
"""What Docker adds to a container's hosts file."""


def docker_runs() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0  # noqa: S603


@pytest.fixture(scope="module")
def sam() -> Path:
    """The folder of SAM's programs."""
    if not (SAM / "sam").exists():
        pytest.skip("SAM's environment is not there; make .venv-sam/.ready creates it")
    return SAM


@pytest.fixture(scope="module")
def stack(logs: Path) -> Iterator[Stack]:
    """A stack that containers reach, with SAM's files in `sam` beside its logs."""
    folder = logs / "docker"
    options = Options(
        environment=SHORT,
        anaplan=SimulatorSettings(pace=Pace(run_seconds=0.5)),
        logs=folder,
        listen=EVERYWHERE,
        prepare=lambda stack: files.prepare(stack, folder / "sam", folder / "package"),
    )
    with Stack(options) as stack:
        yield stack


@pytest.fixture(scope="module")
def written(stack: Stack) -> files.Files:
    return files.Files(stack.logs / "sam")


@pytest.fixture(scope="module")
def container(sam: Path, written: files.Files) -> dict[str, Any]:
    """What SAM would make the function's container with."""
    return told(sam, "sam_resolves.py", str(written.template), str(written.variables))


def told(sam: Path, script: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a script prints that runs in SAM's environment."""
    # A user's own settings must neither help nor leak into the container.
    mine = {"AWS_ENDPOINT_URL": "http://elsewhere.example.com", "AWS_SECRET_ACCESS_KEY": "mine", "LEDGER_TABLE": "mine"}
    ran = subprocess.run(  # noqa: S603 (our own script)
        [sam / "python", ROOT / "tests/e2e" / script, *arguments],
        env=bare_environment({"AWS_DEFAULT_REGION": "us-east-2", **mine, **environment}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return msgspec.json.decode(ran.stdout, type=dict[str, Any])


def test_the_container_gets_every_variable_that_leads_to_the_laptop(
    container: dict[str, Any], written: files.Files, stack: Stack
) -> None:
    given = msgspec.json.decode(written.variables.read_bytes())["Autoload"]
    environment = container["environment"]

    assert {name: environment.get(name) for name in given} == given, "SAM dropped a variable or found another value"
    assert given.keys() >= stack.resources.function.environment.keys()
    assert given["AWS_ENDPOINT_URL"] == stack.aws.url.replace(HOST, "host.docker.internal")
    assert given["REPORTS_BUCKET"] == stack.resources.outputs["ReportsBucketName"]
    assert environment["AWS_SAM_LOCAL"] == "true"
    assert not [name for name, value in environment.items() if HOST in value or value in ("mine", "us-east-2")]


def test_the_container_is_for_this_machines_processor(container: dict[str, Any], stack: Stack) -> None:
    assert container["architecture"] == files.architecture()
    assert container["code"] == str(stack.logs / "package")
    assert container["durable"]["ExecutionTimeout"] == stack.resources.function.execution_timeout_seconds


def test_the_projects_own_template_leads_a_deployed_function_nowhere_else() -> None:
    assert "AWS_ENDPOINT_URL" not in (ROOT / "template.yaml").read_text()


def test_every_part_that_the_container_needs_listens_beyond_this_machine(stack: Stack) -> None:
    ports = {stack.aws.url.rpartition(":")[2], str(stack.anaplan.port)}
    listening = Path("/proc/net/tcp").read_text().split()

    assert [port for port in ports if f"00000000:{int(port):04X}" not in listening] == []


@pytest.fixture(scope="module")
def outside(sam: Path, container: dict[str, Any], stack: Stack) -> Iterator[tuple[Server, Server]]:
    """The function with the container's environment, and the emulator that SAM starts beside it."""
    hosts = stack.logs / "hosts"
    hosts.mkdir()
    (hosts / "sitecustomize.py").write_text(HOSTS)

    with Guardian() as guardian:
        emulator = start_server(lambda port: emulator_command(port, stack.logs), stack.logs, guardian)
        function = start_server(
            lambda port: function_command(port, container, emulator, hosts, stack.logs), stack.logs, guardian
        )
        try:
            yield function, emulator
        finally:
            function.process.stop()
            emulator.process.stop()


def emulator_command(port: int, folder: Path) -> Command:
    """As SAM starts it in its image; it signs its requests to the function, with any credentials."""
    arguments = (
        *(sys.executable, "-m", "aws_durable_execution_sdk_python_testing.cli", "start-server"),
        *("--host", "0.0.0.0", "--port", str(port), "--log-level", "DEBUG"),  # noqa: S104 (as SAM does)
        *("--lambda-endpoint", "http://host.docker.internal:3001"),
        *("--store-type", "sqlite", "--store-path", str(folder / "durable-executions.db")),
    )
    return Command(
        "sam-emulator", arguments, bare_environment(CREDENTIALS | {"DURABLE_EXECUTION_TIME_SCALE": "1"}), folder
    )


def function_command(port: int, container: dict[str, Any], emulator: Server, hosts: Path, folder: Path) -> Command:
    """The container's process, on this machine's Python."""
    path = os.pathsep.join((str(hosts), str(ROOT / "src")))
    endpoint = f"http://{files.MACHINE}:{emulator.port}"
    arguments = (
        *(str(find_emulator(ROOT)), "--runtime-api-address", f"{HOST}:{free_port()}"),
        *("--runtime-interface-emulator-address", f"{HOST}:{port}"),
        *(sys.executable, "-m", "awslambdaric", container["handler"]),
    )
    environment = {**container["environment"], "AWS_ENDPOINT_URL_LAMBDA": endpoint, "PYTHONPATH": path}
    return Command("sam-function", arguments, bare_environment(environment), folder)


@pytest.mark.parametrize("name", TRIED)
def test_every_sample_runs_to_its_end(
    name: str, sam: Path, outside: tuple[Server, Server], written: files.Files, stack: Stack
) -> None:
    function, emulator = outside
    port = str(emulator.port)
    ended = told(
        sam,
        "sam_starts.py",
        f"http://localhost:{function.port}",
        str(written.events / f"{name}.json"),
        DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT=port,
    )
    assert ended["status"] == "SUCCEEDED", ended["error"]

    states = [upload["state"] for upload in ended["result"]["uploads"]]
    assert set(states) == (set() if name in IGNORED | {"drain"} else {"loaded"})
    assert ended["result"]["state"] == ("ignored" if name in IGNORED else "led")


def test_sam_shows_an_execution_and_its_history(
    sam: Path, outside: tuple[Server, Server], written: files.Files
) -> None:
    function, emulator = outside
    environment = {"DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT": str(emulator.port), "SAM_CLI_TELEMETRY": "0"}
    event = str(written.events / "s3-test-event.json")
    arn = told(sam, "sam_starts.py", f"http://localhost:{function.port}", event, **environment)["arn"]

    def shown(what: str) -> str:
        return subprocess.run(  # noqa: S603 (a fixed command)
            [sam / "sam", "local", "execution", what, arn],
            env=bare_environment(environment),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "Status:   SUCCEEDED" in shown("get")
    assert "ExecutionStarted" in shown("history")


@pytest.mark.skipif(not docker_runs(), reason="Docker does not run here")
@pytest.mark.parametrize("name", NAMES)
def test_the_container_runs_it(name: str, sam: Path, tmp_path: Path) -> None:
    ran = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "local.sam", f"events/{name}.json", "--sam", sam / "sam"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Status:   SUCCEEDED" in ran.stdout
    assert ("SNS loaded" in ran.stdout) == (name not in IGNORED | {"drain"})
