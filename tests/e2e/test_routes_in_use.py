"""Which routes are in use: those edited on a laptop, and those deployed, seen from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.aws.console import KEPT, EditedRoutes
from local.aws.stack import STACK_NAME, Stack
from tests.command_line import Said, run


@pytest.mark.parametrize("broken", ["[[route]", '[[route]]\nname = "x"\n', ""])
def test_an_edited_routes_file_is_pushed_if_it_has_no_mistakes(stack: Stack, broken: str) -> None:
    before = in_use(stack)
    edited = EditedRoutes(stack, before)
    assert edited.look() == []

    edited.path.write_text(broken)
    told = edited.look()
    assert told[-1].strip() == KEPT and str(edited.path) in told[0]
    assert in_use(stack) == before and edited.look() == []

    changed = before.replace('name = "sales"', 'name = "revenue"')
    edited.path.write_text(changed)
    assert edited.look()[0].endswith("in use within 30 seconds: accounts, revenue")
    assert in_use(stack) == changed

    edited.path.unlink()
    assert edited.look()[-1].strip() == KEPT
    edited.path.write_text(before)
    edited.look()
    assert in_use(stack) == before


def in_use(stack: Stack) -> str:
    current = stack.store.current()
    assert current is not None
    return current.text


def test_commands_work_outside_the_project_with_the_routes_in_use(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROUTES_FILE", raising=False)

    def asked(*words: str) -> Said:
        return run(*words, "--stack", STACK_NAME, environment=stack.aws.environment)

    lanes = asked("status", "--json")
    assert lanes.code == 0, lanes.err
    assert [lane["routes"] for lane in lanes.json] == [["accounts"], ["sales"]]
    assert "Routes: version " in lanes.err and " in the ledger, pushed " in lanes.err
    assert asked("routes", "match", "incoming/sales/a.csv", "--json").json["route"] == "sales"
    assert "(accounts, sales)" in asked("doctor").out
