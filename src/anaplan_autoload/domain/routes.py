"""Finds the route of an upload: which integration or flow loads it, and how.

Users write routes as a TOML text. It is rejected as a whole if anything in it is wrong, so that mistakes show when the
routes are pushed and not when a file arrives.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct, convert

from anaplan_autoload.domain.litter import excluded_by
from anaplan_autoload.domain.outcomes import ReportOutcome

Load = Literal["latest", "each"]

MAX_SETTLE = 15 * 60
"""Seconds: the longest `settle`."""
MIN_OVERDUE = 60
"""Seconds: the shortest `overdue`."""
MAX_RETRIES = 5
"""The most `retries`, which come after 1, 2, 4, 8 and 16 minutes."""

_KEY_BYTES = 1024  # S3's own limit
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # names of old buckets may break today's rules
_ID = re.compile(r"[0-9a-f]{32}")
_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_UNIT_SECONDS = (86_400, 3_600, 60, 1)


class RoutesInvalid(ValueError):
    """A routes file that cannot be used. The text has one line for each mistake: file, route, reason and remedy."""

    findings: tuple[str, ...]

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(self.findings))


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
    """Patterns of names that are no uploads, besides those that never are."""
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
        """How many there are: none where nobody has pushed any yet."""
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
        raise RoutesInvalid([f"{path}: it is not UTF-8 text. Save it as UTF-8."]) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RoutesInvalid([f"{path}: it cannot be read ({reason}). Put the routes file there."]) from None
    return parse(text, str(path), reports)


def parse(text: str, name: str, reports: tuple[str, str] | None = None) -> Routes:
    """The routes in a TOML text; `name` is what findings call the file, `reports` as for `load`.

    Raises:
        RoutesInvalid: the text has mistakes; the error lists all of them.
    """
    tables, findings = _tables(text)
    drafts = [_draft(number, table) for number, table in enumerate(tables, start=1)]
    findings += [finding for draft in drafts for finding in draft.findings]
    findings += _repeated_names(drafts)
    sound = tuple(draft.route for draft in drafts if draft.route is not None)
    findings += _conflicts(sound, reports)
    if findings:
        raise RoutesInvalid(f"{name}: {finding}" for finding in findings)
    return Routes(sound)


def _closeness(route: Route) -> tuple[int, bool, int]:
    return len(route.prefix), route.bucket is not None, len(route.suffix)


# Reading the file. A finding is everything after the file's name: `route "accounts": reason. Remedy.`


class _Draft(Struct, frozen=True):
    """A `[[route]]`, as far as it could be understood."""

    label: str
    name: object
    route: Route | None
    """None if anything in it is wrong."""
    findings: tuple[str, ...]


def _tables(text: str) -> tuple[list[object], list[str]]:
    """The `[[route]]` tables, not checked yet, and the mistakes outside of them."""
    try:
        document: dict[str, object] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: very long numbers and deep nesting too
        reason = "it nests too deep" if isinstance(error, RecursionError) else error
        return [], [f"it is not valid TOML: {reason}. Correct it there."]
    findings = [_unknown_key(key, ["route"]) for key in document if key != "route"]
    tables = document.get("route", [])
    if not isinstance(tables, list):
        return [], [*findings, "route is not a list of tables. Begin every route with [[route]], in double brackets."]
    if not tables and not findings:
        findings.append("it holds no route, so nothing would ever be loaded. Add a [[route]].")
    return tables, findings


def _draft(number: int, table: object) -> _Draft:
    """Check every value of one table, then how they fit together."""
    if not isinstance(table, dict):
        label = f"route {number}"
        return _Draft(label, None, None, (f"{label}: it is not a table. Begin every route with [[route]].",))
    name = table.get("name")
    label = f"route {_quote(name)}" if isinstance(name, str) and name else f"route {number}"
    values, wrong = _values(table)
    wrong += _missing(table) + _load_mistakes(table, values) + _exclude_mistakes(values)
    route = None if wrong else convert(values, Route)
    return _Draft(label, name, route, tuple(f"{label}: {reason}" for reason in wrong))


def _values(table: dict[str, object]) -> tuple[dict[str, object], list[str]]:
    """The valid values, as `Route` holds them, and a reason for each invalid one."""
    values: dict[str, object] = {}
    wrong: list[str] = []
    for key, value in table.items():
        if key not in _CHECKS:
            wrong.append(_unknown_key(key, _CHECKS))
            continue
        try:
            values[key] = _CHECKS[key](value)
        except _Wrong as reason:
            wrong.append(f"{key} {reason}")
    return values, wrong


def _missing(table: dict[str, object]) -> list[str]:
    reasons = [
        f"{key} is missing. Add it, as in {example}."
        for key, example in (
            ("name", 'name = "accounts"'),
            ("prefix", 'prefix = "incoming/accounts/"'),
        )
        if key not in table
    ]
    targets = {"integration", "flow"} & table.keys()
    if not targets:
        reasons.append('it runs nothing. Add integration = "…" or flow = "…", the id of what loads its uploads.')
    if len(targets) == 2:
        reasons.append("it names an integration and a flow. Keep the one that loads its uploads.")
    return reasons


def _load_mistakes(table: dict[str, object], values: dict[str, object]) -> list[str]:
    """`stage_to` and `load = "each"` only work together."""
    if "load" in table and "load" not in values:
        return []  # the value is invalid, which was reported already
    each = values.get("load", "latest") == "each"
    if each and "stage_to" not in table:
        return ['load = "each" needs a stage_to. Name the key that its integration reads: stage_to = "source/…".']
    if not each and "stage_to" in table:
        return ['stage_to is set, but load = "latest" copies nothing. Set load = "each", or leave stage_to out.']
    return []


def _exclude_mistakes(values: dict[str, object]) -> list[str]:
    """A pattern that takes every upload that the suffix lets through."""
    suffix, patterns = values.get("suffix", ""), values.get("exclude", [])
    if not isinstance(suffix, str) or not suffix or not isinstance(patterns, list):
        return []
    name = suffix.rpartition("/")[2]
    return [
        f"exclude holds {_quote(pattern)}, and with the suffix {_quote(suffix)} would ignore every upload. "
        "Correct one of the two."
        for pattern in patterns
        if pattern == name or (pattern.startswith("*") and name.endswith(pattern.lstrip("*")))
    ]


class _Wrong(Exception):
    """Why a value cannot be used, as words that follow the key's name."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f'is {_kind(value)}, not text. Write it in double quotes: "…".')
    return value


