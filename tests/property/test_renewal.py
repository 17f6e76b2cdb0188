"""A refresh token that every use replaces is not lost, unless somebody dies between Anaplan's answer and the secret.

Histories are drawn step by step: function instances ask for tokens, die, stall or meet errors between any two effects,
answers are lost, somebody logs in again, time passes. `tests.model.renewals` looks at every token while that goes on;
in the end all faults stop, and everyone who asks gets a token that works, or a refusal that is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.cloudworks import Fault
from tests.model.renewals import TOKEN_PATH, Renewing
from tests.model.world import Trouble

INSTANCES = 3
Step = Callable[[Renewing], None]
EFFECTS = ["", "get_secret_value", "put_secret_value", TOKEN_PATH, "update_item renewal", "get_item renewal"]
CALM_SECONDS = [0.2, 3, 3, 40, 700, 2_000, 2_050]
STORMY_SECONDS = [*CALM_SECONDS, 190, 20_000]
WHEN: Any = st.sampled_from(["before", "after"])


def ask(number: int, fresh: bool) -> Step:
    return lambda world: world.ask(number, fresh=fresh)


def all_ask(world: Renewing) -> None:
    for number in range(INSTANCES):
        world.ask(number)


def keep_alive(number: int) -> Step:
    return lambda world: world.keep_alive(number)


def log_in(world: Renewing) -> None:
    world.log_in()


def passes(seconds: float) -> Step:
    return lambda world: world.world.pass_time(seconds)


def trouble(met: Trouble) -> Step:
    return lambda world: world.world.troubles.add(met)


def fault(met: Fault) -> Step:
    return lambda world: world.simulator.add_fault(met)


INSTANCE = st.integers(0, INSTANCES - 1)
ASKING = st.one_of(st.builds(ask, INSTANCE, st.sampled_from([False, False, True])), st.just(all_ask))
CALM = st.one_of(
    ASKING,
    ASKING,
    st.builds(passes, st.sampled_from(CALM_SECONDS)),
    st.builds(keep_alive, INSTANCE),
    st.just(log_in),
)
TROUBLES = st.one_of(
    st.builds(Trouble, kind=st.just("crash"), when=WHEN, effect=st.sampled_from(EFFECTS), skip=st.integers(0, 4)),
    st.builds(
        Trouble,
        kind=st.just("stall"),
        when=WHEN,
        effect=st.sampled_from(EFFECTS),
        skip=st.integers(0, 4),
        seconds=st.sampled_from([2.0, 30.0, 70.0]),
    ),
    st.builds(
        Trouble,
        kind=st.just("error"),
        when=WHEN,
        effect=st.sampled_from(["secretsmanager", "dynamodb", "put_secret_value"]),
        skip=st.integers(0, 4),
        count=st.integers(1, 3),
        error=st.sampled_from(["InternalServiceError", "AccessDeniedException", "ThrottlingException"]),
    ),
)
FAULTS = st.builds(
    lambda kind, status: Fault(kind=kind, path=TOKEN_PATH, status=status),
    st.sampled_from(["lose_before", "lose_after", "truncate", "status"]),
    st.sampled_from([500, 503, 429, 403]),
)
STORMY = st.one_of(
    ASKING,
    ASKING,
    st.builds(passes, st.sampled_from(STORMY_SECONDS)),
    st.builds(keep_alive, INSTANCE),
    st.builds(trouble, TROUBLES),
    st.builds(fault, FAULTS),
    st.just(log_in),
)


def played(steps: list[Step], seed: int, rotates: bool) -> Renewing:
    """The world after these steps, when everything has ended."""
    world = Renewing(seed, INSTANCES, rotates=rotates)
    try:
        for step in steps:
            step(world)
            assert world.breaches == []
        world.settle()
        assert world.breaches == []
    finally:
        world.world.stop()
    return world


def all_answered(world: Renewing) -> None:
    """Let every instance ask for a token. In a slow world one may have to ask twice, because it waited for others."""
    for _ in range(3):
        world.got.clear()
        all_ask(world)
        world.settle()
        if len(world.got) == INSTANCES:
            break
    assert len(world.got) == INSTANCES
    assert world.breaches == []


@given(st.lists(CALM, max_size=12), st.integers(0, 1_000), st.booleans())
@example([all_ask, passes(3), passes(2_050), all_ask, passes(3)], 1, True)
@example([ask(0, False), passes(0.2), log_in, passes(3)], 6, True)
def test_without_trouble_no_refresh_token_is_used_twice_and_nobody_is_refused(
    steps: list[Step], seed: int, rotates: bool
) -> None:
    world = played(steps, seed, rotates)

    assert world.simulator.spent_again == 0
    assert "refused" not in world.got


@settings(max_examples=3 * settings().max_examples)
@given(st.lists(STORMY, max_size=14), st.integers(0, 1_000), st.sampled_from([True, True, False]))
@example([trouble(Trouble(kind="crash", when="after", effect=TOKEN_PATH)), all_ask, passes(3)], 1, True)
@example([all_ask, passes(3), passes(2_050), fault(Fault(kind="lose_after", path=TOKEN_PATH)), all_ask], 1, True)
def test_in_the_end_a_token_works_or_a_refusal_is_true(steps: list[Step], seed: int, rotates: bool) -> None:
    world = played(steps, seed, rotates)

    all_answered(world)

    works = world.is_good(world.secrets.current.field("refresh_token"))
    assert works != ("refused" in world.got)
    assert works or world.hurt, "the log-in was lost although nobody died"


@given(st.lists(STORMY, max_size=10), st.integers(0, 1_000))
def test_after_a_new_log_in_every_instance_has_a_token(steps: list[Step], seed: int) -> None:
    world = played(steps, seed, rotates=True)

    world.log_in()
    world.settle()
    all_answered(world)

    assert "refused" not in world.got


def test_a_death_before_the_token_is_sent_costs_nothing() -> None:
    before = [trouble(Trouble(kind="crash", when="before", effect=TOKEN_PATH)), all_ask, passes(3)]
    world = played([*before, passes(200), all_ask], 1, rotates=True)

    assert world.is_good(world.secrets.current.field("refresh_token"))
    assert "refused" not in world.got


def test_a_log_in_that_is_stored_while_another_is_renewed_is_kept() -> None:
    world = Renewing(1, 1, rotates=True)
    world.secrets.stale_ms = 0
    world.world.watch = lambda effect: world.store_another() if effect.endswith(TOKEN_PATH) else None
    try:
        world.ask(0)
        world.world.pass_time(30)
    finally:
        world.world.stop()

    assert world.secrets.current.id.startswith("by-hand")
    assert world.breaches == []
