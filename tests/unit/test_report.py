"""The report: what subscribers, operators and dashboards get to see of a batch."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from aws_durable_execution_sdk_python.logger import Logger as StepLogger
from aws_lambda_powertools import Logger
from moto import mock_aws
from msgspec.structs import replace

from anaplan_autoload.domain.contents import SHOWN_CHARACTERS, Problem, why_rejected
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.report import log, mail, message, metrics, report, subject
from anaplan_autoload.report.report import LastLoad, Report, ReportedError, ReportedUpload
from anaplan_autoload.steps.checking import KEPT_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

INTEGRATION = "a2fb43a93bc84bcb9f37dd59a75eb940"
FLOW = "f1fb43a93bc84bcb9f37dd59a75eb940"
RUN = "3f0c43a93bc84bcb9f37dd59a75eb940"
URL = f"s3://reports/reports/accounts/2026-11-24/{RUN}/"
LINK = f"https://eu-central-1.console.aws.amazon.com/s3/buckets/reports?prefix=reports/accounts/2026-11-24/{RUN}/"
BAD_DATE = ReportedError("Import Accounts", "Invalid date", 17, ("31.02.2026", "n/a"))


def an_upload(name: str = "a.csv", **fields: object) -> ReportedUpload:
    upload = ReportedUpload("inbox", f"incoming/accounts/{name}", "v1", 1_234_567, "2026-11-24T21:05:00.123Z")
    return replace(upload, **fields)


def a_report(outcome: ReportOutcome = "loaded", **fields: object) -> Report:
    loaded = Report(
        id=RUN,
        outcome=outcome,
        route="accounts",
        integration_id=INTEGRATION,
        run_id=RUN,
        started_at="2026-11-24T21:05:12.000Z",
        ended_at="2026-11-24T21:08:32.000Z",
        message="Success",
        uploads=(an_upload(),),
        uploads_total=1,
    )
    return replace(loaded, **fields)


def a_partial_report(**fields: object) -> Report:
    known = {
        "message": "3 of 120 rows failed",
        "error_code": 38,
        "errors": (BAD_DATE,),
        "errors_total": 1,
        "report_url": URL,
        "report_link": LINK,
        "rows_saved": True,
    }
    return a_report("partial", **(known | fields))


def a_failure_without_a_run(**fields: object) -> Report:
    gone = {"id": "batch-7", "run_id": None, "started_at": None, "message": "gave up after 5 attempts: no answer"}
    return a_report("failed", **(gone | fields))


REFUSED = (
    'Anaplan refused the log-in of ada@example.com: "FAILURE_BAD_CREDENTIAL: Failed to authenticate. Verify the '
    'credentials" (401). The secret is anaplan/autoload.'
)
OUTCOMES: dict[ReportOutcome, Report] = {
    "loaded": a_report(),
    "partial": a_partial_report(),
    "failed": a_report("failed", message="Process failed", error_code=12),
    "rejected": a_report(
        "rejected",
        id="batch-7",
        run_id=None,
        started_at=None,
        message='No run reads this file. The integration reads only "incoming/accounts/A.csv".',
    ),
    "held": a_report(
        "held", id="batch-7", run_id=None, started_at=None, ended_at=None, message=REFUSED, secret_id="anaplan/autoload"
    ),
    "overdue": a_report("overdue", ended_at=None, message="Still running after 2 h"),
    "incomplete": a_report(
        "incomplete",
        id="set-7",
        run_id=None,
        started_at=None,
        ended_at=None,
        message="entities.csv and rates.csv have not come yet. Autoload keeps waiting.",
        awaited=("entities.csv", "rates.csv"),
    ),
    "missing": a_report(
        "missing",
        id="missing-accounts-2026-11-24T06:00:00.000Z",
        run_id=None,
        started_at=None,
        ended_at=None,
        message="Nothing was loaded since Mon 06:03 GMT (a.csv). It was expected by Tue 06:00 GMT. No upload waits.",
        uploads=(),
        uploads_total=0,
        due_at="2026-11-24T06:00:00.000Z",
        last_load=LastLoad("2026-11-23T06:03:00.000Z", "incoming/accounts/a.csv"),
    ),
    "recovered": a_report("recovered", message="This load was missing.", recovered_from=("missing",)),
}


# The document


def test_the_document_has_exactly_the_documented_keys_with_explicit_nulls() -> None:
    assert json.loads(message.document(a_failure_without_a_run())) == {
        "id": "batch-7",
        "outcome": "failed",
        "route": "accounts",
        "integration_id": INTEGRATION,
        "run_id": None,
        "started_at": None,
        "ended_at": "2026-11-24T21:08:32.000Z",
        "message": "gave up after 5 attempts: no answer",
        "request": None,
        "error_code": None,
        "uploads": [
            {
                "bucket": "inbox",
                "key": "incoming/accounts/a.csv",
                "version_id": "v1",
                "size": 1_234_567,
                "event_time": "2026-11-24T21:05:00.123Z",
            }
        ],
        "uploads_total": 1,
        "files_total": None,
        "errors": [],
        "errors_total": 0,
        "report_url": None,
        "report_link": None,
        "rows_saved": False,
        "details_missing": None,
        "problems": [],
        "trace_id": None,
    }


def test_the_document_of_what_is_missing_says_when_it_was_due_and_what_came_last() -> None:
    found = json.loads(message.document(OUTCOMES["missing"]))

    assert (found["due_at"], found["run_id"], found["uploads_total"]) == ("2026-11-24T06:00:00.000Z", None, 0)
    assert found["last_load"] == {"ended_at": "2026-11-23T06:03:00.000Z", "file": "incoming/accounts/a.csv"}
    assert json.loads(message.document(replace(OUTCOMES["missing"], last_load=None)))["last_load"] is None


def test_the_document_of_a_recovery_says_from_what() -> None:
    assert json.loads(message.document(OUTCOMES["recovered"]))["recovered_from"] == ["missing"]


def test_the_document_of_a_flow_names_the_flow_and_no_integration() -> None:
    document = json.loads(message.document(a_flow_report()))

    assert document["flow_id"] == FLOW
    assert "integration_id" not in document


def a_flow_report() -> Report:
    return Report(
        id=RUN,
        outcome="loaded",
        route="nightly",
        flow_id=FLOW,
        run_id=RUN,
        started_at=None,
        ended_at="2026-11-24T21:08:32.000Z",
        message="",
        uploads_total=2,
    )


def test_errors_stand_in_the_document_with_action_message_occurrences_and_values() -> None:
    assert json.loads(message.document(a_partial_report()))["errors"] == [
        {"action": "Import Accounts", "message": "Invalid date", "occurrences": 17, "values": ["31.02.2026", "n/a"]}
    ]


@pytest.mark.parametrize(
    "key", ["naïve/éclair 数.csv", "tab\tand\nnewline.csv", "\uffff.csv", "\ud800.csv", 'q"\\.csv']
)
def test_any_key_reaches_machines_unchanged_and_in_ascii(key: str) -> None:
    document = message.document(a_report(uploads=(an_upload(key=key),)))

    assert document.isascii()
    assert json.loads(document)["uploads"][0]["key"] == key


def test_a_message_leaves_out_an_uploads_etag_and_sequencer() -> None:
    upload = Upload("inbox", "a.csv", "2026-11-24T21:05:00.123Z", size=3, etag="e", version_id="v", sequencer="01")

    assert ReportedUpload.of(upload) == ReportedUpload("inbox", "a.csv", "v", 3, "2026-11-24T21:05:00.123Z")


# The subject


def uploads_of(*names: str) -> tuple[ReportedUpload, ...]:
    return tuple(an_upload(name, version_id=f"v{number}") for number, name in enumerate(names))


EMPTY = "The file is empty. It was not loaded, because that could clear data in Anaplan. Upload a file with rows."
ABSENT = (
    'Anaplan answered 404: the integration does not exist, or the user cannot see it ("Resource not found"). Check the '
    "id."
)
NOT_COPIED = (
    "S3 refused to copy s3://inbox/incoming/accounts/a.csv: The key is disabled (KMS.DisabledException). Mend it."
)


@pytest.mark.parametrize(
    ("described", "line"),
    [
        (OUTCOMES["loaded"], "Loaded: accounts: a.csv"),
        (a_report(uploads=(an_upload("plus+sign.csv"),)), "Loaded: accounts: plus+sign.csv"),
        (
            a_report(uploads=uploads_of("a.csv", "b.csv", "c.csv"), uploads_total=3),
            "Loaded: accounts: a.csv and 2 more files",
        ),
        (a_report(uploads=uploads_of("a.csv", "b.csv"), uploads_total=2), "Loaded: accounts: a.csv and 1 more file"),
        (a_report(uploads=uploads_of(*["a.csv"] * 5), uploads_total=5), "Loaded: accounts: a.csv (5 uploads)"),
        (
            a_report(uploads=uploads_of("a.csv", "b.csv", "a.csv"), uploads_total=3),
            "Loaded: accounts: a.csv and 1 more file (3 uploads)",
        ),
        (
            a_report(uploads=uploads_of("a.csv", "b.csv"), uploads_total=1500),
            "Loaded: accounts: a.csv and at least 1 more file (1,500 uploads)",
        ),
        (
            a_report(uploads=uploads_of("a.csv", "a.csv"), uploads_total=1500),
            "Loaded: accounts: a.csv (1,500 uploads, maybe of other files too)",
        ),
        (
            a_report(uploads=uploads_of("a.csv"), uploads_total=9, files_total=4),
            "Loaded: accounts: a.csv and 3 more files (9 uploads)",
        ),
        (a_report(uploads=(), uploads_total=9, files_total=4), "Loaded: accounts: 4 files"),
        (a_report(uploads=(), uploads_total=9), "Loaded: accounts: 9 uploads"),
        (
            a_report(uploads=(an_upload(bucket="b"), an_upload(bucket="c")), uploads_total=2),
            "Loaded: accounts: a.csv and 1 more file",
        ),
        (OUTCOMES["partial"], "Partly loaded: accounts: 17 rows rejected (a.csv)"),
        (
            a_partial_report(errors=(replace(BAD_DATE, occurrences=1),)),
            "Partly loaded: accounts: 1 row rejected (a.csv)",
        ),
        (a_partial_report(errors_total=40), "Partly loaded: accounts: at least 17 rows rejected (a.csv)"),
        (a_partial_report(errors=(), errors_total=0), "Partly loaded: accounts: a.csv"),
        (OUTCOMES["failed"], "Failed: accounts: Process failed (a.csv)"),
        (a_report("failed", message=""), "Failed: accounts: a.csv"),
        (OUTCOMES["rejected"], "Rejected: accounts: no run reads this file (a.csv)"),
        (a_failure_without_a_run(message=EMPTY), "Failed: accounts: the file is empty (a.csv)"),
        (
            a_failure_without_a_run(message=ABSENT, uploads=uploads_of("a.csv", "b.csv"), uploads_total=2),
            "Failed: accounts: Anaplan answered 404: the integration does not exist,... (a.csv and 1 more file)",
        ),
        (
            a_failure_without_a_run(message=NOT_COPIED),
            "Failed: accounts: S3 refused to copy a.csv: The key is disabled (KMS.DisabledException)",
        ),
        (
            OUTCOMES["held"],
            'On hold: accounts: Anaplan refused the log-in of ada@example.com: "FAILURE_BAD_CREDENTIAL: Faile...',
        ),
        (replace(OUTCOMES["held"], message="The secret is empty. Store it."), "On hold: accounts: the secret is empty"),
        (replace(OUTCOMES["held"], message=""), "On hold: accounts: the log-in to Anaplan does not work"),
        (OUTCOMES["overdue"], "Still running: accounts: a.csv"),
        (OUTCOMES["missing"], "Missing: accounts: nothing was loaded since Mon 06:03 GMT (a.csv)"),
        (OUTCOMES["recovered"], "Recovered: accounts: a.csv"),
        (
            replace(OUTCOMES["overdue"], run_id=None, message="The integration is busy with a run of somebody else."),
            "Still waiting: accounts: the integration is busy with a run of somebody else (a.csv)",
        ),
    ],
)
def test_the_subject_begins_with_the_news_and_names_the_file(described: Report, line: str) -> None:
    assert subject.subject(described) == line


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize(
    "name",
    [
        "Accounts.csv",
        "q" * 1000 + "_2026-11-24.csv",
        "Modèle “Ventes” — échec 数.csv",
        "a\r\nBcc: x@example.com\x00\u202e\u2028\ud800.csv",
        " ",
        "",
        "/",
        "." * 300,
        "(" * 300,
    ],
)
@pytest.mark.parametrize("route", ["a", "r" * 63])
@pytest.mark.parametrize("total", [1, 3, 1_234_567])
def test_every_subject_is_one_short_line_of_ascii(outcome: ReportOutcome, name: str, route: str, total: int) -> None:
    words = f"“{name}” — échec\r\nBcc: x@example.com\x00 " + "x" * 200
    uploads = (an_upload(name), an_upload(name + "2"), an_upload(name))
    for reason in ("", "No.", name, words, f"{words}. More."):
        line = subject.subject(
            replace(OUTCOMES[outcome], route=route, message=reason, uploads=uploads[:total], uploads_total=total)
        )
        assert 0 < len(line) <= 99
        assert line.isascii()
        assert line.isprintable()
        assert line == " ".join(line.split())


def test_the_end_of_a_long_file_name_stays_in_sight() -> None:
    name = "Quarterly_actuals_of_all_entities_in_group_currency_2026-11-24.csv"

    loaded = subject.subject(a_report(uploads=(an_upload("x" * 40 + name),), route="r" * 40))
    failed = subject.subject(a_report("failed", message="Process failed " * 20, uploads=(an_upload(name),)))

    assert loaded.endswith("2026-11-24.csv")
    assert failed.endswith("2026-11-24.csv)")
    assert failed.startswith("Failed: accounts: Process failed Process")


def test_a_name_loses_its_accents_and_keeps_its_letters() -> None:
    assert subject.subject(a_report(uploads=(an_upload("Modèle é.csv"),))) == "Loaded: accounts: Modele e.csv"


# The mail


def test_the_mail_says_what_was_loaded_when_and_how_long_it_took() -> None:
    assert mail.email_text(OUTCOMES["loaded"]) == (
        "a.csv was loaded into Anaplan (route accounts).\n"
        "Anaplan says: Success\n"
        "\n"
        "What to do next:\n"
        "Nothing.\n"
        "\n"
        "Started: 2026-11-24 21:05:12 UTC\n"
        "Ended:   2026-11-24 21:08:32 UTC, after 3 min 20 s\n"
        "\n"
        "Uploads, oldest first:\n"
        "- incoming/accounts/a.csv (1.23 MB, uploaded 2026-11-24 21:05:00 UTC)\n"
        "\n"
        "For the administrator:\n"
        f"Route accounts, integration {INTEGRATION}, run {RUN}.\n"
    )


def test_the_mail_of_a_partial_load_says_how_many_rows_failed_why_and_where_they_are() -> None:
    text = mail.email_text(a_partial_report())

    assert "but some rows were rejected" in text
    assert "Anaplan says: 3 of 120 rows failed (code 38)" in text
    assert "Rows rejected: 17 " in text
    assert "- Import Accounts: Invalid date (17 rows, for example: 31.02.2026, n/a)" in text
    assert "1. See the rejected rows and all errors, if you have access to AWS (if not, ask for them): " + LINK in text
    assert f"Rejected rows and errors: {URL}" in text.partition("For the administrator:")[2]


@pytest.mark.parametrize("outcome", ["partial", "failed"])
def test_rejected_rows_are_promised_only_where_they_were_saved(outcome: ReportOutcome) -> None:
    saved = replace(a_partial_report(errors=(), errors_total=0), outcome=outcome)
    nothing = mail.email_text(replace(saved, report_url=None, report_link=None, rows_saved=False))
    errors_alone = mail.email_text(replace(saved, rows_saved=False))
    rows = mail.email_text(saved)

    for promise in ("the rejected rows and all errors", "Rejected rows and errors"):
        assert promise not in nothing + errors_alone
        assert promise in rows
    assert "s3://" not in nothing and "https://" not in nothing
    assert f"See all errors, if you have access to AWS (if not, ask for them): {LINK}" in errors_alone


@pytest.mark.parametrize("described", OUTCOMES.values(), ids=OUTCOMES)
def test_the_part_for_model_builders_needs_no_command_line_and_no_http(described: Report) -> None:
    asked = replace(described, request="POST https://api.example.com/2/0/integrations/i1/run")
    for_all, _, for_the_administrator = mail.email_text(asked).partition("For the administrator:")

    for command in ("anaplan-autoload ", "aws ", "POST", "api.example.com"):
        assert command not in for_all
    assert "Request: POST https://api.example.com/2/0/integrations/i1/run\n" in for_the_administrator


@pytest.mark.parametrize("described", OUTCOMES.values(), ids=OUTCOMES)
def test_the_mail_says_whom_to_ask_where_that_is_known(described: Report) -> None:
    assert "Contact" not in mail.email_text(described)
    assert "Contact: Finance Systems, #anaplan-help\n" in mail.email_text(described, "Finance Systems,\n#anaplan-help")


@pytest.mark.parametrize("described", [OUTCOMES["partial"], OUTCOMES["failed"], a_failure_without_a_run()])
def test_every_advice_to_load_again_warns_about_numbered_lists(described: Report) -> None:
    assert "In a numbered list without a key it adds the rows again" in mail.email_text(described)


def test_the_mail_of_a_held_lane_says_who_can_do_what() -> None:
    for_all, _, for_the_administrator = mail.email_text(OUTCOMES["held"]).partition("For the administrator:\n")

    assert for_all.startswith(
        "Loading into Anaplan is on hold (route accounts), because the log-in does not work. Waiting: a.csv.\n"
        'Reason: Anaplan refused the log-in of ada@example.com: "FAILURE_BAD_CREDENTIAL: '
    )
    assert "Model builders: nothing. Autoload keeps the uploads and loads them" in for_all
    steps = [line[:3] for line in for_the_administrator.splitlines() if line[:1].isdigit()]
    assert steps == ["1. ", "2. ", "3. "]
    assert "aws secretsmanager put-secret-value --secret-id anaplan/autoload --secret-string" in for_the_administrator


def test_commands_for_administrators_survive_a_shell() -> None:
    text = mail.email_text(replace(OUTCOMES["held"], secret_id="anaplan; rm -rf $HOME"))

    assert "--secret-id 'anaplan; rm -rf $HOME' --secret-string" in text


def test_the_mail_shows_the_first_five_errors_and_counts_the_others() -> None:
    errors = tuple(replace(BAD_DATE, message=f"Reason {number}") for number in range(1, 9))

    text = mail.email_text(a_partial_report(errors=errors, errors_total=30))

    assert "Reason 5" in text
    assert "Reason 6" not in text
    assert "- and 25 more kinds of error" in text
    assert "Rows rejected: at least 136 " in text


def test_the_mail_shows_the_first_ten_files_and_counts_the_others() -> None:
    uploads = tuple(an_upload(f"{number:02}.csv") for number in range(12))

    text = mail.email_text(a_report(uploads=uploads, uploads_total=1500))

    assert text.startswith("00.csv and at least 11 more files (1,500 uploads) were loaded into Anaplan")
    assert "09.csv" in text
    assert "10.csv" not in text
    assert "- and 1,490 more" in text


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        ("partial", "Correct the rejected rows where they come from"),
        ("failed", "or ask your administrator to load it again"),
        ("held", "Autoload keeps the uploads and loads them"),
        ("overdue", "Another message follows when it ends"),
        ("missing", "upload it under its usual name"),
        ("recovered", "Nothing."),
    ],
)
def test_the_mail_says_what_to_do_next(outcome: ReportOutcome, advice: str) -> None:
    assert advice in mail.email_text(OUTCOMES[outcome]).partition("What to do next:\n")[2]


def test_a_batch_that_failed_without_a_run_gives_its_reason_and_promises_no_data() -> None:
    text = mail.email_text(a_failure_without_a_run(message="The file is empty. Upload a file with rows."))

    assert text.startswith("a.csv was NOT loaded into Anaplan (route accounts).")
    assert "Reason: The file is empty. Upload a file with rows." in text
    assert "No run of this batch has ended." in text
    assert "Time:    2026-11-24 21:08:32 UTC\n" in text


def test_a_rejected_file_is_told_with_both_ways_out() -> None:
    text = mail.email_text(OUTCOMES["rejected"])

    assert text.startswith("a.csv was NOT loaded into Anaplan (route accounts), because no run would read it.")
    assert 'Reason: No run reads this file. The integration reads only "incoming/accounts/A.csv".' in text
    assert "upload it again under exactly that name" in text
    assert "anaplan-autoload routes check --online" in text and "anaplan-autoload retry batch-7" in text


UNFIT = (
    Problem("columns", "Code, Name", "Code, Title", "Missing: Name. New: Title.", "incoming/accounts/a.csv"),
    Problem("shrink", "at most 50 % smaller than the file loaded last", "7 bytes\x1b[31m", key="incoming/b.csv"),
)


def an_unfit_report(**changes: object) -> Report:
    why = why_rejected(UNFIT, several=True, checked_at="2026-11-24T21:08:32.000Z")
    return replace(OUTCOMES["rejected"], **{"message": why, "problems": UNFIT, **changes})


def test_a_file_that_failed_its_check_is_told_with_expected_above_found() -> None:
    text = mail.email_text(an_unfit_report())

    assert text.startswith(
        "a.csv was NOT loaded into Anaplan (route accounts), because a file failed the route's check."
    )
    assert (
        "What the check found:\n"
        "incoming/accounts/a.csv:\n"
        "columns:\n  expected: Code, Name\n  found:    Code, Title\n  Missing: Name. New: Title.\n"
        "incoming/b.csv:\n"
        "shrink:\n  expected: at most 50 % smaller than the file loaded last\n  found:    7 bytes [31m\n"
    ) in text
    assert "somebody may have replaced it since" in text
    assert "no run would read it" not in text and "routes check --online" not in text
    assert "anaplan-autoload routes learn accounts FILE" in text and "anaplan-autoload retry batch-7" in text


def test_a_check_is_told_in_the_subject_and_in_the_document() -> None:
    report = an_unfit_report()

    assert subject.subject(report) == (
        'Rejected: accounts: the file "incoming/accounts/a.csv" failed its check: its columns differ'
    )
    document = json.loads(message.document(report))
    assert document["problems"][0] == {
        "about": "columns",
        "expected": "Code, Name",
        "found": "Code, Title",
        "hint": "Missing: Name. New: Title.",
        "key": "incoming/accounts/a.csv",
    }


def test_the_longest_problems_fit_a_message() -> None:
    long = "\U0001f600" * SHOWN_CHARACTERS
    problems = tuple(Problem("columns", long, long, long, "k" * 1_024) for _ in range(KEPT_PROBLEMS))

    assert len(message.message(an_unfit_report(problems=problems)).encode()) <= message.MESSAGE_LIMIT


def test_a_partial_load_without_saved_rows_points_to_cloudworks() -> None:
    assert "The run's history in CloudWorks has them too" in mail.email_text(
        a_partial_report(report_url=None, rows_saved=False)
    )


def test_a_held_lane_names_the_secret_to_change() -> None:
    reason = report.held_message("anaplan/autoload", "Invalid credentials.")

    assert reason == "Invalid credentials. The secret is anaplan/autoload."
    assert reason in mail.email_text(replace(OUTCOMES["held"], message=reason))


def test_the_mail_puts_no_words_into_anaplans_mouth_while_a_run_goes_on() -> None:
    text = mail.email_text(OUTCOMES["overdue"])

    assert "Reason: Still running after 2 h" in text
    assert "Started: 2026-11-24 21:05:12 UTC" in text
    assert "Ended" not in text


def test_the_mail_of_a_flow_names_the_flow() -> None:
    assert f"Route nightly, flow {FLOW}, run {RUN}." in mail.email_text(a_flow_report())


def test_no_control_character_of_a_key_or_of_anaplan_reaches_a_mail() -> None:
    nasty = "a\x1b[31m\r\nb\u202etxt\u2028\x00\ud800\uffff"
    error = ReportedError(nasty, nasty, 1, (nasty,))
    described = a_partial_report(message=nasty, uploads=(an_upload(nasty),), errors=(error,))

    text = mail.email_text(described)

    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert text.count("\n") == mail.email_text(a_partial_report()).count("\n")


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (5 * 10**9, "5 GB"), (None, "(uploaded")]
)
def test_sizes_are_readable(size: int | None, words: str) -> None:
    assert words in mail.email_text(a_report(uploads=(an_upload(size=size),)))


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("21:05:12", "less than a second"),
        ("21:05:40", "28 s"),
        ("23:10:12", "2 h 5 min"),
        ("21:05:11", "less than a second"),
    ],
)
def test_durations_are_readable_and_never_negative(ended: str, words: str) -> None:
    assert f"after {words}\n" in mail.email_text(a_report(ended_at=f"2026-11-24T{ended}.000Z"))


# Shortening


def a_huge_report() -> Report:
    errors = tuple(replace(BAD_DATE, message=f"{number} " + "é" * 3000) for number in range(500))
    uploads = tuple(an_upload(f'{number} "é\\ 数' + "k" * 700) for number in range(1000))
    return a_partial_report(
        message="m" * 100_000, errors=errors, errors_total=4000, uploads=uploads, uploads_total=1000
    )


def test_a_report_that_fits_is_not_touched() -> None:
    assert message.shorten(a_partial_report(), 10_000) == a_partial_report()


@pytest.mark.parametrize("limit", [20_000, 50_000, 250_000])
def test_a_huge_report_is_cut_to_the_limit_with_its_counts_kept(limit: int) -> None:
    cut = message.shorten(a_huge_report(), limit)

    assert limit * 0.8 < len(json.dumps(message.document(cut))) <= limit
    assert (cut.uploads_total, cut.errors_total) == (1000, 4000)
    assert cut.uploads == a_huge_report().uploads[: len(cut.uploads)]
    assert cut.uploads
    assert cut.errors


def test_no_limit_makes_a_report_vanish() -> None:
    cut = message.shorten(a_huge_report(), 10)

    assert (cut.id, cut.outcome, cut.uploads, cut.uploads_total) == (RUN, "partial", (), 1000)


def test_few_errors_leave_the_room_to_uploads() -> None:
    cut = message.shorten(replace(a_huge_report(), errors=(BAD_DATE,)), 50_000)

    assert cut.errors == (BAD_DATE,)
    assert len(json.dumps(message.document(cut))) > 45_000


def test_the_whole_message_stays_under_what_sns_takes() -> None:
    body = message.message(a_huge_report())

    assert 200 * 1024 < len(body.encode()) <= 255 * 1024
    assert json.loads(json.loads(body)["default"])["uploads_total"] == 1000


# SNS


class Subscribers:
    """A topic, and queues that subscribe to it."""

    def __init__(self, sns: SNSClient, sqs: SQSClient) -> None:
        self.sns, self.sqs = sns, sqs
        self.topic = sns.create_topic(Name="loads")["TopicArn"]

    def subscribe(self, name: str, policy: dict[str, list[str]] | None = None) -> str:
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        attributes = {"FilterPolicy": json.dumps(policy)} if policy else {}
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return url

    def received(self, url: str) -> list[dict[str, object]]:
        messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(each["Body"]) for each in messages]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


@pytest.fixture
def subscribers() -> Subscribers:
    return Subscribers(boto3.client("sns"), boto3.client("sqs"))


def test_a_queue_gets_the_json_document_and_the_subject(subscribers: Subscribers) -> None:
    queue = subscribers.subscribe("all")

    message.publish(subscribers.sns, subscribers.topic, a_partial_report())

    (envelope,) = subscribers.received(queue)
    assert envelope["Subject"] == "Partly loaded: accounts: 17 rows rejected (a.csv)"
    assert json.loads(str(envelope["Message"])) == json.loads(message.document(a_partial_report()))


def test_subscribers_can_filter_by_outcome_route_and_integration(subscribers: Subscribers) -> None:
    failures = subscribers.subscribe("failures", {"outcome": ["failed", "held"]})
    accounts = subscribers.subscribe("accounts", {"route": ["accounts"]})
    flow = subscribers.subscribe("flow", {"integration_id": [FLOW]})

    for described in (a_report(), OUTCOMES["failed"], a_flow_report()):
        message.publish(subscribers.sns, subscribers.topic, described)

    outcomes = [
        [json.loads(str(envelope["Message"]))["outcome"] for envelope in subscribers.received(queue)]
        for queue in (failures, accounts, flow)
    ]
    assert outcomes == [["failed"], ["loaded", "failed"], ["loaded"]]


@pytest.mark.parametrize("described", OUTCOMES.values(), ids=OUTCOMES)
def test_every_outcome_is_delivered(subscribers: Subscribers, described: Report) -> None:
    queue = subscribers.subscribe("all")

    message.publish(subscribers.sns, subscribers.topic, described)

    (envelope,) = subscribers.received(queue)
    assert json.loads(str(envelope["Message"]))["outcome"] == described.outcome


def test_a_huge_report_is_delivered_all_the_same(subscribers: Subscribers) -> None:
    queue = subscribers.subscribe("all")

    message.publish(subscribers.sns, subscribers.topic, a_huge_report())

    (envelope,) = subscribers.received(queue)
    assert json.loads(str(envelope["Message"]))["errors_total"] == 4000


def test_mailboxes_get_text_phones_the_subject_and_all_others_the_document() -> None:
    bodies = json.loads(message.message(a_report()))

    assert bodies.keys() == {"default", "email", "sms"}
    assert bodies["email"] == mail.email_text(a_report())
    assert bodies["sms"] == "Loaded: accounts: a.csv"
    assert json.loads(bodies["default"])["id"] == RUN


# The log line


def log_lines(described: Report, *, retrying: bool = False) -> list[dict[str, object]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = Logger(service=f"autoload {uuid4()}", level="INFO", logger_handler=handler)
    log.log_run(StepLogger(logger, {"operationName": "announce"}), described, retrying=retrying)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_run_is_one_structured_line_with_stable_keys() -> None:
    (line,) = log_lines(a_partial_report())

    assert line["message"] == "Partly loaded: accounts: 17 rows rejected (a.csv)"
    assert (
        line.items()
        >= {
            "outcome": "partial",
            "retrying": False,
            "route": "accounts",
            "target_id": INTEGRATION,
            "report_id": RUN,
            "run_id": RUN,
            "started_at": "2026-11-24T21:05:12.000Z",
            "ended_at": "2026-11-24T21:08:32.000Z",
            "run_seconds": 200.0,
            "run_message": "3 of 120 rows failed",
            "error_code": 38,
            "uploads_total": 1,
            "errors_total": 1,
            "rows_rejected": 17,
            "report_url": URL,
            "operationName": "announce",
        }.items()
    )
    assert line["uploads"] == ["inbox/incoming/accounts/a.csv"]
    assert line["errors"] == ["Import Accounts: Invalid date (17 rows)"]
    assert "31.02.2026" not in str(line)


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        ("loaded", "INFO"),
        ("partial", "WARNING"),
        ("failed", "ERROR"),
        ("rejected", "ERROR"),
        ("held", "ERROR"),
        ("overdue", "WARNING"),
        ("incomplete", "WARNING"),
        ("missing", "ERROR"),
        ("recovered", "INFO"),
    ],
)
def test_the_level_says_how_bad_it_is(outcome: ReportOutcome, level: str) -> None:
    assert [line["level"] for line in log_lines(OUTCOMES[outcome])] == [level]


def test_a_failure_that_is_tried_again_is_a_warning() -> None:
    (line,) = log_lines(OUTCOMES["failed"], retrying=True)

    assert (line["level"], line["retrying"], line["outcome"]) == ("WARNING", True, "failed")


# Metrics

OLDEST = "2026-11-24T21:05:00.000Z"


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the function, where a service is named for the log."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "autoload")
    monkeypatch.delenv("POWERTOOLS_DEV", raising=False)
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)


STACK = "autoload-prod"


def metrics_in(out: str) -> list[tuple[list[list[str]], dict[str, object], dict[str, str]]]:
    """Each document's dimensions, values (dimensions among them) and units, as CloudWatch would read them."""
    found = []
    for line in out.splitlines():
        document = json.loads(line)
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "AnaplanAutoload"
        units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
        values = {name: value for name, value in document.items() if name != "_aws"}
        found.append((directive["Dimensions"], values, units))
    return found


