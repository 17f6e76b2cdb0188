"""What must be true of every history once faults have stopped: the promise, seen from outside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aws_durable_execution_sdk_python.lambda_service import OperationAction
from msgspec import Struct

from anaplan_autoload.aws.items import decode
from anaplan_autoload.domain.schedule import opens_at
from anaplan_autoload.domain.times import epoch_ms
from tests.model.executions import FUNCTION_TIMEOUT_MS
from tests.model.function import DUE_AT

if TYPE_CHECKING:
    from local.cloudworks.runs import Run
    from tests.model.function import Function, Sent

MOST_OPERATIONS = 2_500
MOST_BYTES = 200 * 1024
SWEEPS = 40
"""After this many sweeps, an upload that still waits counts as waiting forever."""
REPLACED_MS = 600_000
"""If a file is older than this when a run reads it, it was there when it was checked: nothing stalls for so long."""
STATES = {"success": "loaded", "partial_success": "partial", "failure": "failed"}
BEGINNINGS = {
    "loaded": "Loaded",
    "partial": "Partly loaded",
    "failed": "Failed",
    "rejected": "Rejected",
    "recovered": "Recovered",
}
"""What a digest calls each outcome."""
FINAL = ("loaded", "partial", "failed", "rejected", "superseded")


class Ledger(Struct, frozen=True):
    """The contents of the table, as seen from outside."""

    uploads: dict[str, dict[str, Any]]
    """By upload id."""
    runs: dict[str, dict[str, Any]]
    """By run id, or `batch-<batch id>`."""
    lanes: dict[str, dict[str, Any]]
    batches: list[dict[str, Any]]
    """The ids of batches."""
    standings: dict[str, dict[str, Any]]
    """By the route's name."""
    owed: list[dict[str, Any]]
    """The messages that people have yet to get in a digest."""


def read(function: Function) -> Ledger:
    """What the ledger holds now."""
    found = Ledger({}, {}, {}, [], {}, [])
    for raw in function.table.everything():
        item = decode(raw)
        kind, _, rest = item["sk"].partition("#")
        if item["pk"] == "standing":
            found.standings[item["sk"]] = item
        if item["pk"] == "digest":
            found.owed.append(item)
        if kind == "upload":
            found.uploads[rest] = item
        elif kind == "run":
            found.runs[item["id"]] = item
        elif kind == "lane":
            found.lanes[item["pk"].removeprefix("lane#")] = item
        elif kind == "batch":
            found.batches.append(item)
    return found


def come_to_rest(function: Function) -> None:
    """Stop all trouble, and let sweeps and redrives do their work. In the end, complete all sets."""
    function.heal()
    _wait_for_rest(function)
    lacks = function.lacks(list(read(function).uploads.values()))
    for name in lacks:
        function.upload("month_end", name)
    if lacks:
        _wait_for_rest(function)
    for _ in range(2):  # the first may find that another one has begun to announce it
        due = max([DUE_AT, *(owed["due_at"] for owed in read(function).owed)])
        function.world.pass_time(max(130, (due - function.world.now) / 1000))
        function.sweep()
        function.world.pass_time(30)
    if function.service.open:  # the schedule may have just begun a sweep of its own
        function.world.pass_time(30)


def _wait_for_rest(function: Function) -> None:
    for _ in range(SWEEPS):
        function.redrive()
        function.world.pass_time(301)
        service = function.service
        if not (service.coming or service.dead_letters or service.open or _pending(function)):
            return
    raise AssertionError(f"after {SWEEPS} sweeps there is still something to do: {_pending(function)}")


def check(function: Function) -> None:
    """All of the promise; raises AssertionError with every breach of it."""
    breaches = [*function.breaches, *_breaches(function)]
    assert not breaches, "\n".join(breaches)


