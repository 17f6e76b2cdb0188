"""The simulator's OAuth service: devices, refresh tokens of both kinds, and those that are used wrongly."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from local.cloudworks import USERNAME, OAuthClient, Variants
from tests.unit.simulator.client import Anaplan

DEVICE = OAuthClient(id="d" * 32)
ROTATING = OAuthClient(id="r" * 32, rotates=True)
CODE = OAuthClient(id="e" * 32, grant="code", secret="c4nary-client-secret")
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(autouse=True)
def _clients(anaplan: Anaplan) -> None:
    for client in (DEVICE, ROTATING, CODE):
        anaplan.simulator.add_client(client)


def post(anaplan: Anaplan, path: str, status: int = 200, **body: str) -> Any:
    answer = anaplan.send("POST", path, body)
    assert answer.status == status, answer.data
    return answer.json()


def begun(anaplan: Anaplan, scope: str = "openid profile email offline_access") -> dict[str, Any]:
    found: dict[str, Any] = post(anaplan, "/oauth/device/code", client_id=DEVICE.id, scope=scope)
    return found


def poll(anaplan: Anaplan, device: dict[str, Any], status: int = 200) -> Any:
    return post(
        anaplan, "/oauth/token", status, grant_type=GRANT, client_id=DEVICE.id, device_code=device["device_code"]
    )


def refresh(anaplan: Anaplan, token: str, status: int = 200, client: OAuthClient = ROTATING, **more: str) -> Any:
    return post(
        anaplan, "/oauth/token", status, grant_type="refresh_token", client_id=client.id, refresh_token=token, **more
    )


def test_a_device_is_confirmed_and_its_token_works(anaplan: Anaplan) -> None:
    device = begun(anaplan)
    assert poll(anaplan, device, 403)["error"] == "authorization_pending"
    anaplan.simulator.confirm_device(device["user_code"], USERNAME)
    anaplan.clock.time += device["interval"]

    granted = poll(anaplan, device)

    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 2100)
    for scheme in ("AnaplanAuthToken", "Bearer"):
        assert (
            anaplan.send("GET", "/2/0/integrations", Authorization=f"{scheme} {granted['access_token']}").status == 200
        )
    assert refresh(anaplan, granted["refresh_token"], client=DEVICE)["refresh_token"] == granted["refresh_token"]


def test_anybody_who_opens_the_page_confirms(anaplan: Anaplan) -> None:
    device = begun(anaplan)
    page = urlsplit(device["verification_uri_complete"])

    assert anaplan.send("GET", f"{page.path}?{page.query}").status == 200
    assert poll(anaplan, device)["access_token"]
    assert anaplan.send("GET", "/activate?user_code=NOBO-DYS0").status == 404


def test_polling_too_fast_is_told_and_costs_five_seconds_more(anaplan: Anaplan) -> None:
    device = begun(anaplan)
    poll(anaplan, device, 403)
    assert poll(anaplan, device, 429)["error"] == "slow_down"
    anaplan.clock.time += 6
    assert poll(anaplan, device, 429)["error"] == "slow_down"
    anaplan.clock.time += 15
    assert poll(anaplan, device, 403)["error"] == "authorization_pending"


def test_a_device_may_be_denied_or_expire_and_its_code_works_once(anaplan: Anaplan) -> None:
    denied, late, used = begun(anaplan), begun(anaplan), begun(anaplan)
    anaplan.simulator.deny_device(denied["user_code"])
    anaplan.simulator.confirm_device(used["user_code"], USERNAME)
    assert poll(anaplan, denied, 403)["error"] == "access_denied"
    poll(anaplan, used)
    assert poll(anaplan, used, 403)["error"] == "invalid_grant"
    anaplan.clock.time += 901
    assert poll(anaplan, late, 403)["error"] == "expired_token"


def test_without_offline_access_there_is_no_refresh_token(anaplan: Anaplan) -> None:
    device = begun(anaplan, scope="openid")
    anaplan.simulator.confirm_device(device["user_code"], USERNAME)

    assert "refresh_token" not in poll(anaplan, device)


def test_a_rotating_token_works_once_and_a_second_use_ends_its_successors(anaplan: Anaplan) -> None:
    first = anaplan.simulator.grant(ROTATING.id, USERNAME)
    second = refresh(anaplan, first)["refresh_token"]
    third = refresh(anaplan, second)["refresh_token"]
    assert len({first, second, third}) == 3

    assert refresh(anaplan, first, 403)["error"] == "invalid_grant"

    assert anaplan.simulator.spent_again == 1
    assert refresh(anaplan, third, 403)["error"] == "invalid_grant"


def test_a_lenient_service_refuses_the_spent_token_alone(anaplan: Anaplan) -> None:
    anaplan.simulator.settings.variants = Variants(reuse_revokes=False)
    first = anaplan.simulator.grant(ROTATING.id, USERNAME)
    second = refresh(anaplan, first)["refresh_token"]
    refresh(anaplan, first, 403)

    assert refresh(anaplan, second)["access_token"]


def test_a_rotating_token_that_is_not_used_expires(anaplan: Anaplan) -> None:
    rotating, other = anaplan.simulator.grant(ROTATING.id, USERNAME), anaplan.simulator.grant(DEVICE.id, USERNAME)
    anaplan.clock.time += 43_001

    assert refresh(anaplan, rotating, 403)["error"] == "invalid_grant"
    assert refresh(anaplan, other, client=DEVICE)["access_token"]


def test_a_client_must_be_the_right_one(anaplan: Anaplan) -> None:
    token = anaplan.simulator.grant(CODE.id, USERNAME)
    assert refresh(anaplan, token, 401, CODE)["error"] == "invalid_client"
    assert refresh(anaplan, token, 401, CODE, client_secret="wrong")["error"] == "invalid_client"
    assert refresh(anaplan, token, 403)["error"] == "invalid_grant"
    assert refresh(anaplan, token, client=CODE, client_secret=CODE.secret or "")["access_token"]
    assert post(anaplan, "/oauth/device/code", 401, client_id="nobody")["error"] == "invalid_client"
    assert (
        post(anaplan, "/oauth/device/code", 403, client_id=CODE.id, client_secret=CODE.secret or "")["error"]
        == "unauthorized_client"
    )


@pytest.mark.parametrize(("body", "error"), [({}, "invalid_request"), ([], "invalid_request")])
def test_a_body_that_is_not_a_request_is_refused(anaplan: Anaplan, body: object, error: str) -> None:
    answer = anaplan.send("POST", "/oauth/token", body)

    assert (answer.status, answer.json()["error"]) == (400, error)


def test_an_unknown_grant_and_path_are_refused(anaplan: Anaplan) -> None:
    assert (
        post(anaplan, "/oauth/token", 400, grant_type="password", client_id=DEVICE.id)["error"]
        == "unsupported_grant_type"
    )
    assert anaplan.send("GET", "/oauth/token").status == 404


@pytest.mark.parametrize(("scheme", "taken"), [("AnaplanAuthToken", False), ("Bearer", True)])
def test_cloudworks_may_want_one_scheme_alone(anaplan: Anaplan, scheme: str, taken: bool) -> None:
    anaplan.simulator.settings.variants = Variants(oauth_scheme="Bearer")
    access = refresh(anaplan, anaplan.simulator.grant(DEVICE.id, USERNAME), client=DEVICE)["access_token"]

    answer = anaplan.send("GET", "/2/0/integrations", Authorization=f"{scheme} {access}")

    assert (answer.status == 200) is taken


def test_the_authentication_service_renews_no_token_of_oauth(anaplan: Anaplan) -> None:
    access = refresh(anaplan, anaplan.simulator.grant(DEVICE.id, USERNAME), client=DEVICE)["access_token"]
    header = f"AnaplanAuthToken {access}"
    assert anaplan.send("POST", "/token/refresh", Authorization=header).status == 401
    assert anaplan.send("GET", "/token/validate", Authorization=header).status == 200
    anaplan.simulator.settings.variants = Variants(oauth_validates=False)
    assert anaplan.send("GET", "/token/validate", Authorization=header).status == 401
