"""Errors that a command may meet, in words: no traceback for a mistake, a refused request or an unusable answer."""

from __future__ import annotations

import errno
from http.client import HTTPException
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from anaplan_autoload.anaplan.credentials import RESUMES, LoginRefused
from anaplan_autoload.anaplan.errors import AddressInvalid, CloudWorksError
from anaplan_autoload.anaplan.http import quoted
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid
from anaplan_autoload_cli.login import refusal
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from anaplan_autoload_cli.context import Cli

TRACEBACK = "AUTOLOAD_TRACEBACK"
"""The environment variable that shows the traceback of an unexpected error."""
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""The system's errors that mean that nothing can be written."""
_NO_WAY_TO_AWS = "Check --region, AWS_ENDPOINT_URL, HTTPS_PROXY and the network."
_NO_AWS = "Check --profile and AWS's configuration, or log in to AWS again: aws sso login."
_PROXY = "A proxy or gateway may have answered instead: check HTTPS_PROXY, AWS_ENDPOINT_URL and the network."


def in_words(error: Exception, cli: Cli) -> CommandFailed:
    """The failure to show for an error.

    An answer of the wrong shape can cause almost any exception where it is used, so unexpected errors are put into
    words too, with the way to see their traceback.
    """
    match error:
        case LoginRefused() if error.facts.answered:
            remedy = f"{error.facts.remedy} {RESUMES}" if cli.login_method.secret_id else error.facts.remedy
            return _refused_by_anaplan(error, "Anaplan refused the log-in.", remedy)
        case LoginRefused():
            return CommandFailed(refusal(error, cli.login_method))
        case CloudWorksError() if error.facts.answered:
            return _refused_by_anaplan(error, "Anaplan refused the request.", error.facts.remedy)
        case CloudWorksError():
            return CommandFailed(error.text, asked=error.facts.asked or None)
        case AddressInvalid():
            return CommandFailed(str(error), remedy="Check --auth-url and --cloudworks-url, and where they come from.")
        case RoutesInvalid():
            return CommandFailed(str(error))
        case NoRegionError():
            return CommandFailed("No AWS region is set.", remedy="Give --region, or set AWS_REGION.")
        case ProfileNotFound():
            return CommandFailed(
                f"{str(error).rstrip('.')}.",
                remedy="Check the profile's name. To list the profiles: aws configure list-profiles",
            )
        case NoCredentialsError():
            return CommandFailed("No AWS credentials were found.", remedy="Give --profile, or log in to AWS first.")
        case ClientError():
            return _refused_by_aws(error)
        case InvalidRegionError():
            return CommandFailed(f"{_said(error)}.", remedy="Give --region a name such as eu-west-1.")
        case ParamValidationError():
            return CommandFailed(f"AWS refuses this: {_said(error)}.", remedy="Correct the name that it quotes.")
        case NotConnected() | HTTPClientError():
            return CommandFailed(f"AWS cannot be reached: {_said(error)}.", remedy=_NO_WAY_TO_AWS)
        case BotoCoreError():
            return CommandFailed(f"AWS cannot be used: {_said(error)}.", remedy=_NO_AWS)
        case ResponseParserError():
            return CommandFailed("The answer did not come from AWS: it cannot be read.", remedy=_PROXY)
        case HTTPError() | HTTPException():
            return CommandFailed(f"The connection was interrupted: {_named(error)}.", remedy=_PROXY)
        case OSError(filename=str(name)):
            return CommandFailed(f"{name}: {error.strerror}.")
        case OSError(errno=number) if number in _LOCAL:
            return CommandFailed(f"The output cannot be written: {error.strerror}.", remedy="Write it somewhere else.")
        case OSError():
            return CommandFailed(f"The system or the network refused the request: {_named(error)}.", remedy=_PROXY)
        case _:
            return CommandFailed(
                f"An answer or a file was not as expected: {_named(error)}.",
                remedy=f"{_PROXY} Otherwise report this with the output of {TRACEBACK}=1.",
            )


def _said(error: Exception) -> str:
    """The error's text on one line, without its full stop."""
    return quoted(str(error)).rstrip(".")


def _named(error: Exception) -> str:
    """The error's kind and its first line, which contains no part of an answer."""
    said = quoted(str(error).partition("\n")[0]).rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _refused_by_anaplan(error: CloudWorksError, summary: str, remedy: str) -> CommandFailed:
    """What was asked, what Anaplan answered, and what to do, each by itself."""
    facts = error.facts
    return CommandFailed(summary, asked=facts.asked, answered=facts.answered, remedy=remedy or None)


def _refused_by_aws(error: ClientError) -> CommandFailed:
    refusal = error.response.get("Error", {})
    return CommandFailed(
        "AWS refused the request.",
        asked=error.operation_name,
        answered=f"{refusal.get('Code', 'no code')}: {refusal.get('Message', '')}".rstrip(": "),
        remedy="Check --profile, --region and --stack, and the rights of this AWS user.",
    )
