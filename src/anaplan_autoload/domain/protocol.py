"""The protocol's values and decisions. Pure, so that every decision can be tested as a table.

An execution either leads a lane or leaves. A leader claims a batch, starts its run, follows it, and finishes it. It
writes each step to the ledger first, so that the next leader can continue if it dies. Nothing here does I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload.domain.contents import Problem
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.sources import Reads, is_unread, why_unread
from anaplan_autoload.domain.times import epoch_ms, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anaplan_autoload.domain.runs import Run
    from anaplan_autoload.domain.sources import Sources

MAX_ATTEMPTS = 5
"""From this attempt on a batch is not started again, so that it cannot block its lane."""
LONGEST_PAUSE = 15 * 60
"""Seconds between two requests for a run, if none of them started one."""
PATIENCE_MS = 24 * 3_600_000
"""A batch is given up if its requests have started no run for this long."""
MAX_SETTLING = 10
"""A claim waits at most this many times `settle` while uploads keep arriving."""
LOOKS = 4
"""How often the history is searched for a lost run before it is started again: at once, then 3 times in a minute."""
START_TOLERANCE_MS = 5_000
"""Runs that began this long before they were requested may still be ours, because clocks are not exact."""
CLOCK_SKEW_MS = 5 * 60_000
"""Anaplan's clock and ours do not differ by more."""
PROOF_TOLERANCE_MS = 1_000
"""Start times are whole seconds, rounded down. A run with an earlier start began before it was requested."""

State = Literal["led", "left", "ignored", "held", "handed_over"]
UploadState = Literal["waiting", "loaded", "partial", "failed", "rejected", "superseded"]


class Lease(Struct, frozen=True):
    """The right to act in a lane, held by one execution at a time."""

    lane: str
    holder: str
    """The execution's ARN."""
    since: int
    """When this execution began to lead, epoch ms."""

    def is_old(self, now: int, age_limit: int) -> bool:
        """Whether its holder has led for more than `age_limit` seconds, and must hand over."""
        return now - self.since > age_limit * 1000


class Failure(Struct, frozen=True):
    """Why a batch ended without a run, and when (epoch ms)."""

    reason: str
    at: int
    outcome: Literal["failed", "rejected"] = "failed"
    problems: tuple[Problem, ...] = ()
    """What is wrong with files that failed their route's check."""
    request: str = ""
    """The request to Anaplan that failed, `POST https://…`; empty if none did."""


class Unanswered(Struct, frozen=True):
    """The requests for a batch's run that neither started a run nor were refused."""

    since: int
    """When the first of them was sent, epoch ms."""
    latest: int
    """When the latest of them was sent, epoch ms."""
    answers: dict[str, int]
    """How many got which HTTP status, or `not at all`."""
    last: str
    """The result of the latest, in words."""
    request: str = ""
    """The latest itself: `POST https://…`."""

    @property
    def total(self) -> int:
        """How many requests."""
        return sum(self.answers.values())

    def described(self) -> str:
        """All of them in one sentence without a full stop: `3 requests … started none: Anaplan answered 500 to 3`."""
        answers = ", ".join(f"{answer} to {count}" for answer, count in self.answers.items())
        requests = "1 request" if self.total == 1 else f"{self.total} requests"
        return f"{requests} for the run since {iso(self.since)} started none: Anaplan answered {answers}"


def one_more(before: Unanswered | None, at: int, status: int | None, words: str, request: str) -> Unanswered:
    """Count a request that was sent at `at` (epoch ms); `status` is None where no answer arrived."""
    answer = "not at all" if status is None else str(status)
    answers = before.answers if before else {}
    return Unanswered(
        since=before.since if before else at,
        latest=at,
        answers={**answers, answer: answers.get(answer, 0) + 1},
        last=words,
        request=request,
    )


class Batch(Struct, frozen=True, omit_defaults=True):
    """The uploads that one run covers, and how far it has come: `open` on the lane's item."""

    id: str
    route: Route
    total: int
    """How many uploads; their ids are in the `batch#` items."""
    opened_at: int
    """Epoch ms."""
    oldest: str
    """Event time of the oldest upload."""

    file: str = ""
    """The key of the newest upload."""
    first: str = ""
    """The id of the oldest upload: `trace_id` in the log lines and in the message."""
    upload: Upload | None = None
    """The upload itself, if the route says `load = "each"`."""
    attempts: int = 1
    """This attempt, and earlier ones that ended because their leader or the sandbox of the request died."""
    unanswered: Unanswered | None = None
    posted_at: int | None = None
    """When the run was last requested, epoch ms. If it is set without `run_id`, the answer is not known."""
    lost_since: int | None = None
    """The earliest request whose answer was lost and whose run has not been found, epoch ms."""
    run_id: str | None = None
    failure: Failure | None = None
    retries: int = 0
    """Failed runs that were started again so far."""
    overdue: bool = False
    """Announced as overdue."""

    @property
    def trace_id(self) -> str:
        """What joins its log lines and its message; batches of older versions have no `first`."""
        return self.first or self.id

    @property
    def unresolved_since(self) -> int | None:
        """When the first request was sent that may have started a run we do not know, epoch ms; None if none was."""
        return None if self.run_id else (self.lost_since or self.posted_at)

    @property
    def kin(self) -> str:
        """What a later batch of the same uploads shares: the upload's id with `load = "each"`, else the route's."""
        return self.upload.id if self.upload else self.route.name

    @property
    def asked(self) -> bool:
        """Whether its run was requested, and so may be under way."""
        return self.run_id is not None or self.unresolved_since is not None

    def is_overdue(self, now: int) -> bool:
        """Whether it takes longer than its route allows, and nobody was told yet; `now` is epoch ms."""
        began = self.posted_at if self.run_id and self.posted_at else self.opened_at
        return not self.overdue and now - began > self.route.overdue * 1000