def test_a_loaded_run_is_counted_and_timed_by_stack_and_route(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.write_metrics(a_report(uploads_total=3), stack=STACK, oldest=OLDEST)

    assert metrics_in(capsys.readouterr().out) == [
        (
            [["stack", "route"]],
            {
                "stack": "autoload-prod",
                "route": "accounts",
                "RunsLoaded": [1.0],
                "RunSeconds": [200.0],
                "UploadsCovered": [3.0],
                "UploadToLoadedSeconds": [212.0],
            },
            {
                "RunsLoaded": "Count",
                "RunSeconds": "Seconds",
                "UploadsCovered": "Count",
                "UploadToLoadedSeconds": "Seconds",
            },
        )
    ]


@pytest.mark.parametrize(
    ("described", "retrying", "names"),
    [
        (OUTCOMES["partial"], False, {"RunsPartial", "RunSeconds", "UploadsCovered", "UploadToLoadedSeconds"}),
        (OUTCOMES["failed"], False, {"RunsFailed", "RunSeconds"}),
        (OUTCOMES["failed"], True, {"RunsRetried", "RunSeconds"}),
        (a_failure_without_a_run(), False, {"RunsFailed"}),
        (OUTCOMES["rejected"], False, {"UploadsRejected"}),
    ],
)
def test_only_what_stays_failed_counts_as_failed(
    described: Report, retrying: bool, names: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics.write_metrics(described, stack=STACK, oldest=OLDEST, retrying=retrying)

    ((_, _, units),) = metrics_in(capsys.readouterr().out)
    assert units.keys() == names


def test_a_late_set_names_the_files_that_have_not_come() -> None:
    report = OUTCOMES["incomplete"]

    assert json.loads(message.document(report))["awaited"] == ["entities.csv", "rates.csv"]
    assert "awaited" not in json.loads(message.document(OUTCOMES["loaded"]))
    assert subject.subject(report) == "Incomplete: accounts: entities.csv and rates.csv have not come yet"
    text = mail.email_text(report)
    assert "1. Upload what has not come, under exactly these names: entities.csv, rates.csv." in text
    assert "anaplan-autoload status accounts" in text


def test_late_sets_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count_incomplete("accounts", stack=STACK)

    [(_, values, _)] = metrics_in(capsys.readouterr().out)
    assert values == {"stack": STACK, "route": "accounts", "SetsIncomplete": [1.0]}


@pytest.mark.parametrize("outcome", ["held", "overdue", "incomplete", "missing", "recovered"])
def test_what_has_not_ended_is_not_counted(outcome: ReportOutcome, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.write_metrics(OUTCOMES[outcome], stack=STACK, oldest=OLDEST)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("outcome", "metric"), [("missing", "RoutesMissing"), ("recovered", "RoutesRecovered")])
def test_how_a_route_stands_is_counted(outcome: ReportOutcome, metric: str, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count_route(OUTCOMES[outcome], stack="autoload")

    [(_, values, units)] = metrics_in(capsys.readouterr().out)
    assert (values["stack"], values["route"], values[metric], units) == (
        "autoload",
        "accounts",
        [1.0],
        {metric: "Count"},
    )


def test_one_runs_metrics_do_not_leak_into_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.write_metrics(a_report(), stack=STACK, oldest=OLDEST)
    metrics.write_metrics(replace(OUTCOMES["failed"], route="products"), stack=STACK, oldest=OLDEST)

    _, (_, second, _) = metrics_in(capsys.readouterr().out)
    assert second == {"stack": STACK, "route": "products", "RunsFailed": [1.0], "RunSeconds": [200.0]}


def test_unrouted_uploads_are_counted_by_stack(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count_unrouted(4, stack=STACK)

    ((dimensions, values, _),) = metrics_in(capsys.readouterr().out)
    assert dimensions == [["stack"]]
    assert values == {"stack": STACK, "UploadsUnrouted": [4.0]}


def test_the_age_of_what_waits_is_written_for_each_route(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.oldest_waiting({"accounts": 42.5, "products": 0}, stack=STACK)

    assert [values for _, values, _ in metrics_in(capsys.readouterr().out)] == [
        {"stack": STACK, "route": "accounts", "OldestWaitingSeconds": [42.5]},
        {"stack": STACK, "route": "products", "OldestWaitingSeconds": [0.0]},
    ]
