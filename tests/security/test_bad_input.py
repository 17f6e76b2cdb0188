"""The function ends in an intended way with any content of events, keys, secrets, routes and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from local.cloudworks import PASSWORD, USERNAME, Fault, Reply, Request
from tests.autoload import BUCKET, Autoload, ExecutionFailed, s3_event
from tests.integration.test_main_path import ACCOUNTS, KEY, each, latest
from tests.security.mutations import mutated, spoiled
from tests.security.privileges import used
from tests.unit.scripted import Script, scripted

__all__ = ["used"]

fuzzed = settings(
    max_examples=max(1, settings().max_examples // 6),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Each example runs whole executions, one after another in the same account."""


@pytest.fixture
def autoload(tmp_path: Path) -> Iterator[Autoload]:
    with Autoload(tmp_path) as made:
        yield made


@pytest.fixture
def elsewhere() -> Iterator[Script]:
    """Another host, to which answers point."""
    with scripted() as script:
        yield script


def arrange_once(autoload: Autoload) -> None:
    """At a test's first example: one route, and a known author of runs."""
    if not autoload.simulator.runs:
        latest(autoload)
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))


def loads_on(autoload: Autoload) -> None:
    """The lane is free, and the next upload is loaded."""
    autoload.set_secret()
    autoload.pass_time(4_000)
    autoload.invoke({"sweep": True})
    autoload.drain()
    autoload.messages()
    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert [upload["state"] for upload in result["uploads"]] == ["loaded"]


# Events.

RECORD = s3_event(BUCKET, KEY, 20, "d41d8cd98f00b204e9800998ecf8427e", "v1", "2026-11-24T21:05:00.000Z", "0A1B")
EVENTBRIDGE = {
    "version": "0",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-11-24T21:05:00Z",
    "detail": {
        "bucket": {"name": BUCKET},
        "object": {"key": KEY, "size": 20, "etag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0A1B"},
    },
}
EVENTS = (
    RECORD,
    EVENTBRIDGE,
    {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(RECORD)}}]},
    {"drain": "a2fb43a93bc84bcb9f37dd59a75eb940"},
    {"sweep": True},
)


@fuzzed
@given(data=st.data())
def test_any_event_is_handled_or_refused_as_unknown(autoload: Autoload, data: st.DataObject) -> None:
    arrange_once(autoload)
    event = data.draw(mutated(data.draw(st.sampled_from(EVENTS))))

    try:
        result = autoload.invoke(event)
    except ExecutionFailed as failed:
        assert "UnknownEvent" in str(failed)
    else:
        assert set(result) == {"state", "uploads"}
    autoload.drain()


KEYS = (
    "incoming/красный цветок+é 100%.csv",
    "incoming/%2e%2e%2fetc%2fpasswd",
    "incoming/../../reports/x.csv",
    "incoming/./a//b///c.csv",
    "incoming/line\nbreak\r\n.csv",
    "incoming/=cmd|' /C calc'!A0.csv",
    "incoming/<script>alert(1)</script>&amp;.csv",
    "incoming/\u202egnp.exe",
    "incoming/\uffff",
    'incoming/"quoted" and \\ back',
    "incoming/{route} ${jndi:ldap://x} %s %(key)s",
    "incoming/" + "k" * (1024 - 9),
    "incoming/" + "é" * ((1024 - 9) // 2),
)


@pytest.mark.crossed
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("route", [latest, each])
def test_any_key_that_s3_accepts_is_loaded_and_reported_unchanged(
    autoload: Autoload, route: Callable[[Autoload], str], key: str
) -> None:
    route(autoload)
    if route is latest:
        autoload.let_read("accounts", key)

    result = autoload.invoke(autoload.upload(key, ACCOUNTS))

    assert [(upload["key"], upload["state"]) for upload in result["uploads"]] == [(key, "loaded")]
    [message] = autoload.messages()
    assert [upload["key"] for upload in message["uploads"]] == [key]


# Answers.

PATHS = ("/token/authenticate", "/run$", "/integrations/run/[^/]+$", "/integrations/runs/", "/runerror/", "/dumps")
STATUSES = (200, 201, 202, 204, 301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 418, 429, 452, 500, 502, 503, 599)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Date": "yesterday"},
    {"Date": "Mon, 01 Jan 0001 00:00:00 GMT"},
    {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"Retry-After": "-1"},
    {"Retry-After": "9" * 30},
    {"Retry-After": "soon"},
    {"Content-Type": "text/html"},
)
PARTLY = "Code,Name\nA1,Cash\n,Nameless\n"


