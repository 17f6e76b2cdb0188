"""The simulator reads and writes files in S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.cloudworks import MemoryBuckets, S3Buckets, Simulator, serve
from tests.unit.simulator.client import FILE, GOOD, MIXED, Anaplan, Clock, create_connection


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 with a versioned bucket."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="inbox", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_bucket_versioning(Bucket="inbox", VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_s3_objects_are_read_with_version_and_etag_and_exports_written(s3: Any) -> None:
    buckets = S3Buckets(s3)
    put = s3.put_object(Bucket="inbox", Key=FILE, Body=GOOD)
    found = buckets.read("inbox", FILE)
    assert found is not None
    assert (found.content, found.version_id, f'"{found.etag}"') == (GOOD, put["VersionId"], put["ETag"])
    buckets.write("inbox", "exports/a.csv", MIXED)
    assert s3.get_object(Bucket="inbox", Key="exports/a.csv")["Body"].read() == MIXED


def test_missing_objects_and_buckets_are_told_apart_from_others(s3: Any) -> None:
    buckets = S3Buckets(s3)
    assert buckets.read("inbox", "missing") is None
    assert (buckets.exists("inbox"), buckets.exists("missing")) == (True, False)


def test_a_connection_to_a_bucket_that_does_not_exist_is_refused(s3: Any) -> None:
    simulator = Simulator(S3Buckets(s3), clock=Clock())
    with serve(simulator) as address:
        anaplan = Anaplan(simulator, MemoryBuckets(), Clock(), address.auth_url)
        assert create_connection(anaplan, 400, bucketName="missing")["status"]["message"] == "Bucket name is invalid"
        anaplan.http.clear()
