"""`init`: five answers, two files, and the next step at each point."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from msgspec.structs import replace
from samtranslator.yaml_helper import yaml_parse

from anaplan_autoload.anaplan.wire import decode_integration
from anaplan_autoload.domain.routes_file.parsing import parse
from anaplan_autoload.domain.tenant import Connection, Integration
from anaplan_autoload_cli.init import answers as asked
from anaplan_autoload_cli.init.answers import Answers, NotAccepted
from anaplan_autoload_cli.init.config import only_adds, updated
from anaplan_autoload_cli.init.first_route import SAMPLE_ID, NoRoute, prefix_of, route_for
from anaplan_autoload_cli.init.progress import Seen
from anaplan_autoload_cli.init.steps import Place, Step, steps
from anaplan_autoload_cli.output import Output
from local.cloudworks import PASSWORD, USERNAME
from tests.cli_tenant import BUCKET, CliTenant, empty_tenant
from tests.command_line import Said

ROOT = Path(__file__).parents[2]
ANSWERS = Answers("eu-west-1", "us1", "ada@example.com", "", "password", "Accounts")
PLACE = Place("anaplan-autoload", ".autoload.toml", "routes.toml")
OPTIONS = (
    *("--region", "eu-west-1", "--anaplan-region", "us1", "--email", "ada@example.com"),
    *("--bucket", "new", "--login", "password", "--integration", "Accounts"),
)


@pytest.mark.parametrize(
    "check, typed, answer",
    [
        (asked.region, " EU-west-1 ", "eu-west-1"),
        (asked.region, "cn-north-1", "cn-north-1"),
        (asked.anaplan_region, "us1a", "us1"),
        (asked.anaplan_region, "AU1A", "au1"),
        (asked.anaplan_region, "eu3", "eu3"),
        (asked.email, "ada@example.com ", "ada@example.com"),
        (asked.email, "none", ""),
        (asked.bucket, "NEW", ""),
        (asked.bucket, "s3://finance-inbox/", "finance-inbox"),
        (asked.login, "p", "password"),
        (asked.login, "Certificate", "certificate"),
        (asked.integration, " Accounts ", "Accounts"),
    ],
)
def test_answers_are_taken_in_their_usual_form(check: Callable[[str], str], typed: str, answer: str) -> None:
    assert check(typed) == answer


@pytest.mark.parametrize(
    "check, typed, advice",
    [
        (asked.region, "eu-wets-1", "Did you mean eu-west-1"),
        (asked.region, "Ireland", "the console shows it"),
        (asked.anaplan_region, "mars", "us1, us2"),
        (asked.email, "ada", "ada@example.com"),
        (asked.email, "a@b.c, d@e.f", "ada@example.com"),
        (asked.bucket, "My Bucket", "finance-inbox"),
        (asked.login, "sso", "password, certificate, oauth"),
        (asked.login, "", "password"),
        (asked.integration, " ", "empty"),
    ],
)
def test_a_bad_answer_says_what_would_be_a_good_one(check: Callable[[str], str], typed: str, advice: str) -> None:
    with pytest.raises(NotAccepted, match=advice):
        check(typed)


@pytest.mark.parametrize(
    "region, auth, cloudworks",
    [
        ("us1", "https://auth.anaplan.com", "https://api.cloudworks.anaplan.com/2/0"),
        ("eu3", "https://eu3.auth.anaplan.com", "https://api.cloudworks.anaplan.com/2/0"),
        ("ca1", "https://ca1a.auth.anaplan.com", "https://ca1a.api.anaplan.com/cloudworks/2/0"),
        ("au1", "https://au1a.app2.anaplan.com", "https://api.cloudworks.au1a.app2.anaplan.com/2/0"),
    ],
)
def test_an_anaplan_region_has_its_hosts(region: str, auth: str, cloudworks: str) -> None:
    found = replace(ANSWERS, anaplan_region=region)
    assert (found.auth_url, found.cloudworks_url) == (auth, cloudworks)


def test_the_template_accepts_the_hosts_of_every_region() -> None:
    parameters: Any = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]  # type: ignore[no-untyped-call]
    for region in asked.ANAPLAN_REGIONS:
        found = replace(ANSWERS, anaplan_region=region)
        for name, url in (("AnaplanAuthUrl", found.auth_url), ("CloudWorksUrl", found.cloudworks_url)):
            assert re.fullmatch(parameters[name]["AllowedPattern"], url)
            assert len(url) <= parameters[name]["MaxLength"]


def test_the_docs_ask_what_the_command_asks() -> None:
    shown = (ROOT / "docs/install.md").read_text()
    assert [question.prompt for question in asked.QUESTIONS if f"\n{question.prompt}" not in shown] == []


# The settings file.


def test_a_new_settings_file_holds_the_answers_and_no_stack_before_there_is_one() -> None:
    found = tomllib.loads(updated(None, replace(ANSWERS, anaplan_region="au1")))
    assert found.keys() == {"region", "auth_url", "cloudworks_url", "install"}
    assert found["install"]["integration"] == "Accounts"
    assert tomllib.loads(updated(None, ANSWERS, "autoload"))["stack"] == "autoload"


@pytest.mark.parametrize(
    "before",
    [
        '# mine\nstack = "old" # here\nprofile = "finance"\n',
        'profile = "finance"',
        'profile = "finance"\n\n[install]\nregion = "us-east-1"\n# a comment\n',
        "",
    ],
)
def test_what_else_the_settings_file_holds_is_kept(before: str) -> None:
    after = updated(before, ANSWERS, "autoload")
    found = tomllib.loads(after)
    assert (found["stack"], found["region"], found["install"]["region"]) == ("autoload", "eu-west-1", "eu-west-1")
    assert found.get("profile") == tomllib.loads(before).get("profile")
    assert updated(after, ANSWERS, "autoload") == after, "a second time changes nothing"


def test_an_answer_that_is_taken_back_leaves_the_settings_file() -> None:
    abroad = updated(None, replace(ANSWERS, anaplan_region="au1"))
    assert "auth_url" not in tomllib.loads(updated(abroad, ANSWERS))


def test_quotation_marks_and_accents_survive() -> None:
    name = 'Änderungen "2026" \\ Übersicht'
    assert tomllib.loads(updated(None, replace(ANSWERS, integration=name)))["install"]["integration"] == name


def test_a_stack_is_added_without_losing_a_line_and_another_answer_is_not() -> None:
    before = updated(None, ANSWERS)
    assert only_adds(before, updated(before, ANSWERS, "autoload"))
    assert not only_adds(before, updated(before, replace(ANSWERS, email="")))


# The first route.


def integration(*files: str, kind: str = "AmazonS3ToAnaplan", name: str = "Accounts") -> Integration:
    jobs = [
        {"type": kind, "sources": [{"type": "AmazonS3", "connectionId": "c", "file": file}], "targets": []}
        for file in files
    ]
    return decode_integration({"integrationId": "a" * 32, "name": name, "jobs": jobs})


@pytest.mark.parametrize(
    "files, prefix",
    [
        (("incoming/accounts/accounts.csv",), "incoming/accounts/"),
        (("/incoming/accounts.csv",), "incoming/"),
        (("Accounts.csv",), "Accounts.csv"),
        (("in/a.csv", "in/b.csv"), "in/"),
        (("in/a/a.csv", "in/b/b.csv"), "in/"),
        (("in/apples/a.csv", "in/apricots/b.csv"), "in/"),
    ],
)
def test_a_route_takes_what_the_integration_reads(files: tuple[str, ...], prefix: str) -> None:
    [route] = parse(route_for(integration(*files)), "routes.toml")
    assert (route.prefix, route.integration, route.load) == (prefix, "a" * 32, "latest")
    assert all(route.covers(file.removeprefix("/")) for file in files)


@pytest.mark.parametrize(
    "found, why",
    [
        (integration("out/", kind="AnaplanToAmazonS3"), "is an export"),
        (integration("in/*.csv"), "does not say which fixed key"),
        (integration("a.csv", "b.csv"), "in several folders"),
        (decode_integration({"integrationId": "a" * 32, "name": "Accounts"}), "does not say"),
    ],
)
def test_an_integration_that_reads_no_file_gets_no_route(found: Integration, why: str) -> None:
    with pytest.raises(NoRoute, match=why):
        route_for(found)


@pytest.mark.parametrize(
    "name, route_name",
    [("Accounts & Entities (EU)", "accounts-entities-eu"), ("Übersicht", "bersicht"), ("…", "first"), ("x\ny", "x-y")],
)
def test_a_route_is_named_after_the_integration(name: str, route_name: str) -> None:
    [route] = parse(route_for(integration("in/a.csv", name=name)), "routes.toml")
    assert route.name == route_name


def test_the_sample_is_known_by_its_id() -> None:
    assert SAMPLE_ID in (ROOT / "routes.toml").read_text()
    assert prefix_of(["a/b.csv"]) == "a/"


# The steps.

OUTPUTS = {"InboxBucketName": "inbox", "SecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:s"}
NOTHING = Seen(deployed=False)
DEPLOYED = Seen(deployed=True, outputs=OUTPUTS, confirmed=False, stored=False)
CONFIRMED = replace(DEPLOYED, confirmed=True)
LOGGED_IN = replace(CONFIRMED, stored=True, looked=True)
CONNECTED = replace(LOGGED_IN, connection=Connection("c", "AmazonS3", "inbox", "inbox"))
INTEGRATED = replace(CONNECTED, integration=integration("in/accounts.csv"))
ROUTED = replace(INTEGRATED, routed=True, routes_file=True, pushed=False)
PUSHED = replace(ROUTED, pushed=True, loaded=False)


def next_of(answers: Answers, seen: Seen) -> Step | None:
    return next((step for step in steps(answers, seen, PLACE) if step.state == "next"), None)


@pytest.mark.parametrize(
    "seen, name, command",
    [
        (NOTHING, "deploy", "--parameter-overrides AlertEmail=ada@example.com"),
        (DEPLOYED, "mail", ""),
        (CONFIRMED, "log-in", f"--secret-id {OUTPUTS['SecretArn']}"),
        (replace(CONFIRMED, stored=True, refused="Anaplan refused it (401)."), "log-in", "put-secret-value"),
        (LOGGED_IN, "connection", "connections create --name inbox --bucket inbox"),
        (CONNECTED, "integration", "integrations create --name Accounts"),
        (replace(CONNECTED, near=("My accounts",)), "integration", "init --integration 'My accounts'"),
        (INTEGRATED, "route", ""),
        (ROUTED, "push", "routes push routes.toml"),
        (PUSHED, "upload", "aws s3 cp accounts.csv s3://inbox/in/accounts.csv --region eu-west-1"),
    ],
)
def test_the_first_step_that_is_not_done_is_next_with_its_command(seen: Seen, name: str, command: str) -> None:
    found = next_of(ANSWERS, seen)
    assert found is not None
    assert found.name == name
    assert command in "\n".join(found.commands)


def test_nothing_is_next_when_all_is_done() -> None:
    found = steps(ANSWERS, replace(PUSHED, loaded=True), PLACE)
    assert {step.state for step in found} == {"done"}


@pytest.mark.parametrize(
    "form, command",
    [
        ("password", "put-secret-value"),
        ("certificate", "open('cert.pem')"),
        ("oauth", "auth login --device --client-id"),
    ],
)
def test_every_form_of_the_log_in_has_its_commands(form: str, command: str) -> None:
    found = next_of(replace(ANSWERS, login=form), CONFIRMED)
    assert found is not None
    assert command in found.commands[0]
    assert found.commands[-1] == "anaplan-autoload auth check"


def test_an_existing_bucket_is_named_to_the_stack_and_has_to_send_its_events() -> None:
    answers = replace(ANSWERS, bucket="finance-inbox", region="cn-north-1")
    first = next_of(answers, NOTHING)
    assert first is not None
    assert "ExistingBucketArns=arn:aws-cn:s3:::finance-inbox" in first.commands[-1]
    second = next_of(answers, replace(CONFIRMED, bucket_tells=False))
    assert second is not None
    assert "finance-inbox, Properties, Amazon EventBridge" in second.what
    third = next_of(answers, replace(CONFIRMED, bucket_tells=True))
    assert third is not None
    assert third.name == "log-in"


def test_nobody_who_wants_no_mails_has_to_confirm_one() -> None:
    assert "mail" not in [step.name for step in steps(replace(ANSWERS, email=""), DEPLOYED, PLACE)]


def test_what_could_not_be_seen_is_unknown_and_not_called_undone() -> None:
    found = {step.name: step.state for step in steps(ANSWERS, Seen(trouble=("No AWS credentials were found.",)), PLACE)}
    assert (found["deploy"], found["log-in"], found["push"]) == ("next", "unknown", "unknown")


def test_an_integration_without_a_route_says_why() -> None:
    export = replace(CONNECTED, integration=integration("out/", kind="AnaplanToAmazonS3"))
    found = next_of(ANSWERS, export)
    assert found is not None
    assert "is an export" in found.what


# The command.


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with mock_aws(), empty_tenant() as made:
        yield made


def initiated(tenant: CliTenant, *options: str) -> Any:
    said = tenant.run("init", "--json", *options)
    assert said.code == 0, said.err
    return said.json


def states(record: Any) -> dict[str, str]:
    return {step["name"]: step["state"] for step in record["steps"]}


def test_without_a_terminal_the_answers_are_options(tenant: CliTenant) -> None:
    record = initiated(tenant, *OPTIONS)
    assert record["written"] == [".autoload.toml"]
    assert states(record)["deploy"] == "next"
    assert tomllib.loads(Path(".autoload.toml").read_text())["install"]["email"] == "ada@example.com"


def test_another_settings_file_can_be_made_and_keeps_the_profile(tenant: CliTenant) -> None:
    Path("aws").write_text("[profile finance]\n")
    changes = {"AWS_CONFIG_FILE": "aws"}
    said = tenant.run("--config", "finance.toml", "--profile", "finance", "init", *OPTIONS, **changes)
    assert said.code == 0, said.err
    found = tomllib.loads(Path("finance.toml").read_text())
    assert (found["profile"], found["install"]["login"]) == ("finance", "password")
    assert "--profile finance" in said.out
    assert not Path(".autoload.toml").exists()


def test_without_a_terminal_missing_answers_are_named(tenant: CliTenant) -> None:
    said = tenant.run("init", "--email", "ada@example.com")
    assert said.code == 1
    assert "--region, --anaplan-region, --bucket, --login, --integration" in said.err
    assert not Path(".autoload.toml").exists()


@pytest.mark.parametrize("option, value", [("--email", "ada"), ("--login", "sso"), ("--region", "eu-wets-1")])
def test_a_bad_option_ends_it_and_writes_nothing(tenant: CliTenant, option: str, value: str) -> None:
    said = tenant.run("init", *OPTIONS, option, value)
    assert said.code == 1
    assert f"Give {option} another value" in said.err
    assert not Path(".autoload.toml").exists()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is at the terminal."""
    monkeypatch.setattr(Output, "interactive", property(lambda _self: True))


