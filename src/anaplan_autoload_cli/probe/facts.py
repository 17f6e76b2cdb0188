"""What a probe found: facts, and how an answer's fields are compared with the assumptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from anaplan_autoload_cli.probe.kinds import ABSENT, fits, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Verdict = Literal["agrees", "differs", "new", "unknown"]

_FIELD_NAME = re.compile(r"[A-Za-z_]{1,40}")
"""Field names that may be shown. Any other may be a key that contains a name from the tenant."""


class Fact(Struct, frozen=True):
    """One question, what the code assumes, and what CloudWorks showed. Contains no values from the tenant."""

    about: str
    """The request: `GET /integrations/run/{runId}`."""
    what: str
    """The field, such as `run.endDate`, or the question in words."""
    assumed: str
    found: str
    verdict: Verdict
    """`differs`: not as assumed. `new`: something that the code does not know and ignores. `unknown`: not answered."""
    matters: str = ""
    """What Autoload does wrong if it differs."""


class Field(Struct, frozen=True):
    """One field of an answer, and the kinds of value that are assumed."""

    path: str
    """`run.endDate`; `[]` after a list's name stands for each of its items."""
    kinds: tuple[str, ...]
    matters: str = ""


class Shape(Struct, frozen=True):
    """What is assumed of one answer's JSON."""

    fields: tuple[Field, ...]
    also: tuple[str, ...] = ()
    """Paths of fields that are known but not used, so their kinds do not matter."""


def judged(about: str, what: str, assumed: str, found: str, is_so: bool, matters: str) -> Fact:
    """A question with the answer yes or no."""
    return Fact(about, what, assumed, found, "agrees" if is_so else "differs", matters)


def new(about: str, what: str, assumed: str, found: str) -> Fact:
    """Something that the code does not know and ignores."""
    return Fact(about, what, assumed, found, "new")


def unknown(about: str, what: str, assumed: str, why: str) -> Fact:
    """The question could not be asked, or the answer did not show it."""
    return Fact(about, what, assumed, why, "unknown")


def compared(about: str, shape: Shape, documents: Sequence[object]) -> Iterator[Fact]:
    """A fact for each field of the shape, and one fact for all fields that are not in it.

    Fields below a missing field are left out, because the fact about the missing field covers them.
    """
    for field in shape.fields:
        found = [kind_of(value) for document in documents for value in values(document, field.path)]
        if found:
            yield _about_field(about, field, list(dict.fromkeys(found)))
    yield from _surplus(about, shape, documents)


def values(document: object, path: str) -> Iterator[object]:
    """The values at a path: none if the parent is missing, `ABSENT` if only the field itself is."""
    found: list[object] = [document]
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = [each.get(name, ABSENT) for each in found if isinstance(each, dict)]
        if part != name:
            found = [item for each in found for item in _items(each)]
    return iter(found)


def _items(value: object) -> list[object]:
    """A list's items. CloudWorks also shows a single item without the list, and an empty list as an empty object."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) and value else []


def _about_field(about: str, field: Field, found: list[str]) -> Fact:
    wrong = [kind for kind in found if not fits(kind, field.kinds)]
    return judged(about, field.path, " or ".join(field.kinds), ", ".join(found), not wrong, field.matters)


def _surplus(about: str, shape: Shape, documents: Sequence[object]) -> Iterator[Fact]:
    known = {each for field in shape.fields for each in _with_ancestors(field.path)}
    known |= {each for path in shape.also for each in _with_ancestors(path)}
    parents = {path.rpartition(".")[0] for path in (*shape.also, *(field.path for field in shape.fields))}
    for parent in sorted(parents):
        names = {name for document in documents for name in _names(document, parent)}
        dot = f"{parent}." if parent else ""
        more = sorted(name for name in names if f"{dot}{name}" not in known)
        if more:
            yield new(about, f"more fields in {parent or 'the answer'}", "none", _shown(more))


def _with_ancestors(path: str) -> Iterator[str]:
    """`a.b[].c`, `a.b`, `a`."""
    while path:
        yield path.removesuffix("[]")
        path = path.rpartition(".")[0]


def _names(document: object, parent: str) -> Iterable[str]:
    found = values(document, parent) if parent else iter([document])
    return [str(name) for each in found if isinstance(each, dict) for name in each]


def _shown(names: list[str]) -> str:
    shown = [name for name in names if _FIELD_NAME.fullmatch(name)]
    hidden = len(names) - len(shown)
    return ", ".join([*shown, *([f"{hidden} whose names are not shown"] if hidden else [])])
