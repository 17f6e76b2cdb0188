"""How long after a run's end it is noticed, and how many looks that takes.

The schedule is simulated with the very function that the leader uses, `protocol.next_delay`, from the moment the run
was asked for: a look at once, then one after each delay. Requests are taken to last no time. Nothing is timed here, so
every figure is exact.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from anaplan_autoload.aws import settings
from anaplan_autoload.domain.protocol import next_delay
from bench.markdown import span, table

LENGTHS = (5, 15, 30, 60, 5 * 60, 10 * 60, 3600, 4 * 3600, 8 * 3600)
"""Seconds that a run lasts."""
FIXED = 30
"""Seconds between two looks of the schedule compared with."""
SHORT = 12
"""Seconds; the shortest delay is a sixth of a run this long."""


def looks(poll_min: int, poll_max: int, until: int) -> list[int]:
    """Seconds, after the request for the run, at which it is looked at; the last is the first at `until` or later."""
    times = [0]
    while times[-1] < until:
        times.append(times[-1] + next_delay(times[-1], poll_min, poll_max))
    return times


def worst_share(times: list[int], shortest: int) -> tuple[float, int]:
    """The longest delay as a share of the run's length, and that length in seconds, among runs of at least `shortest`.

    The unluckiest run ends just after a look, and is noticed at the next.
    """
    gaps = [((later - earlier) / max(earlier, shortest), earlier) for earlier, later in pairwise(times)]
    return max(gap for gap in gaps if gap[1] >= shortest)


def main() -> None:
    """Print the two tables."""
    given = settings.from_environment(
        dict.fromkeys(
            (
                "ANAPLAN_SECRET_ID",
                "LEDGER_TABLE",
                "TOPIC_ARN",
                "ANAPLAN_AUTH_URL",
                "CLOUDWORKS_URL",
                "AWS_LAMBDA_FUNCTION_NAME",
            ),
            "not used",
        )
    )
    times = looks(given.poll_min, given.poll_max, LENGTHS[-1] + given.poll_max)
    rows = []
    for length in LENGTHS:
        noticed = bisect_left(times, length)
        gap = times[noticed] - times[noticed - 1]
        fixed_looks = -(-length // FIXED) + 1
        rows.append(
            (
                span(length),
                f"{gap} s",
                f"{gap / length:.1%}",
                noticed + 1,
                f"{FIXED} s",
                f"{FIXED / length:.1%}",
                fixed_looks,
            )
        )
    table(
        "A run's end is noticed within",
        ("run", "at most", "of the run", "looks", f"every {FIXED} s", "of the run", "looks"),
        rows,
    )
    share, length = worst_share(times, SHORT)
    print(
        f"\nWorst share among all runs from {span(SHORT)} to {span(LENGTHS[-1])}: {share:.4f} "
        f"(a sixth is {1 / 6:.4f}), of a run that ends just after {span(length)}; "
        f"shorter runs are noticed within {given.poll_min} s."
    )


if __name__ == "__main__":
    main()
