"""The function's role allows what the function does, and nothing else: statement by statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from anaplan_autoload.aws import staging
from local.aws.resources import expand
from local.cloudworks import Fault
from tests.autoload import BUCKET, Autoload
from tests.security.policy import TEMPLATE, Json, Need, load_template, needs, statements
from tests.security.privileges import HARNESS, PLACE, Used, allowed, used

__all__ = ["used"]

ONLY_ON_AWS = {
    "Checkpoints lambda:CheckpointDurableExecution": "the durable SDK's own call; the test runner stands in for it",
    "Checkpoints lambda:GetDurableExecutionState": "the durable SDK's own call; the test runner stands in for it",
    "LogLines logs:CreateLogStream": "Lambda writes the function's output under its role",
    "LogLines logs:PutLogEvents": "Lambda writes the function's output under its role",
    "DeadLetters sqs:SendMessage": "Lambda sends failed executions' events under the function's role",
    "KeyOfTheTopic kms:Decrypt": "SNS uses the topic's key in the publisher's name",
    "KeyOfTheTopic kms:GenerateDataKey": "SNS uses the topic's key in the publisher's name",
    "RejectedRows s3:AbortMultipartUpload": "boto3 tidies up when S3 fails in the midst of a large report",
    "TellMissingFromForbidden s3:ListBucket": "never called: without it S3 answers 403 instead of 404",
}
"""What no test can exercise, and why it is allowed."""


ROUTES = """
[[route]]
name = "accounts"
prefix = "accounts/"
integration = "{accounts}"

