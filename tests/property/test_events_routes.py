"""Events and routes with any content that somebody may send or write."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote_plus

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from anaplan_autoload.domain.events import Drain, Load, Sweep, UnknownEvent, Upload, Uploads, parse
from anaplan_autoload.domain.near import explain
from anaplan_autoload.domain.routes import Route, Routes
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload.domain.routes_file.parsing import parse as parse_routes

ONE = "a2fb43a93bc84bcb9f37dd59a75eb940"
TWO = "b" * 32

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SURROGATE = re.compile("[\ud800-\udfff]")
TEXT = st.text(st.characters())
"""Surrogates too: JSON can contain them, and Python's decoder accepts them."""
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda key: len(key.encode()) <= 1024)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


# Events


def s3_record(key: str, size: int = 1, time: str = "2026-11-24T21:05:00.123Z") -> dict[str, object]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": time,
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "inbox"}, "object": {"key": key, "size": size, "sequencer": "00AB"}},
    }


def eventbridge(key: str) -> dict[str, object]:
    return {
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-11-24T21:05:00Z",
        "detail": {"bucket": {"name": "inbox"}, "object": {"key": key, "size": 1, "etag": "e", "sequencer": "00AB"}},
    }


def inside_sns(event: object) -> dict[str, object]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(event)}}]}


def uploads_of(event: object) -> tuple[Upload, ...]:
    parsed = parse(event)
    assert isinstance(parsed, Uploads)
    return parsed.uploads


@given(key=KEYS, safe=st.sampled_from(["", "/", "/!*'()"]), wrapped=st.booleans())
def test_any_key_survives_the_way_s3_writes_it(key: str, safe: str, wrapped: bool) -> None:
    event: dict[str, object] = {"Records": [s3_record(quote_plus(key, safe=safe))]}

    assert [upload.key for upload in uploads_of(inside_sns(event) if wrapped else event)] == [key]


@given(key=KEYS, wrapped=st.booleans())
def test_any_key_survives_the_way_eventbridge_writes_it(key: str, wrapped: bool) -> None:
    event = eventbridge(key)

    assert [upload.key for upload in uploads_of(inside_sns(event) if wrapped else event)] == [key]


@given(keys=st.lists(KEYS, min_size=1, max_size=5))
def test_both_ways_of_telling_an_upload_give_it_one_id(keys: list[str]) -> None:
    by_s3 = uploads_of({"Records": [s3_record(quote_plus(key)) for key in keys]})
    by_eventbridge = [uploads_of(eventbridge(key))[0] for key in dict.fromkeys(keys)]

    assert [upload.id for upload in by_s3] == [upload.id for upload in by_eventbridge]


MOMENTS = st.datetimes(
    min_value=datetime(2, 1, 1),
    max_value=datetime(9998, 1, 1),
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
)


