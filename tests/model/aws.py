"""AWS for the model: moto's DynamoDB without botocore and HTTP around it, small stand-ins for the rest.

A call through botocore and moto takes 2 to 4 ms, most of it spent on signing, matching URLs and (de)serializing; moto's
own tables, conditions and indexes, which are what matters here, take a fraction. So the ledger's client hands its
parameters to moto's handlers directly. Of S3, SNS and Secrets Manager the function wants next to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import md5
from io import BytesIO
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from msgspec import Struct

from local.cloudworks.buckets import StoredObject
from tests.model.world import EPOCH_MS, World

REGION = "eu-west-1"
BUCKET = "inbox"
TABLE = "ledger"
FRESH_MS = 1_000
STORED_AT = datetime.fromtimestamp(EPOCH_MS // 1000, UTC)
"""When every version of the secret counts as stored."""
PAGE = 4
"""Versions that one answer lists."""


class EffectClient:
    """A boto3 client whose calls are effects of the world."""

    def __init__(self, world: World, service: str, client: Any) -> None:
        self._world = world
        self._service = service
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            return self._world.effect(f"{self._service} {name}", lambda: method(**parameters))

        return call


class DynamoDB:
    """moto's DynamoDB in process: what the ledger uses of boto3's client. Making one begins with an empty table."""

    def __init__(self, world: World) -> None:
        dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].reset()
        reset_model_data()  # moto keeps every item that ever existed, for a page of its server
        self._world = world
        self._written: dict[tuple[str, str], int] = {}
        self.exceptions = _exceptions()
        self._perform("create_table", _TABLE)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**parameters: Any) -> Any:
            return self._world.effect(
                f"dynamodb {operation}{_item(parameters)}", lambda: self._answer(operation, parameters)
            )

        return call

    def _answer(self, operation: str, parameters: dict[str, Any]) -> Any:
        answer = self._perform(operation, parameters)
        for key in _written(parameters):
            self._written[key] = self._world.now
        if operation in ("query", "scan") and not parameters.get("ConsistentRead"):
            answer["Items"] = [item for item in answer["Items"] if not self._is_fresh(item)]
        return answer

    def _is_fresh(self, item: dict[str, Any]) -> bool:
        """Written so recently that an eventually consistent read may miss it."""
        return self._world.now - self._written.get(_key(item), 0) < FRESH_MS

    def everything(self) -> list[dict[str, Any]]:
        """Every item, as seen from outside."""
        items: list[dict[str, Any]] = self._perform("scan", {"TableName": TABLE})["Items"]
        return items

    def _perform(self, operation: str, parameters: dict[str, Any]) -> Any:
        handler = DynamoHandler()
        handler.current_account, handler.region = DEFAULT_ACCOUNT_ID, REGION
        handler.body = parameters
        try:
            result: Any = getattr(handler, operation)().result
        except JsonRESTError as error:
            raise self._error(operation, error) from error
        return result

    def _error(self, operation: str, error: JsonRESTError) -> ClientError:
        described: dict[str, Any] = json.loads(str(error.description))
        code = described.pop("__type", error.error_type).rpartition("#")[2]
        message = described.get("message") or described.get("Message") or ""
        response: Any = {**described, "Error": {"Code": code, "Message": message}}
        kind = getattr(self.exceptions, code, ClientError)
        made: ClientError = kind(response, operation)
        return made


@cache
def _exceptions() -> Any:
    """Those of a real client, by which the ledger tells refusals apart."""
    return boto3.client("dynamodb", region_name=REGION).exceptions


_TABLE = {
    "TableName": TABLE,
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "waiting")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "waiting",
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "waiting", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def _written(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """The keys of the items that a call writes, as far as it names them."""
    actions = [action for item in parameters.get("TransactItems", []) for action in item.items()] or [("", parameters)]
    writes = [write for kind, write in actions if kind != "Get"]
    return [_key(write.get("Key") or write["Item"]) for write in writes if "Key" in write or "Item" in write]


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _item(parameters: dict[str, Any]) -> str:
    """Which kind of item a call is about, for the effect's name."""
    key = parameters.get("Key") or parameters.get("Item") or {}
    kind: str = "digest" if key.get("pk") == {"S": "digest"} else key.get("sk", {}).get("S", "").partition("#")[0]
    return f" {kind}" if kind else ""


