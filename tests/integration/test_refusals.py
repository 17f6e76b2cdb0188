"""What AWS refuses for good, and details of a run that cannot be fetched: the reason is told, and the rest goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from anaplan_autoload.aws import staging
from anaplan_autoload.aws.refusals import IN_TROUBLE
from local.cloudworks import PASSWORD, Fault
from tests.autoload import BUCKET, REPORTS, Autoload, ExecutionFailed
from tests.integration.test_edges import sweep
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, each, latest
from tests.unit.test_events import eventbridge

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "123456789012"
PARTLY = "Code,Name\nA1,Cash\n,Nameless\n"


def fails(
    autoload: Autoload, service: str, operation: str, code: str, said: str = "", times: int = 10_000, status: int = 400
) -> None:
    """Let AWS answer so many calls with this error."""
    left = times

    def fail(**_: object) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            answer: Any = {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, operation)

    client: Any = getattr(autoload.services_now(), service)
    client = getattr(client, "_client", client)
    client.meta.events.register(f"before-parameter-build.{client.meta.service_model.service_name}.{operation}", fail)


REFUSED = [
    ("ObjectNotInActiveTierError", "The source object is archived", "Restore it"),
    ("InvalidObjectState", "Not valid for the source object's storage class", "Restore it"),
    ("InvalidRequest", "The object was stored using a form of Server Side Encryption.", "SSE-C"),
    ("KMS.DisabledException", "The key is disabled", "KMS key"),
    ("KMS.NotFoundException", "Key 'x' does not exist", "KMS key"),
    ("KMS.KMSInvalidStateException", "The key is pending deletion", "KMS key"),
    ("AccessDenied", "Access Denied", "kms:Decrypt"),
    ("PermanentRedirect", "Use another endpoint", "Change what it names"),
    ("NotImplemented", "A header is not implemented", "Change what it names"),
    ("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.", "Change what it names"),
    ("InvalidArgument", "Invalid Argument", "Change what it names"),
    ("AuthorizationHeaderMalformed", "The region 'us-east-1' is wrong", "Change what it names"),
    ("AWordNobodyKnows", "", "Change what it names"),
]


@pytest.mark.crossed
@pytest.mark.parametrize("operation", ["CopyObject", "CreateMultipartUpload", "UploadPartCopy"])
@pytest.mark.parametrize(("code", "said", "remedy"), REFUSED)
def test_a_copy_that_s3_refuses_for_good_fails_its_batch_at_once(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, operation: str, code: str, said: str, remedy: str
) -> None:
    each(autoload)
    if operation != "CopyObject":
        monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)
    fails(autoload, "s3", operation, code, said)
    before = autoload.now()

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "failed"
    [message] = autoload.messages()
    assert message["outcome"] == "failed"
    for words in (f"s3://{BUCKET}/{KEY}", said.removesuffix("."), code, remedy):
        assert words in message["message"]
    assert autoload.now() - before < 20_000  # at once, on a busy machine too
    assert autoload.runs_asked_for() == 0
    assert "Uploads" not in autoload.s3.list_multipart_uploads(Bucket=BUCKET)


HEALS = [
    *("SlowDown", "InternalError", "503", "RequestTimeout", "KMS.ThrottlingException", "ExpiredToken"),
    *("OperationAborted", "RequestTimeTooSkewed"),
]


@pytest.mark.crossed
@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("code", HEALS)
def test_a_copy_that_fails_for_a_while_is_made_in_the_end(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, operation: str, code: str
) -> None:
    each(autoload)
    if operation != "CopyObject":
        monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)
    fails(autoload, "s3", operation, code, times=2)

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"


@pytest.mark.parametrize("status", sorted(IN_TROUBLE))
def test_an_unknown_code_with_a_status_of_the_services_own_trouble_may_pass(autoload: Autoload, status: int) -> None:
    each(autoload)
    fails(autoload, "s3", "CopyObject", "AWordNobodyKnows", times=2, status=status)

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["uploads"][0]["state"] == "loaded"


def test_a_refusal_stands_although_the_parts_cannot_be_dropped(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch
) -> None:
    each(autoload)
    monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)
    fails(autoload, "s3", "UploadPartCopy", "InvalidObjectState", "Archived")
    fails(autoload, "s3", "AbortMultipartUpload", "AccessDenied", "Access Denied")

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["uploads"][0]["state"] == "failed"
    assert "Archived" in autoload.messages()[0]["message"]


@pytest.mark.parametrize("code", ["403", "400", "AllAccessDisabled"])
def test_a_reload_that_s3_refuses_to_describe_fails_at_once_and_names_the_object(autoload: Autoload, code: str) -> None:
    latest(autoload)
    fails(autoload, "s3", "HeadObject", code, "Refused")
    before = autoload.now()

    with pytest.raises(ExecutionFailed, match=rf"load: S3 refused to describe s3://{BUCKET}/{KEY}.*{code}"):
        autoload.invoke({"load": {"bucket": BUCKET, "key": KEY, "request_id": "r1"}})
    assert autoload.now() - before < 20_000  # at once, on a busy machine too


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "KMSDisabledException"])
def test_a_ledger_that_refuses_uses_up_no_attempt(autoload: Autoload, code: str) -> None:
    each(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    reads: list[str] = []
    refusing = [True]

    def fail(params: dict[str, Any], **_: object) -> None:
        if refusing and str(params["Key"]).find("key#") > 0:
            reads.append(code)
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem")

    autoload.services_now().dynamodb.meta.events.register("before-parameter-build.dynamodb.GetItem", fail)
    for sent in [event, *[{"drain": autoload.lane()}] * 5]:
        autoload.ended(autoload.start(sent), failed=True)

    assert len(reads) == 6, "each execution asked once"
    lane = autoload.ledger.lane(autoload.lane())
    assert lane.open is not None and lane.open.attempts == 1
    assert autoload.messages() == []
    refusing.clear()
    autoload.invoke({"drain": autoload.lane()})
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


@pytest.mark.parametrize("code", ["KMSDisabled", "KMSAccessDenied", "NotFound", "AuthorizationError"])
@pytest.mark.parametrize("route", [latest, each])
def test_a_refusal_by_sns_stops_no_lane(
    autoload: Autoload, caplog: pytest.LogCaptureFixture, route: Callable[[Autoload], str], code: str
) -> None:
    route(autoload)
    fails(autoload, "sns", "Publish", code, "No")
    before = autoload.now()

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["uploads"][0]["state"] == "loaded"
    assert autoload.now() - before < 60_000
    assert "Not everyone could be told of this run; the lane continues" in caplog.messages
    assert sweep(autoload) == []


def test_a_refusal_by_sns_does_not_keep_a_lane_from_being_held(autoload: Autoload) -> None:
    latest(autoload)
    autoload.set_secret(password="wrong")
    fails(autoload, "sns", "Publish", "KMSDisabled", "No")

    assert autoload.outcome(autoload.upload(KEY, ACCOUNTS)) == "held"
    autoload.set_secret(password=PASSWORD)
    assert sweep(autoload) == ["led"]


# Details of a run that cannot be fetched.


def process_errors(autoload: Autoload, actions: int = 2) -> None:
    """Let the run have errors of several actions, each with a dump."""
    said = [{"localMessageText": "bad", "occurrences": 3, "values": []}]
    listed = [
        {"actionId": str(n), "actionName": f"import {n}", "failureDumpGenerated": True, "errorMessage": said}
        for n in range(actions)
    ]
    answers(autoload, "/runerror/", 200, {"runs": [{"id": "x", "errorMessages": listed}]})


def answers(autoload: Autoload, path: str, status: int, body: object, kind: str = "application/json") -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    autoload.simulator.add_fault(
        Fault(kind="status", method="GET", path=path, status=status, body=text, content_type=kind, count=None)
    )


def saved(autoload: Autoload, url: str | None) -> set[str]:
    """The names of what was saved there."""
    if url is None:
        return set()
    prefix = url.removeprefix(f"s3://{REPORTS}/")
    listed = autoload.s3.list_objects_v2(Bucket=REPORTS, Prefix=prefix)
    return {found["Key"].removeprefix(prefix) for found in listed.get("Contents", [])}


LISTS = {"errors.json", "errors.csv"}
ROWS = {"rejected.csv", "rejected.csv.original"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (452, {"status": {"code": 452, "message": "Not for you"}}, "application/json"),
        (500, {"status": {"code": 500, "message": "Broken"}}, "application/json"),
        (403, {"status": {"code": 403, "message": "Forbidden"}}, "application/json"),
        (502, "<html>", "text/html"),
        (200, {"status": {"code": 500, "message": "Broken"}}, "text/csv"),
        (200, "<html>Maintenance", "text/html"),
    ],
)
def test_a_dump_that_cannot_be_fetched_leaves_the_errors(
    autoload: Autoload, caplog: pytest.LogCaptureFixture, status: int, body: object, kind: str
) -> None:
    latest(autoload)
    answers(autoload, "/dumps$", status, body, kind)

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert message["outcome"] == "partial" and len(message["errors"]) == 1
    assert saved(autoload, message["report_url"]) == LISTS
    assert message["details_missing"].startswith("Rejected rows could not be saved: ")
    assert str(status) in message["details_missing"] and "GET" not in message["details_missing"]
    assert message["request"].startswith("GET http") and message["request"].endswith("/dumps")
    [record] = autoload.ledger.runs(autoload.lane())
    assert record.details_missing == message["details_missing"]
    assert "Some of the run's errors or rejected rows are missing" in caplog.messages


def test_errors_that_cannot_be_fetched_leave_the_rejected_rows(autoload: Autoload) -> None:
    latest(autoload)
    answers(autoload, "/runerror/", 452, {"status": {"code": 452, "message": "Not for you"}})

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert message["errors"] == [] and saved(autoload, message["report_url"]) == ROWS
    assert message["details_missing"].startswith("The errors could not be fetched: ")
    assert "Rejected" not in message["details_missing"]


@pytest.mark.parametrize(("kept", "refused"), [(LISTS, "rejected"), (ROWS, "errors")])
def test_what_the_reports_bucket_takes_is_kept(autoload: Autoload, kept: set[str], refused: str) -> None:
    latest(autoload)

    def refuse(params: dict[str, Any], **_: object) -> None:
        if params["Bucket"] == REPORTS and f"/{refused}" in params["Key"]:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject")

    autoload.services_now().s3.meta.events.register("before-parameter-build.s3.PutObject", refuse)
    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert len(message["errors"]) == 1
    assert saved(autoload, message["report_url"]) == kept
    assert "could not be saved: Access Denied (AccessDenied)." in message["details_missing"]


def test_a_reports_bucket_that_is_gone_leaves_the_errors(autoload: Autoload) -> None:
    latest(autoload)
    autoload.s3.delete_bucket(Bucket=REPORTS)

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert len(message["errors"]) == 1 and message["report_url"] is None
    assert message["details_missing"].count("(NoSuchBucket)") == 2
    autoload.make_bucket(REPORTS)  # secrets are searched for in it when the test ends


def test_one_dump_of_a_process_that_cannot_be_fetched_leaves_the_others(autoload: Autoload) -> None:
    latest(autoload)
    process_errors(autoload, actions=3)
    answers(autoload, "/import/1/dumps$", 500, {"status": {"code": 500, "message": "Broken"}})
    answers(autoload, "/import/[02]/dumps$", 200, "Code\nx\n", "text/csv")
    answers(autoload, "[^/]+/dumps$", 404, {"status": {"code": 404, "message": "No dump"}})

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    names = {f"rejected-{n}.csv{original}" for n in (0, 2) for original in ("", ".original")}
    assert saved(autoload, message["report_url"]) == LISTS | names
    assert "Rejected rows of action 1 could not be saved" in message["details_missing"]
    assert "action 0" not in message["details_missing"] and "action 2" not in message["details_missing"]


@pytest.mark.parametrize("rows", ['{"Code"},Name\n{x},y\n', "{\n", "<b>Code</b>,Name\n", "<html>,Name\n", "[1],2\n"])
def test_rows_that_begin_with_a_brace_or_a_tag_are_rows(autoload: Autoload, rows: str) -> None:
    latest(autoload)
    answers(autoload, "/dumps$", 200, rows, "text/csv")

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert message["details_missing"] is None
    assert saved(autoload, message["report_url"]) == LISTS | ROWS


def test_trouble_over_a_dump_that_passes_leaves_nothing_missing(autoload: Autoload) -> None:
    latest(autoload)
    autoload.simulator.add_fault(Fault(kind="status", method="GET", path="/dumps$", status=500, count=4))

    autoload.invoke(autoload.upload(KEY, PARTLY))

    [message] = autoload.messages()
    assert message["details_missing"] is None
    assert saved(autoload, message["report_url"]) == LISTS | ROWS


# Whose bucket it is.


def calls_to_s3(autoload: Autoload) -> list[tuple[str, dict[str, Any]]]:
    """A list that fills with the function's calls and their parameters."""
    calls: list[tuple[str, dict[str, Any]]] = []
    autoload.services_now().s3.meta.events.register(
        "before-parameter-build.s3.*", lambda params, model, **_: calls.append((model.name, dict(params)))
    )
    return calls


