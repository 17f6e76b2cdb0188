"""`routes check` and `routes match`: the routes file against itself and against Anaplan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from local.cloudworks import Fault
from tests.cli_tenant import BUCKET, CliTenant, empty_tenant

ROOT = Path(__file__).parents[2]
ACCOUNTS = """
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
suffix = ".csv"
integration = "{id}"
"""
EACH = ACCOUNTS + 'load = "each"\nstage_to = "source/Accounts.csv"\n'


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        made.environment |= {"INBOX_BUCKET": BUCKET, "COLUMNS": "200", "NO_COLOR": "1"}
        made.connect()
        yield made


def check(tenant: CliTenant, routes: str) -> list[tuple[str, str, str]]:
    """What `routes check --online` finds: status, about, what."""
    Path("routes.toml").write_text(routes)
    found = tenant.run("routes", "check", "--online", "--json").json
    assert all(each["remedy"] for each in found if each["status"] in ("failed", "warning"))
    return [(each["status"], each["about"], each["what"]) for each in found]


def test_a_file_without_mistakes_passes_without_asking_anaplan(tenant: CliTenant) -> None:
    Path("routes.toml").write_text(ACCOUNTS.format(id="a" * 32))
    asked = len(tenant.simulator.requests)

    said = tenant.run("routes", "check", "--json")

    assert said.code == 0 and [each["status"] for each in said.json] == ["ok"]
    assert len(tenant.simulator.requests) == asked


def test_a_file_to_check_may_be_named_in_either_way_once(tenant: CliTenant) -> None:
    Path("mine.toml").write_text(ACCOUNTS.format(id="a" * 32))

    assert tenant.run("routes", "check", "mine.toml").out == tenant.run("routes", "check", "--file", "mine.toml").out
    twice = tenant.run("routes", "check", "mine.toml", "--file", "mine.toml")
    assert twice.code == 2 and "Name the file once" in twice.err


def test_the_samples_integration_is_a_warning(tenant: CliTenant) -> None:
    Path("routes.toml").write_text((ROOT / "routes.toml").read_text(encoding="utf-8"))

    said = tenant.run("routes", "check", "--json")

    assert said.code == 0 and [each["status"] for each in said.json] == ["ok", "warning"]
    assert "the sample's id" in said.json[1]["what"] and "integrations list" in said.json[1]["remedy"]


def test_a_prefix_that_hardly_matches_anything_is_a_warning_and_no_failure(tenant: CliTenant) -> None:
    pattern = ACCOUNTS.format(id="a" * 32).replace("incoming/accounts/", f"{BUCKET}/incoming/*")
    Path("routes.toml").write_text(pattern.replace('".csv"', '"csv"'))

    said, shown = tenant.run("routes", "check", "--json"), tenant.run("routes", "check")

    assert said.code == shown.code == 0
    assert [(each["status"], each["about"]) for each in said.json] == [
        ("ok", "routes file"),
        ("warning", "route accounts"),
        ("warning", "route accounts"),
    ]
    assert said.json[1]["what"].startswith(f'routes.toml: prefix "{BUCKET}/incoming/*" begins with the bucket')
    assert said.json[1]["remedy"] == 'Probably meant: prefix = "incoming/" with suffix = ".csv".'
    assert "Probably meant" in shown.out


def test_every_mistake_is_listed_with_its_remedy(tenant: CliTenant) -> None:
    Path("routes.toml").write_text('[[route]]\nname = "a b"\nprefx = "x"\nintegration = "y"\n')

    said = tenant.run("routes", "check", "--json")

    assert said.code == 1
    found = {each["what"]: each["remedy"] for each in said.json}
    assert found['route "a b": unknown key "prefx"'] == 'Did you mean "prefix"?'
    assert len(found) == 4


def test_the_error_for_a_missing_routes_file_names_the_usual_places(tenant: CliTenant) -> None:
    said = tenant.run("routes", "check")

    assert said.code == 1 and "src/routes.toml" in said.err and "--file" in said.err


def test_a_file_may_be_named_and_the_usual_place_is_found(tenant: CliTenant) -> None:
    Path("src").mkdir()
    Path("src/routes.toml").write_text(ACCOUNTS.format(id="a" * 32))
    Path("other.toml").write_text(ACCOUNTS.format(id="a" * 32).replace("accounts", "others"))

    assert "accounts" in tenant.run("routes", "check").out
    assert "others" in tenant.run("routes", "check", "--file", "other.toml").out


def test_a_route_whose_integration_reads_its_uploads_is_ok(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")

    assert {status for status, _, _ in check(tenant, ACCOUNTS.format(id=integration))} == {"ok"}


def test_with_each_the_source_file_must_be_stage_to(tenant: CliTenant) -> None:
    wrong = tenant.integrate("Wrong", "incoming/accounts/Accounts.csv", 1)
    right = tenant.integrate("Right", "source/Accounts.csv", 2)

    assert ("failed", "route accounts") in [each[:2] for each in check(tenant, EACH.format(id=wrong))]
    assert {status for status, _, _ in check(tenant, EACH.format(id=right))} == {"ok"}


def test_a_source_file_outside_the_route_is_found(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.txt")

    [failed] = [each for each in check(tenant, ACCOUNTS.format(id=integration)) if each[0] == "failed"]

    assert '"incoming/accounts/Accounts.txt"' in failed[2]


def test_the_check_names_the_keys_that_are_read(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")

    [ok] = [each for each in check(tenant, ACCOUNTS.format(id=integration)) if each[1] == "route accounts"]

    assert ok[0] == "ok" and '"incoming/accounts/Accounts.csv"' in ok[2] and "any other key are rejected" in ok[2]


@pytest.mark.parametrize(("suffix", "status"), [("_SUCCESS", "ok"), (".csv", "ok"), (".txt", "ok")])
def test_a_route_for_empty_markers_need_not_match_what_is_read(tenant: CliTenant, suffix: str, status: str) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    routes = ACCOUNTS.format(id=integration).replace(".csv", suffix) + "allow_empty = true\n"

    assert [each[0] for each in check(tenant, routes) if each[1] == "route accounts"] == [status]
    [unmarked] = [each for each in check(tenant, routes.replace("true", "false")) if each[1] == "route accounts"]
    assert unmarked[0] == ("ok" if suffix == ".csv" else "failed")


def test_a_route_passes_if_cloudworks_does_not_tell_what_is_read(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "elsewhere/Accounts.csv")
    fault = Fault(
        kind="status",
        status=200,
        body=f'{{"integration": {{"integrationId": "{integration}", "name": "Accounts", "jobs": null}}}}',
        content_type="application/json",
        path=f"/integrations/{integration}$",
        count=None,
    )
    tenant.simulator.add_fault(fault)

    found = check(tenant, ACCOUNTS.format(id=integration))

    assert [each[0] for each in found if each[1] == "route accounts"] == ["skipped"]


def test_an_integration_that_does_not_exist_is_found(tenant: CliTenant) -> None:
    [failed] = [each for each in check(tenant, ACCOUNTS.format(id="a" * 32)) if each[0] == "failed"]

    assert "does not exist, or is not visible" in failed[2]


def test_a_connection_to_another_bucket_is_found(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    tenant.environment["INBOX_BUCKET"] = "inbox"

    [failed] = [each for each in check(tenant, ACCOUNTS.format(id=integration)) if each[0] == "failed"]

    assert BUCKET in failed[2] and "inbox" in failed[2]


def test_unknown_buckets_are_skipped_with_the_reason(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    del tenant.environment["INBOX_BUCKET"]

    assert [each[0] for each in check(tenant, ACCOUNTS.format(id=integration))] == ["ok", "skipped", "ok"]


def test_a_connection_that_does_not_work_is_found(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    [connection] = tenant.simulator.tenant.connections.values()
    tenant.simulator.add_connection(replace(connection, error_code=1))

    [failed] = [each for each in check(tenant, ACCOUNTS.format(id=integration)) if each[0] == "failed"]

    assert BUCKET in failed[2] and "does not work" in failed[2]


@pytest.mark.parametrize("folder", ["incoming/accounts/", "incoming/accounts/out/", "incoming/", ""])
def test_an_export_under_a_route_is_found(tenant: CliTenant, folder: str) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    export(tenant, folder or "/")

    [failed] = [each for each in check(tenant, ACCOUNTS.format(id=integration)) if each[0] == "failed"]

    assert failed[1] == "exports" and "'Out'" in failed[2]


def test_an_export_elsewhere_is_ok(tenant: CliTenant) -> None:
    integration = tenant.integrate("Accounts", "incoming/accounts/Accounts.csv")
    export(tenant, "exports/")

    assert {status for status, _, _ in check(tenant, ACCOUNTS.format(id=integration))} == {"ok"}


@pytest.mark.parametrize(
    ("files", "status"),
    [
        (("incoming/accounts/One.csv", "elsewhere/Two.csv"), "ok"),
        (("elsewhere/One.csv", "elsewhere/Two.csv"), "failed"),
        (("incoming/accounts/One.csv",), "failed"),
    ],
)
def test_a_flow_has_two_steps_and_one_of_them_reads_what_the_route_brings(
    tenant: CliTenant, files: tuple[str, ...], status: str
) -> None:
    integrations = [tenant.integrate(file, file, number) for number, file in enumerate(files, start=1)]
    flow = tenant.add_flow("Flow", *integrations)

    found = check(tenant, ACCOUNTS.replace("integration", "flow").format(id=flow))

    assert [each[0] for each in found if each[1] == "route accounts"] == [status]


def test_a_match_is_explained_with_the_routes_that_nearly_matched(tenant: CliTenant) -> None:
    closer = ACCOUNTS.format(id="a" * 32) + ACCOUNTS.format(id="b" * 32).replace('"accounts"', '"all"').replace(
        "incoming/accounts/", "incoming/"
    )
    Path("routes.toml").write_text(closer)

    found = tenant.run("routes", "match", f"s3://{BUCKET}/incoming/accounts/2026.csv", "--json").json

    assert (found["route"], found["integration"], found["load"]) == ("accounts", "a" * 32, "latest")
    assert [miss["route"] for miss in found["near_misses"]] == ["all"]


def test_a_match_says_that_the_name_is_excluded(tenant: CliTenant) -> None:
    Path("routes.toml").write_text(ACCOUNTS.format(id="a" * 32).replace(".csv", "") + 'exclude = ["*.bak"]\n')

    found = [
        tenant.run("routes", "match", f"s3://{BUCKET}/incoming/accounts/{name}", "--json").json
        for name in ("x.bak", "x.csv.filepart", "x.csv")
    ]

    assert [each["excluded_by"] for each in found] == ["*.bak", "*.filepart", None]
    assert {each["route"] for each in found} == {"accounts"}
    assert "ignored" in found[0]["why"] and "ignored" not in found[2]["why"]


def test_no_match_says_why(tenant: CliTenant) -> None:
    Path("routes.toml").write_text(ACCOUNTS.format(id="a" * 32))

    said = tenant.run("routes", "match", f"s3://{BUCKET}/Incoming/accounts/2026.csv")

    assert said.code == 0
    assert "no route matches" in said.out and "upper and lower case" in said.out


def export(tenant: CliTenant, folder: str) -> None:
    made = tenant.run(
        *("integrations", "create", "--name", "Out", "--export", "--connection", BUCKET),
        *("--folder", folder, "--action", "116000000001", "--json"),
    )
    assert made.code == 0, made.err
