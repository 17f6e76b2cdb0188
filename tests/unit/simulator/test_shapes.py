"""Every answer has the fields of Anaplan's OpenAPI description, in their types, and no others."""

from __future__ import annotations

import re
from types import NoneType
from typing import Any

import pytest

from tests.unit.simulator.client import MIXED, Anaplan, create_flow, step

HEX = re.compile(r"[0-9a-f]{32}")
UPPER_HEX = re.compile(r"[0-9A-F]{32}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")
SPACED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")
DIGITS = re.compile(r"\d+")

OBJECT_FIELDS = {"createdBy": str, "modifiedBy": str, "creationDate": DATE, "modificationDate": DATE}
LATEST_RUN = {
    "triggeredBy": str,
    "startDate": DATE,
    "endDate": (DATE, None),
    "success": bool,
    "message": str,
    "executionErrorCode": (int, None),
    "triggerSource": str,
}
RUN_RECORD = LATEST_RUN | {"id": HEX, "traceId": HEX, "lastRun": int}
RUN_STATUS = {name: kind for name, kind in LATEST_RUN.items() if name != "triggeredBy"} | {
    "id": HEX,
    "integrationId": HEX,
    "traceId": HEX,
    "flowGroupId": (str, None),
    **OBJECT_FIELDS,
}
SUMMARY = OBJECT_FIELDS | {
    "integrationId": HEX,
    "name": str,
    "integrationType": str,
    "workspaceId": HEX,
    "modelId": UPPER_HEX,
    "latestRun": LATEST_RUN,
    "notificationId": HEX,
    "nuxVisible": bool,
}
JOB = {
    "type": str,
    "sources": [
        {
            "type": str,
            "connectionId": HEX,
            "file": str,
            "connectionName": str,
            "isConnectionDeleted": bool,
            "bucketName": str,
        }
    ],
    "targets": [{"type": str, "actionId": DIGITS, "fileId": DIGITS}],
}
HISTORY = {name: kind for name, kind in SUMMARY.items() if name not in ("latestRun", "nuxVisible")} | {
    "version": str,
    "schedule": None,
    "status": int,
    "runs": [RUN_RECORD],
    "totalRuns": int,
}
CONNECTION = OBJECT_FIELDS | {
    "connectionId": HEX,
    "connectionType": str,
    "body": {"name": str, "bucketName": str},
    "status": int,
    "integrationErrorCode": (int, None),
    "workspaceId": (HEX, None),
    "authMethod": (str, None),
}
RUN_ERRORS = OBJECT_FIELDS | {
    "id": HEX,
    "taskId": str,
    "errorMessages": [
        {
            "actionId": DIGITS,
            "actionName": str,
            "failureDumpGenerated": bool,
            "errorMessage": [{"localMessageText": str, "occurrences": int, "type": str, "values": [str]}],
        }
    ],
}
FLOW = OBJECT_FIELDS | {"id": HEX, "name": str, "nuxVisible": bool, "stepsCount": int, "latestRun": LATEST_RUN}
STEP = {
    "referrer": HEX,
    "name": str,
    "type": str,
    "createdBy": str,
    "createdDate": SPACED,
    "modifiedDate": SPACED,
    "modifiedBy": (str, None),
    "modelId": UPPER_HEX,
    "workspaceId": HEX,
    "dependsOn": [str],
    "isSkipped": bool,
    "exceptionBehavior": [{"type": str, "strategy": str}],
    "latestRun": LATEST_RUN,
}
STATUS = {"code": int, "message": str}
META = {"schema": str}
PAGED = META | {"paging": {"currentPageSize": int, "totalSize": int, "offset": int}}
COUNTED = PAGED | {"tenantCurrentCount": int, "tenantMaxAllowed": int}
ANSWERS: dict[str, dict[str, Any]] = {
    "/integrations/connections": {"connections": [CONNECTION], "meta": PAGED},
    "/integrations": {"integrations": [SUMMARY], "meta": COUNTED},
    "/integrations/{id}": {"integration": SUMMARY | {"version": str, "jobs": [JOB]}, "meta": META},
    "/integrations/runs/{id}?offset=0&limit=5": {"history_of_runs": HISTORY, "meta": PAGED},
    "/integrations/run/{run}": {"run": RUN_STATUS, "meta": META},
    "/integrations/runerror/{run}": {"runs": [RUN_ERRORS], "meta": META},
    "/integrationflows": {"integrationFlows": [FLOW], "meta": PAGED},
    "/integrationflows/{flow}": {"integrationFlow": FLOW | {"version": str, "steps": [STEP]}, "meta": META},
}


def differences(found: object, shape: Any, where: str) -> list[str]:
    """Where a JSON value is not of its shape."""
    match shape:
        case dict() if isinstance(found, dict):
            wrong = [f"{where}.{name}: only in one of both" for name in found.keys() ^ shape.keys()]
            common = found.keys() & shape.keys()
            return wrong + [d for name in common for d in differences(found[name], shape[name], f"{where}.{name}")]
        case list() if isinstance(found, list):
            return [d for item in found for d in differences(item, shape[0], f"{where}[]")]
        case tuple():
            return [] if any(not differences(found, one, where) for one in shape) else [f"{where}: {found!r}"]
        case re.Pattern() if isinstance(found, str) and shape.fullmatch(found):
            return []
        case None | type() if type(found) is (shape or NoneType):
            return []
    return [f"{where}: {found!r}"]


@pytest.mark.parametrize("path", ANSWERS)
def test_answers_have_all_fields_of_the_description_in_their_types(anaplan: Anaplan, path: str) -> None:
    flow = create_flow(anaplan, *[step(anaplan.id, exceptionBehavior=[{"type": "failure", "strategy": "stop"}])] * 2)
    anaplan.upload(MIXED)
    anaplan.ask("POST", f"/integrationflows/{flow}/run")
    anaplan.clock.time += 60
    run = anaplan.simulator.runs[0].id
    answer = anaplan.ask("GET", path.format(id=anaplan.id, run=run, flow=flow))
    assert differences(answer, {"status": STATUS} | ANSWERS[path], "answer") == []


def test_refusals_carry_code_message_path_and_time(anaplan: Anaplan) -> None:
    answer = anaplan.ask("GET", "/integrations/nothing", status=404)
    assert differences(answer, {"status": STATUS, "path": str, "timestamp": DATE}, "answer") == []
