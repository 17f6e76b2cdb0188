"""Measures for how many days the log-in to Anaplan still works, so that an alarm rings before it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anaplan_autoload.anaplan.credentials import DAY_MS, ends_at
from anaplan_autoload.anaplan.errors import CloudWorksError

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services

HOUR_MS = 3_600_000
LOOKING_MS = 600_000
"""From the start of each hour. There are two sweeps in this time, in case one of them fails."""


def measure_log_in(step: StepContext, services: Services) -> None:
    """Write `LogInDaysLeft` as a metric, in the first minutes of each hour, where the log-in's end is known."""
    from anaplan_autoload.report.metrics import log_in_days_left

    now = services.clock()
    if now % HOUR_MS >= LOOKING_MS:
        return
    try:
        end = ends_at(services.secret(), services.settings.password_days)
    except CloudWorksError as error:
        step.logger.warning("It is not known when the log-in ends", extra={"reason": str(error)})
        return
    if end is not None:
        log_in_days_left((end - now) / DAY_MS, stack=services.settings.stack)