def _name(value: object) -> str:
    if not _NAME.fullmatch(text := _text(value)):
        raise _Wrong(
            f"{_quote(text)} is not a valid name. Use 1 to 63 letters, digits, dots, dashes and underscores, "
            "a letter or digit first."
        )
    return text


def _bucket(value: object) -> str:
    if not _BUCKET.fullmatch(text := _text(value)):
        raise _Wrong(f"{_quote(text)} is not a bucket name. Write the name only, without s3:// and without a key.")
    return text


def _id(value: object) -> str:
    if not _ID.fullmatch(text := _text(value)):
        raise _Wrong(f"{_quote(text)} is not a valid id. Copy it from CloudWorks: 32 digits and letters a to f.")
    return text


def _load_mode(value: object) -> str:
    if (text := _text(value)) not in ("latest", "each"):
        raise _Wrong(f'{_quote(text)} is unknown. Write "latest" or "each".')
    return text


def _key_part(value: object) -> str:
    text = _text(value)
    if len(text.encode(errors="surrogatepass")) > _KEY_BYTES:
        raise _Wrong(f"is longer than {_KEY_BYTES} bytes, the limit for keys in S3. Shorten it.")
    return text


def _key_start(value: object) -> str:
    text = _key_part(value)
    if text.startswith(("/", "s3://")):
        raise _Wrong(f"{_quote(text)} begins with a slash or s3://, but keys in S3 do not. Write the key only.")
    return text


def _stage_key(value: object) -> str:
    text = _key_start(value)
    if not text or text.endswith("/"):
        raise _Wrong(f"{_quote(text)} is not the key of a file. Name the file that the integration reads.")
    return text


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"is {_kind(value)}. Write true or false.")
    return value


def _patterns(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _Wrong(f'is {_kind(value)}, not a list. Write it in brackets: ["*.bak"].')
    return [_pattern(each) for each in value]


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f'holds {_kind(value)}, not text. Write each pattern in double quotes: ["*.bak"].')
    if not value.strip():
        raise _Wrong('holds an empty pattern. Leave it out, or write what to ignore: ["*.bak"].')
    if "/" in value or "\\" in value:
        raise _Wrong(
            f"holds {_quote(value)}, but patterns are held against a key's last part, which has no slash. "
            "Write the name alone, or another prefix to leave out a folder."
        )
    if not value.strip("*"):
        raise _Wrong(
            f"holds {_quote(value)}, which would ignore every upload. Remove the route, or narrow the pattern."
        )
    return _key_part(value)


def _expect(value: object) -> str:
    from anaplan_autoload.domain.schedule import ScheduleInvalid, due  # only routes that use it pay for zone data

    try:
        due(text := _text(value))
    except ScheduleInvalid as reason:
        raise _Wrong(f"cannot be used: {reason}") from None
    return text


def _notify(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _Wrong(f'is {_kind(value)}, not a list. Write it in brackets: ["failed", "partial"].')
    return [_outcome(each) for each in value]


def _outcome(value: object) -> str:
    known = get_args(ReportOutcome)
    if not isinstance(value, str):
        raise _Wrong(f'holds {_kind(value)}, not text. Write each outcome in double quotes: ["failed", "partial"].')
    if value not in known:
        raise _Wrong(f"holds the unknown outcome {_quote(value)}. {_meant(value, known)}")
    return value


def _retries(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Wrong(f"is {_kind(value)}. Write a number from 0 to {MAX_RETRIES}.")
    if not 0 <= value <= MAX_RETRIES:
        raise _Wrong(f"is not between 0 and {MAX_RETRIES}. Write a number from 0 to {MAX_RETRIES}.")
    return value


def _settle(value: object) -> int:
    if (length := _seconds(value)) > MAX_SETTLE:
        raise _Wrong(f'{_quote(_text(value))} is too long. Write "15m" or less.')
    return length


def _overdue(value: object) -> int:
    if (length := _seconds(value)) < MIN_OVERDUE:
        raise _Wrong(f'{_quote(_text(value))} is too short. Write "1m" or more.')
    return length


def _seconds(value: object) -> int:
    """`"1h30m"` in seconds: days, hours, minutes, seconds, in this order, each at most once."""
    text = value if isinstance(value, str) else ""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        what = f"{_quote(text)} is not a duration" if isinstance(value, str) else f"is {_kind(value)}"
        raise _Wrong(f'{what}. Write it as in "30s", "2h" or "1h30m", in quotes.')
    return sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNIT_SECONDS, strict=True))


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
    "expect": _expect,
    "notify": _notify,
}


