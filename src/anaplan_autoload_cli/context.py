"""What a command works with: its settings, clients and output.

Nothing is read before a command needs it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import typer

from anaplan_autoload_cli.output import Output

if TYPE_CHECKING:
    from boto3.session import Session

    from anaplan_autoload.anaplan.cloudworks import CloudWorks
    from anaplan_autoload.anaplan.tokens import Tokens
    from anaplan_autoload_cli.login import LoginMethod
    from anaplan_autoload_cli.settings import CommandSettings


class Cli:
    """The object in a command's context; get it with `cli_of`."""

    def __init__(self, settings: CommandSettings, out: Output) -> None:
        self.settings = settings
        self.out = out

    @property
    def aws(self) -> Session:
        """The AWS session; `cli.aws.client("s3")` is typed."""
        return self.settings.session

    @cached_property
    def login_method(self) -> LoginMethod:
        """How this user logs in to Anaplan; asks for what is missing."""
        from anaplan_autoload_cli.login import login_method

        return login_method(self.settings, self.out)

    @cached_property
    def tokens(self) -> Tokens:
        """The log-in at Anaplan."""
        from anaplan_autoload_cli.login import tokens

        return tokens(self.settings, self.login_method)

    @cached_property
    def cloudworks(self) -> CloudWorks:
        """CloudWorks, with our log-in: the function's own client."""
        from anaplan_autoload.anaplan.cloudworks import CloudWorks
        from anaplan_autoload.anaplan.http import http_pool

        return CloudWorks(http_pool(), self.settings.require("cloudworks_url"), self.tokens)


def cli_of(context: typer.Context) -> Cli:
    """The `Cli` of a command's context."""
    cli = context.find_root().obj
    if not isinstance(cli, Cli):
        raise TypeError("the command was not invoked through the application")
    return cli
