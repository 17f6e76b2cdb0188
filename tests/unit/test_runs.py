"""What CloudWorks says about runs, and what it means."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.anaplan import wire
from anaplan_autoload.domain import runs, wording
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
def test_a_run_without_an_end_date_has_not_ended(absent: dict[str, object]) -> None:
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
        (True, None, {"loaded": 98, "failed": 2}, "partial"),
        (True, None, ["3 rows failed"], "partial"),
        (True, None, 7, "loaded"),
        (False, None, {"text": "No"}, "failed"),
        ({"value": True}, None, "Success", "failed"),
        ([], None, "Success", "failed"),
        (1.5, None, "Success", "failed"),
        (True, {"code": 12}, "Success", "failed"),
        (True, True, "Success", "failed"),
    ],
)
def test_a_run_ends_loaded_partial_or_failed(success: object, code: object, message: object, outcome: str) -> None:
    assert status(endDate=ENDED, success=success, executionErrorCode=code, message=message).outcome == outcome


LOADED = (
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
    "SUCCESS",
    "Import completed successfully",
    "Process completed",
    "0 of 100 rows failed",
    "100 of 100 rows loaded",
    "all rows loaded",
    "All 1,234 rows were loaded",
    "without errors",
    "no rows were ignored",
    "none failed",
    "0 failed",
    "Completed without errors or warnings",
    "No errors, warnings or rejected rows",
    "No errors, no warnings",
    "no row failed",
    "nothing failed",
    "not a single row was rejected",
    "did not reject any rows",
    "Import did not report any errors",
    "100% loaded",
    "0% failed",
    "loaded 100/100",
    "0/100 rows failed",
    "Failures: 0",
    "Ignored = 0",
    "errors (0)",
    "Rows failed - 0",
    "120 rows loaded - 0 failed",
    "error-free",
    "Import 'Failed rows reload' completed",
    'Import "Failed rows reload": 120 rows loaded',
    "Load “Load rejected items” finished",
    "‘Ignored items’ loaded 12 rows",
    "«Erreurs failed» 12 rows loaded",
    "Process 'Ada's failed rows' completed",
    "failed_orders.csv 120 rows loaded",
    "incoming/rejected/errors-2026.csv: 120 rows loaded",
    "s3://bucket/failed/x 3 rows loaded",
    "Step 1 of 3 completed",
    "Import completed: 0 rows failed",
    "Import completed with 0 errors and 0 warnings",
    "Loaded 120 failed 0",
    "Loaded: 120 Failed: 0 Ignored: 0",
    "failed: 0 ignored: 0",
    "1 234 of 1 234 rows loaded",
    "1 234 rows loaded",
    "1,234 of 1,234",
    "0 duplicates found and ignored",
    "3 created, 5 updated, 0 failed",
    "120 processed, 3 created, 5 updated",
    "100 rows read, 100 loaded",
    "0 rows failed to load",
    "no rows were not loaded",
    "0 rows were not loaded",
    "rows not loaded: 0",
    '{"failed": 0, "ignored": 0}',
    '{"rowsLoaded": 5, "rowsFailed": 0}',
    "rows_failed=0",
    "Finished at 2026-11-24 21:05:00 in 12 seconds with 0 errors",
    "Error code: 0",
    "Warnings: none",
    "Errors: n/a",
    "zero rows failed",
    "No failures.",
    "Import A: 100 rows processed, 100 loaded. Import B: 50 processed, 50 loaded",
    "Import A: 0 failed\nImport B: 0 failed",
    "Action 112000000001: 120 rows, 0 ignored",
    "neither errors nor warnings",
    "0 errors and warnings",
    "No warnings; no failed rows",
    "Success: 120 of 120 rows loaded (0 ignored)",
    "Import completed (0 failed)",
    "120 rows: failed: 0 ignored: 0",
    "no partial loads",
    "0 cancelled",
    "Rows cancelled: 0",
    "ignored rows 0 in total",
    "Errors: 0 found",
    "0 failures in step 2",
    "Total rows: 100; loaded: 100; rejected: 0",
    "Total: 100 Loaded: 100 Rejected: 0",
    "Rows loaded: 100/100",
    "0 (zero) rows failed",
    "No rows were skipped, ignored or rejected",
    "Process 'Nightly' completed in 3 min 2 s. 0 errors.",
    "Import “Invalid → valid” completed",
    "`bad rows` loaded",
    "There were no errors.",
    "Success!",
    "OK",
    "Completed, no issues",
    "100 of 100 rows were loaded successfully; 0 were ignored",
    "Rows ignored: zero",
    "Imported 12 rows from 'rejected rows.csv'",
    "Nothing was rejected",
    "0 out of 1,240 rows were rejected",
    "12 rows loaded, none rejected",
    "Failed rows: None",
    "3 new, 2 updated, 0 ignored",
    "3 rows not rejected",
    "failed=0;ignored=0",
    "0 FAILED",
    "Zero warnings",
    "0 warning(s)",
    "All 100 rows loaded, without a single error",
    "Loaded without any failures",
    "120 rows loaded; no row was left out",
    "20 rows loaded, 0 left out",
    "Fully loaded",
    "Export completed: 'errors.csv'",
    "Import completed (120 rows)",
    "Import completed (120 rows, 0 errors)",
    "0 rows were not imported",
    "0 rows could not be imported",
    "Import of 120 rows completed",
    "Files: 2, rows: 120, failed: 0",
    "0 of 3 actions failed",
    "3 of 3 actions completed",
    "Errors 0, warnings 0",
    "Errors - 0; warnings - 0",
)
"""What runs say, with success and without a code, that loaded all: add what CloudWorks is seen to say."""

PARTIAL = (
    "Import finished: 1,204 ok, 6 nok",
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
    "Partial success",
    "PARTIAL_SUCCESS",
    "PartialSuccess",
    "partially loaded",
    "Completed with warnings",
    "completed with errors",
    "some rows were ignored",
    "several rows rejected",
    "95 of 100 rows loaded",
    "loaded 95/100",
    "95 out of 100 records imported",
    "1,234 of 1,240",
    "1,234 of 1,240 rows loaded",
    "1 234 of 1 240 rows loaded",
    "1.234 von 1.240 loaded failed",
    "3 rows were not loaded",
    "couldn't import 5 rows",
    "couldn’t import 5 rows",
    "could not import 5 of 100 rows",
    "unable to load 3 rows",
    "Rows failed - 3",
    "Rows failed – 3",
    "Failures: 3",
    "Ignored = 2",
    "errors (4)",
    "3 duplicates found and ignored",
    "2 warnings",
    "1 warning",
    "one row failed",
    "a row failed",
    "Not all rows were loaded",
    "not every row was loaded",
    "95% loaded",
    "50% complete",
    "Only 95 rows were loaded",
    "All rows loaded except 3",
    "all but 3 rows were loaded",
    "100 rows read, 95 loaded",
    "Of 120 rows, 117 were loaded",
    "95 rows loaded of 100",
    "Total rows: 100. Loaded rows: 95.",
    "Loaded 95 failed 5",
    "Loaded: 95 Failed: 5",
    "Loaded 95 rows but 5 failed",
    "120 rows loaded (3 failed)",
    "120 rows loaded - 3 failed",
    "Errors: 0 and warnings: 3",
    "Errors: 0 warnings: 3 completed",
    "No errors and 3 warnings",
    "No errors, completed with warnings",
    "No errors, some warnings",
    "No errors; warnings were reported",
    "Import 'Good' completed, 3 rows failed in 'Better'",
    '{"failed": 0, "ignored": 3}',
    '{"status": "partial"}',
    '"3 rows failed"',
    "Result: 'Completed with warnings'",
    "rowsFailed=3",
    "rows_failed: 3",
    "Skipped rows 3",
    "no rows were loaded",
    "nothing was loaded",
    "some rows were loaded",
    "most rows imported",
    "none loaded",
    "Rows 5 failed",
    "3 rows failed at line 0",
    "rows failed to load",
    "failed to load 5 rows",
    "3 rows failed to load",
    "Import A: 100 rows processed, 95 loaded. Import B: 200 processed, 200 loaded",
    "Import A: 0 failed\nImport B: 2 failed",
    "3 invalid",
    "3 rows with errors",
    "orders.csv: 3 rows rejected",
    "unsuccessful: 3",
    "3 rows could not be found",
    "0 rows failed. 2 rows ignored.",
    "Import completed: 3 rows failed: 0 ignored",
    "3 rows failed: 0 loaded",
    "Timed out",
    "Failed or rejected: 2",
    "100 rows processed successfully, 2 rows dropped",
    "1’234 rows rejected",
    "３ rows failed",
    "120 rows loaded and 1 rejected",
    "3 items not imported",
    "Import finished. Not imported: 3",
    "ignored rows 3 in total",
    "Errors: 3 found",
    "Loaded 95 of the 100 rows",
    "95 rows out of 100 were loaded",
    "1 error occurred",
    "An error occurred",
    "Failed rows: 3 of 100",
    "97 rows loaded; 3 left out",
    "3 rows weren't loaded",
    "3 rows have not been loaded",
    "3 rows haven’t been imported",
    "3 rows could not be processed",
    "Imported with 3 exceptions",
    "Loaded, but with warnings",
    "Success (2 warnings)",
    "Rows loaded: 95/100",
    "Partial: 3",
    "Import partly completed",
    "Some items skipped",
    "Few rows rejected",
    "2 of 3 actions completed",
    "1 of 3 actions failed",
    "Rows: 100, loaded: 95, rejected: 5",
    "IGNORED: 7",
    "Ignored : 7",
    "ignored → 7",
    "Total 100 Loaded 95 Rejected 5",
    "Success\n3 rows ignored",
    "12 rows loaded\n0 rows failed\n1 row ignored",
    "Action 'A': 0 ignored; Action 'B': 4 ignored",
    "Not fully loaded",
    "Incomplete load",
    "0 errors, 1 warning",
    "No errors but 3 warnings",
    "no errors; 1 warning",
    "100 rows loaded, one rejected",
    "100 rows loaded except two",
    "some data was lost",
    "5 unmatched items",
    "5 rows have invalid dates",
    "Rejected rows: many",
    "Errors!",
    "12,5 % failed",
    "Import 'a' loaded 3 of 4 rows",
    "Nicht alle: 3 rows failed",
    "2'000 rows failed",
    "2 000 rows failed",
    "120 rows loaded, of which 3 were ignored",
    "95 rows of 100 loaded",
    "Succeeded for 95 of 100 rows",
    "processed 100, succeeded 95",
    "100 rows in file, 95 loaded",
    "Expected 100 rows but loaded 95",
    "n rows failed",
    "Rows with errors: 3",
    "Errors encountered: 3",
    "3 import errors",
    "Import errors: 3",
    "5 fewer rows loaded than expected",
)
"""The same for runs that left rows out, or may have: a false alert does less harm than a false "loaded"."""

CANCELLED = (
    "Cancelled",
    "Canceled",
    "CANCELLED",
    "Run was cancelled by user",
    "Import cancelled: 0 rows loaded",
    "Import cancelled: 0 rows",
    "Cancelled after 120 rows were loaded",
    "0 rows failed, cancelled",
    "Run aborted",
    "The run was terminated",
    "Import was interrupted",
)
"""What no run says that loaded anything for certain."""


def succeeded(message: str) -> Run:
    return status(endDate=ENDED, success=True, executionErrorCode=None, message=message)


@pytest.mark.parametrize("message", LOADED)
def test_a_clean_success_is_loaded_however_it_is_worded(message: str) -> None:
    assert succeeded(message).outcome == "loaded"


@pytest.mark.parametrize("message", PARTIAL)
def test_a_success_that_speaks_of_rows_left_out_is_partial(message: str) -> None:
    assert succeeded(message).outcome == "partial"


@pytest.mark.parametrize("message", [*LOADED, *PARTIAL])
def test_case_and_blanks_do_not_change_what_a_message_means(message: str) -> None:
    for changed in (message.upper(), message.lower(), f"  {message}.\n", message.replace(" ", "  ")):
        assert succeeded(changed).outcome == succeeded(message).outcome, changed


@pytest.mark.parametrize("message", CANCELLED)
def test_a_cancelled_run_failed_though_it_claims_success(message: str) -> None:
    assert succeeded(message).outcome == "failed"


@pytest.mark.parametrize("quotes", ["''", '""', "“”", "‘’", "«»", "„“", "``"])
@pytest.mark.parametrize("name", ["Failed rows reload", "3 rows rejected", "Partial loads", "Cancelled orders"])
def test_names_in_quotation_marks_say_nothing_of_the_rows(quotes: str, name: str) -> None:
    quoted = f"{quotes[0]}{name}{quotes[1]}"
    assert succeeded(f"Import {quoted} completed: 120 rows loaded, 0 failed").outcome == "loaded"
    assert succeeded(f"Import {quoted} completed: 120 rows loaded, 2 failed").outcome == "partial"


@given(
    loaded=st.integers(0, 10**7), left_out=st.integers(0, 10**7), separator=st.sampled_from(["", ",", "\u202f", "’"])
)
def test_counts_of_any_size_and_form_are_read(loaded: int, left_out: int, separator: str) -> None:
    some, others = (f"{count:,}".replace(",", separator) for count in (loaded, left_out))
    outcome = "partial" if left_out else "loaded"
    for message in (
        f"{some} rows loaded, {others} rejected",
        f"Loaded: {some}; rejected: {others}",
        f"{others} of {loaded + left_out} rows failed",
        f"{some} rows loaded and {others} ignored",
    ):
        assert succeeded(message).outcome == outcome, message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "Anaplan Connection Error"),
        (None, "Connection failed"),
        (None, "The connection to Amazon S3 failed"),
        (46, "The connection timed out"),
        (35, "Integration trigger error"),
        (None, "Internal"),
        (None, "Internal (Full Access)"),
        (None, "Internal Server Error"),
        (None, "Import 'Accounts' failed due to a server error"),
        (None, "Import “3 rows invalid” failed due to a server error"),
        (None, "Service unavailable"),
        (None, "The service is temporarily unavailable. Try again later."),
        (None, "Read timeout"),
        (None, "Request timed out after 60 s"),
        (None, "504 Gateway Timeout"),
        (None, "The model is locked by another import"),
        (None, "Model 'Finance' is currently being updated"),
        (None, "Too many requests"),
        (None, "Could not connect to Anaplan"),
        (None, "API rate limit exceeded"),
        (None, "Socket closed"),
        (None, "The host is unreachable"),
        (None, "Deadlock detected while loading"),
        (None, "The model 'Finance' is opening"),
    ],
)
def test_troubles_of_connections_servers_and_locked_models_may_heal(code: int | None, message: str) -> None:
    assert status(endDate=ENDED, success=False, executionErrorCode=code, message=message).may_heal


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (46, "Failed"),
        (12, "Data type mismatch"),
        (12, "Internal"),
        (None, None),
        (None, "Process failed"),
        (None, "Cancelled"),
        (None, "Anaplan model was deleted"),
        (None, "Model Not Found"),
        (None, "Invalid workspace/model"),
        (None, "Import 'Load connections' failed: 3 of 3 rows invalid"),
        (None, "Import “Connection error” failed: 3 of 3 rows invalid"),
        (None, "Import 'Server error' failed"),
        (None, "Import Connections failed: 3 rows failed"),
        (None, "Connection error: invalid credentials"),
        (None, "The file timeout.csv was not found in the bucket inbox"),
        (None, "Access denied"),
        (None, "All 3 rows failed"),
    ],
)
def test_troubles_with_data_names_and_rights_do_not_heal(code: int | None, message: str | None) -> None:
    assert not status(endDate=ENDED, success=False, executionErrorCode=code, message=message).may_heal


def test_a_run_that_did_not_fail_has_nothing_to_heal() -> None:
    assert not status(endDate=ENDED, success=True, message="Read over connection X").may_heal
    assert not status(endDate=ENDED, success=True, message="3 rows failed with a server error").may_heal


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
def test_a_text_that_is_not_a_time_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="is not a time"):
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
    assert history(history_of_runs={"integrationId": "i1", **absent}) == runs.History((), None, 7)


def test_a_last_run_may_be_text() -> None:
    page = history(history_of_runs={"runs": [{"id": "r", "lastRun": "2026-11-24T21:05:00Z"}], "totalRuns": 4})
    assert page.total == 4


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": 7},
        {"id": "r", "startDate": "soon"},
        {"id": "r", "endDate": []},
        {"id": "r" * 201},
        {"id": "r\n1"},
        {"id": "\0"},
    ],
)
def test_a_history_that_cannot_be_read_is_refused_rather_than_guessed_at(record: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        history(history_of_runs={"runs": [record]})


@pytest.mark.parametrize("run_id", ["", "r" * 201, "r\n1", "\x1b[2J"])
def test_a_run_cannot_have_an_id_that_the_ledger_or_sns_would_refuse(run_id: str) -> None:
    with pytest.raises(ValueError, match="a run's id is missing, too long or not printable"):
        wire.decode_run_id(json.dumps({"run": {"id": run_id}}).encode())
    with pytest.raises(ValueError, match="a run's id"):
        wire.decode_flow(json.dumps({"integrationFlow": {"id": run_id or "\t", "latestRun": LATEST}}).encode())


def test_texts_that_are_only_shown_are_cut() -> None:
    run = status(createdBy="A" * 500_000, traceId="t" * 500_000, triggerSource="s" * 500_000, message="m." * 500_000)
    assert [len(text or "") for text in (run.author, run.trace_id, run.trigger, run.message)] == [2_000] * 4


def test_a_flow_is_judged_in_time_however_long_its_steps_messages_are() -> None:
    said = {**LATEST, "message": "a.b…" * 200_000}
    run = flow_run(said, said, said)
    assert run is not None and run.ended


@pytest.mark.parametrize("code", [10**16, -(10**16), "9" * 40, 1e300, "9" * 5_000, "1e999", float(10**40)])
def test_a_code_that_no_ledger_could_hold_is_still_a_failure(code: object) -> None:
    run = status(endDate=ENDED, success=True, executionErrorCode=code)
    assert (run.error_code, run.outcome) == (-1, "failed")


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


@pytest.mark.parametrize(
    ("said", "read"), [(7, "7"), ({"en": "Wrong type"}, "en: Wrong type"), (["a", ["b", 1.5]], "a; b; 1.5"), (None, "")]
)
def test_an_error_is_told_in_every_form_of_its_text(said: object, read: str) -> None:
    [error] = errors([{"errorMessages": [{**ACTION, "actionId": {}, "errorMessage": [{"localMessageText": said}]}]}])
    assert (error.message, error.action_id, error.action) == (read, None, "Import accounts")


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


@pytest.mark.parametrize("told", [None, 0, -3, "many", "", [], 10**40, 1e300, True])
def test_an_error_counts_for_one_row_at_least(told: object) -> None:
    [error] = errors([{"errorMessages": [{**ACTION, "errorMessage": [{**MESSAGE, "occurrences": told}]}]}])
    assert error.occurrences == 1


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


def test_a_flow_whose_steps_all_loaded_is_loaded_despite_earlier_failures() -> None:
    run = flow_run(LATEST, LATEST, EARLIER, None)
    assert run is not None
    assert (run.outcome, run.message, run.started_at) == ("loaded", "Success", "2026-11-24T21:00:00.000Z")


def test_a_flow_that_went_on_after_a_bad_step_is_partial_and_names_it() -> None:
    failed = {**LATEST, "success": False, "executionErrorCode": 46, "message": "No connection"}
    run = flow_run(LATEST, LATEST, failed, {**LATEST, "executionErrorCode": 38})
    assert run is not None
    assert run.outcome == "partial"
    assert run.message == "Success (step 'Step 1' failed: No connection; step 'Step 2' was partial: Success)"


@pytest.mark.parametrize(
    ("message", "heals"), [("Anaplan Connection Error", True), ("Model Not Found", False), ("Failed", False)]
)
def test_a_failed_flow_stays_failed_and_may_heal_as_its_failed_step_may(message: str, heals: bool) -> None:
    failed = {**LATEST, "success": False, "executionErrorCode": 39, "message": message}
    partial = {**LATEST, "executionErrorCode": 38, "message": "3 rows failed"}
    run = flow_run({**LATEST, "success": False, "message": "Failed"}, partial, failed)
    assert run is not None
    assert (run.outcome, run.may_heal, run.error_code) == ("failed", heals, 39)


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
    assert wire.decode_page(b'{"status": {"code": 200}}', "connections") == wire.Page([], 0)
    assert wire.decode_page(b'{"connections": null, "meta": null}', "connections") == wire.Page([], 0)


ENVELOPES = ("run", "runs", "history_of_runs", "integrationFlow", "steps", "latestRun", "errorMessages", "errorMessage")
LISTING = ("meta", "paging", "totalSize", "currentPageSize", "integrations", "connections", "integration")
LEAVES = ("id", "startDate", "endDate", "success", "message", "executionErrorCode", "occurrences", "values", "status")
KEPT = ("integrationId", "connectionId", "name", "jobs", "sources", "targets", "body", "type", "file", "processId")
FIELDS = st.sampled_from((*ENVELOPES, *LISTING, *LEAVES, *KEPT))
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
def test_any_answer_is_read_or_refused_with_a_value_error(content: object) -> None:
    body = json.dumps(content).encode()
    for decode in (
        lambda: wire.decode_run(body, "r1"),
        lambda: wire.decode_run_id(body),
        lambda: wire.decode_history(body),
        lambda: wire.decode_flow(body).run_since(0),
        lambda: wire.decode_errors(body),
        lambda: wire.decode_page(body, "integrations"),
        lambda: wire.decode_connection(content).trouble,
        lambda: wire.decode_integration(content),
        lambda: wire.decode_integration_detail(content),
        lambda: wire.decode_flow_summary(content),
        lambda: wire.decode_new_connection(content),
        lambda: wire.decode_new_integration(content),
    ):
        with suppress(ValueError):
            decode()


@given(st.dictionaries(st.sampled_from((*KEPT, "workspaceId", "modelId", "nuxVisible", "latestRun")), ANYTHING))
def test_what_is_only_shown_of_a_thing_never_hides_it(content: dict[str, object]) -> None:
    content = {**content, "connectionId": "c1", "integrationId": "i1", "id": "f1", "jobs": None}
    assert wire.decode_connection(content).id == "c1"
    assert wire.decode_integration(content).id == "i1"
    assert wire.decode_flow_summary(content).id == "f1"


@pytest.mark.parametrize("status, works", [(1, True), (None, True), ("1", True), (0, False), ("0", False)])
def test_a_connection_works_unless_its_status_is_0(status: object, works: bool) -> None:
    assert wire.decode_connection({"connectionId": "c1", "status": status}).works is works


def test_the_files_of_an_integration_are_read_in_every_form() -> None:
    end = {"type": "AmazonS3", "connectionId": "c1", "file": "a.csv", "isConnectionDeleted": {}}
    job = {"type": "AmazonS3ToAnaplan", "sources": end, "targets": [{"type": "Anaplan", "actionId": 112000000001}]}
    found = wire.decode_integration_detail({"integration": {"integrationId": "i1", "name": "A", "jobs": [job]}})
    [read] = found.jobs or ()
    assert [source.file for source in read.sources] == ["a.csv"]
    assert read.targets[0].action_id == "112000000001"


@given(ANYTHING)
def test_a_run_of_any_content_has_an_outcome_once_it_has_ended(content: object) -> None:
    with suppress(ValueError):
        run = status(endDate=ENDED, message=str(content), success=True)
        assert run.outcome in ("loaded", "partial", "failed")  # it failed if it says that it was cancelled


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        ("Row count: 1000, loaded: 998", True),
        ("Row count: 1000, loaded: 1000", False),
        ("OK: 90 KO: 10", True),
        ("Read 100 rows, wrote 97", True),
        ("Read 100 rows, wrote 100", False),
        ("Loaded: 95 (95%)", True),
        ("Loaded: 95 (100%)", False),
        ("Rows failed: 0 (0%)", False),
        ("Rows failed: 1 (0%)", True),
        ("total=100 ok=100 failed=0", False),
        ("total=100 ok=98 failed=2", True),
    ],
)
def test_shares_and_short_labels_are_read(message: str, left_out: bool) -> None:
    assert wording.read(message).left_out is left_out
