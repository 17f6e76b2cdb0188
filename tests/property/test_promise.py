"""The promise, held against whole histories in which everything goes wrong that can."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from local.cloudworks import Fault, Pace
from local.cloudworks.runs import Result
from tests.model import promise
from tests.model.aws import aws_error, transaction_conflict
from tests.model.executions import one_checkpoint_at_a_time
from tests.model.function import SOURCES, Function
from tests.model.world import Trouble

ROUTES = st.sampled_from(["accounts", "units", "orders", "facts", "hierarchy"])
WHEN = st.sampled_from(["before", "after"])
AWS_TROUBLES = {
    "dynamodb throttles": ("dynamodb", lambda: aws_error("ProvisionedThroughputExceededException")),
    "transactions conflict": ("transact_write_items", transaction_conflict),
    "s3 is slow": ("s3", lambda: aws_error("SlowDown")),
    "sns fails": ("sns", lambda: aws_error("InternalError")),
    "secrets manager fails": ("secretsmanager", lambda: aws_error("InternalError")),
    "lambda throttles": ("lambda", lambda: aws_error("TooManyRequestsException")),
}
RUN = {"method": "POST", "path": "/run$"}
ANAPLAN_TROUBLES = [
    Fault(kind="lose_before", **RUN),
    Fault(kind="lose_after", **RUN),
    Fault(kind="truncate", **RUN),
    Fault(kind="status", status=500, **RUN),
    Fault(kind="status", status=503, **RUN),
    Fault(kind="status", status=429, headers={"Retry-After": "90"}, **RUN),
    Fault(kind="status", status=409, **RUN),
    Fault(kind="status", status=400, **RUN),
    Fault(kind="expire_token", **RUN),
    Fault(kind="expire_token", method="GET"),
    Fault(kind="lose_after", method="GET", count=4),
    Fault(kind="status", status=500, method="GET", count=4),
    Fault(kind="status", status=503, method="GET", count=4),
    Fault(kind="truncate", method="GET", count=4),
    Fault(kind="status", status=503, path="/token/", count=2),
    Fault(kind="lose_after", path="/token/", count=2),
]


class Histories(RuleBasedStateMachine):
    """What users, AWS and Anaplan do, in any order."""

    function: Function

    @initialize(
        seed=st.integers(0, 2**16),
        versioned=st.booleans(),
        skew=st.sampled_from([0.0, -4.0, 4.0]),
        lag=st.sampled_from([0.0, 0.0, 3.0, 25.0]),
        pace=st.sampled_from([Pace(0, 2), Pace(0, 2), Pace(0, 0), Pace(3, 20), Pace(20, 5), Pace(0, 400)]),
    )
    def deploy(self, seed: int, versioned: bool, skew: float, lag: float, pace: Pace) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.function = Function(Path(self.directory.name), world_seed=seed, versioned=versioned)
        settings = self.function.simulator.settings
        settings.skew_seconds, settings.history_lag_seconds, settings.pace = skew, lag, pace

    @rule(route=ROUTES, key=st.sampled_from("ab"), delay=st.sampled_from([0, 0, 0, 0.5, 4, 90]))
    def upload(self, route: str, key: str, delay: float) -> None:
        self.function.upload(route, f"{key}.csv", delay)

    @rule(number=st.integers(0, 5), delay=st.sampled_from([0, 0.3, 20]))
    def repeat_an_event(self, number: int, delay: float) -> None:
        for sent in self.function.sent[number : number + 1]:
            self.function.service.start(sent.event, delay)

    @rule(seconds=st.sampled_from([0.05, 0.5, 2, 7, 30, 70, 200, 400]))
    def pass_time(self, seconds: float) -> None:
        self.function.world.pass_time(seconds)

    @rule(skip=st.integers(0, 45), when=WHEN, for_good=st.booleans())
    def crash(self, skip: int, when: Any, for_good: bool) -> None:
        self.function.world.troubles.add(Trouble("crash", when, skip=skip, for_good=for_good))

    @rule(skip=st.integers(0, 45), when=WHEN, seconds=st.sampled_from([8, 45, 200]), for_good=st.booleans())
    def stall(self, skip: int, when: Any, seconds: float, for_good: bool) -> None:
        self.function.world.troubles.add(Trouble("stall", when, skip=skip, seconds=seconds, for_good=for_good))

    @rule(kind=st.sampled_from(sorted(AWS_TROUBLES)), skip=st.integers(0, 8), count=st.integers(1, 3), when=WHEN)
    def trouble_aws(self, kind: str, skip: int, count: int, when: Any) -> None:
        effect, error = AWS_TROUBLES[kind]
        if "throttles" in kind or "conflict" in kind:
            when = "before"  # refused calls have no effect; other errors may come after one
        self.function.world.troubles.add(Trouble("error", when, effect, skip=skip, count=count, error=error))

    @rule(fault=st.sampled_from(ANAPLAN_TROUBLES))
    def trouble_anaplan(self, fault: Fault) -> None:
        self.function.simulator.add_fault(fault)

    @rule(name=st.sampled_from(sorted(SOURCES)))
    def run_by_somebody_else(self, name: str) -> None:
        self.function.foreign_run(name)

    @rule(route=ROUTES, gap=st.sampled_from([0.5, 2, 4]), fault=st.sampled_from(ANAPLAN_TROUBLES[:4]))
    def lose_an_answer_beside_somebody_else(self, route: str, gap: float, fault: Fault) -> None:
        self.function.foreign_run(route)
        self.function.world.pass_time(gap)
        self.function.simulator.add_fault(fault)
        self.function.upload(route, "a.csv")

    @rule(name=st.sampled_from(sorted(SOURCES)), code=st.sampled_from([46, 46, 12]))
    def let_a_run_fail(self, name: str, code: int) -> None:
        self.function.simulator.force_result(self.function.ids[name], Result(False, "It failed.", code))

    @rule(right=st.booleans())
    def rotate_the_secret(self, right: bool) -> None:
        self.function.rotate_password(right)

    @rule()
    def expire_tokens(self) -> None:
        self.function.simulator.expire_tokens()

    @rule(route=ROUTES)
    def pause(self, route: str) -> None:
        self.function.pause(self.function.lane(route))

    @rule(route=ROUTES)
    def resume(self, route: str) -> None:
        self.function.resume(self.function.lane(route))

    @rule()
    def redrive(self) -> None:
        self.function.redrive()

    def teardown(self) -> None:
        """Whatever happened, in the end the promise is kept."""
        if not hasattr(self, "function"):
            return
        try:
            promise.come_to_rest(self.function)
            promise.check(self.function)
        finally:
            self.function.close()
            self.directory.cleanup()


@pytest.fixture(autouse=True)
def _deterministic_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    one_checkpoint_at_a_time(monkeypatch)


def test_the_promise_is_kept_whatever_happens() -> None:
    run_state_machine_as_test(Histories, settings=settings(stateful_step_count=16))