[[route]]
name = "sales"
prefix = "sales/"
integration = "{sales}"
load = "each"
stage_to = "source/Sales.csv"
"""
ROWS = "Code,Name\nA1,Cash\n"


@pytest.fixture
def autoload(tmp_path: Path, used: Used) -> Iterator[Autoload]:
    with Autoload(tmp_path) as made:
        made.routes(ROUTES, accounts="accounts/a.csv", sales="source/Sales.csv")
        yield made


def test_every_permission_of_the_role_is_used_or_has_a_reason(autoload: Autoload, used: Used) -> None:
    reject_rows_and_reload(autoload)
    copy_versions_and_objects_without(autoload)
    refuse_the_log_in_and_sweep(autoload)
    load_two_lanes_at_once(autoload)
    lose_an_answer(autoload)
    tell_everyone_everywhere(autoload)

    granted = {f"{statement.sid} {action}" for statement in allowed() for action in statement.actions}
    exercised = {
        f"{statement.sid} {need.action}" for statement in allowed() for need in used.needs if statement.allows(need)
    }
    assert granted - exercised == set(ONLY_ON_AWS)


def reject_rows_and_reload(autoload: Autoload) -> None:
    autoload.invoke(autoload.upload("accounts/a.csv", "Code,Name\nA1,Cash\n,Nameless\nA1,Twice\n"))
    autoload.invoke({"load": {"bucket": BUCKET, "key": "accounts/a.csv", "request_id": "again"}})


def copy_versions_and_objects_without(autoload: Autoload) -> None:
    event = autoload.upload("sales/a.csv", ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "SINGLE_COPY_BYTES", len(ROWS) - 1)
        autoload.invoke(event)
    autoload.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    event = autoload.upload("sales/b.csv", ROWS)
    event["Records"][0]["s3"]["object"].pop("versionId", None)
    autoload.invoke(event)
    autoload.upload("sales/b.csv", ROWS + "A2,Receivables\n")
    event["Records"][0]["s3"]["object"]["sequencer"] = "FF"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "SINGLE_COPY_BYTES", len(ROWS) - 1)
        autoload.invoke(event)  # overwritten: its parts are dropped


def refuse_the_log_in_and_sweep(autoload: Autoload) -> None:
    autoload.set_secret(password="wrong")
    autoload.change()
    autoload.invoke(autoload.upload("accounts/a.csv", ROWS))
    autoload.set_secret()
    autoload.invoke({"sweep": True, "reconcile": {"every": "1h", "buckets": f"arn:aws:s3:::{BUCKET},"}})
    autoload.drain()


def load_two_lanes_at_once(autoload: Autoload) -> None:
    one, two = autoload.upload("accounts/a.csv", ROWS), autoload.upload("sales/c.csv", ROWS)
    autoload.invoke({"Records": [*one["Records"], *two["Records"]]})
    autoload.drain()


def lose_an_answer(autoload: Autoload) -> None:
    autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path="/run$"))
    autoload.invoke(autoload.upload("accounts/a.csv", ROWS))


def tell_everyone_everywhere(autoload: Autoload) -> None:
    topics = {name: autoload.sns.create_topic(Name=name)["TopicArn"] for name in ("mails", "chat")}
    autoload.change(mail_topic_arn=topics["mails"], chat_topic_arn=topics["chat"], publish_events=True)
    autoload.invoke(autoload.upload("accounts/a.csv", ROWS))
    autoload.invoke({"sweep": True})


def test_every_load_in_the_scenario_came_to_its_end(autoload: Autoload) -> None:
    """Otherwise the permissions above would prove less than they seem to."""
    copy_versions_and_objects_without(autoload)
    load_two_lanes_at_once(autoload)

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"] * 4


def test_a_call_that_the_role_does_not_allow_is_seen(autoload: Autoload, used: Used) -> None:
    autoload.change(topic_arn="arn:aws:sns:eu-west-1:123456789012:somebody-elses")
    autoload.sns.create_topic(Name="somebody-elses")
    autoload.invoke(autoload.upload("accounts/a.csv", ROWS))

    assert used.forbidden() == [Need("sns:Publish", "arn:aws:sns:eu-west-1:123456789012:somebody-elses")]
    used.needs.clear()


@pytest.mark.parametrize(
    ("service", "operation", "params", "needed"),
    [
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "to", "CopySource": "b/from%20here?versionId=v1", "Tagging": ""},
            ["s3:PutObject b/to", "s3:PutObjectTagging b/to", "s3:GetObjectVersion b/from here"],
        ),
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, ["s3:GetObject b/k"]),
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k", "VersionId": "v"}, ["s3:GetObjectVersion b/k"]),
        ("s3", "DeleteObject", {"Bucket": "b", "Key": "k"}, ["s3:DeleteObject b/k"]),
    ],
)
def test_what_a_call_needs(service: str, operation: str, params: dict[str, str], needed: list[str]) -> None:
    found = [
        f"{need.action} {need.arn.removeprefix('arn:aws:s3:::')}" for need in needs(service, operation, params, "")
    ]

    assert found == needed


def test_an_unknown_call_is_not_taken_for_allowed() -> None:
    with pytest.raises(ValueError, match="kms Decrypt"):
        needs("kms", "Decrypt", {}, PLACE)


# The conditional parts of the template.

EXISTING = HARNESS | {
    "ExistingBucketArns": ["arn:aws:s3:::finance", "arn:aws:s3:::sales"],
    "ExistingKeyArns": ["arn:aws:kms:eu-west-1:123456789012:key/finance"],
    "SecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:own-AbCdEf",
    "Tracing": "Active",
}


def test_the_secret_may_be_written_only_where_a_parameter_says_so() -> None:
    wanted = "secretsmanager:PutSecretValue"
    usual = [statement for statement in allowed() if wanted in statement.actions]
    rotating = [
        statement for statement in statements(EXISTING | {"RefreshTokenRotates": "true"}) if wanted in statement.actions
    ]

    assert usual == []
    assert [(each.actions, each.arns) for each in rotating] == [((wanted,), (EXISTING["SecretArn"],))]


def test_existing_buckets_are_opened_as_far_as_the_inbox_and_no_further() -> None:
    by_policy: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for statement in statements(EXISTING):
        by_policy.setdefault(statement.policy, []).append((statement.sid, statement.actions))

    assert by_policy["existing-buckets"] == by_policy["inbox"]
    arns = {
        arn for statement in statements(EXISTING) if statement.policy == "existing-buckets" for arn in statement.arns
    }
    assert arns == {f"arn:aws:s3:::{name}{part}" for name in ("finance", "sales") for part in ("", "/*")}


def test_versions_may_be_listed_only_where_lost_uploads_are_looked_for() -> None:
    def listing(values: Mapping[str, str | list[str]]) -> list[tuple[str, ...]]:
        return [each.arns for each in statements(values) if "s3:ListBucketVersions" in each.actions]

    assert listing({**EXISTING, "Reconcile": "off"}) == []
    assert listing(EXISTING) == [(HARNESS["Inbox.Arn"],), tuple(EXISTING["ExistingBucketArns"])]


def test_an_existing_secret_takes_the_place_of_the_one_that_is_made() -> None:
    [log_in] = [statement for statement in statements(EXISTING) if statement.sid == "LogIn"]

    assert log_in.arns == (EXISTING["SecretArn"],)


def test_keys_and_traces_are_allowed_only_where_they_were_asked_for() -> None:
    conditional = {statement.sid for statement in statements(EXISTING)} - {each.sid for each in allowed()}

    assert conditional == {"ExistingKeys", "Traces"}


def test_no_statement_is_wider_than_a_resource_of_the_stack() -> None:
    wide = {each.sid for each in statements(EXISTING) for arn in each.arns if arn == "*" or ":::*" in arn}
    wild = {each.sid for each in statements(EXISTING) for action in each.actions if "*" in action}

    assert wide == {"Traces"}, "X-Ray knows no resources"
    assert wild == set()


def test_the_translator_adds_no_role_or_policy_of_its_own() -> None:
    """A function without `Role` would get AWS's managed policies, which allow their actions on everything."""
    written = {name for name, each in load_template()["Resources"].items() if each["Type"].startswith("AWS::IAM::")}
    expanded = expand(TEMPLATE, "eu-west-1")["Resources"]

    assert {name for name, each in expanded.items() if each["Type"].startswith("AWS::IAM::")} == written
    assert "ManagedPolicyArns" not in expanded["Role"]["Properties"]


def test_nobody_outside_the_account_may_invoke_the_function() -> None:
    resources = expand(TEMPLATE, "eu-west-1")["Resources"]
    permissions = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Lambda::Permission"]

    assert permissions
    assert all(
        each["Principal"] in ("s3.amazonaws.com", "events.amazonaws.com")
        and ("SourceArn" in each or each["SourceAccount"] == {"Ref": "AWS::AccountId"})
        for each in permissions
    )


def test_no_bucket_queue_or_topic_is_spoken_to_in_plain_text() -> None:
    """Each bucket, queue and topic has a policy that denies every request without TLS."""
    resources = load_template()["Resources"]
    denied = {
        str(_guarded(each["Properties"]))
        for each in resources.values()
        for statement in each["Properties"].get("PolicyDocument", {}).get("Statement", [])
        if statement.get("Sid") == "TlsOnly" and statement["Effect"] == "Deny" and statement["Principal"] == "*"
    }
    kinds = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")

    assert denied == {str({"Ref": name}) for name, each in resources.items() if each["Type"] in kinds}


def _guarded(properties: Json) -> Json:
    """The bucket, queue or topic that a policy is for."""
    named: Json = properties.get("Bucket") or (properties.get("Queues") or properties["Topics"])[0]
    return named
