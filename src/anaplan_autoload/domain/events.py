"""Event to uploads: what S3, EventBridge, SNS, the sweep and the command line send, in one small vocabulary.

`parse` is the only entrance. It is pure, and whatever it is given it answers with an `Event` or raises `UnknownEvent`:
an execution that fails with it sends the event to the dead-letter queue, so nothing is dropped unseen.

Shapes are those of the S3 user guide ("Event message structure", "EventBridge event message structure") and of the SNS
developer guide; one sample of each stands in `events/`. They are decoded here instead of by Powertools' data classes,
which take 100 ms of a cold start to import and raise KeyError on what they do not expect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, TypeAlias, TypeVar
from urllib.parse import unquote_plus

from msgspec import Meta, Struct, ValidationError, convert, field, json

_T = TypeVar("_T")
_Text = Annotated[str, Meta(min_length=1)]
_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Time = Annotated[datetime, Meta(tz=True)]
_LaneId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]
_RequestId = Annotated[str, Meta(pattern=r"\A[!-~]{1,128}\Z")]

_EXPECTED = (
    'expected an S3 notification or an EventBridge "Object Created" event, as it is or inside SNS, or one of '
    '{"drain": lane}, {"sweep": true}, {"load": {"bucket", "key", "version_id"?, "request_id"}}'
)
_SEQUENCER = re.compile(r"[0-9A-F]{1,32}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_OTHER_NOTIFICATIONS = re.compile(
    r"ObjectRemoved:|ObjectRestore:|Replication:|LifecycleExpiration:|ObjectTagging:|ObjectAnnotation:|ObjectAcl:"
    r"|ObjectRetention:|(?:ReducedRedundancyLostObject|LifecycleTransition|IntelligentTiering)\Z"
)
"""What else S3 notifies of, by its user guide ("Supported event types") and its API's list of events."""
_OTHER_DETAIL_TYPES = frozenset(
    {
        "Async Copy Completion",
        "Object ACL Updated",
        "Object Access Tier Changed",
        "Object Deleted",
        "Object Restore Completed",
        "Object Restore Expired",
        "Object Restore Initiated",
        "Object Storage Class Changed",
        "Object Tags Added",
        "Object Tags Deleted",
    }
)
"""What else S3 sends to EventBridge, by its user guide ("Using EventBridge") and EventBridge's list of S3's events."""
_SHOWN_KEYS = 8


class UnknownEvent(ValueError):
    """The event is none that this function knows, or one that lacks what it must have.

    The text says what was expected and names the keys that came, never their values.
    """


class Upload(Struct, frozen=True, omit_defaults=True):
    """One object that was created, as its event described it."""

    bucket: str
    key: str
    """Decoded: as S3 shows it, never URL-encoded."""
    event_time: str
    """`2026-11-24T21:05:00.123Z`, always with milliseconds."""
    size: int | None = None
    """Bytes; None where the event does not tell."""
    etag: str = ""
    """Without quotes."""
    version_id: str | None = None
    """None where the bucket keeps no versions (S3 then says nothing or `null`)."""
    sequencer: str = ""
    """Hex, upper-case; orders the events of one key only."""
    request_id: str | None = None
    """Set on a requested reload alone."""
    owner: str | None = None
    """The account that owns the bucket, where the event's way here proves it: nothing is copied in another's."""

    @property
    def identity(self) -> str:
        """What tells this upload from others of its key: duplicates of an event share it."""
        if self.request_id is not None:
            return f"request {self.request_id}"
        return self.version_id or self.sequencer or f"{self.etag} {self.event_time}"

    @property
    def id(self) -> str:
        """sha256 (hex) of bucket, key and identity; the upload's key in the ledger."""
        return sha256("\0".join((self.bucket, self.key, self.identity)).encode()).hexdigest()

    @property
    def order(self) -> str:
        """Sorts uploads oldest first: by event time, and within one key by sequencer, right-padded with zeros."""
        key = sha256(f"{self.bucket}\0{self.key}".encode()).hexdigest()[:16]
        return f"{self.event_time}#{key}#{_comparable(self.sequencer)}"

    def is_older_than(self, other: Upload) -> bool:
        """Whether another upload of the same key put newer data there.

        The sequencer decides. Without it (a requested reload) times do, by the second: EventBridge and `Last-Modified`
        tell no more. The same data is never older than itself.
        """
        if self.version_id and self.version_id == other.version_id:
            return False
        if self.sequencer and other.sequencer:
            return _comparable(self.sequencer) < _comparable(other.sequencer)
        return self.etag != other.etag and self.event_time[:19] < other.event_time[:19]


def _comparable(sequencer: str) -> str:
    """Sequencers differ in length, and are compared as if padded with zeros on the right."""
    return f"{sequencer:0<32}"


class Uploads(Struct, frozen=True):
    """What was uploaded, in the event's order, each upload once; either tuple may be empty."""

    uploads: tuple[Upload, ...]
    ignored: tuple[str, ...] = ()
    """Why each other record is none of ours, in words for the log: a deleted object, a folder, a test event."""


