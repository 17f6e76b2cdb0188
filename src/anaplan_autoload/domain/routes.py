"""Finds the route of an upload: which integration or flow loads it, and how.

Users write routes as a TOML text. It is rejected as a whole if anything in it is wrong, so that mistakes show when the
routes are pushed and not when a file arrives.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct, convert, json
from msgspec.structs import replace

from anaplan_autoload.domain.contents import ENCODINGS, Check, encoding_named, is_listable
from anaplan_autoload.domain.litter import excluded_by
from anaplan_autoload.domain.outcomes import ReportOutcome
from anaplan_autoload.domain.sentences import quoted

Load = Literal["latest", "each"]

MAX_SETTLE = 15 * 60
"""Seconds: the longest `settle`."""
MIN_OVERDUE = 60
"""Seconds: the shortest `overdue`."""
MIN_WITHIN, MAX_WITHIN = 60, 90 * 86_400
"""Seconds: the shortest and the longest `within`. The ledger cannot wait for longer than it remembers uploads."""
DEFAULT_WITHIN = 86_400
"""Seconds: `within` where a route has `needs` alone, so that no set waits unannounced."""
MAX_NEEDS = 100
"""The most files in `needs`: every upload of the route is stored with the list."""
MAX_ROUTE_BYTES = 32 * 1024
"""Of a route as it is stored with every upload, and several times in what a durable execution remembers."""
MAX_RETRIES = 5
"""The most `retries`, which come after 1, 2, 4, 8 and 16 minutes."""

MAX_MIN_ROWS = 10_000_000
"""No file that is small enough to be counted has more rows."""
MAX_COLUMN_CHARACTERS = 10_000
"""Of all column names of a `check`: the route is stored with every upload."""

_KEY_BYTES = 1024  # S3's own limit
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # names of old buckets may break today's rules
_SHOWN_CHARACTERS = 100  # of a value, in a finding
_ID = re.compile(r"[0-9a-f]{32}")
_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_UNIT_SECONDS = (86_400, 3_600, 60, 1)
_PER_CENT = re.compile(r"([0-9]{1,3}) ?%")
_HUNDRED = 100


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
        return f"route {_quote(self.route) if isinstance(self.route, str) else self.route}"

    def __str__(self) -> str:
        """`routes.toml: route "accounts": reason. Remedy.`"""
        return ": ".join(part for part in (self.file, self.place, f"{self.reason}. {self.remedy}") if part)


class RoutesInvalid(ValueError):
    """A routes file that cannot be used. Its text has one line for each mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class Route(Struct, frozen=True, omit_defaults=True):
    """One `[[route]]` of `routes.toml`; durations are whole seconds.

    A copy of it is stored with every upload, so that later changes of `routes.toml` do not affect uploads that already
    wait.
    """

    name: str
    prefix: str
    integration: str | None = None
    """CloudWorks integration id, 32 lower-case hex; exactly one of `integration` and `flow` is set."""
    flow: str | None = None
    load: Load = "latest"
    suffix: str = ""
    bucket: str | None = None
    stage_to: str | None = None
    settle: int = 0
    lane: str | None = None
    retries: int = 2
    overdue: int = 7200
    allow_empty: bool = False
    exclude: tuple[str, ...] = ()
    """Patterns of names to ignore, in addition to those that every route ignores."""
    window: tuple[str, ...] = ()
    """When runs may begin, as `schedule.window` reads it; at any time if empty."""
    needs: tuple[str, ...] = ()
    """Names below the prefix; a run begins when each of these files was uploaded since the last run."""
    within: int = DEFAULT_WITHIN
    """How long after the first file of such a set the rest may come before it is announced as incomplete."""
    check: Check | None = None
    """What a file must be like to be loaded."""
    expect: str | None = None
    """A due time (see `domain.schedule`): something must have been loaded since the due time before."""
    notify: tuple[str, ...] | None = None
    """The outcomes that go to the topic, besides `held`; None for all."""

    @property
    def target(self) -> str:
        """The id of the integration or flow that the route runs."""
        return self.integration or self.flow or ""

    @property
    def lane_id(self) -> str:
        """The lane in which this route's runs happen one at a time."""
        return self.lane or self.target

    def admits(self, bucket: str) -> bool:
        """Whether the route covers this bucket. A route without `bucket` covers all buckets."""
        return self.bucket is None or self.bucket == bucket

    def covers(self, key: str) -> bool:
        """Whether the key has the prefix and the suffix; the bucket is not looked at."""
        return key.startswith(self.prefix) and key.endswith(self.suffix)

    def matches(self, bucket: str, key: str) -> bool:
        """Whether the route matches the object. Another route that matches too may be closer."""
        return self.admits(bucket) and self.covers(key)

    @property
    def may_wait(self) -> bool:
        """Whether its uploads may have to wait for a window or for other files."""
        return bool(self.window or self.needs)

    def tells(self, outcome: ReportOutcome) -> bool:
        """Whether this outcome goes to the topic. `held` always does: nothing is loaded until somebody acts."""
        return self.notify is None or outcome == "held" or outcome in self.notify

    def excluded_by(self, key: str) -> str | None:
        """The pattern for which a key of this route is ignored; None where it is an upload."""
        return excluded_by(key, self.exclude, self.prefix, self.suffix)


