"""Turns the events of S3, EventBridge, SNS, the sweep and the command line into uploads and a few other values.

`parse` is the only entrance, and it is pure. For any input it returns an `Event` or raises `UnknownEvent`. An execution
that fails with `UnknownEvent` sends its event to the dead-letter queue, so no event is dropped silently.

The shapes are in the S3 user guide ("Event message structure", "EventBridge event message structure") and the SNS
developer guide; `events/` has a sample of each. Powertools' data classes are not used, because importing them takes
100 ms of a cold start, and they raise KeyError for unexpected shapes.
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

_KEY_BYTES = 1024  # S3's own limit
_EXPECTED = (
    'expected an S3 notification or an EventBridge "Object Created" event, as it is or inside SNS, or one of '
    '{"drain": lane}, {"sweep": true}, {"load": {"bucket", "key", "version_id"?, "request_id"}}'
)
_SEQUENCER = re.compile(r"[0-9A-F]{1,32}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_EVERY = r"([1-9][0-9]{0,3})([mh])"
_SECONDS = {"m": 60, "h": 3600}
_OTHER_NOTIFICATIONS = (
    r"ObjectRemoved:|ObjectRestore:|Replication:|LifecycleExpiration:|ObjectTagging:|ObjectAnnotation:|ObjectAcl:"
    r"|ObjectRetention:|(?:ReducedRedundancyLostObject|LifecycleTransition|IntelligentTiering)\Z"
)
"""S3's other notifications, from its user guide ("Supported event types") and its API's list of events."""
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
"""S3's other events in EventBridge, from its user guide ("Using EventBridge") and EventBridge's own list."""
_SHOWN_KEYS = 8


class UnknownEvent(ValueError):
    """The event has an unknown kind, or lacks a required part.

    The text says what was expected and names the keys of the event, never their values.
    """


class Upload(Struct, frozen=True, omit_defaults=True):
    """One created object, as its event describes it."""

    bucket: str
    key: str
    """As S3 shows it, not URL-encoded."""
    event_time: str
    """`2026-11-24T21:05:00.123Z`, always with milliseconds."""
    size: int | None = None
    """Bytes; None if the event does not say."""
    etag: str = ""
    """Without quotes."""
    version_id: str | None = None
    """None if the bucket keeps no versions (S3 then sends nothing or `null`)."""
    sequencer: str = ""
    """Hex, upper-case; only comparable within one key."""
    request_id: str | None = None
    """Set only for a requested reload."""
    owner: str | None = None
    """The account that owns the bucket, if the event proves it. Nothing is copied in another account's bucket."""

    @property
    def identity(self) -> str:
        """Identifies this upload among those of its key; duplicates of an event have the same."""
        if self.request_id is not None:
            return f"request {self.request_id}"
        return self.version_id or self.sequencer or f"{self.etag} {self.event_time}"

    @property
    def id(self) -> str:
        """sha256 (hex) of bucket, key and identity; the upload's key in the ledger."""
        return sha256("\0".join((self.bucket, self.key, self.identity)).encode()).hexdigest()

    @property
    def order(self) -> str:
        """Sorts uploads oldest first: by event time, and within a key by sequencer, right-padded with zeros."""
        key = sha256(f"{self.bucket}\0{self.key}".encode()).hexdigest()[:16]
        return f"{self.event_time}#{key}#{_comparable(self.sequencer)}"

    def is_older_than(self, other: Upload) -> bool:
        """Whether another upload of the same key put newer data there.

        The sequencer decides. Without one (a requested reload), times decide, in whole seconds, because EventBridge and
        `Last-Modified` are not more exact. The same data is never older than itself.
        """
        if self.version_id and self.version_id == other.version_id:
            return False
        if self.sequencer and other.sequencer:
            return _comparable(self.sequencer) < _comparable(other.sequencer)
        return self.etag != other.etag and self.event_time[:19] < other.event_time[:19]


def _comparable(sequencer: str) -> str:
    """Sequencers differ in length, so they are compared as if padded with zeros on the right."""
    return f"{sequencer:0<32}"


