"""The metrics of a report, in CloudWatch's embedded metric format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from anaplan_autoload.domain.times import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anaplan_autoload.report.report import Report


NAMESPACE = "AnaplanAutoload"


def write_metrics(report: Report, *, stack: str, oldest: str, retrying: bool = False) -> None:
    """Write the metrics of a batch that ended to stdout, as one document in CloudWatch's embedded metric format.

    Their dimensions are `stack` and `route`: one account may hold several stacks, and they may have routes of the same
    name. One of `RunsLoaded`, `RunsPartial` and `RunsFailed` is 1, or `UploadsRejected` alone (how many uploads no run
    would have read, or failed their route's check), or `RunsRetried` alone for a failed run that is about to be started
    again, so that only what stays failed rings the alarm. `RunSeconds`
    where a run began and ended; `UploadsCovered` and `UploadToLoadedSeconds`, from `oldest` (the event time of the
    batch's oldest upload) to the end of the run, where rows were loaded. Other reports end no run, and write nothing.
    """
    if report.outcome == "rejected":
        _write("UploadsRejected", report.uploads_total, stack=stack, route=report.route)
    if report.outcome not in ("loaded", "partial", "failed"):
        return
    metrics = _metrics(stack=stack, route=report.route)
    metrics.add_metric("RunsRetried" if retrying else f"Runs{report.outcome.capitalize()}", MetricUnit.Count, 1)
    if report.seconds is not None:
        metrics.add_metric("RunSeconds", MetricUnit.Seconds, report.seconds)
    if report.outcome != "failed":
        metrics.add_metric("UploadsCovered", MetricUnit.Count, report.uploads_total)
        if report.ended_at is not None:
            metrics.add_metric("UploadToLoadedSeconds", MetricUnit.Seconds, seconds_between(oldest, report.ended_at))
    metrics.flush_metrics()


def count_route(report: Report, *, stack: str) -> None:
    """Write `RoutesMissing` or `RoutesRecovered`: a route's file did not come in time, or its trouble has ended."""
    _write(f"Routes{report.outcome.capitalize()}", 1, stack=stack, route=report.route)


def count_unrouted(uploads: int, *, stack: str) -> None:
    """Write `UploadsUnrouted`, with the dimension `stack` only: how many uploads of an event match no route."""
    _write("UploadsUnrouted", uploads, stack=stack)


def count_excluded(uploads_by_route: Mapping[str, int], *, stack: str) -> None:
    """Write `UploadsExcluded` for every route given: how many uploads of an event it ignores for their names."""
    for route, uploads in uploads_by_route.items():
        _write("UploadsExcluded", uploads, stack=stack, route=route)


def count_incomplete(route: str, *, stack: str) -> None:
    """Write `SetsIncomplete`: a set of files that a route needs is not complete in time."""
    _write("SetsIncomplete", 1, stack=stack, route=route)


def count_unreadable_routes(*, stack: str) -> None:
    """Write `RoutesUnreadable`, with the dimension `stack` alone: the newest routes could not be understood."""
    _write("RoutesUnreadable", 1, stack=stack)


def count_reconciled(uploads_by_route: Mapping[str, int], *, stack: str) -> None:
    """Write `UploadsReconciled` for every route given: how many uploads were found whose events never came."""
    for route, uploads in uploads_by_route.items():
        _write("UploadsReconciled", uploads, stack=stack, route=route)


def count_refused_listing(*, stack: str) -> None:
    """Write `ListingsRefused`, with the dimension `stack` alone: S3 refused to list where lost uploads may be."""
    _write("ListingsRefused", 1, stack=stack)


def oldest_waiting(seconds_by_route: Mapping[str, float], *, stack: str) -> None:
    """Write `OldestWaitingSeconds` for every given route: the age of its oldest waiting upload, 0 if none waits."""
    for route, seconds in seconds_by_route.items():
        _write("OldestWaitingSeconds", seconds, MetricUnit.Seconds, stack=stack, route=route)


def count_sweep(lanes_held: int, *, stack: str) -> None:
    """Write `Sweeps` (1) and `LanesHeld`, with the dimension `stack` alone: a sweep has come to its end.

    `lanes_held`: how many lanes wait for another log-in. An alarm rings when `Sweeps` is missing.
    """
    metrics = _metrics(stack=stack)
    metrics.add_metric("Sweeps", MetricUnit.Count, 1)
    metrics.add_metric("LanesHeld", MetricUnit.Count, lanes_held)
    metrics.flush_metrics()


def log_in_days_left(days: float, *, stack: str) -> None:
    """Write `LogInDaysLeft`, with the dimension `stack` alone; below 0 once the log-in has ended."""
    _write("LogInDaysLeft", days, MetricUnit.NoUnit, stack=stack)


def count_answers(answers: Iterable[tuple[str, int]], *, stack: str) -> None:
    """Write `AnaplanAnswers` for each kind and count, with the dimensions `stack` and `kind`: how requests ended."""
    for kind, count in answers:
        _write("AnaplanAnswers", count, stack=stack, kind=kind)


def _write(name: str, value: float, unit: MetricUnit = MetricUnit.Count, **dimensions: str) -> None:
    """Write one metric as a document of its own."""
    metrics = _metrics(**dimensions)
    metrics.add_metric(name, unit, value)
    metrics.flush_metrics()


def _metrics(**dimensions: str) -> EphemeralMetrics:
    """New metrics, because Powertools' `Metrics` shares its values among instances, and steps may run in parallel.

    The empty service keeps `POWERTOOLS_SERVICE_NAME` from becoming a second dimension.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    for name, value in dimensions.items():
        metrics.add_dimension(name, value)
    return metrics
