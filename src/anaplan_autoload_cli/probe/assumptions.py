"""What the code assumes of CloudWorks' answers, as tables.

Most of it is from Anaplan's documentation and from a published description that was checked on live tenants. Where
several forms have been seen, all are listed, because the decoder accepts them all.
"""

from __future__ import annotations

from anaplan_autoload_cli.probe.facts import Field, Shape
from anaplan_autoload_cli.probe.kinds import (
    BOOLEAN,
    CAPITAL_HEX,
    DIGITS,
    EMPTY_TEXT,
    HEX,
    LIST,
    MISSING,
    NULL,
    OBJECT,
    TEXT,
    TIME,
    TIME_WITH_FRACTIONS,
    UUID,
    WHOLE,
)

STATUSES_OF_A_BAD_TOKEN = (401, 403)
STATUSES_OF_A_START = (200, 202)
TRIGGERS = ("manual", "scheduled", "manual_inf", "scheduled_inf", "nux_dashboard")
"""What starts runs. `manual` is the API too."""
RUN_CODES = (12, 35, 38, 39)
"""The values of `executionErrorCode` that have been seen on runs."""
DEFAULT_PAGE = 25
SHORTEST_LIFE, LONGEST_LIFE = 10, 90
"""Minutes that a token lives; 30 and 35 have been documented and seen."""
HISTORY_SECONDS = 60
"""If the history does not show a run within this time, and its answer was lost, it may be started a second time."""
EARLY_SECONDS = 5
"""How much earlier than the request a run may seem to begin, on Anaplan's clock."""

_STARTS = (TIME, TIME_WITH_FRACTIONS)
_NOT_YET = (MISSING, NULL)
_END = "the end of a run is missed, or a run that goes on counts as ended"
_START = "a run whose answer was lost is not recognized, and is started again"
_OUTCOME = "a run counts as failed although it loaded, or the reverse"
_AUTHOR = "a run whose answer was lost is started again instead of followed"
_ID = "it cannot be found again by its id"
_PAGES = "parts of a list are missed"

_HEAD = (
    Field("status", (OBJECT,), "an error's reason is not shown"),
    Field("status.code", (WHOLE,), "an error is taken for that of a gateway, and the request is repeated"),
    Field("status.message", (TEXT,), "an error's reason is not shown"),
)
_PAGING = (
    Field("meta", (OBJECT,), _PAGES),
    Field("meta.paging", (OBJECT,), _PAGES),
    Field("meta.paging.currentPageSize", (WHOLE,), _PAGES),
    Field("meta.paging.totalSize", (WHOLE,), _PAGES),
    Field("meta.paging.offset", (WHOLE,), _PAGES),
)
_ALSO_PAGING = ("meta.schema", "meta.tenantCurrentCount", "meta.tenantMaxAllowed", "timestamp", "path")

_LATEST = (
    ("startDate", (*_STARTS, *_NOT_YET), "which run is a flow's latest is not known"),
    ("endDate", (*_STARTS, *_NOT_YET), _END),
    ("success", (BOOLEAN, *_NOT_YET), _OUTCOME),
    ("message", (TEXT, EMPTY_TEXT, *_NOT_YET), "the reason for a failure is not shown"),
    ("executionErrorCode", (WHOLE, *_NOT_YET), _OUTCOME),
    ("triggeredBy", (TEXT, *_NOT_YET), _AUTHOR),
    ("triggerSource", (TEXT, *_NOT_YET), ""),
)


def _latest(path: str) -> tuple[Field, ...]:
    """A `latestRun`. It may be missing, null or empty if there was no run."""
    parts = tuple(Field(f"{path}.{name}", kinds, matters) for name, kinds, matters in _LATEST)
    return (Field(path, (OBJECT, *_NOT_YET), "the last run is not shown"), *parts)


