"""The promise, checked against whole histories in which everything goes wrong that can.

A history is drawn rule by rule: users upload, AWS and Anaplan fail, sandboxes die or stall between any two effects,
time passes. In the end all faults stop, sweeps and redrives do their work, and `tests.model.promise` looks at what is
left: every upload, every run, every message, every lane.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from local.cloudworks import Fault, Pace
from local.cloudworks.runs import Result
from tests.model import promise
from tests.model.executions import one_checkpoint_at_a_time
from tests.model.function import SOURCES, Function
from tests.model.world import Trouble

ROUTES = st.sampled_from(["accounts", "units", "orders", "facts", "hierarchy"])
STAGED = ("orders", "facts")
RULED = st.sampled_from(["nightly", "month_end"])
"""Routes whose uploads wait for a window or for other files, so that perhaps only a sweep notices when they may go."""
CHECKED = st.sampled_from(["units", "facts"])
INTEGRATIONS = st.sampled_from(sorted(SOURCES))
KEYS = st.sampled_from("aaab")
"""No run of a route with `load = "latest"` reads b.csv."""
DELAYS = st.sampled_from([0, 0, 0, 0.5, 4, 90])
WHEN: st.SearchStrategy[Any] = st.sampled_from(["before", "after"])
FEW = st.integers(0, 8)

TURNS = [
    "/run$",
    "/run$",
    "checkpoint post",
    "checkpoint (admit|claim|release|end)",
    "transact_write_items",
    "s3",
    "sns",
    "update_item upload",
    "update_item lane",
    "batch",
]
"""Effects at which the next one matters most: they meet trouble more often than others."""


@st.composite
def deaths(draw: st.DrawFn, longest: int) -> Trouble:
    """A sandbox dies or stalls at one of the next `longest` effects, or at one of `TURNS`."""
    effect = draw(st.one_of(st.just(""), st.sampled_from(TURNS)))
    skip = draw(st.integers(0, 5 if effect else longest))
    when = draw(WHEN)
    if draw(st.integers(0, 2)) == 2:
        return Trouble("stall", when, effect, skip, seconds=draw(st.one_of(st.just(200), st.integers(8, 59))))
    return Trouble(
        "crash", when, effect, skip, for_good=draw(st.booleans()), seconds=draw(st.sampled_from([0, 0, 250]))
    )


REFUSALS = st.sampled_from(
    [
        ("dynamodb", "ProvisionedThroughputExceededException"),
        ("transact_write_items", "TransactionCanceledException"),
        ("s3", "SlowDown"),
        ("lambda", "TooManyRequestsException"),
    ]
).flatmap(
    lambda met: st.builds(
        Trouble, st.just("error"), st.just("before"), st.just(met[0]), FEW, st.integers(1, 3), error=st.just(met[1])
    )
)
"""AWS refuses, and nothing happens."""
FAILURES = st.builds(
    Trouble,
    st.just("error"),
    WHEN,
    st.sampled_from(["dynamodb", "sns", "secretsmanager", "lambda"]),
    FEW,
    error=st.just("InternalError"),
)
"""AWS fails, before or after it did what was asked."""

ENDS = [
    Result(False, "The connection failed.", 46),
    Result(False, "It failed.", 12),
    Result(True, "Partial success: 1 of 2 rows failed", None),
    Result(False, "Partial success: 1 of 2 rows failed", 38),
]


def _on_run(**described: Any) -> Fault:
    return Fault(method="POST", path="/run$", **described)


OWN = '{{"status": {{"code": {}, "message": "CloudWorks says so"}}}}'
LOST = [_on_run(kind="lose_before"), _on_run(kind="lose_after"), _on_run(kind="truncate")]
ANSWERS = [
    *LOST,
    *LOST,
    _on_run(kind="status", status=500),
    _on_run(kind="status", status=503),
    _on_run(kind="status", status=429, headers={"Retry-After": "90"}),
    _on_run(kind="status", status=409, body=OWN.format(409), content_type="application/json"),
    _on_run(kind="status", status=400, body=OWN.format(400), content_type="application/json"),
    _on_run(kind="status", status=403),
    _on_run(kind="status", status=502, count=3),
    _on_run(kind="expire_token"),
    Fault(kind="expire_token", method="GET"),
    Fault(kind="lose_after", method="GET", count=4),
    Fault(kind="status", status=500, method="GET", count=4),
    Fault(kind="status", status=503, method="GET", count=4),
    Fault(kind="truncate", method="GET", count=4),
    Fault(kind="status", status=503, path="/token/", count=2),
    Fault(kind="lose_after", path="/token/", count=2),
]


NIGHTLY = settings().max_examples > 1_000
"""Sizes grow with the number of examples."""
pytestmark = pytest.mark.timeout(0 if NIGHTLY else 600)


class CalmHistories(RuleBasedStateMachine):
    """Users upload, and nothing goes wrong."""

    function: Function
    sweeping = False

    @initialize(
        seed=st.integers(0, 2**16),
        versioned=st.booleans(),
        skew=st.sampled_from([0.0, -4.0, 4.0]),
        lag=st.sampled_from([0.0, 0.0, 3.0, 25.0]),
        pace=st.sampled_from([Pace(0, 2), Pace(0, 2), Pace(0, 0), Pace(3, 20), Pace(20, 5), Pace(0, 400)]),
        reconciling=st.sampled_from([False, False, True]),
    )
    def deploy(self, seed: int, versioned: bool, skew: float, lag: float, pace: Pace, reconciling: bool) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.function = Function(
            Path(self.directory.name),
            world_seed=seed,
            versioned=versioned,
            sweeping=self.sweeping,
            reconciling=reconciling and self.sweeping,
        )
        anaplan = self.function.simulator.settings
        anaplan.skew_seconds, anaplan.history_lag_seconds, anaplan.pace = skew, lag, pace

    @rule(uploads=st.lists(st.tuples(ROUTES, KEYS, DELAYS), min_size=1, max_size=3))
    def upload(self, uploads: list[tuple[str, str, float]]) -> None:
        for route, key, delay in uploads:
            self.function.upload(route, f"{key}.csv", delay)
            self.function.world.pass_time(0.02)

    @rule(route=ROUTES, effects=st.integers(1, 60))
    def upload_between_two_effects(self, route: str, effects: int) -> None:
        """Do it in the middle of other work, for example between a leader's read and its write."""
        function = self.function

        def upload() -> None:
            function.upload(route, "a.csv")

        function.world.after_effects(effects, upload)
        function.upload(route, "b.csv" if route in STAGED else "a.csv")

    @rule(route=CHECKED, key=KEYS, delay=DELAYS)
    def upload_a_file_that_fails_its_check(self, route: str, key: str, delay: float) -> None:
        self.function.upload(route, f"{key}.csv", delay, bad=True)

    @rule(seconds=st.sampled_from([0.05, 0.5, 2, 7, 30, 70, 200, 400]))
    def pass_time(self, seconds: float) -> None:
        self.function.world.pass_time(seconds)

    def teardown(self) -> None:
        """In the end, the promise is kept."""
        if not hasattr(self, "function"):
            return
        try:
            self.function.world.pass_time(60)  # the last planned events may still happen
            promise.come_to_rest(self.function)
            promise.check(self.function)
        finally:
            self.function.close()
            self.directory.cleanup()


