"""Records uploads, leads their lane or leaves, and looks for work in a lane that it leads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import NotTaken
from anaplan_autoload.aws.objects import upload_of
from anaplan_autoload.aws.refusals import AwsRefused, code_of, in_words, may_heal, remedy
from anaplan_autoload.aws.staging import GONE
from anaplan_autoload.domain import protocol, rules
from anaplan_autoload.domain.events import Drain, Load, UnknownEvent, Upload
from anaplan_autoload.domain.protocol import Batch, Claim, Failure, Lane, Later, Lease, Nothing, State, Stop, Take
from anaplan_autoload.domain.routes_file.mistakes import Mistake, RoutesInvalid
from anaplan_autoload.steps import reading
from anaplan_autoload.steps.leading import OLD, LeaseLost, renewed, stops_if_lost
from anaplan_autoload.steps.routing import routes_in_use
from anaplan_autoload.steps.waiting import waiting_by_rule

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.ledger import UploadRecord
    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.events import Uploads
    from anaplan_autoload.domain.protocol import Selection
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload.domain.rules import Plan

UNROUTED = "No route matches this upload; it is not loaded"
NO_ROUTES = (
    "No route matches this upload; it is not loaded. There are no routes yet. Push them: "
    "anaplan-autoload routes push routes.toml --stack {stack}"
)
NO_ROUTES_UNDERSTOOD = Mistake(
    file="the ledger",
    reason="none of its newest versions of the routes can be used",
    remedy="Push a routes file without mistakes: anaplan-autoload routes push FILE",
)
SHOWN_UPLOADS = 50
"""How many of the event's uploads an execution's result lists."""
LOGGED_UPLOADS = 100
"""How many ids the log line of a claim lists."""
SHOWN_NEAR_MISSES = 5
"""How many routes the log line of an unrouted upload names."""


class Shown(Struct, frozen=True):
    """An upload in an execution's result."""

    bucket: str
    key: str
    state: str
    run_id: str | None


class Admission(Struct, frozen=True):
    """Whether this execution leads, and what it found to do."""

    state: State
    uploads: tuple[Shown, ...] = ()
    """The event's uploads as they are now, the first fifty."""
    recorded: tuple[tuple[str, str], ...] = ()
    """Their lanes and ids."""
    lane: str | None = None
    since: int = 0
    """Epoch ms."""
    claim: Claim | None = None


def admit(step: StepContext, services: Services, me: str, event: Uploads | Load | Drain) -> Admission:
    """Record what was uploaded, then lead its lane, or leave if another execution leads.

    Duplicates change nothing. If an event spans lanes, this execution leads the first and sends a drain for each other.
    """
    now = services.clock()
    if isinstance(event, Drain):
        return _lead(step, services, Admission("left", lane=event.lane, since=now), me)
    routes = routes_in_use(step, services)
    if routes is None:
        raise RoutesInvalid([NO_ROUTES_UNDERSTOOD])
    uploads = (_requested(services, event),) if isinstance(event, Load) else event.uploads
    lanes: dict[str, None] = {}
    recorded: list[tuple[str, str]] = []
    shown: list[Shown] = []
    unrouted = 0
    excluded: Counter[str] = Counter()
    for upload in uploads:
        if routes.is_staged(upload.bucket, upload.key):
            step.logger.info("Ignored our own copy", extra=_about(upload))
        elif (route := routes.match(upload.bucket, upload.key)) and (pattern := route.excluded_by(upload.key)):
            excluded[route.name] += 1
            extra = _about(upload, route=route.name, pattern=pattern)
            step.logger.info("Ignored an upload because of its name", extra=extra)
        elif route:
            new = services.ledger.note_told(upload, now) and services.ledger.record(upload, route, now)
            lanes[route.lane_id] = None
            recorded.append((route.lane_id, upload.id))
            if len(shown) < SHOWN_UPLOADS:
                known = None if new else services.ledger.upload(route.lane_id, upload.id)
                shown.append(_shown(known) if known else Shown(upload.bucket, upload.key, "waiting", None))
            extra = _about(upload, route=route.name, upload_id=upload.id)
            step.logger.info("Recorded an upload" if new else "Known already", extra=extra)
        else:
            unrouted += 1
            why = UNROUTED if routes else NO_ROUTES.format(stack=services.settings.stack)
            near = _near_misses(routes, upload)
            step.logger.warning(why, extra=_about(upload, near_misses=near))
    if unrouted:
        from anaplan_autoload.report.metrics import count_unrouted

        count_unrouted(unrouted, stack=services.settings.stack)
    if excluded:
        from anaplan_autoload.report.metrics import count_excluded

        count_excluded(excluded, stack=services.settings.stack)
    if not lanes:
        return Admission("ignored")
    first, *others = lanes
    for lane in others:
        services.send({"drain": lane}, step.logger)
    admitted = Admission("left", tuple(shown), tuple(recorded[:SHOWN_UPLOADS]), first, now)
    return _lead(step, services, admitted, me)


