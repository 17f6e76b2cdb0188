"""CloudWorks' operations on integration flows."""

from __future__ import annotations

from msgspec.structs import replace

from local.cloudworks.dates import spaced, whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import Answer, Call, Endpoint, Refusal, endpoint, success
from local.cloudworks.json_shapes import FlowBody, FlowRunBody, ShownFlow, ShownStep, Step, meta
from local.cloudworks.rendering import Renderer
from local.cloudworks.run_scheduler import RunScheduler
from local.cloudworks.runs import Run
from local.cloudworks.tenant import MAX_INTEGRATIONS, Flow, User, reaches

MIN_STEPS = 2
"""How many enabled steps a flow must have."""


class Flows:
    """The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment, scheduler: RunScheduler, renderer: Renderer) -> None:
        """`scheduler` runs the flows, `renderer` shows them."""
        self._environment = environment
        self._scheduler = scheduler
        self._renderer = renderer

    def endpoints(self) -> list[Endpoint]:
        """All operations."""
        return [
            endpoint("GET", "/integrationflows", self.list),
            endpoint("POST", "/integrationflows", self.create),
            endpoint("GET", "/integrationflows/{}", self.show),
            endpoint("PUT", "/integrationflows/{}", self.replace),
            endpoint("DELETE", "/integrationflows/{}", self.delete),
            endpoint("POST", "/integrationflows/{}/run", self.run),
        ]

    def list(self, call: Call) -> Answer:
        """Summaries of the flows that the user reaches."""
        visible = [flow for flow in self._environment.tenant.flows.values() if self._reached(call.user, flow)]
        page, paging = call.page(visible)
        return success(integrationFlows=[self._summary(flow) for flow in page], meta=meta("integrationflows", paging))

    def create(self, call: Call) -> Answer:
        """Make a flow of at least two enabled steps."""
        if len(self._environment.tenant.flows) + len(self._environment.tenant.integrations) >= MAX_INTEGRATIONS:
            raise Refusal(409, "Tenant integration count exceeded")
        body = call.decode(FlowBody)
        flow_id = self._environment.new_id()
        self._check(call.user, body, flow_id)
        now = self._environment.anaplan_now()
        self._environment.tenant.flows[flow_id] = Flow(
            id=flow_id,
            name=body.name,
            created_by=call.user.display_name,
            modified_by=call.user.display_name,
            owner_role=call.role,
            created_at=now,
            modified_at=now,
            version=body.version,
            nux_visible=body.nux_visible,
            steps=body.steps,
        )
        return success(integrationFlow={"integrationFlowId": flow_id})

    def show(self, call: Call) -> Answer:
        """One flow; its steps carry the latest runs of their integrations within flows."""
        flow = self._find(call)
        steps = tuple(self._step(flow, step) for step in flow.steps)
        detail = replace(self._summary(flow), version=flow.version, steps=steps)
        return success(integrationFlow=detail, meta=meta("integrationflow"))

    def replace(self, call: Call) -> Answer:
        """Replace the whole body."""
        flow = self._find(call)
        body = call.decode(FlowBody)
        self._check(call.user, body, flow.id)
        self._environment.tenant.flows[flow.id] = replace(
            flow,
            name=body.name,
            modified_by=call.user.display_name,
            modified_at=self._environment.anaplan_now(),
            nux_visible=body.nux_visible,
            steps=body.steps,
        )
        return success()

    def delete(self, call: Call) -> Answer:
        """Delete a flow that does not run."""
        flow = self._find(call)
        latest = self._scheduler.latest_flow_run(flow.id)
        if latest is not None and latest.result is None:
            raise Refusal(409, "Integration flow is already running")
        del self._environment.tenant.flows[flow.id]
        return success()

    def run(self, call: Call) -> Answer:
        """Run all enabled steps, or those of them that the body names, one after another."""
        flow = self._find(call)
        if sum(not step.is_skipped for step in flow.steps) < MIN_STEPS:
            raise Refusal(400, "Integration flow needs at least two enabled steps")
        body = call.decode(FlowRunBody) if call.request.body else FlowRunBody()
        every = tuple(step.referrer for step in flow.steps)
        wanted = body.steps_to_run if isinstance(body.steps_to_run, tuple) else every
        if not set(wanted) <= set(every):
            raise Refusal(400, "Invalid value for stepsToRun")
        return success(run={"id": self._scheduler.start_flow(flow, call.user.display_name, wanted).id})

    def _find(self, call: Call) -> Flow:
        flow = self._environment.tenant.flows.get(call.args[0])
        if flow is None or not self._reached(call.user, flow):
            raise Refusal(404, "Resource not found")
        return flow

    def _reached(self, user: User, flow: Flow) -> bool:
        """A user reaches a flow if it reaches all its integrations."""
        steps = [self._environment.tenant.integrations[step.referrer] for step in flow.steps]
        return all(reaches(user, flow.owner_role, integration.workspace_id) for integration in steps)

    def _check(self, user: User, body: FlowBody, flow_id: str) -> None:
        if any(flow.name == body.name and flow.id != flow_id for flow in self._environment.tenant.flows.values()):
            raise Refusal(400, "Duplicate resource name not allowed")
        if sum(not step.is_skipped for step in body.steps) < MIN_STEPS:
            raise Refusal(400, "Integration flow needs at least two enabled steps")
        for step in body.steps:
            integration = self._environment.tenant.integrations.get(step.referrer)
            if integration is None or not reaches(user, integration.owner_role, integration.workspace_id):
                raise Refusal(400, "Invalid value for referrer")

    def _summary(self, flow: Flow) -> ShownFlow:
        return ShownFlow(
            id=flow.id,
            name=flow.name,
            created_by=flow.created_by,
            creation_date=whole_second(flow.created_at),
            modification_date=whole_second(flow.modified_at),
            modified_by=flow.modified_by,
            nux_visible=flow.nux_visible,
            steps_count=len(flow.steps),
            latest_run=self._renderer.latest_of_flow(self._scheduler.latest_flow_run(flow.id), self._environment.now()),
        )

    def _step(self, flow: Flow, step: Step) -> ShownStep:
        integration = self._environment.tenant.integrations[step.referrer]
        return ShownStep(
            referrer=integration.id,
            name=integration.name,
            type=integration.kind,
            created_by=flow.created_by,
            created_date=spaced(flow.created_at),
            modified_date=spaced(flow.modified_at),
            modified_by=None if flow.modified_at == flow.created_at else flow.modified_by,
            model_id=integration.model_id,
            workspace_id=integration.workspace_id,
            depends_on=step.depends_on,
            is_skipped=step.is_skipped,
            exception_behavior=step.exception_behavior,
            latest_run=self._renderer.latest(self._latest(flow, step), self._environment.now()),
        )

    def _latest(self, flow: Flow, step: Step) -> Run | None:
        runs = reversed(self._scheduler.runs.values())
        begun = (run for run in runs if run.phase(self._environment.now()) != "queued")
        return next((run for run in begun if (run.flow_id, run.integration_id) == (flow.id, step.referrer)), None)