VALIDATION = Shape(
    (
        Field("tokenInfo", (OBJECT,), "`auth check` does not say when the token expires"),
        Field("tokenInfo.expiresAt", (WHOLE,), "`auth check` does not say when the token expires"),
        Field("userInfo", (OBJECT,), "`auth check` does not say who logged in"),
        Field("userInfo.userId", (TEXT,), "`auth check` does not say who logged in"),
    ),
    also=(
        *("meta", "status", "statusMessage", "tokenInfo.tokenId", "tokenInfo.tokenValue", "tokenInfo.refreshTokenId"),
        *("userInfo.userGuid", "userInfo.customerGuid"),
    ),
)

REFRESH = Shape(
    (
        Field("tokenInfo", (OBJECT,), "a token is not renewed: Autoload logs in more often"),
        Field("tokenInfo.tokenValue", (TEXT,), "a token is not renewed: Autoload logs in more often"),
        Field("tokenInfo.expiresAt", (WHOLE,), "a token is renewed every 30 minutes, whatever its life is"),
    ),
    also=("meta", "status", "statusMessage", "tokenInfo.tokenId", "tokenInfo.refreshTokenId", "tokenInfo.refreshToken"),
)

REFUSAL = Shape(_HEAD, also=("path", "timestamp", "meta"))

_INTEGRATION = (
    ("integrationId", (HEX,), _ID),
    ("name", (TEXT,), _ID),
    ("integrationType", (TEXT,), "an import, an export and a process are not told apart"),
    ("processId", (DIGITS, *_NOT_YET), "a process is not recognized"),
    ("workspaceId", (HEX, *_NOT_YET), ""),
    ("modelId", (CAPITAL_HEX, HEX, *_NOT_YET), ""),
)
_ALSO_INTEGRATION = (
    *("createdBy", "creationDate", "modificationDate", "modifiedBy", "notificationId", "nuxVisible", "schedule"),
    *("version", "status"),
)

INTEGRATIONS = Shape(
    (
        *_HEAD,
        Field("integrations", (LIST, MISSING, NULL), "no integration is found"),
        *(Field(f"integrations[].{name}", kinds, matters) for name, kinds, matters in _INTEGRATION),
        *_latest("integrations[].latestRun"),
        *_PAGING,
    ),
    also=(*(f"integrations[].{name}" for name in (*_ALSO_INTEGRATION, "jobs")), *_ALSO_PAGING),
)

_JOBS = "integration.jobs[]"
_READ = "which file a run reads is not known: uploads that no run reads are announced as loaded"
INTEGRATION = Shape(
    (
        *_HEAD,
        Field("integration", (OBJECT,), _READ),
        *(Field(f"integration.{name}", kinds, matters) for name, kinds, matters in _INTEGRATION),
        *_latest("integration.latestRun"),
        Field("integration.jobs", (LIST, *_NOT_YET), _READ),
        Field(f"{_JOBS}.type", (TEXT,), _READ),
        Field(f"{_JOBS}.sources", (LIST, OBJECT), _READ),
        Field(f"{_JOBS}.sources[].type", (TEXT,), _READ),
        Field(f"{_JOBS}.sources[].file", (TEXT, *_NOT_YET), _READ),
        Field(f"{_JOBS}.sources[].connectionId", (HEX, UUID, *_NOT_YET), _READ),
        Field(f"{_JOBS}.sources[].bucketName", (TEXT, *_NOT_YET), _READ),
        Field(f"{_JOBS}.targets", (LIST, OBJECT), _READ),
        Field(f"{_JOBS}.targets[].type", (TEXT,), ""),
    ),
    also=(
        *(f"integration.{name}" for name in _ALSO_INTEGRATION),
        *(
            f"{_JOBS}.{end}[].{name}"
            for end in ("sources", "targets")
            for name in (
                *("file", "connectionId", "bucketName", "actionId", "fileId", "overwrite", "connectionName"),
                *("isConnectionDeleted", "workspaceId", "modelId", "table"),
            )
        ),
        *_ALSO_PAGING,
    ),
)

