"""Running and following, history, errors and dumps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloudworks import Fault, Pace, Result
from tests.cli_tenant import BAD_ROWS, GOOD_ROWS, CliTenant, empty_tenant


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        made.connect()
        made.put("a.csv", GOOD_ROWS)
        yield made


@pytest.fixture
def accounts(tenant: CliTenant) -> str:
    """The id of integration Accounts, which reads a.csv."""
    return tenant.integrate("Accounts", "a.csv")


def runs_asked_for(tenant: CliTenant) -> int:
    return sum(seen.method == "POST" and seen.path.endswith("/run") for seen in tenant.simulator.requests)


def test_a_clean_run_is_loaded_and_exits_with_0(tenant: CliTenant, accounts: str) -> None:
    said = tenant.run("integrations", "run", "Accounts", "--json")
    (run,) = tenant.simulator.runs
    assert said.code == 0
    assert said.json["outcome"] == "loaded"
    assert (said.json["run_id"], said.json["integration_id"], said.json["name"]) == (run.id, accounts, "Accounts")
    assert (said.json["errors"], said.json["errors_total"]) == ([], 0)


@pytest.mark.usefixtures("accounts")
def test_lost_rows_make_it_partial_with_exit_code_3_and_the_first_errors(tenant: CliTenant) -> None:
    tenant.put("a.csv", BAD_ROWS)
    said = tenant.run("integrations", "run", "Accounts")
    (run,) = tenant.simulator.runs
    assert said.code == 3
    assert "Outcome  partial" in said.out
    assert "1 of 2 rows failed" in said.out
    assert "Code is empty" in said.out
    assert f"anaplan-autoload dump {run.id} -o rows.csv" in said.err


def test_a_failed_run_exits_with_1(tenant: CliTenant, accounts: str) -> None:
    tenant.simulator.force_result(accounts, Result(False, "Anaplan model was deleted", 39))
    said = tenant.run("integrations", "run", accounts, "--json")
    assert said.code == 1
    assert (said.json["outcome"], said.json["error_code"]) == ("failed", 39)


@pytest.mark.usefixtures("accounts")
def test_without_waiting_only_the_runs_id_is_printed(tenant: CliTenant) -> None:
    tenant.simulator.settings.pace = Pace(run_seconds=60)
    said = tenant.run("integrations", "run", "Accounts", "--no-wait")
    (run,) = tenant.simulator.runs
    assert (said.code, said.out) == (0, f"{run.id}\n")


def test_a_current_run_is_an_error_unless_it_is_joined(tenant: CliTenant, accounts: str) -> None:
    tenant.simulator.settings.pace = Pace(run_seconds=1)
    going = tenant.simulator.start_foreign_run(accounts)
    refused = tenant.run("integrations", "run", "Accounts")
    joined = tenant.run("integrations", "run", "Accounts", "--join", "--json")
    assert refused.code == 1
    assert "--join" in refused.err
    assert (joined.code, joined.json["run_id"], joined.json["author"]) == (0, going.id, "Bob Other")
    assert len(tenant.simulator.runs) == 1


@pytest.mark.usefixtures("accounts")
def test_joining_without_a_current_run_starts_one(tenant: CliTenant) -> None:
    assert tenant.run("integrations", "run", "Accounts", "--join").code == 0
    assert len(tenant.simulator.runs) == 1


@pytest.mark.usefixtures("accounts")
def test_a_lost_answer_is_not_asked_for_again_but_explained(tenant: CliTenant) -> None:
    tenant.simulator.add_fault(Fault(kind="lose_after", method="POST", path="/run$"))
    said = tenant.run("integrations", "run", "Accounts")
    assert said.code == 1
    assert runs_asked_for(tenant) == 1
    assert "is not known" in said.err
    assert "anaplan-autoload history Accounts" in said.err


@pytest.mark.usefixtures("accounts")
def test_trouble_while_following_does_not_end_it(tenant: CliTenant) -> None:
    tenant.simulator.add_fault(Fault(kind="status", status=503, method="GET", path="/integrations/run/"))
    assert tenant.run("integrations", "run", "Accounts").code == 0


def test_history_shows_everybodys_runs_newest_first(tenant: CliTenant, accounts: str) -> None:
    tenant.simulator.start_foreign_run(accounts)
    tenant.put("a.csv", BAD_ROWS)
    tenant.run("integrations", "run", "Accounts")
    shown = tenant.run("history", "Accounts", "--json").json
    assert [(run["outcome"], run["author"]) for run in shown] == [("partial", "Ada Builder"), ("loaded", "Bob Other")]
    assert [run["run_id"] for run in shown] == [run.id for run in reversed(tenant.simulator.runs)]


def test_history_can_be_limited_and_narrowed(tenant: CliTenant, accounts: str) -> None:
    for content in (BAD_ROWS, GOOD_ROWS, BAD_ROWS):
        tenant.put("a.csv", content)
        tenant.simulator.start_foreign_run(accounts)
        tenant.simulator.tick()
    assert len(tenant.run("history", "Accounts", "--json", "--limit", "2").json) == 2
    assert len(tenant.run("history", "Accounts", "--json", "--failed").json) == 2
    assert len(tenant.run("history", "Accounts", "--json", "--since", "1h").json) == 3
    assert tenant.run("history", "Accounts", "--json", "--since", "2099-01-01").json == []


@pytest.mark.usefixtures("accounts")
def test_a_since_that_is_not_a_time_is_a_usage_error(tenant: CliTenant) -> None:
    said = tenant.run("history", "Accounts", "--since", "yesterday")
    assert said.code == 2
    assert "12h, 7d or 2026-11-24" in " ".join(said.err.replace("│", " ").split())


@pytest.mark.usefixtures("accounts")
def test_an_integration_that_is_running_shows_as_such(tenant: CliTenant) -> None:
    tenant.simulator.settings.pace = Pace(run_seconds=60)
    tenant.run("integrations", "run", "Accounts", "--no-wait")
    (run,) = tenant.run("history", "Accounts", "--json").json
    assert (run["outcome"], run["ended_at"], run["message"]) == ("running", None, None)


@pytest.mark.usefixtures("accounts")
def test_errors_of_a_run_and_of_a_clean_one(tenant: CliTenant) -> None:
    clean = tenant.run("integrations", "run", "Accounts", "--json").json["run_id"]
    tenant.put("a.csv", BAD_ROWS)
    partial = tenant.run("integrations", "run", "Accounts", "--json").json["run_id"]
    (error,) = tenant.run("errors", partial, "--json").json
    assert (error["message"], error["occurrences"], error["dump"]) == ("Code is empty", 1, True)
    assert tenant.run("errors", clean).err == "This run reported no errors.\n"


@pytest.mark.usefixtures("accounts")
def test_rejected_rows_are_written_whole_and_never_over_a_file(tenant: CliTenant) -> None:
    tenant.put("a.csv", BAD_ROWS)
    run_id = tenant.run("integrations", "run", "Accounts", "--json").json["run_id"]
    printed = tenant.run("dump", run_id)
    assert "Nobody" in printed.out
    assert tenant.run("dump", run_id, "-o", "rows.csv").code == 0
    assert Path("rows.csv").read_text() == printed.out
    Path("rows.csv").write_text("mine")
    assert tenant.run("dump", run_id, "-o", "rows.csv").code == 1
    assert Path("rows.csv").read_text() == "mine"
    assert tenant.run("dump", run_id, "-o", "rows.csv", "--force").code == 0
    assert Path("rows.csv").read_text() == printed.out


@pytest.mark.usefixtures("accounts")
def test_a_clean_run_has_no_rejected_rows(tenant: CliTenant) -> None:
    run_id = tenant.run("integrations", "run", "Accounts", "--json").json["run_id"]
    said = tenant.run("dump", run_id, "-o", "rows.csv")
    assert said.code == 1
    assert "48 hours" in said.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("imports", [1, 2])
def test_the_import_of_a_process_is_found_or_asked_for(tenant: CliTenant, imports: int) -> None:
    tenant.put("a.csv", BAD_ROWS)
    files = ", ".join(
        f'{{ file = "a.csv", action = "11200000000{number}", data_source = "11300000000{number}" }}'
        for number in range(imports)
    )
    Path("process.toml").write_text(
        f'connection = "finance-inbox"\n[[integration]]\nname = "P"\nprocess = "118000000001"\nimport = [{files}]'
    )
    assert tenant.run("integrations", "apply", "process.toml").code == 0
    ran = tenant.run("integrations", "run", "P")
    (run,) = tenant.simulator.runs
    plain, named = tenant.run("dump", run.id), tenant.run("dump", run.id, "--action", "112000000000")
    assert plain.code == (0 if imports == 1 else 1)
    assert "Nobody" in named.out
    assert ("--action 112000000000" in ran.err) == (imports == 2)


def test_an_unknown_run_is_an_error(tenant: CliTenant) -> None:
    said = tenant.run("errors", "0" * 32)
    assert said.code == 1
    assert "Answered: 404: the run does not exist" in said.err


@pytest.fixture
def month_end(tenant: CliTenant, accounts: str) -> str:
    """A flow of Accounts and Rates, which goes on after partial success."""
    tenant.put("b.csv", GOOD_ROWS)
    return tenant.add_flow("Month end", accounts, tenant.integrate("Rates", "b.csv", 2))


def test_a_flow_is_run_followed_and_judged_by_its_steps(tenant: CliTenant, month_end: str) -> None:
    tenant.put("b.csv", BAD_ROWS)
    said = tenant.run("flows", "run", "Month end", "--json")
    assert said.json["flow_id"] == month_end
    assert said.code == {"loaded": 0, "partial": 3, "failed": 1}[said.json["outcome"]]
    assert "Rates" in said.json["message"]
    assert said.json["outcome"] != "loaded"


@pytest.mark.usefixtures("month_end")
def test_a_flows_run_is_not_mistaken_for_the_one_before(tenant: CliTenant) -> None:
    tenant.simulator.settings.pace = Pace(run_seconds=0.6)
    tenant.put("b.csv", BAD_ROWS)
    before = tenant.run("flows", "run", "Month end")
    tenant.put("b.csv", GOOD_ROWS)
    after = tenant.run("flows", "run", "Month end")
    assert before.code != 0
    assert after.code == 0


@pytest.mark.usefixtures("month_end")
def test_flows_are_listed_and_shown_with_their_steps(tenant: CliTenant) -> None:
    tenant.run("flows", "run", "Month end")
    (listed,) = tenant.run("flows", "list", "--json").json
    shown = tenant.run("flows", "show", "Month end", "--json").json
    assert (listed["name"], listed["steps_total"], listed["last_run"]) == ("Month end", 2, "loaded")
    assert [(step["name"], step["last_run"]) for step in shown["steps"]] == [
        ("Accounts", "loaded"),
        ("Rates", "loaded"),
    ]


@pytest.mark.usefixtures("month_end")
def test_a_running_flow_can_be_joined(tenant: CliTenant) -> None:
    tenant.simulator.settings.pace = Pace(run_seconds=1)
    tenant.run("flows", "run", "Month end", "--no-wait")
    refused, joined = tenant.run("flows", "run", "Month end"), tenant.run("flows", "run", "Month end", "--join")
    assert (refused.code, joined.code) == (1, 0)
    assert len(tenant.simulator.flow_runs) == 1
