"""CloudWorks' operations on runs: status, history, errors and rejected rows."""

from __future__ import annotations

from msgspec import UNSET

from local.cloudworks.csv_files import SHOWN_VALUES, Rejected
from local.cloudworks.dates import whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import NOT_ENTITLED, Answer, Call, Endpoint, Refusal, endpoint, success
from local.cloudworks.integrations import Integrations
from local.cloudworks.json_shapes import ActionErrors, ErrorMessage, History, RunErrors, meta
from local.cloudworks.rendering import Renderer
from local.cloudworks.run_scheduler import RunScheduler
from local.cloudworks.runs import Action, Run
from local.cloudworks.tenant import User, reaches

DUMPS_KEPT_SECONDS = 48 * 3600
NO_DUMP = "Your integration run was successful / no errors"


class RunHistory:
    """The caller must hold the simulator's lock."""

    def __init__(
        self, environment: Environment, integrations: Integrations, scheduler: RunScheduler, renderer: Renderer
    ) -> None:
        """`integrations` finds what a path names, `scheduler` knows its runs, `renderer` shows them."""
        self._environment = environment
        self._integrations = integrations
        self._scheduler = scheduler
        self._renderer = renderer

    def endpoints(self) -> list[Endpoint]:
        """All operations. The dumps' paths end in the plural: `/dump` is not routed."""
        return [
            endpoint("GET", "/integrations/run/{}", self.status),
            endpoint("GET", "/integrations/runs/{}", self.history),
            endpoint("GET", "/integrations/runerror/{}", self.errors),
            endpoint("GET", "/integrations/run/{}/dumps", self.dump, denied=NOT_ENTITLED),
            endpoint("GET", "/integrations/run/{}/process/import/{}/dumps", self.process_dump, denied=NOT_ENTITLED),
        ]

    def status(self, call: Call) -> Answer:
        """One run. Whether the run of a flow is found here is a variant: it then looks like its latest step's."""
        return success(run=self._renderer.status(self._find(call), self._environment.now()), meta=meta("run"))

    def history(self, call: Call) -> Answer:
        """A page of an integration's runs, newest first."""
        integration = self._integrations.find(call)
        runs = self._scheduler.history(integration.id)
        page, paging = call.page(runs)
        shown = History(
            integration_id=integration.id,
            name=integration.name,
            integration_type=integration.kind,
            process_id=UNSET if integration.process_id is None else integration.process_id,
            version=integration.version,
            schedule=None,
            workspace_id=integration.workspace_id,
            model_id=integration.model_id,
            creation_date=whole_second(integration.created_at),
            modification_date=whole_second(integration.modified_at),
            created_by=integration.created_by,
            modified_by=integration.modified_by,
            status=1,
            notification_id=integration.notification_id,
            runs=tuple(self._renderer.record(run, self._environment.now()) for run in page) if runs else UNSET,
            total_runs=len(runs),
        )
        return success(history_of_runs=shown, meta=meta("history", paging))

    def errors(self, call: Call) -> Answer:
        """What went wrong in a run: an array, or an object, or an empty object."""
        run = self._find(call)
        broken = [action for action in self._actions(run) if action.error or action.rejected]
        variants = self._environment.settings.variants
        runs: object = {} if variants.no_errors == "object" else []
        if broken:
            found = RunErrors(
                id=run.id,
                task_id=run.trace_id.upper(),
                creation_date=self._renderer.date(run.started_at),
                modification_date=self._renderer.date(run.ended_at),
                created_by=run.author,
                modified_by=run.author,
                error_messages=tuple(_errors(action) for action in broken),
            )
            runs = [found] if variants.errors == "array" else found
        return success(runs=runs, meta=meta("runerror"))

    def dump(self, call: Call) -> Answer:
        """The rejected rows of an import, as CSV."""
        run = self._find(call)
        return self._dumped(run, [action for action in self._actions(run) if not self._is_process(run)])

    def process_dump(self, call: Call) -> Answer:
        """The rejected rows of one import of a process, as CSV."""
        run = self._find(call)
        wanted = [action for action in self._actions(run) if action.action_id == call.args[1]]
        return self._dumped(run, wanted if self._is_process(run) else [])

    def _dumped(self, run: Run, actions: list[Action]) -> Answer:
        dumps = [action.dump for action in actions if action.dump is not None]
        if not dumps or self._environment.now() - run.ended_at > DUMPS_KEPT_SECONDS:
            raise Refusal(404, NO_DUMP)
        return Answer(200, dumps[0], "text/csv")

    def _is_process(self, run: Run) -> bool:
        integration = self._environment.tenant.integrations.get(run.integration_id)
        return integration is not None and integration.kind == "Process"

    def _actions(self, run: Run) -> tuple[Action, ...]:
        return run.actions if run.phase(self._environment.now()) == "ended" else ()

    def _find(self, call: Call) -> Run:
        run = self._scheduler.runs.get(self._run_id(call.args[0]))
        if run is None or not self._reached(call.user, run):
            raise Refusal(404, "Resource not found")
        return run

    def _run_id(self, run_id: str) -> str:
        flow_run = self._scheduler.flow_runs.get(run_id)
        if flow_run is None or not self._environment.settings.variants.flow_runs_resolve or not flow_run.run_ids:
            return run_id
        return flow_run.run_ids[-1]

    def _reached(self, user: User, run: Run) -> bool:
        integration = self._environment.tenant.integrations.get(run.integration_id)
        return integration is not None and reaches(user, integration.owner_role, integration.workspace_id)


def _errors(action: Action) -> ActionErrors:
    reasons: dict[str, list[Rejected]] = {}
    for row in action.rejected:
        reasons.setdefault(row.reason, []).append(row)
    messages = [_message(reason, rows) for reason, rows in reasons.items()]
    if action.error is not None and not messages:
        messages = [ErrorMessage(local_message_text=action.error, occurrences=1, type="importFailed", values=())]
    return ActionErrors(
        action_id=action.action_id,
        action_name=action.name,
        failure_dump_generated=action.dump is not None,
        error_message=tuple(messages),
    )


def _message(reason: str, rows: list[Rejected]) -> ErrorMessage:
    values = tuple(f"Row {row.line}: {row.cells[0]}" for row in rows[:SHOWN_VALUES])
    return ErrorMessage(local_message_text=reason, occurrences=len(rows), type="importWarning", values=values)
