"""Running the service from the command line, against the function itself."""

from __future__ import annotations

import json
import shlex
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.s3.models import s3_backends

from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.domain.events import Uploads, parse
from anaplan_autoload.domain.times import epoch_ms
from local.cloudworks import Pace
from tests.autoload import BUCKET, Autoload
from tests.integration.cli import Command, handling
from tests.integration.test_main_path import ACCOUNTS, EACH, KEY, LATEST, latest
from tests.integration.test_trouble import RUN, refusal

if TYPE_CHECKING:
    from pathlib import Path

BAD_ROWS = "Code,Name\nA1,Cash\n,Nameless\nA1,Twice\n"
URL = f"s3://{BUCKET}/{KEY}"


@pytest.fixture
def command(autoload: Autoload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command, in the directory of the function's routes."""
    return Command(autoload, monkeypatch, tmp_path)


def each(autoload: Autoload) -> None:
    autoload.routes(EACH, accounts="source/Accounts.csv")


def refuse_a_run(autoload: Autoload) -> None:
    autoload.simulator.add_fault(refusal("POST", RUN, 404, "Integration not found"))


def backdate(key: str, hours: int) -> None:
    """Let S3 have had an object for longer."""
    found = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys[key]
    found.last_modified -= timedelta(hours=hours)


# pause, resume, status


def test_a_paused_route_loads_nothing_until_it_is_resumed(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    command("pause", "accounts")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert autoload.simulator.runs == []
    [paused] = command.data("status")
    assert (paused["state"], paused["waiting"], paused["paused"]) == ("paused", 1, True)

    with handling(autoload):
        command("resume", "accounts")

    assert len(autoload.simulator.runs) == 1
    [idle] = command.data("status")
    assert (idle["state"], idle["waiting"], idle["last"]["outcome"]) == ("idle", 0, "loaded")


def test_a_pause_with_an_end_is_shown_and_ends(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    paused = command("pause", "accounts", "--until", "2h")
    [shown] = command.data("status")

    assert paused.code == 0 and f"Paused until {shown['paused_until']}" in paused.err + paused.out
    assert 7190 < epoch_ms(shown["paused_until"]) / 1000 - time.time() <= 7200
    assert f"paused until {shown['paused_until'][:10]}" in command("status").out
    autoload.ledger.pause(autoload.lane(), wall_clock() - 1)
    [ended] = command.data("status")
    assert (ended["state"], ended["paused"], ended["paused_until"]) == ("idle", False, None)
    assert "Not paused" in command("resume", "accounts").err


@pytest.mark.parametrize("until", ["tomorrow", "2020-01-01", "0m", "-2h", "12:00"])
def test_a_pause_must_end_in_the_future(autoload: Autoload, command: Command, until: str) -> None:
    latest(autoload)

    refused = command("pause", "accounts", "--until", until)

    assert refused.code == 2 and not autoload.ledger.lane(autoload.lane()).paused


def test_planned_waits_are_shown_and_do_not_count_as_trouble(autoload: Autoload, command: Command) -> None:
    ids = autoload.seed(accounts=KEY, rates="rates/a.csv")
    opens = datetime.fromtimestamp(autoload.now() / 1000 + 7200, UTC)
    window = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M} UTC"
    night = LATEST.format(**ids) + f'window = "{window}"\n'
    needs = '[[route]]\nname = "rates"\nprefix = "rates/"\nintegration = "{rates}"\nneeds = ["a.csv", "b.csv"]\n'
    autoload.write_routes(night + needs.format(**ids))
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload("rates/a.csv", ACCOUNTS))

    accounts, rates = command.data("status")

    assert (accounts["state"], rates["state"], accounts["delay_seconds"]) == ("waiting", "waiting", 0)
    assert accounts["waits_for"][0]["why"] == f"window opens {opens:%a %H:%M} UTC"
    assert rates["waits_for"][0]["awaited"] == ["b.csv"]
    assert "waiting for b.csv since " in command("status", "rates").out
    assert "Waits for" in command("status").out
    assert "waiting for b.csv since " in command("loads", "--key", f"s3://{BUCKET}/rates/a.csv").err
    matched = command.data("routes", "match", URL)
    assert matched["window"] == [window] and matched["opens_at"].startswith(f"{opens:%Y-%m-%dT%H:%M}")
    assert command.data("routes", "match", f"s3://{BUCKET}/rates/x.csv")["needs"] == ["a.csv", "b.csv"]
    assert "none of 2 is held, paused or behind" in command("doctor").out


def test_pause_names_the_routes_that_pause_with_it(autoload: Autoload, command: Command) -> None:
    shared = LATEST + 'lane = "finance"\n'
    autoload.routes(shared + shared.replace('"accounts"', '"regions"').replace("incoming", "regions"), accounts=KEY)

    assert command.data("pause", "regions") == {"lane": "finance", "routes": ["accounts", "regions"], "paused": True}


def test_an_unknown_route_is_refused_with_those_that_there_are(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("pause", "acounts")

    assert result.code == 1
    assert "'acounts'" in result.err and "accounts" in result.err


def test_status_shows_the_current_run(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    seen: list[dict[str, object]] = []
    autoload.when("GET", "/integrations/run/", lambda: seen.extend(command.data("status")), skip=1)

    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    [lane] = seen
    [run] = autoload.simulator.runs
    assert lane["state"] == "running" and lane["routes"] == ["accounts"] and lane["waiting"] == 0
    assert isinstance(lane["batch"], dict)
    assert (lane["batch"]["run_id"], lane["batch"]["uploads"], lane["batch"]["attempts"]) == (run.id, 1, 1)
    assert isinstance(lane["lease_seconds"], int) and lane["lease_seconds"] > 60


def test_the_status_of_a_held_lane_shows_the_remedy(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.set_secret(password="wrong")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    for asked in (("status",), ("status", "accounts"), ("loads",), ("loads", "--key", KEY), ("resume", "accounts")):
        result = command(*asked)
        assert "accounts: held" in result.err and "new version of the secret" in result.err
    assert "held" in command("status", "accounts").out


def test_a_routes_file_that_is_not_the_deployed_one_is_told_by_what_the_ledger_has(
    autoload: Autoload, command: Command, tmp_path: Path
) -> None:
    latest(autoload)
    command("pause", "accounts")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert "--file" not in command("status").err
    stale = tmp_path / "stale.toml"
    stale.write_text(LATEST.format(accounts="b" * 32))

    for asked in (("status",), ("pause", "accounts"), ("resume", "accounts")):
        told = " ".join(command(*asked, "--file", str(stale)).err.split())
        assert "work in lanes that it does not name (accounts)" in told and "name that with --file" in told
        assert "nothing was ever uploaded in the lane of accounts" in told


def test_resuming_a_route_that_is_not_paused_says_so(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("resume", "accounts")

    assert result.code == 0 and result.err.startswith("Not paused: accounts.")
    assert "held" not in result.err


def test_a_watch_in_a_pipe_prints_again_only_what_changed(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    looks = 0

    def between_looks(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            autoload.ledger.pause(autoload.lane())
        if looks == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", between_looks)
    result = command("status", "--watch")

    assert result.code == 0
    assert [line.split()[1] for line in result.out.splitlines() if line.startswith("accounts")] == ["idle", "paused"]


# loads


def test_whether_a_file_was_loaded_and_by_which_run_is_one_command(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload("incoming/Other.csv", ACCOUNTS))

    found = command.data("loads", "--key", URL)

    run = autoload.simulator.runs[0]
    assert [(each["key"], each["state"], each["run_id"]) for each in found] == [(KEY, "loaded", run.id)]
    assert found[0]["ended_at"] and found[0]["route"] == "accounts" and not found[0]["requested"]
    assert command.data("loads", "--key", KEY) == found


def test_a_word_means_a_route_a_run_or_a_file(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [run] = autoload.simulator.runs

    for word, option in {"accounts": "--route", run.id: "--run", KEY: "--key", URL: "--key"}.items():
        said = command.data("loads", word)
        assert said == command.data("loads", option, word) and said[0]["run_id"] == run.id
    refused = command("loads", "accounts", "--key", KEY)
    assert refused.code == 2 and "none of --route, --run and --key" in refused.err
    assert "Did you mean 'accounts'?" in command("loads", "accunts").err
    assert "knows no run f00d" in command("loads", "f00d").err


def test_a_file_that_was_never_uploaded_is_not_found_and_the_reason_hinted(
    autoload: Autoload, command: Command
) -> None:
    latest(autoload)

    result = command("loads", "--key", f"s3://{BUCKET}/elsewhere/x.csv")

    assert result.code == 0 and result.out == ""
    assert "no route matches" in result.err


def test_a_file_is_found_in_the_lane_that_it_was_loaded_in_before_the_routes_changed(
    autoload: Autoload, command: Command
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    other = LATEST.replace('"incoming/"', '"old/"') + LATEST.replace("accounts", "others")
    autoload.routes(other, others=KEY)

    assert [each["state"] for each in command.data("loads", "--key", URL)] == ["loaded"]


def test_failed_shows_only_failed_loads(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.invoke(autoload.upload(KEY, BAD_ROWS))
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert [run["outcome"] for run in command.data("loads")] == ["failed", "partial", "loaded"]
    failed, partial = command.data("loads", "--failed", "--route", "accounts", "--since", "1d")
    assert failed["run_id"].startswith("batch-") and "Integration not found" in failed["message"]
    assert partial["errors"] and partial["report_url"].startswith("s3://")
    assert [each["state"] for each in command.data("loads", "--key", URL, "--failed")] == ["failed", "partial"]
    assert command.data("loads", "--limit", "1")[0]["run_id"] == failed["run_id"]


# retry, load


def test_a_failed_run_is_retried_and_then_shows_as_loaded(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [failed] = command.data("loads", "--failed")

    with handling(autoload):
        result = command("retry", failed["run_id"])

    assert result.code == 0, result.err
    assert len(autoload.simulator.runs) == 1
    newest, oldest = command.data("loads", "--key", URL)
    assert (newest["state"], newest["requested"], oldest["state"]) == ("loaded", True, "failed")


def test_a_failed_run_of_many_uploads_is_retried_by_one_run(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.let_read("accounts", *(f"incoming/{number}.csv" for number in range(3)))
    command("pause", "accounts")
    for number in range(3):
        for _ in range(2):
            autoload.invoke(autoload.upload(f"incoming/{number}.csv", ACCOUNTS))
    refuse_a_run(autoload)
    with handling(autoload):
        command("resume", "accounts")
    [failed] = command.data("loads", "--failed")

    with handling(autoload):
        asked = command.data("retry", failed["run_id"])

    assert sorted(each["key"] for each in asked) == [f"incoming/{number}.csv" for number in range(3)]
    assert len(autoload.simulator.runs) == 1
    assert command.data("loads")[0]["uploads"] == 3
    assert not command.data("status")[0]["paused"]


def test_a_run_that_loaded_everything_is_not_retried(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    results = [command("retry", autoload.simulator.runs[0].id), command("retry", URL)]

    assert [result.code for result in results] == [1, 1]
    assert all("load s3://" in " ".join(result.err.split()) for result in results)
    assert autoload.sent.take() == []


def test_a_run_that_the_ledger_does_not_know_is_not_retried(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("retry", "0" * 32)

    assert result.code == 1 and "knows no run" in result.err


def test_older_data_is_not_retried_over_newer(autoload: Autoload, command: Command) -> None:
    each(autoload)
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,Old\n"))
    [failed] = command.data("loads", "--failed")
    autoload.pass_time(5)
    autoload.invoke(autoload.upload(KEY, "Code,Name\nA1,New\n", at=autoload.now() + 60_000))

    result = command("retry", failed["run_id"])

    assert result.code == 1 and "Newer data" in result.err
    assert autoload.sent.take() == []


def test_each_retries_exactly_the_version_that_failed(autoload: Autoload, command: Command) -> None:
    each(autoload)
    refuse_a_run(autoload)
    event = autoload.upload(KEY, ACCOUNTS)
    autoload.invoke(event)

    with handling(autoload):
        [asked] = command.data("retry", URL)

    assert asked["version_id"] == event["Records"][0]["s3"]["object"]["versionId"]
    assert [run.source_etag for run in autoload.simulator.runs] == [event["Records"][0]["s3"]["object"]["eTag"]]


def test_an_object_is_loaded_now_whether_or_not_it_was_before(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    with handling(autoload):
        result = command("load", URL)

    assert result.code == 0, result.err
    assert len(autoload.simulator.runs) == 2


def test_a_command_in_a_hint_can_be_pasted_for_any_key(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    key = "incoming/accounts/it's all in.csv"
    autoload.upload(key, ACCOUNTS)

    hint = command("load", f"s3://{BUCKET}/{key}").err

    pasted = shlex.split(hint[hint.index("anaplan-autoload") :].splitlines()[0])
    assert pasted == ["anaplan-autoload", "loads", "--key", f"s3://{BUCKET}/{key}"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((f"s3://{BUCKET}/incoming/none.csv",), "There is no s3://"),
        ((f"s3://{BUCKET}/elsewhere.csv",), "no route in use matches"),
        (("incoming/none.csv",), f"There is no s3://{BUCKET}/incoming/none.csv"),
        (("https://inbox/incoming/none.csv",), "s3://bucket/key"),
        ((URL, "--version", "x"), 'load = "latest"'),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_reason(
    autoload: Autoload, command: Command, arguments: tuple[str, ...], reason: str
) -> None:
    latest(autoload)

    result = command("load", *arguments)

    assert result.code == 1 and reason in " ".join(result.err.split())
    assert autoload.sent.take() == []


def test_the_same_retry_twice_is_one_run(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [failed] = command.data("loads", "--failed")

    first, second = (command.data("retry", failed["run_id"]) for _ in range(2))
    assert first[0]["request_id"] == second[0]["request_id"]
    autoload.drain()
    late, by_name = command("retry", failed["run_id"]), command("retry", KEY)

    assert len(autoload.simulator.runs) == 1 and autoload.sent.take() == []
    assert late.code == 0 and "was retried already and was loaded by run" in late.err
    assert by_name.code == 1 and "was loaded by run" in by_name.err
    with handling(autoload):
        command("retry", failed["run_id"], "--again")
    assert len(autoload.simulator.runs) == 2


def test_a_retry_that_waits_is_not_asked_for_again(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [failed] = command.data("loads", "--failed")
    command("pause", "accounts")
    with handling(autoload):
        command("retry", failed["run_id"])

    result = command("retry", failed["run_id"])

    assert result.code == 0 and "waits to be loaded" in result.err
    assert autoload.sent.take() == []


def test_a_retry_that_failed_may_be_retried_by_either_run(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    for _ in range(2):
        refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [failed] = command.data("loads", "--failed")
    with handling(autoload):
        command("retry", failed["run_id"])
    assert autoload.simulator.runs == []

    with handling(autoload):
        command("retry", failed["run_id"])

    assert len(autoload.simulator.runs) == 1


def test_a_batch_that_ended_without_a_run_shows_its_reason(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [failed] = command.data("loads", "--failed")

    [error] = command.data("errors", failed["run_id"])
    rows = command("dump", failed["run_id"])

    assert "Integration not found" in error["message"] and failed["request"].endswith("/run")
    assert rows.code == 1 and "No run began" in rows.err and "Integration not found" in rows.err
    assert "knows no run" in command("errors", "batch-none").err


@pytest.mark.parametrize("spelled", [f"s3://{BUCKET}/{KEY}", KEY])
def test_a_file_can_be_named_by_url_or_key(autoload: Autoload, command: Command, spelled: str) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    assert command.data("routes", "match", spelled)["route"] == "accounts"
    assert command.data("load", spelled)[0]["bucket"] == BUCKET
    assert [each["state"] for each in command.data("loads", "--key", spelled)] == ["loaded"]
    assert "was loaded by run" in command("retry", spelled).err


@pytest.mark.parametrize("spelled", [f"s3://{BUCKET}/Incoming/x.csv", "Incoming/x.csv"])
def test_a_file_without_a_route_shows_why_and_which_routes_are_close(
    autoload: Autoload, command: Command, spelled: str
) -> None:
    latest(autoload)

    looked, loaded = command("loads", "--key", spelled), command("load", spelled)

    assert looked.code == 0 and "no route matches" in looked.err and "accounts is close" in looked.err
    assert loaded.code == 1 and "Nothing was loaded: no route" in loaded.err
    assert "Route accounts is close: its prefix" in loaded.err and "unrouted" not in loaded.err
    assert autoload.sent.take() == []


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "acounts"),
        ("resume", "Accounts"),
        ("status", "accuonts"),
        ("loads", "--route", "acounts"),
        ("backfill", "account", "--since", "1d"),
        ("history", "acounts"),
    ],
)
def test_a_mistyped_name_gets_suggestions(autoload: Autoload, command: Command, words: tuple[str, ...]) -> None:
    latest(autoload)

    result = command(*words)

    assert result.code == 1 and "Did you mean 'accounts'" in result.err


def test_a_mistyped_lane_gets_suggestions(autoload: Autoload, command: Command) -> None:
    latest(autoload, 'lane = "ledgers"')

    result = command("loads", "--lane", "ledger")

    assert result.code == 0 and "Did you mean 'ledgers'" in result.err


def test_a_key_is_explained_by_its_routes_where_its_bucket_is_not_known(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    monkeypatch.delenv("INBOX_BUCKET")

    result = command("loads", "--key", "Incoming/x.csv")

    assert "no route matches" in result.err and "accounts is close" in result.err


def test_loading_again_warns_about_numbered_lists(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    [run] = autoload.simulator.runs

    by_name, by_run = command("retry", URL), command("retry", run.id)

    assert "numbered list without a key" in by_name.err and "numbered list without a key" in by_run.err


def test_history_takes_an_integration_or_a_route(autoload: Autoload, command: Command) -> None:
    autoload.routes(LATEST.replace('"accounts"', '"ledgers"'), accounts=KEY)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    by_route, by_id = command.data("history", "ledgers"), command.data("history", autoload.ids["accounts"])

    assert [run["run_id"] for run in by_route] == [run.id for run in autoload.simulator.runs]
    assert by_id == by_route


# backfill


def test_a_backfill_loads_what_the_ledger_does_not_know_and_nothing_twice(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.let_read("accounts", *(f"incoming/{number}.csv" for number in range(3)))
    for number in range(3):
        autoload.upload(f"incoming/{number}.csv", ACCOUNTS)
        autoload.upload(f"incoming/{number}.csv", ACCOUNTS)
    autoload.s3.put_object(Bucket=BUCKET, Key="incoming/folder/")
    autoload.s3.put_object(Bucket=BUCKET, Key="elsewhere.csv", Body=b"x")

    planned = command.data("backfill", "accounts", "--since", "7d", "--dry-run")
    assert sorted(each["key"] for each in planned) == [f"incoming/{number}.csv" for number in range(3)]
    assert autoload.sent.take() == []

    for _ in range(2):
        with handling(autoload):
            result = command("backfill", "accounts", "--since", "7d", "--yes")
            assert result.code == 0, result.err

    assert len(autoload.simulator.runs) == 2
    assert command.data("loads")[0]["uploads"] == 3


def test_a_backfill_of_each_loads_every_version_oldest_first(autoload: Autoload, command: Command) -> None:
    each(autoload)
    etags: dict[str, str] = {}
    for age, name in enumerate("bca", start=1):
        event = autoload.upload(f"incoming/{name}.csv", f"Code,Name\n{name},x\n")
        etags[name] = event["Records"][0]["s3"]["object"]["eTag"]
        backdate(f"incoming/{name}.csv", hours=age)

    with handling(autoload):
        asked = command.data("backfill", "accounts", "--since", "1d", "--yes")

    assert [each["key"] for each in asked] == ["incoming/a.csv", "incoming/c.csv", "incoming/b.csv"]
    assert [run.source_etag for run in autoload.simulator.runs] == [etags[name] for name in "acb"]


def test_a_backfill_leaves_out_what_is_excluded(autoload: Autoload, command: Command) -> None:
    latest(autoload, 'exclude = ["*.bak"]')
    for name in ("Accounts.csv", "Accounts.csv.bak", "Accounts.csv.filepart", "._Accounts.csv"):
        autoload.upload(f"incoming/{name}", ACCOUNTS)

    planned = command.data("backfill", "accounts", "--since", "1d", "--dry-run")

    assert [each["key"] for each in planned] == [KEY]


@pytest.mark.parametrize("words", [("load",), ("retry",)])
def test_load_refuses_an_excluded_file(autoload: Autoload, command: Command, words: tuple[str, ...]) -> None:
    latest(autoload)
    autoload.let_read("accounts", "incoming/Accounts.bak")
    refuse_a_run(autoload)
    autoload.invoke(autoload.upload("incoming/Accounts.bak", ACCOUNTS))
    latest(autoload, 'exclude = ["*.bak"]')

    result = command(*words, f"s3://{BUCKET}/incoming/Accounts.bak")

    assert result.code == 1 and '"*.bak"' in result.err and "exclude" in result.err
    assert autoload.sent.take() == []


def test_a_rejected_file_shows_in_loads_and_status_and_its_reason_in_errors(
    autoload: Autoload, command: Command
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload("incoming/Other.csv", ACCOUNTS))

    [load] = command.data("loads", "--failed")
    assert (load["outcome"], load["route"], load["uploads"]) == ("rejected", "accounts", 1)
    assert [each["state"] for each in command.data("loads", "--key", "incoming/Other.csv")] == ["rejected"]
    [lane] = command.data("status")
    assert (lane["state"], lane["last"]["outcome"]) == ("idle", "rejected")
    assert KEY in command("errors", load["run_id"]).out
    autoload.let_read("accounts", "incoming/Other.csv")
    with handling(autoload):
        assert command("retry", load["run_id"]).code == 0
    assert command.data("loads")[0]["outcome"] == "loaded"


def test_a_backfill_asks_before_it_loads(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.upload(KEY, ACCOUNTS)
    autoload.upload("incoming/b.csv", ACCOUNTS)

    result = command("backfill", "accounts", "--since", "1d")

    assert result.code == 1 and "--yes" in result.err
    assert autoload.sent.take() == []


def test_a_backfill_from_before_the_ledgers_memory_is_refused(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("backfill", "accounts", "--since", "91d")

    assert result.code == 1 and "90 days" in result.err


def test_a_lane_that_was_paused_before_a_backfill_stays_so(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    command("pause", "accounts")
    for name in "ab":
        autoload.upload(f"incoming/{name}.csv", ACCOUNTS)

    with handling(autoload):
        command("backfill", "accounts", "--since", "1d", "--yes")

    [lane] = command.data("status")
    assert (lane["paused"], lane["waiting"]) == (True, 2)
    assert autoload.simulator.runs == []


# redrive


def bury(command: Command, body: object, reason: str | None = "Runtime.Exited") -> None:
    boto3.client("sqs").send_message(
        QueueUrl=command.queue,
        MessageBody=body if isinstance(body, str) else json.dumps(body),
        MessageAttributes={"ErrorMessage": {"DataType": "String", "StringValue": reason}} if reason else {},
    )


def test_dead_letters_are_shown_then_sent_again_then_deleted(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.let_read("accounts", "incoming/a.csv", "incoming/é b.csv")
    for name in ("a", "é b"):
        bury(command, autoload.upload(f"incoming/{name}.csv", ACCOUNTS))

    shown = command.data("redrive", "--dry-run")
    assert [each["event"] for each in shown] == [
        f"upload of s3://{BUCKET}/incoming/a.csv",
        f"upload of s3://{BUCKET}/incoming/é b.csv",
    ]
    assert {each["reason"] for each in shown} == {"Runtime.Exited"}
    assert command("redrive").code == 1  # nobody can be asked
    assert autoload.sent.take() == []

    with handling(autoload):
        sent = command.data("redrive", "--yes")

    assert [each["state"] for each in sent] == ["sent", "sent"]
    assert autoload.simulator.runs
    assert command.data("redrive", "--dry-run") == []


def test_a_dead_letter_without_a_reason_is_shown_and_sent_like_others(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    bury(command, autoload.upload(KEY, ACCOUNTS), reason=None)

    assert [(each["reason"], each["state"]) for each in command.data("redrive", "--dry-run")] == [(None, "to send")]
    assert "to send" in command("redrive", "--dry-run").out
    with handling(autoload):
        assert [each["state"] for each in command.data("redrive", "--yes")] == ["sent"]


def test_a_dead_letter_that_the_function_does_not_take_stays_in_the_queue(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    bury(command, autoload.upload(KEY, ACCOUNTS))
    with monkeypatch.context() as outage:
        outage.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
        outage.setenv("AWS_MAX_ATTEMPTS", "1")
        result = command("redrive", "--yes")

    assert result.code == 1 and "still in the queue" in result.err
    assert len(command.data("redrive", "--dry-run")) == 1


def test_an_event_that_the_function_would_not_understand_stays_in_the_queue(
    autoload: Autoload, command: Command
) -> None:
    latest(autoload)
    bury(command, {"Hello": "world"})
    bury(command, "no json")
    bury(command, "[" * 20_000)

    sent = command.data("redrive", "--yes")

    assert [each["state"] for each in sent] == ["not understood"] * 3
    assert autoload.sent.take() == []
    assert len(command.data("redrive", "--dry-run")) == 3


def test_uploads_of_one_key_are_one_file(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    command("pause", "accounts")
    for _ in range(3):
        autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    assert "1 file, 3 uploads" in command("status").out
    [waiting] = command.data("status")
    assert (waiting["waiting"], waiting["waiting_files"]) == (3, 1)
    seen: list[str] = []
    autoload.simulator.settings.pace = Pace(run_seconds=100)
    autoload.when("GET", "/integrations/run/", lambda: seen.append(command("status", "accounts").out), skip=1)

    with handling(autoload):
        command("resume", "accounts")

    assert "1 file, 3 uploads by route accounts" in seen[0]
    told = command("loads").out
    assert KEY in told and "1 file, 3 uploads" in told
    [run] = command.data("loads")
    assert (run["uploads"], run["files"], run["file"]) == (3, 1, KEY)


def test_all_files_of_a_run_are_listed(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    command("pause", "accounts")
    names = ["incoming/plus+sign.csv", "incoming/b.csv", KEY]
    autoload.let_read("accounts", *names)
    for name in names:
        autoload.invoke(autoload.upload(name, ACCOUNTS))
    with handling(autoload):
        command("resume", "accounts")
    run_id = autoload.simulator.runs[0].id

    listed = command.data("loads", "--run", run_id, "--files")

    assert {each["key"] for each in listed} == set(names) and {each["run_id"] for each in listed} == {run_id}
    assert command.data("loads", "--run", run_id)[0]["files"] == 3
    assert "3 files" in command("loads", "--run", run_id).out
    assert command("loads", "--files").code == 2
    assert command("loads", "--run", "0" * 32).code == 1


def test_a_file_that_waits_in_a_paused_lane_is_told_so(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    command("pause", "accounts")
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))

    told = command("loads", "--key", KEY).err

    assert "accounts: paused" in told and "resume accounts" in told


def test_status_shows_until_when_a_lane_settles(autoload: Autoload, command: Command) -> None:
    autoload.routes(LATEST + 'settle = "5m"\n', accounts=KEY)
    parsed = parse(autoload.upload(KEY, ACCOUNTS))
    assert isinstance(parsed, Uploads)
    [upload] = parsed.uploads
    now = wall_clock()
    autoload.ledger.record(upload, next(iter(autoload.known_routes())), now)
    autoload.ledger.acquire(autoload.lane(), "arn:leader", now)

    [lane] = command.data("status")

    assert lane["state"] == "starting"
    assert now + 300_000 <= epoch_ms(lane["settles_until"]) <= now + 302_000
    assert "starting, settles until 2" in command("status").out


def test_status_does_not_repeat_what_is_normal(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    plain, details = command("status"), command("status", "accounts")

    [which_routes] = plain.err.splitlines()
    assert which_routes.startswith("Routes: version 1 in the ledger")
    assert not any(word in details.out for word in ("Paused", "Held", "Settles"))


def test_dead_letters_are_discarded_only_on_purpose(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    bury(command, autoload.upload(KEY, ACCOUNTS))
    bury(command, "no json")

    asked = command("redrive", "--discard")
    assert asked.code == 1 and "--yes" in asked.err and KEY in asked.out
    assert [each["state"] for each in command.data("redrive", "--discard", "--dry-run")] == ["to discard"] * 2

    gone = command.data("redrive", "--discard", "--yes")

    assert [each["state"] for each in gone] == ["discarded"] * 2
    assert autoload.sent.take() == [] and command.data("redrive", "--dry-run") == []
    assert "no dead letters" in command("redrive", "--discard", "--yes").err


# test-event


def test_a_test_event_describes_the_object(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.upload(KEY, ACCOUNTS)

    event = json.loads(command("test-event", URL).out)

    assert event["Records"][0]["s3"]["object"]["size"] == len(ACCOUNTS)
    assert autoload.invoke(event)["uploads"][0]["state"] == "loaded"


def test_a_test_event_of_a_missing_object_says_that_it_is_made_up(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("test-event", f"s3://{BUCKET}/incoming/é+1.csv")

    assert "made up" in result.err
    described = json.loads(result.out)["Records"][0]["s3"]["object"]
    assert described["key"] == "incoming/%C3%A9%2B1.csv" and described["size"] > 0
