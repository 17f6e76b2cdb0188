"""Prefixes and suffixes that are valid but probably not what was meant: `incoming/*`, `%20`, a bucket's name.

A key in S3 may hold any character, so none of this is an error. But a route compares letter by letter, and a route
with such a value usually matches no upload at all.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from msgspec import Struct

from anaplan_autoload.domain.sentences import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from anaplan_autoload.domain.routes import Route

Field = Literal["prefix", "suffix", "stage_to"]

_FILE_TYPES = re.compile(
    "7z|avro|bak|bz2|csv|dat|gz|jsonl?|ndjson|orc|parquet|prn|psv|tab|tar|tgz|tsv|txt|xls[bmx]?|xml|zip|zst",
    re.IGNORECASE,
)
"""File extensions, without the dot."""

_SIGN = re.compile(
    r"""
      \.[*+?]                                             # .* in a regular expression
    | (?:\\[dDwWsS](?![A-Za-z])                           # \d
      | \[[^\[\]/]*\] | \([^()]*[|?*+][^()]*\))           # [0-9], (a|b)
      (?:[*+?]|\{\d+(?:,\d*)?\})?
    | \$?\{[^{}]*\}+ | <[^<>]*>                           # {a,b}, ${date}, {{date}}, <date>
    | %[YmdHMSjy](?![0-9A-Fa-f]) | %(?=\.|$)              # %Y, and SQL's %
    | [yY]{4}(?:[-_/.]?[mM]{2})?(?:[-_/.]?[dD]{2})?       # YYYY-MM-DD
    | \*+ | \?+ | \.{3} | …
    """,
    re.VERBOSE,
)
"""What stands for other text elsewhere: wildcards, parts of regular expressions, placeholders."""
_START = re.compile(r"\A(?:\^|\(\?[imsx]+\))+")
_END = re.compile(r"\$$")
_ESCAPE = re.compile(r"\\([^\w\s\\/])")
_ALTERNATIVES = re.compile(r"\{([^{}]*,[^{}]*)\}|\((?:\?:)?([^()]*\|[^()]*)\)")
_ADDRESS = re.compile(
    r"(?:s3[an]?:/*|arn:[a-z-]+:s3:::|https?://s3[.a-z0-9-]*\.amazonaws\.com(?:\.cn)?/)[^/]+(?:/|$)"
    r"|https?://[^/]+(?:/|$)|file:/*|[a-z]:[\\/]",
    re.IGNORECASE,
)
_QUOTES = "\"'`“”„‘’«»"


class Doubt(Struct, frozen=True):
    """A value of a route that is probably not what was meant."""

    route: str
    field: Field
    what: str
    """One sentence without its full stop, as in `prefix "incoming/*" has "*", which a route takes literally`."""
    remedy: str
    """One sentence: what was probably meant."""


class Reading(Struct, frozen=True):
    """What a prefix and suffix were probably meant to be."""

    prefix: str
    suffix: str


def doubts(routes: Iterable[Route], buckets: Iterable[str] = ()) -> tuple[Doubt, ...]:
    """What is doubtful in these routes, in their order; `buckets` are the names of those that uploads come from."""
    known = frozenset(buckets)
    return tuple(
        doubt for route in routes for doubt in _doubts_of(route, known | ({route.bucket} if route.bucket else set()))
    )


def readings(route: Route, bucket: str) -> tuple[Reading, ...]:
    """What the route's prefix and suffix were probably meant to be: several where they list alternatives.

    Empty if there is no doubt.
    """
    found, doubtful = _readings(route, frozenset({bucket}))
    return found if doubtful else ()


def _doubts_of(route: Route, buckets: frozenset[str]) -> Iterator[Doubt]:
    meant, _ = _readings(route, buckets)
    values: tuple[tuple[Field, str], ...] = (("prefix", route.prefix), ("suffix", route.suffix))
    for field, value in values:
        if whys := _read(field, value, buckets).whys:
            yield Doubt(route.name, field, _sentence(field, value, whys), _probably(route, meant))
    if route.stage_to and (found := _read("stage_to", route.stage_to, buckets)).whys:
        key = "" if found.signs else f" Probably meant: stage_to = {quoted(found.head)}."
        remedy = f"Write the key that the integration reads, letter by letter.{key}"
        yield Doubt(route.name, "stage_to", _sentence("stage_to", route.stage_to, found.whys), remedy)


def _sentence(field: Field, value: str, whys: tuple[str, ...]) -> str:
    told = whys[0] if len(whys) == 1 else f"{', '.join(whys[:-1])}, and {whys[-1]}"
    return f"{field} {quoted(value)} {told}"


def _probably(route: Route, meant: tuple[Reading, ...]) -> str:
    told = " or, in a route of its own, ".join(
        " with ".join(
            f"{field} = {quoted(value)}"
            for field, value in (("prefix", reading.prefix), ("suffix", reading.suffix))
            if field == "prefix" or value
        )
        + (" and no suffix" if route.suffix and not reading.suffix else "")
        for reading in meant
    )
    return f"Probably meant: {told}."


# Reading a value.


class _Read(Struct, frozen=True):
    """A value, taken apart."""

    head: str
    """Before the first sign, corrected."""
    tail: str
    """After the last sign, corrected; the same as `head` if there is no sign."""
    signs: int
    whys: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    """The values that one with a list of alternatives stands for."""


def _readings(route: Route, buckets: frozenset[str]) -> tuple[tuple[Reading, ...], bool]:
    """The readings, and whether anything is in doubt."""
    prefix, suffix = _read("prefix", route.prefix, buckets), _read("suffix", route.suffix, buckets)
    ending = suffix.tail or ("" if suffix.head.strip(".") == "" else suffix.head)
    if not route.suffix and prefix.signs and not prefix.tail.endswith("/"):
        ending = prefix.tail
    starts, ends = prefix.alternatives or (prefix.head,), suffix.alternatives or (ending,)
    if prefix.alternatives and not route.suffix:
        ends = ("",)
    return tuple(Reading(start, end) for start in starts for end in ends), bool(prefix.whys or suffix.whys)


def _read(field: Field, value: str, buckets: frozenset[str]) -> _Read:
    whys: list[str] = []
    text = _apply(_BEFORE, value, whys)
    if field != "suffix":
        text = _without_bucket(text, buckets, whys)
    parts = [] if field == "stage_to" else _list_of(text)
    if parts:
        whys.append("is a list, which a route takes literally")
        return _Read("", "", 1, tuple(whys), tuple(part.lstrip("*") for part in parts))
    plain = _ESCAPE.sub(r"\1", _END.sub("", _START.sub("", text, count=1)))
    signs = list(_SIGN.finditer(plain))
    if signs or plain != text:
        shown = signs[0].group() if signs else next(sign for sign in ("^", "$", "\\", "(?") if sign in text)
        whys.append(f"has {quoted(shown)}, which a route takes literally")
    head, tail = (plain[: signs[0].start()], plain[signs[-1].end() :]) if signs else (plain, plain)
    head = _corrected(head, field, whys)
    tail = (_apply(_AFTER, tail, whys) if field == "prefix" else _corrected(tail, field, whys)) if signs else head
    whys = list(dict.fromkeys(whys))
    return _Read(head, tail, len(signs), tuple(whys), _alternatives(plain, signs, field))


def _alternatives(plain: str, signs: list[re.Match[str]], field: Field) -> tuple[str, ...]:
    if len(signs) != 1 or not (found := _ALTERNATIVES.fullmatch(signs[0].group())):
        return ()
    before, after = plain[: signs[0].start()], plain[signs[0].end() :]
    listed = re.split("[,|]", found[1] or found[2])
    return tuple(_corrected(f"{before}{each.strip()}{after}", field, []) for each in listed)


def _list_of(text: str) -> list[str]:
    """What `.csv, .txt` or `in/a/|in/b/` lists; nothing where it is not a list of endings or of folders."""
    parts = [part.strip() for part in re.split(r"[,;|]", text)]
    alike = any(all(re.fullmatch(form, part) for part in parts) for form in (r"\*?\.\w+", r".+/"))
    return parts if len(parts) > 1 and alike else []


# Corrections: what is wrong, and the text without it. Each says why when it changes the text.


class _Correction(Struct, frozen=True):
    why: str
    apply: Callable[[str], str]


def is_blank(char: str) -> bool:
    """Whether a character cannot be seen: a space of any kind, a control character or a character without width."""
    return char.isspace() or unicodedata.category(char) in ("Zs", "Cc", "Cf")


def _without_outer_blanks(text: str) -> str:
    start, end = 0, len(text)
    while start < end and is_blank(text[start]):
        start += 1
    while end > start and is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _without_quotes(text: str) -> str:
    quoted = len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES
    return _without_outer_blanks(text[1:-1]) if quoted else text


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _without_bucket(text: str, buckets: frozenset[str], whys: list[str]) -> str:
    first = text.replace("\\", "/").partition("/")[0]
    if first not in buckets:
        return text
    whys.append("begins with the bucket's name, which is not part of a key")
    return text[len(first) + 1 :]


_BEFORE = (
    _Correction("begins or ends with a space", _without_outer_blanks),
    _Correction("contains quotation marks", _without_quotes),
    _Correction("contains an address, but a route needs only the key", lambda text: _ADDRESS.sub("", text, count=1)),
)
_AFTER = (
    _Correction("has backslashes, but keys have slashes", lambda text: text.replace("\\", "/")),
    _Correction("is URL-encoded, but keys are not", _decoded),
    _Correction('has "+", which means a space only in URLs', lambda text: text.replace("+", " ")),
    _Correction('has "." or ".." as a folder', lambda text: re.sub(r"(?:(?<=/)|^)\.{1,2}/", "", text)),
    _Correction("has a double slash", lambda text: re.sub("//+", "/", text)),
    _Correction("has spaces beside a slash", lambda text: re.sub(r"\s*/\s*", "/", text)),
)
_OF_FIELD: dict[Field, tuple[_Correction, ...]] = {
    "prefix": (
        _Correction("begins with a slash, but keys do not", lambda text: text.lstrip("/")),
        _Correction(
            "ends in a file's name and a slash, as if the file were a folder",
            lambda text: text.rstrip("/") if _is_file(text) else text,
        ),
    ),
    "suffix": (
        _Correction(
            "is a file extension without its dot", lambda text: f".{text}" if _FILE_TYPES.fullmatch(text) else text
        ),
        _Correction("ends with a slash, as only a folder does", lambda text: text.rstrip("/")),
    ),
    "stage_to": (),
}


def _is_file(text: str) -> bool:
    """Whether it is a file's name with a slash behind it."""
    name = text.rstrip("/").rpartition("/")[2]
    return text.endswith("/") and "." in name and bool(_FILE_TYPES.fullmatch(name.rpartition(".")[2]))


def _corrected(text: str, field: Field, whys: list[str]) -> str:
    return _apply((*_AFTER, *_OF_FIELD[field]), text, whys)


def _apply(corrections: Iterable[_Correction], text: str, whys: list[str]) -> str:
    for correction in corrections:
        corrected = correction.apply(text)
        if corrected != text:
            whys.append(correction.why)
            text = corrected
    return text