class Bucket:
    """One bucket of S3, for uploads and staging and, as `local.cloudworks.Buckets`, for the simulator."""

    def __init__(self, versioned: bool, now: Callable[[], int]) -> None:
        """Without versions, a new object replaces the old one for good; `now` is epoch ms."""
        self._versioned = versioned
        self._objects: dict[str, list[StoredObject]] = {}
        self._now = now
        self._put_at: dict[int, datetime] = {}

    def exists(self, bucket: str) -> bool:
        """There is only this one."""
        return bucket == BUCKET

    def read(self, bucket: str, key: str) -> StoredObject | None:
        """The newest version."""
        return self._objects[key][-1] if key in self._objects else None

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object."""
        self.put(key, content)

    def put(self, key: str, content: bytes) -> StoredObject:
        """Put an object; returns it as it is stored."""
        versions = self._objects.setdefault(key, [])
        version = f"v{len(versions) + 1}" if self._versioned else None
        stored = StoredObject(content, md5(content, usedforsecurity=False).hexdigest(), version)
        if not self._versioned:
            versions.clear()
        versions.append(stored)
        self._put_at[id(stored)] = datetime.fromtimestamp(self._now() // 1000, UTC)
        return stored

    def list_object_versions(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        KeyMarker: str = "",  # noqa: N803
        VersionIdMarker: str = "",  # noqa: N803
        **_: str,
    ) -> dict[str, Any]:
        """The versions under a prefix, by key and the newest first, a few a page."""
        listed = [
            self._listed(key, stored, latest=stored is versions[-1])
            for key, versions in sorted(self._objects.items())
            if key.startswith(Prefix)
            for stored in reversed(versions)
        ]
        marks = [(version["Key"], version["VersionId"]) for version in listed]
        start = marks.index((KeyMarker, VersionIdMarker)) + 1 if (KeyMarker, VersionIdMarker) in marks else 0
        page = {"Versions": listed[start : start + PAGE], "IsTruncated": len(listed) > start + PAGE}
        if not page["IsTruncated"]:
            return page
        key, version = marks[start + PAGE - 1]
        return {**page, "NextKeyMarker": key, "NextVersionIdMarker": version}

    def _listed(self, key: str, stored: StoredObject, *, latest: bool) -> dict[str, Any]:
        return {
            "Key": key,
            "VersionId": stored.version_id or "null",
            "IsLatest": latest,
            "LastModified": self._put_at[id(stored)],
            "ETag": f'"{stored.etag}"',
            "Size": len(stored.content),
        }

    def get_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        VersionId: str | None = None,  # noqa: N803
        IfMatch: str = "",  # noqa: N803
        Range: str = "",  # noqa: N803
        **_: str,
    ) -> dict[str, Any]:
        """Read a version, or the object with this etag; all of it, because nothing here is longer than the range."""
        found = self._found(Key, VersionId, IfMatch, "GetObject")
        size = len(found.content)
        return {
            "Body": BytesIO(found.content),
            "ContentLength": size,
            "ContentRange": f"bytes 0-{size - 1}/{size}",
            "ETag": found.etag,
        }

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
        CopySourceIfMatch: str = "",  # noqa: N803
        **_: str,
    ) -> None:
        """Copy a version, or the object with this etag; refuse what S3 refuses."""
        found = self._found(CopySource["Key"], CopySource.get("VersionId"), CopySourceIfMatch, "CopyObject")
        self.put(Key, found.content)

    def _found(self, key: str, version: str | None, etag: str, operation: str) -> StoredObject:
        found = [stored for stored in self._objects.get(key, []) if version in (None, stored.version_id)]
        if not found:
            raise aws_error("NoSuchVersion" if version else "NoSuchKey", operation)
        if etag not in ("", found[-1].etag):
            raise aws_error("PreconditionFailed", operation)
        return found[-1]


class Topic:
    """SNS, with a subscriber that keeps what it gets."""

    def __init__(self, now: Callable[[], int]) -> None:
        """`now` is epoch ms."""
        self.messages: list[Message] = []
        self.mails: list[Mail] = []
        """What people got, one by one or in digests."""
        self._now = now

    def publish(
        self,
        *,
        TopicArn: str,  # noqa: N803
        Message: str,  # noqa: N803
        Subject: str,  # noqa: N803
        MessageAttributes: dict[str, Any],  # noqa: N803
        **_: object,
    ) -> dict[str, str]:
        """Keep the document that queues get, or the mail."""
        body = json.loads(Message)["default"]
        if TopicArn.endswith(":mails"):
            id_, outcome = (MessageAttributes[name]["StringValue"] for name in ("id", "outcome"))
            self.mails.append(Mail(self._now(), id_, outcome, Subject, body))
        else:
            self.messages.append(_told(self._now(), json.loads(body)))
        return {"MessageId": f"message-{len(self.messages)}"}


class Mail(Struct, frozen=True):
    """What people got."""

    at: int
    """Epoch ms."""
    id: str
    outcome: str
    subject: str
    text: str


class Message(Struct, frozen=True):
    """What a subscriber got."""

    at: int
    """Epoch ms."""
    document: dict[str, Any]

    @property
    def id(self) -> str:
        """What it is about."""
        found: str = self.document["id"]
        return found

    @property
    def outcome(self) -> str:
        """How that went."""
        found: str = self.document["outcome"]
        return found


def _told(at: int, document: dict[str, Any]) -> Message:
    return Message(at, document)


class Secrets:
    """Secrets Manager with one secret."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def put(self, value: str) -> None:
        """Give it a new version."""
        self._values.append(value)

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        """The newest version."""
        version = f"version-{len(self._values)}"
        return {"SecretString": self._values[-1], "VersionId": version, "CreatedDate": STORED_AT}


def aws_error(code: str, operation: str = "Operation") -> ClientError:
    """An error as AWS answers it; a cancelled transaction is one that met another write."""
    response: Any = {"Error": {"Code": code, "Message": "for the test"}}
    if code != "TransactionCanceledException":
        return ClientError(response, operation)
    response["CancellationReasons"] = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    error: ClientError = _exceptions().TransactionCanceledException(response, operation)
    return error