class Histories(CalmHistories):
    """What users, AWS and Anaplan do, in any order."""

    sweeping = True

    @rule(trouble=st.one_of(deaths(45), deaths(45), REFUSALS, FAILURES), route=ROUTES)
    def fail_inside_aws(self, trouble: Trouble, route: str) -> None:
        self.function.world.troubles.add(trouble)
        self.function.upload(route, "a.csv")
        self.function.world.pass_time(1)

    @rule(uploads=st.lists(st.tuples(RULED, KEYS, DELAYS), min_size=1, max_size=3), minutes=st.sampled_from([0, 2, 9]))
    def upload_by_rule(self, uploads: list[tuple[str, str, float]], minutes: int) -> None:
        """Upload by a route with a window, or by one that needs a set of files."""
        self.upload(uploads)
        self.function.world.pass_time(minutes * 60)

    @precondition(lambda self: self.function.reconciling)
    @rule(
        uploads=st.lists(
            st.tuples(ROUTES, KEYS, st.sampled_from([None, None, 0, 1_400, 2_000])), min_size=1, max_size=3
        ),
        minutes=st.sampled_from([0, 2, 9, 20]),
    )
    def lose_events(self, uploads: list[tuple[str, str, float | None]], minutes: int) -> None:
        """The events of some uploads never come; those of others come only after the sweep has found the uploads."""
        for route, key, delay in uploads:
            self.function.upload(route, f"{key}.csv", delay or 0, lost=delay is None)
            self.function.world.pass_time(0.02)
        self.function.world.pass_time(minutes * 60)

    @rule(fault=st.sampled_from(ANSWERS), route=ROUTES)
    def fail_at_anaplan(self, fault: Fault, route: str) -> None:
        self.function.simulator.add_fault(fault)
        self.function.upload(route, "a.csv")
        self.function.world.pass_time(1)

    @rule(
        act=st.one_of(
            st.tuples(st.just("repeat"), st.integers(0, 5), DELAYS),
            st.tuples(st.just("foreign_run"), INTEGRATIONS),
            st.tuples(st.just("end_run"), INTEGRATIONS, st.sampled_from(ENDS)),
            st.tuples(st.just("oversleep"), st.sampled_from([100, 250])),
            st.tuples(st.just("rotate_password"), st.booleans()),
            st.tuples(st.just("pause"), ROUTES),
            st.tuples(st.just("resume"), ROUTES),
            st.tuples(st.sampled_from(["expire_tokens", "redrive"])),
        )
    )
    def others_act(self, act: tuple[Any, ...]) -> None:
        name, *arguments = act
        getattr(self.function, name)(*arguments)

    @rule(route=ROUTES, gap=st.sampled_from([0.3, 1, 4]), fault=st.sampled_from(LOST), first=st.booleans())
    def lose_an_answer_beside_somebody_else(self, route: str, gap: float, fault: Fault, first: bool) -> None:
        """This is rare by chance, and it is the case that reconciling exists for."""
        self.function.simulator.add_fault(fault)
        if first:
            self.function.upload(route, "a.csv")
            self.function.world.pass_time(gap)
        self.function.foreign_run(route)
        if not first:
            self.function.world.pass_time(gap)
            self.function.upload(route, "a.csv")