class Noted(Struct, frozen=True):
    """What the log says about a route's waiting uploads, so that it says it once."""

    said: str
    """As in the log."""
    since: int
    """`Wait.since`, which identifies the set of files."""
    incomplete: bool = False
    """Whether everyone was told that this set is incomplete."""


class PutBack(Struct, frozen=True):
    """What was tried for uploads that wait for their window again. Their next batch continues to count from here."""

    retries: int
    attempts: int
    unanswered: Unanswered | None = None


class Lane(Struct, frozen=True):
    """The lane's item."""

    holder: str | None = None
    lease_until: int = 0
    """Epoch ms."""
    paused: bool = False
    paused_until: int = 0
    """Epoch ms: when a pause ends by itself; 0 where it does not."""
    held: str | None = None
    """The version of the secret that Anaplan refused; nothing is claimed until the secret has another."""
    not_before: int = 0
    """Epoch ms; CloudWorks asked not to be called earlier."""
    open: Batch | None = None
    author: str | None = None
    """Who CloudWorks says started our runs: the display name behind our credentials."""
    reads: dict[str, Reads] = {}
    """Route's name → what its integration or flow was found to read."""
    waits: dict[str, Noted] = {}
    """Route's name → what was logged about its uploads that wait for a window or for other files."""
    put_back: dict[str, PutBack] = {}
    """`Batch.kin` → what was tried for uploads whose window closed before their run began."""

    def is_paused(self, now: int) -> bool:
        """Whether nothing may be claimed, because of a pause that has not ended by itself; `now` is epoch ms."""
        return self.paused and not 0 < self.paused_until <= now


class Waiting(Struct, frozen=True):
    """An upload that waits in the ledger, with the route it had when it was recorded."""

    upload: Upload
    route: Route
    recorded_at: int
    """Epoch ms."""


# The results of looking for work in a lane.


class Take(Struct, frozen=True, tag="take"):
    """This batch is open and ours."""

    batch: Batch


class Later(Struct, frozen=True, tag="later"):
    """Uploads are still coming in, or CloudWorks asked to wait: look again in so many seconds."""

    seconds: int


class Nothing(Struct, frozen=True, tag="nothing"):
    """Nothing waits, or nothing that may be loaded now."""


class Stop(Struct, frozen=True, tag="stop"):
    """The leader's work ends here: its lease is lost, it hands over, or Anaplan refused the log-in."""

    state: Literal["left", "handed_over", "held"]
    reason: str = ""
    secret_version: str | None = None
    """With `held`: the version that was refused."""


Claim = Take | Later | Nothing | Stop


class Selection(Struct, frozen=True):
    """The uploads of the next batch."""

    route: Route
    waiting: tuple[Waiting, ...]
    refusal: Refusal | None = None
    """Set where they are refused without a run."""


class Refusal(Struct, frozen=True):
    """Why uploads are refused without a run, and how they end."""

    outcome: Literal["failed", "rejected"]
    reason: str


def select(waiting: Sequence[Waiting], sources: Sources | None = None) -> Selection | None:
    """Choose the next batch from what waits, oldest first.

    The oldest upload decides the route. With `load = "each"` it goes alone; with `"latest"` one run covers all of its
    route. Empty files are refused first, together with the uploads of the same keys that they replaced; then those that
    no run of the route reads. `sources` are what its runs read, None where that is not known.
    """
    if not waiting:
        return None
    first = waiting[0]
    same = [first] if first.route.load == "each" else [item for item in waiting if item.route == first.route]
    newest = {(item.upload.bucket, item.upload.key): item for item in same}
    emptied = {place for place, item in newest.items() if _is_refused(item)}
    refused_items = tuple(
        item for item in same if _is_refused(item) or (item.upload.bucket, item.upload.key) in emptied
    )
    if refused_items:
        return Selection(first.route, refused_items, _EMPTY)
    unread = tuple(item for item in same if is_unread(first.route, item.upload, sources))
    if unread:
        why = why_unread(first.route, [item.upload for item in unread], sources or ())
        return Selection(first.route, unread, Refusal("rejected", why))
    return Selection(first.route, tuple(same))


