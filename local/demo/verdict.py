"""What must have come of the demo's uploads. Pure: what everyone saw in, findings out.

Nothing here asks the function: subscribers say what they were told, CloudWorks what it was asked and what it read,
the ledger what it remembers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from msgspec import Struct

from anaplan_autoload.aws.ledger import RunRecord

Rows = dict[str, dict[str, str]]
"""Code to row, a row being column to cell."""


class Act(Struct, frozen=True):
    """One file's uploads: one version of it, or several."""

    name: str
    """What the file is, in words."""
    versions: tuple[str, ...]
    """Version ids, oldest first."""
    content: bytes
    """Of the last version."""

    @property
    def rows(self) -> Rows:
        """The rows that Anaplan should take: the first of each code."""
        return {row["Code"]: row for row in reversed(self._lines()) if row["Code"]}

    @property
    def bad_rows(self) -> int:
        """How many rows Anaplan should reject: those without a code, or with one that was there before."""
        return len(self._lines()) - len(self.rows)

    def _lines(self) -> list[dict[str, str]]:
        return list(csv.DictReader(StringIO(self.content.decode())))


class Told(Struct, frozen=True):
    """What one message to subscribers said."""

    outcome: str
    run_id: str | None
    versions: tuple[str, ...]
    rows_rejected: int


class Begun(Struct, frozen=True):
    """A run as CloudWorks knows it."""

    id: str
    version: str | None
    """Of the file that it read."""


class Fate(Struct, frozen=True):
    """What the ledger says of one upload."""

    state: str
    run_id: str | None


class Seen(Struct, frozen=True, kw_only=True):
    """All that was seen, and by whom."""

    clean: Act
    mistaken: Act
    burst: Act
    told: tuple[Told, ...]
    """What subscribers got, in that order."""
    orders: int
    """How many requests to run the integration CloudWorks received."""
    runs: tuple[Begun, ...]
    """CloudWorks' runs, in the order of their beginnings."""
    overlaps: int
    """How many pairs of them were under way at the same time."""
    model: Rows
    """What is in Anaplan at the end."""
    history: tuple[RunRecord, ...]
    """The ledger's, in the order in which runs ended."""
    fates: dict[str, Fate]
    """The ledger's uploads, by version id."""
    counted: dict[str, float]
    """Sums of the metrics, by name."""
    dead_letters: int


class Finding(Struct, frozen=True):
    """One expectation, and how it was disappointed."""

    expected: str
    problems: tuple[str, ...] = ()
    """Empty where it was met."""


def judge(seen: Seen) -> tuple[Finding, ...]:
    """Hold what was seen against what the demo promises, expectation by expectation."""
    burst = len(seen.burst.versions)
    return (
        Finding(f"{seen.clean.name}: loaded", tuple(_act(seen, seen.clean, "loaded"))),
        Finding(
            f"{seen.mistaken.name}: partial, {seen.mistaken.bad_rows} rows rejected",
            tuple(_act(seen, seen.mistaken, "partial")),
        ),
        Finding(
            f"{seen.burst.name}: one run, begun after the last of {burst} uploads, covers them all",
            tuple(_act(seen, seen.burst, "loaded")),
        ),
        Finding("Anaplan holds every row of the last upload", tuple(_missing(seen))),
        Finding("three runs in all, one after another, and no dead letter", tuple(_whole(seen))),
        Finding("the metrics count two loaded runs, one partial run, every upload once", tuple(_metrics(seen))),
    )


def _act(seen: Seen, act: Act, outcome: str) -> Iterator[str]:
    """What is wrong with what came of an act, which one run should have covered."""
    messages = [told for told in seen.told if set(told.versions) & set(act.versions)]
    if len(messages) != 1:
        yield f"subscribers got {len(messages)} messages about it, not one"
        return
    [told] = messages
    if told.outcome != outcome:
        yield f"subscribers were told that it is {told.outcome}"
    if set(told.versions) != set(act.versions):
        yield f"the message speaks of {len(told.versions)} uploads, not of these {len(act.versions)}"
    if told.rows_rejected != act.bad_rows:
        yield f"the message speaks of {told.rows_rejected} rejected rows, not of {act.bad_rows}"
    yield from _read(seen, act, told.run_id)
    yield from _remembered(seen, act, outcome, told.run_id)


def _read(seen: Seen, act: Act, run_id: str | None) -> Iterator[str]:
    """A run that read the last version began after all of the uploads."""
    read = [run.version for run in seen.runs if run.id == run_id]
    if read != [act.versions[-1]]:
        yield f"its run {run_id} did not read the last version in Anaplan, but {_listed(read)}"


def _remembered(seen: Seen, act: Act, outcome: str, run_id: str | None) -> Iterator[str]:
    entries = [(run.outcome, run.uploads_total, run.announced) for run in seen.history if run.id == run_id]
    if entries != [(outcome, len(act.versions), True)]:
        yield f"the ledger's history has {_listed(entries)} for its run {run_id}"
    for version in act.versions:
        fate = seen.fates.get(version)
        if fate != Fate(outcome, run_id):
            yield f"the ledger has version {version} as {fate.state if fate else 'unknown'}"


def _missing(seen: Seen) -> Iterator[str]:
    missing = [code for code, row in seen.burst.rows.items() if seen.model.get(code) != row]
    if missing:
        yield f"missing or different: {', '.join(missing)}"


def _whole(seen: Seen) -> Iterator[str]:
    for what, number, expected in (
        ("requests for a run reached CloudWorks", seen.orders, 3),
        ("runs began", len(seen.runs), 3),
        ("runs stand in the history", len(seen.history), 3),
        ("messages reached subscribers", len(seen.told), 3),
        ("pairs of runs overlapped", seen.overlaps, 0),
        ("dead letters wait", seen.dead_letters, 0),
    ):
        if number != expected:
            yield f"{number} {what}, not {expected}"


def _metrics(seen: Seen) -> Iterator[str]:
    uploads = len(seen.clean.versions) + len(seen.mistaken.versions) + len(seen.burst.versions)
    for name, expected in (("RunsLoaded", 2), ("RunsPartial", 1), ("RunsFailed", 0), ("UploadsCovered", uploads)):
        if seen.counted.get(name, 0) != expected:
            yield f"{name} is {seen.counted.get(name, 0):g}, not {expected}"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "nothing"