def typed(tenant: CliTenant, *lines: str, options: tuple[str, ...] = ()) -> Said:
    return tenant.run("init", *options, typed="".join(f"{line}\n" for line in lines))


@pytest.mark.usefixtures("terminal")
def test_in_a_terminal_a_bad_answer_is_asked_for_again(tenant: CliTenant) -> None:
    said = typed(tenant, "", "mars", "us1", "ada", "ada@example.com", "new", "password", "Accounts")
    assert said.code == 0, said.err
    assert "'mars' is not an Anaplan region" in said.err
    assert "'ada' is not an e-mail address" in said.err
    assert "Next: Deploy the stack" in said.out
    install = tomllib.loads(Path(".autoload.toml").read_text())["install"]
    assert (install["region"], install["anaplan_region"], install["bucket"]) == ("eu-west-1", "us1", "")


@pytest.mark.usefixtures("terminal")
def test_nothing_is_asked_twice_and_only_what_is_missing_once(tenant: CliTenant) -> None:
    first = typed(tenant, "Accounts", options=OPTIONS[:-2])
    again = typed(tenant)
    assert (first.code, again.code) == (0, 0)
    assert "E-mail" not in first.err
    assert again.err == ""


@pytest.mark.usefixtures("terminal")
def test_an_end_of_input_ends_it_and_writes_nothing(tenant: CliTenant) -> None:
    assert typed(tenant, "eu-west-1").code == 1
    assert not Path(".autoload.toml").exists()


