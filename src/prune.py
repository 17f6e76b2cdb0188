"""Leave out of the function's package what the function never reads: `python prune.py <folder of the package>`.

Two thirds of an unpruned package are botocore's descriptions of services that the function does not call. The services
that it does call are read from the code, so that a new client cannot be forgotten. Fails when one of them is missing.
The list of endpoints is shortened to the same services: every first client of a session reads it whole.
"""

from __future__ import annotations

import ast
import gzip
import json
import shutil
import sys
from pathlib import Path

CALLERS = ("anaplan_autoload", "aws_durable_execution_sdk_python")
"""Packages whose clients are used. Powertools makes clients too, in utilities that the function does not import."""

USELESS_FILES = (
    "*.pyi",
    "py.typed",
    "examples-1.json",
    "RECORD",
    "INSTALLER",
    "WHEEL",
    "REQUESTED",
    "entry_points.txt",
)
"""Type stubs, examples for botocore's docs, and the notes of installers. A distribution's name, version and licence
stay: inventories read the first two, and those who pass the package on must include the third."""

USELESS_FOLDERS = (
    "boto3/data",  # the resource layer, which nothing here uses
    "boto3/examples",
    "aws_lambda_powertools/event_handler",  # a web framework with its own user interface
    "bin",
)


def services_of(folder: Path) -> set[str]:
    """The services that the code in a folder makes clients of: the literal first arguments of `….client(…)`."""
    return {
        str(call.args[0].value)
        for file in folder.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "client"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def shorten_endpoints(descriptions: Path) -> None:
    """Leave out of botocore's `endpoints.json` the endpoints of services that are not described."""
    models = [json.loads(gzip.decompress(file.read_bytes())) for file in descriptions.rglob("service-2.json.gz")]
    prefixes = {model["metadata"]["endpointPrefix"] for model in models}
    file = descriptions / "endpoints.json"
    endpoints = json.loads(file.read_text())
    for partition in endpoints["partitions"]:
        services = partition["services"].items()
        partition["services"] = {prefix: service for prefix, service in services if prefix in prefixes}
    file.write_text(json.dumps(endpoints, separators=(",", ":")))


def prune(package: Path) -> None:
    """Remove what is not needed. Raises `SystemExit` when a service that is needed has no description."""
    needed = {service for caller in CALLERS for service in services_of(package / caller)}
    descriptions = package / "botocore" / "data"
    if missing := needed - {folder.name for folder in descriptions.iterdir()}:
        raise SystemExit(f"prune.py: botocore describes no service named {', '.join(sorted(missing))}")
    for folder in descriptions.iterdir():
        if folder.is_dir() and folder.name not in needed:
            shutil.rmtree(folder)
    shorten_endpoints(descriptions)
    for name in USELESS_FOLDERS:
        shutil.rmtree(package / name, ignore_errors=True)
    for tests in [folder for folder in package.rglob("tests") if folder.is_dir()]:
        shutil.rmtree(tests)
    for pattern in USELESS_FILES:
        for file in package.rglob(pattern):
            file.unlink()


if __name__ == "__main__":
    prune(Path(sys.argv[1]))
