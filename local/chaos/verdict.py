"""Whether the promise was kept: compares what CloudWorks saw with what the ledger and the messages say. Pure.

A run is known by what it read: every upload's content is its own, and a staged copy has the content of its upload. So
nothing here relies on the function: its ledger and messages are compared with what CloudWorks did.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from msgspec import Struct

from local.chaos.evidence import Evidence, Known, Made
from local.cloudworks import Run

ENDS = frozenset({"loaded", "partial", "failed"})
STATE_OF = {"success": "loaded", "partial_success": "partial", "failure": "failed"}
LOST_ANSWERS = frozenset({"lose_after", "truncate"})
"""The faults after which CloudWorks may have begun a run that we do not know of."""
SAME_MOMENT_SECONDS = 0.5
"""Between a run's acceptance and the log entry of the request for it."""
DYING_SECONDS = 2.0
"""A runtime that was killed within this time of a request explains that its answer was lost."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Every tuple has a line for each fault and should be empty, except `failed` and the reasons."""

    lost: tuple[str, ...]
    """Uploads that no run covered, that no newer data replaced, and whose failure was not announced."""
    silent: tuple[str, ...]
    """Uploads whose end was not announced, without the superseded ones."""
    overlapping: tuple[str, ...]
    """Runs that began in a lane before the one before had ended."""
    backward: tuple[str, ...]
    """Runs that loaded older data of a key after newer."""
    wrong: tuple[str, ...]
    """Where the ledger says what CloudWorks contradicts."""
    unexplained: tuple[str, ...]
    """Needless runs that no lost answer explains."""
    needless: dict[str, int]
    """Runs that no upload needed, by reason."""
    failed: dict[str, int]
    """Uploads that were announced as failed, by reason."""
    superseded: int
    """Uploads that newer data of their keys replaced before they were loaded."""
    repeated_messages: int
    """Messages beyond the first of their id."""

    @property
    def broken(self) -> tuple[str, ...]:
        """Every way in which the promise was broken; empty when it was kept."""
        kinds = {
            "lost": self.lost,
            "nobody told": self.silent,
            "overlapping": self.overlapping,
            "older over newer": self.backward,
            "ledger wrong": self.wrong,
            "needless without a reason": self.unexplained,
        }
        return tuple(f"{kind}: {line}" for kind, lines in kinds.items() for line in lines)


def judge(evidence: Evidence) -> Verdict:
    """Compare what was uploaded with what CloudWorks ran, what subscribers heard and what the ledger says."""
    return _Judge(evidence).verdict()


