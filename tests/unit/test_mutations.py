"""Every deliberate fault of `tests/mutations.py` still has its place; whether it is caught, `make mutations` tells."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, PACKAGE, ROOT, Edit, Mutation, mutated

SOURCE = """
LIMIT = 5

class Door:
    def open(self, key):
        if key:  # a comment
            self.turn(key, 'left')
            return True
        return True

    def close(self):
        self.turn(None, "right")
"""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_has_its_place(mutation: Mutation, tmp_path: Path) -> None:
    for edit in mutation.edits:
        file = tmp_path / edit.file
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text((ROOT / "src" / PACKAGE / edit.file).read_text())
        before = file.read_text()
        file.write_text(mutated(before, edit))
        assert ast.unparse(ast.parse(before)) != file.read_text()
        compile(file.read_text(), edit.file, "exec")


@pytest.mark.parametrize(
    "scope, found, becomes, stands, gone",
    [
        pytest.param("", "LIMIT = 5", "LIMIT = 6", "LIMIT = 6", "LIMIT = 5", id="a constant"),
        pytest.param("Door.open", 'self.turn( key,\n"left" )', "", "pass", "left", id="a statement, written otherwise"),
        pytest.param("Door.open", "'left'", "'up'", "'up'", "left", id="an expression"),
        pytest.param("Door.open", "if key:\n  self.turn(key, 'left')\n  return True", "", "pass", "left", id="a block"),
        pytest.param("Door.close", "self.turn(None, 'right')", "self.bolt()", "bolt", "right", id="only in its scope"),
    ],
)
def test_an_edit_finds_its_place(scope: str, found: str, becomes: str, stands: str, gone: str) -> None:
    source = mutated(SOURCE, Edit("door.py", scope, found, becomes))
    assert stands in source and gone not in source


@pytest.mark.parametrize(
    "scope, found, words",
    [
        pytest.param("Door.open", "return False", "holds this 0 times", id="nowhere"),
        pytest.param("Door.open", "return True", "holds this 2 times", id="twice"),
        pytest.param("Door.close", "'left'", "holds this 0 times", id="in another function"),
        pytest.param("Door.lock", "'left'", "defines Door.lock 0 times", id="no such function"),
    ],
)
def test_an_edit_without_exactly_one_place_is_refused(scope: str, found: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mutated(SOURCE, Edit("door.py", scope, found, "None"))
