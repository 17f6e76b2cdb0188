"""What the search for lost uploads, those whose events never came, has found: for the doctor and `status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from anaplan_autoload.aws.lost_uploads import Rounds
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Sweep, parse
from anaplan_autoload_cli.service.findings import Finding, ok, warning
from anaplan_autoload_cli.times import count, length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.domain.events import Reconcile
    from anaplan_autoload.domain.lost import Round
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.service.deployed_service import DeployedService

RECENT_MS = 7 * 86_400_000
"""For this long the doctor warns of uploads that were found."""
LATE_SECONDS = 3600
"""A round that is later than this by its own interval is not coming."""


def the_rounds(cli: Cli) -> Rounds:
    """How far the search has come, in the ledger."""
    return Rounds(cli.aws.client("dynamodb"), cli.settings.require("table"))


def lost_uploads(site: DeployedService) -> Iterator[Finding]:
    """Uploads whose events never came are looked for, and there are none."""
    sweeps = [sweep for text in site.scheduled_events if (sweep := _sweep(text)) is not None]
    if not sweeps:
        return  # that the sweep does not come is said already
    asked = next((sweep.reconcile for sweep in sweeps if sweep.reconcile), None)
    if asked is None:
        yield ok("lost uploads", "they are not looked for: the stack's parameter Reconcile is off")
        return
    yield from findings_of(asked, the_rounds(site.cli).get(), wall_clock())


def _sweep(text: str) -> Sweep | None:
    try:
        event: Any = parse(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, Sweep) else None


def findings_of(asked: Reconcile, known: Round, now: int) -> list[Finding]:
    """What is to be said of the rounds; `now` is epoch ms."""
    return _troubles(asked, known, now) or [ok("lost uploads", described(known, now))]


def _troubles(asked: Reconcile, known: Round, now: int) -> list[Finding]:
    about, found = "lost uploads", []
    if known.trouble:
        remedy = (
            "Let the function's role list the bucket's versions (s3:ListBucketVersions). The bucket's own policy must "
            "allow it too."
        )
        found.append(warning(about, known.trouble.rstrip("."), remedy))
    since = max(known.started, known.ended)
    if since and now - since > (asked.every + LATE_SECONDS) * 1000:
        what = f"they were last looked for {length((now - since) / 1000)} ago, although that should be every "
        what += length(asked.every)
        found.append(warning(about, what, "See the function's log: reconcile is the step that fails."))
    if known.found and now - known.found_at < RECENT_MS:
        found.append(
            warning(
                about,
                f"{count(known.found, 'upload')} found whose events never came, the last "
                f"{length((now - known.found_at) / 1000)} ago; they are loaded, late",
                "Check that nothing else changes the bucket's notifications; the log names each upload.",
            )
        )
    return found


def described(known: Round, now: int) -> str:
    """When lost uploads were last looked for, and how many there were, without a full stop."""
    found = f"; {count(known.found, 'upload')} found so far" if known.found else "; none found so far"
    if not known.ended:
        return "the first round through the buckets has not ended yet" + (found if known.found else "")
    return f"the last round through the buckets ended {length((now - known.ended) / 1000)} ago{found}"


def note_on_lost_uploads(cli: Cli) -> str | None:
    """A sentence for `status`; None where lost uploads were never looked for."""
    known = the_rounds(cli).get()
    if not known.started:
        return None
    refused = f" {known.trouble.rstrip('.')}." if known.trouble else ""
    return f"Lost uploads: {described(known, wall_clock())}.{refused}"