@pytest.fixture(autouse=True, scope="module")
def _deterministic_checkpoints() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        one_checkpoint_at_a_time(patched)
        yield


# A few histories, each with one crash: the shortest way to see that a crash between any two effects does no harm.


def _two_uploads_of_one_key(function: Function) -> None:
    function.upload("accounts", "a.csv")
    function.world.pass_time(1)
    function.upload("accounts", "a.csv")


def _two_uploads_whose_events_are_redriven_at_once(function: Function) -> None:
    """While the lease of a leader that died still lasts, so that only a sweep can replace it."""
    _two_uploads_of_one_key(function)
    function.world.pass_time(60)
    function.redrive()


def _three_uploads_one_by_one(function: Function) -> None:
    for key in ("a.csv", "b.csv", "a.csv"):
        function.upload("orders", key)
        function.world.pass_time(0.5)


def _an_answer_that_is_lost(function: Function) -> None:
    function.upload("accounts", "a.csv")
    function.world.pass_time(60)
    function.simulator.add_fault(_on_run(kind="lose_after"))
    function.upload("accounts", "a.csv")


def _a_request_that_is_lost_beside_a_foreign_run(function: Function) -> None:
    function.upload("orders", "a.csv")
    function.world.pass_time(60)
    function.foreign_run("orders")
    function.world.pass_time(1)
    function.simulator.add_fault(_on_run(kind="lose_before"))
    function.upload("orders", "a.csv")


def _a_request_that_is_lost_right_after_a_run(function: Function) -> None:
    function.world.latencies_ms = (3, 10)
    function.simulator.settings.pace = Pace(0, 0)
    function.upload("orders", "a.csv")
    for _ in range(200):  # where the execution died before its request, none comes
        if not function.posts:
            function.world.pass_time(0.05)
    function.simulator.add_fault(_on_run(kind="lose_before"))
    function.upload("orders", "a.csv")


def _an_upload_during_a_foreign_run(function: Function) -> None:
    function.simulator.settings.pace = Pace(0, 30)
    function.upload("accounts", "a.csv")
    function.world.pass_time(90)
    function.foreign_run("accounts")
    function.world.pass_time(2)
    function.upload("accounts", "a.csv")


def _uploads_while_the_first_is_slow(function: Function) -> None:
    function.simulator.settings.pace = Pace(5, 2)
    for seconds in (21, 2, 2):
        function.upload("orders", "a.csv")
        function.world.pass_time(seconds)


def _an_event_that_comes_late(function: Function) -> None:
    function.upload("orders", "a.csv", delay=60)
    function.world.pass_time(1)
    function.upload("orders", "a.csv")


def _a_run_that_fails_and_is_retried(function: Function) -> None:
    function.end_run("accounts", ENDS[0])
    function.upload("accounts", "a.csv")


def _a_run_that_loses_rows(function: Function) -> None:
    function.end_run("accounts", ENDS[2])
    function.upload("accounts", "a.csv")


