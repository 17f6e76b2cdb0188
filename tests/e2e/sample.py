"""A small durable function to try the laptop's AWS with: a step, a wait, and a step."""

from __future__ import annotations

import os
import time
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution, durable_step
from aws_durable_execution_sdk_python.config import Duration


@durable_step
def look(_: StepContext, event: dict[str, Any]) -> str:
    """Note that the event was seen, as slowly as it asks for."""
    print(f"looking {event.get('name')}", flush=True)  # noqa: T201 (what a function prints is its log)
    time.sleep(event.get("seconds", 0))
    return str(event.get("name"))


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Do what the event says."""
    if "Records" in event:
        return {"object": event["Records"][0]["s3"]["object"]}
    first = context.step(look(event))
    context.wait(Duration.from_seconds(1))
    if event.get("fail"):
        raise ValueError("told to fail")
    second = context.step(look(event))
    return {"steps": [first, second], "ledger": os.environ["LEDGER_TABLE"]}
