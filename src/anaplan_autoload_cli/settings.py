"""The settings of the command line: from flags, the environment, `.autoload.toml` and the stack.

Nothing is read before a command needs it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from boto3.session import Session

CONFIG = Path(".autoload.toml")
INSTALL = "install"
"""The table of `.autoload.toml` with the answers that `init` was given. No other command reads it."""


class NoSuchStack(CommandFailed):
    """CloudFormation knows no stack of that name, in that region of that account."""

    def __init__(self, stack: str, region: str | None) -> None:
        super().__init__(
            f"There is no stack {stack!r} in {region}.",
            remedy="Check --stack, --region and --profile. To list the stacks: aws cloudformation describe-stacks "
            "--query 'Stacks[].StackName'",
        )


class Setting(NamedTuple):
    """One setting of the commands, and where it may be set; earlier places win."""

    what: str
    variable: str
    """Environment variable."""
    flag: str | None = None
    output: str | None = None
    """The stack's output that holds it; see `template.yaml`."""
    default: str | None = None


SETTINGS = {
    "stack": Setting("the CloudFormation stack", "AUTOLOAD_STACK", "--stack"),
    "profile": Setting("the AWS profile", "AWS_PROFILE", "--profile"),
    "region": Setting("the AWS region", "AWS_REGION", "--region"),
    "auth_url": Setting(
        "Anaplan's authentication service",
        "ANAPLAN_AUTH_URL",
        "--auth-url",
        "AnaplanAuthUrl",
        "https://auth.anaplan.com",
    ),
    "oauth_url": Setting(
        "Anaplan's OAuth service (default: that of the authentication service's region)",
        "ANAPLAN_OAUTH_URL",
        "--oauth-url",
    ),
    "cloudworks_url": Setting(
        "CloudWorks", "CLOUDWORKS_URL", "--cloudworks-url", "CloudWorksUrl", "https://api.cloudworks.anaplan.com/2/0"
    ),
    "secret_id": Setting("the secret with Anaplan's log-in", "ANAPLAN_SECRET_ID", "--secret-id", "SecretArn"),
    "username": Setting("the Anaplan user", "ANAPLAN_USERNAME"),
    "client_id": Setting("the OAuth client's id", "ANAPLAN_CLIENT_ID", "--client-id"),
    "certificate": Setting("the file of the CA certificate", "ANAPLAN_CERTIFICATE"),
    "private_key": Setting("the file of its private key", "ANAPLAN_PRIVATE_KEY"),
    "workspace": Setting("the Anaplan workspace's id", "ANAPLAN_WORKSPACE_ID", "--workspace"),
    "model": Setting("the Anaplan model's id", "ANAPLAN_MODEL_ID", "--model"),
    "table": Setting("the ledger's table", "LEDGER_TABLE", "--table", "LedgerTableName"),
    "topic": Setting("the topic", "TOPIC_ARN", "--topic", "TopicArn"),
    "mail_topic": Setting("the topic of people's mails", "MAIL_TOPIC_ARN", None, "MailTopicArn"),
    "chat_topic": Setting("the topic of chat channels", "CHAT_TOPIC_ARN", None, "ChatTopicArn"),
    "function": Setting("the function's alias (an ARN)", "FUNCTION_ALIAS_ARN", "--function", "FunctionAliasArn"),
    "queue": Setting("the dead-letter queue's URL", "DEAD_LETTER_QUEUE_URL", "--queue", "DeadLetterQueueUrl"),
    "inbox": Setting("the inbox, a bucket", "INBOX_BUCKET", "--inbox", "InboxBucketName"),
    "existing_buckets": Setting(
        "other buckets that are loaded from, ARNs separated by commas",
        "EXISTING_BUCKET_ARNS",
        None,
        "ExistingBuckets",
    ),
    "reports": Setting("the bucket of rejected rows", "REPORTS_BUCKET", "--reports", "ReportsBucketName"),
    "log_group": Setting("the function's log group", "LOG_GROUP_NAME", None, "LogGroupName"),
    "routes": Setting("routes.toml", "ROUTES_FILE", "--file"),
}
"""By the name that `.autoload.toml` uses."""


