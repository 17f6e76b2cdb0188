"""The documentation says what is so: the help of the commands, the files and the anchors that it points to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anaplan_autoload_cli.app import COMMANDS
from docs.generate import COLUMNS, PAGE, page

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.fixture
def help_page(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_PROFILE", "somebody-elses")  # help is the same whatever is set
    return page()


def test_the_help_in_the_docs_is_what_the_commands_print(help_page: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == help_page, (
        "docs/cli.md is not what the commands print; write it anew with: .venv/bin/python -m docs.generate"
    )


def test_the_help_in_the_docs_has_every_command_and_fits_a_page(help_page: str) -> None:
    assert [entry.name for entry in COMMANDS if f"\n### {entry.name}\n" not in help_page] == []
    assert [line for block in FENCED.findall(help_page) for line in block.splitlines() if len(line) > COLUMNS] == []
    assert "\x1b" not in help_page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(path: Path) -> None:
    broken = [
        match[0]
        for match in LINK.finditer(FENCED.sub("", path.read_text(encoding="utf-8")))
        if "://" not in match[1] and not leads_somewhere(path, match[1], match[2])
    ]
    assert broken == []


def leads_somewhere(page: Path, file: str, anchor: str | None) -> bool:
    target = page.parent / file if file else page
    if anchor is None or not target.is_file():
        return target.exists()
    return anchor in anchors(target.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """The names that headings get: small letters, dashes for blanks, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
