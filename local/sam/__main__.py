"""`python -m local.sam EVENT`: start the laptop's AWS, run the function in SAM's container on one event, and end.

The exit code is SAM's; 1 if something that this needs is missing.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from local.aws.processes import EVERYWHERE, StartFailed
from local.aws.stack import ROOT, Options, Stack
from local.sam import files
from local.sam.samples import SAMPLES

NO_DOCKER = "Docker does not run here: {why}. SAM runs the function in a container. Start Docker, or use make local."
NO_SAMPLE = "There is no sample {given}. Name one of these with EVENT=: {names}"


class Missing(RuntimeError):
    """Something that is needed is not there; the text says what to do."""


def main() -> int:
    """Run one event; returns the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs = ROOT / ".local/logs" / time.strftime("sam-%Y-%m-%dT%H.%M.%S")
    try:
        sample = _sample(options.event)
        _check_docker()
        return _run(sample, options.sam, logs)
    except (Missing, StartFailed, FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started has ended.", file=sys.stderr)
        return 130


def _run(sample: str, sam: str, logs: Path) -> int:
    package, folder = ROOT / ".local/sam-package", logs / "sam"
    print("Building the function's package …", flush=True)
    files.build(package)
    print("Starting the laptop's AWS …", flush=True)
    options = Options(logs=logs, listen=EVERYWHERE, prepare=lambda stack: files.prepare(stack, folder, package))
    with Stack(options) as stack:
        command = files.Files(folder).command(sample, sam)
        print("$", *command, flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 (our own command)
        for message in stack.messages():
            print(f"SNS {message.document['outcome']}: {message.document['message']}", flush=True)
    return code


def _sample(given: str) -> str:
    """The name of the sample that a path or a name means."""
    name = Path(given).stem
    names = sorted(path.stem for path in SAMPLES.glob("*.json"))
    if name not in names:
        raise Missing(NO_SAMPLE.format(given=given, names=", ".join(names)))
    return name


def _check_docker() -> None:
    docker = shutil.which("docker")
    if docker is None:
        raise Missing(NO_DOCKER.format(why="there is no program docker"))
    asked = subprocess.run([docker, "info"], capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or ["docker info failed"]
        raise Missing(NO_DOCKER.format(why=said[-1].rstrip(".")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.sam", description="sam local invoke on one sample.")
    parser.add_argument("event", help="a file of events/")
    parser.add_argument("--sam", default="sam", help="the SAM CLI (default: the one on the path)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
