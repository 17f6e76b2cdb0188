"""How soon a command answers, compared with Python itself and with a program that only imports boto3.

Medians of the processor time of fresh processes that take turns, everything compiled. What a command imports is looked
up in `sys.modules`, so that part is exact.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.cold_start import Place, compiled
from bench.markdown import table

ROUNDS = 9
"""Processes per command."""
ROUTES_FILE = Path(__file__).parent.parent / "routes.toml"
LIGHT = "anaplan-autoload --help"
"""The command that must not import any of `HEAVY`."""
COMMANDS: dict[str, tuple[str, ...]] = {
    LIGHT: ("--help",),
    "anaplan-autoload routes match s3://…": (
        "routes",
        "match",
        "s3://finance-inbox/incoming/accounts/2026-11.csv",
        "--file",
        str(ROUTES_FILE),
    ),
}
BASELINES = {"python -c pass": "pass", 'python -c "import boto3"': "import boto3"}
HEAVY = (
    "typer",
    "rich",
    "boto3",
    "botocore",
    "aws_durable_execution_sdk_python",
    "aws_lambda_powertools",
    "urllib3",
    "cryptography",
)
"""What the help of the top level does not need."""
_PROGRAM = """
import sys
from anaplan_autoload_cli.__main__ import main
try:
    main()
finally:
    print("modules:", *sys.modules, file=sys.stderr)
"""


def run(place: Place, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code with these arguments; exits with what the command said when it fails."""
    command, environment = [place.python, "-c", code, *arguments], {**os.environ, **place.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done


def milliseconds(place: Place, code: str, *arguments: str) -> float:
    """Processor time of a fresh process, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(place, code, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def heavy(place: Place, *arguments: str) -> list[str]:
    """What the command imported of `HEAVY`."""
    modules = run(place, _PROGRAM, *arguments).stderr.rpartition("modules:")[2].split()
    return [name for name in HEAVY if name in modules]


def main() -> None:
    """Print the table; exits with an error when `LIGHT` imports any of `HEAVY`."""
    program = "from anaplan_autoload_cli.__main__ import main; main()"
    codes: dict[str, tuple[str, ...]] = {name: (code,) for name, code in BASELINES.items()}
    codes |= {name: (program, *arguments) for name, arguments in COMMANDS.items()}
    found: dict[str, list[float]] = defaultdict(list)
    with compiled() as place:
        imports = {name: heavy(place, *arguments) for name, arguments in COMMANDS.items()}
        for _round in range(ROUNDS):
            for name, code in codes.items():
                found[name].append(milliseconds(place, *code))
    times = {name: median(taken) for name, taken in found.items()}
    python = times["python -c pass"]
    table(
        f"From start to end, milliseconds of processor time (median of {ROUNDS} processes)",
        ("command", "ms", "ratio", "heavy imports"),
        [(f"`{name}`", f"{ms:.0f}", f"{ms / python:.1f}", _listed(imports.get(name))) for name, ms in times.items()],
    )
    print(f"\nLooked for: {', '.join(HEAVY)}.")
    if imports[LIGHT]:
        sys.exit(f"{LIGHT} imports {', '.join(imports[LIGHT])}")


def _listed(names: list[str] | None) -> str:
    return "" if names is None else ", ".join(names) or "nothing"


if __name__ == "__main__":
    main()
