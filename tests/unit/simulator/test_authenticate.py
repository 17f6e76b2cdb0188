"""Log-ins with a password: `/token/authenticate`, `/token/refresh`, `/token/validate` and `/token/logout`."""

from __future__ import annotations

import pytest

from local.cloudworks import PASSWORD, USERNAME
from tests.unit.simulator.client import NOON, Anaplan


def test_a_log_in_is_answered_with_201_and_a_token_that_lives_35_minutes(anaplan: Anaplan) -> None:
    answer = anaplan.log_in()
    assert answer.status == 201
    assert answer.json()["status"] == "SUCCESS"
    assert answer.json()["tokenInfo"]["expiresAt"] == (NOON + 2100) * 1000


def test_a_wrong_password_is_refused_with_401(anaplan: Anaplan) -> None:
    answer = anaplan.log_in(password="wrong")
    assert (answer.status, answer.json()["status"]) == (401, "FAILURE_BAD_CREDENTIAL")


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Digest abc", "Bearer abc"])
def test_a_malformed_header_is_refused_with_400(anaplan: Anaplan, header: str) -> None:
    answer = anaplan.send("POST", "/token/authenticate", Authorization=header)
    assert (answer.status, answer.json()["status"]) == (400, "FAILURE_BAD_HEADER")


def test_five_failed_log_ins_in_a_row_lock_the_user(anaplan: Anaplan) -> None:
    for _ in range(5):
        anaplan.log_in(password="wrong")
    assert anaplan.log_in().status == 401
    assert list(anaplan.simulator.lockouts) == [USERNAME]


def test_a_good_log_in_starts_the_count_of_failures_again(anaplan: Anaplan) -> None:
    for password in ["wrong"] * 4 + [PASSWORD] + ["wrong"] * 4:
        anaplan.log_in(password=password)
    assert anaplan.log_in().status == 201


def test_a_refreshed_token_keeps_its_value_and_lives_longer(anaplan: Anaplan) -> None:
    anaplan.clock.time += 2000
    answer = anaplan.send("POST", "/token/refresh", Authorization=f"AnaplanAuthToken {anaplan.token}")
    assert answer.status == 200
    assert answer.json()["tokenInfo"]["tokenValue"] == anaplan.token
    anaplan.clock.time += 2000
    anaplan.ask("GET", "/integrations")


def test_a_token_can_be_validated_until_it_is_logged_out(anaplan: Anaplan) -> None:
    header = f"AnaplanAuthToken {anaplan.token}"
    assert anaplan.send("GET", "/token/validate", Authorization=header).json()["userInfo"]["userId"] == USERNAME
    assert anaplan.send("POST", "/token/logout", Authorization=header).status == 204
    assert anaplan.send("GET", "/token/validate", Authorization=header).status == 401
    anaplan.ask("GET", "/integrations", status=403)


def test_cloudworks_takes_bearer_tokens_and_the_authentication_service_does_not(anaplan: Anaplan) -> None:
    bearer = f"Bearer {anaplan.token}"
    assert anaplan.send("GET", "/2/0/integrations", Authorization=bearer).status == 200
    assert anaplan.send("GET", "/token/validate", Authorization=bearer).status == 400
    assert anaplan.send("POST", "/token/logout", Authorization=bearer).status == 401


def test_an_expired_token_is_answered_with_403_and_not_401(anaplan: Anaplan) -> None:
    anaplan.clock.time += 2101
    assert anaplan.refused("GET", "/integrations", 403) == "Not Authorized"
