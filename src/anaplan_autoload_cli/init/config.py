"""Writes `.autoload.toml`: the settings of all commands, and `init`'s answers. Its other contents are kept."""

from __future__ import annotations

import re
from difflib import unified_diff
from typing import TYPE_CHECKING

import msgspec

from anaplan_autoload.domain.contents import toml_text
from anaplan_autoload_cli.init.answers import AUTH, CLOUDWORKS
from anaplan_autoload_cli.settings import INSTALL

if TYPE_CHECKING:
    from anaplan_autoload_cli.init.answers import Answers

HEAD = "# Settings of anaplan-autoload in this directory; `anaplan-autoload init` wrote it. It holds no secret.\n"
_TABLE = re.compile(r"^\[", re.M)
_OURS = re.compile(rf"^\[{INSTALL}\][^\n]*\n(?:(?!\[)[^\n]*(?:\n|\Z))*", re.M)


def updated(text: str | None, answers: Answers, stack: str | None = None, profile: str | None = None) -> str:
    """The file with these answers, with the stack's name where there is a stack, and with an AWS profile.

    `text` is None if there is no file yet. The stack's name is only written if the stack exists, because commands would
    look for it.
    """
    named = {name: value for name, value in (("stack", stack), ("profile", profile)) if value}
    settings = {**named, "region": answers.region, **_hosts(answers)}
    kept = _OURS.sub("", text if text is not None else HEAD).rstrip("\n")
    first_table = _TABLE.search(kept)
    end = first_table.start() if first_table else len(kept)
    top, tables = kept[:end].rstrip("\n"), kept[end:].rstrip("\n")
    for name, value in settings.items():
        top = _with(top, name, value)
    install = "\n".join(f"{name} = {toml_text(value)}" for name, value in msgspec.to_builtins(answers).items())
    parts = [top, *([tables] if tables else []), f"[{INSTALL}] # what init was told\n{install}"]
    return "\n\n".join(parts) + "\n"


def difference(before: str, after: str, name: str) -> str:
    """What changes in the file, as `diff -u` shows it."""
    return "\n".join(unified_diff(before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm=""))


def only_adds(before: str, after: str) -> bool:
    """Whether every line of the file is kept."""
    left = after.splitlines()
    return all(line in left for line in before.splitlines())


def _hosts(answers: Answers) -> dict[str, str | None]:
    """Anaplan's hosts if they are not the usual ones; None removes what an earlier answer wrote."""
    return {
        "auth_url": answers.auth_url if answers.auth_url != AUTH else None,
        "cloudworks_url": answers.cloudworks_url if answers.cloudworks_url != CLOUDWORKS else None,
    }


def _with(text: str, name: str, value: str | None) -> str:
    """The top of a TOML file with a key set, or without it."""
    line = re.compile(rf"^{name}[ \t]*=[^\n]*(\n|\Z)", re.M)
    if value is None:
        return line.sub("", text).rstrip("\n")
    setting = f"{name} = {toml_text(value)}"
    if line.search(text):
        return line.sub(lambda match: setting + match[1], text)
    return f"{text}\n{setting}" if text else setting
