"""What the page works with: the ledger, the saved rejected rows, and the function. Clients are made when needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from botocore.config import Config
from msgspec import Struct

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.routes_in_use import RoutesInUse
from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.aws.settings import SettingsInvalid
from anaplan_autoload.aws.standings import Standings
from anaplan_autoload.domain.routes import Routes
from anaplan_autoload.domain.routes_file.parsing import load
from anaplan_autoload.operations.failed import OperationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

BRISK = Config(connect_timeout=3, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 3})
LEASE_MS = 180_000
"""`Ledger` needs this, although the page never leads a lane."""


class PageSettings(Struct, frozen=True, kw_only=True):
    """The names of the stack's resources, as the page needs them."""

    ledger_table: str
    function: str
    """The ARN of the function's alias; empty if it is not known. A page without actions does not need it."""
    reports_bucket: str = ""
    """Empty if rejected rows are not kept."""
    routes_file: str = ""
    """A routes file in the package; empty if the routes are in the ledger."""


def settings_from(environment: Mapping[str, str]) -> PageSettings:
    """Read the settings; raises `SettingsInvalid` naming the variable that is missing."""
    for name in ("LEDGER_TABLE", "FUNCTION_ALIAS_ARN"):
        if not environment.get(name, "").strip():
            raise SettingsInvalid(f"environment variable {name} is not set; template.yaml sets it for the page")
    return PageSettings(
        ledger_table=environment["LEDGER_TABLE"],
        function=environment["FUNCTION_ALIAS_ARN"],
        reports_bucket=environment.get("REPORTS_BUCKET", ""),
        routes_file=environment.get("ROUTES_FILE", ""),
    )


class PageServices:
    """The clients of one function instance, or of one command; `session` makes them."""

    def __init__(self, settings: PageSettings, session: Session, known: Routes | None = None) -> None:
        """`known`: the routes, if they are already known and need not be read."""
        self.settings = settings
        self.session = session
        self._known = known

    @cached_property
    def ledger(self) -> Ledger:
        """The table."""
        return Ledger(self.session.client("dynamodb", config=BRISK), self.settings.ledger_table, LEASE_MS)

    @cached_property
    def standings(self) -> Standings:
        """How each route stands."""
        return Standings(self.session.client("dynamodb", config=BRISK), self.settings.ledger_table)

    @cached_property
    def s3(self) -> S3Client:
        """S3, for the saved rejected rows."""
        return self.session.client("s3", config=BRISK)

    @property
    def owner(self) -> dict[str, str]:
        """Arguments that make S3 check that the stack's account owns the bucket; empty if the account is not known."""
        account = self.settings.function.split(":")[4:5]
        return {"ExpectedBucketOwner": account[0]} if account else {}

    def routes(self) -> Routes:
        """The routes that the function uses; empty if none were pushed, or they cannot be read."""
        if self._known is not None:
            return self._known
        if self.settings.routes_file:
            return load(Path(self.settings.routes_file))
        self._in_use.refresh(self.now())
        return self._in_use.routes or Routes(())

    @cached_property
    def _in_use(self) -> RoutesInUse:
        client = self.session.client("dynamodb", config=BRISK)
        return RoutesInUse(RoutesStore(client, self.settings.ledger_table), None)

    def now(self) -> int:
        """Epoch ms."""
        return wall_clock()

    def send(self, event: object) -> None:
        """Send the function an event, to be handled in a new execution; raises `OperationFailed` if it is not taken."""
        answer = self.session.client("lambda", config=BRISK).invoke(
            FunctionName=self.settings.function, InvocationType="Event", Payload=msgspec.json.encode(event)
        )
        if answer["StatusCode"] != 202:
            raise OperationFailed(f"The function did not accept the event: status {answer['StatusCode']}.")
