"""CloudWorks' operations on connections."""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from local.cloudworks.dates import whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import Answer, Call, Endpoint, Refusal, endpoint, success
from local.cloudworks.json_shapes import NewConnection, S3ConnectionBody, ShownConnection, ShownConnectionBody, meta
from local.cloudworks.tenant import Connection, User, reaches

ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")


class Connections:
    """The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment) -> None:
        """Works on the tenant."""
        self._environment = environment

    def endpoints(self) -> list[Endpoint]:
        """Version 1 says `connection` where version 2 says `connections`: both are taken."""
        return [
            endpoint("GET", "/integrations/connections?", self.list),
            endpoint("POST", "/integrations/connections?", self.create),
            endpoint("PUT", "/integrations/connections?/{}", self.replace),
            endpoint("PATCH", "/integrations/connections?/{}", self.replace),
            endpoint("DELETE", "/integrations/connections?/{}", self.delete),
        ]

    def list(self, call: Call) -> Answer:
        """The connections that the user reaches."""
        visible = [
            c for c in self._environment.tenant.connections.values() if reaches(call.user, c.owner_role, c.workspace_id)
        ]
        page, paging = call.page(visible)
        return success(connections=[_shown(connection) for connection in page], meta=meta("connections", paging))

    def create(self, call: Call) -> Answer:
        """Check credentials and bucket at once, then store the connection without its secret.

        Nothing here holds credentials for Azure or Google, so theirs are always invalid.
        """
        new = call.decode(NewConnection)
        if new.type != "AmazonS3":
            raise Refusal(400, "Credentials are invalid")
        body = _body(msgspec.json.encode(new.body))
        connection_id = self._environment.new_id()
        self._check(call.user, body, connection_id)
        now = self._environment.anaplan_now()
        self._environment.tenant.connections[connection_id] = Connection(
            id=connection_id,
            name=body.name,
            created_by=call.user.display_name,
            modified_by=call.user.display_name,
            owner_role=call.role,
            created_at=now,
            modified_at=now,
            bucket=body.bucket_name,
            role_arn=body.role_arn,
            workspace_id=body.workspace_id,
        )
        return success(connections={"connectionId": connection_id})

    def replace(self, call: Call) -> Answer:
        """Replace the whole flat body, secret included: CloudWorks takes no part of it, with PATCH neither."""
        connection = self._find(call)
        body = _body(call.request.body)
        self._check(call.user, body, connection.id)
        self._environment.tenant.connections[connection.id] = replace(
            connection,
            name=body.name,
            modified_by=call.user.display_name,
            modified_at=self._environment.anaplan_now(),
            bucket=body.bucket_name,
            role_arn=body.role_arn,
            workspace_id=body.workspace_id,
            error_code=None,
        )
        return success()

    def delete(self, call: Call) -> Answer:
        """Delete a connection that no integration names."""
        connection = self._find(call)
        if any(
            connection.id in integration.connection_ids
            for integration in self._environment.tenant.integrations.values()
        ):
            raise Refusal(409, "The resource is being referenced")
        del self._environment.tenant.connections[connection.id]
        return success()

    def _find(self, call: Call) -> Connection:
        connection = self._environment.tenant.connections.get(call.args[0])
        if connection is None or not reaches(call.user, connection.owner_role, connection.workspace_id):
            raise Refusal(404, "Resource not found")
        return connection

    def _check(self, user: User, body: S3ConnectionBody, connection_id: str) -> None:
        if user.role == "Restricted Integration User" and body.workspace_id not in user.workspaces:
            raise Refusal(400, "Invalid value for workspace_id")
        if any(c.name == body.name and c.id != connection_id for c in self._environment.tenant.connections.values()):
            raise Refusal(400, "Duplicate resource name not allowed")
        if self._environment.settings.access_keys.get(body.access_key_id) != body.secret_access_key:
            raise Refusal(400, "Credentials are invalid")
        if body.role_arn is not None and not ROLE_ARN.fullmatch(body.role_arn):
            raise Refusal(400, "Role arn is invalid")
        if body.bucket_name in self._environment.settings.denied_buckets:
            raise Refusal(400, "Bucket access denied")
        if not self._environment.buckets.exists(body.bucket_name):
            raise Refusal(400, "Bucket name is invalid")


def _body(content: bytes) -> S3ConnectionBody:
    try:
        return msgspec.json.decode(content, type=S3ConnectionBody)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "Invalid request body") from error


def _shown(connection: Connection) -> ShownConnection:
    return ShownConnection(
        connection_id=connection.id,
        connection_type="AmazonS3",
        body=ShownConnectionBody(
            name=connection.name,
            bucket_name=connection.bucket,
            role_arn=msgspec.UNSET if connection.role_arn is None else connection.role_arn,
        ),
        creation_date=whole_second(connection.created_at),
        modification_date=whole_second(connection.modified_at),
        created_by=connection.created_by,
        modified_by=connection.modified_by,
        status=1 if connection.error_code is None else 0,
        integration_error_code=connection.error_code,
        workspace_id=connection.workspace_id,
        auth_method=None,
    )