class Uploads(Struct, frozen=True):
    """The uploads of an event, in its order, each once; either tuple may be empty."""

    uploads: tuple[Upload, ...]
    ignored: tuple[str, ...] = ()
    """Why each other record is ignored, for the log: a deleted object, a folder, a test event."""


class Drain(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"drain": "<lane id>"}`: lead this lane if anything waits in it. `msgspec.to_builtins` returns the event."""

    lane: _LaneId = field(name="drain")


class Reconcile(Struct, frozen=True):
    """What a sweep is told to look for: uploads that S3 has and the ledger does not, because their events were lost."""

    every: int
    """Seconds from the start of one round through the buckets to the start of the next."""
    buckets: tuple[str, ...]
    """The names of the buckets that uploads come from."""


class Sweep(Struct, frozen=True):
    """`{"sweep": true}`: look for lanes with work and no leader."""

    reconcile: Reconcile | None = None
    """None: lost uploads are not looked for."""


class Load(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{"load": {...}}`: load this object, even if it was loaded before."""

    bucket: _Text
    key: _Text
    """As S3 shows it, not URL-encoded."""
    version_id: _Text | None = None
    """None: the newest version."""
    request_id: _RequestId
    """The same request sent twice is one reload; visible ASCII, at most 128 characters."""

    @property
    def upload_id(self) -> str:
        """`Upload.id` of the upload that it becomes: the ledger knows it by this."""
        return Upload(self.bucket, self.key, "", request_id=self.request_id).id


Event: TypeAlias = Uploads | Drain | Sweep | Load


def parse(event: object, account: str | None = None) -> Event:
    """Understand the event that the function was invoked with, already decoded from JSON.

    `account` is the function's own. A bucket that notifies the function directly belongs to that account, because the
    function's permissions allow no other. EventBridge names the account. Events through SNS may come from any account.

    A valid record that is not to be loaded (a deletion, a folder, a test event) is `ignored`, with the reason. A record
    that cannot be understood raises an error for the whole event, which is then kept as a dead letter.

    Raises:
        UnknownEvent: the kind of the event is not known, or a required part is missing or wrong.
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


# The result for each record: an upload, or the reason why it is not one.
_Finding: TypeAlias = Upload | str


def _gather(findings: Iterator[_Finding]) -> Uploads:
    """Sort findings into uploads and reasons. The same upload reported twice (at-least-once delivery) counts once."""
    uploads: dict[str, Upload] = {}
    ignored: list[str] = []
    for finding in findings:
        if isinstance(finding, str):
            ignored.append(finding)
        else:
            uploads.setdefault(finding.id, finding)
    return Uploads(tuple(uploads.values()), tuple(ignored))


class _ReconcileEvent(Struct, forbid_unknown_fields=True):
    every: str
    buckets: str


class _SweepEvent(Struct, forbid_unknown_fields=True):
    sweep: bool
    reconcile: _ReconcileEvent | None = None


def _sweep(event: object) -> Sweep:
    decoded = _convert(event, _SweepEvent, "sweep event")
    if not decoded.sweep:
        raise UnknownEvent('sweep event: expected {"sweep": true}; leave the event out to sweep nothing')
    return Sweep(_reconcile(decoded.reconcile) if decoded.reconcile else None)


def _reconcile(asked: _ReconcileEvent) -> Reconcile:
    """The template joins the buckets' ARNs with commas; if the inbox is the only one, a comma follows it."""
    every = re.fullmatch(_EVERY, asked.every)
    if every is None:
        raise UnknownEvent(
            'sweep event: its reconcile.every is not a time such as "15m" or "1h"; correct it in the template'
        )
    arns = [arn for arn in asked.buckets.split(",") if arn]
    return Reconcile(int(every[1]) * _SECONDS[every[2]], tuple(arn.rpartition(":")[2] for arn in arns))


class _LoadEvent(Struct, forbid_unknown_fields=True):
    load: Load


