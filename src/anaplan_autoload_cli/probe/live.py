"""The questions that only a run answers: what its start, its queue, its end and its cancellation look like."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload.anaplan import wire
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.probe import assumptions
from anaplan_autoload_cli.probe.asking import described, json_of, part
from anaplan_autoload_cli.probe.facts import Fact, compared, judged, unknown, values
from anaplan_autoload_cli.probe.kinds import kind_of
from anaplan_autoload_cli.probe.questions import GET_FLOW, GET_HISTORY, GET_RUN, decodes, ended_runs, same_author

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anaplan_autoload.anaplan.http import Answer
    from anaplan_autoload.domain.runs import Run
    from anaplan_autoload_cli.probe.asking import Asker
    from anaplan_autoload_cli.probe.questions import Subject

POST_RUN = "POST /integrations/{id}/run"
POST_CANCEL = "POST /integrations/{id}/cancel"
POST_FLOW = "POST /integrationflows/{id}/run"
PATIENCE_SECONDS = 1800.0
"""How long a run is followed."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 15.0
"""Seconds between two looks at a run: the first, and the longest."""

Phase = Literal["unknown", "queued", "running", "ended"]
Say = Callable[[str], None]


class Look(Struct, frozen=True):
    """What one request for a run's status showed."""

    after: float
    """Seconds since the run was started."""
    answer: Answer

    @property
    def phase(self) -> Phase:
        """The run's phase; `unknown` if the run is not found or the answer cannot be read."""
        run = self.run
        if run is None:
            return "unknown"
        return "ended" if run.ended else "running" if run.started_at else "queued"

    @property
    def run(self) -> Run | None:
        """The run as the function decodes it; None if it cannot."""
        if not self.answer.ok:
            return None
        try:
            return wire.decode_run(self.answer.body, "")
        except (ValueError, RecursionError):
            return None


class Followed(Struct, frozen=True):
    """A run from its start to its end."""

    run_id: str
    posted: Answer
    looks: tuple[Look, ...]
    shown_after: float | None = None
    """Seconds until the history showed it; None if it never did."""


def one_run(asker: Asker, subject: Subject, say: Say) -> Iterator[Fact]:
    """Run the integration once, and follow it to its end."""
    if going := _going(asker, subject):
        yield unknown(POST_RUN, "a run", "that it starts", going)
        return
    began = time.monotonic()
    posted = asker.post(f"/integrations/{part(subject.integration_id)}/run")
    yield from _start(POST_RUN, posted)
    run_id = _run_id(posted)
    if run_id is None:
        return
    first = _look(asker, run_id, began)
    yield _first_look(first)
    if first.phase in ("queued", "running"):
        second = asker.post(f"/integrations/{part(subject.integration_id)}/run")
        yield second_start(second, _look(asker, run_id, began).phase)
    followed = _follow(asker, subject, Followed(run_id, posted, (first,)), began, say)
    yield from facts_of(followed)
    yield from _author(asker, subject, followed)


def one_cancellation(asker: Asker, subject: Subject, say: Say) -> Iterator[Fact]:
    """Run the integration once more, and cancel that run."""
    if going := _going(asker, subject):
        yield unknown(POST_CANCEL, "cancelling", "that it ends", going)
        return
    began = time.monotonic()
    run_id = _run_id(asker.post(f"/integrations/{part(subject.integration_id)}/run"))
    if run_id is None:
        yield unknown(POST_CANCEL, "cancelling", "that it ends", "the run did not start")
        return
    tried: dict[Phase, Answer] = {}
    look = _look(asker, run_id, began)
    while look.phase != "ended" and look.after < _patience(look):
        say(f"cancelling a run: {look.phase}, {round(look.after)} s")
        if look.phase != "unknown" and not _cancelled(tried):
            tried[look.phase] = asker.post(f"/integrations/{part(subject.integration_id)}/cancel")
        asker.sleep(_pause(look.after))
        look = _look(asker, run_id, began)
    yield from facts_of_cancellation(subject.kind, tried, look)


