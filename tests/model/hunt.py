"""Look for a history that breaks the promise, for so many seconds of CPU: `python -m tests.model.hunt stormy 60`.

Ends with exit code 1 and the first breach as the last line, or with 0 when none was found. `PYTHONPATH`
decides which source is tested.
"""

from __future__ import annotations

import sys
import time
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from anaplan_autoload import handler
from tests.model.executions import one_checkpoint_at_a_time
from tests.model.world import Trouble
from tests.property import test_promise

CROSSED = 5
"""How often a crossing is tried, each time with other latencies."""
ROUND = 20
"""Histories a round. The time is checked after each round."""


def main(where: str, seconds: float) -> int:
    """Hunt in `stormy` or `calm` histories, or at one of `CROSSINGS`; returns the exit code."""
    print(f"looking at {handler.__file__}")  # noqa: T201
    end = time.process_time() + seconds
    with pytest.MonkeyPatch.context() as patched:
        one_checkpoint_at_a_time(patched)
        for number in count():
            if time.process_time() >= end:
                print("nothing found")  # noqa: T201
                return 0
            try:
                _round(where, number)
                if where in test_promise.CROSSINGS and number == CROSSED:
                    print("nothing found")  # noqa: T201
                    return 0
            except (AssertionError, HypothesisException, Exception) as breach:
                print(_first_line(breach))  # noqa: T201
                return 1
    return 0


def _round(where: str, number: int) -> None:
    chosen = settings(
        max_examples=ROUND,
        phases=[Phase.generate],
        database=None,
        report_multiple_bugs=False,
        deadline=None,
        stateful_step_count=16,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    if where in test_promise.CROSSINGS:
        test_promise.hold(*test_promise.CROSSINGS[where], seed=number)
    elif where == "calm":
        run_state_machine_as_test(
            seed(number)(test_promise.CalmHistories), settings=settings(chosen, stateful_step_count=6)
        )
    elif number % 2:
        _one_trouble_in_each(number, chosen)
    else:
        run_state_machine_as_test(seed(number)(test_promise.Histories), settings=chosen)


def _one_trouble_in_each(number: int, chosen: settings) -> None:
    @seed(number)
    @settings(chosen)
    @given(st.sampled_from(test_promise.HISTORIES), test_promise.deaths(160), st.just(Random(number).randrange(2**16)))
    def hold(history: test_promise.History, trouble: Trouble, world_seed: int) -> None:
        test_promise.hold(history, trouble, world_seed)

    hold()


def _first_line(breach: BaseException) -> str:
    if isinstance(breach, BaseExceptionGroup):
        return _first_line(breach.exceptions[0])
    return f"{type(breach).__name__}: {str(breach).splitlines()[0] if str(breach) else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