@pytest.mark.usefixtures("terminal")
def test_another_answer_is_shown_and_asked_about(tenant: CliTenant) -> None:
    initiated(tenant, *OPTIONS)
    refused = typed(tenant, "n", options=("--email", "bob@example.com"))
    assert refused.code == 1
    assert '-email = "ada@example.com"' in refused.out
    assert "ada@example.com" in Path(".autoload.toml").read_text()
    accepted = typed(tenant, "y", options=("--email", "bob@example.com"))
    assert accepted.code == 0
    assert "bob@example.com" in Path(".autoload.toml").read_text()


def make_integration(tenant: CliTenant) -> str:
    tenant.connect()
    return tenant.integrate("Accounts", "incoming/accounts/accounts.csv")


def test_the_route_is_written_when_the_integration_can_be_seen(tenant: CliTenant) -> None:
    before = initiated(tenant, *OPTIONS)
    made = make_integration(tenant)
    after = initiated(tenant)
    assert (states(before)["integration"], states(after)["route"]) == ("later", "done")
    assert after["written"] == ["routes.toml"]
    [route] = parse(Path("routes.toml").read_text(), "routes.toml")
    assert (route.prefix, route.integration) == ("incoming/accounts/", made)


def test_a_routes_file_that_is_there_is_left_as_it_is(tenant: CliTenant) -> None:
    mine = f'[[route]]\nname = "mine"\nprefix = "in/"\nintegration = "{"b" * 32}"\n'
    Path("routes.toml").write_text(mine)
    make_integration(tenant)
    said = tenant.run("init", *OPTIONS)
    assert said.code == 0
    assert Path("routes.toml").read_text() == mine
    assert 'prefix      = "incoming/accounts/"' in said.err


