"""A function on the laptop's stack that lets the password out wherever it can; `test_canaries.py` sees it caught."""

from __future__ import annotations

import json
from pathlib import Path

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution, durable_step

from local.aws.stack import Options, Stack
from local.cloudworks import PASSWORD


@durable_step
def tell(_: StepContext) -> str:
    """Let it out in the log and in the checkpoint."""
    print(f"logging in with {PASSWORD}", flush=True)  # noqa: T201
    return PASSWORD


@durable_execution
def handler(event: object, context: DurableContext) -> str:
    """Let it out in the result, or in the error that a dead letter names."""
    told = context.step(tell())
    if isinstance(event, dict) and "fail" in event:
        raise ValueError(told)
    return told


def test_everything_at_once(tmp_path: Path) -> None:
    options = Options(handler=f"{__name__}.handler", runtimes=1, sweep_seconds=600, logs=tmp_path)
    with Stack(options) as stack:
        outputs = stack.resources.outputs
        stack.aws.sns.publish(TopicArn=outputs["TopicArn"], Message=json.dumps({"told": PASSWORD}))
        item = {"pk": {"S": "lane#1"}, "sk": {"S": PASSWORD}}
        stack.aws.dynamodb.put_item(TableName=outputs["LedgerTableName"], Item=item)
        stack.aws.s3.put_object(Bucket=outputs["ReportsBucketName"], Key="reports/1", Body=PASSWORD.encode())
        stack.invoke({"fail": True})
        stack.invoke({})
        stack.wait_idle()
