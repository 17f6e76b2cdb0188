"""Saves the rows that Anaplan rejected, and the errors, in S3 for people and for programs.

Anaplan keeps them for about two days. Spreadsheets run cells that look like formulas, so files for people are disarmed.
"""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, urlencode

from msgspec import to_builtins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_s3 import S3Client

    from anaplan_autoload.report.report import ReportedError

CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
"""The console's host, by the partition of AWS."""
BLOCK_BYTES = 1024 * 1024
SPOOL_BYTES = 8 * 1024 * 1024
"""How much of a dump is held in memory; the rest lies in the function's temporary storage."""


def report_prefix(route: str, ended_at: str, report_id: str) -> str:
    """`reports/<route>/<YYYY-MM-DD>/<run id>/`: always the same for the same run."""
    day = datetime.fromisoformat(ended_at).astimezone(UTC).date().isoformat()
    return f"reports/{_key_part(route)}/{day}/{_key_part(report_id)}/"


def console_link(report_url: str, arn: str) -> str | None:
    """The address of `s3://bucket/prefix/` in AWS's console; None if it is not known.

    A console link needs a log-in. A presigned link would not, but it expires with the role's credentials, within hours,
    and a mail may be read days later. `arn`, of any resource of the stack, gives its partition
    and Region.
    """
    _arn, partition, _service, region, *_ = arn.split(":")
    host = CONSOLES.get(partition)
    bucket, _, prefix = report_url.removeprefix("s3://").partition("/")
    if host is None:
        return None
    query = urlencode({"prefix": prefix, "region": region}, quote_via=quote)
    return f"https://{host.format(region=region)}/s3/buckets/{quote(bucket, safe='')}?{query}"


def save_rejected_rows(
    s3: S3Client, bucket: str, prefix: str, name: str, chunks: Iterable[bytes], owner: str | None = None
) -> str:
    """Store a failure dump twice, and return `s3://bucket/prefix/`.

    `<name>.csv` is for people: a cell that a spreadsheet would run as a formula has a leading `'`. Beside it,
    `<name>.csv.original` is byte for byte what Anaplan gave, for programs that correct and load it again. `name` tells
    apart the dumps of one run, such as the action's id. At most 8 MiB of each copy are held in memory. The rest needs
    temporary storage of twice the dump's size, so cap the dump. Nothing is stored if `chunks` raises. `owner` is the
    account that must own the bucket, because somebody else may have taken its name.
    """
    with _spooled(chunks) as original, _spooled(without_formulas(_blocks(original))) as safe:
        original.seek(0)
        _upload(s3, bucket, f"{prefix}{_key_part(name)}.csv", safe, "text/csv; charset=utf-8", owner)
        _upload(s3, bucket, f"{prefix}{_key_part(name)}.csv.original", original, "application/octet-stream", owner)
    return f"s3://{bucket}/{prefix}"


def save_errors(
    s3: S3Client, bucket: str, prefix: str, errors: Iterable[ReportedError], owner: str | None = None
) -> str:
    """Store all errors of a run as `errors.json` (as they are) and `errors.csv` (for people); returns `s3://bucket/prefix/`.

    `owner` is the account that must own the bucket.
    """
    errors = tuple(errors)
    listing = json.dumps(to_builtins(errors), indent=2).encode()
    _upload(s3, bucket, f"{prefix}errors.json", io.BytesIO(listing), "application/json", owner)
    table = _errors_csv(errors).encode("utf-8-sig", "replace")
    _upload(s3, bucket, f"{prefix}errors.csv", io.BytesIO(table), "text/csv; charset=utf-8", owner)
    return f"s3://{bucket}/{prefix}"


def _errors_csv(errors: Iterable[ReportedError]) -> str:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("action", "message", "occurrences", "values"))
    for error in errors:
        texts = (error.action, error.message, str(error.occurrences), "; ".join(error.values))
        writer.writerow(_safe_cell(text.encode("utf-8", "replace")).decode() for text in texts)
    return table.getvalue()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, BLOCK_BYTES), b"")


