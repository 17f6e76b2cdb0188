"""The laptop's AWS itself, tried with a small durable function."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from anaplan_autoload.page.asking import View
from anaplan_autoload.page.reading import listing
from local.aws.notifications import Delivery, Record, straight
from local.aws.resources import TemplateUnusable
from local.aws.stack import ROOT, Options, Stack
from tests.e2e.waiting import until

TIMEOUT_SECONDS = 3
ALIAS = "autoload:live"


@pytest.fixture(scope="module")
def sample(logs: Path) -> Iterator[Stack]:
    """A stack with two runtimes that run the sample."""
    options = Options(
        handler="tests.e2e.sample.handler", runtimes=2, timeout_seconds=TIMEOUT_SECONDS, logs=logs / "sample"
    )
    with Stack(options) as stack:
        yield stack


def result(stack: Stack, arn: str) -> dict[str, Any]:
    execution = stack.execution(arn)
    assert execution.status == "SUCCEEDED", execution
    assert execution.result is not None
    return msgspec.json.decode(execution.result, type=dict[str, Any])


def objects(stack: Stack, prefix: str) -> list[dict[str, Any]]:
    """The objects under the prefix that the function was told of, in the order of its executions."""
    events = [msgspec.json.decode(one.input_payload or "{}", type=dict[str, Any]) for one in stack.executions.all()]
    described = [record["s3"]["object"] for event in events for record in event.get("Records", [])]
    return [one for one in described if one["key"].startswith(prefix)]


def test_an_execution_waits_and_goes_on_without_repeating_its_steps(sample: Stack) -> None:
    arn = sample.invoke({"name": "waiting"})
    sample.wait_idle()
    assert result(sample, arn)["steps"] == ["first", "again"]
    lines = [line for line in sample.function_log() if line.endswith(" at waiting")]
    assert sorted(lines) == ["looking again at waiting", "looking first at waiting"]


def test_the_function_gets_the_environment_that_the_template_gives_it(sample: Stack) -> None:
    arn = sample.invoke({"name": "environment"})
    sample.wait_idle()
    assert result(sample, arn)["ledger"] == sample.resources.outputs["LedgerTableName"]


def test_more_invocations_than_runtimes_take_turns(sample: Stack) -> None:
    arns = [sample.invoke({"name": f"turn {number}", "wait": 1}) for number in range(6)]
    sample.wait_idle()
    assert [result(sample, arn)["steps"] for arn in arns] == [["first", "again"]] * 6


def test_a_deployment_reaches_every_later_invocation(sample: Stack) -> None:
    arns = [sample.invoke({"name": f"before {number}"}) for number in range(4)]
    sample.wait_idle()
    before = {result(sample, arn)["routes"] for arn in arns}
    sample.deploy("second routes")
    arns = [sample.invoke({"name": f"deployed {number}"}) for number in range(4)]
    sample.wait_idle()
    assert before == {""}
    assert {result(sample, arn)["routes"] for arn in arns} == {"second routes"}


def test_an_execution_survives_the_crash_of_its_runtime(sample: Stack, tmp_path: Path) -> None:
    once = tmp_path / "once"
    arn = sample.invoke({"name": "crash", "seconds": 2, "once": str(once)})
    until(once.exists, "the step begins")
    assert sample.kill_runtime() is not None
    sample.wait_idle()
    assert result(sample, arn)["steps"] == ["first", "again"]
    assert sample.function_log().count("looking first at crash") == 2


def test_an_invocation_that_exceeds_the_functions_timeout_is_ended_and_made_again(
    sample: Stack, tmp_path: Path
) -> None:
    arn = sample.invoke({"name": "slow", "seconds": 3600, "once": str(tmp_path / "once")})
    sample.wait_idle()
    assert result(sample, arn)["steps"] == ["first", "again"]
    assert sample.function_log().count("looking first at slow") == 2


def test_a_failed_executions_event_waits_in_the_dead_letter_queue_with_the_reason(sample: Stack) -> None:
    sample.invoke({"name": "failing", "fail": True})
    sample.wait_idle()
    letters = [letter for letter in sample.dead_letters() if letter.event["name"] == "failing"]
    assert [letter.error for letter in letters] == ["told to fail"]


def test_a_stopped_executions_event_waits_in_the_dead_letter_queue(sample: Stack) -> None:
    arn = sample.invoke({"name": "stopped", "wait": 600})
    sample.aws.functions.stop_durable_execution(DurableExecutionArn=arn)
    sample.wait_idle()
    assert sample.execution(arn).status == "STOPPED"
    assert "stopped" in [letter.event["name"] for letter in sample.dead_letters()]


def test_the_function_hears_of_an_upload_with_version_and_sequencer(sample: Stack) -> None:
    versions = [sample.upload("named/a é+b.csv", b"same content") for _ in range(2)]
    sample.wait_idle()
    heard = objects(sample, "named/")
    assert [one["key"] for one in heard] == ["named/a+%C3%A9%2Bb.csv"] * 2
    assert [one["versionId"] for one in heard] == versions
    assert heard[0]["sequencer"] < heard[1]["sequencer"]


def test_events_can_be_doubled_and_reordered(sample: Stack) -> None:
    def disturbed(record: Record) -> list[Delivery]:
        first = record["s3"]["object"]["key"].endswith("/first")
        return [Delivery(record, after_seconds=1.5 if first else 0), Delivery(record, after_seconds=2)]

    sample.notifications.travel = disturbed
    try:
        sample.upload("disturbed/first", b"1")
        sample.upload("disturbed/second", b"2")
        sample.wait_idle()
    finally:
        sample.notifications.travel = straight
    heard = [one["key"].removeprefix("disturbed/") for one in objects(sample, "disturbed/")]
    assert heard[:2] == ["second", "first"]
    assert sorted(heard) == ["first", "first", "second", "second"]


def test_an_asynchronous_invocation_of_the_alias_starts_an_execution(sample: Stack) -> None:
    answer = sample.aws.functions.invoke(FunctionName=ALIAS, InvocationType="Event", Payload=b'{"drain": "a lane"}')
    assert answer["StatusCode"] == 202
    sample.wait_idle()
    assert '{"drain": "a lane"}' in [one.input_payload for one in sample.executions.all()]


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("autoload", "Event", "InvalidParameterValueException"),
        (ALIAS, "RequestResponse", "InvalidParameterValueException"),
        ("another:live", "Event", "ResourceNotFoundException"),
        ("autoload:7", "Event", "ResourceNotFoundException"),
    ],
)
def test_invocations_that_lambda_refuses_are_refused(sample: Stack, name: str, kind: Any, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        sample.aws.functions.invoke(FunctionName=name, InvocationType=kind, Payload=b"{}")
    assert refused.value.response["Error"]["Code"] == code


def test_tools_find_the_stacks_outputs_and_the_functions_configuration(sample: Stack) -> None:
    [stack] = sample.aws.cloudformation.describe_stacks(StackName="autoload")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    configuration = sample.aws.functions.get_function_configuration(
        FunctionName=outputs["FunctionName"], Qualifier="live"
    )
    assert configuration["Environment"]["Variables"]["LEDGER_TABLE"] == outputs["LedgerTableName"]
    assert outputs["CloudWorksUrl"] == sample.anaplan.cloudworks_url


def test_the_load_history_page_finds_its_ledger_and_its_function(sample: Stack) -> None:
    settings, outputs = sample.page.settings, sample.resources.outputs
    assert (settings.ledger_table, settings.function) == (outputs["LedgerTableName"], outputs["FunctionAliasArn"])
    assert settings.reports_bucket == outputs["ReportsBucketName"]
    assert listing(sample.page, View()).loads == ()


def test_the_templates_resources_are_there_as_it_describes_them(sample: Stack) -> None:
    table = sample.resources.outputs["LedgerTableName"]
    described = sample.aws.dynamodb.describe_table(TableName=table)["Table"]
    assert [index["IndexName"] for index in described["LocalSecondaryIndexes"]] == ["waiting"]
    expiry = sample.aws.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", "ttl")
    assert sample.aws.s3.get_bucket_versioning(Bucket=sample.inbox)["Status"] == "Enabled"


def test_schedules_send_their_events(logs: Path) -> None:
    options = Options(handler="tests.e2e.sample.handler", runtimes=1, sweep_seconds=0.5, logs=logs / "scheduled")
    with Stack(options) as stack:
        until(lambda: len(stack.executions.all()) >= 2, "two events of the schedule")
        [event] = {one.input_payload for one in stack.executions.all()}
        buckets = f"arn:aws:s3:::{stack.inbox},"
        assert json.loads(event or "") == {"sweep": True, "reconcile": {"every": "1h", "buckets": buckets}}


# Nothing is left behind: every process of a stack inherits TMPDIR, and is found by it.

KEEPER = """
from local.aws.stack import Options, Stack
with Stack(Options(handler="tests.e2e.sample.handler", runtimes=1)) as stack:
    stack.invoke({"name": "anybody"})
    stack.wait_idle()
    print("up", flush=True)
    input()
"""


def processes(directory: Path) -> list[int]:
    """The processes whose TMPDIR is this directory."""
    marker = f"TMPDIR={directory}\0".encode()
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if marker in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stack_that_is_interrupted_or_killed_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    keeper = subprocess.Popen(  # noqa: S603 (our own command)
        [sys.executable, "-c", KEEPER],
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "up\n"
        assert len(processes(tmp_path)) > 4
        keeper.send_signal(number)
        keeper.wait(20)
    until(lambda: not processes(tmp_path), "every process has ended")


def test_a_stack_that_cannot_start_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    template = tmp_path / "template.yaml"
    template.write_text("Resources: {Queue: {Type: AWS::SQS::Queue}}")
    with pytest.raises(TemplateUnusable, match="Autoload"), Stack(Options(template=template)):
        pass
    assert not processes(tmp_path)
