"""Draws the views: the list of loads with the lanes, one load, and one upload."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from anaplan_autoload.domain.times import epoch_ms, seconds_between
from anaplan_autoload.operations.history import MOST_READ
from anaplan_autoload.operations.lanes import HELD
from anaplan_autoload.operations.reloading import ROWS_AGAIN
from anaplan_autoload.page.asking import Act, View
from anaplan_autoload.page.html import Html, element, joined, safe
from anaplan_autoload.page.reading import SEARCHED, UPLOADS_SHOWN
from anaplan_autoload.report.text import count, cut, duration, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anaplan_autoload.aws.ledger import RunRecord, UploadRecord
    from anaplan_autoload.aws.story import Moment
    from anaplan_autoload.operations.history import Found
    from anaplan_autoload.operations.status import LaneStatus
    from anaplan_autoload.page.host import Host
    from anaplan_autoload.page.html import Child
    from anaplan_autoload.page.reading import Listing, LoadDetail, UploadDetail
    from anaplan_autoload.page.rejected import Rejected, RejectedFile

LIST = "autoload-loads"
"""The id of the list's heading."""
MESSAGE_SHOWN = 200
"""Characters of a message in the list; a load's own view has all of it."""
CELL_SHOWN = 200
MAY_BE_RETRIED = ("failed", "partial", "rejected")


# The list.


def list_view(listing: Listing, host: Host) -> Html:
    """The loads, the filters, and what the lanes are doing."""
    return joined(
        element("h1", "Load history"),
        _lanes(listing, host),
        element("h2", "Loads", id=LIST),
        host.filters(listing),
        _uploads_found(listing.uploads, host) if listing.view.key else None,
        _loads(listing, host),
        _goes_on(listing, host),
    )


def _loads(listing: Listing, host: Host) -> Html:
    if not listing.loads:
        told = "No loads were found." if listing.view.filtered else "Nothing was loaded yet."
        return element("p", told)
    numbers = {name: number for number, name in enumerate(listing.routes)}
    rows = [_load_row(run, host, f"o o-{run.outcome} r-{numbers[run.route]}") for run in listing.loads]
    columns = ("Ended", "Route", "Files", "Outcome", "Took", "Rows rejected", "Message", "Run")
    caption = f"{count(len(listing.loads), 'load')}, newest first. Times are in UTC."
    return table(caption, columns, rows)


def _load_row(run: RunRecord, host: Host, class_: str) -> Html:
    return element(
        "tr",
        element("th", host.link(readable(run.ended_at), view_of_load(run)), scope="row", class_="short"),
        element("td", run.route),
        element("td", _files(run), class_="name"),
        element("td", outcome(run.outcome, " (retried)" if run.retried else "")),
        element("td", took(run), class_="short"),
        element("td", rows_rejected(run)),
        element("td", cut(run.message, MESSAGE_SHOWN), class_="name"),
        element("td", "none" if run.id.startswith("batch-") else f"{run.id[:8]}…", class_="muted short"),
        class_=class_,
    )


def _files(run: RunRecord) -> Html:
    more = run.uploads_total - 1
    return joined(name(run.file or "not known"), f" and {count(more, 'more upload')}" if more > 0 else None)


def _goes_on(listing: Listing, host: Host) -> Html | None:
    if listing.older is None:
        return None
    told = f"Only {SEARCHED:,} loads were searched. " if listing.cut else None
    return element("p", told, host.link("Older loads", listing.older))


def _uploads_found(found: Sequence[Found], host: Host) -> Html:
    if not found:
        return element("p", "No upload of such a key is in the ledger, which keeps them for 90 days.")
    rows = [
        element(
            "tr",
            element("th", host.link(each.record.upload.key, view_of_upload(each)), scope="row", class_="name"),
            element("td", _uploaded(each.record), class_="short"),
            element("td", each.record.route.name),
            element("td", outcome(each.record.state)),
        )
        for each in found
    ]
    most = f", the last {UPLOADS_SHOWN}" if len(found) == UPLOADS_SHOWN else ""
    caption = f"Uploads of this key{most}, of the first {MOST_READ:,} in each lane"
    return table(caption, ("Key", "Uploaded", "Route", "State"), rows)


# The lanes.


def _lanes(listing: Listing, host: Host) -> Html:
    if not listing.lanes:
        return element("p", "There are no routes yet, so no upload is loaded.")
    buttons = [_pause(lane, host) for lane in listing.lanes]
    rows = [_lane_row(lane, button, listing.now) for lane, button in zip(listing.lanes, buttons, strict=True)]
    columns = ("Routes", "State", "Waiting", "Last load", *(("Pause",) if any(buttons) else ()))
    held = [f"{_names(lane)}: {HELD}" for lane in listing.lanes if lane.held]
    return joined(
        element("h2", "Lanes"),
        *(element("p", each, class_="trouble") for each in held),
        table("What each lane is doing now", columns, rows),
    )


