"""`doctor`: what it says of a service that is well, and of every part that is not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import botocore.handlers
import pytest
from moto import mock_aws
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.routes_store import RoutesStore
from local.cloudworks import PASSWORD, USERNAME, OAuthClient
from tests.cli_tenant import BUCKET, CliTenant, empty_tenant

ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{accounts}"

[[route]]
name = "actuals"
prefix = "incoming/actuals/"
integration = "{actuals}"
load = "each"
stage_to = "source/Actuals.csv"
"""


class Deployed:
    """The service in moto, as the template deploys it, and its tenant."""

    def __init__(self, tenant: CliTenant) -> None:
        self.tenant = tenant
        self.kept_by_lambda: dict[str, object] = {}
        self.tells_eventbridge = False
        self.s3 = boto3.client("s3")
        self.functions = boto3.client("lambda")
        self.events = boto3.client("events")
        self.topics = boto3.client("sns")
        self.secrets = boto3.client("secretsmanager")
        self.queues = boto3.client("sqs")
        self.tables = boto3.client("dynamodb")
        self._make_buckets()
        self._make_table()
        self.topic = self.topics.create_topic(Name="alerts")["TopicArn"]
        self.topics.subscribe(TopicArn=self.topic, Protocol="email", Endpoint="ada@example.com")
        self.queue = self.queues.create_queue(QueueName="dead-letters")["QueueUrl"]
        self.secret = self.secrets.create_secret(Name="anaplan", SecretString=_log_in(PASSWORD))["ARN"]
        self.alias = self._make_function()
        self.notify()
        self.permit()
        self._make_sweep()
        tenant.connect()
        self.integrations = {
            "accounts": tenant.integrate("Accounts", "incoming/accounts/Accounts.csv", 1),
            "actuals": tenant.integrate("Actuals", "source/Actuals.csv", 2),
        }
        self.write_routes(ROUTES.format(**self.integrations))

    def findings(self, *options: str) -> list[dict[str, str]]:
        """What the doctor found, as `about`, `status`, `what` and `remedy`."""
        said = self.tenant.run("doctor", "--json", *options, **self.environment())
        return list(said.json)

    def found(self, about: str) -> dict[str, str]:
        """What the doctor found about one thing that it found one thing about."""
        [finding] = [each for each in self.findings() if each["about"] == about]
        return finding

    def environment(self) -> dict[str, str | None]:
        return {
            "ANAPLAN_SECRET_ID": self.secret,
            "DEAD_LETTER_QUEUE_URL": self.queue,
            "FUNCTION_ALIAS_ARN": self.alias,
            "INBOX_BUCKET": BUCKET,
            "LEDGER_TABLE": "ledger",
            "REPORTS_BUCKET": "reports",
            "TOPIC_ARN": self.topic,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def write_routes(self, text: str) -> None:
        store = RoutesStore(self.tables, "ledger")
        assert store.push(text, replaces=store.current(), author="arn:aws:iam::1:user/ada", comment="", now=0)

    def ledger(self) -> Ledger:
        return Ledger(self.tables, "ledger", 180_000)

    def notify(self, **filters: str) -> None:
        """Let the inbox tell the function, of keys with this `prefix` only where one is given."""
        configuration: Any = {"LambdaFunctionArn": self.alias, "Events": ["s3:ObjectCreated:*"]}
        if filters:
            rules = [{"Name": name, "Value": value} for name, value in filters.items()]
            configuration["Filter"] = {"Key": {"FilterRules": rules}}
        self.s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
        )

    def permit(self, **limits: str) -> None:
        """Let S3 invoke the alias for the inbox, or within these limits."""
        self.functions.add_permission(
            FunctionName="autoload",
            Qualifier="live",
            StatementId="inbox",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            **(limits or {"SourceArn": f"arn:aws:s3:::{BUCKET}"}),  # type: ignore[arg-type]
        )

    def _make_buckets(self) -> None:
        for bucket in (BUCKET, "reports"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def _make_table(self) -> None:
        keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        index = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "waiting", "KeyType": "RANGE"}]
        everything: Any = {
            "TableName": "ledger",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "waiting")],
            "KeySchema": keys,
            "LocalSecondaryIndexes": [
                {"IndexName": "waiting", "KeySchema": index, "Projection": {"ProjectionType": "ALL"}}
            ],
        }
        self.tables.create_table(**everything)
        self.tables.update_time_to_live(
            TableName="ledger", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
        )

    def _make_function(self) -> str:
        trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = boto3.client("iam").create_role(
            RoleName="autoload", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
        )
        self.functions.create_function(
            FunctionName="autoload",
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="anaplan_autoload.handler.handler",
            Code={"ZipFile": _empty_archive()},
            Environment={
                "Variables": {
                    "LEDGER_TABLE": "ledger",
                    "TOPIC_ARN": self.topic,
                    "ANAPLAN_SECRET_ID": self.secret,
                    "REPORTS_BUCKET": "reports",
                    **{name: self.tenant.environment[name] for name in ("ANAPLAN_AUTH_URL", "CLOUDWORKS_URL")},
                }
            },
        )
        self.kept_by_lambda |= {"DurableConfig": {}, "DeadLetterConfig": {"TargetArn": self._queue_arn()}}
        return self.functions.create_alias(FunctionName="autoload", Name="live", FunctionVersion="$LATEST")["AliasArn"]

    def _queue_arn(self) -> str:
        asked = self.queues.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        return asked["Attributes"]["QueueArn"]

    def _make_sweep(self) -> None:
        self.events.put_rule(Name="sweep", ScheduleExpression="rate(5 minutes)")
        self.send({"sweep": True, "reconcile": {"every": "1h", "buckets": f"arn:aws:s3:::{BUCKET},"}})

    def send(self, event: object) -> None:
        """Let the schedule send this event."""
        target: Any = {"Id": "live", "Arn": self.alias, "Input": json.dumps(event)}
        self.events.put_targets(Rule="sweep", Targets=[target])


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.chdir(tmp_path)
    answers = _what_moto_forgets(monkeypatch)
    with mock_aws(), empty_tenant() as tenant:
        made = Deployed(tenant)
        answers.append(made)
        yield made


