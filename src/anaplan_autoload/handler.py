"""The story of an upload: one durable execution, from top to bottom.

An execution leads its lane or leaves. A leader claims a batch, starts its run, follows it to its end, and finishes it:
first the history, then the message to everyone, then the uploads' states. Everything it knows is in the ledger, so that
another execution can continue if it dies.

The body is replayed from the start after every wait. So code outside a step uses no clock, no random number and no I/O.
"""

from __future__ import annotations

import gc

# Imports make some 44,000 objects and leave almost none to collect. So the collector waits until they are done, and
# does not look at these objects again.
gc.disable()

import logging
import os
from functools import cache
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import msgspec
from aws_durable_execution_sdk_python import StepError, durable_execution
from aws_durable_execution_sdk_python.config import Duration
from aws_lambda_powertools import Logger
from msgspec import Struct

from anaplan_autoload.aws import settings
from anaplan_autoload.aws.refusals import blameless
from anaplan_autoload.aws.services import Services, account_of
from anaplan_autoload.aws.staging import PartedCopy
from anaplan_autoload.domain import events, protocol
from anaplan_autoload.domain.events import Load, Sweep, Uploads
from anaplan_autoload.domain.protocol import (
    Adopt,
    Batch,
    Later,
    Lease,
    LookAgain,
    Nothing,
    StartAgain,
    Stop,
    Take,
    WaitFor,
)
from anaplan_autoload.steps import admission, checking, ending, finishing, following, leaving, starting
from anaplan_autoload.steps.answers import answers_measured
from anaplan_autoload.steps.checking import Passed, Unfit
from anaplan_autoload.steps.durable import Json, at_most_once, repeatable
from anaplan_autoload.steps.finishing import Recorded
from anaplan_autoload.steps.following import Following
from anaplan_autoload.steps.starting import (
    Closed,
    NoAnswer,
    NotNow,
    NotStaged,
    Occupied,
    PostResult,
    Started,
    Superseded,
    TurnedDown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_durable_execution_sdk_python import DurableContext, StepContext
    from aws_durable_execution_sdk_python.config import StepConfig
    from aws_durable_execution_sdk_python.types import LambdaContext, WaitForConditionCheckContext
    from aws_durable_execution_sdk_python.waits import WaitForConditionDecision

    from anaplan_autoload.domain.events import Drain
    from anaplan_autoload.domain.protocol import Claim, State, UploadState
    from anaplan_autoload.domain.runs import Run
    from anaplan_autoload.steps.admission import Shown
    from anaplan_autoload.steps.ending import Ended

P = ParamSpec("P")
T = TypeVar("T")

LOST_ANSWER = "the answer to the request for it was lost, and the run history does not prove that it began"
DEATHS = "the function died while it loaded this; its log and its dead-letter queue say why"
AWS_ANSWERS = ("botocore.exceptions.ClientError", "botocore.errorfactory.")
"""The beginnings of the names of AWS's errors."""


class Stopped(Exception):
    """The execution stops leading before the work is done. Raised in the body only, because of a step's result."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.stop = stop


class Start(Struct):
    """How far the start of a batch's run has come, between two requests for it."""

    batch: Batch
    """As the latest step returned it: only this copy has what was written to the ledger since."""
    answer_lost: bool
    """Whether a request may have begun a run that is not known yet: the run history is to be searched."""
    others: bool = False
    """Whether the next 409 means somebody else's run: the history was searched, or such a run waited for, after one."""
    waited: int = 0
    """Seconds that were waited for somebody else's run."""


class Execution:
    """One durable execution of the function."""

    def __init__(self, context: DurableContext, services: Services) -> None:
        self.context = context
        self.services = services
        self.operations = 0
        """Durable operations so far, including polls. The same number in every replay."""
        self.trace_id: str | None = None
        """The id of the event's first upload; None for a drain or a sweep."""

    def handle(self, event: object) -> dict[str, Any]:
        """Handle one event. Raises `UnknownEvent`, `RoutesInvalid` or `SettingsInvalid`.

        After any of these errors, the event goes to the dead-letter queue. The same happens to an upload if no version
        of the routes can be read (a step's error).
        """
        _ = self.services.routes_of_file  # reject a broken file before anything is recorded
        parsed = events.parse(event, self.services.account)
        if isinstance(parsed, Sweep):
            from anaplan_autoload.steps import reconciling, sweeping  # imported here: no upload needs them

            self.step(sweeping.sweep)
            if parsed.reconcile is not None:
                self.step(reconciling.reconcile, parsed.reconcile)
            return {"state": "ignored", "uploads": []}
        if isinstance(parsed, Uploads):
            for reason in parsed.ignored:
                self.context.logger.info("Ignored", extra={"reason": reason})
            if not parsed.uploads:
                return {"state": "ignored", "uploads": []}
        self.trace_id = _traced(parsed)
        correlate(self.trace_id)
        return self.load(parsed)

    def load(self, event: Uploads | Load | Drain) -> dict[str, Any]:
        """Load what was uploaded: lead its lane, or leave if another execution leads."""
        me = self.context.execution_context.durable_execution_arn
        admitted = self.step(admission.admit, me, event)
        if admitted.lane is None or admitted.claim is None:
            return {"state": admitted.state, "uploads": msgspec.to_builtins(admitted.uploads)}
        lease = Lease(admitted.lane, me, admitted.since)
        state, uploads = self.lead(lease, admitted.claim, admitted.recorded)
        if uploads is None:
            uploads = self.step(admission.show_uploads, admitted.recorded) if admitted.recorded else ()
        return {"state": state, "uploads": msgspec.to_builtins(uploads)}

    def lead(
        self, lease: Lease, claim: Claim, recorded: tuple[tuple[str, str], ...]
    ) -> tuple[State, tuple[Shown, ...] | None]:
        """Load batch after batch until nothing waits; then release the lane, and look again.

        `recorded` are the lanes and ids of the event's uploads; returns them as they are now, or None if
        they were not read.
        """
        try:
            while True:
                match claim:
                    case Take(batch):
                        ended = self.load_batch(lease, batch, recorded)
                        correlate(self.trace_id)
                        claim = ended.claim
                        if isinstance(claim, Nothing):
                            return "led", ended.uploads
                    case Later(seconds):
                        self.wait(seconds)
                        claim = self.step(admission.claim, lease)
                    case Nothing():
                        claim = self.step(admission.release, lease)
                        if isinstance(claim, Nothing):
                            return "led", None
                    case Stop():
                        raise Stopped(claim)
        except Stopped as stopped:
            return self.leave(lease, stopped.stop), None
        except StepError as error:
            if not error.error_type.startswith(AWS_ANSWERS):
                self.step(leaving.give_back, lease)
            raise

    def leave(self, lease: Lease, stop: Stop) -> State:
        """Leave the lane in the way that fits the reason. The open batch and the waiting uploads stay in the ledger."""
        self.context.logger.info("Leading ends", extra={"lane": lease.lane, "state": stop.state, "reason": stop.reason})
        if stop.state == "held":
            self.step(leaving.hold, lease, stop)
        elif stop.state == "handed_over":
            self.step(leaving.hand_over, lease)
        return stop.state

    # A batch, from its start to its end.

    def load_batch(self, lease: Lease, batch: Batch, recorded: tuple[tuple[str, str], ...]) -> Ended:
        """Bring a batch to its end, and tell everyone before its uploads are final."""
        correlate(batch.trace_id, batch.id)
        end = self.run_to_the_end(lease, batch)
        if isinstance(end, Closed):
            return self.act(ending.put_back, lease, end, recorded)
        if isinstance(end, Recorded) and not end.told:
            self.act(finishing.announce, lease, end)
        state: UploadState = end.outcome if isinstance(end, Recorded) else "superseded"
        run_id = end.run_id if isinstance(end, Recorded) else None
        for start in range(0, finishing.last_part(batch), finishing.FINISHED_PER_STEP):
            self.act(finishing.finish_uploads, lease, batch, state, run_id, start)
        return self.act(ending.end, lease, batch, state, run_id, recorded)

    def run_to_the_end(self, lease: Lease, batch: Batch) -> Recorded | Superseded | Closed:
        """Start the batch's run and follow it. Start it again if it failed but may succeed.

        A run that has begun is followed after its window closes. No run begins outside the window: the uploads wait.
        """
        while True:
            started = self.start(lease, batch)
            if isinstance(started, Superseded | Closed):
                return started
            if isinstance(started, TurnedDown):
                return self.act(finishing.record_failure, lease, batch, started.reason, started.request)
            if isinstance(started, Unfit):
                return self.act(finishing.record_failure, lease, started.batch, started.reason)
            run, batch = self.follow(lease, started)
            recorded = self.act(finishing.record_run, lease, batch, run)
            if recorded.retry_in is None:
                return recorded
            batch = self.wait_with_lease(
                lease, recorded.batch, recorded.retry_in, "a failed run is about to be retried"
            )

    def start(self, lease: Lease, batch: Batch) -> Batch | TurnedDown | Unfit | Superseded | Closed:
        """Start the batch's run. Returns the batch with its run's id, or why there is no run."""
        if batch.failure is not None:
            return TurnedDown(batch.failure.reason)
        if batch.run_id is not None:
            return batch
        start = Start(batch, answer_lost=batch.unresolved_since is not None)
        while True:
            if start.answer_lost:
                start.batch = self.reconcile(lease, start.batch)
                if start.batch.run_id is not None:
                    return start.batch
                start.answer_lost = False
                put_off = self.put_off(lease, start.batch)
                if isinstance(put_off, TurnedDown):
                    return put_off
                start.batch = put_off
            if start.batch.attempts >= protocol.MAX_ATTEMPTS:
                return TurnedDown(f"gave up after {start.batch.attempts - 1} attempts: {DEATHS}")
            if start.batch.route.check and (unfit := self.check(lease, start.batch)):
                return unfit
            if start.batch.route.load == "each" and (not_staged := self.stage(lease, start.batch)):
                return not_staged
            match self.post(lease, start.batch):
                case Started(batch):
                    return batch
                case TurnedDown() | Closed() as not_started:
                    return not_started
                case NotNow(batch, seconds, reason, request):
                    start.batch = self.wait_with_lease(lease, batch, seconds, reason, request)
                case Occupied(batch) if batch.unresolved_since is not None and not start.others:
                    start.batch, start.answer_lost, start.others = batch, True, True
                case Occupied(batch):
                    start.others = True
                    start.batch, start.waited = self.wait_for_vacancy(lease, batch, start.waited)
                case Stop() as stop:
                    raise Stopped(stop)
                case NoAnswer(batch):
                    start.batch, start.answer_lost = batch, True

    def put_off(self, lease: Lease, batch: Batch) -> Batch | TurnedDown:
        """Wait longer after every request that started no run. Give up after a day."""
        match self.step(starting.put_off, lease, batch):
            case TurnedDown() as given_up:
                return given_up
            case NotNow(batch, seconds, reason, request):
                return self.wait_with_lease(lease, batch, seconds, reason, request)
            case Stop() as stop:
                raise Stopped(stop)

    def check(self, lease: Lease, batch: Batch) -> Unfit | TurnedDown | Superseded | None:
        """Check the files that the run will read; None if they are as the route wants them."""
        upload: int | None = 0
        while upload is not None:
            match self.step(checking.check, lease, batch, upload):
                case Passed(next=upload):
                    pass
                case NotStaged(reason):
                    return TurnedDown(reason)
                case Stop() as stop:
                    raise Stopped(stop)
                case Unfit() | Superseded() as unfit:
                    return unfit
        return None

    def stage(self, lease: Lease, batch: Batch) -> Superseded | TurnedDown | Closed | None:
        """Copy exactly the batch's data to the integration's source file; None if that succeeded."""
        staged = self.step(starting.stage, lease, batch)
        while isinstance(staged, PartedCopy):
            staged = self.step(starting.stage_parts, lease, batch, staged)
        match staged:
            case Stop():
                raise Stopped(staged)
            case NotStaged(reason):
                return TurnedDown(reason)
            case Superseded() | Closed():
                return staged
        return None

    def post(self, lease: Lease, batch: Batch) -> PostResult:
        """Ask for the run, at most once; a sandbox that died over the request leaves its answer unknown.

        Any other error was raised before anything was sent, and ends the execution.
        """
        try:
            return self.once(starting.post, lease, batch)
        except StepError as error:
            if not error.error_type.endswith(("StepInterruptedError", "InvocationError")):
                raise
            return NoAnswer(msgspec.structs.replace(batch, attempts=batch.attempts + 1))

    def reconcile(self, lease: Lease, batch: Batch) -> Batch:
        """Find out whether a request whose answer was lost started a run. If so, the batch gets its id."""
        looks, waited = 1, 0
        while True:
            sighting = self.act(starting.search, lease, batch, looks)
            batch = sighting.batch
            match sighting.verdict:
                case Adopt(run_id):
                    self.context.logger.info("Found the run whose answer was lost", extra={"run_id": run_id})
                    return msgspec.structs.replace(batch, run_id=run_id, lost_since=None)
                case StartAgain(resolved=True):
                    return msgspec.structs.replace(batch, posted_at=None, lost_since=None)
                case StartAgain():
                    return batch
                case LookAgain(counts=True):
                    looks += 1
                    delay = self.services.settings.search_pause
                case LookAgain() | WaitFor():
                    delay = self.next_delay(waited)
            trouble = batch.unanswered.described() if batch.unanswered else LOST_ANSWER
            if sighting.overdue:
                batch = self.tell_overdue(lease, batch, f"The run could not be started yet: {trouble}")
            batch = self.wait_with_lease(lease, batch, delay, trouble)
            waited += delay

    def wait_for_vacancy(self, lease: Lease, batch: Batch, waited: int) -> tuple[Batch, int]:
        """Wait until somebody else's run has ended. Returns the batch, and the seconds waited so far."""
        while True:
            delay = self.next_delay(waited)
            self.wait(delay)
            waited += delay
            vacancy = self.act(starting.check_vacancy, lease, batch)
            if vacancy.overdue:
                batch = self.tell_overdue(
                    lease, batch, "The integration is busy with a run that somebody else started."
                )
            if vacancy.free:
                return batch, waited

    def follow(self, lease: Lease, batch: Batch) -> tuple[Run, Batch]:
        """Follow the run to its end, however long it takes. Tell everyone, once, if it is overdue."""
        # Only a leader needs this.
        from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision

        left = self.services.settings.operation_limit - self.operations

        def check(state: Following, context: WaitForConditionCheckContext) -> Following:
            with answers_measured(self.services):
                return following.look(context, self.services, lease, batch, state, left)

        def strategy(state: Following, _attempt: int) -> WaitForConditionDecision:
            if state.state == "running":
                return WaitForConditionDecision.continue_waiting(Duration.from_seconds(state.delay))
            return WaitForConditionDecision.stop_polling()

        seen = self.context.wait_for_condition(
            check, WaitForConditionConfig(strategy, Following(), Json(Following)), name="follow"
        )
        self.operations += 1 + seen.looks
        if seen.run is None:
            raise Stopped(seen.stop)
        return seen.run, seen.batch(batch)

    def tell_overdue(self, lease: Lease, batch: Batch, reason: str, request: str = "") -> Batch:
        """Announce, once, that a batch takes longer than its route allows."""
        return self.act(finishing.announce_overdue, lease, batch, reason, request).batch

    # Durable operations.

    def wait_with_lease(self, lease: Lease, batch: Batch, seconds: int, reason: str, request: str = "") -> Batch:
        """Wait for the given time, and renew the lease at least every minute."""
        while seconds > 0:
            seconds -= self.wait(seconds)
            if self.act(starting.keep_lease, lease, batch):
                batch = self.tell_overdue(lease, batch, f"The run could not be started yet: {reason}", request)
        return batch

    def wait(self, seconds: int) -> int:
        """Wait, without costs, for at most the longest wait of a leader. Returns the seconds waited."""
        seconds = max(1, min(seconds, self.services.settings.poll_max))
        self.operations += 1
        self.context.wait(Duration.from_seconds(seconds), name="wait")
        return seconds

    def next_delay(self, waited: int) -> int:
        """Seconds until the next look, after this many seconds."""
        return protocol.next_delay(waited, self.services.settings.poll_min, self.services.settings.poll_max)

    def act(
        self, step: Callable[Concatenate[StepContext, Services, P], T | Stop], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a leader's step. Raises `Stopped` when it says so, or when the service's limit of operations is near."""
        if self.operations >= self.services.settings.operation_limit:
            raise Stopped(Stop("handed_over", f"{self.operations} durable operations"))
        found = self.step(step, *args, **kwargs)
        if isinstance(found, Stop):
            raise Stopped(found)
        return found

    def step(self, step: Callable[Concatenate[StepContext, Services, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function and store what it returns; its name is the operation's. A crash or an error repeats it."""
        return self._stored(lambda context: step(context, self.services, *args, **kwargs), step, repeatable(step))

    def once(self, step: Callable[Concatenate[StepContext, Services, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function as `step` does, but at most once: nothing repeats it."""
        return self._stored(lambda context: step(context, self.services, *args, **kwargs), step, at_most_once(step))

    def _stored(self, call: Callable[[StepContext], T], step: Callable[..., T], config: StepConfig) -> T:
        def run(context: StepContext) -> T:
            with blameless(), answers_measured(self.services):
                return call(context)

        self.operations += 1
        return self.context.step(run, name=step.__name__, config=config)


def make_handler(services: Callable[[], Services]) -> Callable[[Any, LambdaContext], Any]:
    """The Lambda handler. `services` are made at the first event."""

    @durable_execution
    def autoload(event: object, context: DurableContext) -> dict[str, Any]:
        made = services()
        made.check()
        made.account = account_of(context.lambda_context)
        context.set_logger(logger_at(made.settings.log_level))
        return Execution(context, made).handle(event)

    return autoload


def _traced(event: Uploads | Load | Drain) -> str | None:
    """The id that joins the log lines of an event's execution, from its first line on."""
    match event:
        case Uploads():
            return event.uploads[0].id
        case Load():
            return event.upload_id
    return None


def correlate(trace_id: str | None, batch_id: str | None = None) -> None:
    """Add these ids to every log line of this invocation from here on. AWS's SDK gives each a thread of its own."""
    _one_logger().thread_safe_append_keys(trace_id=trace_id, batch_id=batch_id)


def logger_at(level: str) -> Logger:
    """The function's logger, which from now on logs at this level."""
    logger = _one_logger()
    logger.setLevel(level)  # loggers of one name share their level, so the last one made would set it for all
    return logger


@cache
def _one_logger() -> Logger:
    logging.getLogger("botocore").setLevel(logging.INFO)  # at DEBUG it logs what Secrets Manager answers
    return Logger(service="anaplan-autoload", location=None)


@cache
def _services() -> Services:
    return Services(settings.from_environment(os.environ))


handler = make_handler(_services)
gc.freeze()
gc.enable()