@given(one=MOMENTS, two=MOMENTS | st.just(None))
def test_times_compare_as_text_to_the_millisecond(one: datetime, two: datetime | None) -> None:
    two = two or one + timedelta(milliseconds=1)
    first, second = ((time - EPOCH) // timedelta(milliseconds=1) for time in (one, two))

    told_first, told_second = (
        uploads_of({"Records": [s3_record("a.csv", time=time.isoformat())]})[0].event_time for time in (one, two)
    )

    assert (told_first < told_second, told_first == told_second) == (first < second, first == second)


WELL_FORMED: tuple[object, ...] = (
    {"Records": [s3_record("a.csv"), s3_record("b/", size=0)]},
    eventbridge("a.csv"),
    inside_sns({"Records": [s3_record("a.csv")]}),
    inside_sns(eventbridge("a.csv")),
    {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"},
    {"drain": "finance-model"},
    {"sweep": True},
    {"load": {"bucket": "inbox", "key": "a.csv", "version_id": "v", "request_id": "r"}},
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths to every part of a JSON value, including the value itself."""
    parts: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    return [path, *(place for step, part in parts for place in places(part, (*path, step)))]


LOST = object()
"""Instead of a replacement: remove the part."""


def replaced(value: object, path: tuple[str | int, ...], put: object) -> object:
    """A copy of a JSON value with one part replaced."""
    if not path:
        return put
    step, *rest = path
    if isinstance(value, dict):
        members = value | {step: replaced(value[step], tuple(rest), put)}
        return {key: member for key, member in members.items() if member is not LOST}
    assert isinstance(value, list)
    parts = [replaced(each, tuple(rest), put) if index == step else each for index, each in enumerate(value)]
    return [part for part in parts if part is not LOST]


@st.composite
def damaged_events(draw: st.DrawFn) -> object:
    """A real event, one to three parts of which are lost or replaced by anything."""
    event = draw(st.sampled_from(WELL_FORMED))
    for _ in range(draw(st.integers(1, 3))):
        event = replaced(event, draw(st.sampled_from(places(event))), draw(JSON | st.just(LOST)))
    return None if event is LOST else event


@given(event=JSON | damaged_events())
def test_any_event_is_understood_or_refused(event: object) -> None:
    try:
        parsed = parse(event)
    except UnknownEvent as refusal:
        assert str(refusal)
        assert "\n" not in str(refusal)
        return
    assert isinstance(parsed, Uploads | Drain | Sweep | Load)


@given(message=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | damaged_events().map(json.dumps))
def test_any_text_inside_sns_is_understood_or_refused(message: str) -> None:
    event = {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}}]}
    try:
        parsed = parse(event)
    except UnknownEvent as refusal:
        assert str(refusal)
        return
    assert isinstance(parsed, Uploads)


@given(
    described=st.fixed_dictionaries(
        {"key": TEXT}, optional={name: TEXT | st.none() for name in ("etag", "version-id", "sequencer")}
    )
)
def test_an_upload_that_is_understood_has_an_id_and_can_be_stored(described: dict[str, str | None]) -> None:
    event = eventbridge("") | {"detail": {"bucket": {"name": "inbox"}, "object": described}}
    try:
        (upload,) = uploads_of(event)
    except UnknownEvent:
        assert described["key"] == "" or any(SURROGATE.search(text) for text in described.values() if text)
        return
    assert len(upload.id) == 64
    assert msgspec.json.decode(msgspec.json.encode(upload), type=Upload) == upload


# Routes

PREFIXES = st.text("ab/", max_size=4).filter(lambda prefix: not prefix.startswith("/"))
SUFFIXES = st.text("ab.", max_size=3)
BUCKETS = st.sampled_from(["bucket-1", "bucket-2"])


@st.composite
def route_lists(draw: st.DrawFn) -> list[Route]:
    """Valid routes made of few values, so that prefixes, suffixes and buckets often overlap."""
    kinds = draw(st.lists(st.tuples(PREFIXES, SUFFIXES, st.none() | BUCKETS), min_size=1, max_size=8, unique=True))
    return [
        Route(name=f"r{number}", prefix=prefix, suffix=suffix, bucket=bucket, integration=ONE)
        for number, (prefix, suffix, bucket) in enumerate(kinds)
    ]


def toml(routes: list[Route]) -> str:
    """A routes file; JSON's texts and numbers are TOML's as well."""
    tables: list[dict[str, object]] = [msgspec.to_builtins(route) for route in routes]
    return "\n".join(
        "\n".join(["[[route]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]) for table in tables
    )


def beats(one: Route, two: Route) -> bool:
    """The rule as the documentation words it."""
    if len(one.prefix) != len(two.prefix):
        return len(one.prefix) > len(two.prefix)
    if (one.bucket is None) != (two.bucket is None):
        return two.bucket is None
    return len(one.suffix) > len(two.suffix)


@given(routes=route_lists(), bucket=BUCKETS, key=st.text("ab/.", max_size=8))
def test_the_route_that_matches_is_the_one_that_beats_all_others_that_do(
    routes: list[Route], bucket: str, key: str
) -> None:
    rivals = [
        route
        for route in routes
        if key[: len(route.prefix)] == route.prefix
        and (not route.suffix or key[-len(route.suffix) :] == route.suffix)
        and route.bucket in (None, bucket)
    ]

    found = parse_routes(toml(routes), "routes.toml").match(bucket, key)

    assert [found] == [route for route in rivals if all(beats(route, two) for two in rivals if two is not route)] or (
        found is None and not rivals
    )


@given(routes=route_lists(), bucket=BUCKETS, key=st.text("ab/.", max_size=8))
def test_an_explanation_agrees_with_the_match(routes: list[Route], bucket: str, key: str) -> None:
    found = Routes(tuple(routes))

    explained = explain(found, bucket, key)

    assert explained.route == found.match(bucket, key)
    assert explained.why
    assert explained.route not in [miss.route for miss in explained.near_misses]
    assert {miss.route.name for miss in explained.near_misses} >= {
        route.name for route in routes if route.matches(bucket, key) and route != explained.route
    }


@given(routes=route_lists(), stage_to=st.builds("{}x{}".format, PREFIXES, SUFFIXES), stager=st.integers(0, 7))
def test_a_stage_to_is_refused_exactly_when_a_copy_would_be_loaded_again(
    routes: list[Route], stage_to: str, stager: int
) -> None:
    stager %= len(routes)
    routes[stager] = msgspec.structs.replace(routes[stager], load="each", stage_to=stage_to)
    buckets = [bucket for bucket in ("bucket-1", "bucket-2", "bucket-3") if routes[stager].admits(bucket)]
    loops = any(Routes(tuple(routes)).match(bucket, stage_to) for bucket in buckets)

    try:
        found = parse_routes(toml(routes), "routes.toml")
    except RoutesInvalid as refusal:
        assert loops
        assert all("every copy would trigger another load" in finding for finding in map(str, refusal.mistakes))
        return
    assert not loops
    assert all(found.is_staged(bucket, stage_to) for bucket in buckets)


@given(routes=route_lists(), bucket=BUCKETS, prefix=PREFIXES, rest=st.text("ab/.", max_size=6))
def test_no_route_of_an_accepted_file_matches_a_report(
    routes: list[Route], bucket: str, prefix: str, rest: str
) -> None:
    loops = Routes(tuple(routes)).match(bucket, prefix + rest) is not None

    try:
        parse_routes(toml(routes), "routes.toml", (bucket, prefix))
    except RoutesInvalid as refusal:
        assert all("every report would trigger a load" in finding for finding in map(str, refusal.mistakes))
        return
    assert not loops


@given(days=st.integers(0, 999), hours=st.integers(0, 999), minutes=st.integers(0, 999), seconds=st.integers(60, 999))
def test_a_length_of_time_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    written = "".join(f"{count}{unit}" for count, unit in parts if count)
    text = f'[[route]]\nname = "a"\nprefix = "a/"\nflow = "{TWO}"\noverdue = "{written}"'

    (route,) = parse_routes(text, "routes.toml")

    assert route.overdue == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


TOML_VALUES = st.one_of(
    st.text(max_size=40).map(json.dumps),
    st.integers().map(str),
    st.booleans().map(json.dumps),
    st.floats().map(str),
    st.sampled_from(
        [
            *('"latest"', '"each"', '"30s"', '"1m1m"', '"in/"', '"in/x.csv"', '"/in"', '"s3://in"', '"bucket-1"'),
            *(f'"{ONE}"', f'"{TWO}"', "[]", "{}", "2026-11-24", '["a"]', "''", '"""a\nb"""', "1979-05-27T07:32:00Z"),
        ]
    ),
)
ROUTE_KEYS = st.sampled_from([*Route.__struct_fields__, "integratoin", "prefixes", '"a b"'])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Almost a routes file: mostly the right keys, with values of every kind."""
    lines: list[str] = []
    for header in draw(st.lists(st.sampled_from(["[[route]]"] * 6 + ["[route]", "[[routes]]", ""]), max_size=4)):
        lines.append(header)
        pairs = draw(st.dictionaries(ROUTE_KEYS, TOML_VALUES, max_size=8))
        lines += [f"{key} = {value}" for key, value in pairs.items()]
    return "\n".join(lines)


@given(text=documents() | st.text())
def test_any_file_is_accepted_or_refused_with_findings_of_one_line_each(text: str) -> None:
    try:
        found = parse_routes(text, "routes.toml", ("bucket-1", "reports/"))
    except RoutesInvalid as refusal:
        assert refusal.mistakes
        assert str(refusal).splitlines() == list(map(str, refusal.mistakes))
        assert all(finding.startswith("routes.toml: ") for finding in map(str, refusal.mistakes))
        return
    assert len(found) > 0
    assert all(route.target for route in found)
