"""Tests pass in any order, and however they are started."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from anaplan_autoload import handler

STARTED_IN_THE_BACKGROUND = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
subprocess.run([sys.executable, "-c", child], check=True)
signal.raise_signal(signal.SIGINT)
print("goes on", flush=True)
"""


def test_children_can_be_interrupted_although_the_tests_ignore_it() -> None:
    run = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", STARTED_IN_THE_BACKGROUND],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split("\n") == ["True", "goes on", ""]


@pytest.mark.parametrize("before", ["CRITICAL", "DEBUG", "INFO"])
def test_the_log_has_the_level_that_was_set_last(before: str) -> None:
    for level in ("INFO", before, "INFO"):
        logger = handler.logger_at(level)

    assert logger.log_level == logging.INFO
