"""JSON that is almost right: one place of a good document replaced, removed, or cut off."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

ODD_TEXTS = (
    "",
    " ",
    "null",
    "..",
    "../../x",
    "a/b",
    "%00",
    "a\nb\r\nc",
    "\u202egnp.exe",
    "é" * 300,
    "\ud800",
    "\uffff",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "x" * 20_000,
)
ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308)
REMOVED = object()


def junk() -> st.SearchStrategy[Any]:
    """Any JSON value, more often than not of a kind that breaks something."""
    odd: st.SearchStrategy[Any] = st.sampled_from(
        [*ODD_TEXTS, *ODD_NUMBERS, None, True, False, [], {}, [[]], [{}], {"": ""}]
    )
    return st.one_of(odd, st.text(max_size=30), st.integers(), st.lists(st.integers(), max_size=3))


def places(document: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in a document, the whole of it first."""
    yield at
    entries = document.items() if isinstance(document, dict) else enumerate(document) if _is_list(document) else ()
    for name, value in entries:
        yield from places(value, (*at, name))


def replaced(document: Any, place: Path, value: Any) -> Any:
    """A copy with another value there, or without anything where the value is `REMOVED`."""
    if not place:
        return None if value is REMOVED else value
    changed = copy.deepcopy(document)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    if value is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three places changed."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(places(document))))
        document = replaced(document, place, draw(st.one_of(st.just(REMOVED), junk())))
    return document


def spoiled(body: bytes, data: st.DataObject) -> bytes:
    """An answer's body, cut off, changed in places, or replaced by something else entirely."""
    kind = data.draw(st.sampled_from(["changed", "cut", "other"]))
    if kind == "cut" and body:
        return body[: data.draw(st.integers(0, len(body) - 1))]
    if kind == "changed":
        try:
            return json.dumps(data.draw(mutated(json.loads(body)))).encode("utf-8", "surrogatepass")
        except ValueError:
            pass  # no JSON, such as a dump of rejected rows
    return data.draw(st.sampled_from(OTHER_BODIES))


OTHER_BODIES = (
    b"",
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"{",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"run":' * 50_000,
    b'{"run": NaN}',
    b"<html><head><title>502 Bad Gateway</title></head></html>",
    b'{"status": {"code": 200, "message": "Success"}}',
    b"Code,Name\r\n=1+1,x\r\n",
)


def _is_list(document: object) -> bool:
    return isinstance(document, list)