class Routes(Struct, frozen=True, dict=True):
    """The valid routes of one file, in its order; made by `load` and `parse`."""

    routes: tuple[Route, ...]

    def __iter__(self) -> Iterator[Route]:
        """In the file's order."""
        return iter(self.routes)

    def __len__(self) -> int:
        """How many routes there are; 0 until some have been pushed."""
        return len(self.routes)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes' ids, each once, in the file's order."""
        return tuple(dict.fromkeys(route.lane_id for route in self.routes))

    def match(self, bucket: str, key: str) -> Route | None:
        """The route that loads this object, or None.

        The longest prefix wins. At equal prefixes, a route that names the bucket wins, then the longer suffix. There is
        never a tie, because two routes with the same prefix, suffix and bucket are rejected.
        """
        for length in self._prefix_lengths:
            for route in self._by_prefix.get(key[:length], ()):
                if route.matches(bucket, key):
                    return route
        return None

    def is_staged(self, bucket: str, key: str) -> bool:
        """Whether this object is a route's `stage_to`: a copy that Autoload made, which no route matches."""
        return self.stager(bucket, key) is not None

    def stager(self, bucket: str, key: str) -> Route | None:
        """The route whose `stage_to` this object is."""
        return next((route for route in self._by_stage.get(key, ()) if route.admits(bucket)), None)

    # Looked up by prefix and by copy: with hundreds of routes, looking at each would take longer than a match may.

    @cached_property
    def _by_prefix(self) -> dict[str, list[Route]]:
        """The routes of each prefix, the closest first."""
        found: defaultdict[str, list[Route]] = defaultdict(list)
        for route in sorted(self.routes, key=_closeness, reverse=True):
            found[route.prefix].append(route)
        return dict(found)

    @cached_property
    def _prefix_lengths(self) -> list[int]:
        """The lengths of all prefixes, the longest first."""
        return sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    @cached_property
    def _by_stage(self) -> dict[str, list[Route]]:
        """The routes that stage to each key."""
        found: defaultdict[str, list[Route]] = defaultdict(list)
        for route in self.routes:
            if route.stage_to is not None:
                found[route.stage_to].append(route)
        return dict(found)