@contextmanager
def _spooled(chunks: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """A temporary file with all chunks, at its start."""
    with SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:
        for chunk in chunks:  # writelines would gather everything in memory first (Python 3.11)
            file.write(chunk)
        file.seek(0)
        yield file


def _upload(s3: S3Client, bucket: str, key: str, file: IO[bytes], content_type: str, owner: str | None) -> None:
    """Upload in one request, or in parts if it is large. One part at a time, to save memory."""
    from boto3.s3.transfer import TransferConfig

    one_by_one = TransferConfig(use_threads=False)
    arguments = {"ContentType": content_type, **({"ExpectedBucketOwner": owner} if owner else {})}
    s3.upload_fileobj(file, bucket, key, ExtraArgs=arguments, Config=one_by_one)


def _key_part(text: str) -> str:
    """Safe as one part of a key or a file name: no slash, no leading dot."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".")[:100] or "unnamed"


# Formulas in spreadsheets

NUMBER = rb"[+-](?:\d[\d.,]*|\.\d+)(?:[eE][+-]?\d+)?%?"
SIGNED_NUMBER = re.compile(NUMBER)
WIDE = rb"\xef\xbc[\x9d\x8b\x8d\xa0]"
"""The full-width forms of `=`, `+`, `-` and `@` in UTF-8, which some spreadsheets take for the plain ones."""
FORMULA = re.compile(rb"[=+\-@\t\r\n]|" + WIDE)
UNQUOTED_FORMULA = re.compile(
    rb"(?<=[,;\t\r\n])(?=[=+\-@]|" + WIDE + rb")(?!" + NUMBER + rb"(?:[,;\t\r\n]|\Z))|(?<=[,;\r\n])(?=\t)"
)
ENDS_OF_CELLS = (b",", b";", b"\t", b"\r", b"\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def without_formulas(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same CSV with a `'` before each cell that starts with `=`, `+`, `-`, `@`, a tab or a line break.

    Plain numbers (`-12.5`) stay as they are: they are harmless, and dumps are full of them. Commas, semicolons and tabs
    all end a cell, because the character at which a spreadsheet splits depends on its user's country. Works on bytes of
    any encoding that extends ASCII, in a few MiB of memory, and never fails on broken CSV.
    """
    cell_starts, quoted = True, False
    for block in _whole_lines(chunks):
        if block.startswith(BYTE_ORDER_MARK):
            yield BYTE_ORDER_MARK
        safe, quoted = _block_without_formulas(block.removeprefix(BYTE_ORDER_MARK), cell_starts, quoted)
        yield safe
        cell_starts = block.endswith(ENDS_OF_CELLS) and not quoted  # a very long line is cut within a cell


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of whole lines, so that the start and end of each cell are in one block."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = rest.rfind(b"\n") + 1 or (len(rest) if len(rest) > BLOCK_BYTES else 0)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _block_without_formulas(block: bytes, cell_starts: bool, quoted: bool) -> tuple[bytes, bool]:
    """The safe block, and whether its end is inside quotes.

    `cell_starts` says whether the block starts with a cell, and `quoted` whether inside quotes.
    Only a quote at the start of a cell opens it. A doubled quote inside closes and opens it again with nothing in
    between, so it does not start a cell. Any other quote is a character like others, as in `5" pipe,=1+1`.
    """
    parts = block.split(b'"')
    safe, closed = [], False
    for number, part in enumerate(parts):
        last = number + 1 == len(parts)
        if quoted:
            goes_on = parts[number + 1 : number + 2] == [b""] and number + 2 < len(parts)
            safe.append(_safe_cell(part, whole=not goes_on) if cell_starts else part)
            cell_starts, quoted, closed = False, last, True
        else:
            safe.append(_safe_cells(part, cell_starts))
            cell_starts = part.endswith(ENDS_OF_CELLS) if part else cell_starts
            quoted = not last and (cell_starts or (closed and not part))
            closed = False
    return b'"'.join(safe), quoted


def _safe_cell(cell: bytes, whole: bool = True) -> bytes:
    """The cell, disarmed. `whole`: whether a number is all of it, and not what stands before a quote."""
    number = whole and SIGNED_NUMBER.fullmatch(cell)
    return b"'" + cell if FORMULA.match(cell) and not number else cell


def _safe_cells(cells: bytes, cell_starts: bool) -> bytes:
    if cell_starts:
        return UNQUOTED_FORMULA.sub(b"'", b"\n" + cells)[1:]
    return UNQUOTED_FORMULA.sub(b"'", cells)