CONNECTIONS = Shape(
    (
        *_HEAD,
        Field("connections", (LIST, MISSING, NULL), "no connection is found"),
        Field("connections[].connectionId", (HEX, UUID), _ID),
        Field("connections[].connectionType", (TEXT,), "connections to S3 are not told apart from others"),
        Field("connections[].body", (OBJECT,), "a connection's bucket is not known"),
        Field("connections[].body.name", (TEXT,), _ID),
        Field("connections[].body.bucketName", (TEXT, *_NOT_YET), "a connection's bucket is not known"),
        Field("connections[].status", (WHOLE,), "`doctor` does not notice a broken connection"),
        Field("connections[].integrationErrorCode", (WHOLE, *_NOT_YET), "why a connection is broken is not shown"),
        Field("connections[].workspaceId", (HEX, *_NOT_YET), ""),
        *_PAGING,
    ),
    also=(
        *(
            f"connections[].{name}"
            for name in (
                *("creationDate", "modificationDate", "createdBy", "modifiedBy", "authMethod", "auth_method"),
                *("connectionErrorMessage", "type", "name"),
            )
        ),
        *(
            f"connections[].body.{name}"
            for name in ("roleArn", "accessKeyId", "storageAccountName", "containerName", "dataset", "authMethod")
        ),
        *_ALSO_PAGING,
    ),
)

FLOWS = Shape(
    (
        *_HEAD,
        Field("integrationFlows", (LIST, MISSING, NULL), "no flow is found"),
        Field("integrationFlows[].id", (HEX,), _ID),
        Field("integrationFlows[].name", (TEXT,), _ID),
        Field("integrationFlows[].stepsCount", (WHOLE, *_NOT_YET), ""),
        *_latest("integrationFlows[].latestRun"),
        *_PAGING,
    ),
    also=(
        *(
            f"integrationFlows[].{name}"
            for name in ("createdBy", "creationDate", "modificationDate", "modifiedBy", "nuxVisible", "version", "type")
        ),
        *_ALSO_PAGING,
    ),
)

_STEP = "integrationFlow.steps[]"
FLOW = Shape(
    (
        *_HEAD,
        Field("integrationFlow", (OBJECT,), "flows cannot be followed"),
        Field("integrationFlow.id", (HEX,), "flows cannot be followed"),
        *_latest("integrationFlow.latestRun"),
        Field("integrationFlow.steps", (LIST, *_NOT_YET), "a step that did not load everything is not noticed"),
        Field(f"{_STEP}.referrer", (HEX,), "a step's integration is not known"),
        Field(f"{_STEP}.name", (TEXT, *_NOT_YET), ""),
        *_latest(f"{_STEP}.latestRun"),
    ),
    also=(
        *(
            f"integrationFlow.{name}"
            for name in (
                *("name", "createdBy", "creationDate", "modificationDate", "modifiedBy", "nuxVisible", "stepsCount"),
                *("version", "type"),
            )
        ),
        *(
            f"{_STEP}.{name}"
            for name in (
                *("type", "createdBy", "createdDate", "modifiedDate", "modifiedBy", "modelId", "workspaceId"),
                *("dependsOn", "isSkipped", "exceptionBehavior"),
            )
        ),
        *("integrationFlow.latestRun.id", f"{_STEP}.latestRun.id"),
        *_ALSO_PAGING,
    ),
)

_RUNS = "history_of_runs.runs[]"
HISTORY = Shape(
    (
        *_HEAD,
        Field("history_of_runs", (OBJECT,), "a run whose answer was lost is not found"),
        Field("history_of_runs.runs", (LIST, *_NOT_YET), "a run whose answer was lost is not found"),
        Field(f"{_RUNS}.id", (HEX,), "a run whose answer was lost is not found"),
        Field(f"{_RUNS}.triggeredBy", (TEXT,), _AUTHOR),
        Field(f"{_RUNS}.startDate", (*_STARTS, *_NOT_YET), _START),
        Field(f"{_RUNS}.endDate", (*_STARTS, *_NOT_YET), _END),
        Field(f"{_RUNS}.success", (BOOLEAN, *_NOT_YET), _OUTCOME),
        Field(f"{_RUNS}.message", (TEXT, EMPTY_TEXT, *_NOT_YET), "the reason for a failure is not shown"),
        Field(f"{_RUNS}.executionErrorCode", (WHOLE, *_NOT_YET), _OUTCOME),
        Field(f"{_RUNS}.lastRun", (WHOLE, *_STARTS, *_NOT_YET), ""),
        Field(f"{_RUNS}.traceId", (TEXT, *_NOT_YET), ""),
        Field(f"{_RUNS}.triggerSource", (TEXT, *_NOT_YET), ""),
        *_PAGING,
    ),
    also=(
        *(
            f"history_of_runs.{name}"
            for name in (
                *("integrationId", "name", "integrationType", "processId", "workspaceId", "modelId", "totalRuns"),
                *_ALSO_INTEGRATION,
            )
        ),
        *_ALSO_PAGING,
    ),
)