def _what_moto_forgets(monkeypatch: pytest.MonkeyPatch) -> list[Deployed]:
    """Let AWS answer what moto does not keep, for the service that is put into the list."""
    services: list[Deployed] = []

    def configuration(parsed: dict[str, object], **_: object) -> None:
        for service in services:
            parsed |= service.kept_by_lambda

    def notification(parsed: dict[str, object], **_: object) -> None:
        if any(service.tells_eventbridge for service in services):
            parsed["EventBridgeConfiguration"] = {}

    handlers = [
        *botocore.handlers.BUILTIN_HANDLERS,
        ("after-call.lambda.GetFunctionConfiguration", configuration),
        ("after-call.s3.GetBucketNotificationConfiguration", notification),
    ]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    return services


def test_a_healthy_service_has_an_ok_line_for_every_part(deployed: Deployed) -> None:
    findings = deployed.findings()

    assert {finding["status"] for finding in findings} == {"ok"}, findings
    assert [finding["about"] for finding in findings] == [
        "routes",
        "AWS",
        "function",
        "inbox",
        "permission",
        "sweep",
        "lost uploads",
        "versions",
        "ledger",
        "secret",
        "log-in",
        "roles",
        "route accounts",
        "route actuals",
        "exports",
        "topic",
        "reports",
        "dead letters",
        "lanes",
    ]


def _no_notification(deployed: Deployed) -> None:
    deployed.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})


def _filtered_notification(deployed: Deployed) -> None:
    deployed.notify(prefix="incoming/actuals/")


def _no_permission(deployed: Deployed) -> None:
    deployed.functions.remove_permission(FunctionName="autoload", Qualifier="live", StatementId="inbox")


def _permission_for(**limits: str) -> Callable[[Deployed], None]:
    def spoil(deployed: Deployed) -> None:
        _no_permission(deployed)
        deployed.permit(**limits)

    return spoil


