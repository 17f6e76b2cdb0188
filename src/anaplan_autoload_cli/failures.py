"""Errors that a command may meet, in words: no traceback for a mistake or a refused request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from anaplan_autoload.cloudworks import CloudWorksError
from anaplan_autoload.credentials import LoginRefused
from anaplan_autoload.routes import RoutesInvalid
from anaplan_autoload.transport import AddressInvalid
from anaplan_autoload_cli.login import refusal
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli

_THREE_PARTS = re.compile(r'(?P<asked>[A-Z]+ .+?): answered (?P<answered>[^".]+(?:"[^"]*")?)\. ?(?P<remedy>.*)', re.S)


def in_words(error: Exception, cli: Cli) -> CommandFailed | None:
    """The failure that an error of the function's code or of AWS stands for; None for a bug of our own."""
    match error:
        case LoginRefused():
            return _split(refusal(error, cli.way), "Anaplan refused the log-in.")
        case CloudWorksError():
            return _split(str(error), "Anaplan did not do it.")
        case AddressInvalid():
            return CommandFailed(str(error), remedy="Check --auth-url and --cloudworks-url, and where they come from.")
        case RoutesInvalid():
            return CommandFailed(str(error))
        case NoRegionError():
            return CommandFailed("No AWS region is set.", remedy="Give --region, or set AWS_REGION.")
        case NoCredentialsError():
            return CommandFailed("No AWS credentials were found.", remedy="Give --profile, or log in to AWS first.")
        case ClientError():
            return _refused_by_aws(error)
        case BotoCoreError():
            return CommandFailed(f"AWS cannot be asked: {str(error).rstrip('.')}.")
        case _:
            return None


def _split(text: str, summary: str) -> CommandFailed:
    """Take apart what the client says in one sentence after the other."""
    if parts := _THREE_PARTS.fullmatch(text):
        return CommandFailed(
            summary, asked=parts["asked"], answered=parts["answered"].strip(), remedy=parts["remedy"] or None
        )
    return CommandFailed(text)


def _refused_by_aws(error: ClientError) -> CommandFailed:
    refusal = error.response.get("Error", {})
    return CommandFailed(
        "AWS did not do it.",
        asked=error.operation_name,
        answered=f"{refusal.get('Code', 'no code')}: {refusal.get('Message', '')}".rstrip(": "),
        remedy="Check --profile, --region and --stack, and what this AWS user may do.",
    )
