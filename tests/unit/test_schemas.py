"""The JSON Schemas in `docs/schemas/`: made from the types, and true of what is really sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import to_builtins

from anaplan_autoload.domain.contents import Problem
from anaplan_autoload.report.chat import notification
from anaplan_autoload.report.event import DETAIL_TYPES
from anaplan_autoload.report.message import document
from docs import json_schemas
from tests.unit.test_report import OUTCOMES, a_report, log_lines

if TYPE_CHECKING:
    from anaplan_autoload.domain.outcomes import ReportOutcome
    from anaplan_autoload.report.report import Report

REPORTS: list[Report] = [
    *OUTCOMES.values(),
    a_report("rejected", problems=(Problem("in/a.csv", "columns", "Code", "Title", "Rename it."),), trace_id="0" * 64),
]


def validator(name: str) -> Any:
    """One of the files, itself sound."""
    schema = json.loads((json_schemas.FOLDER / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def mistakes(name: str, value: object) -> list[str]:
    """What a schema has against a value."""
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]


def an_event(outcome: ReportOutcome, detail: object) -> dict[str, Any]:
    """An event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": DETAIL_TYPES[outcome],
        "source": "anaplan-autoload",
        "account": "123456789012",
        "time": "2026-11-24T21:08:33Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": detail,
    }


def test_the_files_are_made_from_the_types() -> None:
    assert {path.name: path.read_text() for path in json_schemas.FOLDER.iterdir()} == json_schemas.files(), (
        "docs/schemas is not what the types say; write it again with: .venv/bin/python -m docs.generate"
    )


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.outcome)
def test_what_is_sent_is_as_its_schema_says(report: Report) -> None:
    sent = json.loads(document(report))

    assert mistakes("message.json", sent) == []
    assert mistakes(f"event-{report.outcome}.json", an_event(report.outcome, sent)) == []
    assert mistakes("chat.json", to_builtins(notification(report, "autoload"))) == []


@pytest.mark.parametrize("retrying", [False, True])
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.outcome)
def test_what_is_logged_is_as_its_schema_says(report: Report, retrying: bool) -> None:
    [line] = log_lines(report, retrying=retrying)

    assert mistakes("log-line.json", {**line, "service": "anaplan-autoload"}) == []


def test_a_schema_names_every_key() -> None:
    sent = json.loads(document(REPORTS[-1]))

    for name, value in (("message.json", sent), ("chat.json", to_builtins(notification(REPORTS[-1], "autoload")))):
        assert value.keys() <= validator(name).schema["properties"].keys()


@pytest.mark.parametrize("outcome", DETAIL_TYPES)
def test_an_event_of_another_outcome_is_refused(outcome: ReportOutcome) -> None:
    other: ReportOutcome = "failed" if outcome != "failed" else "loaded"
    event = an_event(outcome, json.loads(document(OUTCOMES[other])))

    assert mistakes(f"event-{outcome}.json", event) == [f"$.detail.outcome: '{outcome}' was expected"]


@pytest.mark.parametrize("key", ["id", "outcome", "run_id", "uploads", "trace_id"])
def test_a_message_that_lacks_a_key_is_refused(key: str) -> None:
    sent = json.loads(document(OUTCOMES["loaded"]))
    del sent[key]

    assert mistakes("message.json", sent) == [f"$: '{key}' is a required property"]
