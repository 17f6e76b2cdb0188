"""Starts an execution as `sam local invoke` does, by SAM's own code: run in SAM's environment.

`DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT=… python sam_starts.py FUNCTION_URL EVENT_FILE` prints how it ended.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from samcli.local.docker.durable_functions_emulator_container import DurableFunctionsEmulatorContainer

DURABLE = {"ExecutionTimeout": 604800, "RetentionPeriodInDays": 14}


def main(function_url: str, event: str) -> None:
    """Start, wait, and print."""
    emulator = DurableFunctionsEmulatorContainer()
    emulator.start_or_attach()
    started = emulator.start_durable_execution(None, Path(event).read_text(), function_url, DURABLE)
    arn = started["ExecutionArn"]
    while (found := emulator.lambda_client.get_durable_execution(arn))["Status"] == "RUNNING":
        time.sleep(0.5)
    result = json.loads(found.get("Result") or "null")
    told = {"arn": arn, "status": found["Status"], "result": result, "error": found.get("Error")}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