def _two_integrations_that_share_a_lane(function: Function) -> None:
    function.simulator.settings.pace = Pace(3, 20)
    function.upload("hierarchy", "a.csv")
    function.upload("facts", "a.csv")
    function.world.pass_time(10)
    function.upload("hierarchy", "a.csv")


def _a_secret_that_is_refused(function: Function) -> None:
    function.rotate_password(right=False)
    for route in ("accounts", "orders", "hierarchy"):
        function.upload(route, "a.csv")
        function.world.pass_time(100)


def _a_file_that_nobody_reads(function: Function) -> None:
    function.upload("accounts", "b.csv")
    function.world.pass_time(0.5)
    function.upload("accounts", "a.csv")
    function.upload("accounts", "b.csv")


def _an_upload_outside_its_window(function: Function) -> None:
    function.world.pass_time(300)  # it closes after 200
    function.upload("nightly", "a.csv")
    function.world.pass_time(60)
    function.upload("nightly", "a.csv")


def _a_run_that_fails_as_its_window_closes(function: Function) -> None:
    function.world.pass_time(170)
    function.end_run("nightly", ENDS[0])
    function.upload("nightly", "a.csv")
    function.world.pass_time(20)
    function.upload("nightly", "a.csv")


def _a_set_that_comes_bit_by_bit(function: Function) -> None:
    for key in ("a.csv", "a.csv", "b.csv"):
        function.upload("month_end", key)
        function.world.pass_time(40)


def _a_set_that_is_late(function: Function) -> None:
    function.upload("month_end", "b.csv")
    function.upload("nightly", "a.csv")
    function.world.pass_time(700)


def _files_that_fail_their_check(function: Function) -> None:
    for route in ("facts", "units"):
        function.upload(route, "a.csv", bad=True)
        function.world.pass_time(700)
        function.upload(route, "a.csv")


def _events_that_never_come(function: Function) -> None:
    for route, key in (("accounts", "a.csv"), ("orders", "a.csv"), ("orders", "a.csv"), ("orders", "b.csv")):
        function.upload(route, key, lost=True)
        function.world.pass_time(1)
    function.upload("orders", "a.csv")
    function.world.pass_time(2_000)


def _events_that_come_after_the_sweep_found_their_uploads(function: Function) -> None:
    for route in ("accounts", "orders"):
        function.upload(route, "a.csv", delay=1_700)
    function.world.pass_time(2_000)


def _bursts_of_loads(function: Function) -> None:
    """When the digest of one lane is due, that of the other is not."""
    for route in ("orders", "hierarchy"):
        for _ in range(5):
            function.upload(route, "a.csv")
            function.world.pass_time(50)
    function.world.pass_time(300)


HISTORIES = [
    _bursts_of_loads,
    _an_upload_outside_its_window,
    _a_run_that_fails_as_its_window_closes,
    _a_set_that_comes_bit_by_bit,
    _a_set_that_is_late,
    _two_uploads_of_one_key,
    _three_uploads_one_by_one,
    _an_answer_that_is_lost,
    _a_request_that_is_lost_beside_a_foreign_run,
    _a_request_that_is_lost_right_after_a_run,
    _an_upload_during_a_foreign_run,
    _uploads_while_the_first_is_slow,
    _an_event_that_comes_late,
    _a_run_that_fails_and_is_retried,
    _a_run_that_loses_rows,
    _two_integrations_that_share_a_lane,
    _a_secret_that_is_refused,
    _a_file_that_nobody_reads,
    _files_that_fail_their_check,
    _events_that_never_come,
    _events_that_come_after_the_sweep_found_their_uploads,
]
LOSING = (_events_that_never_come, _events_that_come_after_the_sweep_found_their_uploads)
"""Histories in which the sweep looks for lost uploads."""
History = Callable[[Function], None]
NOTHING = Trouble("crash", "before", effect="nothing is called so")
CROSSINGS: dict[str, tuple[History, Trouble]] = {
    "a crash right after the request": (_two_uploads_of_one_key, Trouble("crash", "after", "/run$", 1)),
    "a death right after the request": (_two_uploads_of_one_key, Trouble("crash", "after", "/run$", 1, for_good=True)),
    "a death before the last batch is closed": (
        _two_uploads_whose_events_are_redriven_at_once,
        Trouble("crash", "after", "update_item upload", 1, for_good=True),
    ),
    "a death before a batch's ids are deleted": (
        _two_uploads_of_one_key,
        Trouble("crash", "before", "delete_item batch", for_good=True),
    ),
    "a stall in the midst of staging": (_uploads_while_the_first_is_slow, Trouble("stall", "before", "s3", seconds=42)),
    "an event that comes late": (_an_event_that_comes_late, NOTHING),
    "rows that are lost": (_a_run_that_loses_rows, NOTHING),
    "a run just before a lost request": (_a_request_that_is_lost_right_after_a_run, NOTHING),
    "a secret that is refused": (_a_secret_that_is_refused, NOTHING),
    "a file that nobody reads": (_a_file_that_nobody_reads, NOTHING),
    "an upload outside its window": (_an_upload_outside_its_window, NOTHING),
    "a run that fails as its window closes": (_a_run_that_fails_as_its_window_closes, NOTHING),
    "a set that comes bit by bit": (_a_set_that_comes_bit_by_bit, NOTHING),
    "a set that is late": (_a_set_that_is_late, NOTHING),
    "files that fail their check": (_files_that_fail_their_check, NOTHING),
    "a death before a digest is noted": (_bursts_of_loads, Trouble("crash", "before", "put_item digest")),
    "a death after some of a digest is forgotten": (
        _bursts_of_loads,
        Trouble("crash", "after", "delete_item digest"),
    ),
    "bursts of loads": (_bursts_of_loads, NOTHING),
    "a foreign run": (_an_upload_during_a_foreign_run, NOTHING),
    "events that never come": (_events_that_never_come, NOTHING),
    "events that come too late": (_events_that_come_after_the_sweep_found_their_uploads, NOTHING),
    "a sweep that dies as it finds a lost upload": (
        _events_that_never_come,
        Trouble("crash", "after", "put_item upload", 1, for_good=True),
    ),
}
"""Crossings that show at once what random histories need thousands of examples to find."""