class Drain(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"drain": "<lane id>"}`: lead this lane if anything waits in it. `msgspec.to_builtins` gives that event back."""

    lane: _LaneId = field(name="drain")


class Sweep(Struct, frozen=True):
    """`{"sweep": true}`: look after every lane."""


class Load(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{"load": {...}}`: load this object again, whether or not it was loaded before."""

    bucket: _Text
    key: _Text
    """As S3 shows it, not URL-encoded."""
    version_id: _Text | None = None
    """None: the newest version."""
    request_id: _RequestId
    """The same request sent twice is one reload; visible ASCII, at most 128 characters."""


Event: TypeAlias = Uploads | Drain | Sweep | Load


def parse(event: object, account: str | None = None) -> Event:
    """Understand the event that the function was invoked with, already decoded from JSON.

    `account` is the function's own. A bucket that notifies the function itself is of that account, as the function's
    permissions let no other do so; EventBridge names the account; what SNS passes on may come from anyone's bucket.

    A record that is well formed but not ours to load (a deletion, a folder, a test event) is `ignored`, with the
    reason. One that cannot be understood raises for the event as a whole: the event is then kept as a dead letter.

    Raises:
        UnknownEvent: the event is of no known kind, or a part that is needed is missing or wrong.
    """
    if not isinstance(event, dict):
        raise UnknownEvent(f"event not understood: {_EXPECTED}; got {_excerpt(event)}")
    if "drain" in event:
        return _convert(event, Drain, "drain event")
    if "sweep" in event:
        return _sweep(event)
    if "load" in event:
        return _load(event)
    return _gather(_message(event, account))


# What each record comes to: an upload, or the reason why it is none.
_Finding: TypeAlias = Upload | str


def _gather(findings: Iterator[_Finding]) -> Uploads:
    """Sort findings into uploads and reasons; the same upload told twice (at-least-once delivery) is one."""
    uploads: dict[str, Upload] = {}
    ignored: list[str] = []
    for finding in findings:
        if isinstance(finding, str):
            ignored.append(finding)
        else:
            uploads.setdefault(finding.id, finding)
    return Uploads(tuple(uploads.values()), tuple(ignored))


class _SweepEvent(Struct, forbid_unknown_fields=True):
    sweep: bool


def _sweep(event: object) -> Sweep:
    if not _convert(event, _SweepEvent, "sweep event").sweep:
        raise UnknownEvent('sweep event: expected {"sweep": true}; leave the event out to sweep nothing')
    return Sweep()


class _LoadEvent(Struct, forbid_unknown_fields=True):
    load: Load


def _load(event: object) -> Load:
    load = _convert(event, _LoadEvent, "load event").load
    _require_utf8("load event", load.bucket, load.key, load.version_id or "")
    return load


def _message(message: object, account: str | None, inside_sns: bool = False) -> Iterator[_Finding]:
    """Findings of one message of S3's or EventBridge's; an SNS event only where we are not inside one already."""
    if isinstance(message, dict):
        if message.get("Event") == "s3:TestEvent":
            yield "s3:TestEvent: S3 only checks that its notifications arrive"
            return
        if "detail-type" in message:
            yield _from_eventbridge(message)
            return
        if "Records" in message:
            yield from _records(message, account, inside_sns)
            return
    where = "SNS message" if inside_sns else "event"
    raise UnknownEvent(f"{where} not understood: {_EXPECTED}; got {_excerpt(message)}")


class _Records(Struct):
    records: Annotated[list[object], Meta(min_length=1)] = field(name="Records")


def _records(message: object, account: str | None, inside_sns: bool) -> Iterator[_Finding]:
    for number, record in enumerate(_convert(message, _Records, "event").records):
        where = f"record {number}"
        if isinstance(record, dict) and "s3" in record:
            yield _from_s3(record, where, None if inside_sns else account)
        elif isinstance(record, dict) and "Sns" in record and not inside_sns:
            yield from _message(_unwrap(record, where), None, inside_sns=True)
        else:
            raise UnknownEvent(
                f"{where} not understood: expected a record of S3's or SNS's own, without a queue or another topic "
                f"between; got {_excerpt(record)}"
            )


class _Sns(Struct):
    message: str = field(name="Message")


class _SnsRecord(Struct):
    sns: _Sns = field(name="Sns")


def _unwrap(record: object, where: str) -> object:
    """The message that SNS carries: JSON text inside its envelope."""
    text = _convert(record, _SnsRecord, f"SNS {where}").sns.message
    try:
        message: object = json.decode(text)
    except (ValueError, RecursionError):  # nested deeper than the interpreter's stack: no message of S3's
        raise UnknownEvent(f"SNS {where}: its Message is not the JSON text of an S3 or EventBridge event") from None
    return message


class _Bucket(Struct):
    name: _Text


class _S3Object(Struct):
    key: _Text
    size: _Size | None = None
    etag: str | None = field(name="eTag", default=None)
    version_id: str | None = field(name="versionId", default=None)
    sequencer: str | None = None


class _S3(Struct):
    bucket: _Bucket
    object: _S3Object


class _S3Record(Struct, rename="camel"):
    event_name: _Text
    event_time: _Time
    s3: _S3
    event_version: Annotated[str, Meta(pattern=r"\A2\.")] = "2.0"


def _from_s3(record: object, where: str, owner: str | None) -> _Finding:
    """An S3 notification's record. Its minor versions only add fields; another major version could mean anything."""
    decoded = _convert(record, _S3Record, f"S3 {where}")
    key = _decode_key(decoded.s3.object.key, f"S3 {where}")
    name = decoded.event_name.removeprefix("s3:")  # some S3-compatible stores say s3:
    if not name.startswith("ObjectCreated:"):
        if not _OTHER_NOTIFICATIONS.match(name):
            raise UnknownEvent(
                f"S3 {where}: {_quoted(decoded.event_name)} is no event that S3 documents; notify the function of "
                "s3:ObjectCreated:* only, and update it if S3 has a new kind of event"
            )
        return f"{decoded.event_name} of {decoded.s3.bucket.name}/{key}: only created objects are loaded"
    return _found(decoded.s3.bucket.name, key, decoded.event_time, decoded.s3.object, owner, f"S3 {where}")


