"""The questions that change nothing: answers are read, and nothing is run."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.anaplan import wire
from anaplan_autoload.anaplan.cloudworks import SCHEMES
from anaplan_autoload.domain.outcomes import outcome_of
from anaplan_autoload.domain.times import epoch_ms
from anaplan_autoload_cli.probe import assumptions
from anaplan_autoload_cli.probe.asking import described, json_of, kind_of_body, part
from anaplan_autoload_cli.probe.facts import Fact, compared, judged, new, unknown, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from anaplan_autoload.anaplan.http import Answer
    from anaplan_autoload.domain.runs import Run
    from anaplan_autoload_cli.probe.asking import Asker
    from anaplan_autoload_cli.probe.facts import Shape

GET_INTEGRATIONS = "GET /integrations"
GET_INTEGRATION = "GET /integrations/{id}"
GET_HISTORY = "GET /integrations/runs/{id}"
GET_RUN = "GET /integrations/run/{runId}"
GET_ERRORS = "GET /integrations/runerror/{runId}"
GET_DUMPS = "GET /integrations/run/{runId}/dumps"
GET_FLOWS = "GET /integrationflows"
GET_FLOW = "GET /integrationflows/{id}"
GET_CONNECTIONS = "GET /integrations/connections"
PAGE = 100
SMALL_PAGE = 2
UNCLEAN_RUNS = 5
"""For how many runs with errors the errors are read."""
LONGEST_SHOWN = 100_000
"""Minutes. A longer time must be in another unit, so it is not read as the life of a token."""
NOT_OF_OAUTH = "the log-in is one with OAuth, which needs no such request"
NO_RUNS = "this integration has no runs that have ended"


class Subject(Struct, frozen=True):
    """The integration, and what else the questions are about."""

    integration_id: str
    kind: str
    """`import`, `export` or `process`."""
    flow_id: str | None = None


def read_only(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """Every question that changes nothing."""
    for about, questions in (
        ("GET /token/validate", validation),
        ("POST /token/refresh", refresh),
        (GET_INTEGRATIONS, authorization),
        (GET_INTEGRATION, partial(refusals, subject=subject)),
        (GET_INTEGRATIONS, integrations),
        (GET_CONNECTIONS, connections),
        (GET_INTEGRATION, partial(integration, subject=subject)),
        (GET_HISTORY, partial(history, subject=subject)),
        (GET_RUN, partial(last_run, subject=subject)),
        (GET_ERRORS, partial(errors, subject=subject)),
        (GET_FLOWS, flows),
        (GET_FLOW, partial(flow, subject=subject)),
    ):
        yield from guarded(about, questions, asker)


def guarded(about: str, questions: Callable[[Asker], Iterable[Fact]], asker: Asker) -> Iterator[Fact]:
    """The facts, and one more if an answer does not arrive or cannot be used."""
    try:
        yield from questions(asker)
    except Exception as error:  # an answer of the wrong shape may raise any error; the other questions are still asked
        yield unknown(about, "the request", "an answer", f"no answer that can be read ({type(error).__name__})")


# The log-in.


def validation(asker: Asker) -> Iterator[Fact]:
    """What the authentication service says of a token."""
    about = "GET /token/validate"
    if asker.is_oauth:
        yield unknown(about, "the token", "valid", NOT_OF_OAUTH)
        return
    answer = asker.authentication("GET", "/token/validate")
    yield _status(about, answer, (200,), "`auth check` fails")
    yield from _shape(about, assumptions.VALIDATION, answer)


def refresh(asker: Asker) -> Iterator[Fact]:
    """Whether a token can be renewed, which every run longer than half an hour needs."""
    about = "POST /token/refresh"
    if asker.is_oauth:
        yield unknown(about, "the token", "renewed", NOT_OF_OAUTH)
        return
    answer = asker.authentication("POST", "/token/refresh")
    yield _status(about, answer, (200, 201), "a token is not renewed: Autoload logs in more often")
    yield from _shape(about, assumptions.REFRESH, answer)
    expires = next(values(json_of(answer), "tokenInfo.expiresAt"), None)
    if isinstance(expires, int) and answer.date_ms is not None:
        minutes = (expires - answer.date_ms) / 60_000
        is_so = assumptions.SHORTEST_LIFE <= minutes <= assumptions.LONGEST_LIFE
        found = f"{minutes:.0f} minutes" if is_so or 0 <= minutes < LONGEST_SHOWN else "not a time in the future"
        yield judged(
            about, "life of a token", "about 35 minutes", found, is_so, "tokens are renewed too often or too late"
        )


def authorization(asker: Asker) -> Iterator[Fact]:
    """Which headers CloudWorks accepts, and how it answers an invalid token."""
    about = GET_INTEGRATIONS
    answer = asker.get("/integrations", offset=0, limit=SMALL_PAGE)
    yield _date(about, answer)
    yield from _schemes({scheme: asker.get_as(scheme, "/integrations") for scheme in SCHEMES}, is_oauth=asker.is_oauth)
    bad = asker.get_as(asker.scheme, "/integrations", token_hex(32))
    yield judged(
        about,
        "with a token that does not exist",
        "401 or 403 with CloudWorks' JSON",
        described(bad),
        bad.status in assumptions.STATUSES_OF_A_BAD_TOKEN and bad.is_anaplans,
        "an expired token is not replaced: loading stops after half an hour",
    )
    limits = sorted(name.lower() for name in answer.headers if "ratelimit" in name.lower())
    if limits:
        yield new(about, "headers about a rate limit", "none", ", ".join(limits))


def _schemes(answers: dict[str, Answer], *, is_oauth: bool) -> Iterator[Fact]:
    """Which schemes CloudWorks accepts. An OAuth token needs one of them; others have worked with both."""
    if is_oauth:
        found = ", ".join(f"{scheme} {answer.status}" for scheme, answer in answers.items())
        so = any(answer.ok for answer in answers.values())
        what = "with an OAuth token, by scheme"
        yield judged(GET_INTEGRATIONS, what, "200 for at least one", found, so, "nothing works with an OAuth log-in")
        return
    for scheme, answer in answers.items():
        matters = "nothing works" if scheme == SCHEMES[0] else "nothing today: this scheme is not used for such tokens"
        yield _status(GET_INTEGRATIONS, answer, (200,), matters, f"with Authorization: {scheme} …")


def refusals(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """How CloudWorks says that something does not exist."""
    missing = asker.get(f"/integrations/{'0' * 32}")
    yield judged(
        GET_INTEGRATION,
        "with an id that does not exist",
        "404 with CloudWorks' JSON",
        described(missing),
        missing.status == HTTPStatus.NOT_FOUND and missing.is_anaplans,
        "a deleted integration is asked for again and again",
    )
    yield from _shape(f"{GET_INTEGRATION} (does not exist)", assumptions.REFUSAL, missing)
    unrouted = asker.get(f"/integrations/{part(subject.integration_id)}/no-such-path")
    yield judged(
        "GET /integrations/{id}/no-such-path",
        "a path that does not exist",
        "not CloudWorks' JSON",
        kind_of_body(unrouted),
        not unrouted.is_anaplans,
        "a wrong address is taken for a missing integration",
    )


# Listings.


def integrations(asker: Asker) -> Iterator[Fact]:
    """The list of integrations, and how it comes in pages."""
    page = asker.get("/integrations", offset=0, limit=PAGE)
    yield from _read(
        GET_INTEGRATIONS, assumptions.INTEGRATIONS, page, lambda body: wire.decode_page(body, "integrations")
    )
    yield from _paging(asker, "/integrations", "integrations", page)


def connections(asker: Asker) -> Iterator[Fact]:
    """The list of connections."""
    page = asker.get("/integrations/connections", offset=0, limit=PAGE)
    yield from _read(GET_CONNECTIONS, assumptions.CONNECTIONS, page, lambda body: wire.decode_page(body, "connections"))


def flows(asker: Asker) -> Iterator[Fact]:
    """The list of flows."""
    page = asker.get("/integrationflows", offset=0, limit=PAGE)
    yield from _read(GET_FLOWS, assumptions.FLOWS, page, lambda body: wire.decode_page(body, "integrationFlows"))


def _paging(asker: Asker, path: str, key: str, page: Answer) -> Iterator[Fact]:
    ids = list(values(json_of(page), f"{key}[].integrationId"))
    total = next(values(json_of(page), "meta.paging.totalSize"), None)
    yield judged(
        GET_INTEGRATIONS,
        f"items in a page of {PAGE}",
        f"at most {PAGE}",
        f"{len(ids)} of {total if isinstance(total, int) else 'an unknown number'}",
        len(ids) <= PAGE,
        "a listing may show items twice",
    )
    default = list(values(json_of(asker.get(path)), f"{key}[].integrationId"))
    if isinstance(total, int) and total > assumptions.DEFAULT_PAGE:
        found = f"{len(default)}"
        so = len(default) == assumptions.DEFAULT_PAGE
        yield judged(GET_INTEGRATIONS, "items without a limit", str(assumptions.DEFAULT_PAGE), found, so, "nothing")
    if len(ids) > 1:
        second = list(values(json_of(asker.get(path, offset=1, limit=SMALL_PAGE)), f"{key}[].integrationId"))
        is_so = second[:1] == ids[1:2]
        found = "the second item" if is_so else "another item"
        yield judged(
            GET_INTEGRATIONS, "offset=1 begins with", "the second item", found, is_so, "parts of a list are missed"
        )


# The integration and its runs.


def integration(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """The integration with its jobs."""
    answer = asker.get(f"/integrations/{part(subject.integration_id)}")
    yield from _read(
        GET_INTEGRATION,
        assumptions.INTEGRATION,
        answer,
        lambda body: wire.decode_integration_detail(json_of(answer)),
    )


def history(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """A page of the integration's runs."""
    path = f"/integrations/runs/{part(subject.integration_id)}"
    answer = asker.get(path, offset=0, limit=PAGE)
    yield from _read(GET_HISTORY, assumptions.HISTORY, answer, lambda body: wire.decode_history(body, answer.date_ms))
    yield _date(GET_HISTORY, answer)
    without = asker.get(path)
    yield _status(GET_HISTORY, without, (200, 400), "nothing: both are always sent", "without offset and limit")
    found = list(values(json_of(answer), "history_of_runs.runs[]"))
    if not found:
        yield unknown(GET_HISTORY, "runs", "newest first", "this integration has no runs")
        return
    yield _order(answer)
    yield from _words(GET_HISTORY, found)


