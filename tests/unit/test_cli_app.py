"""What all commands have in common: options, settings, help, failures."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import (
    EndpointConnectionError,
    InvalidRegionError,
    ParamValidationError,
    ProfileNotFound,
    TokenRetrievalError,
)
from moto import mock_aws
from typer import BadParameter
from typer.core import TyperOption
from typer.main import get_command

from anaplan_autoload_cli.app import app
from anaplan_autoload_cli.commands import COMMANDS, PLACES, Entry, overview
from anaplan_autoload_cli.context import Cli
from anaplan_autoload_cli.failures import in_words
from anaplan_autoload_cli.output import Output
from anaplan_autoload_cli.settings import SETTINGS, CommandSettings
from anaplan_autoload_cli.times import ahead, moment
from local.cloudworks import PASSWORD, USERNAME
from tests.cli_tenant import CliTenant, empty_tenant

ROOT = Path(__file__).parents[2]
HEAVY = ("typer", "rich", "boto3", "botocore", "msgspec", "urllib3", "aws_durable_execution_sdk_python", "cryptography")


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        yield made


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (["loads", "--limit", "many"], "--limit", "anaplan-autoload loads --help"),
        (["loads", "--limt", "3"], "--limt", "anaplan-autoload loads --help"),
        (["routes", "push"], "FILE", "anaplan-autoload routes push --help"),
        (["nonsense"], "nonsense", "anaplan-autoload --help"),
        (["--nonsense"], "--nonsense", "anaplan-autoload --help"),
        ([], "Missing command", "anaplan-autoload --help"),
    ],
)
def test_a_command_typed_wrong_is_told_to_scripts_as_json(
    tenant: CliTenant, words: list[str], message: str, remedy: str
) -> None:
    for line in ([*words, "--json"], ["--json", *words]):
        said = tenant.run(*line)

        assert (said.code, said.out) == (2, "")
        error = json.loads(said.err)["error"]
        assert message in error["message"] and error["remedy"] == f"See {remedy}"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from anaplan_autoload_cli.__main__ import main\n"
        "main()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    shown = python("-c", script, "--help")
    assert shown.stderr.strip() == "[]"
    assert "The workflow" in shown.stdout


def test_help_of_the_top_level_names_every_shared_option_as_typer_knows_it() -> None:
    listed = " ".join(overview(100).split())
    for param in get_command(app).params:
        assert isinstance(param, TyperOption)
        flags = ", ".join([*param.opts, *param.secondary_opts])
        value = "" if param.is_flag else " PATH" if param.name == "config" else " TEXT"
        assert f"{flags}{value} {param.help}" in listed
    known = {flag for param in get_command(app).params for flag in param.opts}
    assert {SETTINGS[name].flag for name in PLACES} <= known


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("--json", "--help"), ("--help", "--json")])
def test_help_of_the_top_level_is_the_same_however_it_is_asked_for(
    tenant: CliTenant, arguments: tuple[str, ...]
) -> None:
    assert tenant.run(*arguments, COLUMNS="80").out.rstrip() == overview(80)


@pytest.mark.parametrize("width", [40, 80, 300])
def test_help_of_the_top_level_fits_the_terminal(width: int) -> None:
    lines = overview(width).splitlines()
    assert max(len(line) for line in lines if line.startswith("  ")) <= min(width, 100)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_has_help(tenant: CliTenant, entry: Entry) -> None:
    shown = tenant.run(entry.name, "--help")
    assert shown.code == 0
    assert f"{entry.name} [OPTIONS]" in shown.out


def test_help_of_every_command_of_a_group_is_listed(tenant: CliTenant) -> None:
    shown = tenant.run("connections", "--help").out
    assert all(name in shown for name in ("create", "list", "show", "update", "delete", "check", "policy"))


def test_a_mistyped_command_is_a_usage_error_with_a_suggestion(tenant: CliTenant) -> None:
    said = tenant.run("integratons")
    assert said.code == 2
    assert "Did you mean 'integrations'" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "connections", "list"),
        ("connections", "--json", "list"),
        ("connections", "list", "--json"),
    ],
    ids=" ".join,
)
def test_shared_options_may_stand_anywhere(tenant: CliTenant, arguments: tuple[str, ...]) -> None:
    assert tenant.run(*arguments).json == []


def test_a_shared_option_takes_its_value_along(tenant: CliTenant) -> None:
    url = tenant.environment["CLOUDWORKS_URL"]
    after = tenant.run("auth", "check", "--json", "--cloudworks-url", url, CLOUDWORKS_URL="https://wrong.invalid")
    joined = tenant.run("auth", "check", "--json", f"--cloudworks-url={url}", CLOUDWORKS_URL="https://wrong.invalid")
    assert after.json["cloudworks_url"] == joined.json["cloudworks_url"] == url


def test_what_follows_two_dashes_is_not_an_option(tenant: CliTenant) -> None:
    said = tenant.run("connections", "show", "--", "--json")
    assert said.code == 1
    assert "No connection '--json'" in said.err


def test_the_file_fills_in_what_flags_and_environment_leave_out(tenant: CliTenant) -> None:
    url = tenant.environment["CLOUDWORKS_URL"]
    Path(".autoload.toml").write_text(f'cloudworks_url = "{url}"\nusername = "somebody@example.com"\n')
    said = tenant.run("auth", "check", "--json", CLOUDWORKS_URL=None)
    assert (said.json["cloudworks_url"], said.json["user"]) == (url, USERNAME)


def test_the_file_may_come_from_an_editor_of_windows(tenant: CliTenant) -> None:
    url = tenant.environment["CLOUDWORKS_URL"]
    Path(".autoload.toml").write_bytes(f'\ufeffcloudworks_url = "{url}"\r\n'.encode())
    said = tenant.run("auth", "check", "--json", CLOUDWORKS_URL=None)
    assert said.json["cloudworks_url"] == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour = 'red'", "unknown key colour"),
        ("regoin = 'eu-west-1'", "unknown key regoin.\nTo do: Did you mean region?"),
        ("stack = 7", "stack is not text"),
        ("stack = ", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tenant: CliTenant, text: str, reason: str) -> None:
    Path(".autoload.toml").write_text(text)
    said = tenant.run("auth", "check", CLOUDWORKS_URL=None)
    assert said.code == 1
    assert f".autoload.toml{': ' if 'valid' not in reason else ' is '}{reason}" in said.err


def test_a_file_that_is_named_must_exist(tenant: CliTenant) -> None:
    said = tenant.run("--config", "nowhere.toml", "auth", "check", CLOUDWORKS_URL=None)
    assert (said.code, said.err) == (1, "Error: nowhere.toml cannot be read: No such file or directory.\n")


def test_the_stack_says_where_things_are(tenant: CliTenant) -> None:
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"CloudWorksUrl": {"Value": tenant.environment["CLOUDWORKS_URL"]}},
    }
    with mock_aws():
        client = boto3.client("cloudformation", region_name="eu-west-1")
        client.create_stack(StackName="autoload", TemplateBody=str(template).replace("'", '"'))
        said = tenant.run("auth", "check", "--json", "--stack", "autoload", CLOUDWORKS_URL=None)
        absent = tenant.run("auth", "check", "--stack", "other", CLOUDWORKS_URL=None)
    assert said.json["cloudworks_url"] == tenant.environment["CLOUDWORKS_URL"]
    assert absent.code == 1
    assert "There is no stack 'other'" in absent.err and "--stack" in absent.err


def test_every_output_that_is_read_is_one_of_the_template() -> None:
    outputs = (ROOT / "template.yaml").read_text().partition("\nOutputs:\n")[2]
    read = {setting.output for setting in SETTINGS.values() if setting.output}
    assert {name for name in read if f"  {name}:\n" not in outputs} == set()


def test_the_error_for_a_missing_setting_names_flag_variable_and_file(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check", ANAPLAN_USERNAME=None, ANAPLAN_CERTIFICATE="ca.pem")
    assert said.code == 1
    assert "ANAPLAN_PRIVATE_KEY" in said.err
    assert 'private_key = "…"' in said.err


def test_a_failure_is_json_on_stderr_for_scripts(tenant: CliTenant) -> None:
    said = tenant.run("--json", "connections", "show", "nothing")
    assert said.out == ""
    assert said.err.startswith('{"error": {"message": "No connection')


def test_an_unencrypted_host_is_refused_before_anything_is_sent(tenant: CliTenant) -> None:
    said = tenant.run("auth", "check", "--auth-url", "http://auth.example.com")
    assert said.code == 1
    assert "is not encrypted; give https://auth.example.com" in said.err
    assert tenant.simulator.requests == []


def test_narrow_terminals_get_blocks_and_wide_ones_a_table(tenant: CliTenant) -> None:
    tenant.connect()
    wide = tenant.run("connections", "list", FORCE_COLOR="1", NO_COLOR="1", COLUMNS="120").out.splitlines()
    narrow = tenant.run("connections", "list", FORCE_COLOR="1", NO_COLOR="1", COLUMNS="50").out.splitlines()
    assert len(wide) == 2
    assert len(narrow) > 3
    assert max(len(line) for line in narrow) < 60  # bold's control sequences included


def test_a_pipe_gets_everything_in_one_line_a_record(tenant: CliTenant) -> None:
    connection_id = tenant.connect()
    heading, record = tenant.run("connections", "list", COLUMNS="20").out.splitlines()
    assert heading.split() == ["Name", "State", "Bucket", "Workspace", "Id"]
    assert record.endswith(connection_id)


def test_colors_can_be_switched_off(tenant: CliTenant) -> None:
    tenant.connect()
    colored = tenant.run("connections", "list", FORCE_COLOR="1", COLUMNS="120").out
    plain = tenant.run("connections", "list", "--no-color", FORCE_COLOR="1", COLUMNS="120").out
    assert "\x1b[32m" in colored
    assert "\x1b[32m" not in plain


def test_names_cannot_control_the_terminal(tenant: CliTenant) -> None:
    tenant.run("--yes", "connections", "create", "--name", "evil\x1b[2Jname", "--bucket", "finance-inbox")
    assert "\x1b" not in tenant.run("connections", "list").out


def test_json_cannot_control_the_terminal_either(tenant: CliTenant) -> None:
    name = "evil\x9b2J\u202ename\u2028é\x1b"
    tenant.run("--yes", "connections", "create", "--name", name, "--bucket", "finance-inbox")
    said = tenant.run("connections", "list", "--json")
    refused = tenant.run("connections", "show", f"no {name}", "--json")

    assert said.json[0]["name"] == name
    assert all(char.isprintable() or char == "\n" for char in said.out + refused.err)
    assert "é" in said.out


def test_no_command_shows_the_password(tenant: CliTenant) -> None:
    shown = [tenant.run(*words.split()) for words in ("auth check", "auth token", "connections list")]
    refused = tenant.run("auth", "check", ANAPLAN_PASSWORD=PASSWORD + "!")
    assert all(PASSWORD not in said.out + said.err for said in [*shown, refused])


def test_examples_in_help_are_shown_as_they_are_written(tenant: CliTenant) -> None:
    shown = tenant.run("integrations", "apply", "--help", COLUMNS="120").out
    assert "[[integration]]" in shown
    assert 'import = { file = "Accounts.csv"' in shown


START = "from anaplan_autoload_cli.__main__ import main; main()"


@pytest.mark.parametrize("words", ["--help", "routes match incoming/x --inbox b", "load s3://b/k"])
@pytest.mark.parametrize("closed", [(1,), (1, 2), (0, 1, 2)], ids=str)
def test_closed_streams_cause_no_traceback(tmp_path: Path, words: str, closed: tuple[int, ...]) -> None:
    (tmp_path / "routes.toml").write_text((ROOT / "routes.toml").read_text())
    close = f"import os; os.chdir({str(tmp_path)!r}); [os.close(each) for each in {closed!r}]; "
    replace = "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], *sys.argv[2:]])"

    ended = python("-c", f"import sys; {close}{replace}", START, *words.split())

    assert (ended.returncode, ended.stdout) == (1 if words.startswith("load") else 0, "")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_an_encoding_that_lacks_characters_gets_them_escaped(tmp_path: Path, as_json: bool) -> None:
    start = f"import sys, os; os.chdir({str(tmp_path)!r}); sys.stdout.reconfigure(encoding='ascii'); {START}"
    (tmp_path / "routes.toml").write_text((ROOT / "routes.toml").read_text())
    option = ["--json"] if as_json else []

    ended = python("-c", start, "routes", "match", "incoming/é😀.csv", "--inbox", "b", *option)

    assert ended.returncode == 0, ended.stderr
    if as_json:
        assert json.loads(ended.stdout)["object"] == "s3://b/incoming/é😀.csv"
    else:
        assert r"s3://b/incoming/\xe9\U0001f600.csv" in ended.stdout


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (ProfileNotFound(profile="nope"), "The config profile (nope) could not", "list-profiles"),
        (TokenRetrievalError(provider="sso", error_msg="Token has expired"), "AWS cannot be used: Error", "sso login"),
        (InvalidRegionError(region_name="mars west"), "Provided region_name 'mars west'", "eu-west-1"),
        (EndpointConnectionError(endpoint_url="https://x"), "AWS cannot be reached: Could not connect", "the network"),
        (
            ParamValidationError(report='Invalid bucket name "a b"'),
            "AWS refuses this: Param",
            "Correct the name",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "The output cannot be written: No space", "somewhere else"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "The system or the network refused", "HTTPS_PROXY"),
    ],
)
def test_trouble_with_aws_and_the_system_names_its_remedy(error: Exception, message: str, remedy: str) -> None:
    failure = in_words(error, Cli(CommandSettings({}, None, {}), Output()))

    assert failure.message.startswith(message)
    assert remedy in (failure.remedy or "")


@pytest.mark.parametrize("text", ["999999w", "0001-01-01", "9999-12-31T23:59:59-14:00", "1969-12-31"])
def test_a_time_that_no_clock_shows_is_refused(text: str) -> None:
    for read in (moment, *([ahead] if text[0] == "9" else [])):
        with pytest.raises(BadParameter, match="outside the years 1970 to 9999"):
            read(text)


@pytest.mark.parametrize("words", ["loads", "history Accounts", "routes history"])
def test_a_limit_has_a_limit(tenant: CliTenant, words: str) -> None:
    said = tenant.run(*words.split(), "--limit", "99999999999999999999")
    assert said.code == 2
    assert "less than or equal to 1000000" in " ".join(said.err.replace("│", " ").split())


def test_an_interruption_while_the_command_line_is_imported_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    start = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; from anaplan_autoload_cli.__main__ import main; main()"

    ended = python("-c", start)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
