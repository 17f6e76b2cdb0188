"""What an Anaplan tenant holds for CloudWorks: connections, integrations and flows, read and changed.

Built on the function's own client. Answers are read leniently: what CloudWorks adds is ignored, what it leaves out is
None. Definitions are what CloudWorks takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.anaplan.wire import normalize_time
from anaplan_autoload.domain.runs import Run
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload.anaplan.cloudworks import CloudWorks

Kind = Literal["import", "export", "process"]
S3 = "AmazonS3"
ANAPLAN = "Anaplan"
IMPORT_JOB = "AmazonS3ToAnaplan"
EXPORT_JOB = "AnaplanToAmazonS3"

CONNECTION_ERRORS = {
    1: "its AWS keys are not valid (any more): connections update NAME with new ones",
    4: "its bucket does not exist: connections update NAME --bucket …",
    10: "its role cannot be assumed: check the role's trust policy, or connections update NAME --role-arn …",
}
"""What a connection's error code means, and what to do."""


class Named(Protocol):
    """Whatever has an id and a name that is unique among its kind."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


N = TypeVar("N", bound=Named)


class Connection(Struct, frozen=True):
    """A connection as CloudWorks shows it: without its keys."""

    id: str
    type: str
    """`AmazonS3`, `AzureBlob` or `GoogleBigQuery`."""
    name: str
    bucket: str | None = None
    """None unless it leads to S3."""
    role_arn: str | None = None
    workspace_id: str | None = None
    works: bool = True
    error_code: int | None = None
    created_by: str | None = None
    modified_at: str | None = None
    """`2026-11-24T21:05:00.000Z`."""

    @property
    def trouble(self) -> str | None:
        """Why it does not work, and what to do; None when it does."""
        if self.works:
            return None
        return CONNECTION_ERRORS.get(self.error_code or 0, f"CloudWorks gives error code {self.error_code}")


class ConnectionKeys(Struct, frozen=True):
    """Long-lived AWS keys for CloudWorks."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Without the keys."""
        return "ConnectionKeys()"


class ConnectionDefinition(Struct, frozen=True):
    """What makes an S3 connection. CloudWorks takes it whole only, keys included, when it is changed too."""

    name: str
    bucket: str
    keys: ConnectionKeys
    role_arn: str | None = None
    workspace_id: str | None = None
    """Restricted Integration Users must name it: the workspace of the integrations that will use the connection."""

    def body(self) -> dict[str, str]:
        """The body that CloudWorks takes: nested to create, flat to change."""
        body = {
            "name": self.name,
            "accessKeyId": self.keys.access_key_id,
            "secretAccessKey": self.keys.secret_access_key,
            "bucketName": self.bucket,
            "roleArn": self.role_arn,
            "workspaceId": self.workspace_id,
        }
        return {name: value for name, value in body.items() if value is not None}


