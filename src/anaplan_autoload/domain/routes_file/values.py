"""What several keys share: reading a table, and kinds of values, such as durations and keys in S3."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from anaplan_autoload.domain.routes_file.mistakes import Mistake, kind, quote, unknown_key

KEY_BYTES = 1024
"""The longest key, S3's own limit."""
_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_UNIT_SECONDS = (86_400, 3_600, 60, 1)

Check = Callable[[object], object]
"""From a value as TOML gives it to the one that `Route` holds. Raises `WrongValue`."""


class WrongValue(Exception):
    """A value that cannot be used. Each reason is what follows the key's name: `is too long`."""

    def __init__(self, reason: str = "", remedy: str = "", *, parts: Sequence[Mistake] = ()) -> None:
        super().__init__(reason)
        self.mistakes = parts or (Mistake(reason, remedy),)

    def about(self, key: str, value: object) -> list[Mistake]:
        """The mistakes, as those of a key."""
        return [replace(mistake, reason=f"{key} {mistake.reason}", key=key, value=value) for mistake in self.mistakes]


def checked(table: dict[str, object], checks: dict[str, Check]) -> tuple[dict[str, object], list[Mistake]]:
    """The valid values of a table, and the mistakes in the others; `checks` has one for each key that exists."""
    values: dict[str, object] = {}
    wrong: list[Mistake] = []
    for key, value in table.items():
        if key not in checks:
            wrong.append(unknown_key(key, checks))
            continue
        try:
            values[key] = checks[key](value)
        except WrongValue as error:
            wrong += error.about(key, value)
    return values, wrong


def checked_within(table: dict[str, object], checks: dict[str, Check]) -> tuple[dict[str, object], list[Mistake]]:
    """The same of a table that is a key's value: its mistakes follow the key's name."""
    values, wrong = checked(table, checks)
    return values, [
        replace(each, reason=f"has the {each.reason}") if each.key not in checks else each for each in wrong
    ]


def text_of(value: object) -> str:
    """Text."""
    if not isinstance(value, str):
        raise WrongValue(f"is {kind(value)}, not text", 'Write it in double quotes: "…".')
    return value


def key_part(value: object) -> str:
    """Text that is no longer than a key in S3 can be."""
    text = text_of(value)
    if len(text.encode(errors="surrogatepass")) > KEY_BYTES:
        raise WrongValue(f"is longer than {KEY_BYTES} bytes, the limit for keys in S3", "Shorten it.")
    return text


def key_start(value: object) -> str:
    """How a key in S3 begins, or all of it."""
    text = key_part(value)
    if text.startswith(("/", "s3://")):
        raise WrongValue(f"{quote(text)} begins with a slash or s3://, but keys in S3 do not", "Write the key only.")
    return text


def items(value: object, example: str) -> list[object]:
    """A list, as in the example: `["a", "b"]`."""
    if not isinstance(value, list):
        raise WrongValue(f"is {kind(value)}, not a list", f"Write it in brackets: {example}.")
    return value


def item_text(value: object, what: str, example: str) -> str:
    """Text in such a list; `what` says what an item is."""
    if not isinstance(value, str):
        raise WrongValue(f"contains {kind(value)}, not text", f"Write each {what} in double quotes: {example}.")
    return value


def whole_number(value: object, most: int) -> int:
    """A number from 0 to `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongValue(f"is {kind(value)}", f"Write a number from 0 to {most}, without quotes.")
    if not 0 <= value <= most:
        raise WrongValue(f"is not between 0 and {most}", f"Write a number from 0 to {most}.")
    return value


def seconds(value: object) -> int:
    """`"1h30m"` in seconds: days, hours, minutes, seconds, in this order, each at most once."""
    text = value if isinstance(value, str) else ""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        what = f"{quote(text)} is not a duration" if isinstance(value, str) else f"is {kind(value)}"
        raise WrongValue(what, 'Write it as in "30s", "2h" or "1h30m", in quotes.')
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNIT_SECONDS, strict=True))
