"""What a shell offers after Tab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anaplan_autoload_cli import completion
from tests.cli_tenant import CliTenant, empty_tenant

ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{0}"

[[route]]
name = "actuals"
prefix = "incoming/actuals/"
integration = "{0}"
"""


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        Path("routes.toml").write_text(ROUTES.format("a" * 32))
        yield made


def offered(tenant: CliTenant, *words: str) -> list[str]:
    """What bash is offered for the last word; nothing else may be printed."""
    line = " ".join(("anaplan-autoload", *words))
    said = tenant.run(
        _ANAPLAN_AUTOLOAD_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words)), COLUMNS="200"
    )
    assert said.err == ""
    return [line for line in said.out.splitlines() if line]


@pytest.mark.parametrize(
    "words",
    [("pause",), ("resume",), ("status",), ("backfill",), ("loads", "--route"), ("--json", "pause"), ("history",)],
    ids=" ".join,
)
def test_routes_are_offered(tenant: CliTenant, words: tuple[str, ...]) -> None:
    assert offered(tenant, *words, "ac") == ["accounts", "actuals"]
    assert offered(tenant, *words, "acc") == ["accounts"]


def test_the_routes_of_a_named_file_are_offered(tenant: CliTenant) -> None:
    Path("routes.toml").rename("other.toml")

    assert offered(tenant, "pause", "--file", "other.toml", "acc") == ["accounts"]
    assert offered(tenant, "pause", "acc") == []


@pytest.mark.parametrize(
    "words",
    [("integrations", "show"), ("integrations", "run"), ("integrations", "delete"), ("history",)],
    ids=" ".join,
)
def test_integrations_are_offered_as_bash_has_to_be_given_them(tenant: CliTenant, words: tuple[str, ...]) -> None:
    tenant.connect()
    tenant.integrate("Accounts", "a.csv")
    tenant.integrate("Month end", "b.csv", 2)

    assert offered(tenant, *words, "Acc") == ["Accounts"]
    assert offered(tenant, *words, "Month") == [r"Month\ end"]


@pytest.mark.parametrize("words", [("flows", "show"), ("flows", "run")], ids=" ".join)
def test_flows_are_offered(tenant: CliTenant, words: tuple[str, ...]) -> None:
    tenant.add_flow("Nightly")

    assert offered(tenant, *words, "Ni") == ["Nightly"]


@pytest.mark.parametrize(
    "change",
    [
        {"ANAPLAN_PASSWORD": "wrong"},
        {"ANAPLAN_PASSWORD": None},
        {"ANAPLAN_USERNAME": None},
        {"CLOUDWORKS_URL": "http://127.0.0.1:1"},
        {"CLOUDWORKS_URL": "no address"},
    ],
    ids=str,
)
def test_names_that_cannot_be_read_are_not_offered_and_cause_no_error(
    tenant: CliTenant, change: dict[str, str | None]
) -> None:
    tenant.environment = {name: text for name, text in (tenant.environment | change).items() if text is not None}
    Path("routes.toml").write_text("no [routes")

    assert offered(tenant, "integrations", "show", "A") == []
    assert offered(tenant, "pause", "A") == []


def test_a_slow_answer_is_not_waited_for(tenant: CliTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.0)
    began = time.monotonic()

    assert offered(tenant, "integrations", "show", "A") == []
    assert time.monotonic() - began < 5
