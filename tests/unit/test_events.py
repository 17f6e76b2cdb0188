"""Events as AWS, the sweep and the command line send them, and what is understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from mypy_boto3_s3.literals import EventType

from anaplan_autoload.domain.events import Drain, Load, Reconcile, Sweep, UnknownEvent, Upload, Uploads, parse

SAMPLES = Path(__file__).parents[2] / "events"

Json = dict[str, object]


def s3_record(name: str = "ObjectCreated:Put", **changes: object) -> Json:
    """A record of an S3 notification; `changes` to its object, where None takes a key away."""
    described: Json = {
        "key": "incoming/accounts/north.csv",
        "size": 48213,
        "eTag": "9b2cf535f27731c974343645a3985328",
        "versionId": "096fKKXTRTtl3on89fVO",
        "sequencer": "0067439A5C1D2E3F40",
    }
    described = {key: value for key, value in (described | changes).items() if value is not None}
    return {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "eventTime": "2026-11-24T21:05:00.123Z",
        "eventName": name,
        "s3": {"bucket": {"name": "inbox"}, "object": described},
    }


def eventbridge(detail_type: str = "Object Created", **changes: object) -> Json:
    """EventBridge's event; `changes` to its envelope."""
    return {
        "version": "0",
        "detail-type": detail_type,
        "source": "aws.s3",
        "time": "2026-11-24T21:05:00Z",
        "detail": {
            "bucket": {"name": "inbox"},
            "object": {
                "key": "incoming/accounts/north.csv",
                "size": 48213,
                "etag": "9b2cf535f27731c974343645a3985328",
                "version-id": "096fKKXTRTtl3on89fVO",
                "sequencer": "0067439A5C1D2E3F40",
            },
            "reason": "PutObject",
        },
    } | changes


def sns_record(message: object) -> Json:
    """A record of SNS's, which carries another event as JSON text."""
    text = message if isinstance(message, str) else json.dumps(message)
    return {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "Message": text}}


def records(*of: object) -> Json:
    return {"Records": list(of)}


def uploads_of(event: object) -> tuple[Upload, ...]:
    parsed = parse(event)
    assert isinstance(parsed, Uploads)
    return parsed.uploads


def ignored_of(event: object) -> tuple[str, ...]:
    parsed = parse(event)
    assert isinstance(parsed, Uploads)
    assert parsed.uploads == ()
    return parsed.ignored


NORTH = Upload(
    bucket="inbox",
    key="incoming/accounts/north.csv",
    event_time="2026-11-24T21:05:00.123Z",
    size=48213,
    etag="9b2cf535f27731c974343645a3985328",
    version_id="096fKKXTRTtl3on89fVO",
    sequencer="0067439A5C1D2E3F40",
)
NORTH_BY_EVENTBRIDGE = msgspec.structs.replace(NORTH, event_time="2026-11-24T21:05:00.000Z")


# Uploads


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (records(s3_record()), NORTH),
        (eventbridge(), NORTH_BY_EVENTBRIDGE),
        (records(sns_record(records(s3_record()))), NORTH),
        (records(sns_record(eventbridge())), NORTH_BY_EVENTBRIDGE),
    ],
    ids=["s3", "eventbridge", "s3 in sns", "eventbridge in sns"],
)
def test_an_upload_is_the_same_whichever_way_its_event_came(event: Json, expected: Upload) -> None:
    assert uploads_of(event) == (expected,)


