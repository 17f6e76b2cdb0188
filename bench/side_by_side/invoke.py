"""`python -m bench.side_by_side.invoke sdk|script`: one invocation, in a process of its own.

anaplan-sdk has Anaplan's addresses in its source, so its requests are turned to the simulator here.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

READY = "ready"
"""What it prints once everything is imported: from then on an invocation's time counts."""


def turn_to_simulator() -> None:
    """Send what the SDK sends to `*.anaplan.com` to the simulator."""
    httpx = import_module("httpx2")
    simulator = urlsplit(os.environ["ANAPLAN_AUTH_URL"])
    send = httpx.HTTPTransport.handle_request

    def turned(transport: Any, request: Any) -> Any:
        request.url = request.url.copy_with(scheme="http", host=simulator.hostname, port=simulator.port)
        return send(transport, request)

    httpx.HTTPTransport.handle_request = turned


def main() -> None:
    """Run the handler once; an exception ends the process with exit code 1, as it fails an invocation."""
    which = sys.argv[1]
    if which == "sdk":
        turn_to_simulator()
    handler = import_module(f"bench.side_by_side.{which}_lambda").handler
    print(READY, flush=True)
    print(json.dumps(handler({}, None)))


if __name__ == "__main__":
    main()
