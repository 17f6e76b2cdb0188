"""Environment to typed settings: read once, at cold start, and refused with the variable's name when wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGED_ROUTES = Path(__file__).parents[2] / "routes.toml"


class SettingsInvalid(ValueError):
    """An environment variable is missing or cannot be used; the text names it."""


class Settings(Struct, frozen=True, kw_only=True):
    """What the function is told by its environment; see `from_environment` for the variables' names."""

    secret_id: str
    ledger_table: str
    topic_arn: str
    auth_url: str
    cloudworks_url: str
    function_name: str
    reports_bucket: str | None = None
    """None: rejected rows are not kept."""
    contact: str | None = None
    """Whom readers of a message can ask: one line of text. None: messages name nobody."""
    routes_file: Path = PACKAGED_ROUTES
    function_alias: str = "live"
    poll_min: int = 2
    """Seconds; the shortest wait between two looks at a run."""
    poll_max: int = 60
    """Seconds; no wait of a leader is longer, so that a lease of three times this never runs out unnoticed."""
    lease: int = 180
    """Seconds; outlasts the function's timeout plus the longest wait."""
    log_level: str = "INFO"
    operation_limit: int = 2_000
    """A leader hands over at this many durable operations; the service refuses the 3,001st."""
    age_limit: int = 20 * 3600
    """Seconds; a leader this old hands over, so that no execution lives for weeks on an old version."""

    @property
    def search_pause(self) -> int:
        """Seconds between two searches for a run whose answer was lost: as deployed, four of them take a minute."""
        return max(1, self.lease // 9)

    @property
    def stack(self) -> str:
        """The stack's name, a dimension of every metric: template.yaml names the function after its stack."""
        return self.function_name

    @property
    def function(self) -> str:
        """How the function invokes itself: durable functions answer to a version or an alias only."""
        return f"{self.function_name}:{self.function_alias}"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings, or raise `SettingsInvalid` naming the first variable that is missing or no number."""

    def required(name: str) -> str:
        if value := environment.get(name, "").strip():
            return value
        raise SettingsInvalid(f"environment variable {name} is not set; template.yaml sets it for the function")

    def seconds(name: str, default: int) -> int:
        text = environment.get(name, "").strip() or str(default)
        if text.isdecimal() and int(text) > 0:
            return int(text)
        raise SettingsInvalid(f"environment variable {name} is {text!r}; it takes whole seconds above 0")

    poll_min, poll_max = seconds("POLL_MIN_SECONDS", 2), seconds("POLL_MAX_SECONDS", 60)
    if poll_min > poll_max:
        raise SettingsInvalid(f"POLL_MIN_SECONDS ({poll_min}) is above POLL_MAX_SECONDS ({poll_max})")
    return Settings(
        secret_id=required("ANAPLAN_SECRET_ID"),
        ledger_table=required("LEDGER_TABLE"),
        topic_arn=required("TOPIC_ARN"),
        auth_url=required("ANAPLAN_AUTH_URL"),
        cloudworks_url=required("CLOUDWORKS_URL"),
        function_name=required("AWS_LAMBDA_FUNCTION_NAME"),
        function_alias=environment.get("FUNCTION_ALIAS") or "live",
        reports_bucket=environment.get("REPORTS_BUCKET") or None,
        contact=environment.get("CONTACT", "").strip() or None,
        routes_file=Path(environment.get("ROUTES_FILE") or PACKAGED_ROUTES),
        poll_min=poll_min,
        poll_max=poll_max,
        lease=seconds("LEASE_SECONDS", 180),
        log_level=environment.get("LOG_LEVEL") or "INFO",
    )
