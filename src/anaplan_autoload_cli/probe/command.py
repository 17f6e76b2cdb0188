"""`probe`: ask a live CloudWorks what could not be checked without one, and compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from anaplan_autoload_cli.completion import offered_flows, offered_integrations
from anaplan_autoload_cli.context import cli_of
from anaplan_autoload_cli.output import INTERRUPTED, CommandFailed
from anaplan_autoload_cli.probe import live, report
from anaplan_autoload_cli.probe.asking import Asker, json_of, part
from anaplan_autoload_cli.probe.facts import Fact, unknown, values
from anaplan_autoload_cli.probe.questions import PAGE, Subject, guarded, read_only

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli

_ID = re.compile(r"[0-9a-f]{32}")
_MOST_PAGES = 20
_ASK_RUN = "add --run, which runs the integration"
_ASK_CANCEL = "add --run --cancel, which runs the integration once more and cancels that run"


def probe(
    context: typer.Context,
    integration: Annotated[
        str,
        typer.Option(
            "--integration",
            metavar="NAME|ID",
            help="The integration to ask about.",
            show_default=False,
            autocompletion=offered_integrations,
        ),
    ],
    flow: Annotated[
        str | None,
        typer.Option("--flow", metavar="NAME|ID", help="A flow to ask about too.", autocompletion=offered_flows),
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the integration (and the flow) once, and follow it.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="With --run: run the integration once more, and cancel that run.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--report", help="Write the report to this file.")] = None,
) -> None:
    """Compare a live CloudWorks with what Autoload assumes of it, and write a report that shows no names.

    Asks what Autoload relies on and what could not be checked without a tenant: the fields of the answers, statuses,
    pages and clocks, and what a run looks like from its start to its end. Changes nothing unless --run is given. Use a
    test integration: --run loads the file that its key holds, and --cancel cancels a load.

    The report is Markdown. It shows kinds of values (time, whole number), statuses and names of JSON fields, and no
    name, id, text or secret, so that it can be published.

    Exit codes: 0 nothing differs, 1 something differs. Keys with --json: about, what, assumed, found, verdict (agrees,
    differs, new or unknown), matters.

    Examples:

        anaplan-autoload probe --integration Accounts --stack autoload

        anaplan-autoload probe --integration Accounts --flow Nightly --run --report probe.md
    """
    cli = cli_of(context)
    if cancel and not run:
        raise CommandFailed("--cancel needs a run to cancel.", remedy="Add --run.")
    if file is not None and file.exists():
        raise CommandFailed(f"{file} exists already.", remedy="Give --report another name.")
    asker = Asker(cli)
    asker.choose_scheme()
    subject = _subject(asker, integration, flow)
    if run:
        cli.out.confirm(_question(integration, flow, cancel))
    facts, interrupted = _asked(cli, asker, subject, run=run, cancel=cancel)
    setting = report.Setting(report.host_of(asker.cloudworks_url), subject.kind, asker.is_oauth, run, cancel)
    _show(cli, facts, report.markdown(facts, setting), file)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(fact.verdict == "differs" for fact in facts):
        raise CommandFailed(
            f"CloudWorks differs from what Autoload assumes: {report.counts(facts)}.",
            remedy="Open an issue with the report. Until it is answered, load into a test workspace only.",
        )


def _question(integration: str, flow: str | None, cancel: bool) -> str:
    flow_too = f", then flow {flow!r}" if flow else ""
    again = ", then the integration once more, to cancel that run" if cancel else ""
    return (
        f"Run integration {integration!r} now{flow_too}{again}? A run loads the file that is there. If it ends within "
        "a second, it is run twice."
    )


def _asked(cli: Cli, asker: Asker, subject: Subject, *, run: bool, cancel: bool) -> tuple[list[Fact], bool]:
    """The facts, and whether Ctrl-C ended the questions; what was found before is kept."""
    facts: list[Fact] = []
    with cli.out.progress("Asking CloudWorks") as line:
        try:
            for fact in _all(asker, subject, line.update, run=run, cancel=cancel):
                facts.append(fact)
                line.update(f"Asking CloudWorks: {fact.about}")
        except KeyboardInterrupt:
            facts.append(unknown("the probe", "the other questions", "", "interrupted; a run that has begun continues"))
            return facts, True
    return facts, False


def _all(asker: Asker, subject: Subject, say: live.Say, *, run: bool, cancel: bool) -> Iterator[Fact]:
    yield from read_only(asker, subject)
    if not run:
        yield unknown(live.POST_RUN, "a run from start to end", "see --run", _ASK_RUN)
    else:
        yield from guarded(live.POST_RUN, partial(live.one_run, subject=subject, say=say), asker)
        if subject.flow_id is not None:
            once: Callable[[Asker], Iterator[Fact]] = partial(live.one_flow_run, flow_id=subject.flow_id, say=say)
            yield from guarded(live.POST_FLOW, once, asker)
    if not cancel:
        yield unknown(live.POST_CANCEL, "cancelling", "see --cancel", _ASK_CANCEL)
    else:
        yield from guarded(live.POST_CANCEL, partial(live.one_cancellation, subject=subject, say=say), asker)


def _show(cli: Cli, facts: list[Fact], text: str, file: Path | None) -> None:
    if cli.out.as_json:
        cli.out.rows([msgspec.to_builtins(fact) for fact in facts], ())
    else:
        cli.out.rows(report.rows(facts), report.COLUMNS)
    if file is not None:
        file.write_text(text, encoding="utf-8")
        cli.out.done(f"The report is in {file}. It holds no names and no secrets, and can be published.")
    elif not cli.out.as_json:
        cli.out.text(f"\n{text}")
    cli.out.hint(f"{report.counts(facts)}.".capitalize())


# Finding what is asked about. The client's own reading is not used: it may be what differs.


def _subject(asker: Asker, integration: str, flow: str | None) -> Subject:
    integration_id = _id(asker, "/integrations", "integrations", "integrationId", integration)
    flow_id = _id(asker, "/integrationflows", "integrationFlows", "id", flow) if flow else None
    shown = json_of(asker.get(f"/integrations/{part(integration_id)}"))
    process = next(values(shown, "integration.processId"), None)
    named = str(next(values(shown, "integration.integrationType"), "")).lower()
    kind = "process" if isinstance(process, str) else named if named in ("import", "export", "process") else "unknown"
    return Subject(integration_id, kind, flow_id)


def _id(asker: Asker, path: str, listed: str, key: str, wanted: str) -> str:
    """The id of what is named; raises `CommandFailed` where it is not visible."""
    if _ID.fullmatch(wanted):
        return wanted
    offset = 0
    for _page in range(_MOST_PAGES):
        answer = asker.get(path, offset=offset, limit=PAGE)
        if not answer.ok:
            raise CommandFailed(
                f"CloudWorks does not list {listed}: {answer.status}.",
                remedy=f"Name it by its id, 32 digits and letters. See: {_LISTS[listed]}.",
            )
        items = [each for each in values(json_of(answer), f"{listed}[]") if isinstance(each, dict)]
        if found := next((each[key] for each in items if each.get("name") == wanted and key in each), None):
            return str(found)
        if not items:
            break
        offset += len(items)
    raise CommandFailed(f"No {_KINDS[listed]} {wanted!r} is visible to you.", remedy=f"See: {_LISTS[listed]}.")


_LISTS = {
    "integrations": "anaplan-autoload integrations list",
    "integrationFlows": "anaplan-autoload flows list",
}
_KINDS = {"integrations": "integration", "integrationFlows": "flow"}
