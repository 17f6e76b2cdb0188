"""Run the simulator alone: `python -m local.cloudworks --port 8090 --s3-endpoint http://127.0.0.1:5000`."""

from __future__ import annotations

import argparse
import signal
from threading import Event

import boto3

from local.cloudworks.buckets import S3Buckets
from local.cloudworks.seeding import USERNAME, seed
from local.cloudworks.server import serve
from local.cloudworks.settings import Pace, SimulatorSettings
from local.cloudworks.simulator import Simulator


def main() -> None:
    """Serve until interrupted or terminated."""
    options = _options()
    client = boto3.client("s3", endpoint_url=options.s3_endpoint, region_name=options.region)
    settings = SimulatorSettings(pace=Pace(options.queue_seconds, options.run_seconds))
    simulator = Simulator(S3Buckets(client), settings=settings)
    if options.bucket:
        seeded = seed(simulator, options.bucket, [_named_file(text) for text in options.integration])
        for name, integration_id in seeded.integration_ids.items():
            print(f"integration {name}: {integration_id}")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with serve(simulator, options.port) as serving:
        print(f"ANAPLAN_AUTH_URL={serving.auth_url}")
        print(f"CLOUDWORKS_URL={serving.cloudworks_url}", flush=True)
        stop.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.cloudworks", description="A simulator of Anaplan CloudWorks."
    )
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; default: any free one")
    parser.add_argument("--s3-endpoint", help="default: what boto3 finds")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--run-seconds", type=float, default=2.0, help="how long runs take")
    parser.add_argument("--queue-seconds", type=float, default=0.0, help="how long they wait before they start")
    parser.add_argument("--bucket", help=f"seed user {USERNAME} and a connection to this bucket")
    parser.add_argument("--integration", action="append", default=[], metavar="NAME=FILE", help="seed an import")
    return parser.parse_args()


def _named_file(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not equals:
        raise SystemExit(f"--integration {text}: write NAME=FILE, such as Accounts=source/Accounts.csv")
    return name, file


if __name__ == "__main__":
    main()
