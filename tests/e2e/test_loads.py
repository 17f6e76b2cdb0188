"""Uploads become loads in the function as it is deployed, despite trouble with its runtimes and its events."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.aws.notifications import Delivery, Record, straight
from local.aws.stack import Stack
from tests.e2e.waiting import until

ACCOUNTS = "incoming/accounts/accounts.csv"


def told(stack: Stack) -> dict[str, list[str]]:
    """Version id to the outcomes that were announced for it."""
    outcomes: dict[str, list[str]] = {}
    for message in stack.messages():
        for upload in message.document["uploads"]:
            outcomes.setdefault(upload["version_id"], []).append(message.document["outcome"])
    return outcomes


def read(stack: Stack, prefix: str) -> list[str]:
    """The sha256 of what Anaplan's runs read from keys under the prefix, in the order of the runs."""
    return [source.sha256 for run in stack.simulator.runs for source in run.sources if source.key.startswith(prefix)]


@contextmanager
def travelling(stack: Stack, travel: Callable[[Record], list[Delivery]]) -> Iterator[None]:
    """Have events travel like this."""
    stack.notifications.travel = travel
    try:
        yield
    finally:
        stack.notifications.travel = straight


def test_an_upload_reaches_anaplan_its_subscribers_and_the_metrics(stack: Stack) -> None:
    version = stack.upload(ACCOUNTS, b"code,name\nA1,Cash\nA2,Receivables\n")
    stack.wait_idle()
    run = stack.simulator.runs[-1]
    assert [source.version_id for source in run.sources] == [version]
    assert stack.simulator.models[run.model_id]["A2"]["name"] == "Receivables"
    message = stack.messages()[-1]
    assert message.document["run_id"] == run.id
    expected = {"outcome": "loaded", "route": "accounts", "integration_id": run.integration_id}
    assert expected.items() <= message.attributes.items()  # after a burst, `digested` too
    loaded = [metric.dimensions for metric in stack.metrics() if metric.name == "RunsLoaded"]
    assert {"stack": stack.resources.function.name, "route": "accounts"} in loaded


def test_a_burst_gets_fewer_runs_than_uploads_and_the_last_of_them_reads_the_last_upload(stack: Stack) -> None:
    before = len(stack.simulator.runs)
    versions = [stack.upload(ACCOUNTS, f"code,name\nB1,Burst {number}\n".encode()) for number in range(10)]
    stack.wait_idle()
    runs = stack.simulator.runs[before:]
    assert len(runs) < len(versions)
    assert runs[-1].sources[0].version_id == versions[-1]
    assert [told(stack)[version] for version in versions] == [["loaded"]] * len(versions)


def test_doubled_and_reordered_events_load_every_object_once(stack: Stack) -> None:
    ages = iter(range(4))

    def disturbed(record: Record) -> list[Delivery]:
        if "source/" in record["s3"]["object"]["key"]:
            return straight(record)
        return [Delivery(record, after_seconds=1.5 - next(ages) / 2), Delivery(record, after_seconds=2)]

    before = len(stack.simulator.runs)
    with travelling(stack, disturbed):
        versions = [stack.upload(f"incoming/sales/d{n}.csv", f"code,name\nD{n},x\n".encode()) for n in range(4)]
        stack.wait_idle()
    assert [told(stack)[version] for version in versions] == [["loaded"]] * 4
    assert len(stack.simulator.runs) == before + 4


def test_nothing_is_lost_and_nothing_overlaps_while_runtimes_are_killed(stack: Stack) -> None:
    versions = []
    for number in range(4):
        versions.append(stack.upload(ACCOUNTS, f"code,name\nK{number},Killed\n".encode()))
        versions.append(stack.upload(f"incoming/sales/k{number}.csv", f"code,name\nK{number},Killed\n".encode()))
        time.sleep(0.6)  # so that leaders die in other steps too than their first
        until(lambda: stack.pool.busy, "the function is at work")
        assert stack.kill_runtime() is not None
    stack.wait_idle(100)
    outcomes = told(stack)
    assert [set(outcomes.get(version, ())) for version in versions] == [{"loaded"}] * len(versions)
    assert stack.simulator.overlaps == []
    assert max(Counter(read(stack, "source/")).values()) <= 2  # a load is repeated only where an answer was lost


def test_the_next_sweep_finishes_what_a_leader_that_died_for_good_has_left(stack: Stack) -> None:
    before = len(stack.simulator.runs)
    version = stack.upload(ACCOUNTS, b"code,name\nL1,Left behind\n")
    until(lambda: len(stack.simulator.runs) > before, "a run begins")
    [leader] = [one for one in stack.executions.all() if version in (one.input_payload or "")]
    stack.aws.functions.stop_durable_execution(DurableExecutionArn=leader.durable_execution_arn)
    until(lambda: version in told(stack), "the upload is announced", seconds=60)
    assert told(stack)[version] == ["loaded"]
    assert len(stack.simulator.runs) == before + 1
    buried = [letter.event["Records"][0]["s3"]["object"]["versionId"] for letter in stack.dead_letters()]
    assert buried == [version]


def test_an_upload_without_a_route_is_counted_and_logged(stack: Stack) -> None:
    before = len(stack.simulator.runs)
    stack.upload("elsewhere/unknown.csv", b"code,name\n")
    stack.wait_idle()
    assert [metric.value for metric in stack.metrics() if metric.name == "UploadsUnrouted"] == [1]
    assert any("elsewhere/unknown.csv" in line for line in stack.function_log())
    assert len(stack.simulator.runs) == before
