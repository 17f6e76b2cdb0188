"""Which routes are in use, for steps that need them: they are read inside a step and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_durable_execution_sdk_python.types import StepContext

    from anaplan_autoload.aws.services import Services
    from anaplan_autoload.domain.routes import Routes

UNREADABLE = "The newest routes cannot be understood"


def routes_in_use(step: StepContext, services: Services) -> Routes | None:
    """The routes in use: those of `ROUTES_FILE` if it is set, else the ledger's.

    Empty where nobody has pushed any yet; None where none of the newest versions in the ledger can be understood. A
    newest version that cannot be understood is logged and counted (`RoutesUnreadable`) each time it is read.
    """
    if services.routes_of_file is not None:
        return services.routes_of_file
    known = services.routes_in_use
    trouble = known.refresh(services.clock())
    if trouble is not None:
        from anaplan_autoload.report.metrics import count_unreadable_routes

        in_use = f"version {known.version} stays in use" if known.routes else "no earlier version can be used"
        step.logger.error(f"{UNREADABLE}; {in_use}", extra={"reason": trouble, "version": known.version})
        count_unreadable_routes(stack=services.settings.stack)
    return known.routes
