"""What a cold start imports, and how long that takes, beside a function that imports boto3 and the durable SDK alone.

Measured is the package as it is built, with the function's own Python where one works (`FUNCTION_PYTHON` names one that
is not on the path), else with the Python at hand, for which the package is then built.

Times are processor time, and the median of fresh processes; the variants take turns so that a busy machine is unfair
to none. Everything is compiled before it is measured, except where the table says otherwise. Lambda has other
processors: what carries over are the ratios and the lists of modules, which are exact.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench.markdown import table

ROUNDS = 15
"""Processes per variant that are counted."""
SOURCES = Path(__file__).parent.parent / "src"
BASELINE = "import boto3, aws_durable_execution_sdk_python"
OURS = "import anaplan_autoload.handler"
VARIANTS = {
    "nothing": "pass",
    "boto3 alone": "import boto3",
    "boto3 and the durable SDK": BASELINE,
    "the function": OURS,
}
CLIENTS = """
from anaplan_autoload.aws.services import Services
from anaplan_autoload.aws.settings import from_environment
names = "ANAPLAN_SECRET_ID LEDGER_TABLE TOPIC_ARN ANAPLAN_AUTH_URL CLOUDWORKS_URL AWS_LAMBDA_FUNCTION_NAME"
services = Services(from_environment(dict.fromkeys(names.split(), "https://localhost")))
"""
FIRST_USES = {
    "the durable SDK's client": (
        "from aws_durable_execution_sdk_python.lambda_service import LambdaClient; LambdaClient.initialize_client()"
    ),
    "the ledger's client": "services.ledger",
    "the secret's client": "services.secret",
    "connections to Anaplan (TLS)": "services.http",
    "the message's client, at a run's end": "services.sns",
    "the run's message and its report, at a run's end": (
        "from anaplan_autoload.domain import wording; from anaplan_autoload.report import message"
    ),
}
"""What the first upload of a sandbox makes, in its order."""
PACKAGES = {
    "boto3": "boto3 and botocore",
    "botocore": "boto3 and botocore",
    "s3transfer": "boto3 and botocore",
    "jmespath": "boto3 and botocore",
    "dateutil": "boto3 and botocore",
    "six": "boto3 and botocore",
    "urllib3": "urllib3",
    "aws_durable_execution_sdk_python": "durable SDK",
    "aws_lambda_powertools": "Powertools",
    "msgspec": "msgspec",
    "typing_extensions": "msgspec",
    "anaplan_autoload": "the function's own modules",
}
"""Module's first name → what imports it; everything else is the standard library."""
KEPT_OUT = {
    "cryptography": "only a certificate log-in signs",
    "boto3.s3.transfer": "only rejected rows are uploaded in parts",
    "boto3.dynamodb": "the ledger speaks to the low-level client",
    "aws_xray_sdk": "Lambda's own tracing needs no SDK",
    "aws_durable_execution_sdk_python.waits": "only a leader waits for a run",
    "aws_lambda_powertools.utilities.data_classes": "events are decoded by msgspec",
    "aws_lambda_powertools.utilities.parameters": "the secret is read by its client",
    "anaplan_autoload.report.message": "nothing is told before a run has ended",
    "anaplan_autoload.aws.rejected_rows": "most runs reject no rows",
    "anaplan_autoload.domain.wording": "no run has ended that has a message to read",
    "anaplan_autoload.anaplan.pem": "only a certificate is read",
    "anaplan_autoload.anaplan.renewal": "only a log-in with OAuth is renewed",
    "anaplan_autoload.aws.renewals": "only a log-in with OAuth is renewed",
    "anaplan_autoload.aws.standings": "only a run's end and a sweep look at how routes stand",
    "anaplan_autoload.domain.routes_file.parsing": "routes are read by the first upload, and by no later one",
    "anaplan_autoload.steps.sweeping": "only a sweep needs it",
    "anaplan_autoload.steps.reconciling": "only a sweep looks for lost uploads",
    "anaplan_autoload.aws.lost_uploads": "only a sweep looks for lost uploads",
    "pydantic": "msgspec does its work",
    "requests": "urllib3 does its work",
    "typer": "the command line is another package",
    "rich": "the command line is another package",
}
"""Modules that a cold start does not import, and why it can do without."""
_IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


class Place(Struct, frozen=True):
    """A Python, and the variables that its processes get besides this process's."""

    python: str = sys.executable
    environment: dict[str, str] = {}


HERE = Place()


class Work(Struct, frozen=True):
    """What is measured."""

    code: str
    before: str = ""
    """Code that runs before, and is not measured."""
    place: Place = HERE


