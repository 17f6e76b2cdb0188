"""The simulator's settings, which can be changed while it runs."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field


class Variants(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where CloudWorks has been seen to answer in more than one way, or may do so."""

    end_date: Literal["absent", "null", "alternate"] = "alternate"
    """How a run shows that it has not ended."""
    last_run: Literal["epoch", "iso"] = "epoch"
    errors: Literal["array", "object"] = "array"
    """How `/runerror` shows a run's errors."""
    no_errors: Literal["object", "array"] = "object"
    """How it shows that there are none."""
    partial: Literal["success and code", "code alone", "message alone"] = "success and code"
    """How a run shows that some rows were rejected: `success`, code 38, or nothing but the counts in its message."""
    run_status: Literal[200, 202] = 200
    """The status that answers a request to run an integration."""
    expired_status: Literal[401, 403] = 403
    """What an expired token is answered with."""
    largest_page: int | None = None
    """The most items in a page of a listing or a history, even if `limit` asks for more; None: as many as asked."""
    oauth_scheme: Literal["both", "AnaplanAuthToken", "Bearer"] = "both"
    """How CloudWorks wants an OAuth access token to be presented."""
    oauth_validates: bool = True
    """Whether the authentication service validates OAuth access tokens."""
    refresh_token_repeated: bool = True
    """Whether a refresh answers with the refresh token again if that does not rotate."""
    reuse_revokes: bool = True
    """Whether a refresh token that is used a second time ends all that came from its log-in."""
    flow_runs_resolve: bool = False
    """Whether `/integrations/run/{id}` knows the run ids of flows."""


class Pace(Struct, frozen=True, forbid_unknown_fields=True):
    """How long runs take, in seconds."""

    queue_seconds: float = 0.0
    """From acceptance to start."""
    run_seconds: float = 2.0
    """From start to end; infinite for a run that hangs."""


class SimulatorSettings(Struct, kw_only=True, forbid_unknown_fields=True):
    """The simulator's settings; change them at any time."""

    pace: Pace = Pace()
    paces: dict[str, Pace] = field(default_factory=dict)
    """By integration id, before `pace`."""
    skew_seconds: float = 0.0
    """How far Anaplan's clock is ahead of ours: its `Date` header, its dates and its tokens' lives."""
    history_lag_seconds: float = 0.0
    """How long after its start a run appears in the history."""
    token_life_seconds: float = 2100.0
    device_seconds: float = 900.0
    """How long a user has to confirm a device."""
    device_interval_seconds: float = 5.0
    """How long a device must wait between two questions."""
    requests_per_minute: int | None = None
    """More are answered with 429; None: no limit. 600 is what Anaplan states for a sister service."""
    fail_rate: float = 0.0
    """The share of requests, 0 to 1, that meet a random fault."""
    variants: Variants = Variants()
    access_keys: dict[str, str] = field(default_factory=dict)
    """The S3 credentials that connections may be made with: access key id to secret."""
    denied_buckets: set[str] = field(default_factory=set)
    """Buckets that exist but that those credentials do not open."""

    def __repr__(self) -> str:
        """Without the access keys."""
        return (
            f"SimulatorSettings(pace={self.pace!r}, skew_seconds={self.skew_seconds!r}, fail_rate={self.fail_rate!r})"
        )

    def pace_of(self, integration_id: str) -> Pace:
        """How long a run of this integration takes."""
        return self.paces.get(integration_id, self.pace)