def _pending(function: Function) -> list[str]:
    """What waits, except sets that were announced as incomplete."""
    uploads = list(read(function).uploads.values())
    known = _announced_as_incomplete(function, uploads)
    waiting = [
        item["sk"]["S"]
        for item in function.table.everything()
        if "waiting" in item and item["sk"]["S"].partition("#")[2] not in known
    ]
    return waiting + [f"lost {sent.upload.key}" for sent in function.sent if _is_to_be_found(function, sent)]


def _is_to_be_found(function: Function, sent: Sent) -> bool:
    """Whether a lost upload still has to be recorded: its object exists, and a run would read it."""
    if not sent.lost or _item(read(function), sent) is not None:
        return False
    later = function.sent[function.sent.index(sent) + 1 :]
    replaced = any(_same_place(sent, other) for other in later)
    return not replaced or (function.versioned and sent.route.load == "each")


def _item(ledger: Ledger, sent: Sent) -> dict[str, Any] | None:
    """The ledger's item of an upload: by its identity or, without versions, by its content, as a listing shows it."""
    known = ledger.uploads.get(sent.upload.id)
    if known is not None or sent.upload.version_id is not None:
        return known
    return next((item for item in ledger.uploads.values() if _has_content(item, sent)), None)


def _has_content(item: dict[str, Any], sent: Sent) -> bool:
    """Whether the item is of this upload: no two have the same content."""
    return (item["key"], item["etag"]) == (sent.upload.key, sent.upload.etag)


def _announced_as_incomplete(function: Function, uploads: list[dict[str, Any]]) -> set[str]:
    """The ids of the uploads of an incomplete set, if that was announced after the first of them came."""
    ids = {
        item["sk"].partition("#")[2]: item["recorded_at"]
        for item in uploads
        if item["state"] == "waiting" and item["route"].get("needs")
    }
    lacks = function.lacks(uploads)
    told = any(
        message.outcome == "incomplete"
        and message.at >= min(ids.values())
        and set(lacks) <= set(message.document["awaited"])
        for message in function.topic.messages
        if ids
    )
    return set(ids) if lacks and told else set()


def _breaches(function: Function) -> Iterator[str]:
    ledger = read(function)
    runs = {run.id: run for run in function.simulator.runs}
    yield from _lost(function, ledger, runs)
    yield from _doubled(function, ledger)
    yield from _older_after_newer(function, ledger, runs)
    yield from _unchecked(function)
    yield from _overlapping(function)
    yield from _against_a_rule(function, ledger)
    yield from _needless(function, ledger)
    yield from _unannounced(function, ledger)
    yield from _unmailed(function, ledger)
    yield from _too_many_mails(function)
    yield from _unexpected(function, ledger)
    yield from _unrecovered(function)
    yield from _never_ending(function, ledger)
    yield from _beyond_limits(function)
    if function.simulator.lockouts:
        yield f"users were locked out: {function.simulator.lockouts}"
    for failure in function.service.failures:
        if not any(code in failure for code in EXPECTED_FAILURES):
            yield f"an execution failed by itself: {failure}"


EXPECTED_FAILURES = ("ProvisionedThroughputExceeded", "TransactionCanceled", "SlowDown", "InternalError", "TooMany")
"""AWS's last answer to a step that was tried five times."""


def _lost(function: Function, ledger: Ledger, runs: dict[str, Run]) -> Iterator[str]:
    for sent in function.sent:
        name = f"{sent.route.name} {sent.upload.key} {sent.upload.sequencer}"
        item = _item(ledger, sent)
        if item is None:
            if not sent.lost or _is_to_be_found(function, sent):
                yield f"lost: {name} was never recorded"
        elif item["state"] == "superseded":
            yield from _wrongly_superseded(function, sent, name)
        elif item["state"] not in FINAL:
            yield f"lost: {name} is {item['state']}"
        elif item.get("run_id") is None:
            yield from _failed_unseen(function, sent, item, name)
        else:
            yield from _miscovered(sent, item, runs.get(item["run_id"]), function, name)


