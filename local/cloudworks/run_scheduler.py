"""The run scheduler: what runs, since when, what it read and how it ended.

A run's phase is a function of the clock alone: queued until `started_at`, running until `ended_at`, ended from then
on. What a run does to the world is done by `RunScheduler.settle`, which is called before anybody looks: a run that has
started reads its source, one that has ended fills the model or writes its export. With the real clock a timer calls
it in time, so that the source is read when the run starts; who drives a virtual clock calls `Simulator.tick` when it
reaches `Simulator.next_change`.
"""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from local.cloudworks.environment import Environment
from local.cloudworks.http_messages import Refusal
from local.cloudworks.run_effects import RunEffects
from local.cloudworks.runs import FlowRun, Result, Run
from local.cloudworks.tenant import Flow, Integration


class RunScheduler:
    """Starts, settles, cancels and finds runs. The caller must hold the simulator's lock."""

    def __init__(self, environment: Environment, effects: RunEffects) -> None:
        """`effects` does what runs do."""
        self._environment = environment
        self._effects = effects
        self.runs: dict[str, Run] = {}
        """All runs by id, in the order of acceptance."""
        self.flow_runs: dict[str, FlowRun] = {}
        """All runs of flows by id, in the order of acceptance."""
        self._unsettled: set[str] = set()
        self._of: dict[str, list[str]] = {}

    # Starting and stopping

    def start(self, integration: Integration, author: str, trigger: str = "manual") -> Run:
        """Accept a run, now; refused with 409 while another of this integration is queued or running."""
        if self.current(integration.id) is not None:
            raise Refusal(409, "Integration is already running")
        run = self._accept(integration, author, trigger, self._environment.now(), None)
        self.settle()
        return self.runs[run.id]

    def start_flow(self, flow: Flow, author: str, wanted: tuple[str, ...]) -> FlowRun:
        """Accept a run of those steps of a flow that are wanted and not skipped."""
        latest = self.latest_flow_run(flow.id)
        if latest is not None and latest.result is None:
            raise Refusal(409, "Integration flow is already running")
        plan = tuple(step for step in flow.steps if not step.is_skipped and step.referrer in wanted)
        if not plan:
            raise Refusal(400, "No enabled steps to run")
        flow_run = FlowRun(
            id=self._environment.new_id(),
            flow_id=flow.id,
            author=author,
            accepted_at=self._environment.now(),
            plan=plan,
        )
        self.flow_runs[flow_run.id] = flow_run
        self.settle()
        return flow_run

    def cancel(self, integration: Integration) -> None:
        """End the current run. A queued one is not found, and a process is never cancelled: both as seen live."""
        run = self.current(integration.id)
        if run is not None and run.phase(self._environment.now()) == "queued":
            raise Refusal(404, "Resource not found")
        if run is None or integration.kind == "Process":
            raise Refusal(409, f"Integration {integration.id} is not in running state")
        self.runs[run.id] = replace(
            run, ended_at=self._environment.now(), result=Result(False, "Cancelled"), actions=()
        )
        self._unsettled.discard(run.id)

    # Looking

    def current(self, integration_id: str) -> Run | None:
        """The run of an integration that is queued or running."""
        latest = self.latest(integration_id)
        return latest if latest is not None and latest.phase(self._environment.now()) != "ended" else None

    def latest(self, integration_id: str) -> Run | None:
        """The run of an integration that was accepted last."""
        ids = self._of.get(integration_id)
        return self.runs[ids[-1]] if ids else None

    def latest_begun(self, integration_id: str) -> Run | None:
        """The run of an integration that started last: a queued one does not show yet."""
        ids = self._of.get(integration_id, [])
        now = self._environment.now()
        return next((self.runs[run_id] for run_id in reversed(ids) if self.runs[run_id].started_at <= now), None)

    def history(self, integration_id: str) -> list[Run]:
        """The runs of an integration that its history shows by now, newest first."""
        shown_before = self._environment.now() - self._environment.settings.history_lag_seconds
        runs = [self.runs[run_id] for run_id in self._of.get(integration_id, [])]
        return [run for run in reversed(runs) if run.started_at <= shown_before]

    def latest_flow_run(self, flow_id: str) -> FlowRun | None:
        """The run of a flow that was accepted last."""
        return next((run for run in reversed(self.flow_runs.values()) if run.flow_id == flow_id), None)

    def next_change(self) -> float | None:
        """When the next run starts or ends (epoch seconds); None if none will."""
        now = self._environment.now()
        runs = [self.runs[run_id] for run_id in self._unsettled]
        times = [time for run in runs for time in (run.started_at, run.ended_at)]
        return min((time for time in times if now < time < inf), default=None)

    # Settling

    def settle(self) -> None:
        """Do all that is due: read sources, end runs, begin the next steps of flows."""
        while self._settle_runs() or self._settle_flows():
            pass

    def _settle_runs(self) -> bool:
        now = self._environment.now()
        runs = [self.runs[run_id] for run_id in self._unsettled]
        starting = [run for run in runs if run.result is None and run.started_at <= now]
        for run in sorted(starting, key=lambda run: run.started_at):
            self.runs[run.id] = self._effects.begin(run)
        ending = [self.runs[run.id] for run in runs if run.ended_at <= now]
        for run in sorted(ending, key=lambda run: run.ended_at):
            self._end(run)
        return bool(starting or ending)

    def _end(self, run: Run) -> None:
        self._unsettled.discard(run.id)
        self._effects.finish(run)

    def _settle_flows(self) -> bool:
        moved = [self._move(flow_run) for flow_run in list(self.flow_runs.values()) if flow_run.result is None]
        return any(moved)

    def _move(self, flow_run: FlowRun) -> bool:
        """Begin the next step of a flow's run, or end the run; False if neither is due."""
        last = self.runs[flow_run.run_ids[-1]] if flow_run.run_ids else None
        if last is None:
            return self._begin_step(flow_run, flow_run.accepted_at)
        if last.result is None or last.phase(self._environment.now()) != "ended":
            return False
        if _stops(flow_run, last.result):
            return self._end_flow(flow_run, last, Result(False, "Integration flow failed", last.result.code))
        if len(flow_run.run_ids) == len(flow_run.plan):
            return self._end_flow(flow_run, last, Result(True, "Success"))
        return self._begin_step(flow_run, last.ended_at)

    def _begin_step(self, flow_run: FlowRun, ready_at: float) -> bool:
        integration = self._environment.tenant.integrations[flow_run.plan[len(flow_run.run_ids)].referrer]
        if self.current(integration.id) is not None:
            return False
        before = self.latest(integration.id)
        accepted_at = max(ready_at, before.ended_at) if before else ready_at
        run = self._accept(integration, flow_run.author, "manual_inf", accepted_at, flow_run)
        self.flow_runs[flow_run.id] = replace(flow_run, run_ids=(*flow_run.run_ids, run.id))
        return True

    def _end_flow(self, flow_run: FlowRun, last: Run, result: Result) -> bool:
        self.flow_runs[flow_run.id] = replace(flow_run, ended_at=last.ended_at, result=result)
        return True

    def _accept(self, integration: Integration, author: str, trigger: str, at: float, flow_run: FlowRun | None) -> Run:
        pace = self._environment.settings.pace_of(integration.id)
        started_at = at + pace.queue_seconds
        run = Run(
            id=self._environment.new_id(),
            trace_id=self._environment.new_id(),
            integration_id=integration.id,
            model_id=integration.model_id,
            author=author,
            trigger=trigger,
            flow_run_id=flow_run.id if flow_run else None,
            flow_id=flow_run.flow_id if flow_run else None,
            accepted_at=at,
            started_at=started_at,
            ended_at=started_at + pace.run_seconds,
        )
        self.runs[run.id] = run
        self._of.setdefault(integration.id, []).append(run.id)
        self._unsettled.add(run.id)
        return run


def _stops(flow_run: FlowRun, result: Result) -> bool:
    """Whether a flow ends after its latest step: by default after a failure, not after a partial success."""
    if result.outcome == "success":
        return False
    step = flow_run.plan[len(flow_run.run_ids) - 1]
    chosen = {behavior.type: behavior.strategy for behavior in step.exception_behavior}
    return chosen.get(result.outcome, "stop" if result.outcome == "failure" else "continue") == "stop"