def load(path: Path, reports: tuple[str, str] | None = None) -> Routes:
    """Read a routes file; `reports` is the bucket and prefix of our own reports, which no route may match.

    Raises:
        RoutesInvalid: the file cannot be read or has mistakes; the error lists all of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a byte order mark first
    except UnicodeDecodeError:
        raise RoutesInvalid([Mistake("it is not UTF-8 text", "Save it as UTF-8.", file=str(path))]) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RoutesInvalid(
            [Mistake(f"it cannot be read ({reason})", "Put the routes file there.", file=str(path))]
        ) from None
    return parse(text, str(path), reports)


def parse(text: str, name: str, reports: tuple[str, str] | None = None) -> Routes:
    """The routes in a TOML text; `name` is what findings call the file, `reports` as for `load`.

    Raises:
        RoutesInvalid: the text has mistakes; the error lists all of them.
    """
    tables, mistakes = _tables(text)
    drafts = [_draft(number, table) for number, table in enumerate(tables, start=1)]
    mistakes += [mistake for draft in drafts for mistake in draft.mistakes]
    mistakes += _repeated_names(drafts)
    valid = tuple(draft.route for draft in drafts if draft.route is not None)
    mistakes += _conflicts(valid, reports)
    if mistakes:
        raise RoutesInvalid(replace(mistake, file=name) for mistake in mistakes)
    return Routes(valid)


def _closeness(route: Route) -> tuple[int, bool, int]:
    return len(route.prefix), route.bucket is not None, len(route.suffix)


# Reading the file.


class _Draft(Struct, frozen=True):
    """A `[[route]]`, as far as it could be understood."""

    name: object
    route: Route | None
    """None if anything in it is wrong."""
    mistakes: tuple[Mistake, ...]


def _tables(text: str) -> tuple[list[object], list[Mistake]]:
    """The `[[route]]` tables, not checked yet, and the mistakes outside of them."""
    try:
        text.encode()  # a lone surrogate is no text, and neither S3 nor the ledger takes it
        document: dict[str, object] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: very long numbers and deep nesting too
        reason = "it nests too deep" if isinstance(error, RecursionError) else error
        return [], [Mistake(f"it is not valid TOML: {reason}", "Correct it there.")]
    mistakes = [_unknown_key(key, ["route"]) for key in document if key != "route"]
    tables = document.get("route", [])
    if not isinstance(tables, list):
        remedy = "Begin every route with [[route]], in double brackets."
        return [], [*mistakes, Mistake("route is not a list of tables", remedy)]
    if not tables and not mistakes:
        mistakes.append(Mistake("it holds no route, so nothing would ever be loaded", "Add a [[route]]."))
    return tables, mistakes


def _draft(number: int, table: object) -> _Draft:
    """Check every value of one table, then how they fit together."""
    if not isinstance(table, dict):
        return _Draft(None, None, (Mistake("it is not a table", "Begin every route with [[route]].", route=number),))
    name = table.get("name")
    values, wrong = _values(table)
    wrong += _missing(table) + _load_mistakes(table, values) + _exclude_mistakes(values)
    wrong += _needs_mistakes(table, values)
    route = None if wrong else convert(values, Route)
    if route and (size := len(json.encode(route))) > MAX_ROUTE_BYTES:
        reason = f"it takes {size:,} bytes, and every upload is stored with its route"
        remedy = f"Shorten its lists of names and patterns: {MAX_ROUTE_BYTES:,} bytes are possible."
        route, wrong = None, [Mistake(reason, remedy)]
    shown = name if isinstance(name, str) and name else number
    return _Draft(name, route, tuple(replace(mistake, route=shown) for mistake in wrong))


def _values(table: dict[str, object]) -> tuple[dict[str, object], list[Mistake]]:
    """The valid values, as `Route` holds them, and the mistakes in the others."""
    values: dict[str, object] = {}
    wrong: list[Mistake] = []
    for key, value in table.items():
        if key not in _CHECKS:
            wrong.append(_unknown_key(key, _CHECKS))
            continue
        try:
            values[key] = _CHECKS[key](value)
        except _Wrong as error:
            wrong += error.about(key, value)
    return values, wrong


def _missing(table: dict[str, object]) -> list[Mistake]:
    mistakes = [
        Mistake(f"{key} is missing", f"Add it, as in {example}.", key)
        for key, example in (
            ("name", 'name = "accounts"'),
            ("prefix", 'prefix = "incoming/accounts/"'),
        )
        if key not in table
    ]
    targets = {"integration", "flow"} & table.keys()
    if not targets:
        remedy = 'Add integration = "…" or flow = "…", the id of what loads its uploads.'
        mistakes.append(Mistake("it runs nothing", remedy))
    if len(targets) == 2:
        remedy = "Keep the one that loads its uploads."
        mistakes.append(Mistake("it names both an integration and a flow", remedy))
    return mistakes


def _load_mistakes(table: dict[str, object], values: dict[str, object]) -> list[Mistake]:
    """`stage_to` and `load = "each"` only work together."""
    if "load" in table and "load" not in values:
        return []  # the value is invalid, which was reported already
    each = values.get("load", "latest") == "each"
    if each and "stage_to" not in table:
        remedy = 'Name the key that its integration reads: stage_to = "source/…".'
        return [Mistake('load = "each" needs a stage_to', remedy, "stage_to")]
    if not each and "stage_to" in table:
        reason = 'stage_to is set, but load = "latest" copies nothing'
        return [Mistake(reason, 'Set load = "each", or leave stage_to out.', "stage_to", table["stage_to"])]
    return []


def _exclude_mistakes(values: dict[str, object]) -> list[Mistake]:
    """A pattern that takes every upload that the suffix lets through."""
    suffix, patterns = values.get("suffix", ""), values.get("exclude", [])
    if not isinstance(suffix, str) or not suffix or not isinstance(patterns, list):
        return []
    name = suffix.rpartition("/")[2]
    return [
        Mistake(
            f"exclude holds {_quote(pattern)}, and with the suffix {_quote(suffix)} would ignore every upload",
            "Correct one of the two.",
            "exclude",
            pattern,
        )
        for pattern in patterns
        if pattern == name or (pattern.startswith("*") and name.endswith(pattern.lstrip("*")))
    ]


def _needs_mistakes(table: dict[str, object], values: dict[str, object]) -> list[Mistake]:
    """`needs` that cannot be met, and `within` without it."""
    if "needs" not in table:
        remedy = "Add needs = [...], or leave within out."
        return [Mistake("within is set, but nothing is awaited", remedy, "within")] * ("within" in table)
    if values.get("load") == "each":
        reason = 'needs is set, but load = "each" loads every file by itself'
        return [Mistake(reason, 'Set load = "latest", or leave needs out.', "needs")]
    route = convert({"name": "", "prefix": "", **values}, Route)
    return [mistake for name in route.needs if (mistake := _why_never(route, name))]


def _why_never(route: Route, name: str) -> Mistake | None:
    """Why a needed file would never count as an upload of its route; None if it would."""
    key = route.prefix + name
    held = f"needs holds {_quote(name)}"
    if len(key.encode(errors="surrogatepass")) > _KEY_BYTES:
        reason = f"{held}, whose key is longer than {_KEY_BYTES} bytes, the limit in S3"
        return Mistake(reason, "Shorten it.", "needs", name)
    if not route.covers(key):
        reason = f"{held}, but the route takes only keys that end with {_quote(route.suffix)}"
        return Mistake(reason, "Correct one of the two.", "needs", name)
    if pattern := route.excluded_by(key):
        reason = f"{held}, but names like {_quote(pattern)} are ignored"
        return Mistake(reason, "Rename the file.", "needs", name)
    return None


class _Wrong(Exception):
    """A value that cannot be used. Each reason is what follows the key's name: `is too long`."""

    def __init__(self, reason: str = "", remedy: str = "", *, parts: Sequence[Mistake] = ()) -> None:
        super().__init__(reason)
        self.mistakes = parts or (Mistake(reason, remedy),)

    def about(self, key: str, value: object) -> list[Mistake]:
        """The mistakes, as those of a key."""
        return [replace(mistake, reason=f"{key} {mistake.reason}", key=key, value=value) for mistake in self.mistakes]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {_kind(value)}, not text", 'Write it in double quotes: "…".')
    return value


