"""The JSON that CloudWorks takes and gives, one struct a shape; field names are CloudWorks' own in snake case.

A field that is `UNSET` is absent from the JSON, which CloudWorks tells from null.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Optional = str | UnsetType
"""A text that may be absent."""


class Json(Struct, frozen=True, kw_only=True, rename="camel"):
    """What all shapes have in common: camel case, keyword arguments."""


class Status(Json, frozen=True):
    """The head of every answer."""

    code: int
    message: str


class Paging(Json, frozen=True):
    """Where in a list a page stands."""

    current_page_size: int
    total_size: int
    offset: int


class Meta(Json, frozen=True):
    """The foot of an answer. `schema` cites version 1/0 even under 2/0."""

    schema: str
    paging: Paging | UnsetType = UNSET
    tenant_current_count: int | UnsetType = UNSET
    tenant_max_allowed: int | UnsetType = UNSET


def meta(name: str, paging: Paging | UnsetType = UNSET) -> Meta:
    """The foot of an answer whose schema is called `name`."""
    return Meta(schema=f"https://api.cloudworks.anaplan.com/1/0/integrations/objects/{name}", paging=paging)


# Connections


class S3ConnectionBody(Json, frozen=True, forbid_unknown_fields=True):
    """The body of an Amazon S3 connection: nested in `body` to create it, flat to change it, whole in both."""

    name: str
    access_key_id: str
    secret_access_key: str
    bucket_name: str
    role_arn: str | None = None
    workspace_id: str | None = None

    def __repr__(self) -> str:
        """Without keys."""
        return f"S3ConnectionBody(name={self.name!r})"


class NewConnection(Json, frozen=True):
    """What creates a connection."""

    type: Literal["AmazonS3", "AzureBlob", "GoogleBigQuery"]
    body: dict[str, object]

    def __repr__(self) -> str:
        """Without keys."""
        return f"NewConnection(type={self.type!r})"


class ShownConnectionBody(Json, frozen=True):
    """The part of a connection's body that is shown again."""

    name: str
    bucket_name: str
    role_arn: Optional = UNSET


class ShownConnection(Json, frozen=True):
    """One item of the list of connections."""

    connection_id: str
    connection_type: str
    body: ShownConnectionBody
    creation_date: str
    modification_date: str
    created_by: str
    modified_by: str
    status: int
    """1 active, 0 broken."""
    integration_error_code: int | None
    workspace_id: str | None
    auth_method: str | None


# Integrations


class JobEnd(Json, frozen=True):
    """A source or a target of a job."""

    type: Literal["AmazonS3", "GoogleBigQuery", "AzureBlob", "Anaplan"]
    connection_id: Optional = UNSET
    file: Optional = UNSET
    table: Optional = UNSET
    action_id: Optional = UNSET
    file_id: Optional = UNSET
    overwrite: bool | UnsetType = UNSET
    workspace_id: Optional = UNSET
    """In version 1.0 alone."""
    model_id: Optional = UNSET
    """In version 1.0 alone."""
    connection_name: str | UnsetType | None = UNSET
    is_connection_deleted: bool | UnsetType = UNSET
    bucket_name: str | UnsetType | None = UNSET


class Job(Json, frozen=True):
    """One cloud file that an integration reads or writes."""

    type: Literal[
        "AmazonS3ToAnaplan",
        "AnaplanToAmazonS3",
        "GoogleBigQueryToAnaplan",
        "AnaplanToGoogleBigQuery",
        "AzureBlobToAnaplan",
        "AnaplanToAzureBlob",
    ]
    sources: tuple[JobEnd, ...]
    targets: tuple[JobEnd, ...]


class IntegrationBody(Json, frozen=True):
    """What creates or replaces an integration."""

    name: str
    version: Literal["1.0", "2.0"]
    workspace_id: str | None = None
    model_id: str | None = None
    process_id: str | None = None
    nux_visible: bool = False
    jobs: tuple[Job, ...] = ()


class LatestRun(Json, frozen=True):
    """The latest run of an integration, a flow or a step."""

    triggered_by: str
    start_date: str
    end_date: str | UnsetType | None
    success: bool
    message: str
    execution_error_code: int | None
    trigger_source: str