class _Judge:
    """The evidence, and what follows from it by looking things up."""

    def __init__(self, evidence: Evidence) -> None:
        self._all = evidence
        self._number = {made.sha256: number for number, made in enumerate(evidence.made)}

    def verdict(self) -> Verdict:
        needless = [(run, self._reason(run)) for run in self._all.runs if run.id not in self._needed]
        ids = Counter(message.id for message in self._all.messages if message.outcome in ENDS)
        return Verdict(
            lost=tuple(self._lost()),
            silent=tuple(self._silent()),
            overlapping=tuple(self._overlapping()),
            backward=tuple(self._backward()),
            wrong=tuple(self._wrong()),
            unexplained=tuple(self._shown(run) for run, reason in needless if reason is None),
            needless=dict(Counter(reason for _, reason in needless if reason is not None)),
            failed=self._failed(),
            superseded=sum(known is not None and known.state == "superseded" for known in self._all.known),
            repeated_messages=sum(ids.values()) - len(ids),
        )

    # Uploads.

    def _uploads(self) -> Iterator[tuple[int, Made, Known | None]]:
        for number, (made, known) in enumerate(zip(self._all.made, self._all.known, strict=True)):
            yield number, made, known

    def _lost(self) -> Iterator[str]:
        for number, made, known in self._uploads():
            if self._is_covered(number, made, known) or made.version_id in self._told["failed"]:
                continue
            yield f"{self._named(made)}: {f'{known.state} in the ledger' if known else 'not in the ledger'}"

    def _is_covered(self, number: int, made: Made, known: Known | None) -> bool:
        """Whether a run read it or, where that will do, newer data of its key."""
        newer_will_do = self._all.loads[made.route] == "latest" or (known is not None and known.state == "superseded")
        return any(read == number or (newer_will_do and read > number) for read in self._reads[made.route, made.key])

    def _silent(self) -> Iterator[str]:
        told = frozenset().union(*self._told.values())
        for _, made, known in self._uploads():
            if made.version_id not in told and not (known and known.state == "superseded"):
                yield self._named(made)

    def _wrong(self) -> Iterator[str]:
        """Compare what the ledger says about an upload with the run that it names."""
        for number, made, known in self._uploads():
            if known is None or known.state not in ("loaded", "partial"):
                continue
            run = self._runs.get(known.run_id or "")
            read = self._read_by(run) if run else None
            exact = self._all.loads[made.route] == "each"
            if run is None or read is None or not (read == number if exact else read >= number):
                yield f"{self._named(made)}: {known.state} by run {known.run_id}, which did not read it"
            elif run.result is None or STATE_OF[run.result.outcome] != known.state:
                yield f"{self._named(made)}: {known.state} by run {known.run_id}, which ended otherwise"

    def _failed(self) -> dict[str, int]:
        uploads = {made.version_id for made in self._all.made}
        reasons = [
            (message.message, version)
            for message in self._all.messages
            if message.outcome == "failed"
            for version in message.versions & uploads
        ]
        return dict(Counter(reason for reason, _ in set(reasons)))

    # Runs.

    def _overlapping(self) -> Iterator[str]:
        latest: dict[str, Run] = {}
        for run in sorted(self._all.runs, key=lambda run: run.accepted_at):
            lane = self._all.lanes[self._all.integrations[run.integration_id]]
            before = latest.get(lane)
            if before is not None and before.ended_at > run.accepted_at:
                early = before.ended_at - run.accepted_at
                yield f"{self._shown(run)} began {early:.2f} s before the end of {before.id}"
            if before is None or run.ended_at > before.ended_at:
                latest[lane] = run

    def _backward(self) -> Iterator[str]:
        for (route, key), reads in self._reads.items():
            if any(later < earlier for earlier, later in pairwise(reads)):
                yield f"{key} of {route}, in the order of its runs: uploads {', '.join(map(str, reads))}"

    def _reason(self, run: Run) -> str | None:
        """Why a run was requested that no upload needed; None if nothing explains it."""
        if run.result is not None and run.result.outcome == "failure":
            return "it failed, and another took its place"
        asked = [
            request
            for request in self._all.requests
            if request.method == "POST"
            and request.path.endswith(f"/{run.integration_id}/run")
            and abs(request.at - run.accepted_at) < SAME_MOMENT_SECONDS
        ]
        if any(request.fault in LOST_ANSWERS for request in asked):
            return "CloudWorks' answer was lost on its way"
        if any(0 <= kill - run.accepted_at < DYING_SECONDS for kill in self._all.trouble.kills):
            return "the runtime that asked was killed over the answer"
        return None

    # Looking up.

    @cached_property
    def _runs(self) -> dict[str, Run]:
        return {run.id: run for run in self._all.runs}

    @cached_property
    def _needed(self) -> frozenset[str]:
        """The runs that some upload owes its state to."""
        return frozenset(known.run_id for known in self._all.known if known and known.run_id)

    @cached_property
    def _reads(self) -> defaultdict[tuple[str, str], list[int]]:
        """By route and key: the numbers of the uploads whose data was loaded, in the order of the runs."""
        reads: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for run in self._all.runs:
            number = self._read_by(run)
            if number is not None and run.result is not None and run.result.outcome != "failure":
                made = self._all.made[number]
                reads[made.route, made.key].append(number)
        return reads

    @cached_property
    def _told(self) -> dict[str, frozenset[str]]:
        """The version ids of the uploads whose end was announced, by outcome."""
        messages = self._all.messages
        return {
            end: frozenset[str]().union(*(message.versions for message in messages if message.outcome == end))
            for end in ENDS
        }

    def _read_by(self, run: Run) -> int | None:
        """The number of the upload whose data a run of its route read."""
        number = self._number.get(run.source_sha256 or "")
        if number is None or self._all.made[number].route != self._all.integrations[run.integration_id]:
            return None
        return number

    def _shown(self, run: Run) -> str:
        return f"run {run.id} of {self._all.integrations[run.integration_id]}"

    def _named(self, made: Made) -> str:
        return f"{made.key} (version {made.version_id}) of {made.route}"
