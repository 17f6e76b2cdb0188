"""`story`: one upload's whole life."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from botocore.exceptions import BotoCoreError, ClientError

from anaplan_autoload.aws import story as stories
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.aws.story import CLOCKS_DIFFER_MS, Moment
from anaplan_autoload.domain.times import iso
from anaplan_autoload.operations.history import Found, LoadFilter, find_uploads
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.service.loads import nothing_known
from anaplan_autoload_cli.service.places import RoutesFile, object_named, read_routes, the_ledger
from anaplan_autoload_cli.times import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_logs import CloudWatchLogsClient

    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.output import Record

LINES = 1_000
"""Log lines that are read of one upload."""
PATIENCE = 60
"""Seconds to wait for Logs Insights."""
LATE_MS = 3_600_000
"""The log is read up to this long after an upload's end."""
_MOMENTS = (
    Column("at", "Time"),
    Column("clock", "Clock", spare=True),
    Column("what", "What"),
    Column("said", "Said", fold=True),
    Column("run_id", "Run", spare=True),
)


class LogUnreadable(Exception):
    """The log cannot be had; the text says why, in a sentence without its full stop."""


def story(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="s3://…|KEY", help="The file.", show_default=False)],
    version: Annotated[str | None, typer.Option(help="The upload of this version; default: the newest.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every upload of the file, the newest first.")] = False,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Read the log too, if the stack is known.")] = True,
    file: RoutesFile = None,
) -> None:
    """One upload's whole life in order of time: stored, recorded, claimed, run, told, with its log lines.

    If no stack is named, or the log cannot be read, it comes from the ledger alone. Reading the log takes some seconds
    and costs what CloudWatch Logs Insights costs: half a cent for each GB of log in the time of the upload.
    Times are UTC; clock says whose: S3's, Anaplan's or Autoload's, which may differ by a second.

    Keys with --json: a list, one for each upload, of bucket, key, version_id, upload_id, route, lane, state, run_id,
    batch_id, moments (at, what, said, clock, run_id), log (whether the log was read). What is one of uploaded,
    recorded, claimed, asked, began, ended, told, superseded and logged.

    Examples:

        anaplan-autoload story s3://finance-inbox/incoming/accounts/2026-11.csv --stack anaplan-autoload
    """
    cli = cli_of(context)
    routes, ledger = read_routes(cli, file), the_ledger(cli)
    place = object_named(cli, routes, url)
    with cli.out.progress("Reading the ledger"):
        found = find_uploads(ledger, routes, LoadFilter(place.bucket, place.key))
        chosen = [each for each in found if version in (None, each.record.upload.version_id)]
    shown = chosen if every else chosen[:1]
    records = [_told(cli, each, stories.of_upload(ledger, each.lane, each.record), log=log) for each in shown]
    if cli.out.as_json or not records:
        cli.out.rows(records, (), nothing=nothing_known(routes, place))
        return
    for record in records:
        cli.out.hint(_heading(record))
        cli.out.rows(record["moments"], _MOMENTS)  # type: ignore[arg-type]
    if others := len(found) - len(shown):
        cli.out.hint(f"{count(others, 'more upload')} of this file: anaplan-autoload story {quote(place.url)} --all")


def _told(cli: Cli, found: Found, story: list[Moment], *, log: bool) -> Record:
    """An upload's story with what the log says; if that cannot be had, says why to people."""
    record, lines, was_read = found.record, list[Moment](), False
    group = cli.settings.get("log_group") if log else None
    if group is not None:
        try:
            with cli.out.progress("Reading the log"):
                lines, was_read = log_lines(cli.aws.client("logs"), group, found), True
        except LogUnreadable as error:
            cli.out.warning(f"The log {group} could not be read: {error}. This is what the ledger knows.")
    elif log:
        cli.out.hint("Without --stack there is no log: this is what the ledger knows.")
    return {
        "bucket": record.upload.bucket,
        "key": record.upload.key,
        "version_id": record.upload.version_id,
        "upload_id": record.upload.id,
        "route": record.route.name,
        "lane": found.lane,
        "state": record.state,
        "run_id": record.run_id,
        "batch_id": record.batch_id,
        "moments": [msgspec.to_builtins(moment) for moment in stories.in_order(story, lines)],
        "log": was_read,
    }


def _heading(record: Record) -> str:
    version = f", version {record['version_id']}" if record["version_id"] else ""
    place = f"s3://{record['bucket']}/{record['key']}"
    return f"{place}{version}: {record['state']} by route {record['route']}, upload {record['upload_id']}."


def log_lines(logs: CloudWatchLogsClient, group: str, found: Found) -> list[Moment]:
    """What the log says of an upload and of the batch that covered it; raises `LogUnreadable`."""
    record, now = found.record, wall_clock()
    until = min(now, record.final_at + LATE_MS) if record.final_at else now
    try:
        query = logs.start_query(
            logGroupName=group,
            startTime=(record.recorded_at - CLOCKS_DIFFER_MS) // 1000,
            endTime=until // 1000 + 1,
            queryString=query_for(record.upload.id, record.batch_id),
        )["queryId"]
        return list(_parsed(_results(logs, query)))
    except ClientError as error:
        raise LogUnreadable(error.response.get("Error", {}).get("Message", str(error)).rstrip(".")) from error
    except BotoCoreError as error:
        raise LogUnreadable(str(error).rstrip(".")) from error


def query_for(upload_id: str, batch_id: str | None) -> str:
    """The query for every line that names the upload or its batch."""
    ids = "|".join([upload_id, *([batch_id] if batch_id else [])])
    return f"fields @message | filter @message like /{ids}/ | sort @timestamp asc | limit {LINES}"


def _results(logs: CloudWatchLogsClient, query: str) -> list[str]:
    """The messages that a query found, once it is complete."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = logs.get_query_results(queryId=query)
        if answer["status"] == "Complete":
            rows: list[Any] = answer["results"]
            return [field["value"] for row in rows for field in row if field["field"] == "@message"]
        if answer["status"] not in ("Scheduled", "Running", "Unknown"):
            raise LogUnreadable(f"the query ended as {answer['status']}")
        time.sleep(0.5)
    raise LogUnreadable(f"the query took longer than {PATIENCE} seconds")


def _parsed(messages: list[str]) -> Iterator[Moment]:
    """The log lines that are the function's own; the runtime's and those of metrics have another form."""
    for message in messages:
        with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            line = json.loads(message)
            at = datetime.fromisoformat(line["timestamp"]).astimezone(UTC)
            reason = f": {line['reason']}" if line.get("reason") else ""
            said = f"{line['level']} {line['message']}{reason}"
            yield Moment(iso(round(at.timestamp() * 1000)), "logged", said, run_id=line.get("run_id"))
