"""CloudWorks' connections, integrations and flows, as plain values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from anaplan_autoload.domain.runs import Run

Kind = Literal["import", "export", "process"]
S3 = "AmazonS3"
ANAPLAN = "Anaplan"
IMPORT_JOB = "AmazonS3ToAnaplan"
EXPORT_JOB = "AnaplanToAmazonS3"

CONNECTION_ERRORS = {
    1: "its AWS keys are not valid, or not any more: connections update NAME with new ones",
    4: "its bucket does not exist: connections update NAME --bucket …",
    10: "its role cannot be assumed: check the role's trust policy, or connections update NAME --role-arn …",
    46: "CloudWorks could not use it when it last tried and does not say why: check that its bucket exists, that its "
    "keys are active and that they may read the bucket (connections policy prints what they need), then connections "
    "update NAME with the keys",
}
"""What a connection's error code means, and what to do."""


class Connection(Struct, frozen=True):
    """A connection as CloudWorks shows it: without its keys."""

    id: str
    type: str
    """`AmazonS3`, `AzureBlob` or `GoogleBigQuery`."""
    name: str
    bucket: str | None = None
    """None unless it is a connection to S3."""
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
        if self.error_code is None:
            return "CloudWorks gives no error code: check its bucket, its keys and what they may read"
        return CONNECTION_ERRORS.get(self.error_code, f"CloudWorks gives error code {self.error_code}")


class End(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A source or a target of a job, as CloudWorks takes and shows it."""

    type: str
    connection_id: str | None = None
    file: str | None = None
    """For a source the key that is read; for a target the folder that is written to."""
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
    """None in lists, and if CloudWorks shows none."""
    created_by: str | None = None
    modified_at: str | None = None
    last_run: Run | None = None


class FlowSummary(Struct, frozen=True):
    """An integration flow, as lists show it."""

    id: str
    name: str
    steps: int | None = None
    last_run: Run | None = None