class _EventBridgeObject(Struct):
    key: _Text
    size: _Size | None = None
    etag: str | None = None
    version_id: str | None = field(name="version-id", default=None)
    sequencer: str | None = None


class _Detail(Struct):
    bucket: _Bucket
    object: _EventBridgeObject


class _Envelope(Struct):
    source: str
    detail_type: str = field(name="detail-type")


class _ObjectCreated(Struct):
    time: _Time
    detail: _Detail
    account: str = ""


def _from_eventbridge(message: object) -> _Finding:
    """EventBridge's event: the key is plain, the time in whole seconds."""
    envelope = _convert(message, _Envelope, "EventBridge event")
    if envelope.source != "aws.s3":
        raise UnknownEvent(
            'EventBridge event: expected the source "aws.s3"; narrow the rule to it, or give a schedule the input '
            '{"sweep": true}'
        )
    if envelope.detail_type != "Object Created":
        if envelope.detail_type not in _OTHER_DETAIL_TYPES:
            raise UnknownEvent(
                f"EventBridge event: {_quoted(envelope.detail_type)} is no event that S3 sends by itself; narrow the "
                'rule to the detail-type "Object Created"'
            )
        return f"EventBridge {envelope.detail_type}: only created objects are loaded"
    created = _convert(message, _ObjectCreated, "EventBridge event")
    detail = created.detail
    owner = created.account if _ACCOUNT.fullmatch(created.account) else None
    return _found(detail.bucket.name, detail.object.key, created.time, detail.object, owner, "EventBridge event")


def _found(
    bucket: str, key: str, time: datetime, described: _S3Object | _EventBridgeObject, owner: str | None, where: str
) -> _Finding:
    if key.endswith("/") and described.size == 0:
        return f"folder {bucket}/{key}: it holds nothing to load"
    upload = Upload(
        bucket=bucket,
        key=key,
        event_time=_utc(time, where),
        size=described.size,
        etag=(described.etag or "").strip('"'),
        version_id=_version(described.version_id),
        sequencer=_sequencer(described.sequencer),
        owner=owner,
    )
    _require_utf8(where, bucket, key, upload.etag, upload.version_id or "")
    return upload


def _decode_key(encoded: str, where: str) -> str:
    """S3 writes keys as in an HTML form: `red+flower%C3%A9.csv` is `red floweré.csv`."""
    try:
        return unquote_plus(encoded, errors="strict")
    except UnicodeDecodeError:
        raise UnknownEvent(f"{where}: its key is not URL-encoded UTF-8, as S3 would write it") from None


def _utc(time: datetime, where: str) -> str:
    """`2026-11-24T21:05:00.123Z`, so that times sort as text."""
    try:
        return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except OverflowError:
        raise UnknownEvent(f"{where}: its time lies outside the years 1 to 9999") from None


def _version(version_id: str | None) -> str | None:
    return None if version_id in ("", "null") else version_id


def _sequencer(sequencer: str | None) -> str:
    """Upper-case, so that it compares as text; left out unless it is hex, as an order made of it would be wrong."""
    upper = (sequencer or "").upper()
    return upper if _SEQUENCER.fullmatch(upper) else ""


def _require_utf8(where: str, *texts: str) -> None:
    """Refuse lone surrogates: JSON can spell them, but S3, DynamoDB and the upload's id cannot hold them."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise UnknownEvent(f"{where}: a text in it is not Unicode (a lone surrogate)") from None


def _convert(data: object, to: type[_T], where: str) -> _T:
    try:
        return convert(data, to)
    except ValidationError as error:
        raise UnknownEvent(f"{where}: {error}; got {_excerpt(data)}") from None


def _quoted(name: str) -> str:
    """An event's name, safe to log."""
    return ascii(name[:60])


def _excerpt(data: object) -> str:
    """What came, safe to log: the kind of value, and an object's keys, shortened."""
    if not isinstance(data, dict):
        return f"a value of type {type(data).__name__}"
    keys = [ascii(key[:40]) for key in data if isinstance(key, str)]
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"an object with the keys {', '.join(keys[:_SHOWN_KEYS]) or 'none'}{more}"