def _wrongly_superseded(function: Function, sent: Sent, name: str) -> Iterator[str]:
    if sent.route.load != "each":
        yield f"lost: {name} is superseded, but its route loads the latest"
    if not any(sent.upload.is_older_than(other.upload) for other in function.sent if _same_place(sent, other)):
        yield f"lost: {name} is superseded, and there is nothing newer"


def _same_place(one: Sent, two: Sent) -> bool:
    return (one.upload.bucket, one.upload.key) == (two.upload.bucket, two.upload.key)


def _failed_unseen(function: Function, sent: Sent, item: dict[str, Any], name: str) -> Iterator[str]:
    if item["state"] not in ("failed", "rejected"):
        yield f"lost: {name} is {item['state']} without a run"
    if item["state"] == "rejected" and function.is_read(sent) and not _may_fail_its_check(function, sent):
        yield f"lost: {name} is rejected, but its integration reads it"
    told = [message for message in function.topic.messages if _tells_of(message.document, item)]
    if not any(message.outcome == item["state"] and message.document["message"] for message in told):
        yield f"lost: {name} is {item['state']}, and nobody was told why"


def _may_fail_its_check(function: Function, sent: Sent) -> bool:
    """Whether the file that was checked for an upload was bad: with "latest", what its key held at the time."""
    if sent.route.load == "each":
        return sent.bad
    return any(other.bad and _same_place(sent, other) for other in function.sent)


def _unchecked(function: Function) -> Iterator[str]:
    """No run reads a file that failed its check, unless it was replaced between the check and the run."""
    bad = {sent.sha256: sent for sent in function.sent if sent.bad}
    for run in function.runs:
        sent = bad.get(run.source_sha256 or "")
        if sent is None:
            continue
        age_ms = run.accepted_at * 1000 - epoch_ms(sent.upload.event_time)
        if sent.route.load == "each" or age_ms > REPLACED_MS:
            yield f"unchecked: run {run.id} read {sent.upload.key}, which fails its route's check"


def _tells_of(document: dict[str, Any], item: dict[str, Any]) -> bool:
    wanted = (item["key"], item["event_time"], item.get("version_id"))
    return any((each["key"], each["event_time"], each["version_id"]) == wanted for each in document["uploads"])


def _doubled(function: Function, ledger: Ledger) -> Iterator[str]:
    """Objects that are recorded as two uploads: from the event, and from a listing."""
    for sent in function.sent:
        if sum(_has_content(item, sent) for item in ledger.uploads.values()) > 1:
            yield f"doubled: {sent.route.name} {sent.upload.key} {sent.upload.sequencer} was recorded twice"


def _miscovered(sent: Sent, item: dict[str, Any], run: Run | None, function: Function, name: str) -> Iterator[str]:
    if run is None:
        yield f"miscovered: {name} by run {item['run_id']}, which Anaplan does not know"
    elif run.integration_id != sent.route.integration:
        yield f"miscovered: {name} by a run of another integration"
    elif run.started_at * 1000 < item["recorded_at"]:
        early = item["recorded_at"] - run.started_at * 1000
        yield f"miscovered: {name} by a run that started {early:.0f} ms before it was recorded"
    elif not function.is_read(sent) and not function.disturbed:
        yield f"miscovered: {name} by run {run.id}, which did not read it"
    elif run.id not in {post.run_id for post in function.posts}:
        yield f"miscovered: {name} by somebody else's run"
    elif sent.route.load == "each" and run.source_sha256 != sent.sha256:
        yield f"miscovered: {name} by a run that read something else"
    elif run.result is None or STATES[run.result.outcome] != item["state"]:
        yield f"misjudged: {name} is {item['state']}, its run ended {run.result}"


