"""A tenant that is ready to be used: a user, a connection to a bucket, and imports of files in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from local.cloudworks.json_shapes import Job, JobEnd
from local.cloudworks.tenant import Connection, Integration, Role, Tenant, User

if TYPE_CHECKING:
    from local.cloudworks.simulator import Simulator

USERNAME = "ada.builder@example.com"
PASSWORD = "analytical-engine"  # noqa: S105 (opens nothing but this simulator)
DISPLAY_NAME = "Ada Builder"
ROLE: Role = "Restricted Integration User"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "example-secret-access-key"  # noqa: S105 (nor this)
WORKSPACE_ID = "8a80db6570680fe101718955f3b33900"


class Seeded(Struct, frozen=True, kw_only=True):
    """The ids of what was made."""

    workspace_id: str
    connection_id: str
    integration_ids: dict[str, str]
    """By integration name."""
    model_ids: dict[str, str]
    """By integration name; all the same where one model was asked for."""


def seed(
    simulator: Simulator, bucket: str, integrations: Sequence[tuple[str, str]], model_id: str | None = None
) -> Seeded:
    """Make user `USERNAME`, a connection to `bucket` and an import of every (name, file).

    Each import fills a model of its own, unless `model_id` names one for all. May be called again for more imports;
    raises ValueError for a name that is taken.
    """
    tenant = simulator.tenant
    taken = {integration.name for integration in tenant.integrations.values()} & {name for name, _ in integrations}
    if taken:
        raise ValueError(f"integrations named {', '.join(sorted(taken))} exist already: choose other names")
    _add_user(simulator)
    connection_id = _connection(simulator, bucket)
    made = {
        name: _import(simulator, connection_id, name, file, model_id or simulator.new_id().upper())
        for name, file in integrations
    }
    return Seeded(
        workspace_id=WORKSPACE_ID,
        connection_id=connection_id,
        integration_ids={name: integration.id for name, integration in made.items()},
        model_ids={name: integration.model_id for name, integration in made.items()},
    )


def _add_user(simulator: Simulator) -> None:
    """The user, unless there is one of that name: a test may have given it a certificate or taken its role."""
    simulator.settings.access_keys.setdefault(ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    if USERNAME not in simulator.tenant.users:
        simulator.add_user(
            User(
                name=USERNAME,
                display_name=DISPLAY_NAME,
                password=PASSWORD,
                role=ROLE,
                workspaces=frozenset({WORKSPACE_ID}),
                guid=simulator.new_id(),
            )
        )


def _connection(simulator: Simulator, bucket: str) -> str:
    """The id of the connection to `bucket`, made unless there is one."""
    for connection in simulator.tenant.connections.values():
        if connection.bucket == bucket:
            return connection.id
    connection = Connection(
        id=simulator.new_id(),
        name=f"S3 {bucket}",
        created_by=DISPLAY_NAME,
        modified_by=DISPLAY_NAME,
        owner_role=ROLE,
        created_at=simulator.anaplan_now(),
        modified_at=simulator.anaplan_now(),
        bucket=bucket,
        workspace_id=WORKSPACE_ID,
    )
    simulator.add_connection(connection)
    return connection.id


def _import(simulator: Simulator, connection_id: str, name: str, file: str, model_id: str) -> Integration:
    number = _next_number(simulator.tenant)
    action_id, file_id = f"112{number:09}", f"113{number:09}"
    source = JobEnd(type="AmazonS3", connection_id=connection_id, file=file)
    target = JobEnd(type="Anaplan", action_id=action_id, file_id=file_id)
    integration = Integration(
        id=simulator.new_id(),
        name=name,
        created_by=DISPLAY_NAME,
        modified_by=DISPLAY_NAME,
        owner_role=ROLE,
        created_at=simulator.anaplan_now(),
        modified_at=simulator.anaplan_now(),
        version="2.0",
        workspace_id=WORKSPACE_ID,
        model_id=model_id,
        process_id=None,
        nux_visible=False,
        notification_id=simulator.new_id(),
        jobs=(Job(type="AmazonS3ToAnaplan", sources=(source,), targets=(target,)),),
    )
    simulator.add_integration(integration, {action_id: f"{name} from {file.rpartition('/')[2]}"})
    return integration


def _next_number(tenant: Tenant) -> int:
    return len(tenant.action_names) + 1
