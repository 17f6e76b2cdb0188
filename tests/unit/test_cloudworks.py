"""The CloudWorks client against a server that answers by script."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from urllib3.connection import HTTPConnection

from anaplan_autoload.anaplan.cloudworks import CloudWorks
from anaplan_autoload.anaplan.errors import (
    AddressInvalid,
    Busy,
    CloudWorksError,
    NotFound,
    NotSent,
    Refused,
    TryLater,
    Unknown,
)
from anaplan_autoload.anaplan.http import (
    Answer,
    Limits,
    Request,
    checked_url,
    counting_answers,
    departures,
    http_pool,
    opened,
)
from tests.unit.scripted import DATE_MS, Reply, Script, scripted, self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CANARY = "canary-token-0123456789"
FRESH = "canary-fresh-9876543210"
STARTED = {"status": {"code": 200, "message": "Success"}, "run": {"id": "r1"}}
RUNNING = {"run": {"id": "r1", "integrationId": "i1", "startDate": "2026-11-24T21:00:00.000Z", "message": "Running"}}
LOST = Reply(lost=True)
QUICK = Limits(connect=2, read=0.3, total=20, body=10_000)


class Issuer:
    """Gives out one token, and another one each time a fresh one is asked for."""

    is_oauth = False

    def token(self, fresh: bool = False) -> str:
        return FRESH if fresh else CANARY


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(script: Script, pauses: list[float]) -> Iterator[CloudWorks]:
    with http_pool() as http:
        yield CloudWorks(http, f"{script.url}/2/0/", Issuer(), limits=QUICK, sleep=pauses.append)


def envelope(code: int, message: str) -> dict[str, object]:
    return {"status": {"code": code, "message": message}, "path": "/x", "timestamp": "2026-11-24T21:05:00Z"}


def all_texts(error: BaseException) -> str:
    """All that a log could show of an exception and of what led to it."""
    texts: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        texts += [str(chain), repr(chain), repr(chain.args), repr(vars(chain))]
        chain = chain.__cause__ or chain.__context__
    return " ".join(texts)


# Starting a run.


@pytest.mark.parametrize("status", [200, 202])
def test_an_integration_is_started_with_the_token_and_no_body(client: CloudWorks, script: Script, status: int) -> None:
    script.answer(status, STARTED)
    assert client.run_integration("i1") == "r1"
    (request,) = script.requests
    assert (request.method, request.path, request.body) == ("POST", "/2/0/integrations/i1/run", b"")
    assert request.authorization == f"AnaplanAuthToken {CANARY}"


def test_a_flow_is_started(client: CloudWorks, script: Script) -> None:
    script.answer(200, STARTED)
    assert client.run_flow("f1") == "r1"
    assert script.asked() == ["POST /2/0/integrationflows/f1/run"]


def test_a_running_integration_is_busy(client: CloudWorks, script: Script) -> None:
    script.answer(409, envelope(409, "Integration is already running"))
    with pytest.raises(Busy, match="Integration is already running"):
        client.run_integration("i1")


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_replaced_and_the_run_asked_for_again(
    client: CloudWorks, script: Script, status: int
) -> None:
    script.answer(status, envelope(status, "Not Authorized")).answer(200, STARTED)
    assert client.run_integration("i1") == "r1"
    assert [seen.authorization.split()[1] for seen in script.requests] == [CANARY, FRESH]


def test_a_refusal_of_a_fresh_token_is_believed_and_names_the_role(client: CloudWorks, script: Script) -> None:
    script.answer(403, envelope(403, "Not Permitted")).answer(403, envelope(403, "Not Permitted"))
    with pytest.raises(Refused, match=r'403: the user may not do this \("Not Permitted"\)\. Give') as caught:
        client.run_integration("i1")
    assert caught.value.status == 403
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (400, "Bad", "at least two enabled steps"),
        (400, "Duplicate resource name not allowed", "Choose another"),
        (404, "Resource not found", "Check the id"),
        (452, "Tenant not entitled", "Restricted Integration User"),
    ],
)
def test_a_refusal_names_request_words_and_remedy(
    client: CloudWorks, script: Script, status: int, said: str, remedy: str
) -> None:
    script.answer(status, envelope(status, said))
    with pytest.raises(Refused) as caught:
        client.run_flow("f1")
    text = str(caught.value)
    assert text.startswith(f"Anaplan answered {status}")
    assert text.endswith(f" (POST {script.url}/2/0/integrationflows/f1/run)")
    assert said in text
    assert remedy in text
    assert caught.value.status == status
    assert isinstance(caught.value, NotFound) == (status == 404)


def test_a_web_page_for_a_404_points_at_the_url(client: CloudWorks, script: Script) -> None:
    script.page(404)
    with pytest.raises(TryLater, match="CLOUDWORKS_URL"):
        client.run_integration("i1")


PAGE = Reply(body=b"<html><title>Sorry</title></html>", headers={"Content-Type": "text/html; charset=utf-8"})
NOT_CLOUDWORKS = {
    "a web page": PAGE,
    "a web page without a type": replace(PAGE, headers={}),
    "nothing": Reply(),
    "text": Reply(body=b"Forbidden", headers={"Content-Type": "text/plain"}),
    "XML": Reply(body=b"<Error><Code>AccessDenied</Code></Error>", headers={"Content-Type": "application/xml"}),
    "an API gateway's JSON": Reply(body=b'{"message": "Forbidden"}', headers={"Content-Type": "application/json"}),
    "a fault": Reply(body=b'{"fault": {"faultstring": "Invalid ApiKey"}}'),
    "Kubernetes' JSON": Reply(body=b'{"kind": "Status", "status": "Failure", "message": "no", "code": 403}'),
    "a status without a code": Reply(body=b'{"status": {"message": "Forbidden"}}'),
    "a list": Reply(body=b"[]"),
    "half of CloudWorks' JSON": Reply(body=b'{"status": {"code": 403, "mess'),
}


@pytest.mark.parametrize("what", NOT_CLOUDWORKS)
@pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 410, 413, 418, 422, 429, 451, 452, 503])
def test_an_answer_that_is_not_cloudworks_own_proves_nothing(
    client: CloudWorks, script: Script, status: int, what: str
) -> None:
    reply = replace(NOT_CLOUDWORKS[what], status=status)
    script.reply(reply, reply)
    for ask in (client.run_integration, client.run):
        with pytest.raises(TryLater):
            ask("x1")
    assert len(script.requests) == 2


@pytest.mark.parametrize("what", NOT_CLOUDWORKS)
@pytest.mark.parametrize("status", [408, 460, 499, 500, 501, 502, 504, 520, 524, 599])
def test_a_gateway_that_may_have_passed_the_request_on_leaves_its_effect_unknown(
    client: CloudWorks, script: Script, status: int, what: str
) -> None:
    script.reply(replace(NOT_CLOUDWORKS[what], status=status))
    with pytest.raises(Unknown) as caught:
        client.run_integration("i1")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (404, NotFound),
        (408, Unknown),
        (409, Busy),
        (410, Refused),
        (429, TryLater),
        (452, Refused),
        (460, Refused),
        (500, Unknown),
        (502, Unknown),
        (503, TryLater),
        (504, Unknown),
    ],
)
def test_what_cloudworks_answers_itself_is_believed(
    client: CloudWorks, script: Script, status: int, kind: type[CloudWorksError]
) -> None:
    script.answer(status, envelope(status, "So it is"))
    with pytest.raises(CloudWorksError, match="So it is") as caught:
        client.run_integration("i1")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("reply", "log_ins"),
    [
        (replace(PAGE, status=401), 0),
        (replace(PAGE, status=403), 0),
        (Reply(403), 0),
        (Reply(403, b'{"message": "Forbidden"}'), 0),
        (Reply(401), 1),
        (Reply(401, b'{"message": "Unauthorized"}'), 1),
        (Reply(403, b'{"status": {"code": 403}}'), 1),
    ],
)
def test_a_log_in_is_not_wasted_on_a_gateways_refusal(
    client: CloudWorks, script: Script, reply: Reply, log_ins: int
) -> None:
    script.reply(reply, reply)
    with pytest.raises((TryLater, Refused)):
        client.run_integration("i1")
    assert sum(seen.authorization.endswith(FRESH) for seen in script.requests) == log_ins


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        ("999999", 3600),
        ("Tue, 24 Nov 2026 21:05:30 GMT", 30),
        ("Tue, 24 Nov 2026 21:04:30 GMT", 0),
        ("-5", None),
        ("nan", None),
        ("later", None),
        ("", None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(
    client: CloudWorks, script: Script, retry_after: str, seconds: float | None
) -> None:
    script.answer(429, envelope(429, "Too many requests"), Retry_After=retry_after)
    with pytest.raises(TryLater) as caught:
        client.run_integration("i1")
    assert caught.value.retry_after == seconds
    assert not isinstance(caught.value, NotSent)


def test_an_unavailable_service_is_tried_later(client: CloudWorks, script: Script) -> None:
    script.answer(503, envelope(503, "Integration trigger error"))
    with pytest.raises(TryLater, match="Integration trigger error") as caught:
        client.run_integration("i1")
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    "reply",
    [
        LOST,
        Reply(stalls=True),
        Reply(200, b'{"run": {"id": "r1"}}', missing=5),
        Reply(200, b'{"run": {"id": "r'),
        Reply(200, b""),
        Reply(200, b"[]"),
        Reply(200, b"{}"),
        Reply(200, b'{"run": {"id": ""}}'),
        Reply(200, b'{"run": {"id": 7}}'),
        Reply(200, b'{"run": "r1"}'),
        Reply(200, b"[" * 9_000),
        Reply(200, b"\xff\xfe"),
        Reply(200, b"<html>", {"Content-Type": "text/html"}),
        Reply(200, b" " * 10_001),
        Reply(200, b"x", {"Content-Encoding": "gzip"}),
        Reply(200, b'-5\r\n{"run": {"id": "r1"}}', {"Transfer-Encoding": "chunked"}),
        Reply(200, b'zz\r\n{"run": {"id": "r1"}}', {"Transfer-Encoding": "chunked"}),
        Reply(408),
        Reply(500, b'{"status": {"code": 500, "message": "Anaplan Connection Error"}}'),
        Reply(502, b"<html>", {"Content-Type": "text/html"}),
        Reply(504),
        Reply(302, headers={"Location": "/2/0/integrations/i1/run"}),
    ],
)
def test_a_run_that_may_have_begun_is_asked_for_once_only(client: CloudWorks, script: Script, reply: Reply) -> None:
    script.reply(reply)
    with pytest.raises(Unknown):
        client.run_integration("i1")
    assert len(script.requests) == 1


def test_a_server_that_cannot_be_reached_was_sent_nothing(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with http_pool() as http:
        client = CloudWorks(http, f"http://127.0.0.1:{port}", Issuer(), limits=QUICK, sleep=pauses.append)
        with pytest.raises(NotSent, match="Nothing was sent"):
            client.run_integration("i1")
    assert pauses == []


def test_a_server_that_speaks_no_tls_was_sent_nothing(script: Script, pauses: list[float]) -> None:
    url = script.url.replace("http:", "https:")
    with http_pool() as http, pytest.raises(NotSent, match="No secure connection"):
        CloudWorks(http, url, Issuer(), limits=QUICK, sleep=pauses.append).run_integration("i1")
    assert script.requests == []


def test_a_server_that_hangs_up_before_anything_was_sent_has_lost_nothing(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        with http_pool() as http, pytest.raises(NotSent):
            CloudWorks(http, url, Issuer(), limits=QUICK, sleep=pauses.append).run_integration("i1")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example.com"])
def test_a_host_that_cannot_be_connected_to_is_named_and_sent_nothing(host: str) -> None:
    before = departures()
    with http_pool() as http, pytest.raises(AddressInvalid, match="not a usable URL"):
        opened(http, Request("POST", f"https://{host}/x", f"AnaplanAuthToken {CANARY}"))
    assert departures() == before


def test_a_bug_before_a_request_is_sent_is_not_taken_for_a_lost_answer(
    client: CloudWorks, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(HTTPConnection, "connect", broken)
    with pytest.raises(TypeError):
        client.run_integration("i1")
    assert script.requests == []


def test_a_bug_after_a_request_was_sent_leaves_its_effect_unknown(
    client: CloudWorks, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(HTTPConnection, "getresponse", broken)
    with pytest.raises(Unknown, match="lost"):
        client.run_integration("i1")


def test_no_request_is_sent_into_a_connection_that_may_have_died_in_the_meantime(
    client: CloudWorks, script: Script
) -> None:
    script.answer(200, RUNNING).answer(403, envelope(403, "Not Authorized")).answer(200, STARTED)
    client.run("r1")
    client.run_integration("i1")
    assert len({seen.port for seen in script.requests}) == 3


# Where tokens go.


def test_a_server_that_cannot_prove_its_name_is_sent_nothing(tmp_path: Path, pauses: list[float]) -> None:
    with scripted(certificate=self_signed(tmp_path)) as script, http_pool() as http:
        client = CloudWorks(http, script.url, Issuer(), limits=QUICK, sleep=pauses.append)
        with pytest.raises(NotSent, match="cannot be trusted"):
            client.run_integration("i1")
        assert script.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(
    client: CloudWorks, script: Script, status: int
) -> None:
    with scripted() as stranger:
        for _ in range(3):
            script.reply(Reply(status, headers={"Location": f"{stranger.url}/2/0/integrations/run/r1"}))
        with pytest.raises(Unknown, match="not followed"):
            client.run("r1")
        assert stranger.requests == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.cloudworks.anaplan.com/2/0", "not encrypted"),
        ("http://127.0.0.1.example.com", "not encrypted"),
        ("http://host.docker.internal.example.com", "not encrypted"),
        ("http://docker.internal", "not encrypted"),
        ("https://user:hunter2@example.com", "user name or password"),
        ("http://127.0.0.1@example.com", "user name or password"),
        ("http://127.0.0.1:99999", "no usable port"),
        ("https://example.com:0", "no usable port"),
        ("https://example..com", "not a usable URL"),
        ("https://.example.com", "not a usable URL"),
        ("https://example-.com", "not a usable URL"),
        (f"https://{'a' * 64}.com", "not a usable URL"),
        (f"https://{'a.' * 130}com", "not a usable URL"),
        ("ftp://example.com", "not a usable URL"),
        ("https://", "not a usable URL"),
        ("https://example.com/?q=1", "not a usable URL"),
        ("https://example.com/#part", "not a usable URL"),
        ("https://exam ple.com", "not a usable URL"),
        ("https://example.com\n.evil.example", "not a usable URL"),
        ("http://127.0.0.1\\.example.com", "not a usable URL"),
        ("", "not a usable URL"),
    ],
)
def test_a_url_that_is_not_safe_for_tokens_is_refused(url: str, reason: str) -> None:
    with http_pool() as http, pytest.raises(AddressInvalid, match=reason) as caught:
        CloudWorks(http, url, Issuer())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://api.cloudworks.anaplan.com/2/0", "https://api.cloudworks.anaplan.com/2/0"),
        ("https://ca1a.api.anaplan.com/cloudworks/", "https://ca1a.api.anaplan.com/cloudworks"),
        ("http://127.0.0.1:8080/2/0", "http://127.0.0.1:8080/2/0"),
        ("http://localhost", "http://localhost"),
        ("http://host.docker.internal:8080/2/0", "http://host.docker.internal:8080/2/0"),
    ],
)
def test_a_good_url_loses_its_closing_slash_only(url: str, checked: str) -> None:
    assert checked_url(url) == checked


@pytest.mark.parametrize("run_id", ["../../other", "a/b", "a?b=c", "a#b", "é"])
def test_an_odd_id_stays_one_part_of_the_path(client: CloudWorks, script: Script, run_id: str) -> None:
    script.answer(200, RUNNING)
    client.run(run_id)
    (request,) = script.requests
    assert request.path.startswith("/2/0/integrations/run/")
    assert request.path.count("/") == 5
    assert "?" not in request.path


@pytest.mark.parametrize("run_id", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_not_asked_for(client: CloudWorks, script: Script, run_id: str) -> None:
    with pytest.raises(NotFound, match="is not a CloudWorks id"):
        client.run(run_id)
    assert script.requests == []


ECHO = f"you sent AnaplanAuthToken {CANARY} or {FRESH} and s3cr3t-access-key, nested-pem"
BODY = {
    "type": "AmazonS3",
    "body": {
        "name": "inbox",
        "secretAccessKey": "s3cr3t-access-key",
        "serviceAccountKey": {"private_key": "nested-pem"},
    },
}


@pytest.mark.parametrize(
    "reply",
    [
        *(Reply(code, json.dumps(envelope(code, ECHO)).encode()) for code in (400, 404, 409, 429, 452, 500, 503)),
        Reply(400, json.dumps({"status": ECHO, "statusMessage": ECHO}).encode()),
        Reply(500, ECHO.encode(), {"Content-Type": "text/html"}),
        Reply(200, ECHO.encode()),
        Reply(302, headers={"Location": f"http://127.0.0.1:1/?{CANARY}"}),
        Reply(200, b"{", missing=9),
        Reply(stalls=True),
        LOST,
    ],
)
def test_no_exception_shows_a_secret_even_when_anaplan_echoes_it(
    client: CloudWorks, script: Script, reply: Reply
) -> None:
    script.reply(reply)
    with pytest.raises(CloudWorksError) as caught:
        client.request("POST", "/integrations/connections", body=BODY)
    shown = all_texts(caught.value)
    for secret in (CANARY, "s3cr3t-access-key", "nested-pem"):
        assert secret not in shown


def test_an_echo_of_the_fresh_token_is_not_shown_either(client: CloudWorks, script: Script) -> None:
    script.answer(403, envelope(403, ECHO)).answer(403, envelope(403, f"you sent {FRESH}"))
    with pytest.raises(Refused) as caught:
        client.run("r1")
    assert FRESH not in all_texts(caught.value)


def test_an_echo_in_a_field_is_not_shown(client: CloudWorks, script: Script) -> None:
    for _ in range(3):
        script.answer(200, {"run": {"id": "r1", "startDate": CANARY}})
    with pytest.raises(Unknown, match="is not a time") as caught:
        client.run("r1")
    assert CANARY not in all_texts(caught.value)


def test_requests_and_answers_do_not_show_what_they_carry() -> None:
    request = Request("POST", "https://example.com/x", f"AnaplanAuthToken {CANARY}", CANARY.encode())
    answer = Answer(201, {"Set-Cookie": CANARY}, CANARY.encode())
    assert repr(request) == "Request(method='POST', url='https://example.com/x')"
    assert repr(answer) == "Answer(status=201)"
    assert CANARY not in f"{request} {answer} {request.__rich_repr__()} {answer.__rich_repr__()}"


def test_anaplans_words_come_as_one_short_line(client: CloudWorks, script: Script) -> None:
    script.answer(400, envelope(400, "Bad\r\n\x1b[31mred\x00 " + "x" * 5_000))
    with pytest.raises(Refused) as caught:
        client.run_integration("i1")
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 500


# Following a run.


def test_a_run_is_looked_at(client: CloudWorks, script: Script) -> None:
    script.answer(200, RUNNING)
    run = client.run("r1")
    assert (run.id, run.integration_id, run.ended) == ("r1", "i1", False)
    assert script.asked() == ["GET /2/0/integrations/run/r1"]


@pytest.mark.parametrize(
    "reply",
    [LOST, Reply(stalls=True), Reply(500), Reply(200, b"{", missing=9), Reply(200, b"<"), Reply(200, b" " * 10_001)],
)
def test_a_question_is_asked_again_when_its_answer_is_lost(
    client: CloudWorks, script: Script, pauses: list[float], reply: Reply
) -> None:
    script.reply(reply, reply).answer(200, RUNNING)
    assert client.run("r1").id == "r1"
    assert len(pauses) == 2
    assert sum(pauses) < 5


def test_a_question_is_asked_three_times_at_most(client: CloudWorks, script: Script) -> None:
    script.reply(Reply(500), Reply(500), Reply(500))
    with pytest.raises(Unknown):
        client.run("r1")
    assert len(script.requests) == 3


def test_a_question_is_not_asked_again_beyond_its_time(script: Script, pauses: list[float]) -> None:
    script.reply(Reply(500), Reply(500))
    with http_pool() as http, pytest.raises(Unknown):
        CloudWorks(http, script.url, Issuer(), limits=Limits(total=0.2), sleep=pauses.append).run("r1")
    assert (len(script.requests), pauses) == (1, [])


def test_a_question_that_is_put_off_is_not_repeated(client: CloudWorks, script: Script) -> None:
    script.answer(429, envelope(429, "Too many"), Retry_After="9")
    with pytest.raises(TryLater):
        client.run("r1")
    assert len(script.requests) == 1


def test_a_history_is_asked_for_with_both_parameters_and_shows_anaplans_time(
    client: CloudWorks, script: Script
) -> None:
    script.answer(200, {"history_of_runs": {"runs": [{"id": "r1", "triggeredBy": "Ada Builder"}]}})
    page = client.history("i1", offset=25)
    assert script.asked() == ["GET /2/0/integrations/runs/i1?offset=25&limit=25"]
    assert [(run.id, run.author, run.integration_id) for run in page.runs] == [("r1", "Ada Builder", None)]
    assert (page.total, page.size, page.date_ms) == (None, 1, DATE_MS)


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2026 21:05:00 GMT"])
def test_an_invalid_date_header_gives_no_time(client: CloudWorks, script: Script, date: str) -> None:
    script.answer(200, {"history_of_runs": {}}, Date=date)
    assert client.history("i1").date_ms is None


def test_a_flows_run_is_judged_by_the_flow(client: CloudWorks, script: Script) -> None:
    latest = {"startDate": "2026-11-24T21:05:00.000Z", "endDate": "2026-11-24T21:06:00.000Z", "success": True}
    detail = {"integrationFlow": {"id": "f1", "name": "Nightly", "steps": [], "latestRun": latest}}
    script.answer(200, detail).answer(200, detail)
    run = client.flow("f1").run_since(DATE_MS)
    assert run is not None
    assert run.outcome == "loaded"
    assert client.flow("f1").run_since(DATE_MS + 1_000) is None
    assert script.asked()[0] == "GET /2/0/integrationflows/f1"


def test_errors_are_asked_for_by_run(client: CloudWorks, script: Script) -> None:
    said = [{"errorMessages": [{"actionName": "Import", "errorMessage": [{"localMessageText": "Bad"}]}]}]
    script.answer(200, {"runs": said}).answer(200, {"runs": {}})
    assert [error.message for error in client.errors("r1")] == ["Bad"]
    assert client.errors("r1") == ()
    assert script.asked()[0] == "GET /2/0/integrations/runerror/r1"


def test_a_run_is_cancelled(client: CloudWorks, script: Script) -> None:
    script.answer(200, envelope(200, "Success")).answer(409, envelope(409, "Integration i1 is not in running state"))
    client.cancel("i1")
    with pytest.raises(Refused, match="is not in running state"):
        client.cancel("i1")
    assert script.asked() == ["POST /2/0/integrations/i1/cancel"] * 2


# Dumps.

CSV = Reply(200, b"code,reason\n1,bad\n", {"Content-Type": "text/csv"})


@pytest.mark.parametrize(
    ("fetch", "path"),
    [
        (lambda client: client.dump("r1", cap=1_000), "/2/0/integrations/run/r1/dumps"),
        (lambda client: client.dump("r1", "112", cap=1_000), "/2/0/integrations/run/r1/process/import/112/dumps"),
    ],
)
def test_a_dump_is_streamed(
    client: CloudWorks, script: Script, fetch: Callable[[CloudWorks], Iterator[bytes]], path: str
) -> None:
    script.reply(CSV)
    assert b"".join(fetch(client)) == CSV.body
    assert script.asked() == [f"GET {path}"]


def test_a_clean_run_has_no_dump(client: CloudWorks, script: Script) -> None:
    script.answer(404, envelope(404, "Your integration run was successful / no errors"))
    assert client.dump("r1", cap=1_000) is None


def test_an_empty_dump_is_none(client: CloudWorks, script: Script) -> None:
    script.reply(Reply(200))
    assert client.dump("r1", cap=1_000) is None


def test_a_missing_route_for_dumps_is_not_taken_for_a_clean_run(client: CloudWorks, script: Script) -> None:
    script.page(404)
    with pytest.raises(TryLater, match="CLOUDWORKS_URL"):
        client.dump("r1", cap=1_000)


@pytest.mark.parametrize("reply", [Reply(200, b"<html>"), Reply(200, b'{"status": {"code": 200}}'), LOST])
def test_an_answer_that_is_not_a_dump_is_asked_for_again_and_then_unknown(
    client: CloudWorks, script: Script, reply: Reply
) -> None:
    script.reply(reply, reply, reply)
    with pytest.raises(Unknown):
        client.dump("r1", cap=1_000)
    assert len(script.requests) == 3


@pytest.mark.parametrize(("size", "truncated"), [(199_999, False), (200_000, False), (200_001, True), (900_000, True)])
def test_a_dump_longer_than_its_cap_is_cut_there_and_says_so(
    client: CloudWorks, script: Script, size: int, truncated: bool
) -> None:
    script.reply(Reply(200, b"x" * size))
    dump = client.dump("r1", cap=200_000)
    assert dump is not None
    assert sum(len(chunk) for chunk in dump) == min(size, 200_000)
    assert dump.truncated is truncated


def test_a_dump_that_is_cut_off_says_so(client: CloudWorks, script: Script) -> None:
    script.reply(Reply(200, b"x" * 200_000, missing=100_000))
    dump = client.dump("r1", cap=1_000_000)
    assert dump is not None
    with pytest.raises(Unknown, match="was cut off"):
        b"".join(dump)


# Everything else.


def test_any_request_can_be_made(client: CloudWorks, script: Script) -> None:
    script.answer(200, {"connections": {"connectionId": "c1"}}).reply(Reply(200)).answer(200, {"integrations": []})
    assert client.request("POST", "/integrations/connections", body=BODY) == {"connections": {"connectionId": "c1"}}
    assert client.request("DELETE", "/integrations/connections/c1") is None
    assert client.request("GET", "/integrations", params={"offset": 0, "limit": 5}) == {"integrations": []}
    created, _, listed = script.requests
    assert json.loads(created.body) == BODY
    assert created.headers["content-type"] == "application/json"
    assert listed.path == "/2/0/integrations?offset=0&limit=5"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_may_change_something_is_sent_once(client: CloudWorks, script: Script, method: str) -> None:
    script.reply(Reply(500), Reply(200))
    with pytest.raises(Unknown):
        client.request(method, "/integrations/i1", body={})
    assert len(script.requests) == 1


def test_a_listing_is_read_page_by_page(client: CloudWorks, script: Script) -> None:
    for page, total in (["a", "b"], 3), (["c"], 3):
        script.answer(200, {"integrations": page, "meta": {"paging": {"totalSize": total}}})
    assert list(client.pages("/integrations", "integrations", limit=2)) == ["a", "b", "c"]
    assert script.asked() == [f"GET /2/0/integrations?offset={offset}&limit=2" for offset in (0, 2)]


def test_a_page_may_be_shorter_than_asked_for(client: CloudWorks, script: Script) -> None:
    for offset, items in enumerate((["a"], ["b"], ["c"])):
        paging = {"currentPageSize": 1, "offset": offset, "totalSize": 3}
        script.answer(200, {"integrations": items, "meta": {"paging": paging}})
    assert list(client.pages("/integrations", "integrations", limit=50)) == ["a", "b", "c"]
    assert script.asked() == [f"GET /2/0/integrations?offset={offset}&limit=50" for offset in (0, 1, 2)]


def test_a_page_that_hides_items_counts_as_long_as_it_says(client: CloudWorks, script: Script) -> None:
    for items in ["a"], ["b"]:
        script.answer(200, {"integrations": items, "meta": {"paging": {"currentPageSize": 25, "totalSize": 30}}})
    assert list(client.pages("/integrations", "integrations")) == ["a", "b"]
    assert [asked.split("offset=")[1] for asked in script.asked()] == ["0&limit=100", "25&limit=100"]


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {"paging": {"totalSize": "many"}}}])
def test_a_listing_without_totals_ends_with_an_empty_page(
    client: CloudWorks, script: Script, meta: dict[str, object]
) -> None:
    for items in [1, 2], [3], []:
        script.answer(200, {"integrations": items, **meta})
    assert list(client.pages("/integrations", "integrations", limit=2)) == [1, 2, 3]


@pytest.mark.parametrize("total", [None, 1000])
def test_a_listing_that_repeats_its_pages_ends(client: CloudWorks, script: Script, total: int | None) -> None:
    for items in [1, 2], [3], [1, 2]:
        script.answer(200, {"integrations": items, "meta": {"paging": {"totalSize": total}}})
    assert list(client.pages("/integrations", "integrations", limit=2)) == [1, 2, 3]


def test_a_history_is_read_page_by_page_however_short_they_are(client: CloudWorks, script: Script) -> None:
    for run in "r3", "r2", "r1":
        paging = {"currentPageSize": 1, "totalSize": 3}
        script.answer(200, {"history_of_runs": {"runs": [{"id": run}]}, "meta": {"paging": paging}})
    pages = client.histories("i1", limit=25)
    assert [run.id for page in pages for run in page.runs] == ["r3", "r2", "r1"]
    assert script.asked()[-1] == "GET /2/0/integrations/runs/i1?offset=2&limit=25"


def test_a_listing_may_be_empty(client: CloudWorks, script: Script) -> None:
    script.answer(200, {"status": {"code": 200}, "meta": {"paging": {"totalSize": 9}}})
    assert list(client.pages("/integrations", "integrations")) == []


# How requests ended, for the metric.


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(Reply(200, json.dumps(RUNNING).encode()), "ok", id="an answer"),
        pytest.param(Reply(404, json.dumps(envelope(404, "No such run")).encode()), "refused", id="not found"),
        pytest.param(Reply(409, json.dumps(envelope(409, "Running")).encode()), "busy", id="a run is under way"),
        pytest.param(Reply(429, json.dumps(envelope(429, "Slow down")).encode()), "throttled", id="too many requests"),
        pytest.param(Reply(429, b"<html>", {"Content-Type": "text/html"}), "throttled", id="a gateway's limit"),
        pytest.param(Reply(503, b"<html>", {"Content-Type": "text/html"}), "unavailable", id="maintenance"),
        pytest.param(Reply(404, b"<html>", {"Content-Type": "text/html"}), "unavailable", id="no CloudWorks there"),
        pytest.param(Reply(200, b"<html>", {"Content-Type": "text/html"}), "unavailable", id="a proxy's page"),
        pytest.param(LOST, "lost", id="the connection is closed"),
        pytest.param(Reply(200, b"{", missing=9), "lost", id="half an answer"),
        pytest.param(Reply(200, b"x" * 20_000), "lost", id="an answer without end"),
    ],
)
def test_an_answer_is_counted_by_its_kind(client: CloudWorks, script: Script, reply: Reply, kind: str) -> None:
    script.reply(*[reply] * 3)

    with counting_answers() as counts, suppress(CloudWorksError):
        client.run("r1")

    assert counts == {kind: len(script.requests)}


def test_requests_that_reach_nobody_are_counted_too(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with http_pool() as http, counting_answers() as counts:
        client = CloudWorks(http, f"http://127.0.0.1:{port}", Issuer(), limits=QUICK, sleep=pauses.append)
        with pytest.raises(NotSent):
            client.run("r1")

    assert counts == {"unreachable": 3}


def test_rejected_rows_are_counted_as_one_answer(client: CloudWorks, script: Script) -> None:
    script.reply(Reply(200, b"Code,Name\n" * 10, {"Content-Type": "text/csv"}))

    with counting_answers() as counts:
        dump = client.dump("r1", cap=1_000)
        assert dump is not None and b"".join(dump)

    assert counts == {"ok": 1}