def _lane_row(lane: LaneStatus, button: Html | None, now: int) -> Html:
    return element(
        "tr",
        element("th", _names(lane), scope="row", class_="name"),
        element("td", _state(lane, now), class_="name"),
        element("td", _waiting(lane, now)),
        element("td", _last(lane, now)),
        element("td", button) if button else None,
    )


def _state(lane: LaneStatus, now: int) -> Html:
    until = f" until {readable(lane.paused_until)}" if lane.paused and lane.paused_until else ""
    since = f" for {_ago(lane.batch.since, now)}, {count(lane.batch.uploads, 'upload')}" if lane.batch else ""
    waits = [f"{wait.route}: {wait.why}" for wait in lane.waits_for]
    notes = "; ".join([*waits, *(f"{each.route} {each.words}" for each in lane.expected)])
    return joined(
        element("b", lane.state, class_=lane.state.split()[0]), until or since, f"; {notes}" if notes else None
    )


def _waiting(lane: LaneStatus, now: int) -> str:
    if lane.oldest_waiting is None:
        return "nothing"
    return f"{count(lane.waiting, 'upload')}, the oldest for {_ago(lane.oldest_waiting, now)}"


def _last(lane: LaneStatus, now: int) -> Html:
    if lane.last is None:
        return safe("none yet")
    return joined(outcome(lane.last.outcome), f" {_ago(lane.last.ended_at, now)} ago")


def _names(lane: LaneStatus) -> str:
    """The lane's routes, or its id if they were removed."""
    return ", ".join(lane.routes) or lane.lane


def _pause(lane: LaneStatus, host: Host) -> Html | None:
    names = _names(lane)
    if lane.paused:
        question = f"Resume {names}? What waits is loaded now."
        return host.action(f"Resume {names}", Act("resume", lane.lane), question)
    question = f"Pause {names}? Uploads are recorded and wait until somebody resumes."
    return host.action(f"Pause {names}", Act("pause", lane.lane), question)


# One load.


def load_view(detail: LoadDetail, host: Host) -> Html:
    """Everything about one load."""
    run = detail.run
    return joined(
        element("h1", f"Load by route {run.route}, ended {readable(run.ended_at)}"),
        load_facts(detail),
        _retry(run, host),
        _others(detail.others, host),
        errors(run),
        rejected_rows(detail.rejected),
        _covered(detail, host),
    )


def load_facts(detail: LoadDetail) -> Html:
    """A load's outcome, run, times and report."""
    run = detail.run
    report = element("a", run.report_url, href=detail.link, rel="noreferrer") if detail.link else run.report_url
    facts: list[tuple[str, Child]] = [
        ("Outcome", outcome(run.outcome, ", and started again" if run.retried else "")),
        ("Message", run.message),
        ("Request", run.request),
        ("Code", str(run.error_code) if run.error_code else None),
        ("Run", "none began" if run.id.startswith("batch-") else run.id),
        ("Integration", run.integration_id),
        ("Flow", run.flow_id),
        ("Started by", run.author),
        ("Claimed", _time(run.claimed_at)),
        ("Run asked for", _time(run.asked_at)),
        ("Began", _time(run.started_at)),
        ("Ended", _time(run.ended_at)),
        ("Took", took(run) or None),
        ("Told", _time(run.told_at)),
        ("Uploads", count(run.uploads_total, "upload")),
        ("Rows rejected", rows_rejected(run) or None),
        ("Report", report),
        ("Not known", run.details_missing),
    ]
    return described(facts)


def _retry(run: RunRecord, host: Host) -> Html | None:
    if run.outcome not in MAY_BE_RETRIED or run.retried:
        return None
    question = f"Load again by route {run.route} what this run was to load? {ROWS_AGAIN}"
    button = host.action("Retry this load", Act("retry", run.lane, run=_run_key(run)), question)
    return element("p", button) if button else None


def errors(run: RunRecord) -> Html | None:
    """A load's first errors, and what is wrong with files that failed their check."""
    if run.problems:
        rows = [
            element(
                "tr",
                element("td", name(each.key)),
                element("td", each.expected),
                element("td", f"{each.found}. {each.hint}"),
            )
            for each in run.problems
        ]
        return joined(element("h2", "Problems"), table("Problems of the files", ("File", "Expected", "Found"), rows))
    if not run.errors:
        return None
    rows = [
        element(
            "tr",
            element("td", each.action),
            element("td", each.message or "rows were rejected"),
            element("td", f"{each.occurrences:,}"),
            element("td", ", ".join(each.values), class_="name"),
        )
        for each in run.errors
    ]
    some = f"The first {len(rows)} of {run.errors_total}" if run.errors_total > len(rows) else "All errors of the run"
    return joined(element("h2", "Errors"), table(some, ("Action", "Error", "Rows", "Values"), rows))


def rejected_rows(rejected: Rejected) -> Html | None:
    """The first rejected rows."""
    if rejected.trouble:
        return joined(element("h2", "Rejected rows"), element("p", rejected.trouble, class_="trouble"))
    if not rejected.files:
        return None
    return joined(element("h2", "Rejected rows"), *map(_rejected_file, rejected.files))