class CommandSettings:
    """Looks settings up: flags, environment, `.autoload.toml`, the stack's outputs, defaults, in this order."""

    def __init__(self, flags: Mapping[str, str | None], config: Path | None, environment: Mapping[str, str]) -> None:
        """`flags`: those that all commands share. `config`: a file, or None for `.autoload.toml` where there is one."""
        self._flags = flags
        self._config = config
        self._environment = environment
        self._session: Session | None = None

    def get(self, name: str, given: str | None = None) -> str | None:
        """The setting, or None if it is not set; `given` is the value of the command's own option."""
        setting = SETTINGS[name]
        return (
            given
            or self._flags.get(name)
            or self._environment.get(setting.variable, "").strip()
            or self._file.get(name)
            or (self.outputs.get(setting.output) if setting.output else None)
            or setting.default
        )

    def require(self, name: str, given: str | None = None) -> str:
        """The setting, as `get`; raises `CommandFailed`, which says how to set it, if it is not set."""
        if value := self.get(name, given):
            return value
        setting = SETTINGS[name]
        ways = [setting.flag, f"set {setting.variable}", f'write {name} = "…" into {CONFIG}']
        if setting.output and not self.get("stack"):
            ways.append("name the stack with --stack")
        raise CommandFailed(
            f"It is not known what {setting.what} is.",
            remedy="Give " + ", or ".join(way for way in ways if way) + ".",
        )

    def flag(self, name: str) -> str | None:
        """The setting's flag."""
        return self._flags.get(name)

    @property
    def flags(self) -> Mapping[str, str | None]:
        """The flags that all commands share."""
        return self._flags

    @property
    def path(self) -> Path:
        """The settings file, whether it is there or not."""
        return self._config or CONFIG

    @cached_property
    def installation(self) -> dict[str, str]:
        """What `init` was told; empty before it was called. Raises `CommandFailed` as all settings do."""
        if not self.path.exists():
            return {}
        found = self._document.get(INSTALL, {})
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise CommandFailed(f"{self.path}: [{INSTALL}] is not a table of texts.", remedy="Delete it, and run init.")
        return found

    @cached_property
    def session(self) -> Session:
        """AWS, with the profile and the region that are set, else with what boto3 finds."""
        import boto3

        return boto3.session.Session(profile_name=self.get("profile"), region_name=self.get("region"))

    @cached_property
    def _file(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        for name, value in self._document.items():
            if name == INSTALL:
                continue
            if name not in SETTINGS:
                close = get_close_matches(name.casefold(), SETTINGS, n=1)
                remedy = f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(SETTINGS)}."
                raise CommandFailed(f"{self.path}: unknown key {name}.", remedy=remedy)
            if not isinstance(value, str):
                raise CommandFailed(f"{self.path}: {name} is not text.", remedy="Write it in double quotes.")
            settings[name] = value
        return settings

    @cached_property
    def _document(self) -> dict[str, object]:
        path = self.path
        if self._config is None and not path.exists():
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a byte order mark first
        except OSError as error:
            raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise CommandFailed(f"{path} is not valid TOML: {error}.") from error

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs, none where no stack is named; raises `NoSuchStack`, and what boto3 does."""
        from botocore.exceptions import ClientError

        stack = self.get("stack")
        if not stack:
            return {}
        try:
            described = self.session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            refusal = error.response.get("Error", {})
            # CloudFormation has no code of its own for it.
            if refusal.get("Code") == "ValidationError" and "does not exist" in refusal.get("Message", ""):
                raise NoSuchStack(stack, self.session.region_name) from None
            raise
        return {
            output["OutputKey"]: output["OutputValue"]
            for output in described[0].get("Outputs", [])
            if "OutputKey" in output and "OutputValue" in output
        }


def environment() -> Mapping[str, str]:
    """The environment, read when a command runs and not before."""
    return os.environ
