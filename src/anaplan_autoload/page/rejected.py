"""The first rejected rows of a load, from where the function saved them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from anaplan_autoload.aws.refusals import AWS_TROUBLE

if TYPE_CHECKING:
    from anaplan_autoload.aws.ledger import RunRecord
    from anaplan_autoload.page.services import PageServices

ROWS_SHOWN = 20
FILES_SHOWN = 3
"""A process has a file for every import in it."""
BYTES_READ = 65_536
"""Bytes that are read of each file: enough for the first rows, unless they are very long."""
CELLS_SHOWN = 30


class RejectedFile(Struct, frozen=True):
    """The beginning of one file of rejected rows."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: bool
    """Whether the file has more rows than these."""


class Rejected(Struct, frozen=True):
    """The rejected rows of a load, as far as they can be shown."""

    files: tuple[RejectedFile, ...] = ()
    trouble: str = ""
    """Why saved rows cannot be shown."""


def rejected_of(services: PageServices, run: RunRecord) -> Rejected:
    """The first rejected rows, if any were saved. They are read only from the stack's own reports bucket."""
    bucket, _, prefix = (run.report_url or "").removeprefix("s3://").partition("/")
    if not run.rows_saved or not prefix:
        return Rejected()
    if bucket != services.settings.reports_bucket:
        return Rejected(trouble=f"They are in a bucket that is not the stack's: {run.report_url}")
    try:
        names = _names(services, bucket, prefix)
        return Rejected(tuple(_file(services, bucket, name) for name in names[:FILES_SHOWN]))
    except AWS_TROUBLE as error:
        return Rejected(trouble=f"They could not be read: {error}")
    except csv.Error as error:
        return Rejected(trouble=f"They are not CSV: {error}")


def _names(services: PageServices, bucket: str, prefix: str) -> list[str]:
    asked: Any = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": 100, **services.owner}
    found = services.s3.list_objects_v2(**asked)
    names = [each["Key"] for each in found.get("Contents", [])]
    return [name for name in names if name.endswith(".csv") and not name.endswith("/errors.csv")]


def _file(services: PageServices, bucket: str, key: str) -> RejectedFile:
    asked: Any = {"Bucket": bucket, "Key": key, "Range": f"bytes=0-{BYTES_READ - 1}", **services.owner}
    answer = services.s3.get_object(**asked)
    content = answer["Body"].read()
    # CSV knows fewer ends of lines than `splitlines`: a cell may hold a form feed or U+2028.
    lines = list(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    whole = int(answer.get("ContentRange", "/0").rpartition("/")[2]) <= len(content)
    rows = [tuple(row[:CELLS_SHOWN]) for row in csv.reader(lines if whole else lines[:-1]) if row]
    header, body = (rows[0], rows[1:]) if rows else ((), [])
    more = not whole or len(body) > ROWS_SHOWN
    return RejectedFile(key.rpartition("/")[2], header, tuple(body[:ROWS_SHOWN]), more)
