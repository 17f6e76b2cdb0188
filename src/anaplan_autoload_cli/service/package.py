"""The routes that are deployed where the function's `ROUTES_FILE` is set, read from the function's own package."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from botocore.exceptions import ClientError
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from anaplan_autoload.anaplan.http import http_pool
from anaplan_autoload.domain.routes_file.parsing import parse
from anaplan_autoload_cli.output import CommandFailed

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from anaplan_autoload.domain.routes import Routes

TASK_ROOT = "/var/task/"
"""Where Lambda unpacks the package."""
CAP = 64 * 1024**2
"""Bytes of a package, at most; Lambda takes 50 MiB."""
REMEDY = "Look as a user who may lambda:GetFunction, or name the routes with --file."


def deployed_routes(client: LambdaClient, alias: str, file: str) -> Routes:
    """The routes in this file of the package that this alias runs; raises `CommandFailed` if they cannot be read."""
    try:
        location = client.get_function(FunctionName=alias)["Code"]["Location"]
        package = _downloaded(location)
        with ZipFile(BytesIO(package)) as files:
            text = files.read(file.removeprefix(TASK_ROOT)).decode("utf-8-sig")
    except ClientError as error:
        refusal = error.response.get("Error", {})
        raise _not_had(f"AWS refused GetFunction ({refusal.get('Code')}: {refusal.get('Message')})") from error
    except HTTPError as error:
        raise _not_had(f"the package of {alias} cannot be downloaded ({type(error).__name__})") from error
    except (BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise _not_had(f"the package of {alias} is not a zip file with a {file}") from error
    return parse(text, f"{file} of {alias}")


def _downloaded(location: str) -> bytes:
    """The package; its address is signed by Lambda for some minutes, and is never shown."""
    answer = http_pool().request("GET", location, preload_content=False, timeout=Timeout(connect=5.0, read=25.0))
    try:
        content = answer.read(CAP)
    finally:
        answer.close()
    return bytes(content) if answer.status == 200 else b""


def _not_had(why: str) -> CommandFailed:
    return CommandFailed(f"The function uses the routes of its package, and {why}.", remedy=REMEDY)
