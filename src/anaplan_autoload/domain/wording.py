"""What a run's message says about rows that were left out.

CloudWorks documents neither the wording nor the form of these messages; both differ by kind of action. So a message is
read in four small passes:

1. `prose` takes out what only looks like a statement: quoted names, file names, times, dates and durations.
2. `_clauses` cuts it at full stops, commas, semicolons and line breaks.
3. `_items` turns a clause's words into counts, negations and verdicts (`in`: loaded; `out`: left out), by the tables
   of words below. To teach it a new word, add the word there, and a message to the tables in `tests/unit/test_runs.py`.
4. `_facts` gives every verdict its count: the one before it, else the one after it, else that of a verdict beside it.

In doubt the answer is that rows were left out: a false alert does less harm than a false "loaded".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["in", "total", "headline", "out", "telltale", "cancelled"]

_STEMS: dict[Kind, tuple[str, ...]] = {
    "telltale": ("partial", "partly", "incomplet", "except"),
    "cancelled": ("cancel", "abort", "terminat", "interrupt", "stopped", "killed"),
    "out": (
        *("fail", "ignor", "reject", "refus", "skip", "exclud", "omit", "omission", "discard", "drop", "invalid"),
        *("miss", "unmatch", "unresolv", "unprocess", "unload", "unsuccess", "unimport", "unmapp", "unrecogni"),
        *("error", "err", "errs", "errored", "erron", "warn", "duplicat", "issue", "problem", "exception", "lost"),
        *("mismatch", "conflict", "malform", "fault", "denied", "truncat", "unaccept", "unknown", "disregard"),
        *("timeout", "trouble", "blocked", "violat", "corrupt", "unreadable", "fewer", "bypass", "suppress", "bad"),
        *("withheld", "ko", "nok"),
    ),
    "headline": ("complet", "finish", "done", "end", "ended", "ok", "okay"),
    "total": ("total", "read", "process", "receiv", "expect", "scann", "submit", "attempt", "sent", "contain"),
    "in": (
        *(
            "load",
            "import",
            "succe",
            "updat",
            "creat",
            "insert",
            "add",
            "added",
            "accept",
            "appl",
            "written",
            "wrote",
            "saved",
        ),
        *("upload", "transfer", "copied", "export", "merg", "mapped", "ingest", "found", "match", "unchanged"),
        *("resolv", "recogni", "valid", "stor", "posted", "included"),
    ),
}
"""A word that begins with one of these is a verdict of that kind. A headline or total says less than `in`: see
`_facts`.
"""
_EXACT = {"end", "ok", "ko", "nok", "done", "err", "errs", "bad", "read", "add", "sent", "lost", "valid", "total"}
"""Stems that count only as whole words: "address" and "badge" are not verdicts."""
_LOADS = ("load", "import", "succe", "accept", "upload", "ingest", "written", "wrote", "saved")
"""The `in` verdicts that mean all rows when they are counted beside a total; "3 updated" may be all that changed."""

NEGATION_REACH = 10
"""How many words after a negation an "any" still makes it mean none: "did not find any errors"."""

_NUMBERS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_NUMBERS |= {"nine": 9, "ten": 10, "eleven": 11, "twelve": 12}
_NONE = {"no", "none", "nothing", "without", "neither", "nor", "free", "nil", "never", "null"}
_SOME = {"some", "several", "many", "most", "multiple", "few", "various", "certain", "numerous", "dozens", "hundreds"}
_ALL = {"all", "every", "everything", "each", "entirely", "fully", "completely"}
_NEGATIONS = {"not", "cannot", "cant", "couldnt", "didnt", "unable", "wasnt", "werent", "wont"}
_OTHER_THINGS = {"file", "files", "action", "actions", "step", "steps", "import", "imports", "cell", "cells"}
_MEASURES = r"(?:ms|milliseconds?|s|secs?|seconds?|mins?|minutes?|h|hours?|days?|bytes?|[kmg]i?b)\b"
_EXTENSIONS = r"(?:csv|tsv|txt|tab|psv|dat|json|xml|xlsx?|parquet|log|zip|gz|bz2)\b"
_PLACES = r"(?:step|action|part|page|chunk|batch|task|phase|row|line|version)"

_QUOTED = re.compile(
    r"""(?<!\w)(?:'([^'\n]*(?:'\w[^'\n]*)*)'|"([^"\n]*)"|`([^`\n]*)`)(?!\w)
        |[“„]([^“”„\n]*)[“”]|‘([^‘\n]*?)’(?!\w)|«([^»\n]*)»|»([^«\n]*)«|‹([^›\n]*)›""",
    re.VERBOSE,
)
_LABEL_BEFORE = re.compile(r"(?:result|status|message|outcome|state|warnings?|errors?)['\"]?\s*[:=]\s*$", re.IGNORECASE)
_COUNT_AFTER = re.compile(r"\s*[:=]\s*\d[\d.,]*\s*(?:[,;}\n]|$)")
_NOT_PROSE = re.compile(
    rf"""\b[a-z][a-z0-9+.-]*://\S+                                    # an address
        |[^\s,;:()=]*\w\.{_EXTENSIONS}                                # a file
        |\b\d{{4}}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?z?)?  # a date, perhaps with a time
        |\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b
        |\b\d{{1,2}}:\d\d(?::\d\d(?:\.\d+)?)?\b                       # a time
        |\b\d[\d.,]*\s*{_MEASURES}                                    # a duration or a size
        |\b{_PLACES}\s\#?\d+(?:\s*(?:of|/)\s*\d+)?\b                  # a place, such as "step 1 of 3"
        |\b[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}\b|\b\d{{9,}}\b  # an id
        |(?<![^\W_])(?=[^\W_]*[^\W\d_])(?=[^\W_]*\d)[^\W_]+           # an id, such as 3f2a or A1
    """,
    re.VERBOSE | re.IGNORECASE,
)
_GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:(?:,\d{2,3})*,\d{3}|(?:\.\d{3})+|(?:[ '_]\d{3})+)(?!\d)")
_TOKEN = re.compile(r"(?P<number>\d+(?:\.\d+)?)|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)|(?P<link>[:=(>→–—%/-])")
_PHRASES = {
    r"\ball but\b": "except",
    r"\bleft out\b": "omitted",
    r"\btimed out\b": "timeout",
    r"\bin (?:the )?(?:file|source)\b": "total",
    r"(?<![^\W\d_] )\b(?:row|record|line)s? count(?=\s*[:=])": "total",
    r"\bout of\b": "of",
    r"\bof (?:the|all|a total of)\b": "of",
    r"\bn/a\b": "none",
    r"\b(rows?|records?|items?|lines?)(?=fail|ignor|reject|skip|load|import|error)": r"\1",
    r"(?<=[^\W\d_])-(?=[^\W\d_])": " ",
}
"""Phrases → the one word that each counts as, in lower case. The last two split "rowsfailed" and "error-free"."""


class _Count(Struct, frozen=True):
    """A number, or a word for one."""

    number: float
    of: float | None = None
    """The second number of "95 of 100"."""
    worded: bool = False
    """Whether it is a vague word, such as "no" or "some"."""
    of_rows: bool = True
    """Whether it may count rows: not if another noun follows it."""
    last: bool = False
    """Whether nothing follows it in its clause."""
    heads: bool = False
    """Whether a colon leads from it to what follows, as in "120 rows: 3 failed"; it then counts for no verdict."""


class _Verdict(Struct, frozen=True):
    """A word that says what became of rows."""

    kind: Kind
    word: str
    linked: bool = False
    """Whether a colon, an equals sign, a bracket or a dash leads from it to what follows."""


class _Fact(Struct, frozen=True):
    """A verdict and its count."""

    kind: Kind
    word: str
    count: _Count | None
    shared: _Count | None
    """`count`, else that of the verdict beside it."""


_Items = list[_Count | _Verdict]


class Reading(Struct, frozen=True):
    """What a message says."""

    left_out: bool
    """Whether rows were, or may have been, left out."""
    cancelled: bool
    """Whether the run was cancelled."""


@lru_cache(maxsize=32)
def read(message: str) -> Reading:
    """Read a run's message, however it is worded. Cached, because a strange one of 2,000 characters takes a second."""
    facts = [fact for sentence in _sentences(prose(message)) for items in _clauses(sentence) for fact in _facts(items)]
    return Reading(
        left_out=any(_leaves_out(fact) for fact in facts) or _is_short_of_total(facts),
        cancelled=any(fact.kind == "cancelled" and not _is_none(fact.count) for fact in facts),
    )


