"""A Lambda function that loads an upload with anaplan-sdk, as its documentation suggests."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.parse import unquote_plus

import anaplan_sdk
import boto3

secrets = boto3.client("secretsmanager")
sns = boto3.client("sns")


def handler(event: dict[str, Any], context: object) -> None:
    """Run the integration and wait for its end."""
    key = unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    try:
        status = load()
    except Exception as error:
        tell("failed", key, str(error))
        raise
    tell("loaded", key, status.message)


def load() -> Any:
    """Start a run, follow it, and return its status; raises an error if it was not successful."""
    secret = json.loads(secrets.get_secret_value(SecretId=os.environ["ANAPLAN_SECRET_ID"])["SecretString"])
    client = anaplan_sdk.Client(user_email=secret["username"], password=secret["password"])
    run_id = client.cw.run_integration(os.environ["INTEGRATION_ID"])
    status = client.cw.get_run_status(run_id)
    while status.end_date is None:
        time.sleep(10)
        status = client.cw.get_run_status(run_id)
    if not status.success:
        raise RuntimeError(f"Run {run_id} failed: {status.message}")
    return status


def tell(outcome: str, key: str, message: str) -> None:
    """Send a message to the topic."""
    text = json.dumps({"outcome": outcome, "key": key, "message": message})
    sns.publish(TopicArn=os.environ["TOPIC_ARN"], Subject=f"Anaplan: {outcome}", Message=text)
