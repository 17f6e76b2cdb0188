"""A route's check: no run on a file that fails it, and everyone is told what was expected and what was found."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from anaplan_autoload.domain.events import Uploads, parse
from anaplan_autoload.steps import checking
from local.cloudworks import Fault
from tests.autoload import BUCKET, ExecutionFailed
from tests.integration.test_edges import sweep
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, LATEST
from tests.integration.test_refusals import fails

if TYPE_CHECKING:
    from tests.autoload import Autoload

CHECK = 'check = { columns = ["Code", "Name"], min_rows = 1 }\n'
SHRINK = 'check = { shrink = "50%" }\n'
BAD = "Code,Title\nA1,Cash\n"
OTHER = "incoming/Entities.csv"
MODES = pytest.mark.parametrize("route", [LATEST, EACH], ids=["latest", "each"])


def given(autoload: Autoload, route: str, check: str = CHECK) -> None:
    """This route, with a check."""
    source = KEY if route == LATEST else "source/Accounts.csv"
    autoload.routes(route + check.replace("{", "{{").replace("}", "}}"), accounts=source)


def state_of(result: dict[str, Any]) -> str:
    """What became of the event's first upload."""
    return str(result["uploads"][0]["state"])


@MODES
def test_a_file_that_passes_is_loaded(autoload: Autoload, route: str) -> None:
    given(autoload, route)

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "loaded"
    assert "check" in autoload.operations()


FAILING = [
    (BAD, "columns", "Code, Title"),
    ("Code;Name\nA1;Cash\n", "columns", "Code;Name"),
    ("Name,Code\nCash,A1\n", "columns", "Name, Code"),
    (ACCOUNTS.encode("utf-16"), "encoding", "utf-16-le"),
    ("Code,Name\nA1,Größe\n".encode("latin-1"), "encoding", "windows-1252"),
    (gzip.compress(ACCOUNTS.encode()), "format", "a gzip file"),
    (b"PK\x03\x04[Content_Types].xml xl/workbook.xml", "format", "an Excel workbook (.xlsx)"),
    ("Code,Name\n", "min_rows", "0"),
]


@pytest.mark.crossed
@MODES
@pytest.mark.parametrize(("content", "about", "found"), FAILING, ids=[f"{each[1]}: {each[2]}" for each in FAILING])
def test_a_file_that_fails_is_rejected_without_a_run(
    autoload: Autoload, route: str, content: str | bytes, about: str, found: str
) -> None:
    given(autoload, route)

    result = autoload.invoke(autoload.upload(KEY, content))

    assert result["uploads"] == [{"bucket": BUCKET, "key": KEY, "state": "rejected", "run_id": None}]
    assert autoload.runs_asked_for() == 0
    [message] = autoload.messages()
    assert (message["outcome"], message["run_id"]) == ("rejected", None)
    [problem] = message["problems"]
    assert (problem["key"], problem["about"], problem["found"]) == (KEY, about, found)
    assert message["message"].startswith("The file failed its check: ")
    assert ("somebody may have replaced it since" in message["message"]) == (route == LATEST)
    [record] = autoload.ledger.runs(autoload.lane())
    assert (record.id, record.outcome, record.announced) == (message["id"], "rejected", True)
    assert autoload.ledger.lane(autoload.lane()).open is None


