"""The protocol's choices as tables: a case is one row, named by what happens in it."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from msgspec.structs import replace

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.outcomes import PARTIAL
from anaplan_autoload.domain.protocol import (
    LOOKS,
    Adopt,
    Batch,
    Failure,
    LookAgain,
    Selection,
    StartAgain,
    Unanswered,
    Verdict,
    WaitFor,
    Waiting,
    is_given_up,
    may_be_retried,
    one_more,
    reconcile,
    retry_delay,
    select,
    settling_for,
    start_pause,
)
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.runs import Run
from anaplan_autoload.domain.times import iso

NOON = 1_795_521_600_000
"""2026-11-24T12:00:00Z, epoch ms."""
SECOND = 1000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE

LATEST = Route(name="accounts", prefix="accounts/", integration="a" * 32)
EACH = Route(name="sales", prefix="sales/", integration="b" * 32, load="each")


def waiting(key: str, route: Route = LATEST, *, size: int | None = 10, at: int = 0) -> Waiting:
    """An upload that was recorded `at` ms after noon; `size` 0 makes the file empty."""
    upload = Upload(bucket="inbox", key=key, event_time=iso(NOON + at), size=size, version_id=f"v{at}")
    return Waiting(upload, route, NOON + at)


# Which uploads make up the next batch.

FORGIVING = replace(LATEST, allow_empty=True)
FORGIVING_EACH = replace(EACH, allow_empty=True)
CHANGED = replace(LATEST, settle=5)
"""The same route after a deployment that changed it."""

a1, a2, b1 = waiting("a", at=1), waiting("a", at=2), waiting("b", at=3)
empty_a1, empty_a3, empty_b = (waiting(key, size=0, at=at) for key, at in [("a", 1), ("a", 3), ("b", 3)])
each_1, each_2 = waiting("s", EACH, at=4), waiting("t", EACH, at=5)
empty_each = waiting("s", EACH, size=0, at=4)
allowed = waiting("a", FORGIVING, size=0, at=1)
allowed_each = waiting("s", FORGIVING_EACH, size=0, at=1)
unmeasured = waiting("a", size=None, at=1)
changed = waiting("c", CHANGED, at=2)


@pytest.mark.parametrize(
    "given, chosen, refused",
    [
        pytest.param([], None, False, id="nothing waits"),
        pytest.param([a1], [a1], False, id="one upload"),
        pytest.param([a1, a2, b1], [a1, a2, b1], False, id="latest covers all of its route"),
        pytest.param([each_1, each_2], [each_1], False, id="each goes alone"),
        pytest.param([a1, each_1, b1], [a1, b1], False, id="the oldest decides for latest"),
        pytest.param([each_1, a1, a2], [each_1], False, id="the oldest decides for each"),
        pytest.param([a1, changed], [a1], False, id="a changed route is another route"),
        pytest.param([empty_each, each_2], [empty_each], True, id="an empty file is rejected (each)"),
        pytest.param([empty_a1], [empty_a1], True, id="an empty file is rejected (latest)"),
        pytest.param([a1, empty_b], [empty_b], True, id="empty files first, without the others"),
        pytest.param([a2, empty_a3], [a2, empty_a3], True, id="an empty file takes along what it replaced"),
        pytest.param([empty_a1, a2], [empty_a1], True, id="an empty file that was replaced goes alone"),
        pytest.param([a1, empty_b, a2], [empty_b], True, id="only the emptied key is rejected"),
        pytest.param([a1, empty_each], [a1], False, id="another route's empty file waits its turn"),
        pytest.param([allowed], [allowed], False, id="allow_empty loads it (latest)"),
        pytest.param([allowed_each], [allowed_each], False, id="allow_empty loads it (each)"),
        pytest.param([unmeasured], [unmeasured], False, id="an unknown size is not empty"),
    ],
)
def test_select(given: list[Waiting], chosen: list[Waiting] | None, refused: bool) -> None:
    selection = select(given)
    if chosen is None:
        assert selection is None
        return
    assert selection is not None
    assert list(selection.waiting) == chosen
    assert selection.route == chosen[0].route
    assert (selection.refusal is not None and "allow_empty" in selection.refusal.reason) == refused


# How long a claim waits for uploads to cease.


@pytest.mark.parametrize(
    "settle, recorded_at, now, seconds",
    [
        pytest.param(0, [0], 0, 0, id="no quiet time"),
        pytest.param(5, [0], 0, 5, id="all of it"),
        pytest.param(5, [0], 2 * SECOND, 3, id="the rest of it"),
        pytest.param(5, [0], 2 * SECOND + 1, 3, id="part of a second counts as one"),
        pytest.param(5, [0], 5 * SECOND - 1, 1, id="one ms is left"),
        pytest.param(5, [0], 5 * SECOND, 0, id="exactly over"),
        pytest.param(5, [0], DAY, 0, id="long over"),
        pytest.param(5, [0, 4 * SECOND], 5 * SECOND, 4, id="the newest upload starts it again"),
        pytest.param(5, [4 * SECOND, 0], 5 * SECOND, 4, id="in any order"),
        pytest.param(5, [0, 49 * SECOND], 49 * SECOND, 1, id="ten quiet times at most"),
        pytest.param(5, [0, 50 * SECOND], 50 * SECOND, 0, id="ten quiet times are over"),
    ],
)
def test_settling_for(settle: int, recorded_at: list[int], now: int, seconds: int) -> None:
    items = tuple(waiting("a", at=at) for at in recorded_at)
    assert settling_for(Selection(replace(LATEST, settle=settle), items), NOON + now) == seconds


# What became of a request whose answer was lost; it was sent at noon, and Ada started our earlier runs.


def run(
    id: str = "ours",
    *,
    at: int | None = 0,
    ended: bool = False,
    author: str | None = "Ada",
    trigger: str | None = "manual",
) -> Run:
    """A run that started `at` ms after noon, or still queues."""
    started = None if at is None else iso(NOON + at)
    return Run(id=id, started_at=started, ended_at=iso(NOON + DAY) if ended else None, author=author, trigger=trigger)


@pytest.mark.parametrize(
    "history, author, looks, verdict",
    [
        pytest.param([], "Ada", 1, LookAgain(), id="no trace at the first look"),
        pytest.param([], "Ada", LOOKS - 1, LookAgain(), id="no trace at the last look but one"),
        pytest.param([], "Ada", LOOKS, StartAgain(resolved=False), id="no trace at the last look"),
        pytest.param([], "Ada", LOOKS + 1, StartAgain(resolved=False), id="no trace after it"),
        pytest.param([run()], "Ada", 1, Adopt("ours"), id="ours runs"),
        pytest.param([run(ended=True)], "Ada", 1, Adopt("ours"), id="ours has ended"),
        pytest.param([run(at=None)], "Ada", 1, Adopt("ours"), id="ours queues"),
        pytest.param([run(at=MINUTE)], "Ada", 1, Adopt("ours"), id="ours began late"),
        pytest.param([run(trigger=None)], "Ada", 1, Adopt("ours"), id="the trigger is not known"),
        pytest.param([run(trigger="manual_inf")], "Ada", 1, Adopt("ours"), id="a flow's run of ours"),
        pytest.param([run(at=-1000)], "Ada", 1, Adopt("ours"), id="whole seconds were rounded down"),
        pytest.param([run(at=-1001)], "Ada", 1, WaitFor(("ours",)), id="too early to be proved"),
        pytest.param([run(at=-5000)], "Ada", 1, WaitFor(("ours",)), id="just within the clocks' tolerance"),
        pytest.param([run(at=-5001)], "Ada", 1, LookAgain(), id="before the request"),
        pytest.param([run(at=-5001)], "Ada", LOOKS, StartAgain(resolved=False), id="only runs before the request"),
        pytest.param([run(at=-DAY, ended=True), run()], "Ada", 1, Adopt("ours"), id="earlier runs do not count"),
        pytest.param([run()], None, 1, WaitFor(("ours",)), id="our author is not known yet"),
        pytest.param([run(author=None)], None, 1, WaitFor(("ours",)), id="no author on either side"),
        pytest.param([run(author="Bob")], "Ada", 1, WaitFor(("ours",)), id="somebody else's"),
        pytest.param([run(author="Bob", ended=True)], "Ada", 1, StartAgain(resolved=True), id="somebody else's ended"),
        pytest.param([run(trigger="scheduled")], "Ada", 1, WaitFor(("ours",)), id="a schedule's"),
        pytest.param([run(trigger="surprise")], "Ada", 1, WaitFor(("ours",)), id="an unknown trigger"),
        pytest.param([run("1"), run("2")], "Ada", 1, WaitFor(("1", "2")), id="two candidates run"),
        pytest.param([run("1"), run("2", ended=True)], "Ada", 1, WaitFor(("1",)), id="one of two runs"),
        pytest.param(
            [run("1", ended=True), run("2", ended=True)], "Ada", 1, StartAgain(resolved=True), id="both of two ended"
        ),
    ],
)
def test_reconcile(history: list[Run], author: str | None, looks: int, verdict: Verdict) -> None:
    assert reconcile(history, since=NOON, author=author, looks=looks) == verdict


# When something is tried again.


@pytest.mark.parametrize(
    "retries, minutes", [pytest.param(n, 2**n, id=f"after {n} retries {2**n} min") for n in range(6)]
)
def test_retry_delay(retries: int, minutes: int) -> None:
    assert retry_delay(retries) == minutes * 60


ENDED = Run(id="r", started_at=iso(NOON), ended_at=iso(NOON + MINUTE), success=False)
LOCKED = replace(ENDED, error_code=2, message="The model is locked")
WRONG = replace(ENDED, error_code=38, message="Could not load the file")


@pytest.mark.parametrize(
    "ended, retries, allowed, again",
    [
        pytest.param(LOCKED, 0, 2, True, id="the first retry"),
        pytest.param(LOCKED, 1, 2, True, id="the last retry"),
        pytest.param(LOCKED, 2, 2, False, id="no retry is left"),
        pytest.param(LOCKED, 0, 0, False, id="the route allows none"),
        pytest.param(WRONG, 0, 2, False, id="it would fail again"),
        pytest.param(replace(LOCKED, success=True, error_code=None, message="Success"), 0, 2, False, id="it loaded"),
        pytest.param(replace(LOCKED, error_code=PARTIAL), 0, 2, False, id="it loaded part of the file"),
    ],
)
def test_may_be_retried(ended: Run, retries: int, allowed: int, again: bool) -> None:
    batch = Batch(
        id="b",
        route=replace(LATEST, retries=allowed),
        total=1,
        opened_at=NOON,
        oldest=iso(NOON),
        retries=retries,
    )
    assert may_be_retried(batch, ended) is again


def unanswered(*times: int) -> Unanswered:
    """Requests that were sent so many ms after noon, each answered with a 500."""
    counted = None
    for at in times:
        counted = one_more(counted, NOON + at, 500, "Internal error", "POST https://example.com/run")
    assert counted is not None
    return counted


@pytest.mark.parametrize(
    "times, now, seconds",
    [
        pytest.param([0], 0, 60, id="a minute after the first"),
        pytest.param([0], 59 * SECOND + 1, 1, id="part of a second counts as one"),
        pytest.param([0], MINUTE, 0, id="it is time"),
        pytest.param([0], DAY, 0, id="it is long time"),
        pytest.param([0, 0], 0, 120, id="two minutes after the second"),
        pytest.param([0] * 4, 0, 8 * 60, id="eight minutes after the fourth"),
        pytest.param([0] * 5, 0, 15 * 60, id="a quarter of an hour at most"),
        pytest.param([0] * 500, 0, 15 * 60, id="after five hundred too"),
        pytest.param([0, MINUTE], MINUTE, 120, id="counted from the latest"),
    ],
)
def test_start_pause(times: list[int], now: int, seconds: int) -> None:
    assert start_pause(unanswered(*times), NOON + now) == seconds


@pytest.mark.parametrize(
    "times, now, given_up",
    [
        pytest.param([0], DAY - 1, False, id="just under a day"),
        pytest.param([0], DAY, True, id="a day"),
        pytest.param([0, DAY - 1], DAY, True, id="counted from the first"),
    ],
)
def test_is_given_up(times: list[int], now: int, given_up: bool) -> None:
    assert is_given_up(unanswered(*times), NOON + now) is given_up


Attribute = Literal["posted_at", "lost_since"]


@pytest.mark.parametrize(
    "times, run_id, since",
    [
        pytest.param({}, None, None, id="not asked for"),
        pytest.param({"posted_at": NOON}, None, NOON, id="asked for, answer unknown"),
        pytest.param({"posted_at": NOON}, "r", None, id="its run is known"),
        pytest.param({"posted_at": NOON, "lost_since": NOON - 1}, None, NOON - 1, id="an earlier request was lost"),
    ],
)
def test_unresolved_since(times: dict[Attribute, int], run_id: str | None, since: int | None) -> None:
    batch = Batch(id="b", route=LATEST, total=1, opened_at=NOON, oldest=iso(NOON), run_id=run_id)
    assert replace(batch, **times).unresolved_since == since


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        ({"reason": "Anaplan answered 404. (POST https://example.com/run)", "at": NOON}, Failure),
        ({"since": NOON, "latest": NOON, "answers": {"500": 1}, "last": "(POST https://example.com/run)"}, Unanswered),
    ],
)
def test_what_a_version_without_requests_has_stored_is_read(
    stored: dict[str, object], kind: type[Failure | Unanswered]
) -> None:
    assert msgspec.convert(stored, kind).request == ""
