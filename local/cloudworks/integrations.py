"""CloudWorks' operations on integrations: make, list, show, change, delete, run and cancel."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from local.cloudworks.dates import whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import NOT_ENTITLED, Answer, Call, Endpoint, Refusal, endpoint, json_answer, success
from local.cloudworks.json_shapes import IntegrationBody, Job, ShownIntegration, meta
from local.cloudworks.rendering import Renderer
from local.cloudworks.run_scheduler import RunScheduler
from local.cloudworks.tenant import MAX_INTEGRATIONS, Integration, User, reaches

WORKSPACE_ID = re.compile(r"[0-9a-f]{32}")
MODEL_ID = re.compile(r"[0-9A-F]{32}")
PROCESS_ID = re.compile(r"118\d+")


class Integrations:
    """The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment, scheduler: RunScheduler, renderer: Renderer) -> None:
        """`scheduler` runs the integrations, `renderer` shows them."""
        self._environment = environment
        self._scheduler = scheduler
        self._renderer = renderer

    def endpoints(self) -> list[Endpoint]:
        """All operations."""
        return [
            endpoint("GET", "/integrations", self.list),
            endpoint("POST", "/integrations", self.create),
            endpoint("POST", "/integrations/{}/run", self.run, denied=NOT_ENTITLED),
            endpoint("POST", "/integrations/{}/cancel", self.cancel),
            endpoint("GET", "/integrations/{}", self.show),
            endpoint("PUT", "/integrations/{}", self.replace),
            endpoint("DELETE", "/integrations/{}", self.delete),
        ]

    def list(self, call: Call) -> Answer:
        """Summaries, without jobs, of the integrations that the user reaches."""
        visible = [
            i
            for i in self._environment.tenant.integrations.values()
            if reaches(call.user, i.owner_role, i.workspace_id)
        ]
        if call.number("myIntegrations", 0):
            visible = [i for i in visible if i.created_by == call.user.display_name]
        order = call.request.query.get("sortBy", "")
        if order.removeprefix("-") == "name":
            visible.sort(key=lambda integration: integration.name, reverse=order.startswith("-"))
        page, paging = call.page(visible)
        foot = replace(
            meta("integrations", paging),
            tenant_current_count=self._count(),
            tenant_max_allowed=MAX_INTEGRATIONS,
        )
        return success(integrations=[self._summary(integration) for integration in page], meta=foot)

    def create(self, call: Call) -> Answer:
        """Make an integration, and with it a notification configuration, as CloudWorks does."""
        if self._count() >= MAX_INTEGRATIONS:
            raise Refusal(409, "Tenant integration count exceeded")
        body = call.decode(IntegrationBody)
        integration_id = self._environment.new_id()
        workspace_id, model_id = self._check(call.user, body, integration_id)
        now = self._environment.anaplan_now()
        self._environment.tenant.integrations[integration_id] = Integration(
            id=integration_id,
            name=body.name,
            created_by=call.user.display_name,
            modified_by=call.user.display_name,
            owner_role=call.role,
            created_at=now,
            modified_at=now,
            version=body.version,
            workspace_id=workspace_id,
            model_id=model_id,
            process_id=body.process_id,
            nux_visible=body.nux_visible,
            notification_id=self._environment.new_id(),
            jobs=body.jobs,
        )
        return success(integration={"integrationId": integration_id})

    def show(self, call: Call) -> Answer:
        """One integration with its jobs."""
        integration = self.find(call)
        jobs = tuple(self._renderer.job(job) for job in integration.jobs)
        detail = replace(self._summary(integration), version=integration.version, jobs=jobs)
        return success(integration=detail, meta=meta("integration"))

    def replace(self, call: Call) -> Answer:
        """Replace the whole body."""
        integration = self.find(call)
        body = call.decode(IntegrationBody)
        workspace_id, model_id = self._check(call.user, body, integration.id)
        self._environment.tenant.integrations[integration.id] = replace(
            integration,
            name=body.name,
            modified_by=call.user.display_name,
            modified_at=self._environment.anaplan_now(),
            version=body.version,
            workspace_id=workspace_id,
            model_id=model_id,
            process_id=body.process_id,
            nux_visible=body.nux_visible,
            jobs=body.jobs,
        )
        return success()

    def delete(self, call: Call) -> Answer:
        """Delete an integration that neither runs nor is a flow's step."""
        integration = self.find(call)
        if self._scheduler.current(integration.id) is not None:
            raise Refusal(409, "Integration is already running")
        if any(
            step.referrer == integration.id for flow in self._environment.tenant.flows.values() for step in flow.steps
        ):
            raise Refusal(409, "The resource is being referenced")
        del self._environment.tenant.integrations[integration.id]
        return success()

    def run(self, call: Call) -> Answer:
        """Start a run; the answer holds nothing but its id. There is no way to make this safe to repeat."""
        run = self._scheduler.start(self.find(call), call.user.display_name)
        status = self._environment.settings.variants.run_status
        message = "Success" if status == 200 else "Accepted"
        return json_answer(status, {"status": {"code": status, "message": message}, "run": {"id": run.id}})

    def cancel(self, call: Call) -> Answer:
        """End the current run."""
        self._scheduler.cancel(self.find(call))
        return success()

    def find(self, call: Call) -> Integration:
        """The integration that the path names; 404 also for one that the user does not reach."""
        integration = self._environment.tenant.integrations.get(call.args[0])
        if integration is None or not reaches(call.user, integration.owner_role, integration.workspace_id):
            raise Refusal(404, "Resource not found")
        return integration

    def _count(self) -> int:
        return len(self._environment.tenant.integrations) + len(self._environment.tenant.flows)

    def _check(self, user: User, body: IntegrationBody, integration_id: str) -> tuple[str, str]:
        """Refuse what CloudWorks refuses; workspace and model, which version 1 names in the job."""
        workspace_id, model_id = _place(body)
        if not body.name or (not body.jobs and body.process_id is None):
            raise Refusal(400, "Invalid request body")
        if any(i.name == body.name and i.id != integration_id for i in self._environment.tenant.integrations.values()):
            raise Refusal(400, "Duplicate resource name not allowed")
        if not WORKSPACE_ID.fullmatch(workspace_id):
            raise Refusal(400, "Invalid value for workspace_id")
        if user.role == "Restricted Integration User" and workspace_id not in user.workspaces:
            raise Refusal(403, "Not Permitted")
        if not MODEL_ID.fullmatch(model_id):
            raise Refusal(400, "Invalid value for model_id")
        if body.process_id is not None and not PROCESS_ID.fullmatch(body.process_id):
            raise Refusal(400, "Invalid value for process_id")
        self._check_jobs(user, body.jobs)
        return workspace_id, model_id

    def _check_jobs(self, user: User, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if not _complete(job):
                raise Refusal(400, "Invalid request body")
            for end in (*job.sources, *job.targets):
                if end.type == "Anaplan":
                    continue
                connection = self._environment.tenant.connections.get(str(end.connection_id))
                if connection is None or not reaches(user, connection.owner_role, connection.workspace_id):
                    raise Refusal(400, "Invalid value for connection_id")

    def _summary(self, integration: Integration) -> ShownIntegration:
        return ShownIntegration(
            integration_id=integration.id,
            name=integration.name,
            integration_type=integration.kind,
            process_id=UNSET if integration.process_id is None else integration.process_id,
            workspace_id=integration.workspace_id,
            model_id=integration.model_id,
            created_by=integration.created_by,
            creation_date=whole_second(integration.created_at),
            modification_date=whole_second(integration.modified_at),
            modified_by=integration.modified_by,
            latest_run=self._renderer.latest(self._scheduler.latest_begun(integration.id), self._environment.now()),
            notification_id=integration.notification_id,
            nux_visible=integration.nux_visible,
        )


def _place(body: IntegrationBody) -> tuple[str, str]:
    """Workspace and model: in the body, or with version 1.0 at the Anaplan end of the first job."""
    if body.version == "2.0" or not body.jobs:
        return body.workspace_id or "", body.model_id or ""
    ends = (end for end in (*body.jobs[0].sources, *body.jobs[0].targets) if end.type == "Anaplan")
    end = next(ends, None)
    if end is None or not isinstance(end.workspace_id, str) or not isinstance(end.model_id, str):
        return "", ""
    return end.workspace_id, end.model_id


def _complete(job: Job) -> bool:
    """Whether a job between S3 and Anaplan says all that is needed; no other cloud can be connected here."""
    if len(job.sources) != 1 or len(job.targets) != 1:
        return False
    source, target = job.sources[0], job.targets[0]
    if job.type == "AmazonS3ToAnaplan":
        needed = [source.connection_id, source.file, target.action_id, target.file_id]
        types = ("AmazonS3", "Anaplan")
    elif job.type == "AnaplanToAmazonS3":
        needed = [source.action_id, target.connection_id, target.file]
        types = ("Anaplan", "AmazonS3")
    else:
        return False
    return (source.type, target.type) == types and all(isinstance(text, str) for text in needed)