@fuzzed
@given(data=st.data())
def test_any_answer_of_anaplan_ends_as_an_outcome_and_the_lane_goes_on(
    autoload: Autoload, elsewhere: Script, data: st.DataObject
) -> None:
    arrange_once(autoload)
    path = data.draw(st.sampled_from(PATHS))
    left = data.draw(st.integers(1, 3))
    status = data.draw(st.sampled_from([None, None, *STATUSES]))
    headers = data.draw(st.sampled_from(HEADERS)) | {"Location": f"{elsewhere.url}/next"}
    handle = autoload.simulator.handle

    def spoil(request: Request) -> Reply:
        nonlocal left
        reply = handle(request)
        if left == 0 or reply.answer is None or not re.search(path, request.path):
            return reply
        left -= 1
        body = spoiled(reply.answer.body, data)
        return replace(
            reply, answer=replace(reply.answer, status=status or reply.answer.status, body=body, headers=headers)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoload.simulator, "handle", spoil)
        if path == "/token/authenticate":
            autoload.simulator.expire_tokens()
        result = autoload.invoke(autoload.upload(KEY, PARTLY))

    assert result["state"] in ("led", "held", "handed_over")
    assert elsewhere.requests == []
    loads_on(autoload)


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_without_end_is_cut_off(autoload: Autoload, path: str) -> None:
    arrange_once(autoload)
    if path == "/token/authenticate":
        autoload.simulator.expire_tokens()
    body = '{"status": "' + "x" * 9 * 1024 * 1024
    autoload.simulator.add_fault(
        Fault(kind="status", path=path, status=200, body=body, content_type="application/json")
    )

    result = autoload.invoke(autoload.upload(KEY, PARTLY))

    assert result["state"] == "led"
    assert len(json.dumps(autoload.messages())) < 20_000
    loads_on(autoload)


@pytest.mark.crossed
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("path", PATHS)
def test_neither_password_nor_token_follows_a_redirect(
    autoload: Autoload, elsewhere: Script, path: str, status: int
) -> None:
    arrange_once(autoload)
    if path == "/token/authenticate":
        autoload.simulator.expire_tokens()
    location = {"Location": f"{elsewhere.url}/next"}
    autoload.simulator.add_fault(Fault(kind="status", path=path, count=2, status=status, headers=location))

    autoload.invoke(autoload.upload(KEY, PARTLY))

    assert elsewhere.requests == []


@pytest.mark.crossed
@pytest.mark.parametrize("status", [200, 403, 409, 500])
@pytest.mark.parametrize("path", PATHS)
def test_an_echo_of_what_was_sent_is_shown_nowhere(autoload: Autoload, path: str, status: int) -> None:
    """The search for secrets, in every test, looks at all that comes out of this one."""
    arrange_once(autoload)
    handle = autoload.simulator.handle
    echoed: list[str] = []

    def echo(request: Request) -> Reply:
        reply = handle(request)
        if reply.answer is None or len(echoed) == 3 or not re.search(path, request.path):
            return reply
        sent = request.headers.get("authorization", "")
        echoed.append(sent)
        password = PASSWORD if sent.startswith("Basic") else ""
        words = {"message": f"You sent {sent}, {sent.partition(' ')[2]} and {password}"}
        body = json.dumps({"status": words, "statusMessage": words["message"], **words}).encode()
        return replace(reply, answer=replace(reply.answer, status=status, body=body))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoload.simulator, "handle", echo)
        if path == "/token/authenticate":
            autoload.simulator.expire_tokens()
        if path == "/integrations/runs/":
            autoload.simulator.add_fault(Fault(kind="lose_after", method="POST", path="/run$"))
        autoload.invoke(autoload.upload(KEY, PARTLY))

    assert echoed


# Secrets.

SECRETS = (
    {"username": USERNAME, "password": "a-canary-of-a-password"},
    {"certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "private_key": "a-canary-of-a-key"},
)
SECRET_TEXTS = st.one_of(
    st.sampled_from(SECRETS).flatmap(mutated).map(json.dumps),
    st.sampled_from(["{", "[" * 20_000, "\ufeff{}", "null", "\x00" * 20, "a-canary-of-a-plain-password"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)


@fuzzed
@given(text=SECRET_TEXTS)
def test_any_secret_that_is_not_a_log_in_holds_the_lane_with_one_alert(autoload: Autoload, text: str) -> None:
    arrange_once(autoload)
    autoload.messages()
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString=text)
    autoload.change()

    result = autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert result["state"] == "held"
    [alert] = autoload.messages()
    assert alert["outcome"] == "held"
    autoload.set_secret()
    autoload.invoke({"sweep": True})
    autoload.drain()
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_binary_secret_that_is_not_text_holds_the_lane(autoload: Autoload) -> None:
    arrange_once(autoload)
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretBinary=b"\xff\xfe\x00")
    autoload.change()

    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS))["state"] == "held"


# Routes.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff\xfe[[route]]",
        b"a = " + b"[" * 20_000,
        b"a." * 2_000 + b"b = 1",
        b"[[route]]\nname = 9999-12-31T23:59:59Z",
        b"[[route]]\nsettle = " + b"9" * 5_000,
        b"route = [1, inf, nan]",
        b"<html>",
    ],
)
def test_a_file_that_is_not_a_routes_file_fails_the_execution_and_records_nothing(
    autoload: Autoload, content: bytes
) -> None:
    autoload.use_routes_file().write_bytes(content)
    event = autoload.upload(KEY, ACCOUNTS)

    with pytest.raises(ExecutionFailed, match=r"RoutesInvalid.*routes\.toml"):
        autoload.invoke(event)
    assert autoload.ledger.pending() == []
