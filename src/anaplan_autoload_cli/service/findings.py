"""The findings of checks: one line each, with a remedy if something is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from anaplan_autoload_cli.output import Column, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anaplan_autoload_cli.output import Output

Status = Literal["ok", "warning", "failed", "skipped"]

COLUMNS = (
    Column("status", "Status"),
    Column("about", "About"),
    Column("what", "Found", fold=True),
    Column("remedy", "To do", fold=True),
)


class Finding(Struct, frozen=True):
    """What a check found."""

    status: Status
    """`failed`: uploads are not loaded, or not as intended. `warning`: they are, but with a flaw: nobody is told, for
    example.
    `skipped`: the check could not run, so nothing is known."""
    about: str
    what: str
    """One sentence without its full stop."""
    remedy: str | None = None


def ok(about: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", about, what)


def warning(about: str, what: str, remedy: str) -> Finding:
    """It works, but something is missing."""
    return Finding("warning", about, what, remedy)


def failed(about: str, what: str, remedy: str) -> Finding:
    """Uploads are not loaded because of it."""
    return Finding("failed", about, what, remedy)


def skipped(about: str, why: str, remedy: str | None = None) -> Finding:
    """The check could not run."""
    return Finding("skipped", about, why, remedy)


def show(out: Output, findings: Sequence[Finding]) -> None:
    """Print the findings; raises `CommandFailed` when any has failed."""
    out.rows([msgspec.to_builtins(finding) for finding in findings], COLUMNS)
    count = {status: sum(finding.status == status for finding in findings) for status in ("failed", "skipped")}
    if count["skipped"]:
        out.hint(f"{count['skipped']} of {len(findings)} checks could not run, so their results are unknown.")
    if count["failed"]:
        raise CommandFailed(f"{count['failed']} of {len(findings)} checks failed; each names its remedy.")
