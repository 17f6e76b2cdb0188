"""What a cold start imports, and how long that takes, beside a function that imports boto3 and the durable SDK alone.

Times are processor time, and the median of fresh processes; the variants take turns so that a busy machine is unfair
to none. Lambda has other processors: what carries over are the ratios and the lists of modules, which are exact.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from bench.markdown import table

ROUNDS = 7
"""Processes per variant."""
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
    "the ledger's client": "services.ledger",
    "the secret's client": "services.secret",
    "connections to Anaplan (TLS)": "services.http",
    "the message's client, at a run's end": "services.sns",
    "reports, at a run's end": "from anaplan_autoload import report",
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
    "aws_lambda_powertools.utilities.data_classes": "events are decoded by msgspec",
    "aws_lambda_powertools.utilities.parameters": "the secret is read by its client",
    "anaplan_autoload.report.message": "nothing is told before a run has ended",
    "anaplan_autoload.aws.rejected_rows": "most runs reject no rows",
    "anaplan_autoload.steps.reconciling": "only a sweep looks for lost uploads",
    "anaplan_autoload.aws.lost_uploads": "only a sweep looks for lost uploads",
    "pydantic": "msgspec does its work",
    "requests": "urllib3 does its work",
    "typer": "the command line is another package",
    "rich": "the command line is another package",
}
"""Modules that a cold start does not import, and why it can do without."""
_IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter; raises `CalledProcessError` with its output when it fails."""
    command = [sys.executable, *options, "-c", code]
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603


def timed(code: str, before: str) -> float:
    """Milliseconds of processor time that code takes in a fresh process, after `before`."""
    program = f"{before}\nimport time\nbegan = time.process_time()\n{code}\nprint((time.process_time() - began) * 1000)"
    return float(run(program).stdout)


def medians(variants: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Name → median processor milliseconds of (code, what comes before it), one process of each in turn."""
    found: dict[str, list[float]] = defaultdict(list)
    for _round in range(ROUNDS):
        for name, (code, before) in variants.items():
            found[name].append(timed(code, before))
    return {name: median(times) for name, times in found.items()}


def imported(code: str) -> tuple[dict[str, float], Counter[str]]:
    """Who asked for it → milliseconds spent in its modules themselves, and how many modules.

    Python's own import times are wall time: each module counts with the fastest of the processes.
    """
    fastest: dict[str, int] = {}
    for _round in range(ROUNDS):
        for line in _IMPORT_LINE.finditer(run(code, "-X", "importtime").stderr):
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
    times = medians({name: (code, "") for name, code in VARIANTS.items()})
    base = times["boto3 and the durable SDK"]
    table(
        f"Imports, milliseconds of processor time (median of {ROUNDS} processes)",
        ("imports", "ms", "ratio"),
        [(name, f"{ms:.0f}", f"{ms / base:.2f}") for name, ms in times.items()],
    )
    own, count = imported(OURS)
    whole = sum(own.values())
    table(
        f"Where the function's import time goes (each module: the fastest of {ROUNDS} processes)",
        ("modules of", "modules", "ms", "share"),
        [
            (who, count[who], f"{ms:.0f}", f"{ms / whole:.0%}")
            for who, ms in sorted(own.items(), key=lambda each: -each[1])
        ],
    )
    preludes = ["\n".join([OURS, CLIENTS, *list(FIRST_USES.values())[:number]]) for number in range(len(FIRST_USES))]
    uses = medians({name: (code, before) for (name, code), before in zip(FIRST_USES.items(), preludes, strict=True)})
    table(
        f"First use, milliseconds of processor time (median of {ROUNDS} processes)",
        ("of", "ms", "ratio"),
        [(name, f"{ms:.0f}", f"{ms / base:.2f}") for name, ms in uses.items()],
    )
    table("Not imported by a cold start", ("module", "because"), KEPT_OUT.items())
    if intruders := present(OURS, KEPT_OUT):
        sys.exit(f"imported by a cold start, though they should not be: {', '.join(intruders)}")


if __name__ == "__main__":
    main()