def run(code: str, *options: str, place: Place = HERE) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter; raises `CalledProcessError` with its output when it fails."""
    command = [place.python, *options, "-c", code]
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", **place.environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603


@contextmanager
def compiled(place: Place = HERE) -> Iterator[Place]:
    """A place whose processes read bytecode and never lack it, once a first one has written it."""
    with TemporaryDirectory() as folder:
        writing = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
        yield Place(place.python, place.environment | writing)


def timed(work: Work) -> float:
    """Milliseconds of processor time that it takes in a fresh process."""
    clock = "import time\nbegan = time.process_time()"
    program = f"{work.before}\n{clock}\n{work.code}\nprint((time.process_time() - began) * 1000)"
    return float(run(program, place=work.place).stdout)


def medians(works: Mapping[str, Work]) -> dict[str, float]:
    """Name → median processor milliseconds, one process of each in turn. The first round writes bytecode only."""
    found: dict[str, list[float]] = defaultdict(list)
    for _round in range(ROUNDS + 1):
        for name, work in works.items():
            found[name].append(timed(work))
    return {name: median(times[1:]) for name, times in found.items()}


def function_python() -> str:
    """The function's own Python if one works, else this one."""
    for python in filter(None, (os.environ.get("FUNCTION_PYTHON"), shutil.which("python3.13"))):
        if subprocess.run([python, "-c", "pass"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return python
    return sys.executable


@contextmanager
def packages() -> Iterator[tuple[Place, Place]]:
    """Build the package for a Python and this machine's processor; two places that import from it.

    The first has no bytecode of the package's modules and writes none, the second has that of the build.
    """
    python = function_python()
    version = run("import sys; print('%d.%d' % sys.version_info[:2])", place=Place(python)).stdout.strip()
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with TemporaryDirectory() as folder:
        bare, full = Path(folder, "bare"), Path(folder, "full")
        settings = (f"ARTIFACTS_DIR={full}", f"ARCHITECTURE={architecture}", f"PYTHON={sys.executable}")
        own = (f"PYTHON_VERSION={version}", f"FUNCTION_PYTHON={python}")
        make = ["make", "--silent", "--directory", str(SOURCES), "build-Autoload", *settings, *own]
        subprocess.run(make, check=True)  # noqa: S603
        shutil.copytree(full, bare, ignore=shutil.ignore_patterns("__pycache__"))
        without, with_bytecode = (
            Place(python, {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": ""})
            for path in (bare, full)
        )
        yield without, with_bytecode


def imported(code: str, place: Place) -> tuple[dict[str, float], Counter[str]]:
    """Who asked for it → milliseconds spent in its modules themselves, and how many modules.

    Python's own import times are wall time: each module counts with the fastest of the processes.
    """
    fastest: dict[str, int] = {}
    for _round in range(ROUNDS + 1):
        for line in _IMPORT_LINE.finditer(run(code, "-X", "importtime", place=place).stderr):
            taken = int(line[1])
            fastest[line[2]] = min(taken, fastest.get(line[2], taken))
    own: dict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for module, microseconds in fastest.items():
        owner = PACKAGES.get(module.split(".")[0], "standard library")
        own[owner] += microseconds / 1000
        count[owner] += 1
    return own, count


def present(code: str, modules: Iterable[str]) -> list[str]:
    """Those of the modules that are imported once the code has run."""
    found = run(f"{code}\nimport sys\nprint(*sys.modules)").stdout.split()
    return [module for module in modules if module in found]


def main() -> None:
    """Print the tables; exits with an error when a module that should be kept out is imported."""
    with packages() as (without, with_bytecode), compiled(with_bytecode) as place:
        print(run("import sys; print('Python', sys.version.split()[0])", place=place).stdout.strip())
        table_of_bytecode(without, with_bytecode)
        base = table_of_imports(place)
        table_of_modules(place)
        table_of_first_uses(place, base)
    table("Not imported by a cold start", ("module", "because"), KEPT_OUT.items())
    if intruders := present(OURS, KEPT_OUT):
        sys.exit(f"imported by a cold start, though they should not be: {', '.join(intruders)}")


def table_of_bytecode(without: Place, with_bytecode: Place) -> None:
    """Print what the package's bytecode saves."""
    places = {"without bytecode": without, "with bytecode": with_bytecode}
    times = medians({name: Work(OURS, place=place) for name, place in places.items()})
    rows = [
        (name, f"{ms:.0f}", f"{ms / times['with bytecode']:.2f}", f"{megabytes(places[name]):.1f}")
        for name, ms in times.items()
    ]
    table(
        f"Importing the function, milliseconds of processor time (median of {ROUNDS} processes)",
        ("package", "ms", "ratio", "MB unzipped"),
        rows,
    )


def megabytes(place: Place) -> float:
    """The size of the package that a place imports from."""
    files = Path(place.environment["PYTHONPATH"]).rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def table_of_imports(place: Place) -> float:
    """Print what the variants take; returns the baseline's milliseconds."""
    times = medians({name: Work(code, place=place) for name, code in VARIANTS.items()})
    base = times["boto3 and the durable SDK"]
    table(
        f"Imports, milliseconds of processor time (median of {ROUNDS} processes)",
        ("imports", "ms", "ratio"),
        [(name, f"{ms:.0f}", f"{ms / base:.2f}") for name, ms in times.items()],
    )
    return base


def table_of_modules(place: Place) -> None:
    """Print whose modules take how long."""
    own, count = imported(OURS, place)
    whole = sum(own.values())
    table(
        f"Where the function's import time goes (each module: the fastest of {ROUNDS} processes)",
        ("modules of", "modules", "ms", "share"),
        [
            (who, count[who], f"{ms:.0f}", f"{ms / whole:.0%}")
            for who, ms in sorted(own.items(), key=lambda each: -each[1])
        ],
    )


def table_of_first_uses(place: Place, base: float) -> None:
    """Print what the first upload of a function instance makes, beside the baseline's imports."""
    preludes = ["\n".join([OURS, CLIENTS, *list(FIRST_USES.values())[:number]]) for number in range(len(FIRST_USES))]
    works = {name: Work(code, before, place) for (name, code), before in zip(FIRST_USES.items(), preludes, strict=True)}
    table(
        f"First use, milliseconds of processor time (median of {ROUNDS} processes)",
        ("of", "ms", "ratio"),
        [(name, f"{ms:.0f}", f"{ms / base:.2f}") for name, ms in medians(works).items()],
    )


if __name__ == "__main__":
    main()