def one_flow_run(asker: Asker, flow_id: str, say: Say) -> Iterator[Fact]:
    """Run the flow once, and follow it by its latest run."""
    path = f"/integrationflows/{part(flow_id)}"
    began = time.monotonic()
    posted = asker.post(f"{path}/run")
    yield from _start(POST_FLOW, posted)
    run_id = _run_id(posted)
    if run_id is None:
        return
    by_id = asker.get(f"/integrations/run/{part(run_id)}")
    yield judged(GET_RUN, "with the id of a flow's run", "200 or 404: it is not relied on", described(by_id), True, "")
    latest = _latest(asker, path)
    while not _is_over(latest, posted) and time.monotonic() - began < PATIENCE_SECONDS:
        say(f"following the flow, {round(time.monotonic() - began)} s")
        asker.sleep(_pause(time.monotonic() - began))
        latest = _latest(asker, path)
    yield from facts_of_flow(posted, run_id, latest)
    yield from _groups(asker, path, flow_id, run_id)


# What can be learned from the runs that were followed. Pure.


def facts_of(followed: Followed) -> Iterator[Fact]:
    """Facts about a run's queue, progress and end, from the looks at it."""
    yield from _queue(followed.looks)
    under_way = [json_of(look.answer) for look in followed.looks if look.phase in ("queued", "running")]
    yield from compared(f"{GET_RUN} (under way)", assumptions.RUN_UNDER_WAY, under_way)
    lag = followed.shown_after
    yield judged(
        GET_HISTORY,
        "a new run shows",
        f"within {assumptions.HISTORY_SECONDS} s",
        "never, before its end" if lag is None else f"after {lag:.0f} s",
        lag is not None and lag <= assumptions.HISTORY_SECONDS,
        "a run whose answer was lost is started again",
    )
    last = followed.looks[-1]
    if last.phase != "ended":
        yield unknown(GET_RUN, "the end of a run", "an endDate", f"none within {round(last.after)} s")
        return
    ended = f"{GET_RUN} (ended)"
    yield from compared(ended, assumptions.ENDED_RUN, [json_of(last.answer)])
    yield decodes(ended, last.answer, lambda body: wire.decode_run(body, ""))
    yield from _begins(followed)


def second_start(answer: Answer, first: Phase) -> Fact:
    """The answer to a second start; `first` is the first run's phase right after it."""
    what, assumed = "while a run is under way", "409 with CloudWorks' JSON"
    if answer.ok and first == "ended":
        return unknown(POST_RUN, what, assumed, "the first run had ended by then, and another one began")
    so = answer.status == HTTPStatus.CONFLICT and answer.is_anaplans
    return judged(POST_RUN, what, assumed, _brief(answer), so, "two runs at once, or a load that fails because of that")


def facts_of_cancellation(kind: str, tried: dict[Phase, Answer], last: Look) -> Iterator[Fact]:
    """The answers to cancelling a queued and a running run, and how the run ended."""
    queued, running = tried.get("queued"), tried.get("running")
    if queued is None:
        yield unknown(POST_CANCEL, "while queued", "404 with CloudWorks' JSON", "the run was never seen queued")
    else:
        so = queued.status == HTTPStatus.NOT_FOUND and queued.is_anaplans
        yield judged(POST_CANCEL, "while queued", "404 with CloudWorks' JSON", described(queued), so, _CANCEL)
    assumed = "409 with CloudWorks' JSON" if kind == "process" else "200"
    if running is None:
        yield unknown(POST_CANCEL, f"while running, of the kind {kind}", assumed, "the run was never seen running")
    else:
        so = running.status == HTTPStatus.CONFLICT if kind == "process" else running.ok
        yield judged(POST_CANCEL, f"while running, of the kind {kind}", assumed, _brief(running), so, _CANCEL)
    if not _cancelled(tried) or last.run is None or last.phase != "ended":
        yield unknown(POST_CANCEL, "a cancelled run counts as", "failed", "no run was cancelled")
        return
    yield judged(
        POST_CANCEL, "a cancelled run counts as", "failed", last.run.outcome, last.run.outcome == "failed", _END
    )


