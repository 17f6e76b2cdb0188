"""Carries out the page's actions: the same as `retry`, `load`, `pause` and `resume` on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.operations.failed import OperationFailed
from anaplan_autoload.operations.lanes import known_lanes, let_go
from anaplan_autoload.operations.reloading import failed_uploads, plan_retry, refuse_older, route_for
from anaplan_autoload.operations.sending import Patience, Watcher, ask, reload
from anaplan_autoload.page.reading import NOT_KNOWN, run_of
from anaplan_autoload.report.text import count

if TYPE_CHECKING:
    from anaplan_autoload.page.asking import Act
    from anaplan_autoload.page.services import PageServices

MOST_RETRIED = 100
"""How many uploads one retry may request: more would take longer than a page may."""
PATIENCE = Patience(seconds=10, pause_ms=300_000)
IN_USE = "use"
"""Where the routes are, for messages such as `no route in use matches`."""


def perform(services: PageServices, act: Act) -> str:
    """Carry out the action, and say what was done; raises `OperationFailed` if that is not possible."""
    match act.do:
        case "retry":
            return _retry(services, act)
        case "load":
            return _load(services, act)
        case "pause":
            services.ledger.pause(_lane(services, act.lane))
            return "Paused. Uploads are recorded and wait; a run that has begun is followed to its end."
        case "resume":
            let_go(services.ledger, services.send, _lane(services, act.lane))
            return "Resumed. What waits is loaded now."


def _retry(services: PageServices, act: Act) -> str:
    failed = failed_uploads(services.ledger, run_of(services, act.lane, act.run))
    if len(failed) > MOST_RETRIED:
        raise OperationFailed(
            f"The load covered {len(failed)} uploads; the page retries {MOST_RETRIED} at most.",
            remedy="Use the command line: anaplan-autoload retry RUN_ID.",
        )
    plan = plan_retry(services.ledger, services.routes(), failed, IN_USE)
    late = ask(services.ledger, services.send, plan.requests, Watcher(), PATIENCE)
    asked, before = count(len(plan.requests), "upload"), count(len(plan.retried), "upload")
    said = [
        f"Asked to load {asked} again." if plan.requests else "",
        f"Retried before: {before}; each waits or was loaded since." if plan.retried else "",
        f"Not recorded yet: {count(late, 'request')}. The function has them all." if late else "",
    ]
    return " ".join(filter(None, said))


def _load(services: PageServices, act: Act) -> str:
    record = services.ledger.upload(act.lane, act.upload)
    if record is None:
        raise OperationFailed("There is no such upload.", remedy=NOT_KNOWN)
    upload = record.upload
    route = route_for(services.routes(), upload.bucket, upload.key, IN_USE)
    refuse_older(services.ledger, route, upload)
    ask(services.ledger, services.send, [reload(upload, route, act.request)], Watcher(), PATIENCE)
    return f"Asked to load s3://{upload.bucket}/{upload.key} by route {route.name}."


def _lane(services: PageServices, lane: str) -> str:
    """The lane with that id; raises `OperationFailed` if it does not exist."""
    if lane in known_lanes(services.routes(), services.ledger.pending()):
        return lane
    raise OperationFailed("There is no such lane.", remedy="Its routes may have been removed. Look at the list again.")
