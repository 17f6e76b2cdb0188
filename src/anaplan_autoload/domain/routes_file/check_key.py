"""The `check` key: what a file must be like to be loaded. `PARTS`, at the end, lists its parts."""

from __future__ import annotations

import re

from anaplan_autoload.domain.contents import ENCODINGS, encoding_named, is_listable
from anaplan_autoload.domain.routes_file.mistakes import Mistake, kind, quote
from anaplan_autoload.domain.routes_file.values import (
    Check,
    WrongValue,
    checked_within,
    item_text,
    items,
    text_of,
    whole_number,
)

MAX_MIN_ROWS = 10_000_000
"""The most `min_rows`. No file whose rows are counted (see `contents.WHOLE_BYTES`) has more."""
MAX_COLUMN_CHARACTERS = 10_000
"""The most characters in all column names of a `check`, because the route is stored with every upload."""

_PER_CENT = re.compile(r"([0-9]{1,3}) ?%")
_HUNDRED = 100
_CHECK_EXAMPLE = 'check = { columns = ["Code", "Name"] }'


def check(value: object) -> dict[str, object]:
    """The value of `check`, ready to be converted to `contents.Check`. Raises `WrongValue`."""
    if not isinstance(value, dict):
        raise WrongValue(f"is {kind(value)}, not a table", f"Write it in braces: {_CHECK_EXAMPLE}.")
    if not value:
        raise WrongValue("is empty", f"Say what a file must be like, as in {_CHECK_EXAMPLE}, or leave it out.")
    values, wrong = checked_within(value, PARTS)
    if isinstance(columns := values.get("columns"), dict):
        del values["columns"]
        values |= columns
    wrong += _unlistable(values)
    if wrong:
        raise WrongValue(parts=wrong)
    return values


def _unlistable(values: dict[str, object]) -> list[Mistake]:
    """Column names with the delimiter in them: mostly several names that were written as one."""
    delimiter, found = values.get("delimiter", ","), values.get("columns") or values.get("required")
    if not isinstance(delimiter, str) or not isinstance(found, list):
        return []
    return [
        Mistake(
            f"columns contains {quote(name)}, which contains the delimiter {quote(delimiter)}",
            "Write each name by itself; if the file has such a name in quotation marks, list the other columns as "
            "{ required = […] }.",
        )
        for name in found
        if not is_listable(name, delimiter)
    ]


def _columns(value: object) -> list[str] | dict[str, object]:
    """All columns as a list, or those that must be there as `{"required": [...]}`."""
    if not isinstance(value, dict):
        return _column_names(value)
    if not value:
        raise WrongValue("is empty", 'Write { required = ["Code", "Name"] }.')
    values, wrong = checked_within(value, {"required": _column_names})
    if wrong:
        raise WrongValue(parts=wrong)
    return values


def _column_names(value: object) -> list[str]:
    example = '["Code", "Name"]'
    names = [item_text(each, "name", example) for each in items(value, example)]
    if not names:
        raise WrongValue("is empty", 'Name the columns, as in ["Code", "Name"], or leave it out.')
    if not all(name.strip() for name in names):
        raise WrongValue(
            "contains an empty name",
            "Write the name; if the file has a column without one, list the others as { required = […] }.",
        )
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        raise WrongValue(
            f"contains {quote(twice)} twice",
            "Name each column once; if the file has two of that name, list the columns as { required = […] }.",
        )
    if sum(map(len, names)) > MAX_COLUMN_CHARACTERS:
        raise WrongValue(
            f"has more than {MAX_COLUMN_CHARACTERS:,} characters in all",
            "List the most important columns as { required = […] }.",
        )
    return names


def _delimiter(value: object) -> str:
    text = text_of(value)
    if len(text) != 1:
        raise WrongValue(
            f"{quote(text)} is not one character", 'Write the character itself, such as ";"; a tab is "\\t".'
        )
    if text in '"\r\n' or not (text == "\t" or text.isprintable()):
        raise WrongValue(f"{quote(text)} cannot separate columns", 'Write what does, such as ",", ";", "|" or "\\t".')
    return text


def _encoding(value: object) -> str:
    text = text_of(value)
    if (name := encoding_named(text)) is None:
        raise WrongValue(f"{quote(text)} is not known", f"Known are: {', '.join(ENCODINGS)}.")
    return name


def _min_rows(value: object) -> int:
    return whole_number(value, MAX_MIN_ROWS)


def _shrink(value: object) -> int:
    if not isinstance(value, str):
        raise WrongValue(f"is {kind(value)}", 'Write it as in "50%", in quotes.')
    if not (found := _PER_CENT.fullmatch(value)) or int(found[1]) > _HUNDRED:
        raise WrongValue(f'{quote(value)} is not between "0%" and "100%"', 'Write it as in "50%", without a fraction.')
    return int(found[1])


PARTS: dict[str, Check] = {
    "columns": _columns,
    "delimiter": _delimiter,
    "encoding": _encoding,
    "min_rows": _min_rows,
    "shrink": _shrink,
}
