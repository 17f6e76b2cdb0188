"""The secret's third form, and Anaplan's OAuth service: every answer that it, or a gateway, may give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from anaplan_autoload.anaplan import oauth
from anaplan_autoload.anaplan.cloudworks import CloudWorks
from anaplan_autoload.anaplan.credentials import SecretInvalid, decode_secret
from anaplan_autoload.anaplan.errors import CloudWorksError, NotFound, NotSent, Refused, TryLater, Unknown
from anaplan_autoload.anaplan.http import Limits, http_pool
from anaplan_autoload.anaplan.oauth import Denied, OAuthCredentials, oauth_url
from anaplan_autoload.aws.secret import secret_name
from tests.unit.scripted import Reply, Script, scripted

CLIENT = "0a1b" * 8
REFRESH = "c4nary-refresh-token"
NEXT = "c4nary-next-refresh-token"
SECRET = "c4nary-client-secret"
ACCESS = "c4nary-access-token"
NOW = 1_795_554_300_000
GOOD = {"client_id": CLIENT, "refresh_token": REFRESH}


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        yield script


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"\ufeff \r\n{json.dumps(GOOD)}\0\n",
        json.dumps({**GOOD, "client_secret": SECRET}),
        json.dumps({**GOOD, "client_secret": None}),
        json.dumps({**GOOD, "access_token": ACCESS, "expires_at": NOW}),
        json.dumps({**GOOD, "access_token": "", "expires_at": "soon"}),
    ],
)
def test_a_refresh_token_is_read_from_the_secret(text: str) -> None:
    credentials = decode_secret(text)

    assert isinstance(credentials, OAuthCredentials)
    assert (credentials.client_id, credentials.refresh_token) == (CLIENT, REFRESH)
    assert REFRESH not in repr(credentials)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"client_id": CLIENT}, 'lacks "refresh_token"'),
        ({"refresh_token": REFRESH}, 'lacks "client_id"'),
        ({"client_secret": SECRET}, 'lacks "client_id" and "refresh_token"'),
        ({**GOOD, "username": "ada@example.com", "password": SECRET}, "mixes a password and an OAuth client"),
        ({**GOOD, "certificate": "x", "private_key": SECRET}, "mixes a certificate and an OAuth client"),
        ({**GOOD, "client_secret": 7}, '"client_secret" is not text'),
        ({**GOOD, "refresh_token": [REFRESH]}, '"refresh_token" is not text'),
        ({**GOOD, "refresh_token": " "}, '"refresh_token" is empty'),
        ({**GOOD, "client_secret": ""}, '"client_secret" is empty'),
        ({**GOOD, "refresh_token": f"{REFRESH}\n"}, '"refresh_token" has a space, a line break'),
        ({**GOOD, "refresh_token": f"Bearer {REFRESH}"}, '"refresh_token" has a space'),
        ({**GOOD, "refresh_token": f"{REFRESH}\u200b"}, "another character that cannot belong to it"),
        ({**GOOD, "client_id": f'"{CLIENT}"'}, '"client_id" has quotation marks around it'),
        ({"Client-Id": CLIENT, "refresh_token": REFRESH}, '"client_id" is spelled differently'),
        ({**GOOD, "grant_type": "refresh_token"}, '1 field too many: "grant_type"'),
        (
            {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "Bearer", "expires_in": 2100},
            '2 fields too many: "token_type" and "expires_in", and lacks "client_id"',
        ),
    ],
)
def test_an_odd_secret_is_explained_without_its_values(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(SecretInvalid) as caught:
        decode_secret(json.dumps(fields))

    assert reason in caught.value.reason
    assert "client_secret" in caught.value.reason
    assert "c4nary" not in f"{caught.value}{caught.value!r}{caught.value.__context__}"


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("https://auth.anaplan.com", "https://us1a.app.anaplan.com"),
        ("https://auth.anaplan.com/", "https://us1a.app.anaplan.com"),
        *[
            (f"https://{region}.auth.anaplan.com", f"https://{region}.app.anaplan.com")
            for region in ("us9", "eu3", "eu5", "gb1", "ca1a", "sg1", "ae1", "in1", "id1", "me1")
        ],
        ("https://EU3.auth.anaplan.com", "https://eu3.app.anaplan.com"),
        ("https://au1a.app2.anaplan.com", "https://au1a.app2.anaplan.com"),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("https://evil.example.com/auth.anaplan.com", "https://evil.example.com/auth.anaplan.com"),
    ],
)
def test_the_oauth_service_is_that_of_the_region(auth: str, expected: str) -> None:
    assert oauth_url(auth) == expected


@pytest.mark.parametrize(
    ("secret_id", "name"),
    [
        ("anaplan/login", "anaplan/login"),
        ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:anaplan/login-AbCd1f", "anaplan/login"),
        ("anaplan-secret", "anaplan-secret"),
    ],
)
def test_a_secret_has_one_item_in_the_ledger_whether_it_is_named_or_its_arn_is_given(secret_id: str, name: str) -> None:
    assert secret_name(secret_id) == name


def renewed(script: Script, **changes: Any) -> oauth.Grant:
    credentials = OAuthCredentials(**{**GOOD, **changes})
    return oauth.refresh(http_pool(), script.url, credentials, NOW, Limits(connect=2, read=1, body=10_000))


def test_the_refresh_token_is_sent_as_json_and_without_a_header(script: Script) -> None:
    script.answer(200, {"access_token": ACCESS, "refresh_token": NEXT, "expires_in": 2100, "token_type": "Bearer"})

    grant = renewed(script, client_secret=SECRET)

    [request] = script.requests
    assert (request.method, request.path) == ("POST", "/oauth/token")
    assert "authorization" not in request.headers
    assert json.loads(request.body) == {
        "grant_type": "refresh_token",
        "client_id": CLIENT,
        "refresh_token": REFRESH,
        "client_secret": SECRET,
    }
    assert (grant.access_token, grant.refresh_token, grant.expires_at) == (ACCESS, NEXT, NOW + 2_100_000)


def test_no_client_secret_is_sent_where_there_is_none(script: Script) -> None:
    script.answer(200, {"access_token": ACCESS})

    assert renewed(script).refresh_token is None
    assert "client_secret" not in json.loads(script.requests[0].body)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(2100, 2100), ("2100", 2100), (None, 1800), (0, 1800), (-5, 1800), ("9" * 5000, 1800), (10**9, 1800), ([], 1800)],
)
def test_a_life_that_cannot_be_is_not_believed(script: Script, told: object, seconds: int) -> None:
    script.answer(200, {"access_token": ACCESS, "expires_in": told})

    assert renewed(script).expires_at == NOW + seconds * 1000


@pytest.mark.parametrize(
    "content",
    [
        {"refresh_token": NEXT},
        {"access_token": "two words", "refresh_token": NEXT},
        {"access_token": None, "refresh_token": NEXT},
        {"access_token": f"{ACCESS}\r\nX: y", "refresh_token": NEXT},
    ],
)
def test_a_new_refresh_token_is_kept_although_no_access_token_came_with_it(script: Script, content: object) -> None:
    script.answer(200, content)

    grant = renewed(script)

    assert (grant.access_token, grant.refresh_token, grant.expires_at) == ("", NEXT, 0)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"{}"), Unknown),
        (Reply(200, b"[" * 5000), Unknown),
        (Reply(200, b'{"access_token": "c4nary-acc'), Unknown),
        (Reply(200, b'{"refresh_token": "%s"}' % REFRESH.encode()), Unknown),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), Unknown),
        (Reply(lost=True), Unknown),
        (Reply(stalls=True), Unknown),
        (Reply(200, b"x", missing=5), Unknown),
        (Reply(500, b'{"error": "server_error"}'), Unknown),
        (Reply(302, b"", {"Location": "https://evil.example.com/"}), Unknown),
        (Reply(503, b"<html>", {"Content-Type": "text/html"}), TryLater),
        (Reply(429, b'{"error": "too_many_requests"}', {"Retry-After": "7"}), TryLater),
        (Reply(403, b"<html>", {"Content-Type": "text/html"}), TryLater),
        (Reply(404, b"Not Found"), TryLater),
        (Reply(404, b'{"status": {"code": 404, "message": "no"}}'), TryLater),
        (Reply(403, b'{"error": "temporarily_unavailable"}'), TryLater),
        (Reply(403, b'{"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}'), Denied),
        (Reply(400, b'{"error": "invalid_grant"}'), Denied),
        (Reply(401, b'{"error": "invalid_client", "error_description": null}'), Denied),
        (Reply(403, b'{"error": "unauthorized_client"}'), Denied),
        (Reply(400, b'{"error": "something_new"}'), Denied),
        (Reply(401, b""), Denied),
    ],
)
def test_an_answer_says_whether_the_token_may_be_spent(script: Script, reply: Reply, kind: type[Exception]) -> None:
    script.reply(reply)

    with pytest.raises(CloudWorksError) as caught:
        renewed(script, client_secret=SECRET)

    assert type(caught.value) is kind
    assert len(script.requests) == 1
    assert "c4nary" not in str(caught.value)


def test_without_a_connection_nothing_was_spent(script: Script) -> None:
    with pytest.raises(NotSent):
        oauth.refresh(http_pool(), "http://127.0.0.1:9", OAuthCredentials(**GOOD), NOW, Limits(connect=1))


def test_an_answer_that_repeats_the_secrets_is_quoted_without_them(script: Script) -> None:
    said = f"no token {REFRESH} of client with secret {SECRET}"
    script.answer(403, {"error": "invalid_grant", "error_description": said})

    with pytest.raises(Denied, match=r'403 "invalid_grant: no token \*\*\* of client with secret \*\*\*"') as caught:
        renewed(script, client_secret=SECRET)

    assert "auth login --device" in str(caught.value)


class OAuthTokens:
    """A source of OAuth tokens."""

    is_oauth = True

    def token(self, fresh: bool = False) -> str:
        return "fresh" if fresh else "usual"


NOT_AUTHORIZED = {"status": {"code": 403, "message": "Not Authorized"}}


def test_a_token_of_oauth_is_presented_otherwise_before_cloudworks_is_believed(script: Script) -> None:
    cloudworks = CloudWorks(http_pool(), script.url, OAuthTokens())
    script.answer(403, NOT_AUTHORIZED).answer(403, NOT_AUTHORIZED)
    script.answer(200, {"status": {"code": 200}, "run": {"id": "a" * 32}}).answer(200, {"integration": {}})

    cloudworks.run_integration("b" * 32)
    cloudworks.request("GET", f"/integrations/{'b' * 32}")

    sent = [request.authorization for request in script.requests]
    assert sent == ["AnaplanAuthToken usual", "AnaplanAuthToken fresh", "Bearer usual", "Bearer usual"]


def test_a_user_who_may_not_is_refused_whatever_the_token_looks_like(script: Script) -> None:
    cloudworks = CloudWorks(http_pool(), script.url, OAuthTokens())
    for _ in range(4):
        script.answer(403, NOT_AUTHORIZED)
    script.answer(404, {"status": {"code": 404, "message": "no"}})

    with pytest.raises(Refused):
        cloudworks.run_integration("b" * 32)
    with pytest.raises((NotFound, Refused)):
        cloudworks.run_integration("b" * 32)

    assert [request.authorization.split()[0] for request in script.requests][3] == "AnaplanAuthToken"
