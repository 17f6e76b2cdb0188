"""Finds lost uploads: loads what S3 has and the ledger does not, because the event never came.

A sweep lists a few pages of what the routes' prefixes hold, and the next sweep continues where it stopped, until the
round is over. What is found is recorded as its event would have been, so that a late event adds no second run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.lost_uploads import list_page
from anaplan_autoload.aws.refusals import AWS_TROUBLE, in_words, may_heal
from anaplan_autoload.domain import lost
from anaplan_autoload.domain.lost import Cursor, Watched
from anaplan_autoload.steps.routing import routes_in_use

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.events import Reconcile
    from anaplan_autoload.domain.lost import Candidate, Listed, Place, Round
    from anaplan_autoload.domain.routes import Route

PAGES_PER_SWEEP = 10
"""How many pages, of at most 1,000 versions each, one sweep lists."""
LIST_SECONDS = 20
"""After this time no other page is listed, so that the step ends within the function's timeout."""


class Reconciled(Struct, frozen=True):
    """What one sweep did for the round."""

    pages: int
    found: int
    """Lost uploads."""


def reconcile(step: StepContext, services: Services, asked: Reconcile) -> Reconciled:
    """Continue the round, or begin the next one if it is due, and drain the lanes of what was found.

    A listing that S3 refuses is logged, counted and left out of the round; the sweep continues.
    """
    now = services.clock()
    routes = routes_in_use(step, services)
    if not routes:
        return Reconciled(0, 0)
    known = services.rounds.get()
    watched = Watched.of(routes, known.since, now // 1000 * 1000)  # S3 lists whole seconds
    if known.is_due(asked.every, now):
        sweep = _Sweep(step, services, watched, lost.places(routes, asked.buckets), now)
        found = sweep.advance(replace(known, since=watched.since))
        services.rounds.put(known, found)
        return Reconciled(sweep.pages, sweep.found)
    if watched.since != known.since:
        services.rounds.put(known, replace(known, since=watched.since))
    return Reconciled(0, 0)


class _Sweep:
    """One sweep's part of a round."""

    def __init__(self, step: StepContext, services: Services, watched: Watched, places: list[Place], now: int) -> None:
        self.step = step
        self.services = services
        self.watched = watched
        self.places = places
        self.now = now
        self.pages = 0
        self.found = 0

    def advance(self, known: Round) -> Round:
        """List pages until the sweep's share is done or the round is over; returns the round as it is then."""
        known = known if known.at else self._begun(known)
        while (at := known.at) is not None and self._has_time():
            self.pages += 1
            try:
                listed, following = list_page(self.services.s3, at, self.services.account)
            except AWS_TROUBLE as error:
                if may_heal(error):
                    self.step.logger.warning("A listing failed; the next sweep tries again", extra=_reason(at, error))
                    return known
                known = self._refused(known, at, error)
            else:
                known = self._compared(known, at, listed, following)
        return known

    def _has_time(self) -> bool:
        return self.pages < PAGES_PER_SWEEP and self.services.clock() < self.now + LIST_SECONDS * 1000

    def _begun(self, known: Round) -> Round:
        first = lost.next_place(self.places, None)
        return replace(known, started=self.now, at=Cursor(first) if first else None)

    def _compared(self, known: Round, at: Cursor, listed: list[Listed], following: Cursor | None) -> Round:
        """Record the page's lost uploads; returns the round after this page."""
        found = self._record(lost.candidates(listed, at.last, self.watched, known.covered, self.now))
        if found:
            known = replace(known, found=known.found + found, found_at=self.now)
        return replace(known, at=following) if following else self._after(known, at.place)

    def _after(self, known: Round, place: Place) -> Round:
        """The round at its next place, or at its end."""
        following = lost.next_place(self.places, place)
        if following is not None:
            return replace(known, at=Cursor(following))
        whole = known.trouble_at < known.started
        return replace(
            known,
            at=None,
            ended=self.services.clock(),
            covered=known.started if whole else known.covered,
            trouble="" if whole else known.trouble,
        )

    def _refused(self, known: Round, at: Cursor, error: Exception) -> Round:
        """The round without a place that S3 does not let us list."""
        from anaplan_autoload.report.metrics import count_refused_listing

        reason = _reason(at, error)
        self.step.logger.error("Lost uploads cannot be looked for", extra=reason)
        count_refused_listing(stack=self.services.settings.stack)
        return self._after(replace(known, trouble=reason["reason"], trouble_at=self.now), at.place)

    def _record(self, candidates: Iterable[Candidate]) -> int:
        """Record the lost uploads among these, oldest first, and have them loaded; returns how many there were."""
        from anaplan_autoload.report.metrics import count_reconciled

        lanes: defaultdict[str, list[Candidate]] = defaultdict(list)
        for candidate in sorted(candidates, key=lambda each: each.upload.order):
            lanes[candidate.route.lane_id].append(candidate)
        found = Counter(route.name for lane, of_lane in lanes.items() for route in self._recorded(lane, of_lane))
        count_reconciled(found, stack=self.services.settings.stack)
        self.found += found.total()
        return found.total()

    def _recorded(self, lane: str, candidates: list[Candidate]) -> list[Route]:
        """Record what the lane does not know; returns the route of each upload."""
        unknown = {upload.id for upload in self.services.ledger.unknown(lane, [each.upload for each in candidates])}
        routes = [each.route for each in candidates if each.upload.id in unknown and self._is_recorded(each)]
        if routes:
            self.services.send({"drain": lane}, self.step.logger)
        return routes

    def _is_recorded(self, candidate: Candidate) -> bool:
        """Record one; False if its event came in the meantime."""
        upload, route = candidate.upload, candidate.route
        now = self.services.clock()
        if not self.services.ledger.record_found(upload, route, now, superseded=candidate.replaced):
            return False
        became = "newer data of its key came in the same second" if candidate.replaced else "it is loaded now"
        self.step.logger.warning(
            f"Found an upload whose event never came; {became}",
            extra={"bucket": upload.bucket, "key": upload.key, "route": route.name, "upload_id": upload.id},
        )
        return True


def _reason(at: Cursor, error: Exception) -> dict[str, str]:
    said = in_words(error) if isinstance(error, ClientError) else str(error)
    return {"reason": f"s3://{at.place.bucket}/{at.place.prefix} could not be listed: {said}"}
