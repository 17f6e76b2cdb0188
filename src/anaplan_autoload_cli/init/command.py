"""`init`: five questions, two files, and the next command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import load
from anaplan_autoload_cli.context import Cli, cli_of
from anaplan_autoload_cli.init import config
from anaplan_autoload_cli.init.answers import ANAPLAN_REGIONS, LOG_INS, NEW, NONE
from anaplan_autoload_cli.init.first_route import SAMPLE_ID, NoRoute, route_for
from anaplan_autoload_cli.init.progress import look
from anaplan_autoload_cli.init.questions import answered
from anaplan_autoload_cli.init.steps import Place, steps
from anaplan_autoload_cli.output import Column, CommandFailed
from anaplan_autoload_cli.settings import CommandSettings, environment

if TYPE_CHECKING:
    from anaplan_autoload_cli.init.answers import Answers
    from anaplan_autoload_cli.init.progress import Seen
    from anaplan_autoload_cli.init.steps import Step

ROUTES = Path("routes.toml")
NO_FILE = Path(os.devnull)
"""Settings without a settings file: the file that --config names is about to be made."""
_COLUMNS = (Column("state", "State"), Column("name", "Step"), Column("what", "What", fold=True))


def init(
    context: typer.Context,
    anaplan_region: Annotated[
        str | None, typer.Option("--anaplan-region", help=f"One of {', '.join(ANAPLAN_REGIONS)}.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", help=f"Who gets the messages, or {NONE}.")] = None,
    bucket: Annotated[str | None, typer.Option("--bucket", help=f"An existing bucket to load from, or {NEW}.")] = None,
    login: Annotated[str | None, typer.Option("--login", help=f"One of {', '.join(LOG_INS)}.")] = None,
    integration: Annotated[str | None, typer.Option("--integration", help="The first integration's name.")] = None,
    routes: Annotated[Path, typer.Option("--routes", help="The routes file to write.")] = ROUTES,
) -> None:
    """Set Autoload up: answer five questions, and see what is done and what is next.

    Asks for the AWS Region and the Anaplan region, the e-mail address, the bucket, the form of the log-in and the first
    integration. Writes the answers to .autoload.toml, where all commands find them, and a route to routes.toml as soon
    as the integration can be seen. Asks for no secret and changes nothing in AWS or Anaplan. Call it again at any time:
    it asks nothing twice, and shows the steps that are done and the command of the next one. A file that is there is
    only changed after a question, or with --yes.

    Without a terminal, give the answers as options, --region and --stack among them.

    Keys with --json: answers, written (files), steps (name, state: done, next, later or unknown; what, commands),
    trouble.

    Examples:

        anaplan-autoload init

        anaplan-autoload init --bucket finance-inbox --email none
    """
    cli = cli_of(context)
    options = {
        "region": cli.settings.flag("region"),
        "stack": cli.settings.flag("stack"),
        "anaplan_region": anaplan_region,
        "email": email,
        "bucket": bucket,
        "login": login,
        "integration": integration,
    }
    known = cli.settings if cli.settings.path.exists() else CommandSettings(cli.settings.flags, NO_FILE, environment())
    usual = {name: known.get(name) or "" for name in ("region", "stack")}
    answers = answered(cli.out, options, cli.settings.installation, usual)
    written = _write_config(cli, answers)
    with cli.out.progress("Looking at what is done"):
        seen = look(_with_new_settings(cli, answers.stack), _with_new_settings(cli), answers, routes)
    if seen.deployed:
        written += _write_config(cli, answers, answers.stack)
    if _write_route(cli, seen, routes):
        written.append(str(routes))
        seen = replace(seen, routed=True, routes_file=True)
    place = Place(answers.stack, str(cli.settings.path), str(routes), cli.settings.get("profile"))
    _tell(cli, answers, list(dict.fromkeys(written)), steps(answers, seen, place), seen)


def _write_config(cli: Cli, answers: Answers, stack: str | None = None) -> list[str]:
    """Write the answers, and return the files that were written. Asks before a line is lost."""
    path = cli.settings.path
    before = path.read_text(encoding="utf-8-sig") if path.exists() else None
    after = config.updated(before, answers, stack, cli.settings.flag("profile"))
    if before == after:
        return []
    if before is not None and not config.only_adds(before, after):
        if not cli.out.as_json:
            cli.out.text(config.difference(before, after, str(path)))
        cli.out.confirm(f"Change {path}?")
    path.write_text(after, encoding="utf-8")
    cli.out.done(f"{path} was written.")
    return [str(path)]


def _with_new_settings(cli: Cli, stack: str | None = None) -> Cli:
    """The same command line, with the file that was just written and with a stack."""
    flags = {**cli.settings.flags, "stack": stack or cli.settings.flag("stack")}
    return Cli(CommandSettings(flags, cli.settings.path, environment()), cli.out)


def _write_route(cli: Cli, seen: Seen, file: Path) -> bool:
    """Write the first route if there is no routes file, or only the sample. Returns whether it was written."""
    if seen.integration is None or seen.routed:
        return False
    try:
        text = route_for(seen.integration)
    except (NoRoute, RoutesInvalid):
        return False  # the step says why
    if seen.routes_file and not _may_replace(cli, file, text):
        return False
    file.write_text(text, encoding="utf-8")
    cli.out.done(f"{file} was written.")
    return True


def _may_replace(cli: Cli, file: Path, text: str) -> bool:
    """Whether the routes file is only the sample, and the user agrees to replace it."""
    if not _is_the_sample(file):
        cli.out.warning(f"{file} exists already and stays as it is. The route for this integration would be:")
        cli.out.hint(text)
        return False
    try:
        cli.out.confirm(f"{file} is the sample that comes with the project. Write the first route in its place?")
    except CommandFailed as error:  # the steps are worth showing all the same
        cli.out.warning(" ".join(part for part in (error.message, error.remedy) if part))
        return False
    return True


def _is_the_sample(file: Path) -> bool:
    """Whether the file has the sample's route and no other."""
    try:
        return [route.target for route in load(file)] == [SAMPLE_ID]
    except RoutesInvalid:
        return False


def _tell(cli: Cli, answers: Answers, written: list[str], found: list[Step], seen: Seen) -> None:
    if cli.out.as_json:
        record = {"answers": msgspec.to_builtins(answers), "written": written, "trouble": list(seen.trouble)}
        cli.out.record(record | {"steps": [msgspec.to_builtins(step) for step in found]}, ())
        return
    cli.out.rows([msgspec.to_builtins(step) for step in found], _COLUMNS)
    for why in seen.trouble:
        cli.out.warning(f"Not seen: {why}")
    following = next((step for step in found if step.state == "next"), None)
    if following is None:
        cli.out.done("Everything is done. See: anaplan-autoload status.")
        return
    cli.out.text(f"\nNext: {following.what}")
    for command in following.commands:
        cli.out.text(f"  {command}")
    cli.out.text("Then run init again.")
