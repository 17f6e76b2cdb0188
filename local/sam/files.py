"""What `sam local invoke` is given: a template, the variables' values, and events.

SAM passes a variable to the container only if the template declares it. The project's own template does not declare
those that lead to a laptop's AWS, because a deployed function must never have them. So the template here is a copy
with three changes: it declares them, it is for this machine's processor, and its code is a package built for that.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct
from samtranslator.yaml_helper import yaml_parse  # reads `!Ref` and its like

from local.aws.resources import FUNCTION
from local.aws.stack import ROOT, Stack
from local.http_server import HOST
from local.sam.samples import INTEGRATIONS, ROUTES, Json, runnable

MACHINE = "host.docker.internal"
"""The machine's name in SAM's containers."""


class Files(Struct, frozen=True):
    """The files of one folder."""

    folder: Path

    @property
    def template(self) -> Path:
        """For `--template`."""
        return self.folder / "template.yaml"

    @property
    def variables(self) -> Path:
        """For `--env-vars`."""
        return self.folder / "env.json"

    @property
    def events(self) -> Path:
        """The folder of the events, one of each sample, for `--event`."""
        return self.folder / "events"

    def command(self, event: str, sam: str = "sam") -> tuple[str, ...]:
        """`sam local invoke` with the event of this sample, to be run from the project's folder."""
        return (
            *(sam, "local", "invoke", FUNCTION, "--template", _short(self.template)),
            *("--env-vars", _short(self.variables), "--event", _short(self.events / f"{event}.json")),
        )


def prepare(stack: Stack, folder: Path, package: Path) -> Files:
    """Push routes that load every sample, and write the files into the folder, which is emptied first.

    `package` is the function's. The stack must listen where containers reach it, and must not have begun to notify the
    function of uploads: this is what `Options.prepare` is for.
    """
    ids = stack.seed(INTEGRATIONS)
    stack.push(ROUTES.format(**ids))
    shutil.rmtree(folder, ignore_errors=True)
    files = Files(folder)
    files.events.mkdir(parents=True)
    values = variables(stack)
    files.template.write_text(yaml.safe_dump(template(stack.options.template, package, values), sort_keys=False))
    files.variables.write_bytes(msgspec.json.format(msgspec.json.encode({FUNCTION: values})))
    for name, event in runnable(stack, ids["Accounts"]).items():
        (files.events / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(event)))
    return files


def variables(stack: Stack) -> dict[str, str]:
    """The function's environment in a container: that of the laptop's function, with addresses that lead out of it.

    The endpoint of Lambda is missing: SAM sets it to its emulator. The credentials are those of the laptop, so that
    SAM does not pass the user's own.
    """
    function = stack.resources.function
    values = stack.aws.environment | function.environment | stack.options.environment
    values |= {"AWS_LAMBDA_FUNCTION_NAME": function.name}
    del values["AWS_ENDPOINT_URL_LAMBDA"]
    return {name: value.replace(f"//{HOST}:", f"//{MACHINE}:") for name, value in values.items()}


def template(source: Path, package: Path, values: dict[str, str]) -> Json:
    """The template with every variable declared, empty if it is not the template's own."""
    copied: Json = yaml_parse(source.read_text())  # type: ignore[no-untyped-call]
    copied = _plain(copied)
    copied["Parameters"]["Architecture"]["Default"] = architecture()
    function = copied["Resources"][FUNCTION]
    del function["Metadata"]  # how it is built: it is built already
    function["Properties"]["CodeUri"] = str(package)
    declared = function["Properties"]["Environment"]["Variables"]
    declared |= {name: "" for name in values if name not in declared}
    return copied


def architecture() -> str:
    """This machine's, as Lambda calls it: images for another one start only where an emulator is installed."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


def build(package: Path, for_architecture: str | None = None) -> None:
    """Build the function's package, for this machine's processor if none is named; prints what it lacks.

    Raises RuntimeError with what pip or make said.
    """
    for_architecture = for_architecture or architecture()
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    settings = (f"ARTIFACTS_DIR={package}", f"ARCHITECTURE={for_architecture}", f"PYTHON={sys.executable}")
    make = ["make", "--silent", "--directory", str(ROOT / "src"), f"build-{FUNCTION}", *settings]
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    built = subprocess.run(make, env=own, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)
    if built.returncode:
        raise RuntimeError(f"The function's package cannot be built for {for_architecture}:\n{built.stderr.strip()}")
    print(built.stdout, end="", file=sys.stderr)


def _plain(part: Any) -> Any:
    """Without the subclasses of dict and str that the reader makes, which the writer does not know."""
    match part:
        case dict():
            return {str(name): _plain(value) for name, value in part.items()}
        case list() | tuple():
            return [_plain(each) for each in part]
        case str():
            return str(part)
        case _:
            return part


def _short(path: Path) -> str:
    """The path from the project's folder, if it is in there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
