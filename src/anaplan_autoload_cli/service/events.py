"""`test-event`: the event for `sam local invoke`."""

from __future__ import annotations

import json
import time
from hashlib import md5
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote_plus

import typer
from botocore.exceptions import BotoCoreError, ClientError

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.times import iso
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.service.objects import head
from anaplan_autoload_cli.service.places import place_of

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.service.places import Place

_ROWS = b"Code,Name\r\nA1,Cash\r\n"


def test_event(
    context: typer.Context, url: Annotated[str, typer.Argument(metavar="s3://…", help="The file.", show_default=False)]
) -> None:
    """Print the event that S3 sends when this object is uploaded, to feed to sam local invoke.

    It describes the object as it is in S3, if you may see it; otherwise size, etag and version are made up.

    Example:

        anaplan-autoload test-event s3://finance-inbox/incoming/accounts.csv | sam local invoke Autoload --event -
    """
    cli = cli_of(context)
    place = place_of(url)
    event = notification(_seen(cli, place) or _made_up(place), cli.aws.region_name or "us-east-1")
    cli.out.text(json.dumps(event, indent=2))


def notification(upload: Upload, region: str) -> dict[str, object]:
    """S3's notification of an upload (event version 2.1), its key URL-encoded as S3 does it."""
    described: dict[str, object] = {
        "key": quote_plus(upload.key, safe="/"),
        "size": upload.size,
        "eTag": upload.etag,
        "sequencer": upload.sequencer or f"{time.time_ns():018X}",  # rises with time, as S3's does
    }
    if upload.version_id:
        described["versionId"] = upload.version_id
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": upload.event_time,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": upload.bucket, "arn": f"arn:aws:s3:::{upload.bucket}"},
            "object": described,
        },
    }
    return {"Records": [record]}


def _seen(cli: Cli, place: Place) -> Upload | None:
    """The object in S3; None if it cannot be read, because the event is useful without it."""
    try:
        found = head(cli.aws.client("s3"), place)
    except (ClientError, BotoCoreError, CommandFailed) as error:
        cli.out.hint(f"{str(error).rstrip('.')}. Size, etag and version in the event are made up.")
        return None
    if found is None:
        cli.out.hint(f"You may not read {place.url}. Size, etag and version in the event are made up.")
        return None
    return found


def _made_up(place: Place) -> Upload:
    return Upload(
        bucket=place.bucket,
        key=place.key,
        event_time=iso(wall_clock()),
        size=len(_ROWS),
        etag=md5(_ROWS).hexdigest(),  # noqa: S324  (what S3 calls an etag)
        version_id="3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
    )