def _name(value: object) -> str:
    if not _NAME.fullmatch(text := _text(value)):
        raise _Wrong(
            f"{_quote(text)} is not a valid name",
            "Use 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first.",
        )
    return text


def _bucket(value: object) -> str:
    if not _BUCKET.fullmatch(text := _text(value)):
        raise _Wrong(f"{_quote(text)} is not a bucket name", "Write the name only, without s3:// and without a key.")
    return text


def _id(value: object) -> str:
    if not _ID.fullmatch(text := _text(value)):
        raise _Wrong(f"{_quote(text)} is not a valid id", "Copy it from CloudWorks: 32 digits and letters a to f.")
    return text


def _load_mode(value: object) -> str:
    if (text := _text(value)) not in ("latest", "each"):
        raise _Wrong(f"{_quote(text)} is unknown", 'Write "latest" or "each".')
    return text


def _key_part(value: object) -> str:
    text = _text(value)
    if len(text.encode(errors="surrogatepass")) > _KEY_BYTES:
        raise _Wrong(f"is longer than {_KEY_BYTES} bytes, the limit for keys in S3", "Shorten it.")
    return text


def _key_start(value: object) -> str:
    text = _key_part(value)
    if text.startswith(("/", "s3://")):
        raise _Wrong(f"{_quote(text)} begins with a slash or s3://, but keys in S3 do not", "Write the key only.")
    return text


