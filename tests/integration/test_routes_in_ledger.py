"""Routes are pushed and rolled back while the function runs, and it takes them from its ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from anaplan_autoload.aws.routes_in_use import FRESH_MS
from anaplan_autoload_cli.output import Output
from local.cloudworks import Fault
from tests.autoload import Autoload, ExecutionFailed
from tests.integration.cli import Command
from tests.integration.test_main_path import ACCOUNTS, KEY, LATEST, latest

if TYPE_CHECKING:
    from typing import Any

FRESH_SECONDS = FRESH_MS // 1000
REGIONS_KEY = "regions/Regions.csv"
BROKEN = "[[route]]\nname = 1\n"


@pytest.fixture
def command(autoload: Autoload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return Command(autoload, monkeypatch, tmp_path)


def regions(autoload: Autoload) -> str:
    """Routes that load regions besides accounts."""
    ids = autoload.seed(accounts=KEY, regions=REGIONS_KEY)
    more = LATEST.replace("accounts", "regions").replace('"incoming/"', '"regions/"')
    return (LATEST + more).format(**ids)


def states(result: Any) -> list[str]:
    return [upload["state"] for upload in result["uploads"]]


# The function.


def test_a_push_is_in_use_within_thirty_seconds_without_a_deployment(autoload: Autoload) -> None:
    latest(autoload)
    text = regions(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    event = autoload.upload(REGIONS_KEY, ACCOUNTS)
    assert autoload.invoke(event)["state"] == "ignored"

    autoload.push_routes(text)
    autoload.pass_time(FRESH_SECONDS)

    assert states(autoload.invoke(event)) == ["loaded"]


def test_within_thirty_seconds_routes_are_read_once(autoload: Autoload) -> None:
    latest(autoload)
    events = [autoload.upload(KEY, ACCOUNTS) for _ in range(3)]
    calls: list[str] = []
    autoload.services_now().dynamodb.meta.events.register(
        "before-call.dynamodb.GetItem", lambda params, **_: calls.append(params["body"].decode())
    )

    for event in events:
        autoload.invoke(event)
        assert sum("current" in call for call in calls) == 1
    autoload.pass_time(FRESH_SECONDS)
    autoload.invoke(events[0])
    assert sum("current" in call for call in calls) == 2


def test_a_broken_version_is_logged_and_counted_and_everything_goes_on(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.push_routes(BROKEN)
    autoload.pass_time(FRESH_SECONDS)
    capsys.readouterr()

    assert states(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == ["loaded"]

    printed = capsys.readouterr().out
    [metric] = autoload.metrics(printed, "RoutesUnreadable")
    assert metric["stack"] == "autoload" and metric["RoutesUnreadable"] == [1.0]
    [error] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "version 1 stays in use" in error.getMessage() and "name is a number" in vars(error)["reason"]


def test_a_sandbox_that_starts_while_the_newest_version_is_broken_goes_back(autoload: Autoload) -> None:
    latest(autoload)
    autoload.push_routes(BROKEN)
    autoload.change()

    assert states(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == ["loaded"]


def test_the_sweep_reports_a_broken_version_although_nothing_is_uploaded(
    autoload: Autoload, capsys: pytest.CaptureFixture[str]
) -> None:
    latest(autoload)
    autoload.push_routes(BROKEN)
    autoload.change()

    autoload.invoke({"sweep": True})

    assert autoload.metrics(capsys.readouterr().out, "RoutesUnreadable")


def test_no_upload_is_dropped_while_no_version_of_the_routes_can_be_used(autoload: Autoload) -> None:
    autoload.push_routes(BROKEN)
    ids = autoload.seed(accounts=KEY)
    event = autoload.upload(KEY, ACCOUNTS)

    with pytest.raises(ExecutionFailed, match="none of its newest versions of the routes can be used"):
        autoload.invoke(event)
    assert autoload.invoke({"sweep": True})["state"] == "ignored"
    assert autoload.ledger.pending() == []

    autoload.write_routes(LATEST.format(**ids))
    assert states(autoload.invoke(event)) == ["loaded"], "redriven, it is loaded"


def test_waiting_uploads_are_loaded_while_no_version_of_the_routes_can_be_used(autoload: Autoload) -> None:
    latest(autoload)
    lane = autoload.lane()
    autoload.ledger.pause(lane)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    autoload.ledger.resume(lane)
    for number in (1, 2):
        key = {"pk": {"S": "routes"}, "sk": {"S": "current" if number == 2 else "v#0000000001"}}
        boto3.client("dynamodb").delete_item(TableName="ledger", Key=key)
    autoload.push_routes(BROKEN)
    autoload.change()

    autoload.invoke({"sweep": True})
    autoload.drain()

    assert [message["outcome"] for message in autoload.messages()] == ["loaded"]


def test_before_the_first_push_uploads_are_unrouted_and_the_log_says_what_to_do(
    autoload: Autoload, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert autoload.invoke(autoload.upload(KEY, ACCOUNTS)) == {"state": "ignored", "uploads": []}

    printed = capsys.readouterr().out
    [metric] = autoload.metrics(printed, "UploadsUnrouted")
    assert metric["UploadsUnrouted"] == [1.0]
    assert "anaplan-autoload routes push routes.toml --stack autoload" in caplog.text
    assert not autoload.metrics(printed, "RoutesUnreadable")


def test_a_routes_file_takes_the_place_of_the_ledger(autoload: Autoload) -> None:
    autoload.push_routes(BROKEN)
    autoload.use_routes_file()
    latest(autoload)

    assert states(autoload.invoke(autoload.upload(KEY, ACCOUNTS))) == ["loaded"]


# The command line.


def write(text: str, name: str = "new.toml") -> str:
    Path(name).write_text(text, newline="")
    return name


def test_routes_are_pushed_shown_and_rolled_back(autoload: Autoload, command: Command) -> None:
    before = latest(autoload)
    text = regions(autoload)

    pushed = command.data("routes", "push", write(text), "-m", "regions too", "--yes")

    assert (pushed["pushed"], pushed["version"], pushed["replaced"]) == (True, 2, 1)
    assert (pushed["added"], pushed["removed"], pushed["changed"]) == (["regions"], [], [])
    assert '+name = "regions"' in pushed["diff"]
    assert {each["about"] for each in pushed["findings"]} >= {"routes file", "route accounts", "route regions"}
    assert command.data("routes", "show")["text"] == text
    assert command("routes", "pull").out == text
    first, second = command.data("routes", "history")[::-1]
    assert (second["comment"], second["in_use"], first["in_use"]) == ("regions too", True, False)
    assert second["author"].startswith("arn:aws:")

    rolled = command.data("routes", "rollback", "1", "--yes")

    assert (rolled["version"], rolled["removed"], rolled["comment"]) == (3, ["regions"], "Roll back to version 1")
    assert command("routes", "pull").out == LATEST.format(accounts=before)


def test_the_slower_of_two_pushes_writes_nothing_and_names_the_faster(
    autoload: Autoload, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest(autoload)
    text = regions(autoload)
    theirs = LATEST.format(accounts=autoload.ids["accounts"]) + "# theirs\n"

    def meanwhile(*_: object) -> None:
        autoload.push_routes(theirs)

    monkeypatch.setattr(Output, "confirm", meanwhile)

    result = command("routes", "push", write(text))

    assert result.code == 1
    told = " ".join(result.err.split())
    assert "version 2 in the ledger, pushed" in told and "by arn:aws:iam::1:user/ada" in told
    assert "nothing was written" in told and "not version 1" in told
    assert command("routes", "pull").out == theirs


def test_a_push_that_cannot_ask_needs_yes(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("routes", "push", write(regions(autoload)))

    assert result.code == 1 and "--yes" in result.err
    assert [each["version"] for each in command.data("routes", "history")] == [1]


@pytest.mark.parametrize("option", ["--yes", "--check-only"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("prefix", "prefx"), "prefx"),
        (lambda text: text.replace('"incoming/"', '"reports/"'), "includes the reports"),
        (lambda text: text.replace('integration = "', 'integration = "0000', 1)[: -len("0000")], "routes"),
        (lambda _: "", "has no route"),
    ],
)
def test_what_the_function_would_refuse_is_not_pushed(
    autoload: Autoload, command: Command, option: str, spoil: Any, said: str
) -> None:
    latest(autoload)
    text = spoil(LATEST.format(accounts=autoload.ids["accounts"]))

    result = command("routes", "push", write(text), option)

    assert result.code == 1 and said in result.out + result.err
    assert len(command.data("routes", "history")) == 1


def test_an_integration_that_anaplan_does_not_know_stops_the_push_unless_anaplan_is_left_out(
    autoload: Autoload, command: Command
) -> None:
    autoload.seed(accounts=KEY)
    text = LATEST.format(accounts="b" * 32)

    refused = command("routes", "push", write(text), "--yes")
    assert refused.code == 1 and "does not exist, or is not visible" in refused.out and "--offline" in refused.err
    assert command.data("routes", "push", write(text), "--yes", "--offline")["version"] == 1


def test_a_push_goes_on_and_says_so_if_anaplan_cannot_be_asked(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    text = regions(autoload)
    autoload.set_secret(password="wrong")

    pushed = command.data("routes", "push", write(text), "--yes")

    assert pushed["pushed"]
    [skipped] = [each for each in pushed["findings"] if each["status"] == "skipped"]
    assert skipped["about"] == "Anaplan" and "could not be asked" in skipped["what"]


def test_check_only_writes_nothing_and_shows_what_a_push_would_change(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    name = write(regions(autoload))

    found = command.data("routes", "push", name, "--check-only")

    assert (found["pushed"], found["added"]) == (False, ["regions"])
    assert len(command.data("routes", "history")) == 1
    assert "added: regions" in command("routes", "push", name, "--check-only").err


def test_the_routes_in_use_pushed_again_make_no_version(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    name = write(LATEST.format(accounts=autoload.ids["accounts"]))

    result = command("routes", "push", name)

    assert result.code == 0 and "Nothing to do" in result.err
    assert len(command.data("routes", "history")) == 1


def test_texts_are_compared_in_every_way(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    one = LATEST.format(accounts=autoload.ids["accounts"])
    autoload.push_routes(two := regions(autoload))
    autoload.push_routes(three := two + '\n[[route]]\nname = "c"\nprefix = "c/"\nflow = "' + "c" * 32 + '"\n')
    slower = write(three.replace('name = "c"', 'name = "c"\noverdue = "3h"'))

    def changed(*arguments: str) -> tuple[list[str], list[str], list[str]]:
        found = command.data("routes", "diff", *arguments)
        return found["added"], found["removed"], found["changed"]

    assert changed() == (["c"], [], [])
    assert changed("1") == (["regions", "c"], [], [])
    assert changed("3", "1") == ([], ["regions", "c"], [])
    assert changed(slower) == ([], [], ["c"])
    assert "+overdue" in command("routes", "diff", slower).out
    assert one != two != three


def test_a_missing_version_or_file_is_named_with_the_remedy(autoload: Autoload, command: Command) -> None:
    for asked in (("show",), ("pull",), ("rollback", "1")):
        result = command("routes", *asked)
        assert result.code == 1 and "no routes yet" in result.err and "routes push FILE" in result.err
    latest(autoload)
    result = command("routes", "rollback", "7", "--yes")
    assert result.code == 1 and "There is no version 7; the newest is 1" in result.err
    result = command("routes", "push", "missing.toml", "--yes")
    assert result.code == 1 and "missing.toml cannot be read" in result.err


def test_commands_use_the_routes_in_use_and_say_so(autoload: Autoload, command: Command) -> None:
    latest(autoload)

    result = command("status")
    assert result.code == 0 and "Routes: version 1 in the ledger, pushed" in result.err
    assert "routes version 1 has no mistakes: accounts" in command("routes", "check").out
    autoload.push_routes(BROKEN)
    result = command("status")
    assert result.code == 0 and "accounts" in result.out
    assert "In use: version 1" in result.err and "name is a number" in result.err
    assert command("routes", "check").code == 1


def test_before_the_first_push_commands_and_the_doctor_say_so(autoload: Autoload, command: Command) -> None:
    for asked in (("status",), ("pause", "accounts"), ("routes", "check")):
        result = command(*asked)
        assert result.code == 1 and "no routes yet" in result.err and "routes push FILE" in result.err
    result = command("doctor", "--json")
    assert '"The ledger has no routes yet, so no upload is loaded"' in result.out


@pytest.mark.parametrize("path", ["routes.toml", "/var/task/config/routes.toml"])
def test_where_the_function_has_a_routes_file_commands_use_it_and_say_so(
    autoload: Autoload, command: Command, path: str
) -> None:
    latest(autoload)
    text = regions(autoload)
    autoload.sent.environment["ROUTES_FILE"] = path
    autoload.sent.package[path.removeprefix("/var/task/")] = text

    lanes = command("status", "--json")
    assert [lane["routes"] for lane in json.loads(lanes.out)] == [["accounts"], ["regions"]]
    assert f"Routes: {path} in the function's package" in lanes.err and "ROUTES_FILE" in lanes.err
    assert f"{path} in the function's package" in command("doctor", "--json").out
    pushed = command("routes", "push", write(text), "--yes")
    assert pushed.code == 0 and f"ROUTES_FILE names {path}" in pushed.err


@pytest.mark.parametrize(
    ("package", "said"),
    [({}, "not a zip file with a routes.toml"), ({"routes.toml": "[[route]]\nname = 1\n"}, "name is a number")],
)
def test_a_routes_file_of_the_function_that_cannot_be_used_is_told_of(
    autoload: Autoload, command: Command, package: dict[str, str], said: str
) -> None:
    latest(autoload)
    autoload.sent.environment["ROUTES_FILE"] = "routes.toml"
    autoload.sent.package |= package

    result = command("status")

    assert result.code == 1 and said in result.err


def test_a_push_asks_anaplan_again_after_trouble(autoload: Autoload, command: Command) -> None:
    latest(autoload)
    autoload.simulator.add_fault(Fault(kind="status", method="GET", path="/integrations", status=503, body="busy"))

    assert command.data("routes", "push", write(regions(autoload)), "--yes")["pushed"]