def _no_sweep(deployed: Deployed) -> None:
    deployed.events.disable_rule(Name="sweep")


def _not_reconciling(deployed: Deployed) -> None:
    deployed.send({"sweep": True})


def _deaf_route(deployed: Deployed) -> None:
    text = ROUTES.format(**deployed.integrations)
    deployed.write_routes(text.replace('name = "accounts"', 'name = "accounts"\nbucket = "elsewhere"'))


def _empty_secret(deployed: Deployed) -> None:
    deployed.secrets.put_secret_value(SecretId=deployed.secret, SecretString="{}")


def _wrong_password(deployed: Deployed) -> None:
    deployed.secrets.put_secret_value(SecretId=deployed.secret, SecretString=_log_in("wrong"))


def _no_role(deployed: Deployed) -> None:
    users = deployed.tenant.simulator.tenant.users
    users[USERNAME] = replace(users[USERNAME], role="Integration Admin")


def _unconfirmed(deployed: Deployed) -> None:
    [subscription] = deployed.topics.list_subscriptions_by_topic(TopicArn=deployed.topic)["Subscriptions"]
    deployed.topics.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def _dead_letter(deployed: Deployed) -> None:
    deployed.queues.send_message(QueueUrl=deployed.queue, MessageBody='{"sweep": true}')


def _no_dead_letters_kept(deployed: Deployed) -> None:
    del deployed.kept_by_lambda["DeadLetterConfig"]


def _not_durable(deployed: Deployed) -> None:
    del deployed.kept_by_lambda["DurableConfig"]


def _other_table(deployed: Deployed) -> None:
    variables = {"LEDGER_TABLE": "old", "TOPIC_ARN": deployed.topic}
    deployed.functions.update_function_configuration(FunctionName="autoload", Environment={"Variables": variables})


def _unversioned(deployed: Deployed) -> None:
    deployed.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def _paused(deployed: Deployed) -> None:
    deployed.ledger().pause(deployed.integrations["accounts"])


def _wrong_file(deployed: Deployed) -> None:
    deployed.write_routes(ROUTES.format(**deployed.integrations).replace("source/Actuals", "source/Other"))


def _wrong_id(deployed: Deployed) -> None:
    deployed.write_routes(ROUTES.format(accounts="0" * 32, actuals=deployed.integrations["actuals"]))


def _looping_export(deployed: Deployed) -> None:
    made = deployed.tenant.run(
        *("integrations", "create", "--name", "Out", "--export", "--connection", BUCKET),
        *("--folder", "incoming/accounts/", "--action", "116000000001", "--json"),
    )
    assert made.code == 0, made.err


def _broken_routes(deployed: Deployed) -> None:
    deployed.write_routes("[[route]]\nname = 1\n")


@pytest.mark.parametrize(
    ("spoil", "about", "status", "words"),
    [
        (_no_notification, "inbox", "failed", "does not notify"),
        (_filtered_notification, "inbox", "failed", "not of those of route accounts"),
        (_no_permission, "permission", "failed", "S3 may not invoke"),
        (_permission_for(SourceAccount="123456789012"), "permission", "ok", "S3 may invoke"),
        (_permission_for(SourceAccount="111122223333"), "permission", "failed", "S3 may not invoke"),
        (_permission_for(SourceArn="arn:aws:s3:::another"), "permission", "failed", "S3 may not invoke"),
        (
            _permission_for(SourceArn="arn:aws:s3:::another", SourceAccount="123456789012"),
            "permission",
            "failed",
            "S3 may not invoke",
        ),
        (_no_sweep, "sweep", "failed", "no enabled schedule"),
        (_not_reconciling, "lost uploads", "ok", "Reconcile is off"),
        (_deaf_route, "route accounts", "failed", "elsewhere"),
        (_empty_secret, "secret", "failed", "username"),
        (_wrong_password, "log-in", "failed", "FAILURE_BAD_CREDENTIAL"),
        (_no_role, "roles", "failed", "sees no integration"),
        (_unconfirmed, "topic", "warning", "nobody is subscribed"),
        (_dead_letter, "dead letters", "failed", "about 1 event whose"),
        (_no_dead_letters_kept, "dead letters", "failed", "are lost"),
        (_not_durable, "function", "failed", "not durable"),
        (_other_table, "function", "warning", "LEDGER_TABLE old"),
        (_unversioned, "versions", "warning", "keeps no versions"),
        (_paused, "lane of accounts", "warning", "paused"),
        (_wrong_file, "route actuals", "failed", 'reads "source/Actuals.csv", not stage_to "source/Other.csv"'),
        (_wrong_id, "route accounts", "failed", "does not exist"),
        (_looping_export, "exports", "failed", "under route accounts"),
        (_broken_routes, "routes", "failed", "name is a number"),
    ],
)
def test_each_fault_is_found_with_its_remedy(
    deployed: Deployed, spoil: Callable[[Deployed], None], about: str, status: str, words: str
) -> None:
    spoil(deployed)

    found = [each for each in deployed.findings() if each["about"] == about and each["status"] == status]

    assert any(words in each["what"] for each in found), found
    assert status == "ok" or all(each["remedy"] for each in found)


