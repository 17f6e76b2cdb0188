"""`integrations`: create, list, show, apply, delete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from local.cloudworks import WORKSPACE_ID, Fault, Variants
from tests.cli_tenant import BUCKET, GOOD_ROWS, MODEL_ID, CliTenant, empty_tenant, import_options

ACCOUNTS = 'import = { file = "source/Accounts.csv", action = "112000000001", data_source = "113000000001" }'
FORECAST = 'export = { folder = "exports/", action = "116000000001" }'


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        made.connect()
        yield made


def written(*integrations: str, head: str = f'connection = "{BUCKET}"') -> str:
    """A TOML file of integrations."""
    Path("integrations.toml").write_text("\n[[integration]]\n".join([head, *integrations]))
    return "integrations.toml"


def test_an_import_is_created_with_its_connection_found_by_name(tenant: CliTenant) -> None:
    made = tenant.integrate("Accounts", "source/Accounts.csv")
    shown = tenant.run("integrations", "show", "Accounts", "--json").json
    assert (shown["id"], shown["kind"], shown["workspace_id"], shown["model_id"]) == (
        made,
        "import",
        WORKSPACE_ID,
        MODEL_ID,
    )
    assert shown["files"] == [
        {
            "direction": "S3 to Anaplan",
            "bucket": BUCKET,
            "connection": tenant.run("connections", "list", "--json").ids[0],
            "file": "source/Accounts.csv",
            "action": "112000000001",
            "data_source": "113000000001",
        }
    ]


def test_an_export_and_a_process_are_created(tenant: CliTenant) -> None:
    common = ("--connection", BUCKET)
    export = tenant.run(
        "integrations",
        "create",
        "--name",
        "Out",
        "--export",
        "--folder",
        "exports/",
        "--action",
        "116000000001",
        *common,
    )
    process = tenant.run("integrations", "create", *import_options("In", "a.csv"), "--process", "118000000001")
    bare = tenant.run("integrations", "create", "--name", "Bare", "--process", "118000000002")
    assert [export.code, process.code, bare.code] == [0, 0, 0]
    kinds = {found["name"]: found["kind"] for found in tenant.run("integrations", "list", "--json").json}
    assert kinds == {"Out": "export", "In": "process", "Bare": "process"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("--action", "113000000001"), "is a data source (an import's file), where an import action belongs"),
        (("--data-source", "Accounts.csv"), "is not an Anaplan id, where a data source"),
        (("--file", "s3://finance-inbox/a.csv"), "is not the key of a file"),
        (("--file", "source/"), "is not the key of a file"),
        (("--connection", "finance-inbx"), "Did you mean 'finance-inbox'?"),
        (("--export",), "Give --action and --folder"),
        (("--process", "112000000001"), "is an import action, where a process belongs"),
    ],
    ids=str,
)
def test_a_wrong_definition_is_refused_before_anything_is_created(
    tenant: CliTenant, change: tuple[str, ...], reason: str
) -> None:
    said = tenant.run("integrations", "create", *import_options("Accounts", "a.csv"), *change)
    assert said.code == 1
    assert reason in said.err
    assert tenant.simulator.tenant.integrations == {}


def test_a_missing_model_is_an_error(tenant: CliTenant) -> None:
    said = tenant.run("integrations", "create", *import_options("Accounts", "a.csv"), ANAPLAN_MODEL_ID=None)
    assert said.code == 1
    assert "Integration 'Accounts' names no model." in said.err


def test_a_taken_name_comes_with_its_remedy(tenant: CliTenant) -> None:
    tenant.integrate("Accounts", "a.csv")
    said = tenant.run("integrations", "create", *import_options("Accounts", "b.csv"))
    assert said.code == 1
    assert "The name is taken" in said.err


def test_lists_tell_how_the_last_run_ended_in_the_words_of_the_service(tenant: CliTenant) -> None:
    tenant.integrate("Accounts", "a.csv")
    tenant.put("a.csv", GOOD_ROWS + ",Nobody\n")
    tenant.run("integrations", "run", "Accounts")
    (listed,) = tenant.run("integrations", "list", "--json").json
    assert listed["last_run"] == "partial"


def test_applying_a_file_creates_what_is_missing_and_then_changes_nothing(tenant: CliTenant) -> None:
    file = written(f'name = "Accounts"\n{ACCOUNTS}', f'name = "Forecast"\n{FORECAST}')
    first = tenant.run("integrations", "apply", file, "--json")
    second = tenant.run("integrations", "apply", file, "--json")
    assert [made["state"] for made in first.json] == ["created", "created"]
    assert [made["state"] for made in second.json] == ["unchanged", "unchanged"]
    assert [made["id"] for made in first.json] == [made["id"] for made in second.json]


def test_applying_shows_what_differs_and_changes_it_only_when_somebody_agrees(tenant: CliTenant) -> None:
    tenant.run("integrations", "apply", written(f'name = "Accounts"\n{ACCOUNTS}'))
    file = written(f'name = "Accounts"\n{ACCOUNTS.replace("source/", "staged/")}')
    unasked = tenant.run("integrations", "apply", file)
    assert unasked.code == 1
    assert "file: source/Accounts.csv → staged/Accounts.csv" in unasked.err
    (before,) = tenant.run("integrations", "show", "Accounts", "--json").json["files"]
    agreed = tenant.run("integrations", "apply", file, "--yes", "--json")
    (after,) = tenant.run("integrations", "show", "Accounts", "--json").json["files"]
    assert (before["file"], after["file"]) == ("source/Accounts.csv", "staged/Accounts.csv")
    assert agreed.json[0]["changes"] == [
        {"what": "file", "now": "source/Accounts.csv", "wanted": "staged/Accounts.csv"}
    ]


def test_applying_keeps_what_the_file_cannot_say(tenant: CliTenant) -> None:
    made = tenant.integrate("Accounts", "a.csv")
    visible = replace(tenant.simulator.tenant.integrations[made], nux_visible=True)
    tenant.simulator.add_integration(visible, {})
    tenant.run("integrations", "apply", written(f'name = "Accounts"\n{ACCOUNTS}'), "--yes")
    assert tenant.simulator.tenant.integrations[made].nux_visible


def test_a_process_reads_several_files_over_several_connections(tenant: CliTenant) -> None:
    tenant.run("--yes", "connections", "create", "--name", "second", "--bucket", "second")
    rates = '{ file = "rates.csv", action = "112000000002", data_source = "113000000002" }'
    units = '{ file = "units.csv", action = "112000000003", data_source = "113000000003", connection = "second" }'
    file = written(f'name = "Nightly"\nprocess = "118000000001"\nimport = [ {rates}, {units} ]')
    assert tenant.run("integrations", "apply", file).code == 0
    files = tenant.run("integrations", "show", "Nightly", "--json").json["files"]
    assert [(file["file"], file["bucket"]) for file in files] == [("rates.csv", BUCKET), ("units.csv", "second")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'name = "A"\nproces = "118000000001"\n{ACCOUNTS}', "unknown field `proces` - at `$.integration[0]`"),
        (f'name = "A"\n{ACCOUNTS}\n{FORECAST}', "has 1 imports and 1 exports"),
        ('name = "A"', "has 0 imports and 0 exports"),
        (f'name = "A"\n{ACCOUNTS}\n[[integration]]\nname = "A"\n{ACCOUNTS}', "is in the file 2 times"),
        ('name = "A', "integrations.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named_and_nothing_is_created(tenant: CliTenant, text: str, reason: str) -> None:
    said = tenant.run("integrations", "apply", written(text))
    assert said.code == 1
    assert reason in said.err
    assert tenant.simulator.tenant.integrations == {}


def test_a_file_that_is_not_there_is_named(tenant: CliTenant) -> None:
    said = tenant.run("integrations", "apply", "nowhere.toml")
    assert (said.code, said.err) == (1, "Error: nowhere.toml cannot be read: No such file or directory.\n")


def test_deleting_asks(tenant: CliTenant) -> None:
    tenant.integrate("Accounts", "a.csv")
    assert tenant.run("integrations", "delete", "Accounts").code == 1
    assert tenant.run("integrations", "list", "--json").json != []
    assert tenant.run("integrations", "delete", "Accounts", "--yes").code == 0
    assert tenant.run("integrations", "list", "--json").json == []


def test_more_integrations_than_a_page_are_all_listed_and_found(tenant: CliTenant) -> None:
    made = tenant.integrate("Last", "a.csv")
    one = tenant.simulator.tenant.integrations[made]
    for number in range(120):
        tenant.simulator.add_integration(replace(one, id=f"{number:032x}", name=f"Other {number}"), {})
    assert len(tenant.run("integrations", "list", "--json").json) == 121
    assert tenant.run("integrations", "show", "Other 119", "--json").json["id"] == f"{119:032x}"


def test_pages_that_are_shorter_than_asked_for_lose_nothing(tenant: CliTenant) -> None:
    made = tenant.integrate("Last", "a.csv")
    one = tenant.simulator.tenant.integrations[made]
    for number in range(6):
        tenant.simulator.add_integration(replace(one, id=f"{number:032x}", name=f"Other {number}"), {})
        tenant.simulator.start_foreign_run(made)
        tenant.simulator.tick()
    tenant.simulator.settings.variants = Variants(largest_page=2)
    assert len(tenant.run("integrations", "list", "--json").json) == 7
    assert len(tenant.run("history", "Last", "--json").json) == 6


def answered(tenant: CliTenant, content: object) -> None:
    """Let the next list of integrations be answered so."""
    tenant.simulator.add_fault(
        Fault(
            kind="status",
            status=200,
            method="GET",
            path="/integrations$",
            body=json.dumps(content),
            content_type="application/json",
        )
    )


ODD_RUN = {"startDate": 1781832616, "endDate": "2026-06-19 01:31:16", "success": "true", "executionErrorCode": None}


@pytest.mark.parametrize(
    ("latest", "shown"),
    [
        (ODD_RUN, "loaded"),
        (ODD_RUN | {"executionErrorCode": "E38"}, "failed"),
        (ODD_RUN | {"executionErrorCode": 38.0}, "partial"),
        (ODD_RUN | {"success": 1, "triggeredBy": {}, "triggerSource": 7}, "loaded"),
        (ODD_RUN | {"message": "95 of 100 rows loaded"}, "partial"),
        (ODD_RUN | {"startDate": "soon"}, None),
        ({}, None),
        (None, None),
        ("none", None),
    ],
)
def test_a_list_reads_every_form_of_a_latest_run(tenant: CliTenant, latest: object, shown: str | None) -> None:
    odd = {"integrationId": "i1", "name": None, "jobs": None, "nuxVisible": None, "processId": 118, "latestRun": latest}
    answered(tenant, {"integrations": [odd]})
    (listed,) = tenant.run("integrations", "list", "--json").json
    assert (listed["name"], listed["kind"], listed["last_run"]) == ("i1", "process", shown)


@pytest.mark.parametrize("content", [{"integrations": [7]}, {"integrations": {}}, [], {"integrations": [{}]}])
def test_an_answer_that_is_not_known_ends_with_one_clear_line(tenant: CliTenant, content: object) -> None:
    for _ in range(3):
        answered(tenant, content)
    said = tenant.run("integrations", "list")
    assert said.code == 1
    assert "form" in said.err
    assert "Traceback" not in said.err
