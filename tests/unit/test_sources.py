"""What a run reads, and which uploads it therefore does not load."""

from __future__ import annotations

import unicodedata

import pytest
from msgspec import json
from msgspec.structs import replace

from anaplan_autoload.domain.events import Upload
from anaplan_autoload.domain.protocol import Waiting, select
from anaplan_autoload.domain.routes import Route
from anaplan_autoload.domain.sources import (
    FRESH_MS,
    MOST_BYTES,
    Reads,
    Source,
    digest,
    is_unread,
    remembered,
    sources_of,
    why_unread,
)
from anaplan_autoload.domain.tenant import End, Integration, Job

KEY = "incoming/Accounts.csv"
LATEST = Route(name="accounts", prefix="incoming/", integration="a" * 32)
EACH = replace(LATEST, load="each", stage_to="source/Accounts.csv")
MARKED = replace(LATEST, suffix="_SUCCESS", allow_empty=True)
BUCKET = "inbox"
ANAPLAN = End("Anaplan", action_id="116000000001")


def reading(*files: str | None, kind: str = "AmazonS3", bucket: str | None = BUCKET) -> Integration:
    jobs = [Job(f"{kind}ToAnaplan", (End(kind, "c" * 32, file, bucket_name=bucket),)) for file in files]
    return Integration("a" * 32, "Accounts", "import", jobs=tuple(jobs))


def upload(key: str, size: int | None = 10, bucket: str = BUCKET) -> Upload:
    return Upload(bucket, key, "2026-11-24T21:05:00.123Z", size=size)


def reads(at: int, files: int, key: str = "k" * 100) -> Reads:
    """What was found at a time: so many files, each of about as many bytes as its key."""
    return Reads(digest(LATEST), at, tuple(Source(f"{key}{number}", BUCKET) for number in range(files)))


def test_a_lane_of_many_routes_forgets_what_it_found_first() -> None:
    lane: dict[str, Reads] = {}
    for number in range(300):
        route = replace(LATEST, name=f"r{number}")
        lane = remembered(lane, route, reads(number, 5))

    assert len(json.encode(lane)) <= MOST_BYTES + 300
    assert list(lane)[:3] == ["r299", "r298", "r297"] and 80 < len(lane) < 120


def test_what_is_too_much_for_a_lane_counts_as_not_known() -> None:
    kept = remembered({"other": reads(FRESH_MS, 1), "old": reads(0, 1)}, LATEST, reads(FRESH_MS, 1_000))

    assert kept == {"accounts": replace(reads(FRESH_MS, 1), sources=None), "other": reads(FRESH_MS, 1)}


EXPORT = Integration("b" * 32, "Export", "export", jobs=(Job("AnaplanToAmazonS3", (ANAPLAN,)),))
PROCESS = Integration("d" * 32, "Process", "process", jobs=None)
ODD = Integration("e" * 32, "Odd", "import", jobs=(Job("AmazonS3ToAnaplan", ()),))
NEWER = Integration("f" * 32, "Newer", "import", jobs=(Job("CloudToAnaplan", (End("S3Folder", file=KEY),)),))


@pytest.mark.parametrize(
    ("integrations", "expected"),
    [
        ([reading(KEY)], [KEY]),
        ([reading("a.csv", "b.csv", "a.csv")], ["a.csv", "b.csv"]),
        ([reading("a.csv"), reading("b.csv")], ["a.csv", "b.csv"]),
        ([reading("a.csv"), EXPORT], ["a.csv"]),
        ([reading("a.csv"), reading("b.csv", kind="AzureBlob")], ["a.csv"]),
        # Unknown, or not in S3 at all:
        ([], None),
        ([EXPORT], None),
        ([reading()], None),
        ([PROCESS], None),
        ([reading("a.csv"), PROCESS], None),
        ([reading("a.csv"), ODD], None),
        ([reading("a.csv"), NEWER], None),
        ([reading("b.csv", kind="AzureBlob")], None),
        ([reading(None, kind="GoogleBigQuery")], None),
        ([reading(None)], None),
        ([reading("")], None),
        ([reading("incoming/")], None),
        ([reading("incoming/*.csv")], None),
        ([reading("s3://inbox/incoming/Accounts.csv")], None),
    ],
)
def test_what_integrations_read(integrations: list[Integration], expected: list[str] | None) -> None:
    found = sources_of(integrations)

    assert (found and [source.key for source in found]) == expected


@pytest.mark.parametrize(
    ("key", "unread"),
    [
        (KEY, False),
        ("incoming/Accounts_2026-11-24.csv", True),
        ("incoming/Accounts (1).csv", True),
        ("incoming/sub/Accounts.csv", True),
        ("incoming/accounts.csv", True),
        ("incoming/Accounts.CSV", True),
        ("Accounts.csv", True),
        ("incoming/Accounts.csv ", True),
        ("incoming//Accounts.csv", True),
    ],
)
def test_only_the_very_key_is_read(key: str, unread: bool) -> None:
    assert is_unread(LATEST, upload(key), (Source(KEY, BUCKET),)) is unread


