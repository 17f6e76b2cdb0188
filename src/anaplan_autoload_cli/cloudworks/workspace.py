"""Reads and changes CloudWorks' connections, integrations and flows.

Uses the function's own client and decoder. Definitions have the form that CloudWorks accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from anaplan_autoload.anaplan import wire
from anaplan_autoload.anaplan.cloudworks import NOTHING_VISIBLE
from anaplan_autoload.domain.tenant import ANAPLAN, EXPORT_JOB, IMPORT_JOB, S3, End, Job
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload.anaplan.cloudworks import CloudWorks
    from anaplan_autoload.domain.tenant import Connection, FlowSummary, Integration


class Named(Protocol):
    """A thing with an id and a name that is unique among its kind."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


N = TypeVar("N", bound=Named)
T = TypeVar("T")


class ConnectionKeys(Struct, frozen=True):
    """Long-lived AWS keys for CloudWorks."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        """Without the keys."""
        return "ConnectionKeys()"


class ConnectionDefinition(Struct, frozen=True):
    """The definition of an S3 connection. CloudWorks accepts it only complete, with keys, even for a change."""

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


class Definition(Struct, frozen=True):
    """The definition of an integration."""

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


class Workspace:
    """Everything that the user of this client sees, and may change."""

    def __init__(self, cloudworks: CloudWorks) -> None:
        """Every method may raise the client's errors."""
        self._cloudworks = cloudworks

    # Connections.

    def connections(self) -> list[Connection]:
        """All connections."""
        found = self._cloudworks.pages("/integrations/connections", "connections")
        return [_read(wire.decode_connection, item) for item in found]

    def connection(self, wanted: str) -> Connection:
        """The connection of this name or id; raises `CommandFailed` when there is none."""
        return pick(self.connections(), wanted, "connection")

    def create_connection(self, definition: ConnectionDefinition) -> str:
        """Create an S3 connection, whose keys CloudWorks checks at once; returns its id."""
        answer = self._cloudworks.request("POST", "/integrations/connections", {"type": S3, "body": definition.body()})
        return _read(wire.decode_new_connection, answer)

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
        return [_read(wire.decode_integration, item) for item in found]

    def integration(self, wanted: str) -> Integration:
        """The integration of this name or id, without its jobs; raises `CommandFailed` when there is none."""
        return pick(self.integrations(), wanted, "integration")

    def details(self, integration_id: str) -> Integration:
        """An integration with its jobs."""
        answer = self._cloudworks.request("GET", f"/integrations/{_part(integration_id)}")
        return _read(wire.decode_integration_detail, answer)

    def create_integration(self, definition: Definition) -> str:
        """Create an integration; returns its id."""
        answer = self._cloudworks.request("POST", "/integrations", definition.body())
        return _read(wire.decode_new_integration, answer)

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
        return [_read(wire.decode_flow_summary, item) for item in found]

    def flow(self, wanted: str) -> FlowSummary:
        """The flow of this name or id; raises `CommandFailed` when there is none."""
        return pick(self.flows(), wanted, "flow")


def pick(found: Iterable[N], wanted: str, what: str, also: Iterable[str] = ()) -> N:
    """The one with that id, or else that name; raises `CommandFailed`, which lists what exists.

    `also` are other names that would be accepted, to suggest them for a typing error.
    """
    everything = list(found)
    for match in (lambda item: item.id == wanted, lambda item: item.name == wanted):
        if chosen := next(filter(match, everything), None):
            return chosen
    raise CommandFailed(f"No {what} {wanted!r} is visible to you.", remedy=_instead(everything, wanted, what, also))


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


def _read(decode: Callable[[object], T], answer: object) -> T:
    """A decoded answer; raises `CommandFailed` if its form is not known."""
    try:
        return decode(answer)
    except ValueError as error:
        raise CommandFailed(
            f"CloudWorks answered in an unknown form: {error}.",
            remedy="Check CLOUDWORKS_URL, its version (/2/0) included; if it is right, report this.",
        ) from None


def _part(text: str) -> str:
    return quote(text, safe="")
