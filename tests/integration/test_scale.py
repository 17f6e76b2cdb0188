"""Large objects, large backlogs, and what is stored of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from anaplan_autoload.aws import staging
from anaplan_autoload.aws.ledger import IDS_PER_ITEM
from tests.autoload import BUCKET
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest

if TYPE_CHECKING:
    from tests.autoload import Autoload

CHECKPOINT_LIMIT = 200_000
"""Bytes; the service takes 256 KB."""


@pytest.mark.parametrize("versions", ["Enabled", "Suspended"])
def test_a_large_object_is_staged_by_parts_and_arrives_byte_for_byte(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch, versions: Literal["Enabled", "Suspended"]
) -> None:
    each(autoload)
    part = 5 * 1024**2  # S3's smallest
    monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", part)
    monkeypatch.setattr(staging, "PART_BYTES", part)
    monkeypatch.setattr(staging, "PARTS_PER_STEP", 2)
    autoload.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": versions})
    content = ACCOUNTS + "".join(f"N{number:07},{'x' * 90}\n" for number in range(170_000))

    autoload.invoke(autoload.upload(KEY, content))

    assert autoload.s3.get_object(Bucket=BUCKET, Key="source/Accounts.csv")["Body"].read() == content.encode()
    assert [name for name in autoload.operations() if name == "stage_parts"] == ["stage_parts"] * 2
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert "Uploads" not in autoload.s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_large_object_that_was_overwritten_leaves_no_parts_behind(
    autoload: Autoload, monkeypatch: pytest.MonkeyPatch
) -> None:
    each(autoload)
    monkeypatch.setattr(staging, "SINGLE_COPY_BYTES", 10)
    autoload.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    event = autoload.upload(KEY, ACCOUNTS)
    event["Records"][0]["s3"]["object"].pop("versionId", None)
    autoload.upload(KEY, ACCOUNTS + "newer")

    result = autoload.invoke(event)

    assert result["uploads"][0]["state"] == "superseded"
    assert autoload.runs_asked_for() == 0
    assert "Uploads" not in autoload.s3.list_multipart_uploads(Bucket=BUCKET)


@pytest.mark.timeout(300)
def test_a_backlog_of_over_a_thousand_is_covered_by_one_run_in_small_checkpoints(autoload: Autoload) -> None:
    latest(autoload)
    backlog = IDS_PER_ITEM + 100
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.record_backlog(event, backlog)
    sizes = autoload.watch_checkpoints()

    autoload.invoke({"drain": autoload.lane()})

    assert autoload.runs_asked_for() == 1
    [message] = autoload.messages()
    assert message["uploads_total"] == backlog
    assert len(message["uploads"]) <= backlog
    assert autoload.ledger.waiting(autoload.lane()) == []
    assert max(sizes) < CHECKPOINT_LIMIT
    assert len(autoload.operations()) < 100
