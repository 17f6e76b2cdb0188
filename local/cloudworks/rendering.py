"""How integrations and their runs are shown, in lists, on their own and in histories."""

from __future__ import annotations

from itertools import count

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from local.cloudworks.dates import whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.json_shapes import Job, JobEnd, LatestRun, RunRecord, RunStatus
from local.cloudworks.runs import FlowRun, Result, Run

UNDER_WAY = Result(False, "Running")
"""The fields of a run that has not ended: neither means anything yet."""


class Renderer:
    """Shows things at a moment: `now` is epoch seconds on our clock; dates are shown on Anaplan's."""

    def __init__(self, environment: Environment) -> None:
        """The environment's settings hold the variants and the skew."""
        self._environment = environment
        self._asked = count()

    def date(self, time: float) -> str:
        """A moment of our clock as a date of Anaplan's."""
        return whole_second(time + self._environment.settings.skew_seconds)

    def status(self, run: Run, now: float) -> RunStatus:
        """A run, asked for by its id. While it is queued it has no start."""
        result = _result(run, now)
        begun = run.phase(now) != "queued"
        created = self.date(run.started_at if begun else run.accepted_at)
        ended = run.phase(now) == "ended"
        return RunStatus(
            id=run.id,
            integration_id=run.integration_id,
            trace_id=run.trace_id,
            start_date=created if begun else None,
            end_date=self._end_date(run.ended_at, now),
            success=result.success,
            message=result.message,
            creation_date=created,
            modification_date=self.date(run.ended_at) if ended else created,
            created_by=run.author,
            modified_by=run.author,
            execution_error_code=result.code,
            flow_group_id=run.flow_id,
            trigger_source=run.trigger,
        )

    def record(self, run: Run, now: float) -> RunRecord:
        """A run in its integration's history. `lastRun` repeats the end, as a number or as a date."""
        result = _result(run, now)
        last = run.ended_at if run.phase(now) == "ended" else run.started_at
        epoch = int(last + self._environment.settings.skew_seconds)
        return RunRecord(
            id=run.id,
            triggered_by=run.author,
            last_run=epoch if self._environment.settings.variants.last_run == "epoch" else self.date(last),
            start_date=self.date(run.started_at),
            end_date=self._end_date(run.ended_at, now),
            success=result.success,
            message=result.message,
            execution_error_code=result.code,
            trace_id=run.trace_id,
            trigger_source=run.trigger,
        )

    def latest(self, run: Run | None, now: float) -> LatestRun | UnsetType:
        """The latest run of an integration or a step; absent where there was none."""
        if run is None:
            return UNSET
        result = _result(run, now)
        return LatestRun(
            triggered_by=run.author,
            start_date=self.date(run.started_at),
            end_date=self._end_date(run.ended_at, now),
            success=result.success,
            message=result.message,
            execution_error_code=result.code,
            trigger_source=run.trigger,
        )

    def latest_of_flow(self, run: FlowRun | None, now: float) -> LatestRun | UnsetType:
        """The latest run of a flow."""
        if run is None:
            return UNSET
        result = run.result or UNDER_WAY
        return LatestRun(
            triggered_by=run.author,
            start_date=self.date(run.accepted_at),
            end_date=self._end_date(run.ended_at, now),
            success=result.success,
            message=result.message,
            execution_error_code=result.code,
            trigger_source="manual",
        )

    def job(self, job: Job) -> Job:
        """A job with what is known of its connections."""
        return replace(
            job,
            sources=tuple(self._end(end) for end in job.sources),
            targets=tuple(self._end(end) for end in job.targets),
        )

    def _end(self, end: JobEnd) -> JobEnd:
        if not isinstance(end.connection_id, str):
            return end
        connection = self._environment.tenant.connections.get(end.connection_id)
        return replace(
            end,
            connection_name=connection.name if connection else None,
            is_connection_deleted=connection is None,
            bucket_name=connection.bucket if connection else None,
        )

    def _end_date(self, ended_at: float, now: float) -> str | UnsetType | None:
        if ended_at <= now:
            return self.date(ended_at)
        form = self._environment.settings.variants.end_date
        absent = form == "absent" or (form == "alternate" and next(self._asked) % 2 == 0)
        return UNSET if absent else None


def _result(run: Run, now: float) -> Result:
    return run.result if run.result is not None and run.phase(now) == "ended" else UNDER_WAY
