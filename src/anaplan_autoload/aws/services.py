"""Makes everything that the steps use, in one place.

Clients that the usual path does not need (SNS, EventBridge, S3, Lambda) are made at their first use, to keep cold
starts short.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from anaplan_autoload.anaplan.cloudworks import CloudWorks
from anaplan_autoload.anaplan.http import http_pool
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.rejections import Rejections
from anaplan_autoload.aws.routes_in_use import RoutesInUse
from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload.aws.secret import SecretStore, secret_source
from anaplan_autoload.aws.settings import check_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python.types import LambdaContext, LoggerInterface
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from urllib3 import PoolManager

    from anaplan_autoload.anaplan.credentials import Secret
    from anaplan_autoload.anaplan.renewal import Renewer
    from anaplan_autoload.aws.digests import Digests
    from anaplan_autoload.aws.lost_uploads import Rounds
    from anaplan_autoload.aws.settings import Settings
    from anaplan_autoload.aws.standings import Standings
    from anaplan_autoload.domain.routes import Routes


BRISK = Config(connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 4})
"""These services answer in milliseconds or not at all. Four tries fit into the function's timeout."""
PATIENT = Config(connect_timeout=3, read_timeout=50, retries={"mode": "standard", "total_max_attempts": 2})
"""S3 answers a copy request when the copy is complete."""


NOT_SENT = (
    "Skipped an invocation of the function by itself, because the emulator of sam local has none. On AWS, another "
    "execution would get this event, lead the lane that it names and load what waits there. To do that here, invoke "
    "the function with this event"
)


def wall_clock() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def account_of(context: LambdaContext | None) -> str | None:
    """The account of the invoked function, from its ARN. This needs no call and no permission."""
    parts = ((context and context.invoked_function_arn) or "").split(":")
    return parts[4] if len(parts) > 4 and parts[4] else None


class Services:
    """The clients, the user's routes and the clock (epoch milliseconds) of one function instance."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], int] = wall_clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.sleep = sleep
        """For the seconds between two tries of one request, within a step."""
        self.account: str | None = None
        """The function's own account; None where the function runs outside AWS and has no ARN."""
        self.session = boto3.session.Session()
        """Makes the clients of AWS's services."""

    def check(self) -> None:
        """Raise `SettingsInvalid` where a setting cannot work: to be called before anything is recorded."""
        check_settings(self.settings, self.session.region_name)

    @cached_property
    def routes_of_file(self) -> Routes | None:
        """The routes in `ROUTES_FILE`; None if it is not set. Raises `RoutesInvalid` if anything in it is wrong."""
        if not (file := self.settings.routes_file):
            return None
        from anaplan_autoload.domain.routes_file.parsing import load  # most functions have their routes in the ledger

        return load(file, self._reports)

    @cached_property
    def routes_in_use(self) -> RoutesInUse:
        """The routes in the ledger, as this function instance knows them."""
        store = RoutesStore(self.dynamodb, self.settings.ledger_table)
        return RoutesInUse(store, self._reports)

    @property
    def _reports(self) -> tuple[str, str] | None:
        """The bucket and the prefix of our own reports."""
        bucket = self.settings.reports_bucket
        return (bucket, "reports/") if bucket else None

    @cached_property
    def ledger(self) -> Ledger:
        """The table."""
        return Ledger(self.dynamodb, self.settings.ledger_table, self.settings.lease * 1000)

    @cached_property
    def standings(self) -> Standings:
        """How each route stands."""
        from anaplan_autoload.aws.standings import Standings  # only a run's end and a sweep need it

        return Standings(self.dynamodb, self.settings.ledger_table)

    @cached_property
    def rounds(self) -> Rounds:
        """How far the search for lost uploads has come."""
        from anaplan_autoload.aws.lost_uploads import Rounds  # imported here, because only a sweep needs it

        return Rounds(self.dynamodb, self.settings.ledger_table)

    @cached_property
    def digests(self) -> Digests:
        """What people have yet to be told in a digest."""
        from anaplan_autoload.aws.digests import Digests  # only a stack with a topic for people needs it

        return Digests(self.dynamodb, self.settings.ledger_table)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """DynamoDB, for the ledger."""
        return self.session.client("dynamodb", config=BRISK)

    @cached_property
    def s3(self) -> S3Client:
        """S3, for staging and for the rejected rows."""
        return self.session.client("s3", config=PATIENT)

    @cached_property
    def sns(self) -> SNSClient:
        """SNS, for the messages."""
        return self.session.client("sns", config=BRISK)

    @cached_property
    def events(self) -> EventBridgeClient:
        """EventBridge, for the events."""
        return self.session.client("events", config=BRISK)

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Lambda, through which the function sends itself events."""
        return self.session.client("lambda", config=BRISK)

    @cached_property
    def secrets(self) -> SecretsManagerClient:
        """Secrets Manager, for the log-in."""
        return self.session.client("secretsmanager", config=BRISK)

    @cached_property
    def secret(self) -> Callable[[], Secret]:
        """Reads the secret as it is now, with its version."""
        return secret_source(self.secrets, self.settings.secret_id)

    @cached_property
    def rejections(self) -> Rejections:
        """Which version of the secret Anaplan refused."""
        return Rejections(self.dynamodb, self.settings.ledger_table, self.settings.secret_id)

    @cached_property
    def http(self) -> PoolManager:
        """Connections to Anaplan; making their TLS context takes longer than a request."""
        return http_pool()

    @cached_property
    def tokens(self) -> Tokens:
        """The log-in at Anaplan."""
        return Tokens(
            self.http,
            self.settings.auth_url,
            self.secret,
            rejected=self.rejections.includes,
            reject=self.rejections.add,
            renewer=self._renewer,
            clock=self.clock,
        )

    def _renewer(self) -> Renewer:
        """What an OAuth log-in needs: the secret is written, and the ledger holds a lease."""
        from anaplan_autoload.anaplan.oauth import oauth_url  # only an OAuth log-in needs them
        from anaplan_autoload.anaplan.renewal import Renewer
        from anaplan_autoload.aws.renewals import Renewals

        settings = self.settings
        return Renewer(
            self.http,
            settings.oauth_url or oauth_url(settings.auth_url),
            self.secret,
            SecretStore(self.secrets, settings.secret_id),
            Renewals(self.dynamodb, settings.ledger_table, settings.secret_id, settings.lease * 1000),
            rejected=self.rejections.includes,
            reject=self.rejections.add,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def cloudworks(self) -> CloudWorks:
        """CloudWorks, with our log-in."""
        return CloudWorks(self.http, self.settings.cloudworks_url, self.tokens, sleep=self.sleep)

    def send(self, event: dict[str, object], logger: LoggerInterface) -> None:
        """Send the function an event, to be handled by another execution; under `sam local`, log what is skipped."""
        import msgspec

        if self.settings.sam_local:
            logger.warning(NOT_SENT, extra={"skipped_event": event, "function": self.settings.function})
            return
        self.lambda_.invoke(
            FunctionName=self.settings.function, InvocationType="Event", Payload=msgspec.json.encode(event)
        )