def _older_after_newer(function: Function, ledger: Ledger, runs: dict[str, Run]) -> Iterator[str]:
    """With "each", no run may put older data of a key over newer."""
    by_content = {sent.sha256: sent for sent in function.sent if sent.route.load == "each"}
    ours = sorted(function.runs, key=lambda run: run.started_at)
    loads = [
        (run, by_content[run.source_sha256])
        for run in ours
        if run.source_sha256 in by_content and run.result is not None and run.result.success
    ]
    places = {(sent.upload.bucket, sent.upload.key) for _, sent in loads}
    for place in places:
        of_place = [(run, sent) for run, sent in loads if (sent.upload.bucket, sent.upload.key) == place]
        for (_, before), (run, after) in pairwise(of_place):
            if after.upload.is_older_than(before.upload):
                yield f"older data over newer: {after.upload.key} {after.upload.sequencer} in run {run.id}"


def _overlapping(function: Function) -> Iterator[str]:
    lanes = {route.integration: route.lane_id for route in function.routes}
    for lane in set(lanes.values()):
        runs = sorted(
            (run for run in function.runs if lanes.get(run.integration_id) == lane), key=lambda run: run.accepted_at
        )
        for before, after in pairwise(runs):
            if after.accepted_at < before.ended_at:
                yield f"overlapping in lane {lane}: {before.id} and {after.id}"


def _against_a_rule(function: Function, ledger: Ledger) -> Iterator[str]:
    """No run begins outside its route's window, and none covers half of a set.

    Between the check of the window and the request there are a few calls, or all of an invocation if it stalls.
    """
    routes = {route.integration: route for route in function.routes}
    slack = FUNCTION_TIMEOUT_MS if function.world.met else 10_000
    for run in function.runs:
        route = routes[run.integration_id]
        at = round(run.accepted_at * 1000)
        if route.window and opens_at(route.window, at) and opens_at(route.window, at - slack):
            yield f"outside its window: run {run.id} of {route.name} at {at}"
        came = {item["key"] for item in ledger.uploads.values() if item.get("run_id") == run.id}
        if came and not {route.prefix + name for name in route.needs} <= came:
            yield f"an incomplete set: run {run.id} of {route.name} covers {sorted(came)}"


def _needless(function: Function, ledger: Ledger) -> Iterator[str]:
    """A run is needed when it is in the history and covers something, or was followed by a retry.

    A run may be missing in the history if its answer was lost and nothing proves that it is ours.
    """
    covering = {item.get("run_id") for item in ledger.uploads.values()}
    for post in function.posts:
        record = ledger.runs.get(post.run_id)
        undisturbed = post.answered and post.arn not in function.service.abnormal
        if record is None and (undisturbed or post.provable):
            yield f"needless: run {post.run_id} is not in the history"
        if record is not None and not record.get("retried") and post.run_id not in covering:
            yield f"needless: run {post.run_id} covers nothing"


def _unannounced(function: Function, ledger: Ledger) -> Iterator[str]:
    told: dict[str, set[str]] = {}
    for message in function.topic.messages:
        told.setdefault(message.id, set()).add(message.outcome)
    for run_id, record in ledger.runs.items():
        outcomes = told.get(run_id, set()) - {"overdue", "held", "incomplete", "recovered"}
        wanted = set() if record.get("retried") else {record["outcome"]}
        if outcomes != wanted:
            yield f"unannounced: run {run_id} is {record['outcome']}, told was {sorted(outcomes)}"
        if wanted and not record.get("announced"):
            yield f"unannounced: run {run_id} does not show as announced"
    for run_id in told.keys() - ledger.runs.keys():
        if told[run_id] - {"overdue", "held", "incomplete", "missing"}:
            yield f"announced out of nowhere: {run_id}"


