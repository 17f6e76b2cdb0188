"""Which module may import which: `docs/architecture.md` draws it, and this holds it to the sources.

Every import counts: those within functions, and those under `TYPE_CHECKING`.
"""

from __future__ import annotations

import ast
from collections import deque
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION, COMMAND_LINE = "anaplan_autoload", "anaplan_autoload_cli"
LAYERS = (
    ("handler",),
    ("steps", "page"),
    ("operations",),
    ("aws",),
    ("anaplan", "report"),
    ("domain",),
)
"""Of the function, from the top. A layer imports itself and those below; parts of one layer do not know each other."""
PURE = [
    "__future__",
    "codecs",
    "collections",
    "csv",
    "datetime",
    "difflib",
    "fnmatch",
    "functools",
    "hashlib",
    "io",
    "itertools",
    "math",
    "msgspec",
    "re",
    "statistics",
    "tomllib",
    "typing",
    "unicodedata",
    "urllib.parse",
    "zoneinfo",
]
"""What `domain/` may import apart from itself: nothing that uses a clock, random numbers, the network or AWS."""
READS_A_FILE = (f"{FUNCTION}.domain.routes_file.parsing", "pathlib")
"""The one exception: `load` reads `routes.toml` from the package."""
FOLDERS = ("src", "local", "tests")


@cache
def modules() -> dict[str, Path]:
    """All modules of ours: their names and files."""
    found = {}
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT / "src" if folder == "src" else ROOT).with_suffix("")
            found[".".join(path.parts).removesuffix(".__init__")] = file
    return found


@cache
def imported() -> dict[str, set[str]]:
    """Every module's imports, by the module's name: ours as module names, others as they are written."""
    return {name: imports_of(file.read_text(), set(modules())) for name, file in modules().items()}


def imports_of(source: str, ours: set[str]) -> set[str]:
    """What a source imports; `from package import module` is an import of that module, not of its package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute here"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & ours
            if names - ours:
                found.add(node.module)
    return found


def within(name: str, package: str) -> bool:
    """Whether a module is this package or lies in it."""
    return name == package or name.startswith(f"{package}.")


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The names of one circle of imports, from a module back to itself; empty where there is none."""
    for start in graph:
        came_from = {start: ""}
        queue = deque([start])
        while queue:
            at = queue.popleft()
            for name in graph[at] & graph.keys():
                if name == start:
                    way = [start, at]
                    while way[-1] != start:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if name not in came_from:
                    came_from[name] = at
                    queue.append(name)
    return []


@pytest.mark.parametrize("depth", range(len(LAYERS)), ids=[" and ".join(layer) for layer in LAYERS])
def test_the_function_imports_downwards(depth: int) -> None:
    below = {part for layer in LAYERS[depth + 1 :] for part in layer}
    wrong = []
    for part in LAYERS[depth]:
        allowed = [f"{FUNCTION}.{each}" for each in {part} | below]
        for name, found in imported().items():
            if within(name, f"{FUNCTION}.{part}"):
                ours = {each for each in found if within(each, FUNCTION)}
                wrong += [f"{name} imports {each}" for each in ours if not any(within(each, one) for one in allowed)]
    assert wrong == []


def test_every_module_of_the_function_is_in_a_layer() -> None:
    parts = {name.split(".")[1] for name in modules() if name.startswith(f"{FUNCTION}.")}
    assert parts == {part for layer in LAYERS for part in layer}


def test_the_domain_does_no_io() -> None:
    wrong = [
        f"{name} imports {each}"
        for name, found in imported().items()
        for each in found
        if within(name, f"{FUNCTION}.domain")
        and not any(within(each, one) for one in [*PURE, FUNCTION])
        and (name, each) != READS_A_FILE
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "package, foreign",
    [
        (FUNCTION, [COMMAND_LINE, "local", "tests"]),
        (COMMAND_LINE, [f"{FUNCTION}.handler", f"{FUNCTION}.steps", "local", "tests"]),
        ("local", [COMMAND_LINE, "tests"]),
    ],
    ids=["function", "command line", "local"],
)
def test_a_package_does_not_know_who_uses_it(package: str, foreign: list[str]) -> None:
    wrong = [
        f"{name} imports {each}"
        for name, found in imported().items()
        for each in found
        if within(name, package) and any(within(each, one) for one in foreign)
    ]
    assert wrong == []


def test_no_imports_go_round_in_circles() -> None:
    assert circle(imported()) == []


@pytest.mark.parametrize(
    "graph, found",
    [
        pytest.param({"a": {"b"}, "b": {"c"}, "c": set()}, [], id="a chain"),
        pytest.param({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"os"}}, [], id="two ways to one module"),
        pytest.param({"a": {"b"}, "b": {"a"}}, ["a", "b", "a"], id="two modules"),
        pytest.param({"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}, ["a", "b", "c", "a"], id="three of four"),
    ],
)
def test_a_circle_is_found(graph: dict[str, set[str]], found: list[str]) -> None:
    assert circle(graph) == found


@pytest.mark.parametrize(
    "source, found",
    [
        pytest.param("import a.b", {"a.b"}, id="import"),
        pytest.param("from a import b", {"a.b"}, id="a module from its package"),
        pytest.param("from a.b import Thing", {"a.b"}, id="a name from a module"),
        pytest.param("from a import b, Thing", {"a", "a.b"}, id="both"),
        pytest.param("def f():\n    from a import b", {"a.b"}, id="within a function"),
        pytest.param("if TYPE_CHECKING:\n    from a import b", {"a.b"}, id="for the type checker"),
    ],
)
def test_every_import_counts(source: str, found: set[str]) -> None:
    assert imports_of(source, {"a", "a.b"}) == found
