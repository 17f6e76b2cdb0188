"""What a run does: reads its sources from S3, fills the model, writes its exports."""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from local.cloudworks import csv_files
from local.cloudworks.environment import Environment
from local.cloudworks.json_shapes import Job
from local.cloudworks.runs import Action, Result, Run, Source
from local.cloudworks.tenant import Integration


class RunEffects:
    """Does the work of runs, when the engine says that it is time."""

    def __init__(self, environment: Environment) -> None:
        """Nothing is forced."""
        self._environment = environment
        self._forced: dict[str, list[Result]] = {}

    def force(self, integration_id: str, result: Result) -> None:
        """Let the next run of an integration that reads its source end with `result`, importing nothing."""
        self._forced.setdefault(integration_id, []).append(result)

    def begin(self, run: Run) -> Run:
        """The run with its sources read and its result decided."""
        integration = self._environment.tenant.integrations[run.integration_id]
        done = [self._act(job) for job in integration.jobs]
        sources = tuple(source for _, source in done if source is not None)
        forced = self._forced.get(integration.id)
        if forced:
            return replace(run, sources=sources, result=forced.pop(0))
        actions = tuple(action for action, _ in done)
        return replace(run, sources=sources, actions=actions, result=self._judge(integration, actions))

    def finish(self, run: Run) -> None:
        """Let a run's end have its effects: rows in the model, exports in the bucket."""
        model = self._environment.tenant.models.setdefault(run.model_id, {})
        for action in run.actions:
            model.update(action.rows)
            if action.export_to is not None:
                self._environment.buckets.write(*action.export_to, csv_files.export(model))

    def _act(self, job: Job) -> tuple[Action, Source | None]:
        """What one job does; the two ends of a job say which of them is the cloud's and which the model's."""
        imports = job.type.endswith("ToAnaplan")
        cloud, anaplan = (job.sources[0], job.targets[0]) if imports else (job.targets[0], job.sources[0])
        action_id = str(anaplan.action_id)
        action = Action(action_id=action_id, name=self._environment.tenant.action_name(action_id))
        connection = self._environment.tenant.connections.get(str(cloud.connection_id))
        if connection is None or connection.error_code is not None:
            return replace(action, error="The connection to Amazon S3 failed", code=csv_files.CODE_NO_SOURCE), None
        if imports:
            return self._import(action, connection.bucket, str(cloud.file))
        folder = str(cloud.file).strip("/")
        return replace(action, export_to=(connection.bucket, f"{folder}/{action.name}.csv".lstrip("/"))), None

    def _import(self, action: Action, bucket: str, key: str) -> tuple[Action, Source | None]:
        found = self._environment.buckets.read(bucket, key)
        if found is None:
            error = f"The file {key} was not found in the bucket {bucket}"
            return replace(action, error=error, code=csv_files.CODE_NO_SOURCE), None
        action = _load(action, found.content)
        return action, Source(
            bucket=bucket,
            key=key,
            etag=found.etag,
            version_id=found.version_id,
            sha256=sha256(found.content).hexdigest(),
            rows=action.total,
            read_at=self._environment.now(),
        )

    def _judge(self, integration: Integration, actions: tuple[Action, ...]) -> Result:
        """One result for all actions: the worst of them, with counts."""
        failed = [action for action in actions if action.error is not None]
        if failed:
            message = "Process failed" if integration.kind == "Process" else str(failed[0].error)
            return Result(False, message, failed[0].code)
        rejected = sum(len(action.rejected) for action in actions)
        if not rejected:
            return Result(True, "Success")
        message = f"Partial success: {rejected} of {sum(action.total for action in actions)} rows failed"
        form = self._environment.settings.variants.partial
        return Result(form != "code alone", message, None if form == "message alone" else csv_files.CODE_PARTIAL)


def _load(action: Action, content: bytes) -> Action:
    try:
        loaded = csv_files.load(content)
    except csv_files.Unreadable as unreadable:
        return replace(action, error=str(unreadable), code=csv_files.CODE_UNREADABLE)
    action = replace(
        action,
        total=loaded.total,
        rejected=loaded.rejected,
        rows=loaded.rows,
        dump=csv_files.dump(loaded) if loaded.rejected else None,
    )
    if loaded.rejected and not loaded.rows:
        return replace(action, error=f"All {loaded.total} rows failed", code=csv_files.CODE_DATA_MISMATCH)
    return action
