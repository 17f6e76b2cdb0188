"""Connections: `/integrations/connections`."""

from __future__ import annotations

import json

import pytest

from local.cloudworks.seeding import SECRET_ACCESS_KEY
from tests.unit.simulator.client import Anaplan, connection, create_connection


def test_a_connection_is_made_and_never_shows_its_secret(anaplan: Anaplan) -> None:
    made = create_connection(anaplan)["connections"]["connectionId"]
    shown = anaplan.ask("GET", "/integrations/connections")
    assert shown["connections"][1]["connectionId"] == made
    assert shown["connections"][1]["body"] == {"name": "Other", "bucketName": "other"}
    assert SECRET_ACCESS_KEY not in json.dumps(shown)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"secretAccessKey": "wrong"}, "Credentials are invalid"),
        ({"accessKeyId": "wrong"}, "Credentials are invalid"),
        ({"bucketName": ""}, "Bucket name is invalid"),
        ({"bucketName": "closed"}, "Bucket access denied"),
        ({"roleArn": "arn:wrong"}, "Role arn is invalid"),
        ({"name": "S3 inbox"}, "Duplicate resource name not allowed"),
        ({"workspaceId": "0" * 32}, "Invalid value for workspace_id"),
        ({"colour": "blue"}, "Invalid request body"),
    ],
)
def test_a_connection_is_checked_at_once(anaplan: Anaplan, changes: dict[str, str], message: str) -> None:
    anaplan.simulator.settings.denied_buckets.add("closed")
    assert create_connection(anaplan, 400, **changes)["status"]["message"] == message


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_connection_is_changed_by_its_whole_flat_body_alone(anaplan: Anaplan, method: str) -> None:
    path = f"/integrations/connections/{anaplan.seeded.connection_id}"
    for body in ({"name": "Part"}, {"type": "AmazonS3", "body": connection()}):
        assert anaplan.refused(method, path, 400, body) == "Invalid request body"
    anaplan.ask(method, path, connection(name="Renamed"))
    assert anaplan.ask("GET", "/integrations/connections")["connections"][0]["body"]["name"] == "Renamed"


def test_a_connection_in_use_is_not_deleted(anaplan: Anaplan) -> None:
    path = f"/integrations/connections/{anaplan.seeded.connection_id}"
    assert anaplan.refused("DELETE", path, 409) == "The resource is being referenced"
    anaplan.ask("DELETE", f"/integrations/{anaplan.id}")
    anaplan.ask("DELETE", path)
    assert anaplan.ask("GET", "/integrations/connections")["connections"] == []