def _load(event: object) -> Load:
    load = _convert(event, _LoadEvent, "load event").load
    _check_texts("load event", load.bucket, load.key, load.version_id or "")
    return load


def _message(message: object, account: str | None, inside_sns: bool = False) -> Iterator[_Finding]:
    """Findings of one message of S3 or EventBridge, or of an SNS event that is not inside another SNS event."""
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
                f"{where} not understood: expected a record from S3 or SNS, not one that a queue or another topic "
                f"passed on; got {_excerpt(record)}"
            )


class _Sns(Struct):
    message: str = field(name="Message")


class _SnsRecord(Struct):
    sns: _Sns = field(name="Sns")


def _unwrap(record: object, where: str) -> object:
    """The message inside an SNS envelope, which is JSON text."""
    text = _convert(record, _SnsRecord, f"SNS {where}").sns.message
    try:
        message: object = json.decode(text)
    except (ValueError, RecursionError):  # nested deeper than the interpreter's stack, so not from S3
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
    """A record of an S3 notification. Minor versions only add fields; a new major version may change their meaning."""
    decoded = _convert(record, _S3Record, f"S3 {where}")
    key = _decode_key(decoded.s3.object.key, f"S3 {where}")
    name = decoded.event_name.removeprefix("s3:")  # some S3-compatible stores say s3:
    if not name.startswith("ObjectCreated:"):
        if not re.match(_OTHER_NOTIFICATIONS, name):
            raise UnknownEvent(
                f"S3 {where}: {_quoted(decoded.event_name)} is not an event that S3 documents; notify the function of "
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
    """An EventBridge event: its key is not URL-encoded, and its time is in whole seconds."""
    envelope = _convert(message, _Envelope, "EventBridge event")
    if envelope.source != "aws.s3":
        raise UnknownEvent(
            'EventBridge event: expected the source "aws.s3"; narrow the rule to it, or give a schedule the input '
            '{"sweep": true}'
        )
    if envelope.detail_type != "Object Created":
        if envelope.detail_type not in _OTHER_DETAIL_TYPES:
            raise UnknownEvent(
                f"EventBridge event: {_quoted(envelope.detail_type)} is not an event that S3 sends; narrow the "
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
        return f"folder {bucket}/{key}: it has nothing to load"
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
    _check_texts(where, bucket, key, upload.etag, upload.version_id or "")
    return upload


def _decode_key(encoded: str, where: str) -> str:
    """S3 encodes keys as HTML forms do: `red+flower%C3%A9.csv` is `red floweré.csv`."""
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
    """In upper case, so that it compares as text; empty unless it is hex, because its order would be wrong."""
    upper = (sequencer or "").upper()
    return upper if _SEQUENCER.fullmatch(upper) else ""


def _check_texts(where: str, *texts: str) -> None:
    """Reject what S3 cannot have sent, and the ledger could not store.

    Lone surrogates: JSON can contain them, but S3, DynamoDB and the upload's id cannot. Texts that are longer than a
    key may be: they would be in every item and checkpoint of a batch.
    """
    try:
        longest = max(len(text.encode()) for text in texts)
    except UnicodeEncodeError:
        raise UnknownEvent(f"{where}: a text in it is not Unicode (a lone surrogate)") from None
    if longest > _KEY_BYTES:
        raise UnknownEvent(f"{where}: a text in it has {longest} bytes, but keys in S3 have at most {_KEY_BYTES}")


def _convert(data: object, to: type[_T], where: str) -> _T:
    try:
        return convert(data, to)
    except ValidationError as error:
        raise UnknownEvent(f"{where}: {error}; got {_excerpt(data)}") from None


def _quoted(name: str) -> str:
    """An event's name, safe to log."""
    return ascii(name[:60])


def _excerpt(data: object) -> str:
    """A description that is safe to log: the kind of value, and an object's keys, shortened."""
    if not isinstance(data, dict):
        return f"a value of type {type(data).__name__}"
    keys = [ascii(key[:40]) for key in data if isinstance(key, str)]
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"an object with the keys {', '.join(keys[:_SHOWN_KEYS]) or 'none'}{more}"
