"""A mistake in a routes file, and the words that all mistakes share."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from anaplan_autoload.domain.sentences import quoted

_SHOWN_CHARACTERS = 100  # of a value, in a finding


class Mistake(Struct, frozen=True):
    """One mistake in a routes file."""

    reason: str
    """What is wrong: one sentence without its full stop, which names the key and quotes the value."""
    remedy: str
    """What to do, in sentences."""
    key: str | None = None
    """The key that is wrong; None if the mistake is not one key's."""
    value: object = None
    """The key's value, as TOML gives it; None if it has none."""
    route: str | int | None = None
    """The route's name, or its number in the file if it has no usable one; None for the file as a whole."""
    file: str = ""
    """The file's path, or the version's name."""

    @property
    def place(self) -> str:
        """Which route it is about: `route "accounts"` or `route 3`; empty for the file as a whole."""
        if self.route is None:
            return ""
        return f"route {quote(self.route) if isinstance(self.route, str) else self.route}"

    def __str__(self) -> str:
        """`routes.toml: route "accounts": reason. Remedy.`"""
        return ": ".join(part for part in (self.file, self.place, f"{self.reason}. {self.remedy}") if part)


class RoutesInvalid(ValueError):
    """A routes file that cannot be used. Its text has one line for each mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def unknown_key(key: str, known: Iterable[str]) -> Mistake:
    """A key that does not exist, and which of the known ones was probably meant."""
    return Mistake(f"unknown key {quote(key)}", meant(key, known), key)


def meant(text: str, known: Iterable[str]) -> str:
    """The remedy for an unknown word: which of the known ones was probably meant, or what they are."""
    from difflib import get_close_matches  # imported here because only mistakes need it

    nearest = get_close_matches(text.casefold(), known, n=1)
    return f"Did you mean {quote(nearest[0])}?" if nearest else f"Known are: {', '.join(known)}."


def kind(value: object) -> str:
    """TOML's name for a kind of value, with its article."""
    match value:
        case str():
            return "text"
        case bool():
            return "true or false"
        case int():
            return "a number"
        case float():
            return "a number with a fraction"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def quote(text: str) -> str:
    """A value for a mistake's reason: quoted, and cut after 100 characters."""
    return quoted(text, _SHOWN_CHARACTERS)