def test_the_sample_is_replaced_only_after_a_question(tenant: CliTenant) -> None:
    sample = (ROOT / "routes.toml").read_text()
    Path("routes.toml").write_text(sample)
    made = make_integration(tenant)
    asked_about = tenant.run("init", *OPTIONS)
    assert asked_about.code == 0
    assert "the sample that comes with the project" in asked_about.err
    assert "--yes" in asked_about.err
    assert Path("routes.toml").read_text() == sample
    assert tenant.run("init", "--yes").code == 0
    assert made in Path("routes.toml").read_text()


def test_a_sample_with_the_users_own_routes_is_not_replaced(tenant: CliTenant) -> None:
    mine = (ROOT / "routes.toml").read_text() + f'[[route]]\nname = "x"\nprefix = "x/"\nintegration = "{"b" * 32}"\n'
    Path("routes.toml").write_text(mine)
    make_integration(tenant)
    assert tenant.run("--yes", "init", *OPTIONS).code == 0
    assert Path("routes.toml").read_text() == mine


def deploy() -> tuple[str, str]:
    """A stack with the outputs that count here; returns the topic and the secret."""
    topic = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ada@example.com")
    secret = boto3.client("secretsmanager").create_secret(Name="anaplan")["ARN"]
    boto3.client("dynamodb").create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    outputs = {"InboxBucketName": BUCKET, "TopicArn": topic, "SecretArn": secret, "LedgerTableName": "ledger"}
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(StackName="anaplan-autoload", TemplateBody=json.dumps(template))
    return topic, secret


def test_the_steps_are_seen_done_one_after_another(tenant: CliTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    tenant.environment["ANAPLAN_USERNAME"] = ""
    initiated(tenant, *OPTIONS)
    _topic, secret = deploy()

    assert states(initiated(tenant))["log-in"] == "next"  # moto confirms every subscription
    assert tomllib.loads(Path(".autoload.toml").read_text())["stack"] == "anaplan-autoload"

    store = boto3.client("secretsmanager").put_secret_value
    store(SecretId=secret, SecretString=json.dumps({"username": USERNAME, "password": "wrong"}))
    refused = initiated(tenant)
    assert "refused" in next(step["what"] for step in refused["steps"] if step["state"] == "next")

    store(SecretId=secret, SecretString=json.dumps({"username": USERNAME, "password": PASSWORD}))
    assert states(initiated(tenant))["connection"] == "next"
    make_integration(tenant)
    assert states(initiated(tenant))["push"] == "next"
    assert tenant.run("--yes", "routes", "push", "routes.toml").code == 0
    last = initiated(tenant)
    assert states(last)["upload"] == "next"
    assert last["trouble"] == []
    assert PASSWORD not in json.dumps(last)
