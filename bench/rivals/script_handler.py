"""A Lambda function that loads an upload with boto3 and requests, as blog posts have it."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.parse import unquote_plus

import boto3
import requests

AUTH_URL = "https://auth.anaplan.com"
CLOUDWORKS_URL = "https://api.cloudworks.anaplan.com/2/0"

secrets = boto3.client("secretsmanager")
sns = boto3.client("sns")


def handler(event: dict[str, Any], context: object) -> None:
    """Run the integration and wait for its end."""
    key = unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    try:
        message = load()
    except Exception as error:
        tell("failed", key, str(error))
        raise
    tell("loaded", key, message)


def load() -> str:
    """Start a run, follow it, and return its message; raises an error if it was not successful."""
    headers = {"Authorization": f"AnaplanAuthToken {log_in()}", "Content-Type": "application/json"}
    url = f"{CLOUDWORKS_URL}/integrations/{os.environ['INTEGRATION_ID']}/run"
    started = requests.post(url, headers=headers, timeout=30)
    started.raise_for_status()
    run_id = started.json()["run"]["id"]
    while True:
        answer = requests.get(f"{CLOUDWORKS_URL}/integrations/run/{run_id}", headers=headers, timeout=30)
        answer.raise_for_status()
        run = answer.json()["run"]
        if run.get("endDate"):
            break
        time.sleep(10)
    if not run["success"]:
        raise RuntimeError(f"Run {run_id} failed: {run['message']}")
    return str(run["message"])


def log_in() -> str:
    """A token."""
    secret = json.loads(secrets.get_secret_value(SecretId=os.environ["ANAPLAN_SECRET_ID"])["SecretString"])
    answer = requests.post(f"{AUTH_URL}/token/authenticate", auth=(secret["username"], secret["password"]), timeout=30)
    answer.raise_for_status()
    return str(answer.json()["tokenInfo"]["tokenValue"])


def tell(outcome: str, key: str, message: str) -> None:
    """Send a message to the topic."""
    text = json.dumps({"outcome": outcome, "key": key, "message": message})
    sns.publish(TopicArn=os.environ["TOPIC_ARN"], Subject=f"Anaplan: {outcome}", Message=text)