ENDED_RUN = Shape(
    (
        *_HEAD,
        Field("run", (OBJECT,), "runs cannot be followed"),
        Field("run.integrationId", (HEX, *_NOT_YET), ""),
        Field("run.startDate", _STARTS, _START),
        Field("run.endDate", _STARTS, _END),
        Field("run.success", (BOOLEAN,), _OUTCOME),
        Field("run.message", (TEXT, EMPTY_TEXT, NULL), "the reason for a failure is not shown"),
        Field("run.executionErrorCode", (WHOLE, *_NOT_YET), _OUTCOME),
        Field("run.createdBy", (TEXT,), _AUTHOR),
        Field("run.traceId", (TEXT, *_NOT_YET), ""),
        Field("run.triggerSource", (TEXT, *_NOT_YET), ""),
    ),
    also=(
        *(f"run.{name}" for name in ("id", "creationDate", "modificationDate", "modifiedBy", "flowGroupId")),
        *_ALSO_PAGING,
    ),
)

RUN_UNDER_WAY = Shape(
    (
        Field("run", (OBJECT,), "runs cannot be followed"),
        Field("run.startDate", (*_STARTS, *_NOT_YET), _START),
        Field("run.endDate", _NOT_YET, _END),
        Field("run.createdBy", (TEXT, *_NOT_YET), _AUTHOR),
    ),
    also=(
        *("status", "meta", "path", "timestamp"),
        *(
            f"run.{name}"
            for name in (
                *("id", "integrationId", "success", "message", "executionErrorCode", "traceId", "triggerSource"),
                *("creationDate", "modificationDate", "modifiedBy", "flowGroupId"),
            )
        ),
    ),
)

STARTED = Shape(
    (
        Field("run", (OBJECT,), "every start counts as one whose answer was lost"),
        Field("run.id", (HEX,), "every start counts as one whose answer was lost"),
    ),
    also=("status", "meta", "path", "timestamp"),
)

_ERROR = "runs[].errorMessages[]"
_ERRORS = "the first errors of a run are not in the message"
RUN_ERRORS = Shape(
    (
        Field("runs", (LIST, OBJECT), _ERRORS),
        Field("runs[].errorMessages", (LIST, OBJECT, NULL), _ERRORS),
        Field(f"{_ERROR}.actionId", (DIGITS,), "rejected rows are not saved"),
        Field(f"{_ERROR}.actionName", (TEXT, *_NOT_YET), ""),
        Field(f"{_ERROR}.failureDumpGenerated", (BOOLEAN, *_NOT_YET), "rejected rows are not saved"),
        Field(f"{_ERROR}.errorMessage", (LIST, OBJECT, TEXT, NULL), _ERRORS),
        Field(f"{_ERROR}.errorMessage[].localMessageText", (TEXT, NULL), _ERRORS),
        Field(f"{_ERROR}.errorMessage[].occurrences", (WHOLE, *_NOT_YET), _ERRORS),
        Field(f"{_ERROR}.errorMessage[].values", (LIST, TEXT, *_NOT_YET), ""),
    ),
    also=(
        *("status", "meta", "path", "timestamp"),
        *(f"runs[].{name}" for name in ("id", "taskId", "creationDate", "modificationDate", "createdBy", "modifiedBy")),
        f"{_ERROR}.errorMessage[].type",
    ),
)
