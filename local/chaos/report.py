"""The report of a storm, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from local.chaos.evidence import Evidence
from local.chaos.plan import Plan
from local.chaos.verdict import Verdict

SHOWN = 20
"""Lines of what is wrong."""
Row = tuple[str, object]


def report(plan: Plan, evidence: Evidence, verdict: Verdict) -> str:
    """What went wrong on purpose, the results, and whether the promise was kept."""
    return "\n".join(
        [
            f"Seed {plan.seed}: {len(plan.uploads)} uploads to {len(plan.routes)} routes, which load latest and each "
            f"by turns (the last two share a lane); trouble for {plan.seconds:.0f} s.",
            "",
            "What went wrong on purpose",
            *_table(_trouble(evidence)),
            "",
            "What came of it",
            *_table(_figures(evidence, verdict)),
            "",
            *_judgement(verdict),
        ]
    )


def _trouble(evidence: Evidence) -> Iterator[Row]:
    trouble = evidence.trouble
    asked = [request for request in evidence.requests if request.at < trouble.until]
    spoiled = Counter(request.fault for request in asked if request.fault)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(spoiled.items()))
    yield "runtimes killed (SIGKILL)", len(trouble.kills)
    yield "leaders stopped for good", trouble.stops
    yield "answers of CloudWorks spoiled", f"{spoiled.total()} of {len(asked)} ({kinds})"
    yield (
        "events delivered",
        f"{trouble.events} for {len(evidence.made)} uploads, {trouble.late} of them late and so out of order",
    )


def _figures(evidence: Evidence, verdict: Verdict) -> Iterator[Row]:
    yield "uploads", len(evidence.made)
    yield "runs", len(evidence.runs)
    yield "uploads lost", len(verdict.lost)
    yield "uploads nobody was told of", len(verdict.silent)
    yield "runs that overlapped in a lane", len(verdict.overlapping)
    yield "older data loaded over newer", len(verdict.backward)
    yield "uploads the ledger is wrong about", len(verdict.wrong)
    yield "uploads superseded by newer data", verdict.superseded
    yield "uploads announced as failed", _listed(verdict.failed)
    yield "needless runs", _listed(verdict.needless)
    yield "needless runs without a reason", len(verdict.unexplained)
    yield "messages sent again (same id)", verdict.repeated_messages
    yield "dead letters redriven", evidence.trouble.redriven
    statuses = ", ".join(f"{status} {count}" for status, count in sorted(evidence.executions.items()))
    yield "executions", f"{sum(evidence.executions.values())} ({statuses})"
    yield "seconds until all was at rest", round(evidence.seconds)


def _listed(reasons: dict[str, int]) -> str:
    total = str(sum(reasons.values()))
    shown = "; ".join(f"{count}: {reason}" for reason, count in sorted(reasons.items()))
    return f"{total} ({shown})" if reasons else total


def _judgement(verdict: Verdict) -> Iterator[str]:
    if not verdict.broken:
        yield "The promise was kept."
        return
    yield f"The promise was broken in {len(verdict.broken)} cases:"
    yield from verdict.broken[:SHOWN]


def _table(rows: Iterable[Row]) -> list[str]:
    return [f"  {name:<34} {value}" for name, value in rows]