# Conflicts between routes.


def _repeated_names(drafts: list[_Draft]) -> list[str]:
    """Includes invalid routes, because every route is identified by its name."""
    numbers: defaultdict[str, list[str]] = defaultdict(list)
    for number, draft in enumerate(drafts, start=1):
        if isinstance(draft.name, str):
            numbers[draft.name].append(str(number))
    return [
        f"route {_quote(name)}: {len(shared)} routes have this name (numbers {', '.join(shared)}). Rename all but one."
        for name, shared in numbers.items()
        if len(shared) > 1
    ]


def _conflicts(routes: tuple[Route, ...], reports: tuple[str, str] | None) -> list[str]:
    findings = [finding for route in routes for finding in _staging_loops(route, routes)]
    if reports is not None:
        findings += [finding for route in routes for finding in _report_loop(route, *reports)]
    findings += [finding for pair in _rivals(routes) for finding in _rivalry(*pair)]
    return findings + _shared_targets(routes) + _borrowed_lanes(routes)


def _staging_loops(route: Route, routes: tuple[Route, ...]) -> Iterator[str]:
    """A staged copy is an upload too, to the bucket that the original came from."""
    if route.stage_to is None:
        return
    for other in routes:
        if _share_a_bucket(route, other) and other.covers(route.stage_to):
            where = "lies under its own prefix" if other is route else f"matches route {_quote(other.name)}"
            yield (
                f"route {_quote(route.name)}: stage_to {_quote(route.stage_to)} {where}; every copy would trigger "
                "another load. Use a key outside every route's prefix."
            )


def _report_loop(route: Route, bucket: str, prefix: str) -> Iterator[str]:
    """A suffix does not prevent the loop, because the names of a report's files are not known here."""
    overlap = prefix.startswith(route.prefix) or route.prefix.startswith(prefix)
    if overlap and route.admits(bucket):
        yield (
            f"route {_quote(route.name)}: its prefix {_quote(route.prefix)} includes the reports in "
            f"s3://{bucket}/{prefix}; every report would trigger a load. Lengthen it, or name the route's bucket."
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


def _rivalry(one: Route, two: Route) -> Iterator[str]:
    """What two routes must not share."""
    label = f"route {_quote(two.name)}"
    if (one.prefix, one.suffix, one.bucket) == (two.prefix, two.suffix, two.bucket):
        yield (
            f"{label}: it has the prefix, suffix and bucket of route {_quote(one.name)}, so either could load it. "
            "Change one of the three, or remove a route."
        )
    staged_alike = one.stage_to is not None and one.stage_to == two.stage_to and _share_a_bucket(one, two)
    if staged_alike and one.lane_id != two.lane_id:
        yield (
            f"{label}: it stages to {_quote(two.stage_to or '')} like route {_quote(one.name)} but in another lane, so "
            "one would overwrite what the other is loading. Use another stage_to, or give both the same lane."
        )


def _share_a_bucket(one: Route, two: Route) -> bool:
    return one.bucket is None or two.bucket is None or one.bucket == two.bucket


def _shared_targets(routes: tuple[Route, ...]) -> list[str]:
    """CloudWorks runs an integration once at a time, so one integration must not be in two lanes."""
    first: dict[str, Route] = {}
    return [
        f"route {_quote(route.name)}: it runs {route.target} in lane {_quote(route.lane_id)}, but route "
        f"{_quote(other.name)} in lane {_quote(other.lane_id)}; its runs would overlap. Give both the same lane."
        for route in routes
        if (other := first.setdefault(route.target, route)).lane_id != route.lane_id
    ]


def _borrowed_lanes(routes: tuple[Route, ...]) -> list[str]:
    """A lane without a name has its target's id, so a lane with such a name would be shared by accident."""
    owners = {route.target: route for route in routes}
    return [
        f"route {_quote(route.name)}: its lane {_quote(lane)} is the id of what route {_quote(owner.name)} runs. "
        "Give the lane another name, in every route that shares it."
        for route in routes
        if (lane := route.lane) and (owner := owners.get(lane)) and owner.target != route.target
    ]


# Wording.


def _unknown_key(key: str, known: Iterable[str]) -> str:
    return f"unknown key {_quote(key)}. {_meant(key, known)}"


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
    """In double quotes, on one line, shortened."""
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    return '"' + "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown) + '"'