def test_people_may_hear_by_the_topic_of_mails_alone(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    _unconfirmed(deployed)
    mails = deployed.topics.create_topic(Name="mails")["TopicArn"]
    deployed.topics.subscribe(TopicArn=mails, Protocol="email", Endpoint="ada@example.com")
    monkeypatch.setenv("MAIL_TOPIC_ARN", mails)

    [found] = [each for each in deployed.findings() if each["about"] == "topic"]

    assert (found["status"], found["what"]) == ("ok", "1 confirmed subscription")


def test_the_exit_code_says_whether_anything_failed(deployed: Deployed) -> None:
    assert deployed.tenant.run("doctor", **deployed.environment()).code == 0

    _dead_letter(deployed)
    said = deployed.tenant.run("doctor", **deployed.environment())

    assert said.code == 1 and "redrive" in said.out and "1 of 19 checks failed" in said.err


def test_a_refused_log_in_is_not_sent_a_second_time(deployed: Deployed) -> None:
    _wrong_password(deployed)

    deployed.findings()
    second = deployed.found("secret")

    assert second["status"] == "failed" and "refused this version" in second["what"]
    sent = [seen for seen in deployed.tenant.simulator.requests if seen.path == "/token/authenticate"]
    bad = [seen for seen in sent if seen.status == 401]
    assert len(bad) == 1


def test_a_refresh_token_that_is_replaced_needs_the_stacks_parameter(deployed: Deployed) -> None:
    deployed.tenant.simulator.add_client(OAuthClient(id="c" * 32, rotates=True))
    fields: dict[str, object] = {
        "client_id": "c" * 32,
        "refresh_token": deployed.tenant.simulator.grant("c" * 32, USERNAME),
        "access_token": "spent-access-token",
        "expires_at": 1,
    }
    deployed.secrets.put_secret_value(SecretId=deployed.secret, SecretString=json.dumps(fields))
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"RefreshTokenRotates": {"Value": "false"}},
    }
    boto3.client("cloudformation").create_stack(StackName="autoload", TemplateBody=json.dumps(template))

    found = {each["about"]: each for each in deployed.findings("--stack", "autoload")}

    assert found["secret"]["status"] == "failed"
    assert "RefreshTokenRotates=true" in found["secret"]["remedy"]
    assert found["log-in"]["status"] == "ok"
    assert json.loads(deployed.secrets.get_secret_value(SecretId=deployed.secret)["SecretString"]) != fields


def test_a_held_lane_is_found(deployed: Deployed) -> None:
    lane = deployed.integrations["accounts"]
    deployed.tables.put_item(
        TableName="ledger",
        Item={"pk": {"S": f"lane#{lane}"}, "sk": {"S": "lane"}, "held": {"S": "v1"}},
    )

    assert "held" in deployed.found("lane of accounts")["what"]


