"""`dashboard`: the dashboard's body for CloudWatch, or a drawing of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.dashboard.body import Place, as_text, body
from anaplan_autoload_cli.dashboard.page import page
from anaplan_autoload_cli.output import CommandFailed
from anaplan_autoload_cli.times import moment

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli
    from anaplan_autoload_cli.dashboard.cloudwatch import Alarm
    from anaplan_autoload_cli.dashboard.data import Data

SHORTEST_MS = 300_000


def dashboard(
    context: typer.Context,
    render: Annotated[
        Path | None, typer.Option("--render", metavar="FILE", help="Draw it into this HTML file instead.")
    ] = None,
    since: Annotated[str, typer.Option("--since", help="With a stack: draw from then on, as in 12h or 7d.")] = "7d",
) -> None:
    """Print the body of a stack's CloudWatch dashboard, or draw the dashboard as an HTML file.

    The template deploys the same dashboard, unless its parameter Dashboard is off. With a stack, the drawing shows its
    metrics and log from CloudWatch; otherwise what was recorded on a laptop. The file needs nothing else, and has no
    script.

    Examples:

        anaplan-autoload dashboard --render dashboard.html

        anaplan-autoload dashboard --render dashboard.html --stack autoload --since 24h
    """
    cli = cli_of(context)
    if render is None:
        place = _place(cli)
        arns = tuple(alarm.arn for alarm in _alarms(cli, place))
        cli.out.text(as_text(body(replace(place, alarms=arns))))
        return
    stack, data = _data(cli, since)
    render.write_text(page(stack, data), encoding="utf-8")
    cli.out.done(f"The dashboard was drawn into {render}. {data.about}")


def _data(cli: Cli, since: str) -> tuple[str, Data]:
    """The stack's name and what to draw: a stack's data, or the recording."""
    if not cli.settings.get("stack"):
        from anaplan_autoload_cli.dashboard.recording import demo

        recording = demo()
        return recording.stack, recording
    from anaplan_autoload_cli.dashboard.cloudwatch import Clients, CloudWatch

    place, begin, now = _place(cli), moment(since), wall_clock()
    if begin > now - SHORTEST_MS:
        raise typer.BadParameter(f"{since!r} is too short: a dashboard needs at least five minutes, as in 12h.")
    clients = Clients(cli.aws.client("cloudwatch"), cli.aws.client("logs"))
    return place.stack, CloudWatch(clients, place, begin, now)


def _alarms(cli: Cli, place: Place) -> list[Alarm]:
    from anaplan_autoload_cli.dashboard.cloudwatch import alarms_of

    return alarms_of(cli.aws.client("cloudwatch"), place.stack)


def _place(cli: Cli) -> Place:
    """The stack that is named, without its alarms."""
    region = cli.aws.region_name
    if region is None:
        raise CommandFailed("No AWS region is set.", remedy="Give --region, or set AWS_REGION.")
    queue = cli.settings.require("queue").rpartition("/")[2]
    page_arn = cli.settings.outputs.get("PageFunctionArn", "")
    return Place(stack=cli.settings.require("stack"), region=region, queue=queue, page=page_arn)
