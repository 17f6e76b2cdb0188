"""The deployed service, as the doctor sees it. Each part is read once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from anaplan_autoload.anaplan.cloudworks import CloudWorks
from anaplan_autoload.anaplan.http import http_pool
from anaplan_autoload.aws.rejections import Rejections
from anaplan_autoload.aws.secret import secret_source
from anaplan_autoload_cli.cloudworks.workspace import Workspace
from anaplan_autoload_cli.login import tokens, with_secret
from anaplan_autoload_cli.service.online import AnaplanTenant
from anaplan_autoload_cli.service.places import the_ledger
from anaplan_autoload_cli.service.routes import upload_buckets

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from anaplan_autoload.anaplan.credentials import Secret
    from anaplan_autoload.aws.ledger import Ledger
    from anaplan_autoload.domain.routes import Routes
    from anaplan_autoload_cli.context import Cli


class Alias(Struct, frozen=True):
    """The version of the function that the alias points to."""

    arn: str
    """The alias's."""
    state: str
    """`Active` when it can be invoked."""
    environment: dict[str, str]
    dead_letters: str | None
    """The ARN of its dead-letter queue."""
    durable: bool

    @property
    def account(self) -> str:
        """The account that the function is in."""
        return self.arn.split(":")[4]

    @property
    def function(self) -> str:
        """The function's name."""
        return self.arn.split(":")[6]

    @property
    def name(self) -> str:
        """The alias's name."""
        return self.arn.rpartition(":")[2]


class DeployedService:
    """The deployed service. Every part may raise what AWS, Anaplan or a missing setting does."""

    def __init__(self, cli: Cli, routes: Routes | None) -> None:
        """`routes` is None if the routes file has mistakes."""
        self.cli = cli
        self.routes = routes

    def need(self, name: str) -> str:
        """A setting; raises `CommandFailed` if it is not set."""
        return self.cli.settings.require(name)

    @cached_property
    def s3(self) -> S3Client:
        """S3, as this user sees it."""
        return self.cli.aws.client("s3")

    @cached_property
    def eventbridge(self) -> EventBridgeClient:
        """EventBridge, as this user sees it."""
        return self.cli.aws.client("events")

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Lambda, as this user sees it."""
        return self.cli.aws.client("lambda")

    @cached_property
    def alias(self) -> Alias:
        """The function's alias."""
        arn = self.need("function")
        found: Any = self.lambda_.get_function_configuration(FunctionName=arn)
        return Alias(
            arn=arn,
            state=found.get("State", "Active"),
            environment=found.get("Environment", {}).get("Variables", {}),
            dead_letters=found.get("DeadLetterConfig", {}).get("TargetArn"),
            durable="DurableConfig" in found,
        )

    @cached_property
    def rules(self) -> list[tuple[str, Any]]:
        """EventBridge's enabled rules that invoke the alias, by name."""
        names = self.eventbridge.list_rule_names_by_target(TargetArn=self.alias.arn)["RuleNames"]
        rules: list[tuple[str, Any]] = [(name, self.eventbridge.describe_rule(Name=name)) for name in names]
        return [(name, rule) for name, rule in rules if rule.get("State", "ENABLED").startswith("ENABLED")]

    @cached_property
    def scheduled_events(self) -> list[str]:
        """The events that schedules send the alias, as JSON text."""
        schedules = [name for name, rule in self.rules if rule.get("ScheduleExpression")]
        targets = [each for name in schedules for each in self.eventbridge.list_targets_by_rule(Rule=name)["Targets"]]
        return [target["Input"] for target in targets if "Input" in target]

    @cached_property
    def buckets(self) -> list[str]:
        """The buckets that uploads come from: the inbox first."""
        return upload_buckets(self.cli)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return the_ledger(self.cli)

    @cached_property
    def secret(self) -> Secret:
        """The function's secret, even if this user has another way to log in."""
        return secret_source(self.cli.aws.client("secretsmanager"), self.need("secret_id"))()

    @cached_property
    def is_refused(self) -> bool:
        """Whether Anaplan refused the current version of the function's secret."""
        rejections = Rejections(self.cli.aws.client("dynamodb"), self.need("table"), self.need("secret_id"))
        return rejections.includes(self.secret.version)

    @cached_property
    def cloudworks(self) -> CloudWorks:
        """CloudWorks with the function's own log-in; a version of the secret that Anaplan refused is not sent again."""
        self.need("table")  # else what Anaplan has refused is not known
        made = tokens(self.cli.settings, with_secret(self.cli.settings, self.need("secret_id")))
        return CloudWorks(http_pool(), self.need("cloudworks_url"), made)

    @cached_property
    def workspace(self) -> Workspace:
        """What the function's user can see in Anaplan."""
        return Workspace(self.cloudworks)

    @cached_property
    def tenant(self) -> AnaplanTenant:
        """The same, for the routes."""
        return AnaplanTenant(self.cloudworks, self.workspace)
