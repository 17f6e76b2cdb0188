"""A rival as it is deployed: Lambda's asynchronous invocations, S3's events, and Anaplan, on the model's virtual clock.

Nothing of the rival is changed. What it imports answers without sockets: the transports of requests and httpx ask the
simulator, boto3's clients are the model's stand-ins, and `time.sleep` passes virtual time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module, reload
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import httpx2
import pytest
import requests

from anaplan_autoload.domain.times import iso
from local.cloudworks import PASSWORD, USERNAME, Simulator, seed
from local.cloudworks.http_messages import Answer, Request
from tests.autoload import s3_event
from tests.model.aws import BUCKET, Bucket, EffectClient, Secrets
from tests.model.world import Task, World

TIMEOUT_MS = 900_000
"""Lambda's longest."""
RETRIED_AFTER_SECONDS = (60, 120)
"""How long Lambda waits before it tries a failed asynchronous invocation again."""
QUEUED_AGAIN_SECONDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)
"""How long Lambda keeps an event that found all sandboxes busy, before it tries again: the last again and again."""
KEY = "incoming/accounts/a.csv"


def put(bucket: Bucket, content: str, now: int, number: int) -> dict[str, Any]:
    """Put the object `KEY`; returns S3's event for the upload of that number."""
    stored = bucket.put(KEY, content.encode())
    return s3_event(BUCKET, KEY, len(content), stored.etag, stored.version_id, iso(now), f"{number:016X}")


class Topic:
    """SNS, with a subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> None:  # noqa: N803
        """Keep what the message says."""
        self.outcomes.append(json.loads(Message)["outcome"])


class Deployed:
    """A handler in Lambda, its bucket, its topic and its Anaplan."""

    def __init__(self, module: str, world_seed: int, concurrency: int = 1000) -> None:
        self.world = World(world_seed)
        self.topic, self.secrets = Topic(), Secrets()
        self.bucket = Bucket(versioned=True, now=lambda: self.world.now)
        self.secrets.put(json.dumps({"username": USERNAME, "password": PASSWORD}))
        self.simulator = Simulator(self.bucket, clock=lambda: self.world.seconds)
        self.world.next_change, self.world.change = self.simulator.next_change, self.simulator.tick
        self.integration = seed(self.simulator, BUCKET, [("accounts", KEY)]).integration_ids["accounts"]
        self.billed_ms = 0
        """How long sandboxes have worked or slept."""
        self._module = module
        self._free = concurrency
        self._uploads = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Import the handler, in this world."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ANAPLAN_SECRET_ID", "anaplan")
            patched.setenv("TOPIC_ARN", "arn:aws:sns:eu-west-1:123456789012:alerts")
            patched.setenv("INTEGRATION_ID", self.integration)
            patched.setattr(time, "sleep", self.world.sleep)
            patched.setattr(boto3, "client", self._client)
            patched.setattr(requests.adapters.HTTPAdapter, "send", self._send_request)
            patched.setattr(httpx2.HTTPTransport, "handle_request", self._send_httpx)
            self._handler: Callable[[Any, Any], None] = reload(import_module(self._module)).handler
            yield

    def upload(self, content: str) -> dict[str, Any]:
        """Put the object; returns its event."""
        self._uploads += 1
        return put(self.bucket, content, self.world.now, self._uploads)

    def start(self, event: Any, delay: float = 0) -> None:
        """Invoke the function asynchronously."""
        self.world.in_seconds(delay, lambda: self._invoke(event, 0))

    @property
    def outcomes(self) -> list[str]:
        """What subscribers were told."""
        return self.topic.outcomes

    def _invoke(self, event: Any, retries: int, throttled: int = 0) -> None:
        if not self._free:
            wait = QUEUED_AGAIN_SECONDS[min(throttled, len(QUEUED_AGAIN_SECONDS) - 1)]
            self.world.in_seconds(wait, lambda: self._invoke(event, retries, throttled + 1))
            return
        failed: list[BaseException] = []
        begun = self.world.now
        self._free -= 1

        def work() -> None:
            try:
                self._handler(event, None)
            except BaseException as error:
                failed.append(error)

        def ended(_: Task) -> None:
            self._free += 1
            self.billed_ms += self.world.now - begun
            if failed and retries < len(RETRIED_AFTER_SECONDS):
                wait = RETRIED_AFTER_SECONDS[retries]
                self.world.in_seconds(wait, lambda: self._invoke(event, retries + 1))

        self.world.run(Task("rival", None, begun + TIMEOUT_MS, work, ended))

    def _client(self, service: str, **_: object) -> Any:
        stand_in = {"sns": self.topic, "secretsmanager": self.secrets}[service]
        return EffectClient(self.world, service, stand_in)

    def _ask(self, method: str, url: str, headers: Any, body: bytes) -> Answer | None:
        parts = urlsplit(url)
        named = {name.lower(): value for name, value in headers.items()}
        request = Request(method, parts.path, dict(parse_qsl(parts.query)), named, body)
        return self.world.effect(f"anaplan {method} {parts.path}", lambda: self.simulator.handle(request).answer)

    def _send_request(self, request: Any, **_: object) -> requests.Response:
        answer = self._ask(request.method, request.url, request.headers, request.body or b"")
        if answer is None:
            raise requests.ConnectionError("Remote end closed connection without response")
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, request.url, request
        response.headers.update({"Content-Type": answer.content_type, **answer.headers})
        response._content = answer.body  # noqa: SLF001  (where its adapter puts the body too)
        return response

    def _send_httpx(self, request: Any) -> httpx2.Response:
        answer = self._ask(request.method, str(request.url), request.headers, request.read())
        if answer is None:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        headers = {"Content-Type": answer.content_type, **answer.headers}
        return httpx2.Response(answer.status, headers=headers, stream=httpx2.ByteStream(answer.body))