def prose(message: str) -> str:
    """A message in lower case, without names, files, times and measures, its numbers in plain digits."""
    text = re.sub(r"(?<=\w)’(?=\w)", "'", unicodedata.normalize("NFKC", message))
    text = re.sub(r"[^\S\n]+", " ", text).strip(" \n.!")
    if whole := _QUOTED.fullmatch(text):
        text = "".join(whole.groups(""))
    text = _NOT_PROSE.sub(" ", _QUOTED.sub(_unless_a_name, text))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").casefold()
    for phrase, plain in _PHRASES.items():
        text = re.sub(phrase, f" {plain} ", text)
    return _GROUPED.sub(lambda number: re.sub(r"\D", "", number[0]), text)


def _unless_a_name(quoted: re.Match[str]) -> str:
    """What is quoted is a name, unless a label leads to it ("status": "partial") or it is one ("failed": 3)."""
    text = quoted.string
    said = _LABEL_BEFORE.search(text, 0, quoted.start()) or _COUNT_AFTER.match(text, quoted.end())
    return "".join(quoted.groups("")) if said else " "


def _sentences(text: str) -> list[str]:
    return re.split(r"[;|!?•·\n\t{}\[\]]|\.(?!\d)|(?<!\d)\.", text)


def _clauses(sentence: str) -> Iterator[_Items]:
    """What the parts of a sentence say; a list such as "no errors, warnings or rejected rows" shares its "no"."""
    none: _Count | None = None
    for items in map(_items, sentence.split(",")):
        if none and items and all(isinstance(item, _Verdict) and item.kind == "out" for item in items):
            yield [none, *items]
            continue
        first = items[0] if items else None
        none = first if isinstance(first, _Count) and first.worded and _is_none(first) else None
        yield items