def test_the_log_and_the_metrics_tell_of_it(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    given(autoload, LATEST)

    autoload.invoke(autoload.upload(KEY, BAD))

    [metric] = autoload.metrics(capsys.readouterr().out, "UploadsRejected")
    assert metric["UploadsRejected"] == [1.0]
    [line] = [record for record in caplog.records if record.message.startswith("Rejected: ")]
    assert line.message == "Rejected: accounts: the file failed its check: its columns differ (Accounts.csv)"
    assert vars(line)["problems"] == [f"{KEY}: columns: expected Code, Name; found Code, Title"]


@MODES
def test_a_better_file_is_loaded_after_a_rejected_one(autoload: Autoload, route: str) -> None:
    given(autoload, route)
    autoload.invoke(autoload.upload(KEY, BAD))

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "loaded"
    assert autoload.runs_asked_for() == 1


def test_exactly_the_version_that_is_staged_is_checked(autoload: Autoload) -> None:
    given(autoload, EACH)
    good = autoload.upload(KEY, ACCOUNTS)
    bad = autoload.upload(KEY, BAD)

    assert state_of(autoload.invoke(good)) == "loaded"
    assert state_of(autoload.invoke(bad)) == "rejected"
    assert autoload.runs_asked_for() == 1


def test_an_overwritten_file_without_versions_is_superseded_not_rejected(autoload: Autoload) -> None:
    autoload.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    given(autoload, EACH)
    event = autoload.upload(KEY, ACCOUNTS)
    event["Records"][0]["s3"]["object"].pop("versionId", None)
    autoload.upload(KEY, BAD)

    assert state_of(autoload.invoke(event)) == "superseded"


def test_older_data_that_comes_late_is_superseded_not_rejected(autoload: Autoload) -> None:
    given(autoload, EACH)
    late = autoload.upload(KEY, BAD)
    autoload.pass_time(1)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert state_of(autoload.invoke(late)) == "superseded"


def test_what_the_key_holds_now_is_checked_where_the_latest_is_loaded(autoload: Autoload) -> None:
    given(autoload, LATEST)
    first = autoload.upload(KEY, ACCOUNTS)
    autoload.upload(KEY, BAD)

    assert state_of(autoload.invoke(first)) == "rejected"


def test_a_file_that_is_replaced_while_its_integration_is_busy_is_checked_again(autoload: Autoload) -> None:
    given(autoload, LATEST)
    autoload.simulator.add_fault(
        Fault(
            kind="status",
            status=409,
            method="POST",
            path="/run$",
            body='{"status": {"code": 409, "message": "busy"}}',
            content_type="application/json",
        )
    )
    autoload.when("POST", "/run$", lambda: autoload.upload(KEY, BAD))

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "rejected"
    assert autoload.simulator.runs == []


def test_a_batch_is_rejected_as_a_whole_as_its_run_would_read_the_bad_file_too(autoload: Autoload) -> None:
    given(autoload, LATEST)
    autoload.let_read("accounts", KEY, OTHER)
    autoload.ledger.pause(autoload.lane())
    good, bad = autoload.upload(KEY, ACCOUNTS), autoload.upload(OTHER, BAD)
    for event in (good, bad):
        autoload.invoke(event)
    autoload.ledger.resume(autoload.lane())

    autoload.invoke({"drain": autoload.lane()})

    [message] = autoload.messages()
    assert (message["outcome"], message["uploads_total"]) == ("rejected", 2)
    assert message["message"].startswith(f'The file "{OTHER}" failed its check: its columns differ. A run would read')
    assert {problem["key"] for problem in message["problems"]} == {OTHER}
    assert autoload.runs_asked_for() == 0


def test_a_run_does_not_start_while_another_file_that_it_reads_is_still_bad(autoload: Autoload) -> None:
    given(autoload, LATEST)
    autoload.let_read("accounts", KEY, OTHER)
    autoload.upload(KEY, ACCOUNTS)
    autoload.invoke(autoload.upload(OTHER, BAD))

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "rejected"
    assert state_of(autoload.invoke(autoload.upload(OTHER, ACCOUNTS))) == "loaded"
    assert autoload.runs_asked_for() == 1


def test_a_source_file_that_does_not_exist_yet_is_left_to_the_run(autoload: Autoload) -> None:
    given(autoload, LATEST)
    autoload.let_read("accounts", KEY, OTHER)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert autoload.runs_asked_for() >= 1


def test_many_files_are_checked_in_several_steps(autoload: Autoload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHECK_SECONDS", -1)
    given(autoload, LATEST)
    keys = [f"incoming/{number}.csv" for number in range(4)]
    autoload.let_read("accounts", *keys)
    autoload.ledger.pause(autoload.lane())
    for key in keys:
        autoload.invoke(autoload.upload(key, ACCOUNTS if key != keys[-1] else BAD))
    autoload.ledger.resume(autoload.lane())

    autoload.invoke({"drain": autoload.lane()})

    assert autoload.operations().count("check") == 4
    [message] = autoload.messages()
    assert (message["outcome"], message["problems"][0]["key"]) == ("rejected", keys[-1])


@MODES
def test_only_a_head_is_read_unless_rows_have_to_be_counted(autoload: Autoload, route: str) -> None:
    given(autoload, route, 'check = { columns = ["Code", "Name"], min_rows = 40_000 }\n')
    calls = watch_reads(autoload)
    long = "Code,Name\n" + "".join(f"A{number},Cash\n" for number in range(40_000))

    assert state_of(autoload.invoke(autoload.upload(KEY, long))) == "loaded"
    assert [call.get("Range") for call in calls] == ["bytes=0-65535", None]
    calls.clear()
    assert state_of(autoload.invoke(autoload.upload(KEY, long.replace("Name", "Title", 1)))) == "rejected"
    assert [call.get("Range") for call in calls] == ["bytes=0-65535"]
    assert state_of(autoload.invoke(autoload.upload(KEY, long.removesuffix("A39999,Cash\n")))) == "rejected"


def watch_reads(autoload: Autoload) -> list[dict[str, Any]]:
    """The function's requests to S3 for an object, as they come."""
    calls: list[dict[str, Any]] = []
    events = autoload.services_now().s3.meta.events
    events.register("provide-client-params.s3.GetObject", lambda params, **_: calls.append(params))
    return calls


@MODES
def test_a_file_that_shrank_is_rejected_until_the_route_allows_it(autoload: Autoload, route: str) -> None:
    given(autoload, route, SHRINK)
    rows = "".join(f"A{number},Cash\n" for number in range(100))
    assert state_of(autoload.invoke(autoload.upload("incoming/Accounts.csv", f"Code,Name\n{rows}"))) == "loaded"

    small = "Code,Name\n" + rows[: len(rows) // 3]
    assert state_of(autoload.invoke(autoload.upload(KEY, small))) == "rejected"
    rejected = autoload.messages()[-1]["problems"]
    assert [problem["about"] for problem in rejected] == ["shrink"] and "than the" in rejected[0]["found"]

    given(autoload, route, SHRINK.replace("50", "90"))
    assert state_of(autoload.invoke(autoload.upload(KEY, small))) == "loaded"
    given(autoload, route, SHRINK)
    assert state_of(autoload.invoke(autoload.upload(KEY, small))) == "loaded"


def test_files_of_all_names_are_compared_where_each_is_loaded(autoload: Autoload) -> None:
    given(autoload, EACH, SHRINK)
    autoload.invoke(autoload.upload("incoming/1.csv", ACCOUNTS * 10))

    assert state_of(autoload.invoke(autoload.upload("incoming/2.csv", ACCOUNTS))) == "rejected"


@MODES
def test_a_file_without_bytes_that_the_route_admits_is_not_checked(autoload: Autoload, route: str) -> None:
    given(autoload, route, CHECK + "allow_empty = true\n")

    autoload.invoke(autoload.upload(KEY, ""))

    assert autoload.runs_asked_for() >= 1


def test_a_key_that_was_emptied_since_is_rejected(autoload: Autoload) -> None:
    given(autoload, LATEST, 'check = { encoding = "utf-8" }\n')
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.upload(KEY, "")

    assert state_of(autoload.invoke(event)) == "rejected"
    assert autoload.messages()[0]["problems"][0]["about"] == "empty"


@MODES
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidObjectState", "KMS.DisabledException"])
def test_a_file_that_s3_never_shows_fails_its_batch(autoload: Autoload, route: str, code: str) -> None:
    given(autoload, route)
    fails(autoload, "s3", "GetObject", code, "No")

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "failed"

    [message] = autoload.messages()
    assert message["message"].startswith(f"S3 refused to read s3://{BUCKET}/{KEY}: No ({code})")
    assert autoload.runs_asked_for() == 0


@MODES
def test_trouble_at_s3_that_passes_delays_the_check_only(autoload: Autoload, route: str) -> None:
    given(autoload, route)
    fails(autoload, "s3", "GetObject", "SlowDown", times=3)

    assert state_of(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == "loaded"


def test_trouble_at_s3_that_lasts_for_minutes_is_overcome_by_the_sweep(autoload: Autoload) -> None:
    given(autoload, LATEST)
    fails(autoload, "s3", "GetObject", "SlowDown", times=5)
    with pytest.raises(ExecutionFailed):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert autoload.messages() == []

    sweep(autoload)

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_file_that_is_gone_is_not_judged(autoload: Autoload) -> None:
    given(autoload, LATEST)
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.s3.delete_object(Bucket=BUCKET, Key=KEY)

    autoload.invoke(event)

    assert [message["outcome"] for message in autoload.messages()] == ["failed"]
    assert autoload.runs_asked_for() >= 1


@MODES
def test_the_bucket_must_still_be_the_uploaders(autoload: Autoload, route: str) -> None:
    given(autoload, route)
    calls = watch_reads(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.services_now().account = "123456789012"

    autoload.invoke(event)

    parsed = parse(event, "123456789012")
    assert isinstance(parsed, Uploads)
    [upload] = parsed.uploads
    known = autoload.ledger.upload(autoload.lane(), upload.id)
    assert known is not None
    assert [call.get("ExpectedBucketOwner") for call in calls] == [known.upload.owner]