@pytest.mark.parametrize(
    ("route", "one", "sources", "unread"),
    [
        pytest.param(LATEST, upload("incoming/b.csv"), None, False, id="nothing is known"),
        pytest.param(LATEST, upload("incoming/b.csv"), (Source(KEY), Source("incoming/b.csv")), False, id="several"),
        pytest.param(LATEST, upload(KEY), (Source(f"/{KEY}"),), False, id="a slash before the source"),
        pytest.param(LATEST, upload(KEY), (Source(KEY, "other-bucket"),), True, id="another bucket"),
        pytest.param(LATEST, upload(KEY), (Source(KEY, "inbox-x1-s3alias"),), False, id="an alias of a bucket"),
        pytest.param(LATEST, upload(KEY), (Source(KEY, "arn:aws:s3:::inbox"),), False, id="no plain bucket"),
        pytest.param(LATEST, upload(KEY), (Source(KEY, "other"), Source(KEY, BUCKET)), False, id="one of two buckets"),
        pytest.param(EACH, upload("incoming/x.csv"), (Source("source/Accounts.csv"),), False, id="the staged key"),
        pytest.param(EACH, upload(KEY), (Source(KEY),), True, id="the upload's key, where another is staged"),
        pytest.param(EACH, upload(KEY), (Source("source/accounts.csv"),), True, id="nearly the staged key"),
        pytest.param(MARKED, upload("incoming/_SUCCESS", 0), (Source(KEY),), False, id="a marker"),
        pytest.param(MARKED, upload("incoming/_SUCCESS", 9), (Source(KEY),), True, id="a marker that holds something"),
        pytest.param(
            replace(LATEST, allow_empty=True), upload("incoming/b.csv", 0), (Source(KEY),), True, id="an empty file"
        ),
    ],
)
def test_whether_an_upload_is_read(route: Route, one: Upload, sources: tuple[Source, ...] | None, unread: bool) -> None:
    assert is_unread(route, one, sources) is unread


@pytest.mark.parametrize(
    ("route", "keys", "sources", "said"),
    [
        (LATEST, ["incoming/x.csv"], [Source(KEY)], ["No run reads this file. ", f'only "{KEY}"', "stage_to outside"]),
        (LATEST, ["incoming/x.csv", "incoming/y.csv"], [Source(KEY)], ["No run reads these files. ", '/y.csv"']),
        (LATEST, ["incoming/x.csv"], [Source("source/A.csv")], ["Upload to that key", 'stage_to = "source/A.csv"']),
        (LATEST, ["incoming/x.csv"], [Source("a"), Source("b")], ['only "a" and "b"', "Upload to one of these keys"]),
        (LATEST, ["incoming/x.csv"], [Source(str(n)) for n in range(9)], ["and 6 more"]),
        (LATEST, ["incoming/accounts.csv"], [Source(KEY)], ["upper and lower case differ"]),
        (LATEST, ["incoming/Accounts .csv"], [Source("incoming/Accounts  .csv")], ["spaces differ"]),
        (
            LATEST,
            [unicodedata.normalize("NFD", "incoming/Erlöse.csv")],
            [Source(unicodedata.normalize("NFC", "incoming/Erlöse.csv"))],
            ["encoded differently"],
        ),
        (LATEST, [KEY], [Source(KEY, "other")], ['from bucket "other"', 'came to "inbox"', "connection"]),
        (
            EACH,
            ["incoming/x.csv"],
            [Source(KEY)],
            ['No run reads stage_to "source/Accounts.csv"', f'stage_to = "{KEY}"'],
        ),
        (replace(LATEST, integration=None, flow="f" * 32), ["incoming/x"], [Source(KEY)], ["The flow reads only"]),
    ],
)
def test_the_reason_names_what_is_read_and_the_remedies(
    route: Route, keys: list[str], sources: list[Source], said: list[str]
) -> None:
    text = why_unread(route, [upload(key) for key in keys], tuple(sources))

    for words in said:
        assert words in text
    if route.load == "latest" and "from bucket" not in text:
        assert 'load = "each"' in text and "Upload to " in text


def waiting(route: Route, *uploads: Upload) -> list[Waiting]:
    return [Waiting(each, route, number) for number, each in enumerate(uploads)]


def test_what_nobody_reads_is_split_off_and_the_rest_goes_on() -> None:
    items = waiting(LATEST, upload(KEY), upload("incoming/x.csv"), upload(KEY), upload("incoming/y.csv"))
    sources = (Source(KEY),)

    first = select(items, sources)

    assert first is not None and first.refusal is not None
    assert first.refusal.outcome == "rejected"
    assert [item.upload.key for item in first.waiting] == ["incoming/x.csv", "incoming/y.csv"]
    rest = select([item for item in items if item not in first.waiting], sources)
    assert rest is not None and rest.refusal is None and len(rest.waiting) == 2


def test_an_empty_file_is_refused_as_empty_before_anybody_is_asked() -> None:
    selection = select(waiting(LATEST, upload("incoming/x.csv", 0)))

    assert selection is not None and selection.refusal is not None
    assert selection.refusal.outcome == "failed"


def test_what_is_remembered_holds_for_a_day_and_for_the_unchanged_route() -> None:
    reads = Reads(digest(LATEST), 1_000, (Source(KEY),))

    assert reads.is_fresh(LATEST, 1_000 + FRESH_MS - 1)
    assert not reads.is_fresh(LATEST, 1_000 + FRESH_MS)
    assert not reads.is_fresh(LATEST, 0)
    assert not reads.is_fresh(replace(LATEST, suffix=".csv"), 1_000)
    assert not reads.is_fresh(replace(LATEST, integration="b" * 32), 1_000)
