"""`python -m local.chaos`: exits with 1 when the promise was broken, and with 2 when it all took too long."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys

from local.chaos.plan import draw
from local.chaos.report import report
from local.chaos.storm import LEASE_SECONDS, Unfinished, rage
from local.chaos.verdict import judge


def main() -> int:
    """Draw a plan, carry it out, and judge the result."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = draw(options.seed, options.uploads, options.routes)
    print(
        f"Seed {plan.seed}. Trouble lasts {plan.seconds:.0f} s; then all is to come to rest.",
        flush=True,
    )
    try:
        evidence = rage(plan, options.minutes * 60, runtimes=options.runtimes, lease_seconds=options.lease)
    except Unfinished as unfinished:
        print(f"Seed {plan.seed}: {unfinished}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Everything has stopped.")
        return 130
    verdict = judge(evidence)
    print(report(plan, evidence, verdict))
    return 1 if verdict.broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.chaos", description="Uploads by the hundred while everything goes wrong on purpose."
    )
    parser.add_argument("--uploads", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--routes", type=int, default=6, help="half of them latest, half each (default: 6)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="default: any")
    parser.add_argument("--runtimes", type=int, default=4, help="invocations at the same time (default: 4)")
    parser.add_argument(
        "--lease", type=int, default=LEASE_SECONDS, help="seconds; more on a busy machine (default: 18)"
    )
    parser.add_argument("--minutes", type=float, default=30, help="until it is given up (default: 30)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
