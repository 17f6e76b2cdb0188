"""The versions of the routes in the table, and which of them a function instance works with."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from anaplan_autoload.aws import routes_store
from anaplan_autoload.aws.routes_in_use import EARLIER_VERSIONS, RoutesInUse
from anaplan_autoload.aws.routes_store import RoutesStore, TooLarge, Version
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ADA, BOB = "arn:aws:iam::123456789012:user/ada", "arn:aws:iam::123456789012:user/bob"
AT = 1_795_609_818_706
FRESH_MS = 30_000
BROKEN = "[[route]]\nname = "


def text(name: str) -> str:
    """A routes file with one route."""
    return f'[[route]]\nname = "{name}"\nprefix = "{name}/"\nintegration = "{"a" * 32}"\n'


@pytest.fixture
def table() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        yield client


@pytest.fixture
def store(table: DynamoDBClient) -> RoutesStore:
    return RoutesStore(table, "ledger")


def push(store: RoutesStore, toml: str, author: str = ADA, comment: str = "") -> Version:
    pushed = store.push(toml, replaces=store.current(), author=author, comment=comment, now=AT)
    assert pushed is not None
    return pushed


def change(table: DynamoDBClient, sort_key: str, **attributes: Any) -> None:
    """A hand in the table; None removes an attribute."""
    item = table.get_item(TableName="ledger", Key={"pk": {"S": "routes"}, "sk": {"S": sort_key}})["Item"]
    changed = {name: value for name, value in (item | attributes).items() if value is not None}
    table.put_item(TableName="ledger", Item=changed)


# The store.


@pytest.mark.parametrize(
    "toml",
    [
        text("a"),
        text("a").replace("\n", "\r\n"),
        text("a") + "# Größe: ≥ 5 🙂",
        f"{text('a')}\n\n\n",
        "# no end of line",
    ],
)
def test_a_text_is_kept_as_its_author_wrote_it(store: RoutesStore, toml: str) -> None:
    push(store, toml, BOB, "why not")

    found = store.current()

    assert found is not None and found.flaw is None
    assert (found.number, found.text, found.author, found.comment) == (1, toml, BOB, "why not")
    assert found.at == "2026-11-25T12:30:18.706Z"
    assert store.version(1) == found


def test_every_version_is_kept_and_the_newest_comes_first(store: RoutesStore) -> None:
    for number in range(1, 25):  # more than a page
        push(store, text(f"r{number}"))

    assert [version.number for version in store.versions()] == list(range(24, 0, -1))
    assert [store.version(number).text for number in (1, 24)] == [text("r1"), text("r24")]  # type: ignore[union-attr]
    assert store.version(25) is None and store.version(0) is None and store.version(10**12) is None


def test_of_two_who_saw_the_same_version_one_pushes(store: RoutesStore) -> None:
    push(store, text("first"))
    seen_by_both = store.current()

    ada = store.push(text("ada"), replaces=seen_by_both, author=ADA, comment="", now=AT)
    bob = store.push(text("bob"), replaces=seen_by_both, author=BOB, comment="", now=AT)

    assert ada is not None and ada.number == 2
    assert bob is None
    assert [version.text for version in store.versions()] == [text("ada"), text("first")]
    assert store.current() == store.version(2)


def test_of_two_first_pushes_one_is_made(store: RoutesStore) -> None:
    assert store.push(text("ada"), replaces=None, author=ADA, comment="", now=AT) is not None
    assert store.push(text("bob"), replaces=None, author=BOB, comment="", now=AT) is None


def test_hundreds_of_routes_with_every_key_and_a_comment_fit(store: RoutesStore) -> None:
    ids = [zlib.crc32(str(number).encode()) for number in range(500)]
    routes = "".join(
        f"# Owned by team {number % 17}, see ticket FIN-{number * 7919 % 9973}. Ask before you change the window.\n"
        f'[[route]]\nname = "subledger-{number:03}"\nprefix = "incoming/region-{number % 9}/subledger-{number:03}/"\n'
        f'suffix = ".csv"\nintegration = "{identity:032x}"\nload = "each"\n'
        f'stage_to = "source/subledger-{number:03}.csv"\n'
        f'settle = "30s"\nlane = "model-{number % 40}"\nretries = 2\noverdue = "2h"\nallow_empty = false\n'
        f"# columns: {', '.join(f'Column {column} of {number}' for column in range(40))}\n\n"
        for number, identity in enumerate(ids)
    )

    pushed = push(store, routes)

    assert len(routes) > 400 * 1024
    assert store.current() == pushed


@pytest.mark.parametrize(("limit", "said"), [("MAX_TEXT", "bytes long; the ledger"), ("MAX_STORED", "compression")])
def test_what_does_not_fit_is_refused_with_its_length(
    store: RoutesStore, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    monkeypatch.setattr(routes_store, limit, 50)

    with pytest.raises(TooLarge, match=said):
        push(store, text("a"))
    assert store.current() is None


def test_a_comment_that_is_too_long_is_refused(store: RoutesStore) -> None:
    with pytest.raises(TooLarge, match="1001 characters"):
        push(store, text("a"), comment="x" * 1001)


FLAWS: list[dict[str, Any]] = [
    {"toml": {"S": text("a")}},
    {"toml": None},
    {"toml": {"B": b"not compressed"}},
    {"toml": {"B": zlib.compress(text("a").encode())[:-5]}},
    {"toml": {"B": zlib.compress(b"\xff\xfe")}},
    {"toml": {"B": zlib.compress(b"#" * (routes_store.MAX_TEXT + 1))}},
    {"version": {"S": "two"}},
    {"version": None},
    {"version": {"N": "2.5"}},
]


@pytest.mark.parametrize("attributes", FLAWS)
def test_a_hand_in_the_table_shows_as_a_flaw_and_the_next_push_mends_it(
    table: DynamoDBClient, store: RoutesStore, attributes: dict[str, Any]
) -> None:
    push(store, text("a"))
    change(table, "current", **attributes)

    found = store.current()
    assert found is not None and found.flaw
    with pytest.raises(RoutesInvalid, match="Push the routes again"):
        found.routes(None)

    assert push(store, text("b")).number == 2
    mended = store.current()
    assert mended is not None and mended.flaw is None and mended.text == text("b")


@pytest.mark.parametrize("attributes", [{"author": None}, {"at": {"N": "5"}}, {"comment": {"BOOL": True}}])
def test_who_and_when_may_be_missing(table: DynamoDBClient, store: RoutesStore, attributes: dict[str, Any]) -> None:
    push(store, text("a"))
    change(table, "current", **attributes)

    found = store.current()

    assert found is not None and [route.name for route in found.routes(None)] == ["a"]


# Which of them is in use.


def names(known: RoutesInUse) -> list[str] | None:
    return None if known.routes is None else [route.name for route in known.routes]


def test_a_push_is_seen_thirty_seconds_after_the_last_look_and_not_before(store: RoutesStore) -> None:
    push(store, text("a"))
    known = RoutesInUse(store, None)
    assert known.refresh(AT) is None and names(known) == ["a"]
    push(store, text("b"))

    known.refresh(AT + FRESH_MS - 1)
    assert names(known) == ["a"]
    known.refresh(AT + FRESH_MS)
    assert (names(known), known.version) == (["b"], 2)


def test_a_clock_that_is_set_back_does_not_keep_old_routes(store: RoutesStore) -> None:
    push(store, text("a"))
    known = RoutesInUse(store, None)
    known.refresh(AT)
    push(store, text("b"))

    known.refresh(AT - 3_600_000)

    assert names(known) == ["b"]


def test_without_any_version_there_are_no_routes_and_no_trouble(store: RoutesStore) -> None:
    known = RoutesInUse(store, None)

    assert known.refresh(AT) is None
    assert names(known) == []


def test_the_last_good_one_stays_in_use_and_each_look_says_why(store: RoutesStore) -> None:
    push(store, text("a"))
    known = RoutesInUse(store, None)
    known.refresh(AT)
    push(store, BROKEN)

    for look in (1, 2):
        trouble = known.refresh(AT + look * FRESH_MS)
        assert trouble is not None and "routes version 2: it is not valid TOML" in trouble
        assert (names(known), known.version) == (["a"], 1)
    push(store, text("c"))
    assert known.refresh(AT + 3 * FRESH_MS) is None
    assert names(known) == ["c"]


def test_a_new_instance_goes_back_to_the_newest_version_that_it_understands(store: RoutesStore) -> None:
    for toml in (text("a"), text("b"), BROKEN, text("c").replace("prefix", "prefx"), "# nothing"):
        push(store, toml)
    known = RoutesInUse(store, None)

    trouble = known.refresh(AT)

    assert trouble is not None and "version 5" in trouble
    assert (names(known), known.version) == (["b"], 2)


def test_it_goes_back_so_far_and_no_further(store: RoutesStore) -> None:
    push(store, text("a"))
    for _ in range(EARLIER_VERSIONS):
        push(store, BROKEN)
    known = RoutesInUse(store, None)

    assert known.refresh(AT) is not None
    assert names(known) is None


@pytest.mark.parametrize("attributes", FLAWS)
def test_a_flaw_leaves_the_last_good_one_in_use(
    table: DynamoDBClient, store: RoutesStore, attributes: dict[str, Any]
) -> None:
    push(store, text("a"))
    change(table, "current", **attributes)
    known = RoutesInUse(store, None)

    assert known.refresh(AT) is not None
    assert (names(known), known.version) == (["a"], 1)


@pytest.mark.parametrize("warm", [True, False])
def test_routes_that_are_deleted_in_the_ledger_are_trouble_and_the_last_ones_stay(
    table: DynamoDBClient, store: RoutesStore, warm: bool
) -> None:
    push(store, text("a"))
    known = RoutesInUse(store, None)
    if warm:
        known.refresh(AT)
    table.delete_item(TableName="ledger", Key={"pk": {"S": "routes"}, "sk": {"S": "current"}})

    trouble = known.refresh(AT + FRESH_MS)

    assert trouble is not None and "no routes in use any more" in trouble
    assert names(known) == ["a"]


def test_routes_that_would_load_our_own_reports_are_not_understood(store: RoutesStore) -> None:
    push(store, text("reports"))
    known = RoutesInUse(store, ("inbox", "reports/"))

    trouble = known.refresh(AT)

    assert trouble is not None and "includes the reports" in trouble


def test_many_findings_are_told_in_one_short_line(store: RoutesStore) -> None:
    push(store, "".join(f"[[route]]\nname = {number}\n" for number in range(100)))
    trouble = RoutesInUse(store, None).refresh(AT)

    assert trouble is not None and len(trouble) < 1_500 and "more." in trouble and "\n" not in trouble


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["good", "bad"]),
        st.integers(1, 2 * FRESH_MS).map(lambda ms: f"wait {ms}"),
        st.just("new instance"),
    ),
    max_size=EARLIER_VERSIONS - 1,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(steps=STEPS)
def test_in_use_is_the_newest_good_version_as_of_a_look_at_most_thirty_seconds_ago(
    table: DynamoDBClient, store: RoutesStore, steps: list[str]
) -> None:
    for item in table.scan(TableName="ledger")["Items"]:
        table.delete_item(TableName="ledger", Key={"pk": item["pk"], "sk": item["sk"]})
    push(store, text("first"))
    known, now, newest_good = RoutesInUse(store, None), AT, "first"
    looked_at: int | None = None
    expected = ""
    for number, step in enumerate(steps):
        match step.split():
            case ["good"]:
                push(store, text(newest_good := f"r{number}"))
            case ["bad"]:
                push(store, BROKEN)
            case ["wait", ms]:
                now += int(ms)
            case _:
                known, looked_at = RoutesInUse(store, None), None
        known.refresh(now)
        if looked_at is None or now - looked_at >= FRESH_MS:
            looked_at, expected = now, newest_good
        assert names(known) == [expected]