def _unmailed(function: Function, ledger: Ledger) -> Iterator[str]:
    """People got every message, by itself or in a digest."""
    digests = [mail.text for mail in function.topic.mails if mail.outcome == "digest"]
    mailed = {(mail.id, mail.outcome) for mail in function.topic.mails}
    for told in function.topic.messages:
        line = f"- {BEGINNINGS.get(told.outcome, '')}: {told.document['route']}: "
        lines = [each for text in digests for each in text.splitlines() if f", {told.id})" in each]
        if (told.id, told.outcome) not in mailed and not any(each.startswith(line) for each in lines):
            yield f"unmailed: only systems were told of {told.id}, which is {told.outcome}"
    for owed in ledger.owed:
        yield f"unmailed: people have yet to be told of {owed['sk']}"


def _too_many_mails(function: Function) -> Iterator[str]:
    """Without trouble, no lane sends too many mails. A run is marked as announced a moment after its message."""
    if function.world.met:
        return
    lanes = {message.id: function.lane(message.document["route"]) for message in function.topic.messages}
    window = function.settings.digest_ms - 30_000
    for lane in set(lanes.values()):
        mails = [mail for mail in function.topic.mails if mail.outcome in FINAL and lanes[mail.id] == lane]
        for last in mails:
            within = {mail.id for mail in mails if last.at - window < mail.at <= last.at}
            if len(within) > function.settings.digest_after:
                yield f"too many mails: {len(within)} of lane {lane} until {last.at}"


def _unexpected(function: Function, ledger: Ledger) -> Iterator[str]:
    """Every due time was met or announced as missing, and a missing file that came was announced too."""
    for route in function.routes:
        if not route.expect:
            continue
        told = [message for message in function.topic.messages if message.document["route"] == route.name]
        missed = any(message.outcome == "missing" for message in told)
        came = any("missing" in message.document.get("recovered_from", ()) for message in told)
        standing = ledger.standings.get(route.name, {})
        loads = [run for run in ledger.runs.values() if run["route"] == route.name]
        loaded = any(run["outcome"] in ("loaded", "partial") for run in loads)
        if standing.get("settled", 0) < DUE_AT:
            yield f"unexpected: nobody saw whether {route.name} was loaded in time"
        elif not (missed or loaded):
            yield f"unexpected: {route.name} loaded nothing, and nobody was told"
        if came and not missed:
            yield f"unexpected: {route.name} came, but was never missing"
        if missed and loaded and (not came or "missed" in standing):
            yield f"unexpected: {route.name} was missing and came, and nobody was told"


def _unrecovered(function: Function) -> Iterator[str]:
    """The first success after a failure is announced as recovered, and no other."""
    failing: set[str] = set()
    recovered = {
        message.id for message in function.topic.messages if "failed" in message.document.get("recovered_from", ())
    }
    seen: set[str] = set()
    for message in function.topic.messages:
        route = message.document["route"]
        if message.id in seen or message.outcome not in ("loaded", "failed"):
            continue
        seen.add(message.id)
        if message.outcome == "failed":
            failing.add(route)
        elif (message.id in recovered) is not (route in failing):
            yield f"recovered: load {message.id} of {route} was told of wrongly"
        else:
            failing.discard(route)


def _never_ending(function: Function, ledger: Ledger) -> Iterator[str]:
    for lane, item in ledger.lanes.items():
        if item.get("holder") is not None and item["lease_until"] >= function.world.now:
            yield f"lane {lane} is still led by {item['holder']}"
        if "open" in item:
            yield f"lane {lane} still has an open batch"
    for item in ledger.batches:
        if "ttl" not in item:
            yield f"the ids of a batch are left: {item['sk']}"
    for execution in function.service.open:
        yield f"execution {execution.durable_execution_arn} goes on"


def _beyond_limits(function: Function) -> Iterator[str]:
    if (largest := max(function.service.sizes)) > MOST_BYTES:
        yield f"a checkpoint of {largest} bytes"
    for execution in function.service.executions.values():
        again = sum(update.action is OperationAction.RETRY for update in execution.updates)
        if (operations := len(execution.operations) + again) > MOST_OPERATIONS:
            yield f"{operations} operations in {execution.durable_execution_arn}"
