"""A small durable function to try the laptop's AWS with: a step, a wait, and a step."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution, durable_step
from aws_durable_execution_sdk_python.config import Duration

from anaplan_autoload.aws.routes_store import RoutesStore


@durable_step
def look(_: StepContext, event: dict[str, Any], what: str) -> str:
    """Note what was looked at; takes `seconds`, unless the file `once` says that this was done before."""
    print(f"looking {what} at {event['name']}", flush=True)  # noqa: T201 (what a function prints is its log)
    once = Path(event["once"]) if "once" in event else None
    if once is None or not once.exists():
        if once is not None:
            once.touch()
        time.sleep(event.get("seconds", 0))
    return what


@cache
def routes() -> str:
    """The routes as they were when this runtime first needed them; empty where there were none."""
    current = RoutesStore(boto3.client("dynamodb"), os.environ["LEDGER_TABLE"]).current()
    return current.text if current else ""


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Do what the event says."""
    if "name" not in event:
        return {"event": event}
    first = context.step(look(event, "first"))
    context.wait(Duration.from_seconds(event.get("wait", 1)))
    if event.get("fail"):
        raise ValueError("told to fail")
    second = context.step(look(event, "again"))
    return {"steps": [first, second], "ledger": os.environ["LEDGER_TABLE"], "routes": routes()}