def _about(upload: Upload, **more: object) -> dict[str, object]:
    """A log line's keys for one upload. An event may have several, so each line names its own `trace_id`."""
    return {"bucket": upload.bucket, "key": upload.key, "trace_id": upload.id, **more}


def _near_misses(routes: Routes, upload: Upload) -> list[str]:
    """The routes that nearly match an upload, and what is different."""
    from anaplan_autoload.domain.near import explain  # imported here, because only an unrouted upload needs it

    near = explain(routes, upload.bucket, upload.key).near_misses[:SHOWN_NEAR_MISSES]
    return [f"route {miss.route.name}: {miss.why}" for miss in near]


def _lead(step: StepContext, services: Services, admitted: Admission, me: str) -> Admission:
    lane, now = admitted.lane or "", admitted.since
    taken = services.ledger.acquire(lane, me, now)
    if isinstance(taken, NotTaken):
        return replace(admitted, state="held" if taken.reason == "held" else "left")
    work = look_for_work(step, services, Lease(lane, me, now), taken.lane, now)
    return replace(admitted, state="led", claim=work)


def _requested(services: Services, load: Load) -> Upload:
    """The object of a requested reload, as it is in S3; raises `UnknownEvent` if it does not exist."""
    version: Any = {"VersionId": load.version_id} if load.version_id else {}
    try:
        head = services.s3.head_object(Bucket=load.bucket, Key=load.key, **version)
    except ClientError as error:
        place = f"s3://{load.bucket}/{load.key}"
        if code_of(error) in GONE:
            raise UnknownEvent(f"load: {place} does not exist; name an object that does") from error
        if may_heal(error):
            raise
        raise AwsRefused(f"load: S3 refused to describe {place}: {in_words(error)}. {remedy(error)}") from error
    return replace(upload_of(load.bucket, load.key, head["ContentLength"], head), request_id=load.request_id)


@stops_if_lost
def claim(step: StepContext, services: Services, lease: Lease) -> Claim:
    """Open the next batch, or resume the one that is open."""
    now = services.clock()
    return look_for_work(step, services, lease, renewed(services, lease), now)


@stops_if_lost
def release(step: StepContext, services: Services, lease: Lease) -> Claim:
    """Give the lane back, then look again: an execution that recorded an upload just before has left already."""
    now = services.clock()
    while True:
        services.ledger.release(lease)
        if _planned(services, lease.lane, now).selection is None:
            return Nothing()
        taken = services.ledger.acquire(lease.lane, lease.holder, now)
        if isinstance(taken, NotTaken):
            return Nothing()
        work = look_for_work(step, services, lease, taken.lane, now)
        if not isinstance(work, Nothing):
            return work


def _planned(services: Services, lane: str, now: int) -> Plan:
    """What may be loaded now in a lane, and what has to wait because of a rule of its route."""
    return rules.plan(services.ledger.waiting(lane, lambda found: rules.is_enough(found, now)), now)