_EMPTY = Refusal(
    "failed",
    "The file is empty. It was not loaded, because that could clear data in Anaplan. Upload a file with rows, "
    "or set allow_empty = true on the route if an empty file is meant.",
)


def _is_refused(item: Waiting) -> bool:
    return item.upload.size == 0 and not item.route.allow_empty


def settling_for(selection: Selection, now: int) -> int:
    """Seconds left of `settle`; 0 if it is over, or was waited for ten times already. `now` is epoch ms."""
    settle = selection.route.settle * 1000
    newest = max(item.recorded_at for item in selection.waiting)
    oldest = min(item.recorded_at for item in selection.waiting)
    quiet_at = min(newest + settle, oldest + MAX_SETTLING * settle)
    return max(0, -(-(quiet_at - now) // 1000))


# The verdicts about a request whose answer was lost, from the run history.


class Adopt(Struct, frozen=True, tag="adopt"):
    """This run is ours."""

    run_id: str


class WaitFor(Struct, frozen=True, tag="wait_for"):
    """These runs may be ours, but nothing proves it: wait until they end, then start again."""

    run_ids: tuple[str, ...]


class LookAgain(Struct, frozen=True, tag="look_again"):
    """No such run so far. It may be in the queue, or the history may lag behind."""

    counts: bool = True
    """False where the history could not be read."""


class StartAgain(Struct, frozen=True, tag="start_again"):
    """No run of ours began, or none that can be proved. Repeating a load may add rows; not loading loses them."""

    resolved: bool
    """Whether the request is accounted for. If not, its run may still appear in the history."""


Verdict = Adopt | WaitFor | LookAgain | StartAgain


def reconcile(history: Iterable[Run], *, since: int, author: str | None, looks: int) -> Verdict:
    """Decide whether a request whose answer was lost has started a run.

    `history` are runs that the ledger does not know; `since` is when the request was sent, epoch ms on Anaplan's clock;
    `author` is that of our earlier runs; `looks` counts this look, from 1.
    """
    candidates = [run for run in history if _began_since(run, since - START_TOLERANCE_MS)]
    match candidates:
        case []:
            return LookAgain() if looks < LOOKS else StartAgain(resolved=False)
        case [only] if _is_proven(only, since, author):
            return Adopt(only.id)
    running = tuple(run.id for run in candidates if not run.ended)
    return WaitFor(running) if running else StartAgain(resolved=True)


def ahead_of_us(date_ms: int, now: int) -> int:
    """How far Anaplan's clock, by an answer's `Date`, is ahead of ours, in ms; `now` is ours.

    0 for a date that no clock shows now: a proxy may have kept the answer for hours. Going by it would take a run from
    before the request for ours.
    """
    ahead = date_ms - now
    return ahead if abs(ahead) <= CLOCK_SKEW_MS else 0


def _is_proven(run: Run, since: int, author: str | None) -> bool:
    """Whether a run is ours: it has our author, was started by a request, and did not begin before our request."""
    ours = author is not None and run.author == author and run.trigger in (None, "manual", "manual_inf")
    return ours and _began_since(run, since - PROOF_TOLERANCE_MS)


def _began_since(run: Run, since: int) -> bool:
    """A run without a start time is still in the queue, so it counts as the latest."""
    return run.started_at is None or epoch_ms(run.started_at) >= since


# Times.


def next_delay(waited: float, poll_min: int, poll_max: int) -> int:
    """Seconds until the next look, after `waited` seconds of waiting.

    The delay grows with the wait, so that the end is noticed within about a sixth of the run's length.
    """
    return round(min(max(0.15 * waited, poll_min), poll_max))


def start_pause(unanswered: Unanswered, now: int) -> int:
    """Seconds until a run is requested again: 1, 2, 4, 8 and then 15 minutes after the latest request."""
    pause = min(int(60 * 2 ** min(unanswered.total - 1, 10)), LONGEST_PAUSE)
    return max(0, -(-(unanswered.latest + pause * 1000 - now) // 1000))


def is_given_up(unanswered: Unanswered, now: int) -> bool:
    """Whether requests have started no run for a day."""
    return now - unanswered.since >= PATIENCE_MS


def retry_delay(retries: int) -> int:
    """Seconds before a failed run is started again: 1, 2, 4 minutes and so on."""
    return int(60 * 2**retries)


def may_be_retried(batch: Batch, run: Run) -> bool:
    """Whether to start a failed run again: it may succeed, and the route allows another try."""
    return run.outcome == "failed" and run.may_heal and batch.retries < batch.route.retries