@pytest.mark.parametrize("single", [True, False])
def test_copies_and_reports_are_made_in_the_accounts_own_buckets_alone(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, single: bool
) -> None:
    each(autoload)
    calls = calls_to_s3(autoload)
    if not single:
        monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)

    autoload.invoke(autoload.upload(KEY, PARTLY))

    made = {name for name, _ in calls}
    assert made >= ({"CopyObject", "PutObject"} if single else {"CompleteMultipartUpload", "UploadPartCopy"})
    for name, parameters in calls:
        if name == "ListParts" and "ExpectedBucketOwner" not in parameters:
            continue  # the harness asks as well
        assert parameters["ExpectedBucketOwner"] == ACCOUNT, name
        if "CopySource" in parameters:
            assert parameters["ExpectedSourceBucketOwner"] == ACCOUNT, name


def test_a_copy_leaves_tags_and_annotations_behind(autoload: Autoload) -> None:
    each(autoload)
    calls = calls_to_s3(autoload)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [copied] = [parameters for name, parameters in calls if name == "CopyObject"]
    assert (copied["AnnotationDirective"], copied["TaggingDirective"], copied["Tagging"]) == ("EXCLUDE", "REPLACE", "")


def test_a_bucket_of_another_account_is_copied_in_where_eventbridge_names_it(autoload: Autoload) -> None:
    autoload.routes(EACH, accounts="source/Accounts.csv")
    calls = calls_to_s3(autoload)
    stored = autoload.s3.put_object(Bucket=BUCKET, Key=KEY, Body=ACCOUNTS.encode())
    described = {"key": KEY, "size": len(ACCOUNTS), "version-id": stored["VersionId"], "sequencer": "0A"}
    event = eventbridge(account="999900009999", detail={"bucket": {"name": BUCKET}, "object": described})

    autoload.invoke(event)

    owners = {parameters.get("ExpectedBucketOwner") for name, parameters in calls if name == "CopyObject"}
    assert owners == {"999900009999"}


def test_a_reload_of_an_object_of_any_account_is_copied(autoload: Autoload) -> None:
    each(autoload)
    autoload.s3.put_object(Bucket=BUCKET, Key=KEY, Body=ACCOUNTS.encode())
    calls = calls_to_s3(autoload)

    autoload.invoke({"load": {"bucket": BUCKET, "key": KEY, "request_id": "r1"}})

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    owners = [parameters.get("ExpectedBucketOwner") for name, parameters in calls if name == "CopyObject"]
    assert owners == [None]