def look_for_work(step: StepContext, services: Services, lease: Lease, lane: Lane, now: int) -> Claim:
    """What to do in a lane that is ours. `lane` is as it was before we took it, with its last holder."""
    if lane.is_paused(now) and not (lane.open is not None and lane.open.asked):
        services.ledger.release(lease)
        return Stop("left", "the lane is paused")
    longest = services.settings.poll_max
    not_yet = Later(min(-(-(lane.not_before - now) // 1000), longest)) if lane.not_before > now else None
    if lane.open is not None:
        resumed = _resume(services, lease, lane, lane.open, now)
        return resumed if lane.open.run_id else not_yet or resumed
    planned = _planned(services, lease.lane, now)
    waiting_by_rule(step, services, lease, lane, planned.waits)
    selection = planned.selection
    if selection is None:
        return Nothing()
    if lease.is_old(now, services.settings.age_limit):
        return Stop("handed_over", OLD)
    if not_yet:
        return not_yet
    sources = None if selection.refusal else reading.sources_for(step, services, lease, lane, selection.waiting)
    if isinstance(sources, Stop):
        if sources.state != "held":
            return sources
        opened = _opened(step, services, lease, lane, selection, now)  # so that everyone is told what is held
        return sources if isinstance(opened, Take) else opened
    selection = protocol.select(selection.waiting, sources) or selection
    if selection.refusal is None and (quiet_in := protocol.settling_for(selection, now)):
        return Later(min(quiet_in, longest))
    return _opened(step, services, lease, lane, selection, now)


def _opened(
    step: StepContext, services: Services, lease: Lease, lane: Lane, selection: Selection, now: int
) -> Take | Stop:
    """Open a batch of what was selected."""
    refusal = selection.refusal
    first = selection.waiting[0].upload
    batch = Batch(
        id=uuid4().hex,
        route=selection.route,
        total=len(selection.waiting),
        opened_at=now,
        oldest=first.event_time,
        file=selection.waiting[-1].upload.key,
        first=first.id,
        upload=first if selection.route.load == "each" else None,
        failure=Failure(refusal.reason, now, refusal.outcome) if refusal else None,
    )
    before = lane.put_back.get(batch.kin)
    if before is not None:
        batch = replace(batch, retries=before.retries, attempts=before.attempts, unanswered=before.unanswered)
    others = {kin: each for kin, each in lane.put_back.items() if kin != batch.kin}
    ids = [item.upload.id for item in selection.waiting]
    if not services.ledger.open_batch(lease, batch, ids, now, others):
        raise LeaseLost
    _log_claim(step, lease, batch, ids)
    return Take(batch)


def _log_claim(step: StepContext, lease: Lease, batch: Batch, ids: list[str]) -> None:
    """Log which uploads one run is to cover. From here on, log lines have the id of the oldest of them."""
    extra = {
        "trace_id": batch.trace_id,
        "batch_id": batch.id,
        "lane": lease.lane,
        "route": batch.route.name,
        "uploads": batch.total,
        "upload_ids": ids[:LOGGED_UPLOADS],
    }
    step.logger.info("Claimed uploads, to be covered by one run", extra=extra)


def _resume(services: Services, lease: Lease, lane: Lane, batch: Batch, now: int) -> Claim:
    """Continue a batch that a leader left open. If that was another leader, it died, and that counts as an attempt."""
    if lane.holder not in (None, lease.holder):
        batch = replace(batch, attempts=batch.attempts + 1)
        renewed(services, lease, batch)
    return Take(batch)


def show_uploads(_step: StepContext, services: Services, recorded: tuple[tuple[str, str], ...]) -> tuple[Shown, ...]:
    """The current states of the event's uploads, given by lane and id."""
    found = (services.ledger.upload(lane, upload_id) for lane, upload_id in recorded)
    return tuple(_shown(each) for each in found if each)


def _shown(known: UploadRecord) -> Shown:
    return Shown(known.upload.bucket, known.upload.key, known.state, known.run_id)
