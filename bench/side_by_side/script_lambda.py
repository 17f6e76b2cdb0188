"""A Lambda function as blog posts have it: boto3 for the secret, requests for Anaplan, and a loop that sleeps."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3
import requests

AUTH_URL = os.environ.get("ANAPLAN_AUTH_URL", "https://auth.anaplan.com")
CLOUDWORKS_URL = os.environ.get("CLOUDWORKS_URL", "https://api.cloudworks.anaplan.com/2/0")
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))
TIMEOUT = 30


def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Load what was uploaded; raises when the run failed."""
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["ANAPLAN_SECRET_ID"])
    login = json.loads(secret["SecretString"])
    token = requests.post(
        f"{AUTH_URL}/token/authenticate", auth=(login["username"], login["password"]), timeout=TIMEOUT
    )
    token.raise_for_status()
    headers = {"Authorization": f"AnaplanAuthToken {token.json()['tokenInfo']['tokenValue']}"}
    integration_id = os.environ["INTEGRATION_ID"]
    started = requests.post(f"{CLOUDWORKS_URL}/integrations/{integration_id}/run", headers=headers, timeout=TIMEOUT)
    started.raise_for_status()
    run_id = started.json()["run"]["id"]
    while True:
        status = requests.get(f"{CLOUDWORKS_URL}/integrations/run/{run_id}", headers=headers, timeout=TIMEOUT)
        status.raise_for_status()
        run = status.json()["run"]
        if run.get("endDate"):
            break
        time.sleep(POLL_SECONDS)
    if not run["success"]:
        raise RuntimeError(f"run {run_id} failed: {run['message']}")
    return {"run_id": run_id, "message": run["message"]}