@pytest.mark.parametrize("kind", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_way_of_creating_an_object_is_an_upload(kind: str) -> None:
    assert uploads_of(records(s3_record(f"ObjectCreated:{kind}"))) == (NORTH,)


def test_records_of_several_kinds_in_one_event_are_all_understood_in_its_order() -> None:
    event = records(
        s3_record(key="a.csv"),
        sns_record(records(s3_record(key="b.csv"), s3_record(key="c.csv"))),
        s3_record("ObjectRemoved:Delete", key="d.csv"),
        sns_record(eventbridge()),
    )

    parsed = parse(event)

    assert isinstance(parsed, Uploads)
    assert [upload.key for upload in parsed.uploads] == ["a.csv", "b.csv", "c.csv", "incoming/accounts/north.csv"]
    assert parsed.ignored == ("ObjectRemoved:Delete of inbox/d.csv: only created objects are loaded",)


def test_the_same_upload_told_twice_in_one_event_is_one() -> None:
    assert uploads_of(records(s3_record(), s3_record(), sns_record(eventbridge()))) == (NORTH,)


def test_two_versions_of_one_key_are_two_uploads() -> None:
    event = records(s3_record(versionId="one", sequencer="01"), s3_record(versionId="two", sequencer="02"))

    assert [upload.version_id for upload in uploads_of(event)] == ["one", "two"]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("red+flower.csv", "red flower.csv"),
        ("1%2B1.csv", "1+1.csv"),
        ("Q3+d%C3%A9penses%282%29.csv", "Q3 dépenses(2).csv"),
        ("100%25+sure.csv", "100% sure.csv"),
        ("%F0%9F%93%88/a%0Ab.csv", "📈/a\nb.csv"),
    ],
)
def test_keys_of_s3_are_url_decoded(encoded: str, key: str) -> None:
    assert [upload.key for upload in uploads_of(records(s3_record(key=encoded)))] == [key]


def test_keys_of_eventbridge_are_taken_as_they_are() -> None:
    event = eventbridge(detail={"bucket": {"name": "inbox"}, "object": {"key": "1+1%20.csv"}})

    assert [upload.key for upload in uploads_of(event)] == ["1+1%20.csv"]


@pytest.mark.parametrize("version", [None, "null", ""])
def test_an_upload_to_a_bucket_without_versions_is_told_apart_by_its_sequencer(version: str | None) -> None:
    (upload,) = uploads_of(records(s3_record(versionId=version)))

    assert upload.version_id is None
    assert upload.identity == "0067439A5C1D2E3F40"


def test_json_null_is_as_good_as_absent() -> None:
    record = s3_record()
    record["s3"] = {
        "bucket": {"name": "inbox"},
        "object": {"key": "a.csv", "size": None, "eTag": None, "versionId": None, "sequencer": None},
    }

    assert uploads_of(records(record)) == (Upload("inbox", "a.csv", "2026-11-24T21:05:00.123Z"),)


def test_without_version_and_sequencer_an_upload_is_told_apart_by_etag_and_time() -> None:
    (upload,) = uploads_of(records(s3_record(versionId=None, sequencer=None)))

    assert upload.identity == "9b2cf535f27731c974343645a3985328 2026-11-24T21:05:00.123Z"


def test_quotes_around_an_etag_go() -> None:
    assert [upload.etag for upload in uploads_of(records(s3_record(eTag='"abc-2"')))] == ["abc-2"]


@pytest.mark.parametrize(
    ("told", "understood"),
    [
        ("2026-11-24T21:05:00.123Z", "2026-11-24T21:05:00.123Z"),
        ("2026-11-24T21:05:00Z", "2026-11-24T21:05:00.000Z"),
        ("2026-11-24T21:05:00.123456Z", "2026-11-24T21:05:00.123Z"),
        ("2026-11-24T23:05:00.1+02:00", "2026-11-24T21:05:00.100Z"),
    ],
)
def test_times_become_utc_with_milliseconds(told: str, understood: str) -> None:
    assert [upload.event_time for upload in uploads_of(records(s3_record() | {"eventTime": told}))] == [understood]


@pytest.mark.parametrize(
    ("told", "understood"),
    [("00ab12", "00AB12"), ("00AB12", "00AB12"), ("not hex", ""), ("", ""), ("A" * 33, "")],
)
def test_a_sequencer_is_upper_case_hex_or_none(told: str, understood: str) -> None:
    assert [upload.sequencer for upload in uploads_of(records(s3_record(sequencer=told)))] == [understood]


def test_uploads_of_one_moment_and_key_are_ordered_by_sequencer_padded_on_the_right() -> None:
    told = ["0067439A5D", "0067439A5C1D", "0067439A5c1e00"]
    uploads = uploads_of(records(*(s3_record(versionId=None, sequencer=each) for each in told)))

    in_order = sorted(uploads, key=lambda upload: upload.order)

    assert [upload.sequencer for upload in in_order] == ["0067439A5C1D", "0067439A5C1E00", "0067439A5D"]


