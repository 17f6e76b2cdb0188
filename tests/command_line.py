"""`anaplan-autoload` in this process: the one way in which tests run a command.

`cli_tenant.py` gives it a CloudWorks to talk to, `integration/cli.py` the whole function.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from typer.testing import CliRunner

from anaplan_autoload_cli.app import app


class Said(Struct, frozen=True):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)

    @property
    def ids(self) -> list[str]:
        """The values of `id` in a JSON array."""
        return [record["id"] for record in self.json]


def run(*arguments: str, typed: str | None = None, environment: Mapping[str, str | None] | None = None) -> Said:
    """Run a command; `typed` is its stdin, `environment` changes this process's, and None unsets a variable.

    Raises:
        Exception: what the command did not catch itself. A user would see a traceback.
    """
    answer = CliRunner().invoke(app, arguments, input=typed, env=environment)
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return Said(answer.exit_code, answer.stdout, answer.stderr)