def facts_of_flow(posted: Answer, run_id: str, latest: object) -> Iterator[Fact]:
    """Whether the flow's latest run is the one that was started, and whether it says so."""
    if not _is_over(latest, posted):
        what = "latestRun begins no earlier than the request, and ends"
        yield unknown(GET_FLOW, what, "yes", "not seen in time, or the answer cannot be read")
        return
    seconds = _seconds_between(posted, next(values(latest, "startDate"), None))
    yield _no_earlier(GET_FLOW, "latestRun.startDate", seconds)
    found = next(values(latest, "id"), None)
    is_same = found == run_id
    shown = "the id of the run that was started" if is_same else "none" if not isinstance(found, str) else "another id"
    assumed = "none, or that of the run that was started"
    yield judged(GET_FLOW, "latestRun.id", assumed, shown, is_same or shown == "none", "another run is taken for it")


_CANCEL = "`integrations run` tells the wrong reason when somebody cancels"
_END = "a cancelled run is announced as loaded"


def _queue(looks: tuple[Look, ...]) -> Iterator[Fact]:
    queued = [look for look in looks if look.phase == "queued"]
    about, what, assumed = f"{GET_RUN} (queued)", "a queued run", "startDate absent or null"
    if not queued:
        yield unknown(about, what, assumed, "this run was never seen queued")
        return
    document = json_of(queued[0].answer)
    names = ("startDate", "endDate", "success", "message")
    parts = [f"{name} {kind_of(next(values(document, f'run.{name}'), None))}" for name in names]
    yield judged(about, what, assumed, ", ".join(parts), True, "")


def _begins(followed: Followed) -> Iterator[Fact]:
    run = followed.looks[-1].run
    seconds = _seconds_between(followed.posted, run.started_at if run else None)
    yield _no_earlier(GET_RUN, "run.startDate", seconds)


def _no_earlier(about: str, what: str, seconds: float | None) -> Fact:
    what, assumed = f"{what} compared with the request", f"at most {assumptions.EARLY_SECONDS} s earlier"
    if seconds is None:
        return unknown(about, what, assumed, "one of the two times cannot be read")
    so = seconds >= -assumptions.EARLY_SECONDS
    matters = "a run whose answer was lost is not recognized, and is started again"
    return judged(about, what, assumed, f"{seconds:+.0f} s", so, matters)


# Requests.


def _going(asker: Asker, subject: Subject) -> str | None:
    """Why no run can be started now; None if one can."""
    answer = asker.get(f"/integrations/runs/{part(subject.integration_id)}", offset=0, limit=25)
    try:
        runs = wire.decode_history(answer.body).runs
    except ValueError:
        return "the history cannot be read, so it is not known whether a run is under way"
    return (
        "another run of this integration is under way: try again later" if any(not run.ended for run in runs) else None
    )


def _start(about: str, posted: Answer) -> Iterator[Fact]:
    if posted.status == HTTPStatus.CONFLICT and posted.is_anaplans:
        yield unknown(about, "a run", "that it starts", "another run is under way (409): try again later")
        return
    yield judged(
        about,
        "HTTP status",
        " or ".join(map(str, assumptions.STATUSES_OF_A_START)),
        _brief(posted),
        posted.status in assumptions.STATUSES_OF_A_START,
        "every start counts as one whose answer was lost, or as refused",
    )
    if posted.ok:
        yield from compared(about, assumptions.STARTED, [json_of(posted)])
        yield decodes(about, posted, wire.decode_run_id)


def _run_id(posted: Answer) -> str | None:
    if not posted.ok:
        return None
    try:
        return wire.decode_run_id(posted.body)
    except ValueError:
        return None


def _look(asker: Asker, run_id: str, began: float) -> Look:
    answer = asker.get(f"/integrations/run/{part(run_id)}")
    return Look(time.monotonic() - began, answer)