def _items(clause: str) -> _Items:
    """The counts and verdicts of a clause, in order, with negations worked into the verdicts."""
    tokens = [(match.lastgroup, match[0]) for match in _TOKEN.finditer(clause)]
    items: _Items = []
    negated = False
    for at, (group, text) in enumerate(tokens):
        before = tokens[at - 1][1] if at else ""
        after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if group == "link":
            _link(items, text)
        elif (count := _count(text, after)) is not None:
            _add_count(items, count, before)
        elif text in _NEGATIONS or text.endswith("n't"):
            if any(word == "any" for _, word in islice(tokens, at, at + NEGATION_REACH)):
                items.append(_Count(0, worded=True))
            else:
                negated = True
        elif negated and text in _ALL:
            items.append(_Verdict("telltale", text))
            negated = False
        elif kind := _kind(text):
            items.append(_Verdict(_negated(kind) if negated else kind, text))
            negated = False
    if negated:
        items.append(_Verdict("out", "not"))
    return items


def _count(text: str, after: str) -> _Count | None:
    if text[0].isdecimal() or text in _NUMBERS:
        number = float(text) if text[0].isdecimal() else _NUMBERS[text]
        return _Count(number, of_rows=after not in _OTHER_THINGS, last=not after)
    if text in _NONE:
        return _Count(0, worded=True)
    return _Count(1, worded=True) if text in _SOME else None


def _add_count(items: _Items, count: _Count, before: str) -> None:
    """Add a count; join it to the one before it in "95 of 100"."""
    last = items[-1] if items else None
    if before in ("of", "/") and isinstance(last, _Count) and last.of is None:
        items[-1] = replace(last, of=count.number)
    elif before == "of" and not count.worded:
        items[:0] = [_Verdict("total", "of", linked=True), count]
    elif before == "only" and not count.worded:
        items += [_Verdict("telltale", "only"), count]
    else:
        items.append(count)


def _link(items: _Items, text: str) -> None:
    """Let what stands before a link lead to what follows; "%" makes the count before it one of 100, or a share."""
    match items[-1] if items else None, text:
        case _Count() as share, "%":
            match items[-2:-1]:
                case [_Count(of=None, worded=False) as count]:  # "3 (5%)" is one count
                    items[-2:] = [replace(count, of=count.number * 100 / share.number if share.number else inf)]
                case _:
                    items[-1] = replace(share, of=100.0)
        case _Count() as count, ":":
            items[-1] = replace(count, heads=True)
        case _Verdict() as verdict, ":" | "=" | "(" | ">" | "→" | "-" | "–" | "—":
            items[-1] = replace(verdict, linked=True)


