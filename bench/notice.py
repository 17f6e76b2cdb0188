"""How long after a run's end it is noticed, and how many looks that takes: with a history, and without.

The schedule is simulated with the function that the leader uses, from the moment the run was asked for: a look at
once, then one after each delay. Requests are assumed to take no time. Every situation is a sequence of runs, each of
which enters the history that the next is followed by. It is compared with the rule for runs without a history (15 % of
the
time waited, 2 to 60 s). The lengths are drawn with a fixed seed, so every figure is the same each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import mean, quantiles

from msgspec import Struct

from anaplan_autoload.domain.polling import MOST_LENGTHS, next_look
from bench.markdown import span, table

RUNS = 3_000
"""Runs of each situation."""
LENGTHS = (60, 5 * 60, 3600, 4 * 3600)
"""Seconds that a run of a situation usually lasts."""
POLL = (2, 60)
"""`POLL_MIN_SECONDS` and `POLL_MAX_SECONDS` as deployed."""
SUDDEN = 50
"""Runs between two sudden changes."""
SEED = 20


class Seen(Struct, frozen=True):
    """How one schedule did with a sequence of runs."""

    late: list[float]
    """Seconds from each run's end to the look that saw it."""
    looks: list[int]
    """Looks at each run."""

    @property
    def p95(self) -> float:
        """95 of 100 runs were noticed sooner."""
        return quantiles(self.late, n=20)[-1]


def follow(length: float, history: Sequence[int]) -> tuple[float, int]:
    """How late the end of a run is seen, in seconds, and how many looks were taken."""
    at, looks = 0.0, 1
    while at < length:
        at += next_look(at, history, *POLL)
        looks += 1
    return at - length, looks


def learned(lengths: Sequence[float]) -> Seen:
    """Each run is followed with the lengths of those before it."""
    history: deque[int] = deque(maxlen=MOST_LENGTHS)
    found = []
    for length in lengths:
        found.append(follow(length, tuple(history)))
        history.append(round(length))
    return _seen(found)


def unlearned(lengths: Sequence[float]) -> Seen:
    """Each run is followed as if it were the first."""
    return _seen([follow(length, ()) for length in lengths])


def _steady(usual: float, chance: Random) -> Iterator[float]:
    while True:
        yield usual * chance.uniform(0.9, 1.1)


def _changing(factor: float) -> Callable[[float, Random], Iterator[float]]:
    """Every `SUDDEN` runs the length changes by the factor, or back."""

    def changing(usual: float, chance: Random) -> Iterator[float]:
        for number, length in enumerate(_steady(usual, chance)):
            yield length * (factor if number // SUDDEN % 2 else 1)

    return changing


def _bimodal(usual: float, chance: Random) -> Iterator[float]:
    for length in _steady(usual, chance):
        yield length * chance.choice((0.2, 1))


def _outlier(usual: float, chance: Random) -> Iterator[float]:
    """One run in twenty takes three times as long: there is always one in the history."""
    for number, length in enumerate(_steady(usual, chance)):
        yield length * (3 if number % MOST_LENGTHS == 7 else 1)


SITUATIONS: dict[str, Callable[[float, Random], Iterator[float]]] = {
    "±10 %": _steady,
    f"× 0.3 and back, every {SUDDEN} runs": _changing(0.3),
    f"× 3 and back, every {SUDDEN} runs": _changing(3),
    "two lengths, 1 : 5": _bimodal,
    "one in 20 takes three times as long": _outlier,
}


def lengths_of(situation: str, usual: float, runs: int = RUNS) -> list[float]:
    """The lengths of so many of its runs, the same each time."""
    drawn = SITUATIONS[situation](usual, Random(SEED))
    return [next(drawn) for _ in range(runs)]


def first_after(factor: float, usual: float) -> tuple[Seen, Seen]:
    """The first run after a sudden change, many times over, with a history of the usual length and without one."""
    steady = _steady(usual, Random(SEED))
    learned_runs, others = [], []
    for _ in range(RUNS // 10):
        length = next(steady) * factor
        learned_runs.append(follow(length, [round(next(steady)) for _ in range(MOST_LENGTHS)]))
        others.append(follow(length, ()))
    return _seen(learned_runs), _seen(others)


def _seen(found: Sequence[tuple[float, int]]) -> Seen:
    return Seen([late for late, _looks in found], [looks for _late, looks in found])


def _row(name: str, usual: float, ours: Seen, before: Seen) -> tuple[object, ...]:
    return (
        name,
        span(usual),
        f"{mean(ours.late):.1f} / {ours.p95:.1f} s",
        f"{mean(before.late):.1f} / {before.p95:.1f} s",
        f"{mean(ours.looks):.1f}",
        f"{mean(before.looks):.1f}",
    )


HEAD = ("lengths", "run", "noticed after, mean / p95", "without a history", "looks", "without a history")


def main() -> None:
    """Print the tables."""
    rows = []
    for situation in SITUATIONS:
        for usual in LENGTHS:
            lengths = lengths_of(situation, usual)
            rows.append(_row(situation, usual, learned(lengths), unlearned(lengths)))
    table(f"{RUNS:,} runs of each kind, one after another", HEAD, rows)
    changes = [
        _row(f"× {factor:g}", usual, *first_after(factor, usual))
        for factor in (0.01, 0.1, 0.3, 3.0)
        for usual in LENGTHS
    ]
    table("The one run that breaks with its history", HEAD, changes)


if __name__ == "__main__":
    main()
