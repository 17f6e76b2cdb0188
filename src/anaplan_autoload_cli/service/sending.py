"""Requested loads, on their way to the function: what people see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.operations.sending import Patience, Watcher, ask
from anaplan_autoload_cli.output import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.operations.sending import Reload
    from anaplan_autoload_cli.output import Output, Progress, Record
    from anaplan_autoload_cli.service.places import FunctionAlias

_COLUMNS = (
    Column("route", "Route"),
    Column("key", "Key"),
    Column("version_id", "Version"),
    Column("request_id", "Request"),
)
_BAR = 20


def send(out: Output, ledger: Ledger, function: FunctionAlias, reloads: Sequence[Reload]) -> None:
    """Ask for these loads, all of one lane, and print what was asked for; see `operations.sending.ask`."""
    with out.progress("Asking") as progress:
        missing = ask(ledger, function.send, reloads, _Bars(progress), Patience())
    if missing:
        out.warning(
            f"{missing} of {len(reloads)} requests are not recorded yet. The function has them all; if it refuses "
            "one, it is in the dead-letter queue (anaplan-autoload redrive)."
        )
    out.rows([_record(each) for each in reloads], _COLUMNS)


def bar(done: int, total: int) -> str:
    """Progress: `████░░░░ 12 of 30`."""
    full = _BAR * done // total if total else _BAR
    return f"{'█' * full}{'░' * (_BAR - full)} {done} of {total}"


class _Bars(Watcher):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def asked(self, done: int, total: int) -> None:
        self._progress.update(f"Asking {bar(done, total)}")

    def recorded(self, done: int, total: int) -> None:
        self._progress.update(f"Recorded {bar(done, total)}")


def _record(each: Reload) -> Record:
    return {
        "bucket": each.load.bucket,
        "key": each.load.key,
        "version_id": each.load.version_id,
        "route": each.route.name,
        "lane": each.route.lane_id,
        "request_id": each.load.request_id,
        "upload_id": each.load.upload_id,
    }
