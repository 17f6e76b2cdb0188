"""The doctor finds nothing wrong with a healthy stack on the laptop, and every fault that is put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.aws.console import INTEGRATIONS, ROUTES
from local.aws.resources import ALIAS
from local.aws.stack import STACK_NAME, Options, Stack
from tests.command_line import run

Findings = list[tuple[str, str]]
"""Status and what it is about."""


@pytest.fixture(scope="module")
def healthy(logs: Path) -> Iterator[Stack]:
    """A healthy stack with routes, which nobody has used yet."""
    with Stack(Options(runtimes=1, logs=logs / "doctor")) as stack:
        stack.push(ROUTES.format(**stack.seed(INTEGRATIONS)))
        yield stack


def examined(stack: Stack) -> Findings:
    """What the doctor finds that is not ok."""
    ended = run("doctor", "--stack", STACK_NAME, "--json", environment=stack.aws.environment)
    found = ended.json
    assert len(found) > 15, ended.err
    troubles = [(finding["status"], finding["about"]) for finding in found if finding["status"] != "ok"]
    assert bool(ended.code) == ("failed" in [status for status, _ in troubles])
    return troubles


def test_it_finds_nothing_missing(healthy: Stack) -> None:
    assert examined(healthy) == []


def without_notification(stack: Stack) -> Callable[[], object]:
    before = stack.resources.notifying[0]
    stack.aws.s3.put_bucket_notification_configuration(Bucket=stack.inbox, NotificationConfiguration={})
    return lambda: stack.notifications.watch(before.bucket, before.configurations)


def without_schedule(stack: Stack) -> Callable[[], object]:
    rule = stack.resources.physical_ids["AutoloadSweep"].rpartition("/")[2]
    stack.aws.events.disable_rule(Name=rule)
    return lambda: stack.aws.events.enable_rule(Name=rule)


def without_permission(stack: Stack) -> Callable[[], object]:
    name, statement = stack.resources.function.name, "AutoloadUploadPermission"
    stack.aws.functions.remove_permission(FunctionName=name, Qualifier=ALIAS, StatementId=statement)
    return lambda: stack.aws.functions.add_permission(
        FunctionName=name,
        Qualifier=ALIAS,
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceAccount="123456789012",
    )


@pytest.mark.parametrize(
    ("spoil", "about"),
    [(without_notification, "inbox"), (without_schedule, "sweep"), (without_permission, "permission")],
)
def test_it_finds_what_is_missing(healthy: Stack, spoil: Callable[[Stack], Callable[[], object]], about: str) -> None:
    mend = spoil(healthy)
    try:
        assert examined(healthy) == [("failed", about)]
    finally:
        mend()
    assert examined(healthy) == []


def test_the_functions_configuration_is_the_templates(healthy: Stack) -> None:
    function = healthy.resources.function
    told = healthy.aws.functions.get_function_configuration(FunctionName=function.name, Qualifier=ALIAS)
    whole = healthy.aws.functions.get_function(FunctionName=function.name)["Configuration"]

    for configuration in (told, whole):
        assert configuration["DurableConfig"] == {"ExecutionTimeout": 604800, "RetentionPeriodInDays": 14}
        assert configuration["DeadLetterConfig"]["TargetArn"].endswith(
            function.dead_letter_queue_url.rpartition("/")[2]
        )


def test_the_schedule_and_the_inbox_lead_to_the_alias(healthy: Stack) -> None:
    alias = healthy.resources.outputs["FunctionAliasArn"]
    [rule] = healthy.aws.events.list_rule_names_by_target(TargetArn=alias)["RuleNames"]
    told = healthy.aws.s3.get_bucket_notification_configuration(Bucket=healthy.inbox)

    assert healthy.aws.events.describe_rule(Name=rule)["ScheduleExpression"] == "rate(5 minutes)"
    [notification] = told["LambdaFunctionConfigurations"]
    assert (notification["LambdaFunctionArn"], notification["Events"]) == (alias, ["s3:ObjectCreated:*"])
    assert "QueueConfigurations" not in told
