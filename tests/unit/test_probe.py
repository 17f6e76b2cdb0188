"""`probe`: what agrees, what differs and what is new is found field by field, and nothing of the tenant is shown."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto import mock_aws

from anaplan_autoload.anaplan.http import Answer
from anaplan_autoload_cli.probe import report
from anaplan_autoload_cli.probe.facts import Fact, Field, Shape, compared
from anaplan_autoload_cli.probe.kinds import ABSENT, HEX, MISSING, OBJECT, TEXT, TIME, WHOLE, fits, kind_of
from anaplan_autoload_cli.probe.live import Followed, Look, facts_of, facts_of_cancellation, facts_of_flow, second_start
from local.cloudworks import PASSWORD, USERNAME, MemoryBuckets, Pace, SimulatorSettings, Variants, serve
from local.cloudworks.json_shapes import Step
from local.cloudworks.seeding import DISPLAY_NAME, ROLE, WORKSPACE_ID, seed
from local.cloudworks.tenant import Flow, OAuthClient
from tests.cli_tenant import BAD_ROWS, GOOD_ROWS, CliTenant
from tests.command_line import Said
from tests.deviating import DeviatingSimulator

BUCKET = "zebra-inbox"
DEFAULT = Variants()
NAMES = ("Zebra Accounts", "Zebra Entities", "Zebra Nightly")
JSON_404 = b'{"status": {"code": 404, "message": "Zebra not found"}}'
PAGE = b"<html><body>Zebra gateway</body></html>"
RUN, HISTORY, INTEGRATION = "/integrations/run/[0-9a-f]+", "/integrations/runs/.*", "/integrations/[0-9a-f]+"
GET_RUN, GET_HISTORY = "GET /integrations/run/{runId}", "GET /integrations/runs/{id}"


RUBBISH = (
    b"null",
    b"[1, 2]",
    b"7",
    b"{}",
    b"",
    b"\xff\xfe",
    b"[" * 5_000,
    b'{"status": 1, "integration": [], "history_of_runs": {"runs": [1, null, {"endDate": {}}]}, "run": "x", "runs": 5}',
    b'{"run": {"id": "r"}, "history_of_runs": {"runs": [{"id": "r", "endDate": "never", "startDate": []}]}}',
)


@contextmanager
def serving_tenant(variants: Variants = DEFAULT) -> Iterator[tuple[CliTenant, DeviatingSimulator]]:
    """Two imports, a flow of them, a clean run and one with rejected rows."""
    buckets = MemoryBuckets()
    simulator = DeviatingSimulator(buckets, settings=SimulatorSettings(pace=Pace(run_seconds=0), variants=variants))
    ids = seed(simulator, BUCKET, [(NAMES[0], "in/zebra.csv"), (NAMES[1], "in/zebras.csv")]).integration_ids
    simulator.tenant.flows["f" * 32] = flow_of(*ids.values())
    for rows in (BAD_ROWS, GOOD_ROWS):
        buckets.write(BUCKET, "in/zebra.csv", rows.encode())
        simulator.start_foreign_run(ids[NAMES[0]], DISPLAY_NAME)
    with serve(simulator) as serving:
        yield CliTenant(simulator, buckets, serving), simulator


def flow_of(*integration_ids: str) -> Flow:
    steps = (
        Step(type="Integration", referrer=each, is_skipped=False, exception_behavior=()) for each in integration_ids
    )
    return Flow(
        id="f" * 32,
        name=NAMES[2],
        created_by=DISPLAY_NAME,
        modified_by=DISPLAY_NAME,
        owner_role=ROLE,
        created_at=time.time(),
        modified_at=time.time(),
        version="2.0",
        nux_visible=False,
        steps=tuple(steps),
    )


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[CliTenant, DeviatingSimulator]]:
    with serving_tenant() as made:
        yield made


@pytest.fixture
def tenant(served: tuple[CliTenant, DeviatingSimulator]) -> CliTenant:
    return served[0]


@pytest.fixture
def simulator(served: tuple[CliTenant, DeviatingSimulator]) -> Iterator[DeviatingSimulator]:
    yield served[1]
    served[1].behave()


def probed(tenant: CliTenant, *options: str) -> Said:
    return tenant.run("--yes", "probe", "--integration", NAMES[0], *options, COLUMNS="250")


def facts(said: Said) -> dict[tuple[str, str], dict[str, str]]:
    return {(fact["about"], fact["what"]): fact for fact in said.json}


def test_the_simulator_agrees_in_everything_that_can_be_read(tenant: CliTenant) -> None:
    said = probed(tenant, "--flow", NAMES[2], "--json")
    assert said.code == 0, said.out
    assert [fact for fact in said.json if fact["verdict"] in ("differs", "new")] == []
    unknown = {(fact["about"], fact["what"]) for fact in said.json if fact["verdict"] == "unknown"}
    another_test_may_have_run_the_flow = {("GET /integrationflows/{id}", "the id of a flow's latest run")}
    assert unknown - another_test_may_have_run_the_flow == {
        ("POST /integrations/{id}/run", "a run from start to end"),
        ("POST /integrations/{id}/cancel", "cancelling"),
    }


@pytest.mark.parametrize("body", RUBBISH, ids=lambda body: repr(body[:20]))
def test_any_answer_leads_to_a_report(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr("anaplan_autoload_cli.probe.live.PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr("anaplan_autoload_cli.probe.assumptions.HISTORY_SECONDS", 0)
    options = ("--integration", "a" * 32, "--flow", "f" * 32, "--run", "--cancel", "--json")
    with serving_tenant() as (tenant, simulator):
        simulator.answer_with("/integration.*", 200, body)
        said = tenant.run("--yes", "probe", *options)
    assert said.code == 1
    assert "differs" in {fact["verdict"] for fact in said.json}


@pytest.mark.parametrize(
    "variants",
    [
        Variants(last_run="iso", errors="object", no_errors="array"),
        Variants(expired_status=401, largest_page=1),
        Variants(partial="code alone"),
        Variants(partial="message alone"),
    ],
)
def test_every_form_that_the_code_accepts_agrees(variants: Variants) -> None:
    with serving_tenant(variants) as (tenant, _simulator):
        said = probed(tenant, "--flow", NAMES[2], "--json")
    assert [fact for fact in said.json if fact["verdict"] in ("differs", "new")] == []
    assert said.code == 0


@pytest.mark.parametrize("scheme, works", [("AnaplanAuthToken", True), ("Bearer", True), ("neither", False)])
def test_an_oauth_token_needs_one_scheme_of_the_two(scheme: Any, works: bool) -> None:
    with mock_aws(), serving_tenant(Variants(oauth_scheme=scheme)) as (tenant, simulator):
        simulator.add_client(OAuthClient(id="zebra-client"))
        log_in = {"client_id": "zebra-client", "refresh_token": simulator.grant("zebra-client", USERNAME)}
        boto3.client("secretsmanager", "eu-west-1").create_secret(Name="anaplan", SecretString=json.dumps(log_in))
        environment = {"ANAPLAN_OAUTH_URL": tenant.environment["ANAPLAN_AUTH_URL"], "ANAPLAN_USERNAME": None}
        integration_id = next(iter(simulator.tenant.integrations))
        options = ("--integration", integration_id, "--secret-id", "anaplan", "--json")
        said = tenant.run("probe", *options, **environment)
    fact = facts(said)["GET /integrations", "with an OAuth token, by scheme"]
    assert (fact["verdict"] == "agrees", said.code == 0) == (works, works)
    assert facts(said)["POST /token/refresh", "the token"]["verdict"] == "unknown"


def test_nothing_is_run_unless_asked_for(tenant: CliTenant, simulator: DeviatingSimulator) -> None:
    before = len(simulator.requests)
    probed(tenant, "--flow", NAMES[2])
    sent = {(seen.method, seen.path) for seen in simulator.requests[before:] if seen.method != "GET"}
    assert sent == {("POST", "/token/authenticate"), ("POST", "/token/refresh")}


def moved(old: str, name: str) -> Callable[[Any], None]:
    """Rename a field of `run`."""

    def change(content: Any) -> None:
        content["run"][name] = content["run"].pop(old)

    return change


def put(*path: str, value: Any) -> Callable[[Any], None]:
    """Set a field; `*` stands for each item of a list."""

    def change(content: Any) -> None:
        _put(content, path, value)

    return change


def _put(content: Any, path: tuple[str, ...], value: Any) -> None:
    name, *rest = path
    if name == "*":
        for item in content:
            _put(item, tuple(rest), value)
    elif rest:
        _put(content[name], tuple(rest), value)
    else:
        content[name] = value


def backwards(content: Any) -> None:
    """Show the oldest run first, as if they lay an hour apart."""
    runs = content["history_of_runs"]["runs"]
    for number, run in enumerate(runs):
        run["startDate"] = f"2026-11-24T1{number}:00:00.000Z"


RUNS = ("history_of_runs", "runs", "*")
ITEMS = ("integrations", "*")


@pytest.mark.parametrize(
    "path, change, about, what, found",
    [
        (RUN, moved("endDate", "endedAt"), GET_RUN, "run.endDate", "absent"),
        (RUN, put("run", "success", value="true"), GET_RUN, "run.success", "text"),
        (RUN, put("run", "startDate", value="yesterday"), GET_RUN, "Autoload reads it", "no"),
        (RUN, put("run", "startDate", value=1764241200), GET_RUN, "run.startDate", "epoch seconds"),
        (RUN, put("run", "executionErrorCode", value="12"), GET_RUN, "run.executionErrorCode", "digits"),
        (
            RUN,
            put("run", "createdBy", value="0" * 32),
            GET_RUN,
            "run.createdBy is triggeredBy of the history",
            "another text",
        ),
        (RUN, lambda content: {"result": content}, GET_RUN, "run", "absent"),
        (HISTORY, put(*RUNS, "id", value=7), GET_HISTORY, "history_of_runs.runs[].id", "whole number"),
        (HISTORY, put(*RUNS, "triggeredBy", value=None), GET_HISTORY, "history_of_runs.runs[].triggeredBy", "null"),
        (HISTORY, put("history_of_runs", "runs", value="none"), GET_HISTORY, "history_of_runs.runs", "text"),
        (HISTORY, put("meta", value={}), GET_HISTORY, "meta.paging", "absent"),
        (HISTORY, backwards, GET_HISTORY, "order of the runs", "another order"),
        (
            "/integrations",
            put(*ITEMS, "integrationId", value="3f2a7c1e-0000-4000-8000-000000000000"),
            "GET /integrations",
            "integrations[].integrationId",
            "UUID",
        ),
        (
            "/integrations",
            put("meta", "paging", "totalSize", value="2"),
            "GET /integrations",
            "meta.paging.totalSize",
            "digits",
        ),
        (
            "/integrations/connections",
            put("connections", "*", "status", value="ACTIVE"),
            "GET /integrations/connections",
            "connections[].status",
            "text",
        ),
        (
            INTEGRATION,
            put("integration", "jobs", "*", "sources", value="in/zebra.csv"),
            "GET /integrations/{id}",
            "integration.jobs[].sources",
            "text",
        ),
        (
            "/integrations/runerror/.*",
            put("runs", value="Zebra failed"),
            "GET /integrations/runerror/{runId}",
            "runs",
            "text",
        ),
        (
            "/integrationflows/f+",
            put("integrationFlow", "steps", "*", "referrer", value=1),
            "GET /integrationflows/{id}",
            "integrationFlow.steps[].referrer",
            "whole number",
        ),
        ("/token/refresh", put("tokenInfo", value=None), "POST /token/refresh", "tokenInfo", "null"),
        (
            "/token/refresh",
            put("tokenInfo", "expiresAt", value=1764241200),
            "POST /token/refresh",
            "life of a token",
            "not a time in the future",
        ),
        (
            "/token/validate",
            put("tokenInfo", "expiresAt", value="soon"),
            "GET /token/validate",
            "tokenInfo.expiresAt",
            "text",
        ),
    ],
)
def test_an_answer_of_another_form_is_reported_by_its_field(
    tenant: CliTenant,
    simulator: DeviatingSimulator,
    path: str,
    change: Callable[[Any], Any],
    about: str,
    what: str,
    found: str,
) -> None:
    simulator.deviate(path, change)
    said = probed(tenant, "--flow", NAMES[2], "--json")
    fact = facts(said)[about, what]
    assert said.code == 1
    assert (fact["verdict"], fact["found"]) == ("differs", found)
    assert fact["matters"]
    assert "differs from what Autoload assumes" in said.err


@pytest.mark.parametrize(
    "path, status, body, content_type, about, what, found",
    [
        (
            "/integrations/0+",
            404,
            PAGE,
            "text/html",
            "GET /integrations/{id}",
            "with an id that does not exist",
            "404 with a web page",
        ),
        (
            "/integrations/[0-9a-f]+/no-such-path",
            404,
            JSON_404,
            "application/json",
            "GET /integrations/{id}/no-such-path",
            "a path that does not exist",
            "CloudWorks' JSON",
        ),
        ("/token/refresh", 403, JSON_404, "application/json", "POST /token/refresh", "HTTP status", "403"),
        (HISTORY, 500, PAGE, "text/html", GET_HISTORY, "HTTP status", "500"),
        (
            ".*/dumps",
            404,
            PAGE,
            "text/html",
            "GET /integrations/run/{runId}/dumps",
            "of a clean run",
            "404 with a web page",
        ),
    ],
)
def test_an_answer_of_another_status_is_reported(
    tenant: CliTenant,
    simulator: DeviatingSimulator,
    path: str,
    status: int,
    body: bytes,
    content_type: str,
    about: str,
    what: str,
    found: str,
) -> None:
    simulator.answer_with(path, status, body, content_type)
    said = probed(tenant, "--json")
    fact = facts(said)[about, what]
    assert (said.code, fact["verdict"], fact["found"]) == (1, "differs", found)


def test_a_bad_token_that_is_answered_otherwise_is_reported(tenant: CliTenant, simulator: DeviatingSimulator) -> None:
    known = {*simulator.tokens}
    simulator.answer_with(
        "/integrations",
        400,
        JSON_404,
        when=lambda request: request.headers["authorization"].split()[1] not in known | {*simulator.tokens},
    )
    fact = facts(probed(tenant, "--json"))["GET /integrations", "with a token that does not exist"]
    assert (fact["verdict"], fact["found"]) == ("differs", "400 with CloudWorks' JSON")


def test_a_scheme_that_is_not_accepted_is_reported(tenant: CliTenant, simulator: DeviatingSimulator) -> None:
    simulator.answer_with(
        "/integrations", 401, JSON_404, when=lambda request: request.headers["authorization"].startswith("Bearer")
    )
    fact = facts(probed(tenant, "--json"))["GET /integrations", "with Authorization: Bearer …"]
    assert (fact["verdict"], fact["found"]) == ("differs", "401")


def test_a_clock_that_is_not_shown_is_reported(tenant: CliTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.cloudworks.server.http_date", lambda _time: "noon")
    fact = facts(probed(tenant, "--json"))[GET_HISTORY, "header Date"]
    assert (fact["verdict"], fact["found"]) == ("differs", "no time")


def test_fields_and_words_that_are_not_known_are_new_and_do_no_harm(
    tenant: CliTenant, simulator: DeviatingSimulator
) -> None:
    simulator.deviate(RUN, put("run", "retryCount", value=1))
    simulator.deviate(RUN, put("run", "Zebra Accounts", value=1))
    simulator.deviate(HISTORY, put(*RUNS, "triggerSource", value="zebra"))
    said = probed(tenant, "--json")
    found = facts(said)
    assert said.code == 0
    assert found[GET_RUN, "more fields in run"]["found"] == "retryCount, 1 whose names are not shown"
    assert found[GET_HISTORY, "values of triggerSource"]["found"] == "none (1 not known)"
    assert {fact["verdict"] for fact in said.json if fact["about"] == GET_RUN} == {"agrees", "new"}


def test_a_flows_run_with_an_id_is_new(tenant: CliTenant, simulator: DeviatingSimulator) -> None:
    latest = {"id": "a" * 32, "startDate": "2026-11-24T10:00:00.000Z", "endDate": "2026-11-24T10:00:00.000Z"}
    simulator.deviate("/integrationflows/f+", put("integrationFlow", "latestRun", value=latest))
    found = facts(probed(tenant, "--flow", NAMES[2], "--json"))
    assert found["GET /integrationflows/{id}", "the id of a flow's latest run"]["verdict"] == "new"
    assert found[GET_RUN, "with the id of a flow's run"]["found"] == "404 with CloudWorks' JSON"


def test_an_answer_that_does_not_come_leaves_a_question_open_and_the_others_asked(
    tenant: CliTenant, simulator: DeviatingSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anaplan_autoload_cli.probe.asking.PAUSE", 0.0)
    simulator.deviate("/integrations/connections", lambda _content: "x" * 9_000_000)
    found = facts(probed(tenant, "--json"))
    assert found["GET /integrations/connections", "the request"]["verdict"] == "unknown"
    assert found[GET_RUN, "Autoload reads it"]["verdict"] == "agrees"


def test_runs_agree_from_start_to_end_and_nothing_of_the_tenant_is_shown() -> None:
    with serving_tenant() as (tenant, simulator):
        simulator.settings.pace = Pace(queue_seconds=0.7, run_seconds=0.9)
        said = probed(tenant, "--flow", NAMES[2], "--run", "--cancel")
        assert said.code == 0, said.out
        assert re.search(r"^agrees +POST /integrations/\{id\}/cancel +while queued", said.out, re.M)
        assert re.search(r"^agrees +POST /integrations/\{id\}/cancel +while running", said.out, re.M)
        assert re.search(r"^agrees .* startDate null, endDate (null|absent)", said.out, re.M)
        assert "POST /integrationflows/{id}/run" in said.out
        shown = said.out + said.err
        ids = {*simulator.tenant.integrations, *simulator.tenant.connections, *simulator.tenant.flows, WORKSPACE_ID}
        ids |= {run.id for run in simulator.runs} | {run.model_id for run in simulator.runs}
        ids |= {run.trace_id for run in simulator.runs} | {run.id for run in simulator.flow_runs}
        secrets = {*simulator.tokens, PASSWORD, USERNAME, DISPLAY_NAME, BUCKET, "127.0.0.1", *NAMES}
        assert [each for each in ids | secrets if each in shown] == []
        assert not re.search("zebra", shown, re.I)


def test_a_run_of_somebody_else_is_not_a_difference() -> None:
    busy = b'{"status": {"code": 409, "message": "Integration is already running"}}'
    with serving_tenant() as (tenant, simulator):
        simulator.answer_with(".*/run", 409, busy)
        said = probed(tenant, "--flow", NAMES[2], "--run", "--json")
    found = facts(said)
    assert said.code == 0, said.out
    for about in ("POST /integrations/{id}/run", "POST /integrationflows/{id}/run"):
        assert found[about, "a run"]["found"] == "another run is under way (409): try again later"


def test_a_run_is_asked_about_first(tenant: CliTenant, simulator: DeviatingSimulator) -> None:
    before = len(simulator.runs)
    said = tenant.run("probe", "--integration", NAMES[0], "--run")
    assert said.code == 1
    assert "Add --yes" in said.err
    assert len(simulator.runs) == before


def test_the_report_goes_to_a_file_that_is_not_there_yet(tenant: CliTenant, tmp_path: Any) -> None:
    file = tmp_path / "probe.md"
    first, second = (probed(tenant, "--report", str(file)) for _ in range(2))
    assert (first.code, second.code) == (0, 1)
    assert "## Probe of CloudWorks" not in first.out
    assert file.read_text().startswith("## Probe of CloudWorks\n")
    assert "exists already" in second.err


@pytest.mark.parametrize(
    "options, said_of_it",
    [
        (("--integration", "Zebra Unknown"), "No integration 'Zebra Unknown' is visible to you"),
        (("--integration", NAMES[0], "--flow", "No Flow"), "No flow 'No Flow' is visible"),
        (("--integration", NAMES[0], "--cancel"), "--cancel needs a run"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(
    tenant: CliTenant, options: tuple[str, ...], said_of_it: str
) -> None:
    said = tenant.run("probe", *options)
    assert said.code == 1
    assert said_of_it in said.err


# What a run shows, as tables.


def answer(run: dict[str, Any] | None, status: int = 200) -> Answer:
    import msgspec

    body = JSON_404 if run is None else msgspec.json.encode({"status": {"code": 200, "message": "Success"}, "run": run})
    return Answer(status, {"Date": "Tue, 24 Nov 2026 12:00:00 GMT", "Content-Type": "application/json"}, body)


QUEUED = {"startDate": None, "message": "Running", "success": False, "createdBy": "Ada"}
RUNNING = QUEUED | {"startDate": "2026-11-24T12:00:01.000Z"}
ENDED = RUNNING | {"endDate": "2026-11-24T12:00:09.000Z", "success": True, "message": "Success"}


def about_run(*runs: dict[str, Any], shown_after: float | None = 1.0) -> dict[str, Fact]:
    looks = tuple(Look(number, answer(run)) for number, run in enumerate(runs))
    return {fact.what: fact for fact in facts_of(Followed("r", answer({"id": "r"}), looks, shown_after))}


@pytest.mark.parametrize(
    "runs, shown_after, what, verdict, found",
    [
        (
            (QUEUED, RUNNING, ENDED),
            1.0,
            "a queued run",
            "agrees",
            "startDate null, endDate absent, success true or false",
        ),
        ((RUNNING, ENDED), 1.0, "a queued run", "unknown", "never seen queued"),
        ((QUEUED,), 1.0, "the end of a run", "unknown", "none within"),
        ((RUNNING, ENDED), 75.0, "a new run shows", "differs", "after 75 s"),
        ((RUNNING, ENDED), None, "a new run shows", "differs", "never"),
        ((RUNNING, ENDED), 1.0, "run.startDate compared with the request", "agrees", "+1 s"),
        (
            (RUNNING, ENDED | {"startDate": "2026-11-24T11:59:00.000Z"}),
            1.0,
            "run.startDate compared with the request",
            "differs",
            "-60 s",
        ),
        ((RUNNING, ENDED | {"success": "yes"}), 1.0, "run.success", "differs", "text"),
        ((RUNNING, ENDED | {"state": "DONE"}), 1.0, "more fields in run", "new", "state"),
    ],
)
def test_what_a_run_shows(
    runs: tuple[dict[str, Any], ...], shown_after: float | None, what: str, verdict: str, found: str
) -> None:
    fact = about_run(*runs, shown_after=shown_after)[what]
    assert fact.verdict == verdict
    assert found in fact.found


NOT_FOUND, CONFLICT, OK = answer(None, 404), answer(None, 409), answer({}, 200)


@pytest.mark.parametrize(
    "second, first, verdict",
    [
        (CONFLICT, "running", "agrees"),
        (OK, "ended", "unknown"),
        (OK, "running", "differs"),
        (Answer(409, {"Content-Type": "text/html"}, PAGE), "running", "differs"),
    ],
)
def test_what_a_second_start_shows(second: Answer, first: Any, verdict: str) -> None:
    assert second_start(second, first).verdict == verdict


CANCELLED = ENDED | {"success": False, "message": "Cancelled"}


@pytest.mark.parametrize(
    "kind, tried, last, verdicts",
    [
        ("import", {"queued": NOT_FOUND, "running": OK}, CANCELLED, ["agrees", "agrees", "agrees"]),
        ("import", {"running": OK}, ENDED, ["unknown", "agrees", "differs"]),
        ("import", {"queued": OK}, CANCELLED, ["differs", "unknown", "agrees"]),
        ("import", {"running": CONFLICT}, ENDED, ["unknown", "differs", "unknown"]),
        ("process", {"queued": NOT_FOUND, "running": CONFLICT}, ENDED, ["agrees", "agrees", "unknown"]),
        ("process", {"running": OK}, CANCELLED, ["unknown", "differs", "agrees"]),
        ("import", {}, ENDED, ["unknown", "unknown", "unknown"]),
    ],
)
def test_what_cancelling_shows(kind: str, tried: Any, last: dict[str, Any], verdicts: list[str]) -> None:
    found = list(facts_of_cancellation(kind, tried, Look(9.0, answer(last))))
    assert [fact.verdict for fact in found] == verdicts


@pytest.mark.parametrize(
    "latest, verdicts",
    [
        (ENDED, ["agrees", "agrees"]),
        (ENDED | {"id": "r"}, ["agrees", "agrees"]),
        (ENDED | {"id": "other"}, ["agrees", "differs"]),
        (RUNNING, ["unknown"]),
        (ENDED | {"startDate": "2026-11-24T11:00:00.000Z"}, ["unknown"]),
        (None, ["unknown"]),
    ],
)
def test_what_a_flows_run_shows(latest: dict[str, Any] | None, verdicts: list[str]) -> None:
    found = list(facts_of_flow(answer({"id": "r"}), "r", latest))
    assert [fact.verdict for fact in found] == verdicts


@pytest.mark.parametrize(
    "value, kind",
    [
        (ABSENT, MISSING),
        (None, "null"),
        (True, "true or false"),
        (7, WHOLE),
        (1764241200, "epoch seconds"),
        (0.5, "number with a fraction"),
        ("", "empty text"),
        ("Ada", TEXT),
        ("a" * 32, HEX),
        ("A" * 32, "32 hex digits in capitals"),
        ("112000000001", "digits"),
        ("2026-11-24T12:00:00.000Z", TIME),
        ("2026-11-24T12:00:00Z", TIME),
        ("2026-11-24T12:00:00.123Z", "time with fractions of a second"),
        ("2026-11-24 12:00:00.123456+00:00", "time in another form"),
        ([], "empty list"),
        ([1], "list"),
        ({}, "empty object"),
        ({"a": 1}, OBJECT),
    ],
)
def test_a_values_kind_shows_nothing_of_it(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    "kind, assumed, so",
    [
        (HEX, (TEXT,), True),
        (TEXT, (HEX,), False),
        ("empty text", (TEXT,), False),
        ("empty list", ("list",), True),
        ("epoch seconds", (WHOLE,), True),
        (MISSING, (TEXT, MISSING), True),
    ],
)
def test_a_special_kind_is_a_general_one_too(kind: str, assumed: tuple[str, ...], so: bool) -> None:
    assert fits(kind, assumed) is so


def test_a_field_below_a_missing_one_is_not_told_again() -> None:
    shape = Shape((Field("run", (OBJECT,)), Field("run.id", (HEX,))))
    assert [(fact.what, fact.verdict) for fact in compared("GET", shape, [{}])] == [("run", "differs")]


@pytest.mark.parametrize(
    "url, host",
    [
        ("https://api.cloudworks.anaplan.com/2/0", "api.cloudworks.anaplan.com"),
        ("https://anaplan.zebra.example.com/2/0", "another host"),
        ("https://anaplan.com.zebra.example/2/0", "another host"),
    ],
)
def test_only_anaplans_own_hosts_are_named(url: str, host: str) -> None:
    assert report.host_of(url) == host