class ShownIntegration(Json, frozen=True):
    """An integration: in the list without version and jobs, on its own with both."""

    integration_id: str
    name: str
    integration_type: str
    process_id: Optional
    workspace_id: str
    model_id: str
    created_by: str
    creation_date: str
    modification_date: str
    modified_by: str
    latest_run: LatestRun | UnsetType
    notification_id: str
    nux_visible: bool
    version: Optional = UNSET
    jobs: tuple[Job, ...] | UnsetType = UNSET


# Runs


class RunStatus(Json, frozen=True):
    """One run, asked for by its id."""

    id: str
    integration_id: str
    trace_id: str
    start_date: str | None
    end_date: str | UnsetType | None
    success: bool
    message: str
    creation_date: str
    modification_date: str
    created_by: str
    modified_by: str | None
    execution_error_code: int | None
    flow_group_id: str | None
    trigger_source: str


class RunRecord(Json, frozen=True):
    """One run in an integration's history."""

    id: str
    triggered_by: str
    last_run: int | str
    start_date: str
    end_date: str | UnsetType | None
    success: bool
    message: str
    execution_error_code: int | None
    trace_id: str
    trigger_source: str


class History(Json, frozen=True):
    """An integration and a page of its runs; `runs` is absent when there are none."""

    integration_id: str
    name: str
    integration_type: str
    process_id: Optional
    version: str
    schedule: None
    workspace_id: str
    model_id: str
    creation_date: str
    modification_date: str
    created_by: str
    modified_by: str
    status: int
    notification_id: str
    runs: tuple[RunRecord, ...] | UnsetType
    total_runs: int


class ErrorMessage(Json, frozen=True):
    """One reason why rows were rejected."""

    local_message_text: str
    occurrences: int
    type: str
    values: tuple[str, ...]


class ActionErrors(Json, frozen=True):
    """What went wrong in one action of a run."""

    action_id: str
    action_name: str
    failure_dump_generated: bool
    error_message: tuple[ErrorMessage, ...]


class RunErrors(Json, frozen=True):
    """What went wrong in a run."""

    id: str
    task_id: str
    creation_date: str
    modification_date: str
    created_by: str
    modified_by: str
    error_messages: tuple[ActionErrors, ...]


# Flows


class ExceptionBehavior(Json, frozen=True):
    """Whether a flow continues after a step that did not load everything."""

    type: Literal["failure", "partial_success"]
    strategy: Literal["stop", "continue"]


class Step(Json, frozen=True):
    """One step of a flow, as it is sent."""

    type: Literal["Integration"]
    referrer: str
    """The integration's id; steps have no other."""
    is_skipped: bool
    exception_behavior: tuple[ExceptionBehavior, ...]
    depends_on: tuple[str, ...] = ()


class FlowBody(Json, frozen=True):
    """What creates or replaces a flow."""

    name: str
    version: Literal["2.0"]
    type: Literal["IntegrationFlow"]
    steps: tuple[Step, ...]
    nux_visible: bool = False


class FlowRunBody(Json, frozen=True):
    """What may come with the order to run a flow."""

    steps_to_run: tuple[str, ...] | UnsetType = UNSET


class ShownStep(Json, frozen=True):
    """One step of a flow, as it is shown."""

    referrer: str
    name: str
    type: str
    created_by: str
    created_date: str
    modified_date: str
    modified_by: str | None
    model_id: str
    workspace_id: str
    depends_on: tuple[str, ...]
    is_skipped: bool
    exception_behavior: tuple[ExceptionBehavior, ...]
    latest_run: LatestRun | UnsetType


class ShownFlow(Json, frozen=True):
    """A flow: in the list without version and steps, on its own with both."""

    id: str
    name: str
    created_by: str
    creation_date: str
    modification_date: str
    modified_by: str
    nux_visible: bool
    steps_count: int
    latest_run: LatestRun | UnsetType
    version: Optional = UNSET
    steps: tuple[ShownStep, ...] | UnsetType = UNSET
