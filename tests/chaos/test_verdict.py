"""The judge of a storm finds what is wrong, and nothing else."""

from __future__ import annotations

import pytest

from local.chaos.evidence import Known
from local.chaos.verdict import judge
from local.cloudworks import Seen
from tests.chaos.builders import asked, evidence, known, made, run, told


def test_an_upload_that_a_run_read_is_kept() -> None:
    verdict = judge(evidence((made("a"), known("loaded", "r1")), runs=[run("r1", reads="a")]))
    assert verdict.broken == ()


def test_with_latest_a_run_that_read_newer_data_covers_what_was_uploaded_before() -> None:
    verdict = judge(
        evidence(
            (made("a"), known("loaded", "r1")), (made("b", at=0.5), known("loaded", "r1")), runs=[run("r1", reads="b")]
        )
    )
    assert verdict.broken == ()


def test_with_each_newer_data_of_the_key_covers_what_was_superseded_alone() -> None:
    uploads = made("a", "sales"), made("b", "sales", at=0.5)
    runs = [run("r1", reads="b", route="sales")]
    superseded = judge(evidence((uploads[0], known("superseded")), (uploads[1], known("loaded", "r1")), runs=runs))
    assert (superseded.broken, superseded.superseded) == ((), 1)
    passed_over = judge(evidence((uploads[0], known("loaded", "r1")), (uploads[1], known("loaded", "r1")), runs=runs))
    assert [line.split(":")[0] for line in passed_over.broken] == ["lost", "ledger wrong"]


@pytest.mark.parametrize("state", [None, known("waiting"), known("superseded"), known("loaded", "r0")])
def test_an_upload_made_after_the_last_run_is_lost_even_if_the_ledger_says_otherwise(state: Known | None) -> None:
    late = (made("b", at=9), state)
    verdict = judge(evidence((made("a"), known("loaded", "r1")), late, runs=[run("r1", reads="a")]))
    assert len(verdict.lost) == 1


def test_a_run_that_failed_loads_nothing() -> None:
    verdict = judge(evidence((made("a"), known("loaded", "r1")), runs=[run("r1", reads="a", success=False)]))
    assert len(verdict.lost) == 1


def test_an_upload_that_was_announced_as_failed_is_not_lost_and_counted_with_the_reason() -> None:
    failed = told("batch-1", "a", outcome="failed", message="gave up")
    verdict = judge(evidence((made("a"), known("failed")), messages=[failed, failed]))
    assert verdict.broken == ()
    assert verdict.failed == {"gave up": 1}


def test_an_upload_that_was_loaded_and_not_announced_is_seen() -> None:
    verdict = judge(evidence((made("a"), known("loaded", "r1")), runs=[run("r1", reads="a")], messages=[]))
    assert [line.split(":")[0] for line in verdict.broken] == ["nobody told"]


def test_two_routes_of_a_lane_must_not_run_at_the_same_time() -> None:
    uploads = (made("a", "sales"), known("loaded", "r1")), (made("b", "stock"), known("loaded", "r2"))

    def at(second: float) -> tuple[str, ...]:
        runs = [run("r1", reads="a", route="sales", at=1), run("r2", reads="b", route="stock", at=second)]
        return judge(evidence(*uploads, runs=runs)).overlapping

    assert at(2.0) == ()
    assert len(at(1.9)) == 1


def test_routes_of_different_lanes_may_run_at_the_same_time() -> None:
    uploads = (made("a"), known("loaded", "r1")), (made("b", "stock"), known("loaded", "r2"))
    assert judge(evidence(*uploads, runs=[run("r1", reads="a"), run("r2", reads="b", route="stock")])).broken == ()


def test_older_data_of_a_key_after_newer_is_seen() -> None:
    uploads = (made("a", "sales"), known("loaded", "r2")), (made("b", "sales"), known("loaded", "r1"))
    runs = [run("r1", reads="b", route="sales", at=1), run("r2", reads="a", route="sales", at=3)]
    verdict = judge(evidence(*uploads, runs=runs))
    assert [line.split(":")[0] for line in verdict.broken] == ["older over newer"]


def test_keys_of_a_route_are_in_no_order() -> None:
    uploads = (
        (made("a", "sales", key="incoming/sales/1.csv"), known("loaded", "r2")),
        (made("b", "sales", key="incoming/sales/2.csv"), known("loaded", "r1")),
    )
    runs = [run("r1", reads="b", route="sales", at=1), run("r2", reads="a", route="sales", at=3)]
    assert judge(evidence(*uploads, runs=runs)).broken == ()


@pytest.mark.parametrize(
    ("requests", "kills", "reason"),
    [
        ([asked(1.1, "lose_after")], [], "CloudWorks' answer was lost on its way"),
        ([asked(1.1, "truncate")], [], "CloudWorks' answer was lost on its way"),
        ([asked(1.1)], [1.5], "the runtime that asked was killed over the answer"),
    ],
)
def test_a_run_too_many_is_excused_by_a_lost_answer(requests: list[Seen], kills: list[float], reason: str) -> None:
    runs = [run("r1", reads="a"), run("r2", reads="a", at=5)]
    verdict = judge(evidence((made("a"), known("loaded", "r2")), runs=runs, requests=requests, kills=kills))
    assert (verdict.broken, verdict.needless) == ((), {reason: 1})


@pytest.mark.parametrize(
    ("requests", "kills"),
    [([], []), ([asked(1.1)], []), ([asked(1.1)], [0.5]), ([asked(5.0, "lose_after")], []), ([asked(1.1)], [9.0])],
)
def test_a_run_too_many_for_which_no_answer_was_lost_is_seen(requests: list[Seen], kills: list[float]) -> None:
    runs = [run("r1", reads="a"), run("r2", reads="a", at=5)]
    verdict = judge(evidence((made("a"), known("loaded", "r2")), runs=runs, requests=requests, kills=kills))
    assert [line.split(":")[0] for line in verdict.broken] == ["needless without a reason"]


def test_a_run_that_failed_and_was_repeated_is_excused() -> None:
    runs = [run("r1", reads="a", success=False), run("r2", reads="a", at=5)]
    verdict = judge(evidence((made("a"), known("loaded", "r2")), runs=runs))
    assert (verdict.broken, verdict.needless) == ((), {"it failed, and another took its place": 1})


def test_a_message_sent_again_is_counted_and_breaks_nothing() -> None:
    message = told("r1", "a")
    verdict = judge(
        evidence((made("a"), known("loaded", "r1")), runs=[run("r1", reads="a")], messages=[message, message])
    )
    assert (verdict.broken, verdict.repeated_messages) == ((), 1)


def test_a_state_that_contradicts_the_run_is_seen() -> None:
    verdict = judge(evidence((made("a"), known("partial", "r1")), runs=[run("r1", reads="a")]))
    assert [line.split(":")[0] for line in verdict.broken] == ["ledger wrong"]
