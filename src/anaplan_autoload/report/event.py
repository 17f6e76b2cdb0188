"""A report as an event for EventBridge: its detail is the document that queues get from SNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from anaplan_autoload.report.message import document, shorten

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from anaplan_autoload.domain.outcomes import ReportOutcome
    from anaplan_autoload.report.report import Report

SOURCE = "anaplan-autoload"
DETAIL_TYPES: dict[ReportOutcome, str] = {
    "loaded": "Loaded",
    "partial": "Partly Loaded",
    "failed": "Failed",
    "rejected": "Rejected",
    "held": "On Hold",
    "overdue": "Overdue",
    "incomplete": "Incomplete",
    "missing": "Missing",
    "recovered": "Recovered",
}
EVENT_LIMIT = 240 * 1024
"""Most bytes of a detail. EventBridge accepts 256 KiB in one request, including names and times."""


def put_event(events: EventBridgeClient, report: Report) -> None:
    """Put the report on the default bus. If it is sent twice, both events have the same `detail.id` and detail-type.

    Raises botocore's `ClientError` if EventBridge refuses the request or the entry in it.
    """
    detail = document(shorten(report, EVENT_LIMIT))
    entry = {"Source": SOURCE, "DetailType": DETAIL_TYPES[report.outcome], "Detail": detail}
    answer = events.put_events(Entries=[entry])  # type: ignore[list-item]
    if answer["FailedEntryCount"]:
        refusal = answer["Entries"][0]
        raise ClientError(
            {"Error": {"Code": refusal.get("ErrorCode", ""), "Message": refusal.get("ErrorMessage", "")}}, "PutEvents"
        )