def last_run(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """The latest run that has ended, asked for by its id."""
    run = next((run for run in ended_runs(asker, subject)), None)
    if run is None:
        yield unknown(GET_RUN, "a run that has ended", "its start, end and result", NO_RUNS)
        return
    answer = asker.get(f"/integrations/run/{part(run.id)}")
    yield from _read(GET_RUN, assumptions.ENDED_RUN, answer, lambda body: wire.decode_run(body, run.id))
    author = next(values(json_of(answer), "run.createdBy"), None)
    yield same_author(author, run.author)


def errors(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """What a clean run and a run with errors say about errors and rejected rows."""
    runs = ended_runs(asker, subject)
    clean = next((run for run in runs if run.outcome == "loaded"), None)
    unclean = [run for run in runs if run.outcome != "loaded"][:UNCLEAN_RUNS]
    if clean is None:
        yield unknown(GET_ERRORS, "of a clean run", "no errors", "the history holds no such run")
    else:
        yield from _errors_of_clean(asker, clean)
    if not unclean:
        yield unknown(GET_ERRORS, "of a run with errors", "a list of errors", "the history holds no such run")
        return
    answers = [asker.get(f"/integrations/runerror/{part(run.id)}") for run in unclean]
    told = next((answer for answer in answers if list(values(json_of(answer), "runs[].errorMessages[]"))), answers[0])
    yield from _read(GET_ERRORS, assumptions.RUN_ERRORS, told, wire.decode_errors)
    yield from _rejected_rows(asker, subject, dict(zip((run.id for run in unclean), answers, strict=True)))


def _rejected_rows(asker: Asker, subject: Subject, told: dict[str, Answer]) -> Iterator[Fact]:
    """Whether a run's rejected rows come as a file, whose contents are not shown. `told`: errors by the run's id."""
    what, assumed = "of a run with rejected rows", "200 with rows"
    dumped = (
        (run_id, each.get("actionId"))
        for run_id, answer in told.items()
        for each in values(json_of(answer), "runs[].errorMessages[]")
        if isinstance(each, dict) and each.get("failureDumpGenerated") is True
    )
    run_id, action_id = next(dumped, (None, None))
    if run_id is None:
        yield unknown(GET_DUMPS, what, assumed, "the last runs left none")
        return
    process = f"/process/import/{part(str(action_id))}" if subject.kind == "process" else ""
    start = asker.beginning(f"/integrations/run/{part(run_id)}{process}/dumps")
    rows = not start.is_anaplans and not start.is_page
    found = f"{start.status} with {'rows' if rows else kind_of_body(start)}"
    yield judged(
        GET_DUMPS, what, assumed, found, rows and start.ok, "rejected rows are not saved (or are 48 hours old)"
    )


def _errors_of_clean(asker: Asker, clean: Run) -> Iterator[Fact]:
    answer = asker.get(f"/integrations/runerror/{part(clean.id)}")
    yield from _read(GET_ERRORS, assumptions.RUN_ERRORS, answer, wire.decode_errors)
    dump = asker.get(f"/integrations/run/{part(clean.id)}/dumps")
    yield judged(
        GET_DUMPS,
        "of a clean run",
        "404 with CloudWorks' JSON",
        described(dump),
        dump.status == HTTPStatus.NOT_FOUND and dump.is_anaplans,
        "a run without rejected rows is asked for them again and again",
    )


def flow(asker: Asker, subject: Subject) -> Iterator[Fact]:
    """A flow with the latest runs of it and its steps, and whether its runs have ids."""
    if subject.flow_id is None:
        yield unknown(GET_FLOW, "a flow", "its latest run and those of its steps", "name one with --flow")
        return
    answer = asker.get(f"/integrationflows/{part(subject.flow_id)}")
    yield from _read(GET_FLOW, assumptions.FLOW, answer, lambda body: wire.decode_flow(body, answer.date_ms))
    yield _date(GET_FLOW, answer)
    latest = next(values(json_of(answer), "integrationFlow.latestRun"), None)
    if not isinstance(latest, dict) or not latest:
        yield unknown(GET_FLOW, "the id of a flow's latest run", "none", "this flow has not run yet")
        return
    run_id = latest.get("id")
    if not isinstance(run_id, str):
        yield judged(GET_FLOW, "the id of a flow's latest run", "none", "none", True, "")
        return
    yield new(GET_FLOW, "the id of a flow's latest run", "none", "an id")
    yield new(
        GET_RUN, "with the id of a flow's run", "not asked", described(asker.get(f"/integrations/run/{part(run_id)}"))
    )


# Used by several questions.


def ended_runs(asker: Asker, subject: Subject) -> list[Run]:
    """The ended runs on the first page of the history, newest first; empty if it cannot be read."""
    answer = asker.get(f"/integrations/runs/{part(subject.integration_id)}", offset=0, limit=PAGE)
    try:
        return [run for run in wire.decode_history(answer.body).runs if run.ended]
    except ValueError:
        return []


def same_author(of_run: object, of_history: object) -> Fact:
    """Whether both fields of a run name the same author. No name is shown."""
    return judged(
        GET_RUN,
        "run.createdBy is triggeredBy of the history",
        "the same text",
        "the same text" if of_run == of_history else "another text",
        of_run == of_history,
        "a run whose answer was lost is started again instead of followed",
    )


def _status(about: str, answer: Answer, assumed: tuple[int, ...], matters: str, what: str = "HTTP status") -> Fact:
    expected = " or ".join(map(str, assumed))
    return judged(about, what, expected, str(answer.status), answer.status in assumed, matters)


def _date(about: str, answer: Answer) -> Fact:
    if answer.date_ms is None:
        found = "no time" if "Date" in answer.headers else "none"
    else:
        found = f"a time, {answer.date_ms / 1000 - time.time():+.0f} s from this machine's clock"
    matters = "the clocks count as equal: a run whose answer was lost may not be recognized"
    return judged(about, "header Date", "a time", found, answer.date_ms is not None, matters)


def _read(about: str, shape: Shape, answer: Answer, decode: Callable[[bytes], object]) -> Iterator[Fact]:
    """Status, fields, and whether the function's own decoder can read the answer."""
    yield _status(about, answer, (200,), "this request fails")
    if answer.status != HTTPStatus.OK:
        return
    yield from _shape(about, shape, answer)
    yield decodes(about, answer, decode)


def _shape(about: str, shape: Shape, answer: Answer) -> Iterator[Fact]:
    document = json_of(answer)
    if document is None:
        yield judged(about, "body", "JSON", kind_of_body(answer), False, "this request fails")
        return
    yield from compared(about, shape, [document])


def decodes(about: str, answer: Answer, decode: Callable[[bytes], object]) -> Fact:
    """Whether the function can read the answer. The error is not shown, as it may quote the answer."""
    try:
        decode(answer.body)
    except (ValueError, RecursionError):
        return judged(about, "Autoload reads it", "yes", "no", False, "this request fails")
    return judged(about, "Autoload reads it", "yes", "yes", True, "")


def _order(answer: Answer) -> Fact:
    try:
        starts = [run.started_at for run in wire.decode_history(answer.body).runs if run.started_at]
    except ValueError:
        return unknown(GET_HISTORY, "order of the runs", "newest first", "the history cannot be read")
    newest_first = starts == sorted(starts, key=epoch_ms, reverse=True)
    found = "newest first" if newest_first else "another order"
    return judged(
        GET_HISTORY, "order of the runs", "newest first", found, newest_first, "old runs are taken for new ones"
    )


def _words(about: str, runs: list[object]) -> Iterator[Fact]:
    """Which triggers, codes and messages the code knows. An unknown text is not quoted."""
    records = [run for run in runs if isinstance(run, dict)]
    triggers = {run["triggerSource"] for run in records if isinstance(run.get("triggerSource"), str)}
    known = [trigger for trigger in assumptions.TRIGGERS if trigger in triggers]
    yield _known(about, "values of triggerSource", assumptions.TRIGGERS, known, len(triggers) - len(known))
    codes = {run["executionErrorCode"] for run in records if isinstance(run.get("executionErrorCode"), int)}
    others = codes - set(assumptions.RUN_CODES)
    yield _known(about, "values of executionErrorCode", assumptions.RUN_CODES, sorted(codes), len(others))
    yield _messages(about, records)


def _known(about: str, what: str, assumed: tuple[object, ...], found: Sequence[object], others: int) -> Fact:
    known = ", ".join(map(str, assumed))
    shown = ", ".join(map(str, found)) or "none"
    if not others:
        return judged(about, what, known, shown, True, "")
    return new(about, what, known, f"{shown} ({others} not known)")


def _messages(about: str, records: list[dict[str, object]]) -> Fact:
    """The messages of successful runs without a code: only the message shows whether such a run is partial."""
    what, assumed = "messages of successes without a code", "Success, or rows that were left out"
    successes = [run for run in records if run.get("success") is True and run.get("executionErrorCode") is None]
    texts = [str(run.get("message") or "") for run in successes if run.get("endDate")]
    plain = sum(text == "Success" for text in texts)
    partial = sum(outcome_of(True, None, text) == "partial" for text in texts)
    others = len(texts) - plain - partial
    found = f"{plain} Success, {partial} read as partial, {others} others, read as loaded"
    if not texts:
        return unknown(about, what, assumed, "the history holds no such run")
    return new(about, what, assumed, found) if others else judged(about, what, assumed, found, True, "")
