"""A probe's facts as a table for people, and as Markdown for an issue."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from anaplan_autoload_cli.output import Column
from anaplan_autoload_cli.probe.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


COLUMNS = (
    Column("verdict", "Verdict"),
    Column("about", "Request", fold=True),
    Column("what", "Question", fold=True),
    Column("assumed", "Assumed", fold=True),
    Column("found", "Found", fold=True),
)
VERDICTS = ("differs", "new", "unknown", "agrees")
ANAPLAN = ".anaplan.com"


class Setting(Struct, frozen=True):
    """How the report was made."""

    host: str
    """The host of CloudWorks, or `another host` if it is not Anaplan's own."""
    kind: str
    is_oauth: bool
    """Whether the log-in used OAuth, and not a password or a certificate."""
    ran: bool
    """Whether the integration was run."""
    cancelled: bool


def host_of(url: str) -> str:
    """The host if it is one of Anaplan's; any other may be a company's own."""
    host = urlsplit(url).hostname or ""
    return host if host.endswith(ANAPLAN) else "another host"


def counts(facts: Iterable[Fact]) -> str:
    """`61 agree, 1 differs, 2 new, 5 unknown`."""
    number = Counter(fact.verdict for fact in facts)
    agree = "agrees" if number["agrees"] == 1 else "agree"
    differ = "differs" if number["differs"] == 1 else "differ"
    return f"{number['agrees']} {agree}, {number['differs']} {differ}, {number['new']} new, {number['unknown']} unknown"


def rows(facts: Sequence[Fact]) -> list[dict[str, object]]:
    """One row per fact, those that need attention last, above the prompt. Fields that agree share a row per request."""
    folded = _folded(facts, lambda fields: f"{len(fields)} as assumed")
    return [_row(fact) for fact in sorted(folded, key=lambda fact: -VERDICTS.index(fact.verdict))]


def markdown(facts: Sequence[Fact], setting: Setting) -> str:
    """The report of all questions, without names, ids and secrets."""
    lines = [
        "## Probe of CloudWorks",
        "",
        f"- Autoload {_version()}, {datetime.now(UTC):%Y-%m-%d}, {setting.host}",
        f"- Log-in: {'OAuth' if setting.is_oauth else 'password or certificate'}. Integration: {setting.kind}.",
        f"- Run: {_yes(setting.ran)}. Cancelled: {_yes(setting.cancelled)}.",
        f"- {counts(facts)}",
        "",
        "| verdict | request | question | assumed | found |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(fact) for fact in _folded(facts, lambda fields: ", ".join(map(_kinds, fields)))]
    differing = [fact for fact in facts if fact.verdict == "differs" and fact.matters]
    if differing:
        lines += ["", "What follows where it differs:", ""]
        lines += [f"- {fact.about}, {fact.what}: {fact.matters}." for fact in differing]
    return "\n".join(lines) + "\n"


def _folded(facts: Sequence[Fact], summary: Callable[[list[Fact]], str]) -> Iterator[Fact]:
    """The facts, those that need attention first; the fields of a request that agree are one fact."""
    for verdict in VERDICTS[:-1]:
        yield from (fact for fact in facts if fact.verdict == verdict)
    agreeing = [fact for fact in facts if fact.verdict == "agrees"]
    for about in dict.fromkeys(fact.about for fact in agreeing):
        of_request = [fact for fact in agreeing if fact.about == about]
        fields = [fact for fact in of_request if " " not in fact.what]
        yield from (fact for fact in of_request if fact not in fields)
        if fields:
            yield Fact(about, "fields", "", summary(fields), "agrees")


def _kinds(fact: Fact) -> str:
    return f"{fact.what}: {fact.found}"


def _row(fact: Fact) -> dict[str, object]:
    found = f"{fact.found}. So {fact.matters}" if fact.verdict == "differs" and fact.matters else fact.found
    return {"verdict": fact.verdict, "about": fact.about, "what": fact.what, "assumed": fact.assumed, "found": found}


def _line(fact: Fact) -> str:
    cells = (fact.verdict, fact.about, fact.what, fact.assumed, fact.found)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _yes(wanted: bool) -> str:
    return "yes" if wanted else "no"


def _version() -> str:
    try:
        return version("anaplan-autoload")
    except PackageNotFoundError:
        return "(a checkout, not installed)"