def _rejected_file(file: RejectedFile) -> Html:
    rows = [element("tr", *(element("td", cut(cell, CELL_SHOWN)) for cell in row)) for row in file.rows]
    some = f"The first {count(len(rows), 'row')}" if file.more else f"All {count(len(rows), 'row')}"
    return table(f"{some} of {file.name}", file.header, rows)


def _others(runs: Sequence[RunRecord], host: Host) -> Html | None:
    if not runs:
        return None
    links = [element("li", host.link(readable(run.ended_at), view_of_load(run)), f" {run.outcome}") for run in runs]
    return joined(element("p", "Other runs for the same uploads:"), element("ul", *links))


def _covered(detail: LoadDetail, host: Host) -> Html:
    if not detail.uploads:
        told = (
            "The ledger does not have them: single uploads are kept for 90 days, and get their load when it is final."
        )
        return joined(element("h2", "Uploads"), element("p", told))
    rows = [
        element(
            "tr",
            element("th", host.link(each.upload.key, View(lane=detail.run.lane, upload=each.upload.id)), scope="row"),
            element("td", _uploaded(each), class_="short"),
            element("td", outcome(each.state)),
        )
        for each in detail.uploads
    ]
    shown, total = len(rows), detail.run.uploads_total
    caption = f"The first {shown} of {total}" if total > shown else "All that this load covered"
    return joined(element("h2", "Uploads"), table(caption, ("Key", "Uploaded", "State"), rows))


# One upload.


def upload_view(detail: UploadDetail, host: Host) -> Html:
    """One upload's whole story."""
    upload, record = detail.record.upload, detail.record
    facts: list[tuple[str, Child]] = [
        ("Key", name(upload.key)),
        ("Bucket", upload.bucket),
        ("State", outcome(record.state)),
        ("Waits", detail.waits or None),
        ("Route", record.route.name),
        ("Version", upload.version_id),
        ("Size", f"{upload.size:,} bytes" if upload.size is not None else None),
    ]
    links = [
        element("li", host.link(readable(run.ended_at), view_of_load(run)), f" {run.outcome}") for run in detail.runs
    ]
    return joined(
        element("h1", "Upload"),
        described(facts),
        _load_again(detail, host),
        element("h2", "What happened"),
        moments(detail.story),
        joined(element("h2", "Loads"), element("ul", *links)) if links else None,
    )


def _load_again(detail: UploadDetail, host: Host) -> Html | None:
    if detail.record.state == "waiting":
        return None
    act = Act("load", detail.lane, upload=detail.record.upload.id, request=uuid4().hex)
    button = host.action("Load this upload again", act, f"Load this upload again now? {ROWS_AGAIN}")
    return element("p", button) if button else None


# Parts.


def view_of_load(run: RunRecord) -> View:
    """The view of one load."""
    return View(lane=run.lane, run=_run_key(run))


def view_of_upload(found: Found) -> View:
    """The view of one upload."""
    return View(lane=found.lane, upload=found.record.upload.id)


def _run_key(run: RunRecord) -> str:
    return run.sk.removeprefix("run#")


def table(caption: str, columns: Iterable[str], rows: Iterable[Html]) -> Html:
    """A table that can be scrolled if it is too wide, also with the keyboard."""
    head = element("thead", element("tr", *(element("th", column, scope="col") for column in columns)))
    whole = element("table", element("caption", caption), head, element("tbody", *rows))
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def described(facts: Iterable[tuple[str, Child]]) -> Html:
    """Names and values, without those that are None or empty."""
    return element("dl", *(joined(element("dt", term), element("dd", value)) for term, value in facts if value))


def moments(found: Iterable[Moment]) -> Html:
    """What happened when, in order."""
    rows = [
        element(
            "tr",
            element("th", each.what, scope="row"),
            element("td", _time(each.at)),
            element("td", each.said, class_="name"),
            element("td", each.clock),
        )
        for each in found
    ]
    return table("In order, in UTC; the three clocks may differ by a second", ("What", "When", "Said", "Clock"), rows)


def outcome(word: str, note: str = "") -> Html:
    """An outcome or a state, in a color of its own and in words."""
    return joined(element("b", word, class_=word), note)


def name(key: str) -> Html:
    """A file's name, marked up so that it cannot change the direction of the text around it."""
    return element("bdi", key)


def took(run: RunRecord) -> str:
    """How long a run took; empty if no run began."""
    return duration(seconds_between(run.started_at, run.ended_at)) if run.started_at else ""


def rows_rejected(run: RunRecord) -> str:
    """How many rows a run rejected, if that is known; empty if it rejected none."""
    rows = sum(error.occurrences for error in run.errors)
    at_least = "at least " if run.errors_total > len(run.errors) else ""
    return f"{at_least}{rows:,}" if rows else ""


def _uploaded(record: UploadRecord) -> Html:
    at = _time(record.upload.event_time) or safe("not known")
    return joined(at, " (requested again)") if record.upload.request_id else at


def _time(at: str | None) -> Html | None:
    return element("time", readable(at), datetime=at) if at else None


def _ago(time: str, now: int) -> str:
    return duration(max(0, (now - epoch_ms(time)) // 1000))