def _stage_key(value: object) -> str:
    text = _key_start(value)
    if not text or text.endswith("/"):
        raise _Wrong(f"{_quote(text)} is not the key of a file", "Name the file that the integration reads.")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"is {_kind(value)}", "Write true or false.")
    return value


def _patterns(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _Wrong(f"is {_kind(value)}, not a list", 'Write it in brackets: ["*.bak"].')
    return [_pattern(each) for each in value]


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"holds {_kind(value)}, not text", 'Write each pattern in double quotes: ["*.bak"].')
    if not value.strip():
        raise _Wrong("holds an empty pattern", 'Leave it out, or write what to ignore: ["*.bak"].')
    if "/" in value or "\\" in value:
        raise _Wrong(
            f"holds {_quote(value)}, but patterns are compared with a key's last part, which has no slash",
            "Write the name alone, or another prefix to leave out a folder.",
        )
    if not value.strip("*"):
        raise _Wrong(
            f"holds {_quote(value)}, which would ignore every upload", "Remove the route, or narrow the pattern."
        )
    return _key_part(value)


def _windows(value: object) -> list[str]:
    from anaplan_autoload.domain import schedule  # only routes with windows need time zones

    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise _Wrong("is an empty list", f"Write when runs may begin: {schedule.WINDOW_EXAMPLE}, or leave it out.")
    return [_window(text) for text in texts]


def _window(value: object) -> str:
    from anaplan_autoload.domain import schedule

    if not isinstance(value, str):
        raise _Wrong(f"is or holds {_kind(value)}, not text", f"Write {schedule.WINDOW_EXAMPLE}.")
    try:
        schedule.window(value)
    except schedule.ScheduleInvalid as error:
        raise _Wrong(f"{_quote(value)} cannot be used: {error.reason}", error.remedy) from None
    return value


