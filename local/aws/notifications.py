"""From bucket to function: S3's notifications, which moto sends to queues only and without two of their fields."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Lock, Thread, Timer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

POLL_SECONDS = 1
NOTIFICATIONS_QUEUE = "s3-notifications"
"""The queue into which our moto puts the buckets' notifications of functions."""
Record = dict[str, Any]
"""One of an S3 event's `Records`."""


class Delivery(Struct, frozen=True):
    """One event on its way to the function."""

    record: Record
    after_seconds: float = 0.0


Travel = Callable[[Record], Iterable[Delivery]]
"""How a record is delivered: S3 delivers at least once and in any order, so it may come several times, or late."""


def straight(record: Record) -> list[Delivery]:
    """Once and at once."""
    return [Delivery(record)]


class Notifications:
    """Drains the queue that the buckets notify, and sends each record to the function as an event of its own.

    `travel` may be replaced at any time, to duplicate, delay and so reorder events.
    """

    def __init__(self, s3: S3Client, sqs: SQSClient, send: Callable[[bytes], object]) -> None:
        """`send` starts the function with an event (JSON)."""
        self.travel: Travel = straight
        self._s3 = s3
        self._sqs = sqs
        self._send = send
        self._queue = sqs.create_queue(QueueName=NOTIFICATIONS_QUEUE)["QueueUrl"]
        self._versions = _Versions(s3)
        self._sequence = time.time_ns() >> 16
        self._lock = Lock()
        self._late: set[Timer] = set()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="notifications", daemon=True)
        self._thread.start()

    def watch(self, bucket: str, configurations: list[Record]) -> None:
        """Deliver the events of this bucket too; the configurations are the bucket's notifications of functions."""
        settings: Any = {"LambdaFunctionConfigurations": configurations}
        self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=settings)

    @property
    def idle(self) -> bool:
        """Whether every event so far has been delivered."""
        waiting = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["All"])["Attributes"]
        with self._lock:
            return (
                not self._late
                and int(waiting["ApproximateNumberOfMessages"]) == 0
                and int(waiting["ApproximateNumberOfMessagesNotVisible"]) == 0
            )

    def close(self) -> None:
        """Stop delivering; what is on its way is lost."""
        self._closing.set()
        self._thread.join()
        with self._lock:
            late = list(self._late)
        for timer in late:
            timer.cancel()
            timer.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._receive()
            except (BotoCoreError, ClientError, OSError):
                self._closing.wait(POLL_SECONDS)  # moto is shutting down, or will answer next time

    def _receive(self) -> None:
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=POLL_SECONDS)
        for message in answer.get("Messages", []):
            for record in msgspec.json.decode(message["Body"]).get("Records", []):
                for delivery in self.travel(self._complete(record)):
                    self._deliver(delivery)
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def _complete(self, record: Record) -> Record:
        """Add what moto leaves out: the sequencer, and the version id where the bucket keeps versions."""
        self._sequence += 1
        bucket, described = record["s3"]["bucket"]["name"], dict(record["s3"]["object"])
        described["sequencer"] = f"{self._sequence:018X}"
        key = unquote_plus(described["key"])
        described["key"] = quote_plus(key, safe="/")  # moto encodes slashes too
        if version := self._versions.of(bucket, key, described["eTag"]):
            described["versionId"] = version
        return record | {"s3": record["s3"] | {"object": described}}

    def _deliver(self, delivery: Delivery) -> None:
        event = msgspec.json.encode({"Records": [delivery.record]})
        if not delivery.after_seconds:
            self._send(event)
            return
        timer = Timer(delivery.after_seconds, lambda: self._arrive(timer, event))
        with self._lock:
            self._late.add(timer)
        timer.start()

    def _arrive(self, timer: Timer, event: bytes) -> None:
        with suppress(OSError):  # the function is shutting down
            self._send(event)
        with self._lock:
            self._late.discard(timer)


class _Versions:
    """Which version an event is about: the oldest of its etag that no event before was about, as moto keeps order."""

    def __init__(self, s3: S3Client) -> None:
        self._s3 = s3
        self._seen: set[tuple[str, str, str]] = set()

    def of(self, bucket: str, key: str, etag: str) -> str | None:
        """The version's id; None for a bucket without versions."""
        listed = self._s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
        newest_first = [one["VersionId"] for one in listed if one["Key"] == key and one["ETag"].strip('"') == etag]
        fresh = [version for version in newest_first if version != "null" and (bucket, key, version) not in self._seen]
        if not fresh:
            return None
        self._seen.add((bucket, key, fresh[-1]))
        return fresh[-1]