def _first_look(look: Look) -> Fact:
    status = look.answer.status
    so = status == HTTPStatus.OK or (status == HTTPStatus.NOT_FOUND and look.answer.is_anaplans)
    what = f"{look.after:.1f} s after the start"
    return judged(
        GET_RUN, what, "200, or 404 with CloudWorks' JSON", _brief(look.answer), so, "the run is not followed"
    )


def _follow(asker: Asker, subject: Subject, followed: Followed, began: float, say: Say) -> Followed:
    """Look until the run has ended and the history shows it, or the time is over."""
    looks, shown = list(followed.looks), followed.shown_after
    while (looks[-1].phase != "ended" or shown is None) and looks[-1].after < _patience(looks[-1]):
        if shown is None and followed.run_id in _ids_in_history(asker, subject):
            shown = time.monotonic() - began
        if looks[-1].phase == "ended" and shown is not None:
            break
        say(f"following the run: {looks[-1].phase}, {round(looks[-1].after)} s")
        asker.sleep(_pause(looks[-1].after))
        looks.append(_look(asker, followed.run_id, began))
    return Followed(followed.run_id, followed.posted, tuple(looks), shown)


def _patience(look: Look) -> float:
    """How long to look: less for a run that is not found, or has ended and only has to appear in the history."""
    return PATIENCE_SECONDS if look.phase in ("queued", "running") else 2 * assumptions.HISTORY_SECONDS


def _pause(after: float) -> float:
    return min(max(FIRST_WAIT, after * 0.2), LONGEST_WAIT)


def _ids_in_history(asker: Asker, subject: Subject) -> list[object]:
    answer = asker.get(f"/integrations/runs/{part(subject.integration_id)}", offset=0, limit=25)
    return list(values(json_of(answer), "history_of_runs.runs[].id"))


def _author(asker: Asker, subject: Subject, followed: Followed) -> Iterator[Fact]:
    """Whether the history and the status name the same author for our run."""
    last = json_of(followed.looks[-1].answer)
    run = next((run for run in ended_runs(asker, subject) if run.id == followed.run_id), None)
    if run is not None:
        yield same_author(next(values(last, "run.createdBy"), None), run.author)


def _cancelled(tried: dict[Phase, Answer]) -> bool:
    return any(answer.ok for answer in tried.values())


def _brief(answer: Answer) -> str:
    return str(answer.status) if answer.ok else described(answer)


# Flows.


def _latest(asker: Asker, path: str) -> object:
    return next(values(json_of(asker.get(path)), "integrationFlow.latestRun"), None)


def _is_over(latest: object, posted: Answer) -> bool:
    """Whether a flow's latest run is no older than the request, and has ended."""
    start, end = (next(values(latest, name), None) for name in ("startDate", "endDate"))
    seconds = _seconds_between(posted, start)
    return isinstance(end, str) and seconds is not None and seconds >= -assumptions.EARLY_SECONDS


def _groups(asker: Asker, path: str, flow_id: str, run_id: str) -> Iterator[Fact]:
    """What `flowGroupId` of a step's run is."""
    steps = values(json_of(asker.get(path)), "integrationFlow.steps[].referrer")
    step = next((each for each in steps if isinstance(each, str)), None)
    if step is None:
        return
    history = asker.get(f"/integrations/runs/{part(step)}", offset=0, limit=1)
    newest = next(values(json_of(history), "history_of_runs.runs[].id"), None)
    if not isinstance(newest, str):
        return
    found = next(values(json_of(asker.get(f"/integrations/run/{part(newest)}")), "run.flowGroupId"), None)
    names = {flow_id: "the flow's id", run_id: "the id of the flow's run"}
    shown = names.get(found, kind_of(found)) if isinstance(found, str) else kind_of(found)
    yield judged(GET_RUN, "run.flowGroupId of a step", "not used", shown, True, "")


def _seconds_between(posted: Answer, started: object) -> float | None:
    """Seconds from the answer to a start, both on Anaplan's clock; None if either is missing."""
    if posted.date_ms is None or not isinstance(started, str):
        return None
    try:
        return (epoch_ms(wire.normalize_time(started)) - posted.date_ms) / 1000
    except ValueError:
        return None