def _kind(word: str) -> Kind | None:
    for kind, stems in _STEMS.items():
        if any(word == stem if stem in _EXACT else word.startswith(stem) for stem in stems):
            return kind
    return None


def _negated(kind: Kind) -> Kind:
    return "out" if kind in ("in", "total", "headline") else "headline"


def _facts(items: _Items) -> Iterator[_Fact]:
    """Each verdict with its count. "3 failed 0 ignored" counts before its verdicts, "failed 3 ignored 0" after them."""
    waiting: _Count | None = None
    shared: _Count | None = None
    taken: _Count | None = None
    for at, item in enumerate(items):
        if isinstance(item, _Count):
            if item is not taken:
                yield from _unclaimed(waiting)
                waiting = None if item.heads else item
                yield from _unclaimed(item if item.heads else None)
            continue
        count, waiting = waiting, None
        ahead = None if count else _ahead(items, at)
        if ahead is not None and _claims(items, at, ahead):
            count = taken = ahead
        shared = count or ahead or shared
        yield _Fact(item.kind, item.word, count, shared)
    yield from _unclaimed(waiting)


def _ahead(items: _Items, at: int) -> _Count | None:
    """The count after this verdict, past other verdicts, if it may be this verdict's too."""
    position = next((n for n in range(at, len(items)) if isinstance(items[n], _Count)), None)
    if position is None:
        return None
    count, leading = items[position], items[position - 1]
    linked = isinstance(leading, _Verdict) and leading.linked
    may_be = linked or isinstance(items[-1], _Count) or not _has_verdict_after(items, position)
    return count if isinstance(count, _Count) and may_be else None


def _claims(items: _Items, at: int, ahead: _Count) -> bool:
    """Whether the count ahead belongs to this verdict alone."""
    verdict = items[at]
    if items[at + 1] is not ahead or not isinstance(verdict, _Verdict):
        return False
    if verdict.kind in ("telltale", "cancelled"):
        return ahead.last  # "Cancelled: 0 rows loaded" was cancelled
    following = items[at + 2] if at + 2 < len(items) else None
    leads_on = isinstance(following, _Verdict) and following.linked
    if verdict.kind == "headline":
        return verdict.word in ("ok", "okay") and leads_on  # "ok=100 failed=0"
    return leads_on or isinstance(items[-1], _Count) or not _has_verdict_after(items, at + 1)


def _has_verdict_after(items: _Items, position: int) -> bool:
    """Whether the count at this position may belong to the verdict after it."""
    following = items[position + 1] if position + 1 < len(items) else None
    return isinstance(following, _Verdict) and following.kind != "headline" and following.word != "total"


def _unclaimed(count: _Count | None) -> Iterator[_Fact]:
    """A share that no verdict claims: "95 of 100 rows"."""
    if count is not None and count.of is not None:
        yield _Fact("headline", "", count, count)


def _leaves_out(fact: _Fact) -> bool:
    """Whether a fact speaks of rows that were left out."""
    match fact.kind:
        case "out":
            return not _is_none(fact.shared)
        case "telltale" | "cancelled":
            return not _is_none(fact.count)
        case _:
            return _is_short(fact.count) or (_is_vague(fact.count) and fact.word.startswith(_LOADS))


def _is_none(count: _Count | None) -> bool:
    return count is not None and count.number == 0


def _is_short(count: _Count | None) -> bool:
    return count is not None and count.of is not None and count.number < count.of


def _is_vague(count: _Count | None) -> bool:
    return count is not None and count.worded


def _is_short_of_total(facts: list[_Fact]) -> bool:
    """Whether fewer rows were loaded than there were: "100 rows read, 95 loaded"."""
    totals = [fact.count.number for fact in facts if fact.kind == "total" and fact.count and fact.count.of_rows]
    counted = [(fact.word.startswith(_LOADS), fact.count.number) for fact in facts if fact.kind == "in" and fact.count]
    loaded = [number for loads, number in counted if loads]
    if not totals or not loaded or len(loaded) < len(counted):
        return False  # "3 created, 5 updated" may be all that there was to change
    if len(totals) == len(loaded):
        return any(number < total for number, total in zip(loaded, totals, strict=True))
    return sum(loaded) < max(totals)