class End(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A source or a target of a job, as CloudWorks takes and shows it."""

    type: str
    connection_id: str | None = None
    file: str | None = None
    """Of a source the key that is read; of a target the folder that is written to."""
    action_id: str | None = None
    file_id: str | None = None
    """The data source in Anaplan that an import's action reads."""
    overwrite: bool | None = None
    bucket_name: str | None = None
    """Shown only."""


class Job(Struct, frozen=True):
    """One cloud file that an integration reads or writes."""

    type: str
    """`AmazonS3ToAnaplan`, `AnaplanToAmazonS3`, or the like for other clouds."""
    sources: tuple[End, ...] = ()
    targets: tuple[End, ...] = ()


class Integration(Struct, frozen=True):
    """An integration as CloudWorks shows it."""

    id: str
    name: str
    kind: Kind
    workspace_id: str | None = None
    model_id: str | None = None
    process_id: str | None = None
    nux_visible: bool = False
    jobs: tuple[Job, ...] | None = None
    """None in lists."""
    created_by: str | None = None
    modified_at: str | None = None
    last_run: Run | None = None


class Definition(Struct, frozen=True):
    """What makes an integration."""

    name: str
    workspace_id: str
    model_id: str
    jobs: tuple[Job, ...] = ()
    process_id: str | None = None

    def body(self, nux_visible: bool = False) -> dict[str, object]:
        """The body that CloudWorks takes, to create and to change; `nux_visible` is kept as it was."""
        body: dict[str, object] = {
            "name": self.name,
            "version": "2.0",
            "workspaceId": self.workspace_id,
            "modelId": self.model_id,
            "nuxVisible": nux_visible,
            "jobs": msgspec.to_builtins(self.jobs),
        }
        return body | ({"processId": self.process_id} if self.process_id else {})


class FlowSummary(Struct, frozen=True):
    """An integration flow, as lists show it."""

    id: str
    name: str
    steps: int | None = None
    last_run: Run | None = None


class Workspace:
    """Everything that the user of this client sees, and may change."""

    def __init__(self, cloudworks: CloudWorks) -> None:
        """Every method may raise what the client does."""
        self._cloudworks = cloudworks

    # Connections.

    def connections(self) -> list[Connection]:
        """All connections."""
        found = self._cloudworks.pages("/integrations/connections", "connections")
        return [_converted(item, _WireConnection).plain() for item in found]

    def connection(self, wanted: str) -> Connection:
        """The connection of this name or id; raises `CommandFailed` when there is none."""
        return pick(self.connections(), wanted, "connection")

    def create_connection(self, definition: ConnectionDefinition) -> str:
        """Create an S3 connection, whose keys CloudWorks checks at once; returns its id."""
        answer = self._cloudworks.request("POST", "/integrations/connections", {"type": S3, "body": definition.body()})
        created = _converted(answer, _CreatedConnection)
        return created.connections.connection_id if created.connections else created.connection_id or ""

    def replace_connection(self, connection_id: str, definition: ConnectionDefinition) -> None:
        """Replace a connection as a whole."""
        self._cloudworks.request("PUT", f"/integrations/connections/{_part(connection_id)}", definition.body())

    def delete_connection(self, connection_id: str) -> None:
        """Delete a connection; refused (409) while an integration names it."""
        self._cloudworks.request("DELETE", f"/integrations/connections/{_part(connection_id)}")

    # Integrations.

    def integrations(self) -> list[Integration]:
        """All integrations, without their jobs."""
        found = self._cloudworks.pages("/integrations", "integrations")
        return [_converted(item, _WireIntegration).plain() for item in found]

    def integration(self, wanted: str) -> Integration:
        """The integration of this name or id, without its jobs; raises `CommandFailed` when there is none."""
        return pick(self.integrations(), wanted, "integration")

    def details(self, integration_id: str) -> Integration:
        """An integration with its jobs."""
        answer = self._cloudworks.request("GET", f"/integrations/{_part(integration_id)}")
        return _converted(answer, _ShownIntegration).integration.plain()

    def create_integration(self, definition: Definition) -> str:
        """Create an integration; returns its id."""
        answer = self._cloudworks.request("POST", "/integrations", definition.body())
        return _converted(answer, _CreatedIntegration).integration.integration_id

    def replace_integration(self, current: Integration, definition: Definition) -> None:
        """Replace an integration's definition as a whole."""
        self._cloudworks.request(
            "PUT", f"/integrations/{_part(current.id)}", definition.body(nux_visible=current.nux_visible)
        )

    def delete_integration(self, integration_id: str) -> None:
        """Delete an integration; refused (409) while it runs or a flow names it."""
        self._cloudworks.request("DELETE", f"/integrations/{_part(integration_id)}")

    # Flows.

    def flows(self) -> list[FlowSummary]:
        """All integration flows."""
        found = self._cloudworks.pages("/integrationflows", "integrationFlows")
        return [_converted(item, _WireFlow).plain() for item in found]

    def flow(self, wanted: str) -> FlowSummary:
        """The flow of this name or id; raises `CommandFailed` when there is none."""
        return pick(self.flows(), wanted, "flow")


def pick(found: Iterable[N], wanted: str, what: str, also: Iterable[str] = ()) -> N:
    """The one of that id, else of that name; raises `CommandFailed` that says what there is instead.

    `also` are other names that would have been taken, for whoever mistyped one.
    """
    everything = list(found)
    for match in (lambda item: item.id == wanted, lambda item: item.name == wanted):
        if chosen := next(filter(match, everything), None):
            return chosen
    raise CommandFailed(
        f"There is no {what} {wanted!r} that you can see.", remedy=_instead(everything, wanted, what, also)
    )


def import_job(connection_id: str, file: str, action_id: str, file_id: str) -> Job:
    """From a file in S3 into Anaplan."""
    source = End(S3, connection_id=connection_id, file=file)
    return Job(IMPORT_JOB, (source,), (End(ANAPLAN, action_id=action_id, file_id=file_id),))


def export_job(connection_id: str, folder: str, action_id: str, *, overwrite: bool) -> Job:
    """From Anaplan into a folder in S3; the file's name is the export action's."""
    target = End(S3, connection_id=connection_id, file=folder, overwrite=overwrite)
    return Job(EXPORT_JOB, (End(ANAPLAN, action_id=action_id),), (target,))


def _instead(everything: list[N], wanted: str, what: str, also: Iterable[str]) -> str:
    names = {name.casefold(): name for name in (*also, *(item.name for item in everything))}
    if not names:
        return NOTHING_VISIBLE
    close = [names[name] for name in get_close_matches(wanted.casefold(), names, n=3)]
    if close:
        return f"Did you mean {', '.join(repr(name) for name in close)}?"
    return f"See: anaplan-autoload {what}s list."


# CloudWorks' own shapes.

W = TypeVar("W")


class _WireBody(Struct, frozen=True, rename="camel"):
    name: str | None = None
    bucket_name: str | None = None
    role_arn: str | None = None


class _WireConnection(Struct, frozen=True, rename="camel"):
    connection_id: str
    connection_type: str = S3
    body: _WireBody = _WireBody()
    status: int | None = None
    integration_error_code: int | str | None = None
    workspace_id: str | None = None
    created_by: str | None = None
    modification_date: str | int | None = None

    def plain(self) -> Connection:
        return Connection(
            id=self.connection_id,
            type=self.connection_type,
            name=self.body.name or self.connection_id,
            bucket=self.body.bucket_name,
            role_arn=self.body.role_arn,
            workspace_id=self.workspace_id,
            works=self.status != 0,
            error_code=_number(self.integration_error_code),
            created_by=self.created_by,
            modified_at=_time(self.modification_date),
        )


class _ConnectionId(Struct, frozen=True, rename="camel"):
    connection_id: str


class _CreatedConnection(Struct, frozen=True, rename="camel"):
    """The id stands in `connections`, as tenants answer, or beside it, as one description has it."""

    connections: _ConnectionId | None = None
    connection_id: str | None = None


class _WireRun(Struct, frozen=True, rename="camel"):
    """A `latestRun`: it carries no id."""

    start_date: str | int | None = None
    end_date: str | int | None = None
    success: bool | None = None
    message: str | None = None
    execution_error_code: int | str | None = None
    triggered_by: str | None = None

    def plain(self) -> Run:
        return Run(
            id="",
            started_at=_time(self.start_date),
            ended_at=_time(self.end_date),
            success=self.success,
            message=self.message or "",
            error_code=_number(self.execution_error_code),
            author=self.triggered_by,
        )


class _WireIntegration(Struct, frozen=True, rename="camel"):
    integration_id: str
    name: str
    integration_type: str | None = None
    workspace_id: str | None = None
    model_id: str | None = None
    process_id: str | None = None
    nux_visible: bool = False
    jobs: tuple[Job, ...] | None = None
    created_by: str | None = None
    modification_date: str | int | None = None
    latest_run: _WireRun | None = None

    def plain(self) -> Integration:
        return Integration(
            id=self.integration_id,
            name=self.name,
            kind=self._kind(),
            workspace_id=self.workspace_id,
            model_id=self.model_id,
            process_id=self.process_id,
            nux_visible=self.nux_visible,
            jobs=self.jobs,
            created_by=self.created_by,
            modified_at=_time(self.modification_date),
            last_run=self.latest_run.plain() if self.latest_run and self.latest_run.start_date else None,
        )

    def _kind(self) -> Kind:
        if self.process_id or (self.integration_type or "").lower() == "process":
            return "process"
        return "export" if (self.integration_type or "").lower() == "export" else "import"


class _ShownIntegration(Struct, frozen=True):
    integration: _WireIntegration


class _IntegrationId(Struct, frozen=True, rename="camel"):
    integration_id: str


class _CreatedIntegration(Struct, frozen=True):
    integration: _IntegrationId


class _WireFlow(Struct, frozen=True, rename="camel"):
    id: str
    name: str = ""
    steps_count: int | None = None
    latest_run: _WireRun | None = None

    def plain(self) -> FlowSummary:
        run = self.latest_run.plain() if self.latest_run and self.latest_run.start_date else None
        return FlowSummary(self.id, self.name, self.steps_count, run)


def _converted(value: object, shape: type[W]) -> W:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise CommandFailed(
            f"CloudWorks answered in a form that is not known: {error}.",
            remedy="Check CLOUDWORKS_URL, its version (/2/0) included; if it is right, report this.",
        ) from None


def _time(value: str | int | None) -> str | None:
    return normalize_time(value) if value else None


def _number(value: int | str | None) -> int | None:
    return int(value) if value not in (None, "") else None


def _part(text: str) -> str:
    return quote(text, safe="")