def hold(history: History, trouble: Trouble, seed: int) -> None:
    """Run a history with one trouble in it, and check the promise; lost uploads also without versions."""
    with tempfile.TemporaryDirectory() as directory:
        losing = history in LOSING
        function = Function(Path(directory), world_seed=seed, versioned=not losing or seed % 2 == 0, reconciling=losing)
        try:
            function.world.troubles.add(trouble)
            history(function)
            function.world.pass_time(400)
            promise.come_to_rest(function)
            promise.check(function)
        finally:
            function.close()


@pytest.mark.parametrize("history", HISTORIES)
@given(trouble=deaths(160), seed=st.integers(0, 3))
@settings(max_examples=max(4, settings().max_examples // 8))
def test_the_promise_survives_a_death_between_any_two_effects(history: History, trouble: Trouble, seed: int) -> None:
    hold(history, trouble, seed)


@pytest.mark.parametrize("crossing", CROSSINGS)
def test_the_promise_survives(crossing: str) -> None:
    history, trouble = CROSSINGS[crossing]
    for seed in (0, 1) if history in LOSING else (0,):
        hold(history, trouble, seed=seed)


def test_the_promise_is_kept_in_stormy_histories() -> None:
    examples = settings().max_examples if NIGHTLY else settings().max_examples // 3
    run_state_machine_as_test(Histories, settings=settings(max_examples=examples, stateful_step_count=14))


def test_without_trouble_nothing_waits_for_a_sweep() -> None:
    run_state_machine_as_test(
        CalmHistories, settings=settings(max_examples=settings().max_examples // 4, stateful_step_count=6)
    )


def test_a_backlog_of_thousands_keeps_within_the_services_limits(tmp_path: Path) -> None:
    function = Function(tmp_path)
    function.backlog(function.upload("accounts", "a.csv", delay=1), 10_000 if NIGHTLY else 1_200)

    promise.come_to_rest(function)

    promise.check(function)
    assert len(function.posts) == 1
    assert {item["state"] for item in promise.read(function).uploads.values()} == {"loaded"}
    function.close()


def test_a_run_of_hours_is_followed_and_handed_over_within_the_services_limits(tmp_path: Path) -> None:
    function = Function(tmp_path)
    function.world.most_effects = 30_000
    function.simulator.settings.pace = Pace(0, (30 if NIGHTLY else 4) * 3600)
    function.upload("accounts", "a.csv")
    function.world.pass_time(60)
    function.upload("accounts", "a.csv")
    function.simulator.settings.pace = Pace(0, 2)

    function.world.pass_time(31 * 3600 if NIGHTLY else 5 * 3600)

    promise.come_to_rest(function)
    promise.check(function)
    told = [message.outcome for message in function.topic.messages]
    assert [outcome for outcome in told if outcome not in ("missing", "recovered")] == ["overdue", "loaded", "loaded"]
    assert len(function.posts) == 2
    function.close()