def _needs(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _Wrong(f"is {_kind(value)}, not a list", 'Write it in brackets: ["accounts.csv", "entities.csv"].')
    if not 0 < len(value) <= MAX_NEEDS:
        raise _Wrong(f"lists {len(value)} files", f"Name 1 to {MAX_NEEDS}, or leave it out.")
    names = [_needed(each) for each in value]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise _Wrong(f"holds {_quote(repeated)} twice", "Name every file once.")
    return names


def _needed(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"holds {_kind(value)}, not text", 'Write each name in double quotes: ["accounts.csv"].')
    if not value.strip() or value.startswith(("/", "s3://")) or value.endswith("/"):
        raise _Wrong(
            f"holds {_quote(value)}, which is not a file's name", 'Write what comes after the prefix: ["accounts.csv"].'
        )
    return value


def _within(value: object) -> int:
    if not MIN_WITHIN <= (length := _seconds(value)) <= MAX_WITHIN:
        raise _Wrong(f"{_quote(_text(value))} is too short or too long", 'Write "1m" to "90d".')
    return length


def _expect(value: object) -> str:
    from anaplan_autoload.domain.schedule import ScheduleInvalid, due  # only routes that use it need time zones

    try:
        due(text := _text(value))
    except ScheduleInvalid as error:
        raise _Wrong(f"cannot be used: {error.reason}", error.remedy) from None
    return text


def _notify(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _Wrong(f"is {_kind(value)}, not a list", 'Write it in brackets: ["failed", "partial"].')
    return [_outcome(each) for each in value]


def _outcome(value: object) -> str:
    known = get_args(ReportOutcome)
    if not isinstance(value, str):
        raise _Wrong(f"holds {_kind(value)}, not text", 'Write each outcome in double quotes: ["failed", "partial"].')
    if value not in known:
        raise _Wrong(f"holds the unknown outcome {_quote(value)}", _meant(value, known))
    return value


def _retries(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(f"is {_kind(value)}", f"Write a number from 0 to {MAX_RETRIES}.")
    if not 0 <= value <= MAX_RETRIES:
        raise _Wrong(f"is not between 0 and {MAX_RETRIES}", f"Write a number from 0 to {MAX_RETRIES}.")
    return value


def _settle(value: object) -> int:
    if (length := _seconds(value)) > MAX_SETTLE:
        raise _Wrong(f"{_quote(_text(value))} is too long", 'Write "15m" or less.')
    return length


def _overdue(value: object) -> int:
    if (length := _seconds(value)) < MIN_OVERDUE:
        raise _Wrong(f"{_quote(_text(value))} is too short", 'Write "1m" or more.')
    return length


def _seconds(value: object) -> int:
    """`"1h30m"` in seconds: days, hours, minutes, seconds, in this order, each at most once."""
    text = value if isinstance(value, str) else ""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        what = f"{_quote(text)} is not a duration" if isinstance(value, str) else f"is {_kind(value)}"
        raise _Wrong(what, 'Write it as in "30s", "2h" or "1h30m", in quotes.')
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNIT_SECONDS, strict=True))


_CHECK_EXAMPLE = 'check = { columns = ["Code", "Name"] }'


def _check(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Wrong(f"is {_kind(value)}, not a table", f"Write it in braces: {_CHECK_EXAMPLE}.")
    if not value:
        raise _Wrong("is empty", f"Say what a file must be like, as in {_CHECK_EXAMPLE}, or leave it out.")
    values: dict[str, object] = {}
    wrong: list[Mistake] = []
    for key, part in value.items():
        if key not in _CHECK_PARTS:
            unknown = _unknown_key(key, _CHECK_PARTS)
            wrong.append(replace(unknown, reason=f"has the {unknown.reason}"))
            continue
        try:
            values |= _CHECK_PARTS[key](part)
        except _Wrong as error:
            wrong += error.about(key, part)
    wrong += _unlistable(values)
    if wrong:
        raise _Wrong(parts=wrong)
    return values


def _unlistable(values: dict[str, object]) -> list[Mistake]:
    """Column names with the delimiter in them: mostly several names that were written as one."""
    delimiter, found = values.get("delimiter", ","), values.get("columns") or values.get("required")
    if not isinstance(delimiter, str) or not isinstance(found, list):
        return []
    return [
        Mistake(
            f"columns holds {_quote(name)}, which contains the delimiter {_quote(delimiter)}",
            "Write each name by itself; if the file has such a name in quotation marks, list the other columns as "
            "{ required = […] }.",
        )
        for name in found
        if not is_listable(name, delimiter)
    ]


def _columns(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        if unknown := [key for key in value if key != "required"]:
            mistakes = [_unknown_key(key, ["required"]) for key in unknown]
            raise _Wrong(parts=[replace(each, reason=f"has the {each.reason}") for each in mistakes])
        if not value:
            raise _Wrong("is empty", 'Write { required = ["Code", "Name"] }.')
        return {"required": _column_names(value["required"], "required ")}
    return {"columns": _column_names(value)}


def _column_names(value: object, part: str = "") -> list[str]:
    if not isinstance(value, list):
        table = "" if part else ', or { required = ["Code"] } where others may be there too'
        raise _Wrong(f"{part}is {_kind(value)}, not a list", f'Write ["Code", "Name"]{table}.')
    names = [name for name in value if isinstance(name, str)]
    if len(names) < len(value):
        wrong = next(name for name in value if not isinstance(name, str))
        raise _Wrong(f"{part}holds {_kind(wrong)}, not text", 'Write each name in double quotes: ["Code", "Name"].')
    if not names:
        raise _Wrong(f"{part}is empty", 'Name the columns, as in ["Code", "Name"], or leave it out.')
    if not all(name.strip() for name in names):
        raise _Wrong(
            f"{part}holds an empty name",
            "Write the name; if the file has a column without one, list the others as { required = […] }.",
        )
    if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
        raise _Wrong(
            f"{part}holds {_quote(twice)} twice",
            "Name each column once; if the file has two of that name, list the columns as { required = […] }.",
        )
    if sum(map(len, names)) > MAX_COLUMN_CHARACTERS:
        raise _Wrong(
            f"{part}has more than {MAX_COLUMN_CHARACTERS:,} characters in all",
            "List the most important columns as { required = […] }.",
        )
    return names


def _delimiter(value: object) -> dict[str, object]:
    text = _text(value)
    if len(text) != 1:
        raise _Wrong(f"{_quote(text)} is not one character", 'Write the character itself, such as ";"; a tab is "\\t".')
    if text in '"\r\n' or not (text == "\t" or text.isprintable()):
        raise _Wrong(f"{_quote(text)} cannot separate columns", 'Write what does, such as ",", ";", "|" or "\\t".')
    return {"delimiter": text}


def _encoding(value: object) -> dict[str, object]:
    text = _text(value)
    if (name := encoding_named(text)) is None:
        raise _Wrong(f"{_quote(text)} is not known", f"Known are: {', '.join(ENCODINGS)}.")
    return {"encoding": name}


def _min_rows(value: object) -> dict[str, object]:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(f"is {_kind(value)}", f"Write a number from 0 to {MAX_MIN_ROWS}, without quotes.")
    if not 0 <= value <= MAX_MIN_ROWS:
        raise _Wrong(f"is not between 0 and {MAX_MIN_ROWS}", "Write how many rows a file has at least.")
    return {"min_rows": value}


def _shrink(value: object) -> dict[str, object]:
    if not isinstance(value, str):
        raise _Wrong(f"is {_kind(value)}", 'Write it as in "50%", in quotes.')
    if not (found := _PER_CENT.fullmatch(value)) or int(found[1]) > _HUNDRED:
        raise _Wrong(f'{_quote(value)} is not between "0%" and "100%"', 'Write it as in "50%", without a fraction.')
    return {"shrink": int(found[1])}


_CHECK_PARTS: dict[str, Callable[[object], dict[str, object]]] = {
    "columns": _columns,
    "delimiter": _delimiter,
    "encoding": _encoding,
    "min_rows": _min_rows,
    "shrink": _shrink,
}

_CHECKS: dict[str, Callable[[object], object]] = {
    "name": _name,
    "prefix": _key_start,
    "suffix": _key_part,
    "bucket": _bucket,
    "integration": _id,
    "flow": _id,
    "load": _load_mode,
    "stage_to": _stage_key,
    "settle": _settle,
    "lane": _name,
    "retries": _retries,
    "overdue": _overdue,
    "allow_empty": _flag,
    "exclude": _patterns,
    "window": _windows,
    "needs": _needs,
    "within": _within,
    "check": _check,
    "expect": _expect,
    "notify": _notify,
}


# Conflicts between routes.


def _repeated_names(drafts: list[_Draft]) -> list[Mistake]:
    """Includes invalid routes, because every route is identified by its name."""
    numbers: defaultdict[str, list[str]] = defaultdict(list)
    for number, draft in enumerate(drafts, start=1):
        if isinstance(draft.name, str):
            numbers[draft.name].append(str(number))
    return [
        Mistake(
            f"{len(shared)} routes have this name (numbers {', '.join(shared)})",
            "Rename all but one.",
            "name",
            name,
            route=name,
        )
        for name, shared in numbers.items()
        if len(shared) > 1
    ]


def _conflicts(routes: tuple[Route, ...], reports: tuple[str, str] | None) -> list[Mistake]:
    mistakes = [mistake for route in routes for mistake in _staging_loops(route, routes)]
    if reports is not None:
        mistakes += [mistake for route in routes for mistake in _report_loop(route, *reports)]
    mistakes += [mistake for pair in _rivals(routes) for mistake in _rivalry(*pair)]
    return mistakes + _shared_targets(routes) + _borrowed_lanes(routes) + _taken_needs(routes)


def _staging_loops(route: Route, routes: tuple[Route, ...]) -> Iterator[Mistake]:
    """A staged copy is an upload too, to the bucket that the original came from."""
    if route.stage_to is None:
        return
    for other in routes:
        if _share_a_bucket(route, other) and other.covers(route.stage_to):
            where = "lies under its own prefix" if other is route else f"matches route {_quote(other.name)}"
            yield Mistake(
                f"stage_to {_quote(route.stage_to)} {where}; every copy would trigger another load",
                "Use a key outside every route's prefix.",
                "stage_to",
                route.stage_to,
                route.name,
            )


def _report_loop(route: Route, bucket: str, prefix: str) -> Iterator[Mistake]:
    """A suffix does not prevent the loop, because the names of a report's files are not known here."""
    overlap = prefix.startswith(route.prefix) or route.prefix.startswith(prefix)
    if overlap and route.admits(bucket):
        yield Mistake(
            f"its prefix {_quote(route.prefix)} includes the reports in s3://{bucket}/{prefix}; every report would "
            "trigger a load",
            "Lengthen it, or name the route's bucket.",
            "prefix",
            route.prefix,
            route.name,
        )


def _rivals(routes: tuple[Route, ...]) -> Iterator[tuple[Route, Route]]:
    """The pairs that share a prefix or a `stage_to`, in the file's order. Of hundreds of routes few do."""
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, route in enumerate(routes):
        groups["prefix", route.prefix].append(number)
        if route.stage_to is not None:
            groups["stage_to", route.stage_to].append(number)
    for one, two in sorted({pair for numbers in groups.values() for pair in combinations(numbers, 2)}):
        yield routes[one], routes[two]


def _rivalry(one: Route, two: Route) -> Iterator[Mistake]:
    """What two routes must not share."""
    if (one.prefix, one.suffix, one.bucket) == (two.prefix, two.suffix, two.bucket):
        yield Mistake(
            f"it has the prefix, suffix and bucket of route {_quote(one.name)}, so either could load it",
            "Change one of the three, or remove a route.",
            "prefix",
            two.prefix,
            two.name,
        )
    staged_alike = one.stage_to is not None and one.stage_to == two.stage_to and _share_a_bucket(one, two)
    if staged_alike and one.lane_id != two.lane_id:
        yield Mistake(
            f"it stages to {_quote(two.stage_to or '')} like route {_quote(one.name)} but in another lane, so one "
            "would overwrite what the other is loading",
            "Use another stage_to, or give both the same lane.",
            "stage_to",
            two.stage_to,
            two.name,
        )


def _share_a_bucket(one: Route, two: Route) -> bool:
    return one.bucket is None or two.bucket is None or one.bucket == two.bucket


def _shared_targets(routes: tuple[Route, ...]) -> list[Mistake]:
    """CloudWorks runs an integration once at a time, so one integration must not be in two lanes."""
    first: dict[str, Route] = {}
    return [
        Mistake(
            f"it runs {route.target} in lane {_quote(route.lane_id)}, but route {_quote(other.name)} in lane "
            f"{_quote(other.lane_id)}; its runs would overlap",
            "Give both the same lane.",
            "lane",
            route.lane,
            route.name,
        )
        for route in routes
        if (other := first.setdefault(route.target, route)).lane_id != route.lane_id
    ]


def _borrowed_lanes(routes: tuple[Route, ...]) -> list[Mistake]:
    """A lane without a name has its target's id, so a lane with such a name would be shared by accident."""
    owners = {route.target: route for route in routes}
    return [
        Mistake(
            f"its lane {_quote(lane)} is the id of what route {_quote(owner.name)} runs",
            "Give the lane another name, in every route that shares it.",
            "lane",
            lane,
            route.name,
        )
        for route in routes
        if (lane := route.lane) and (owner := owners.get(lane)) and owner.target != route.target
    ]


def _taken_needs(routes: tuple[Route, ...]) -> list[Mistake]:
    """Needed files that a closer route takes, so that they never reach their own."""
    if not any(route.needs for route in routes):
        return []
    all_of_them = Routes(routes)
    return [
        Mistake(
            f"needs holds {_quote(name)}, but route {_quote(taker.name)} is closer to {_quote(route.prefix + name)} "
            "and takes it",
            "Correct one of the two routes.",
            "needs",
            name,
            route.name,
        )
        for route in routes
        for name in route.needs
        if (taker := all_of_them.match(route.bucket or "", route.prefix + name)) is not None and taker != route
    ]


# Wording.


def _unknown_key(key: str, known: Iterable[str]) -> Mistake:
    return Mistake(f"unknown key {_quote(key)}", _meant(key, known), key)


def _meant(text: str, known: Iterable[str]) -> str:
    """Which of the known words was probably meant."""
    from difflib import get_close_matches  # imported here because only mistakes need it

    nearest = get_close_matches(text.casefold(), known, n=1)
    return f"Did you mean {_quote(nearest[0])}?" if nearest else f"Known are: {', '.join(known)}."


def _kind(value: object) -> str:
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


def _quote(text: str) -> str:
    return quoted(text, _SHOWN_CHARACTERS)
