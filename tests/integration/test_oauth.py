"""Loading with an OAuth log-in: one that stays, and one whose refresh token every use replaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local.cloudworks import USERNAME, Fault, OAuthClient, User, Variants
from tests.integration.test_main_path import ACCOUNTS, KEY, latest
from tests.integration.test_refusals import fails
from tests.security.policy import statements
from tests.security.privileges import HARNESS, Used, record

if TYPE_CHECKING:
    from tests.autoload import Autoload

CLIENT = "c" * 32
TOKEN_PATH = "/oauth/token$"


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    """The template's policy, with the parameter that these log-ins need."""
    used = record(monkeypatch)
    yield used
    granted = statements(HARNESS | {"RefreshTokenRotates": "true"})
    assert [need for need in used.needs if not any(each.allows(need) for each in granted)] == []


def log_in(autoload: Autoload, *, rotates: bool, secret: str | None = None) -> str:
    """Store a new refresh token; returns it."""
    autoload.simulator.add_client(OAuthClient(id=CLIENT, rotates=rotates, secret=secret))
    token = autoload.simulator.grant(CLIENT, USERNAME)
    fields = {"client_id": CLIENT, "refresh_token": token} | ({"client_secret": secret} if secret else {})
    autoload.secrets.put_secret_value(SecretId="anaplan", SecretString=json.dumps(fields))
    autoload.change()
    return token


def stored(autoload: Autoload) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(autoload.secrets.get_secret_value(SecretId="anaplan")["SecretString"])
    return found


def renewals(autoload: Autoload) -> int:
    return sum(seen.path == "/oauth/token" for seen in autoload.simulator.requests)


def load(autoload: Autoload) -> str:
    """Upload a file in a new function instance; returns the outcome that subscribers heard."""
    autoload.change()
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    return "+".join(message["outcome"] for message in autoload.messages())


def sweep(autoload: Autoload) -> None:
    autoload.invoke({"sweep": True})
    autoload.drain()


@pytest.mark.parametrize("secret", [None, "c4nary-client-secret"])
def test_a_refresh_token_that_stays_is_like_a_password(autoload: Autoload, used: Used, secret: str | None) -> None:
    latest(autoload)
    token = log_in(autoload, rotates=False, secret=secret)

    assert [load(autoload), load(autoload)] == ["loaded", "loaded"]

    assert stored(autoload)["refresh_token"] == token
    assert renewals(autoload) == 2
    assert "secretsmanager:PutSecretValue" not in {need.action for need in used.needs}


def test_one_that_is_replaced_is_stored_and_its_access_token_is_shared(autoload: Autoload) -> None:
    latest(autoload)
    token = log_in(autoload, rotates=True)

    assert [load(autoload), load(autoload), load(autoload)] == ["loaded"] * 3

    assert renewals(autoload) == 1
    assert stored(autoload)["refresh_token"] != token
    assert autoload.simulator.refresh_tokens == (stored(autoload)["refresh_token"],)


def test_it_is_renewed_when_the_access_token_ends(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    load(autoload)
    autoload.pass_time(36 * 60)

    assert [load(autoload), load(autoload)] == ["loaded", "loaded"]

    assert (renewals(autoload), autoload.simulator.spent_again) == (2, 0)


def test_a_run_that_outlasts_several_tokens_is_followed_to_its_end(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    autoload.simulator.settings.pace = type(autoload.simulator.settings.pace)(run_seconds=3000)

    assert load(autoload).endswith("loaded")

    assert renewals(autoload) == 2
    assert autoload.simulator.spent_again == 0


def test_a_token_that_could_not_be_stored_holds_the_lane_and_says_what_to_switch_on(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    fails(autoload, "secrets", "PutSecretValue", "AccessDeniedException")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [held] = autoload.messages()
    assert held["outcome"] == "held"
    assert "RefreshTokenRotates=true" in held["message"]
    assert "auth login --device" in held["message"]

    log_in(autoload, rotates=True)
    sweep(autoload)
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_token_that_is_known_to_be_replaced_is_not_sent_where_the_secret_cannot_be_written(
    autoload: Autoload,
) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    load(autoload)
    autoload.pass_time(3600)
    before = autoload.simulator.refresh_tokens
    autoload.change()
    fails(autoload, "secrets", "PutSecretValue", "AccessDeniedException")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [held] = autoload.messages()
    assert "Nothing was sent" in held["message"]
    assert autoload.simulator.refresh_tokens == before
    assert stored(autoload)["refresh_token"] in before


def test_trouble_that_passes_costs_nothing(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    fails(autoload, "secrets", "PutSecretValue", "InternalServiceError", times=2, status=500)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]
    assert (renewals(autoload), autoload.simulator.spent_again) == (1, 0)


def test_a_lost_answer_before_anything_happened_costs_nothing(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    autoload.simulator.add_fault(Fault(kind="lose_before", path=TOKEN_PATH))

    assert load(autoload) == "loaded"


def test_a_lost_answer_holds_the_lane_once_and_says_that_the_token_is_lost(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    autoload.simulator.add_fault(Fault(kind="lose_after", path=TOKEN_PATH))
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    sweep(autoload)
    sweep(autoload)

    [held] = autoload.messages()
    assert held["outcome"] == "held"
    assert "An earlier renewal was interrupted" in held["message"]
    assert "auth login --device" in held["message"]
    assert renewals(autoload) == 2

    log_in(autoload, rotates=True)
    sweep(autoload)
    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_a_refresh_token_that_was_revoked_is_sent_once(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=False)
    autoload.simulator.revoke_refresh_tokens()

    assert load(autoload) == "held"
    sweep(autoload)
    assert load(autoload) == ""
    assert renewals(autoload) == 1


def test_an_access_token_that_cloudworks_refuses_too_early_is_replaced(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    load(autoload)
    autoload.simulator.expire_tokens()

    assert load(autoload) == "loaded"
    assert renewals(autoload) == 2


def test_a_user_who_may_not_run_anything_does_not_use_up_the_versions_of_the_secret(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    load(autoload)
    autoload.simulator.add_user(User(name=USERNAME, display_name="Ada Builder", role=None))

    assert [load(autoload), load(autoload)] == ["failed", "failed"]
    assert renewals(autoload) <= 2


def test_a_tenant_that_wants_bearer_gets_it(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    autoload.simulator.settings.variants = Variants(oauth_scheme="Bearer")

    assert load(autoload) == "loaded"


def test_sweeps_keep_a_token_alive_that_nobody_uses(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    for _ in range(5):
        sweep(autoload)
        autoload.pass_time(5 * 3600)

    assert load(autoload) == "loaded"
    assert (autoload.simulator.spent_again, renewals(autoload)) == (0, 6)


def test_sweeps_use_a_token_that_stays_once(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=False)
    for _ in range(3):
        sweep(autoload)
        autoload.pass_time(5 * 3600)

    assert renewals(autoload) == 1


def test_a_password_in_place_of_the_token_is_used_at_once(autoload: Autoload) -> None:
    latest(autoload)
    log_in(autoload, rotates=True)
    load(autoload)
    autoload.set_secret()

    assert load(autoload) == "loaded"
    assert renewals(autoload) == 1
