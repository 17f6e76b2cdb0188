"""The events of `events/`, made true: each names the laptop's bucket, and objects that are there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, unquote_plus
from uuid import uuid4

import msgspec
from msgspec import Struct

from local.aws.executions import ACCOUNT
from local.aws.stack import ROOT, Stack

SAMPLES = ROOT / "events"
INTEGRATIONS = (("Accounts", "source/accounts.csv"), ("Sales", "source/sales.csv"))
ROUTES = """\
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
suffix = ".csv"
integration = "{Accounts}"
load = "each"
stage_to = "source/accounts.csv"

[[route]]
name = "sales"
prefix = "incoming/sales/"
suffix = ".csv"
integration = "{Sales}"
load = "each"
stage_to = "source/sales.csv"
"""
"""Every sample's key matches, and is read: with `each` it is copied to what the integration reads."""
CONTENT = b"code,name\nA1,Cash\nA2,Bank\n"

Json = dict[str, Any]
"""A part of an event."""


class Put(Struct, frozen=True):
    """An object that was put for a sample."""

    key: str
    size: int
    etag: str
    version_id: str
    sequencer: str


def runnable(stack: Stack, lane: str) -> dict[str, Json]:
    """Every sample by its name, with objects put for it; a drain names `lane`, the id of a lane.

    A sample's objects lie in a folder of its name: so the samples can be run in any order, and none replaces the data
    of another. Call this before the bucket notifies the function, or that loads the objects first.
    """
    return {
        path.stem: _Sample(stack, path.stem, lane).made(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))
    }


class _Sample:
    """Rewrites one sample, part by part."""

    def __init__(self, stack: Stack, name: str, lane: str) -> None:
        self._stack = stack
        self._name = name
        self._lane = lane
        self._now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._sequence = 0

    def made(self, text: bytes | str) -> Json:
        event = msgspec.json.decode(text, type=Json)
        if "drain" in event:
            return {"drain": self._lane}
        if "load" in event:
            put = self._put(event["load"]["key"])
            return {
                "load": {
                    "bucket": self._stack.inbox,
                    "key": put.key,
                    "version_id": put.version_id,
                    "request_id": str(uuid4()),
                }
            }
        if "detail" in event:
            return self._of_eventbridge(event)
        if "Bucket" in event:
            return event | {"Bucket": self._stack.inbox, "Time": self._now}
        if "Records" in event:
            return event | {"Records": [self._record(record) for record in event["Records"]]}
        return event

    def _record(self, record: Json) -> Json:
        if "Sns" in record:
            message = msgspec.json.encode(self.made(record["Sns"]["Message"])).decode()
            return record | {"Sns": record["Sns"] | {"Message": message, "Timestamp": self._now}}
        described = dict(record["s3"]["object"])
        if record["eventName"].startswith("ObjectCreated:"):
            put = self._put(unquote_plus(described["key"]))
            described |= {"key": quote_plus(put.key, safe="/"), "size": put.size, "eTag": put.etag}
            described |= {"sequencer": put.sequencer}
            if "versionId" in described:
                described["versionId"] = put.version_id
        bucket = record["s3"]["bucket"] | {"name": self._stack.inbox, "arn": f"arn:aws:s3:::{self._stack.inbox}"}
        return record | {
            "awsRegion": self._stack.aws.region,
            "eventTime": self._now,
            "s3": record["s3"] | {"bucket": bucket, "object": described},
        }

    def _of_eventbridge(self, event: Json) -> Json:
        put = self._put(event["detail"]["object"]["key"])
        described = {
            "key": put.key,
            "size": put.size,
            "etag": put.etag,
            "version-id": put.version_id,
            "sequencer": put.sequencer,
        }
        bucket = {"name": self._stack.inbox}
        return event | {
            "account": ACCOUNT,
            "region": self._stack.aws.region,
            "time": self._now,
            "resources": [f"arn:aws:s3:::{self._stack.inbox}"],
            "detail": event["detail"] | {"bucket": bucket, "object": described, "requester": ACCOUNT},
        }

    def _put(self, key: str) -> Put:
        """Put an object for this key of the sample, with the sample's name as its folder."""
        folder, _, file = key.rpartition("/")
        key = f"{folder}/{self._name}/{file}"
        content = CONTENT if file else b""
        answer = self._stack.aws.s3.put_object(Bucket=self._stack.inbox, Key=key, Body=content)
        self._sequence += 1
        return Put(key, len(content), answer["ETag"].strip('"'), answer["VersionId"], f"{self._sequence:018X}")