def test_a_check_that_cannot_run_is_skipped_with_the_reason_and_never_ok(deployed: Deployed) -> None:
    environment = deployed.environment() | {"FUNCTION_ALIAS_ARN": None, "TOPIC_ARN": None, "LEDGER_TABLE": None}

    said = deployed.tenant.run("doctor", "--json", **environment)

    skipped = {each["about"]: each["what"] for each in said.json if each["status"] == "skipped"}
    assert {"function", "inbox", "permission", "sweep", "topic", "ledger", "lanes"} <= skipped.keys()
    assert all("not known" in why for why in skipped.values())
    assert not any(each["status"] == "ok" for each in said.json if each["about"] in skipped)


def test_an_existing_bucket_must_tell_eventbridge_and_a_rule_the_function(deployed: Deployed) -> None:
    deployed.s3.create_bucket(Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    environment = deployed.environment() | {"EXISTING_BUCKET_ARNS": "arn:aws:s3:::theirs"}

    def look() -> tuple[str, str]:
        said = deployed.tenant.run("doctor", "--json", **environment)
        [finding] = [each for each in said.json if each["about"] == "bucket theirs"]
        return finding["status"], finding["what"]

    assert look()[0] == "failed" and "EventBridge" in look()[1]
    deployed.tells_eventbridge = True
    assert look()[0] == "failed" and "no rule" in look()[1]
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "resources": ["arn:aws:s3:::theirs"]}
    deployed.events.put_rule(Name="theirs", EventPattern=json.dumps(pattern))
    deployed.events.put_targets(Rule="theirs", Targets=[{"Id": "live", "Arn": deployed.alias}])
    assert look()[0] == "ok"


def _log_in(password: str) -> str:
    return json.dumps({"username": USERNAME, "password": password})


def _empty_archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("handler.py", "")
    return content.getvalue()


@pytest.mark.parametrize("form", ["{name}", "arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/5a1c-77"])
def test_a_stack_whose_name_is_too_long_for_its_function_is_a_failure(deployed: Deployed, form: str) -> None:
    """CloudFormation takes 128 characters, Lambda 64: such a stack cannot be created."""
    fits, too_long = form.format(name="a" * 64), form.format(name="a" * 65)
    run = partial(deployed.tenant.run, **deployed.environment())

    [refused] = [each for each in run("doctor", "--stack", too_long, "--json").json if each["status"] == "failed"]
    [missing] = [each for each in run("doctor", "--stack", fits, "--json").json if each["status"] == "failed"]

    assert refused["about"] == "stack"
    assert "65 characters" in refused["what"] and "at most 64" in refused["remedy"]
    assert missing["what"].startswith("There is no stack")


def test_a_stack_that_is_not_there_is_one_failure_and_the_rest_is_skipped_because_of_it(deployed: Deployed) -> None:
    said = deployed.tenant.run("doctor", "--stack", "nowhere", "--json", **deployed.environment())

    assert said.code == 1
    [failed] = [each for each in said.json if each["status"] == "failed"]
    assert failed["what"] == "There is no stack 'nowhere' in eu-west-1" and "--stack" in failed["remedy"]
    assert {each["what"] for each in said.json if each["status"] == "skipped"} == {"because of that: see stack"}


def test_missing_aws_credentials_are_reported_once_with_the_remedy(deployed: Deployed) -> None:
    none: dict[str, str | None] = {
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_SESSION_TOKEN": None,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "none",
        "AWS_CONFIG_FILE": "none",
    }

    said = deployed.tenant.run("doctor", "--json", **deployed.environment() | none)

    assert said.code == 1
    [failed] = [each for each in said.json if each["status"] == "failed"]
    assert failed["what"] == "No AWS credentials were found" and "--profile" in failed["remedy"]
    assert {each["what"] for each in said.json if each["status"] == "skipped"} == {"because of that: see AWS"}


def test_a_check_of_nothing_essential_fails(deployed: Deployed) -> None:
    said = deployed.tenant.run("doctor", "--json", **dict.fromkeys(deployed.environment()))

    assert said.code == 1 and "Nothing essential could be checked" in said.err and "--stack" in said.err