def test_a_file_without_bytes_is_an_upload() -> None:
    assert [upload.size for upload in uploads_of(records(s3_record(size=0)))] == [0]


def test_an_object_with_bytes_is_an_upload_even_if_its_key_ends_like_a_folders() -> None:
    assert [upload.key for upload in uploads_of(records(s3_record(key="odd/", size=7)))] == ["odd/"]


def test_fields_that_later_versions_add_do_no_harm() -> None:
    record = s3_record(checksum={"algorithm": "CRC64NVME"}) | {"eventVersion": "2.99", "glacierEventData": {}}

    assert uploads_of(records(record)) == (NORTH,)


# Ignored


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (
            records(s3_record("ObjectRemoved:DeleteMarkerCreated", key="a+b.csv", size=None)),
            "ObjectRemoved:DeleteMarkerCreated of inbox/a b.csv: only created objects are loaded",
        ),
        (
            records(s3_record("ObjectTagging:Put")),
            "ObjectTagging:Put of inbox/incoming/accounts/north.csv: only created objects are loaded",
        ),
        (records(s3_record(key="incoming/", size=0)), "folder inbox/incoming/: it has nothing to load"),
        (eventbridge("Object Deleted", detail={}), "EventBridge Object Deleted: only created objects are loaded"),
        (
            {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-24T21:05:00.000Z", "Bucket": "inbox"},
            "s3:TestEvent: S3 only checks that its notifications arrive",
        ),
        (
            records(sns_record({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"})),
            "s3:TestEvent: S3 only checks that its notifications arrive",
        ),
    ],
    ids=["deleted", "tagged", "folder", "deleted by eventbridge", "test event", "test event in sns"],
)
def test_what_is_not_an_upload_is_ignored_with_the_reason(event: Json, reason: str) -> None:
    assert ignored_of(event) == (reason,)


# The function's own events


def test_a_drain_names_its_lane() -> None:
    assert parse({"drain": "finance-model"}) == Drain("finance-model")


def test_a_drain_can_be_written_back_as_the_event_it_came_from() -> None:
    assert msgspec.to_builtins(Drain("finance-model")) == {"drain": "finance-model"}


def test_a_sweep_is_a_sweep() -> None:
    assert parse({"sweep": True}) == Sweep()


@pytest.mark.parametrize(
    ("every", "buckets", "meant"),
    [
        ("1h", "arn:aws:s3:::inbox,", Reconcile(3600, ("inbox",))),
        ("15m", "arn:aws:s3:::inbox,arn:aws:s3:::finance", Reconcile(900, ("inbox", "finance"))),
    ],
)
def test_a_sweep_may_be_told_to_look_for_lost_uploads(every: str, buckets: str, meant: Reconcile) -> None:
    assert parse({"sweep": True, "reconcile": {"every": every, "buckets": buckets}}) == Sweep(meant)


def test_a_requested_load_may_leave_the_version_open() -> None:
    event = {"load": {"bucket": "inbox", "key": "1+1%20.csv", "request_id": "r-1"}}

    assert parse(event) == Load(bucket="inbox", key="1+1%20.csv", version_id=None, request_id="r-1")


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_sample_is_understood(sample: Path) -> None:
    kind = {"drain": Drain, "sweep": Sweep, "load": Load}.get(sample.stem, Uploads)

    assert isinstance(parse(json.loads(sample.read_text(encoding="utf-8"))), kind)


# Refused


def without(record: Json, *names: str) -> Json:
    return {name: value for name, value in record.items() if name not in names}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (None, "got a value of type NoneType"),
        ([s3_record()], "got a value of type list"),
        ({}, "got an object with the keys none"),
        ({"hello": "world"}, "got an object with the keys 'hello'"),
        ({str(number): 0 for number in range(20)}, "'6', '7' and 12 more"),
        ({"Records": []}, "`$.Records`"),
        ({"Records": {}}, "Expected `array`, got `object`"),
        (records("x"), "record 0 not understood"),
        (records(s3_record(), {"messageId": "1", "body": "{}"}), "record 1 not understood"),
        (records(s3_record() | {"eventVersion": "3.0"}), "`$.eventVersion`"),
        (records(s3_record() | {"s3": None}), "`$.s3`"),
        (records(s3_record() | {"s3": {"bucket": {"name": "inbox"}}}), "missing required field `object`"),
        (records(s3_record() | {"eventTime": "yesterday"}), "`$.eventTime`"),
        (records(s3_record() | {"eventTime": "2026-11-24T21:05:00"}), "timezone"),
        (records(s3_record() | {"eventTime": "0001-01-01T00:00:00+02:00"}), "outside the years 1 to 9999"),
        (records(without(s3_record(), "eventName")), "missing required field `eventName`"),
        (records(s3_record(key=7)), "`$.s3.object.key`"),
        (records(s3_record(key="")), "`$.s3.object.key`"),
        (records(s3_record(key="%FF.csv")), "not URL-encoded UTF-8"),
        (records(s3_record(key="\ud800.csv")), "a lone surrogate"),
        (records(s3_record(key="k" * 1025)), "a text in it has 1025 bytes, but keys in S3 have at most 1024"),
        (records(s3_record(key="é" * 513)), "has 1026 bytes"),
        (records(s3_record(eTag="e" * 300_000)), "has 300000 bytes"),
        (records(s3_record(versionId="v" * 300_000)), "has 300000 bytes"),
        (records(sns_record(records(s3_record(key="k" * 300_000)))), "has 300000 bytes"),
        (records(s3_record(size="7")), "`$.s3.object.size`"),
        (records(s3_record(size=-1)), "`$.s3.object.size`"),
        (records(s3_record(size=10**30)), "`$.s3.object.size`"),
        (records(s3_record(size=True)), "`$.s3.object.size`"),
        (records(sns_record("hello")), "SNS record 0: its Message is not the JSON text"),
        (records(sns_record("[" * 100_000)), "SNS record 0: its Message is not the JSON text"),
        (records(sns_record({"drain": "finance-model"})), "SNS message not understood"),
        (records(sns_record("[]")), "SNS message not understood"),
        (records(sns_record(records(sns_record(records(s3_record()))))), "record 0 not understood"),
        (records({"EventSource": "aws:sns", "Sns": {"Message": None}}), "`$.Sns.Message`"),
        (eventbridge(source="aws.events"), 'give a schedule the input {"sweep": true}'),
        (eventbridge(source=None), "`$.source`"),
        (eventbridge(time=None), "`$.time`"),
        (eventbridge(detail={"object": {"key": "a.csv"}}), "missing required field `bucket`"),
        ({"drain": ""}, "drain event"),
        ({"drain": "a b"}, "drain event"),
        ({"drain": "a\n"}, "drain event"),
        ({"drain": "a", "sweep": True}, "unknown field `sweep`"),
        ({"sweep": True, "lane": "a"}, "unknown field `lane`"),
        ({"load": {"bucket": "inbox", "key": "a.csv", "request_id": "r"}, "lane": "a"}, "unknown field `lane`"),
        ({"sweep": False}, 'expected {"sweep": true}'),
        ({"sweep": True, "reconcile": {"every": "soon", "buckets": "arn:aws:s3:::inbox"}}, "reconcile.every"),
        ({"sweep": True, "reconcile": {"every": "1h"}}, "buckets"),
        ({"sweep": 1}, "`$.sweep`"),
        ({"load": {"bucket": "inbox", "key": "a.csv"}}, "missing required field `request_id`"),
        ({"load": {"bucket": "inbox", "key": "a.csv", "request_id": "r", "versionId": "1"}}, "field `versionId`"),
        ({"load": {"bucket": "inbox", "key": "\ud800", "request_id": "r"}}, "a lone surrogate"),
        ({"load": {"bucket": "b" * 2_000, "key": "a", "request_id": "r"}}, "has 2000 bytes"),
        ({"load": None}, "`$.load`"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_says_where(event: object, text: str) -> None:
    with pytest.raises(UnknownEvent) as refusal:
        parse(event)

    assert text in str(refusal.value)


def test_a_refusal_says_what_was_expected() -> None:
    with pytest.raises(UnknownEvent, match=r'"Object Created".*"drain".*"sweep".*"load"'):
        parse({"hello": "world"})


def test_a_refusal_names_up_to_eight_keys_shortened() -> None:
    with pytest.raises(UnknownEvent, match=r"got an object with the keys 'a{40}', '1', '2', '3', '4', '5', '6', '7'$"):
        parse({"a" * 50: 0} | {str(number): 0 for number in range(1, 8)})


def test_one_bad_record_refuses_the_whole_event_so_that_it_is_kept_as_a_dead_letter() -> None:
    with pytest.raises(UnknownEvent, match="S3 record 1"):
        parse(records(s3_record(), s3_record(key=7)))


@pytest.mark.parametrize(
    "event",
    [
        {"hello": "canary"},
        records({"body": "canary"}),
        records(s3_record(key="canary%FF")),
        records(s3_record(size="canary")),
        records(s3_record() | {"eventTime": "canary"}),
        records(sns_record("canary")),
        {"drain": "canary canary"},
        {"load": {"bucket": "canary", "key": "canary"}},
    ],
)
def test_a_refusal_never_shows_the_values_that_came(event: Json) -> None:
    with pytest.raises(UnknownEvent) as refusal:
        parse(event)

    assert "canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None


# What S3 documents, and what it does not


DOCUMENTED = [
    *(name for name in get_args(EventType) if not name.startswith("s3:ObjectCreated:") and not name.endswith("*")),
    "s3:LifecycleExpiration:Delete",
]
DETAIL_TYPES = [
    "Async Copy Completion",
    "Object Deleted",
    "Object Restore Initiated",
    "Object Restore Completed",
    "Object Restore Expired",
    "Object Tags Added",
    "Object Tags Deleted",
    "Object ACL Updated",
    "Object Storage Class Changed",
    "Object Access Tier Changed",
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_other_notifications_of_s3_are_ignored(name: str) -> None:
    assert len(ignored_of(records(s3_record(name)))) == 1
    assert len(ignored_of(records(sns_record(records(s3_record(name.removeprefix("s3:"))))))) == 1


@pytest.mark.parametrize("detail_type", DETAIL_TYPES)
def test_other_eventbridge_events_of_s3_are_ignored(detail_type: str) -> None:
    assert ignored_of(eventbridge(detail_type)) == (f"EventBridge {detail_type}: only created objects are loaded",)


@pytest.mark.parametrize(
    "detail_type",
    ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail", "Object Invented", "object created", ""],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_events_that_s3_does_not_send_itself_are_refused(detail_type: str, wrapped: bool) -> None:
    event = eventbridge(detail_type, detail={"eventName": "PutObject"})
    with pytest.raises(UnknownEvent, match='narrow the rule to the detail-type "Object Created"') as refused:
        parse(records(sns_record(event)) if wrapped else event)
    assert ascii(detail_type) in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["ObjectInvented:Put", "ObjectCreated", "objectcreated:Put", "LifecycleTransitions", "s3:", "x" * 9_000, "\u202e"],
)
def test_a_notification_that_s3_does_not_document_is_refused(name: str) -> None:
    with pytest.raises(UnknownEvent, match=r"record 0: .* is not an event that S3 documents") as refused:
        parse(records(s3_record(name)))
    assert len(str(refused.value)) < 400 and str(refused.value).isprintable()


# Whose bucket it is


@pytest.mark.parametrize(
    ("event", "owner"),
    [
        (records(s3_record()), "111122223333"),
        (records(sns_record(records(s3_record()))), None),
        (eventbridge(account="444455556666"), "444455556666"),
        (records(sns_record(eventbridge(account="444455556666"))), "444455556666"),
        (eventbridge(), None),
        (eventbridge(account="nobody"), None),
    ],
    ids=["s3", "s3 in sns", "eventbridge", "eventbridge in sns", "unnamed", "no account"],
)
def test_the_owner_of_the_bucket_is_known_where_the_events_way_proves_it(event: Json, owner: str | None) -> None:
    parsed = parse(event, "111122223333")
    assert isinstance(parsed, Uploads)
    assert [upload.owner for upload in parsed.uploads] == [owner]


def test_the_owner_does_not_make_another_upload_of_it() -> None:
    assert NORTH.id == msgspec.structs.replace(NORTH, owner="111122223333").id
