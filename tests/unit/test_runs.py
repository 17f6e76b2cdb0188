"""What CloudWorks says about runs, and what it means."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.anaplan import wire
from anaplan_autoload.domain import runs
from anaplan_autoload.domain.outcomes import rows_left_out
from anaplan_autoload.domain.runs import Run, RunError

ENDED = "2026-11-24T21:05:00.000Z"
SINCE = 1_795_554_000_500  # 21:00:00.500


def status(**fields: object) -> Run:
    return wire.decode_run(json.dumps({"status": {"code": 200}, "run": fields}).encode(), "r1")


def test_a_run_status_is_read_whole() -> None:
    run = status(
        id="r1",
        integrationId="i1",
        traceId="t1",
        startDate="2026-08-11T18:07:06.000Z",
        endDate="2026-08-11T18:07:51.000Z",
        success=True,
        message="Success",
        creationDate="2026-08-11T18:07:06.000Z",
        createdBy="Ada Builder",
        modifiedBy=None,
        executionErrorCode=None,
        flowGroupId=None,
        triggerSource="manual",
    )
    assert run == Run(
        id="r1",
        integration_id="i1",
        started_at="2026-08-11T18:07:06.000Z",
        ended_at="2026-08-11T18:07:51.000Z",
        success=True,
        message="Success",
        author="Ada Builder",
        trace_id="t1",
        trigger="manual",
    )


@pytest.mark.parametrize("absent", [{}, {"endDate": None}, {"endDate": ""}])
def test_a_run_without_an_end_date_has_not_ended_whatever_else_it_says(absent: dict[str, object]) -> None:
    run = status(success=True, message="Success", **absent)
    assert not run.ended
    with pytest.raises(ValueError, match="run r1 has not ended"):
        _ = run.outcome


@pytest.mark.parametrize(
    ("success", "code", "message", "outcome"),
    [
        (True, None, "Success", "loaded"),
        (True, None, None, "loaded"),
        (True, 0, "Success", "loaded"),
        ("true", None, "Success", "loaded"),
        (True, None, "120 rows processed, 0 rows failed, 0 ignored", "loaded"),
        (True, None, "120 rows processed, 3 rows failed", "partial"),
        (True, 38, "Success", "partial"),
        (False, 38, "Partial success", "partial"),
        (False, "38", "Partial success", "partial"),
        (None, 38, None, "partial"),
        (True, 12, "Success", "failed"),
        (False, None, "Cancelled", "failed"),
        (False, 12, "Process failed: 3 rows failed", "failed"),
        ("false", None, "Success", "failed"),
        (None, None, None, "failed"),
    ],
)
def test_a_run_ends_loaded_partial_or_failed(success: object, code: object, message: object, outcome: str) -> None:
    assert status(endDate=ENDED, success=success, executionErrorCode=code, message=message).outcome == outcome


@pytest.mark.parametrize(
    "message",
    [
        "3 of 120 rows failed",
        "Partial success: 3 of 120 rows failed",
        "3 rows failed",
        "3 row(s) ignored",
        "3 rows were ignored",
        "failed: 3",
        "Failed rows: 3 of 120",
        "rows ignored = 3",
        "ignored (3)",
        "120 rows loaded, 0 failed, 3 ignored",
        "120 rows loaded and 3 rejected",
        "3 failed 0 ignored",
        "0 failed 3 ignored",
        "failed: 0 ignored: 3",
        "1,200 rows failed",
        "Rows processed: 120; rows failed: 3",
        "Import finished.\nSkipped rows 3",
        "120 rows updated, 1 error",
    ],
)
def test_a_message_that_counts_lost_rows_is_noticed(message: str) -> None:
    assert rows_left_out(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Success",
        "0 of 120 rows failed",
        "0 rows failed",
        "120 rows loaded, 0 failed, 0 ignored",
        "120 rows loaded and 0 failed",
        "120 rows loaded 0 failed 0 ignored",
        "failed: 0, ignored: 0",
        "Failed rows: 0 of 120",
        "Rows processed: 120; rows failed: 0",
        "120 rows imported without failed rows",
        "120 rows imported, no rows ignored",
        "1,200 rows loaded",
    ],
)
def test_a_message_that_counts_no_lost_rows_is_left_alone(message: str) -> None:
    assert not rows_left_out(message)


@pytest.mark.parametrize(
    ("code", "message", "heals"),
    [
        (46, "Failed", True),
        (None, "Anaplan Connection Error", True),
        (35, "Integration trigger error", True),
        (12, "Data type mismatch", False),
        (None, "Cancelled", False),
        (None, "Anaplan model was deleted", False),
    ],
)
def test_only_connection_and_trigger_errors_may_heal(code: int | None, message: str, heals: bool) -> None:
    assert status(endDate=ENDED, success=False, executionErrorCode=code, message=message).may_heal is heals


def test_a_run_that_did_not_fail_has_nothing_to_heal() -> None:
    assert not status(endDate=ENDED, success=True, message="Read over connection X").may_heal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-06-19T01:30:16.000Z", "2026-06-19T01:30:16.000Z"),
        ("2026-06-19T01:30:16Z", "2026-06-19T01:30:16.000Z"),
        ("2026-06-19T01:30:16.123456789Z", "2026-06-19T01:30:16.123Z"),
        ("2026-06-19T03:30:16.000+02:00", "2026-06-19T01:30:16.000Z"),
        ("2026-06-19T01:30:16.000+0000", "2026-06-19T01:30:16.000Z"),
        ("2026-06-19 01:30:16.123456+00:00", "2026-06-19T01:30:16.123Z"),
        ("2026-06-19T01:30:16", "2026-06-19T01:30:16.000Z"),
        (1781832616, "2026-06-19T01:30:16.000Z"),
        (1781832616.5, "2026-06-19T01:30:16.500Z"),
        (1781832616123, "2026-06-19T01:30:16.123Z"),
        ("1781832616", "2026-06-19T01:30:16.000Z"),
        ("1781832616123", "2026-06-19T01:30:16.123Z"),
    ],
)
def test_every_form_of_a_time_is_normalised(value: str | float, text: str) -> None:
    assert wire.normalize_time(value) == text
    assert status(startDate=value).started_at == text


@pytest.mark.parametrize("value", ["soon", "2026-13-01T00:00:00Z", 1e30, float("inf"), ""])
def test_what_is_no_time_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="is no time"):
        wire.normalize_time(value)


def history(**fields: object) -> runs.History:
    return wire.decode_history(json.dumps(fields).encode(), 7)


def test_a_history_names_author_integration_and_total() -> None:
    page = history(
        history_of_runs={
            "integrationId": "i1",
            "runs": [{"id": "r2", "triggeredBy": "Ada Builder", "lastRun": 1781832681, "startDate": ENDED}],
        },
        meta={"paging": {"currentPageSize": 1, "offset": 0, "totalSize": 9}},
    )
    assert page.runs == (Run(id="r2", integration_id="i1", started_at=ENDED, author="Ada Builder"),)
    assert (page.total, page.date_ms) == (9, 7)


@pytest.mark.parametrize("absent", [{}, {"runs": None}, {"runs": []}])
def test_a_history_without_runs_is_empty(absent: dict[str, object]) -> None:
    assert history(history_of_runs={"integrationId": "i1", **absent}) == runs.History((), 0, 7)


def test_a_last_run_may_be_text() -> None:
    page = history(history_of_runs={"runs": [{"id": "r", "lastRun": "2026-11-24T21:05:00Z"}], "totalRuns": 4})
    assert page.total == 4


@pytest.mark.parametrize("record", [{}, {"id": 7}, {"id": "r", "startDate": "soon"}, {"id": "r", "message": {}}])
def test_a_history_that_cannot_be_read_is_refused_rather_than_guessed_at(record: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        history(history_of_runs={"runs": [record]})


def errors(content: object) -> tuple[RunError, ...]:
    return wire.decode_errors(json.dumps({"status": {"code": 200}, "runs": content}).encode())


MESSAGE = {"localMessageText": "Wrong type", "occurrences": 3, "type": "import", "values": ["x", 7, None]}
ACTION = {
    "actionId": "112000000001",
    "actionName": "Import accounts",
    "failureDumpGenerated": True,
    "errorMessage": [MESSAGE],
}
RECORD = {"id": "e1", "taskId": "t1", "errorMessages": [ACTION]}


@pytest.mark.parametrize("content", [{}, [], None, {"errorMessages": None}, [{"errorMessages": []}]])
def test_a_run_without_errors_has_none_in_any_form(content: object) -> None:
    assert errors(content) == ()


@pytest.mark.parametrize("content", [[RECORD], RECORD])
def test_errors_come_as_an_array_or_an_object(content: object) -> None:
    assert errors(content) == (
        RunError("Import accounts", "Wrong type", 3, ("x", "7", "null"), "112000000001", dump=True),
    )


def test_every_action_and_message_of_every_record_counts() -> None:
    plain = {"actionId": 118, "errorMessage": "No rights"}
    bare = {"errorMessage": {"localMessageText": "Odd", "occurrences": "2", "values": "v"}}
    found = errors([RECORD, {"errorMessages": [plain, bare]}])
    assert [(error.action, error.message, error.occurrences, error.dump) for error in found] == [
        ("Import accounts", "Wrong type", 3, True),
        ("118", "No rights", 1, False),
        ("", "Odd", 2, False),
    ]
    assert found[2].values == ("v",)


def test_an_action_that_only_left_a_dump_is_named() -> None:
    assert errors([{"errorMessages": [{"actionId": "112", "failureDumpGenerated": True}]}]) == (
        RunError("112", "", action_id="112", dump=True),
    )


LATEST = {"startDate": "2026-11-24T21:00:00.000Z", "endDate": ENDED, "success": True, "message": "Success"}
EARLIER = {"startDate": "2026-11-24T20:00:00.000Z", "endDate": "2026-11-24T20:01:00.000Z", "success": False}


def flow_run(latest: dict[str, object] | None, *steps: dict[str, object] | None) -> Run | None:
    detail = {
        "id": "f1",
        "name": "Nightly",
        "latestRun": latest,
        "steps": [
            {"referrer": f"i{n}", "name": f"Step {n}", "isSkipped": False, "latestRun": step}
            for n, step in enumerate(steps)
        ],
    }
    return wire.decode_flow(json.dumps({"integrationFlow": detail}).encode()).run_since(SINCE)


@pytest.mark.parametrize("latest", [None, {}, EARLIER])
def test_a_flow_that_has_not_run_since_has_no_run(latest: dict[str, object] | None) -> None:
    assert flow_run(latest) is None


def test_a_flow_runs_until_its_own_record_ends() -> None:
    run = flow_run({**LATEST, "endDate": None, "message": "Running"}, LATEST)
    assert run is not None
    assert not run.ended


def test_a_flow_whose_steps_all_loaded_is_loaded_whatever_earlier_runs_did() -> None:
    run = flow_run(LATEST, LATEST, EARLIER, None)
    assert run is not None
    assert (run.outcome, run.message, run.started_at) == ("loaded", "Success", "2026-11-24T21:00:00.000Z")


def test_a_flow_that_went_on_after_a_bad_step_is_partial_and_names_it() -> None:
    failed = {**LATEST, "success": False, "executionErrorCode": 46, "message": "No connection"}
    run = flow_run(LATEST, LATEST, failed, {**LATEST, "executionErrorCode": 38})
    assert run is not None
    assert run.outcome == "partial"
    assert run.message == "Success (step 'Step 1' failed: No connection; step 'Step 2' was partial: Success)"


def test_a_failed_flow_stays_failed_and_may_heal_as_its_step_may() -> None:
    failed = {**LATEST, "success": False, "executionErrorCode": 46, "message": "Failed"}
    partial = {**LATEST, "executionErrorCode": 38}
    run = flow_run({**LATEST, "success": False, "message": "Failed"}, partial, failed)
    assert run is not None
    assert (run.outcome, run.may_heal, run.error_code) == ("failed", True, 46)


def test_two_runs_of_a_flow_are_told_apart_without_ids() -> None:
    one, other = flow_run(LATEST), flow_run({**LATEST, "startDate": "2026-11-24T21:00:07.000Z"})
    assert one is not None
    assert other is not None
    assert one.id == "f1-1795554000000"
    assert other.id != one.id


def test_a_queued_flow_counts_as_running() -> None:
    run = flow_run({"message": "Queued"})
    assert run is not None
    assert not run.ended


def test_a_listing_without_its_key_is_empty() -> None:
    assert wire.decode_page(b'{"status": {"code": 200}}', "connections") == ([], None)
    assert wire.decode_page(b'{"connections": null, "meta": null}', "connections") == ([], None)


ENVELOPES = ("run", "runs", "history_of_runs", "integrationFlow", "steps", "latestRun", "errorMessages", "errorMessage")
LISTING = ("meta", "paging", "totalSize", "integrations")
LEAVES = ("id", "startDate", "endDate", "success", "message", "executionErrorCode", "occurrences", "values")
FIELDS = st.sampled_from((*ENVELOPES, *LISTING, *LEAVES))
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=30,
)


@given(ANYTHING)
def test_whatever_comes_is_read_or_refused_with_a_value_error(content: object) -> None:
    body = json.dumps(content).encode()
    for decode in (
        lambda: wire.decode_run(body, "r1"),
        lambda: wire.decode_run_id(body),
        lambda: wire.decode_history(body),
        lambda: wire.decode_flow(body).run_since(0),
        lambda: wire.decode_errors(body),
        lambda: wire.decode_page(body, "integrations"),
    ):
        with suppress(ValueError):
            decode()


@given(ANYTHING)
def test_a_run_of_any_content_has_an_outcome_once_it_has_ended(content: object) -> None:
    with suppress(ValueError):
        run = status(endDate=ENDED, message=str(content), success=True)
        assert run.outcome in ("loaded", "partial")
