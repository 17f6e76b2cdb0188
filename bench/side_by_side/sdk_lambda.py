"""A Lambda function that logs in with the published anaplan-sdk, starts the integration, and sleeps until it ends."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3
from anaplan_sdk import Client

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))


def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Load what was uploaded; raises when the run failed."""
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["ANAPLAN_SECRET_ID"])
    login = json.loads(secret["SecretString"])
    anaplan = Client(user_email=login["username"], password=login["password"])
    run_id = anaplan.cw.run_integration(os.environ["INTEGRATION_ID"])
    while (run := anaplan.cw.get_run_status(run_id)).end_date is None:
        time.sleep(POLL_SECONDS)
    if not run.success:
        raise RuntimeError(f"run {run_id} failed: {run.message}")
    return {"run_id": run_id, "message": run.message}
