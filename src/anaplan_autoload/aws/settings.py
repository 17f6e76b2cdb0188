"""Reads the settings from the environment, once, at cold start. An error names the variable.

A setting that cannot work is rejected before an upload is recorded. Later it would look like trouble with the upload.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from anaplan_autoload.anaplan.errors import AddressInvalid
from anaplan_autoload.anaplan.http import checked_url

if TYPE_CHECKING:
    from collections.abc import Mapping


MOST_DAYS = 3_650
"""The longest life of a password that can be set, in days."""
LONGEST = 86_400
"""Seconds, a day: no poll or lease may be set longer."""
MOST_LOADS, MOST_MINUTES = 100, 1_440
"""The largest `digest_after` and, in minutes, the longest time that a digest gathers."""
SHOWN_CHARACTERS = 100
"""Characters of a refused value that are shown, because somebody may have pasted a whole file."""
_HIDDEN = r"(?i)://[^/]*@|[{}]|-----|passw"
"""What a value looks like that may hold a secret: a URL with a user, the secret's JSON, a key."""


class SettingsInvalid(ValueError):
    """An environment variable is missing or cannot be used; the text names it."""


class Settings(Struct, frozen=True, kw_only=True):
    """The function's settings; see `from_environment` for the variables' names."""

    secret_id: str
    ledger_table: str
    topic_arn: str
    auth_url: str
    cloudworks_url: str
    function_name: str
    oauth_url: str | None = None
    """None: that of the region of `auth_url`."""
    reports_bucket: str | None = None
    """None: rejected rows are not kept."""
    contact: str | None = None
    """Whom readers of a message can ask: one line of text. None: messages name nobody."""
    mail_topic_arn: str | None = None
    """The topic for people, whose mails are gathered in digests. None: people have no topic of their own."""
    chat_topic_arn: str | None = None
    """The topic of chat channels. None: there are none."""
    publish_events: bool = False
    """Whether reports go to EventBridge's default bus too."""
    digest_after: int = 5
    """People get a digest once a lane has had this many loads within `digest_ms`. 0: never."""
    digest_ms: int = 600_000
    """Milliseconds that a digest gathers."""
    routes_file: Path | None = None
    """A routes file in the package, or on this machine. None: the routes are in the ledger."""
    function_alias: str = "live"
    poll_min: int = 2
    """Seconds; the shortest wait between two looks at a run."""
    poll_max: int = 60
    """Seconds; the longest wait of a leader, except before the likely end of a run. That wait extends the lease."""
    lease: int = 180
    """Seconds; longer than the function's timeout plus `poll_max`."""
    password_days: int = 0
    """Days after which Anaplan wants another password; 0: not known."""
    log_level: str = "INFO"
    sam_local: bool = False
    """Whether SAM runs the function on a developer's machine. The emulator there does not let it invoke itself."""
    operation_limit: int = 2_000
    """A leader hands over after this many durable operations; AWS refuses the 3,001st."""
    age_limit: int = 20 * 3600
    """Seconds; a leader this old hands over, so that no execution runs an old version for weeks."""

    @property
    def search_pause(self) -> int:
        """Seconds between two searches for a run whose answer was lost. As deployed, four searches take a minute."""
        return max(1, self.lease // 9)

    @property
    def stack(self) -> str:
        """The stack's name, a dimension of every metric: template.yaml names the function after its stack."""
        return self.function_name

    @property
    def function(self) -> str:
        """How the function invokes itself: a durable function can only be invoked by version or alias."""
        return f"{self.function_name}:{self.function_alias}"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings, or raise `SettingsInvalid` naming the first variable that is missing or not a number."""

    def required(name: str) -> str:
        if value := environment.get(name, "").strip():
            return value
        raise SettingsInvalid(f"environment variable {name} is not set; template.yaml sets it for the function")

    def seconds(name: str, default: int) -> int:
        text = environment.get(name, "").strip() or str(default)
        if re.fullmatch(r"[0-9]{1,6}", text) and 0 < int(text) <= LONGEST:
            return int(text)
        raise SettingsInvalid(f"environment variable {name} is {_shown(text)}; it takes whole seconds, 1 to {LONGEST}")

    def number(name: str, default: int, most: int) -> int:
        text = environment.get(name, "").strip() or str(default)
        if re.fullmatch(r"[0-9]{1,4}", text) and int(text) <= most:
            return int(text)
        raise SettingsInvalid(f"environment variable {name} is {_shown(text)}; it takes a whole number, 0 to {most}")

    def switch(name: str) -> bool:
        text = environment.get(name, "").strip() or "false"
        if text in ("true", "false"):
            return text == "true"
        raise SettingsInvalid(f"environment variable {name} is {_shown(text)}; it takes true or false")

    poll_min, poll_max = seconds("POLL_MIN_SECONDS", 2), seconds("POLL_MAX_SECONDS", 60)
    if poll_min > poll_max:
        raise SettingsInvalid(f"POLL_MIN_SECONDS ({poll_min}) is above POLL_MAX_SECONDS ({poll_max})")
    return Settings(
        secret_id=required("ANAPLAN_SECRET_ID"),
        ledger_table=required("LEDGER_TABLE"),
        topic_arn=required("TOPIC_ARN"),
        auth_url=required("ANAPLAN_AUTH_URL"),
        oauth_url=environment.get("ANAPLAN_OAUTH_URL", "").strip() or None,
        cloudworks_url=required("CLOUDWORKS_URL"),
        function_name=required("AWS_LAMBDA_FUNCTION_NAME"),
        function_alias=environment.get("FUNCTION_ALIAS") or "live",
        reports_bucket=environment.get("REPORTS_BUCKET") or None,
        contact=environment.get("CONTACT", "").strip() or None,
        mail_topic_arn=environment.get("MAIL_TOPIC_ARN", "").strip() or None,
        chat_topic_arn=environment.get("CHAT_TOPIC_ARN", "").strip() or None,
        publish_events=switch("PUBLISH_EVENTS"),
        digest_after=number("DIGEST_AFTER", 5, MOST_LOADS),
        digest_ms=number("DIGEST_MINUTES", 10, MOST_MINUTES) * 60_000,
        routes_file=Path(file) if (file := environment.get("ROUTES_FILE", "").strip()) else None,
        poll_min=poll_min,
        poll_max=poll_max,
        lease=seconds("LEASE_SECONDS", 180),
        password_days=number("PASSWORD_DAYS", 0, MOST_DAYS),
        log_level=environment.get("LOG_LEVEL") or "INFO",
        sam_local=environment.get("AWS_SAM_LOCAL") == "true",
    )


_TOPIC = r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}"
_FORMS = {
    "secret_id": (
        "ANAPLAN_SECRET_ID",
        r"[A-Za-z0-9/_+=.@!-]{1,512}|arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+",
        "the name or the ARN of a secret",
    ),
    "ledger_table": (
        "LEDGER_TABLE",
        r"[A-Za-z0-9_.-]{3,255}|arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}",
        "the name or the ARN of a DynamoDB table",
    ),
    "topic_arn": (
        "TOPIC_ARN",
        _TOPIC,
        "the ARN of an SNS topic, such as arn:aws:sns:eu-west-1:123456789012:alerts",
    ),
    "mail_topic_arn": ("MAIL_TOPIC_ARN", _TOPIC, "the ARN of an SNS topic, or nothing"),
    "chat_topic_arn": ("CHAT_TOPIC_ARN", _TOPIC, "the ARN of an SNS topic, or nothing"),
    "reports_bucket": (
        "REPORTS_BUCKET",
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "the name of an S3 bucket, or nothing",
    ),
    "function_name": ("AWS_LAMBDA_FUNCTION_NAME", r"[A-Za-z0-9_-]{1,140}", "the function's own name"),
    "function_alias": ("FUNCTION_ALIAS", r"[A-Za-z0-9_-]{1,128}|\$LATEST", "an alias of the function, such as live"),
}
"""Field → its variable, the form of its value, and what it takes."""
_REGION = r"[a-z]{2,}(-[a-z]+)+-[0-9]+"


def check_settings(settings: Settings, region: str | None) -> None:
    """Raise `SettingsInvalid` for the first setting that cannot work, with its variable, its value and the remedy.

    `region` is the AWS Region as boto3 finds it.
    """
    for name, url in (
        ("ANAPLAN_AUTH_URL", settings.auth_url),
        ("ANAPLAN_OAUTH_URL", settings.oauth_url or settings.auth_url),
        ("CLOUDWORKS_URL", settings.cloudworks_url),
    ):
        try:
            checked_url(url)
        except AddressInvalid as error:
            if len(url) <= SHOWN_CHARACTERS and not re.search(_HIDDEN, url):
                raise SettingsInvalid(f"environment variable {name}: {error}") from error
            raise SettingsInvalid(f"environment variable {name} is {_shown(url)}; it takes https://host/path") from None
    for field, (name, form, takes) in _FORMS.items():
        value = getattr(settings, field)
        if value is not None and not re.fullmatch(form, value):
            raise SettingsInvalid(f"environment variable {name} is {_shown(value)}; it takes {takes}")
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        levels = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
        raise SettingsInvalid(f"environment variable LOG_LEVEL is {_shown(settings.log_level)}; it takes {levels}")
    if region is None:
        raise SettingsInvalid("environment variable AWS_DEFAULT_REGION is not set; Lambda sets it to the function's")
    if not re.fullmatch(_REGION, region):
        raise SettingsInvalid(
            f"environment variable AWS_DEFAULT_REGION is {_shown(region)}; it takes one such as eu-west-1"
        )


def _shown(value: str) -> str:
    """A refused value as messages show it, unless it may hold a secret."""
    if re.search(_HIDDEN, value):
        return "not shown, as it looks like a secret"
    return repr(value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…")
