"""`python -m local.demo`: 0 when everything came as it must, 1 when not, 130 when interrupted."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from local.aws.processes import StartFailed
from local.aws.stack import ROOT, Stack
from local.demo.screen import Screen
from local.demo.story import Story, TookTooLong, options
from local.demo.timeline import as_report
from local.demo.verdict import Seen, judge

FAILED, INTERRUPTED = 1, 130


def main() -> int:
    """Play the demo; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen()
    logs = ROOT / ".local/logs" / time.strftime("demo-%Y-%m-%dT%H.%M.%S")
    try:
        screen.introduce()
        with screen.live("starting AWS on this machine"), Stack(options(logs)) as stack:
            seen = Story(stack, screen.tell, screen.show).run()
            screen.show("collecting what everyone has seen")
            _conclude(screen, stack, seen)
    except (TookTooLong, StartFailed, FileNotFoundError) as error:
        return _fail(screen, str(error), logs)
    except KeyboardInterrupt:
        screen.failed("Interrupted; everything that was started has ended.")
        return INTERRUPTED
    findings = judge(seen)
    screen.verdict(findings)
    failed = [finding for finding in findings if finding.problems]
    return _fail(screen, f"{len(failed)} of {len(findings)} expectations failed.", logs) if failed else 0


def _fail(screen: Screen, reason: str, logs: Path) -> int:
    screen.failed(f"{reason}\nThe logs of every part are in {logs.relative_to(ROOT)}")
    return FAILED


def _conclude(screen: Screen, stack: Stack, seen: Seen) -> None:
    """Show what is left of the loads, part by part."""
    reports = [as_report(message) for message in stack.messages()]
    screen.messages(reports)
    for one in reports:
        if one.outcome == "partial" and one.report_url is not None:
            screen.mail(one)
            bucket, _, prefix = one.report_url.removeprefix("s3://").partition("/")
            rows = stack.aws.s3.get_object(Bucket=bucket, Key=f"{prefix}rejected.csv")["Body"].read()
            screen.rejected("rejected.csv", rows.decode())
    screen.metrics(stack.metrics())
    screen.history(seen.history)


if __name__ == "__main__":
    sys.exit(main())
