"""What a user asks of the page: a view of the history, or an act."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Literal, get_args

import msgspec
from msgspec import Struct

from anaplan_autoload.domain.outcomes import Ending
from anaplan_autoload.operations.failed import OperationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOMES: tuple[str, ...] = get_args(Ending)
NOT_LOADED = "not loaded"
"""Stands for every outcome except loaded."""
ROWS = (100, 1000)
"""How many loads one page shows."""
LONGEST = 1100
"""Most characters of a field: a key has at most 1,024 bytes."""


class View(Struct, frozen=True, omit_defaults=True):
    """A page of the history, one load, or one upload. A field that is not asked for is empty."""

    route: str = ""
    outcome: str = ""
    """One of `OUTCOMES`, or `NOT_LOADED`."""
    key: str = ""
    """A part of the key, in upper or lower case."""
    since: str = ""
    """`2026-11-24`; this day and the next one included, in UTC."""
    until: str = ""
    older: str = ""
    """The sort key of the last load on the previous page: this page starts after it."""
    rows: int = ROWS[0]
    lane: str = ""
    """With `run` or `upload`."""
    run: str = ""
    """The sort key of a load without `run#`."""
    upload: str = ""
    """The id of an upload."""

    @property
    def filtered(self) -> bool:
        """Whether some loads are left out."""
        return bool(self.route or self.outcome or self.key or self.since or self.until)


class Act(Struct, frozen=True, omit_defaults=True):
    """An action that a user asks for."""

    do: Literal["retry", "load", "pause", "resume"]
    lane: str
    run: str = ""
    """With `retry`; as in `View`."""
    upload: str = ""
    """With `load`."""
    request: str = ""
    """With `load`: the request's id, made with the button, so that a button that is used twice loads once."""


def view_of(fields: Mapping[str, object]) -> View:
    """The view that a form, an address or an event names; raises `OperationFailed` if a field is invalid.

    Fields that do not belong to a view are ignored.
    """
    texts = {name: _text(name, value) for name, value in fields.items() if name in View.__struct_fields__}
    rows = texts.pop("rows", "") or str(ROWS[0])
    if rows not in map(str, ROWS):
        raise OperationFailed(f"{rows!r} rows cannot be shown.", remedy=f"Ask for {ROWS[0]} or {ROWS[1]}.")
    view = View(**texts, rows=int(rows))
    if view.outcome not in ("", NOT_LOADED, *OUTCOMES):
        raise OperationFailed(f"{view.outcome!r} is not an outcome.", remedy=f"They are: {', '.join(OUTCOMES)}.")
    for day in (view.since, view.until):
        _check_day(day)
    return view


def act_of(fields: Mapping[str, object]) -> Act:
    """The act that a form or an event names; raises `OperationFailed` if it is invalid."""
    texts = {name: _text(name, value) for name, value in fields.items() if name in Act.__struct_fields__}
    try:
        act = msgspec.convert(texts, Act)
    except msgspec.ValidationError as error:
        raise OperationFailed(f"This action is not known: {error}.") from None
    if act.do == "load" and not re.fullmatch(r"[0-9a-f]{32}", act.request):
        raise OperationFailed(
            "A load needs the id of its request.", remedy="Open the upload again, and use its button."
        )
    return act


def fields_of(asked: View | Act) -> dict[str, str]:
    """The fields from which `view_of` or `act_of` makes the same value again."""
    return {name: str(value) for name, value in msgspec.to_builtins(asked).items()}


def _text(name: str, value: object) -> str:
    text = str(value).strip()
    if len(text) > LONGEST:
        raise OperationFailed(f"The field {name} has {len(text)} characters; it may have {LONGEST}.")
    return text


def _check_day(day: str) -> None:
    try:
        usual = not day or date.fromisoformat(day).isoformat() == day  # 20261124 would not sort like this form
    except ValueError:
        usual = False
    if not usual:
        raise OperationFailed(f"{day!r} is not a day.", remedy="Write it as 2026-11-24.")
