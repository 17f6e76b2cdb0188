"""The simulator itself: one tenant, without sockets."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from random import Random
from threading import RLock, Timer

from msgspec import Struct

from local.cloudworks.auth import Authentication
from local.cloudworks.buckets import Buckets
from local.cloudworks.connections import Connections
from local.cloudworks.dates import whole_second
from local.cloudworks.environment import Environment
from local.cloudworks.faults import Fault, Faults
from local.cloudworks.flows import Flows
from local.cloudworks.history import RunHistory
from local.cloudworks.http_messages import Answer, Call, Refusal, Request, json_answer, unrouted
from local.cloudworks.integrations import Integrations
from local.cloudworks.oauth import OAuth
from local.cloudworks.rendering import Renderer
from local.cloudworks.run_effects import RunEffects
from local.cloudworks.run_scheduler import RunScheduler
from local.cloudworks.runs import FlowRun, Overlap, Result, Run, overlaps
from local.cloudworks.settings import SimulatorSettings
from local.cloudworks.tenant import Connection, Integration, OAuthClient, Tenant, User

CLOUDWORKS = re.compile(r"(?:/cloudworks)?/[12]/0(/.*)")
MINUTE = 60.0


class Seen(Struct, frozen=True, kw_only=True):
    """One request of the log. Never holds credentials."""

    at: float
    """Epoch seconds on our clock."""
    method: str
    path: str
    query: dict[str, str]
    status: int
    """What was answered, even where the answer was then lost; 0 where nothing was done."""
    user: str | None
    """The log-in name behind the token; None without one."""
    fault: str | None
    """The kind of trouble that it met."""


class Reply(Struct, frozen=True):
    """What to do with a connection."""

    answer: Answer | None
    """None: close it without an answer."""
    delay_seconds: float = 0.0


class Simulator:
    """Anaplan's authentication and OAuth services and CloudWorks 2/0, for one tenant, in memory.

    Everything may be called from any thread. What the attributes return is a moment's picture.
    """

    def __init__(
        self,
        buckets: Buckets,
        clock: Callable[[], float] = time.time,
        settings: SimulatorSettings | None = None,
        seed: int = 0,
    ) -> None:
        """`clock` gives epoch seconds; equal seeds give equal ids and equal random faults."""
        self.settings = settings or SimulatorSettings()
        self._lock = RLock()
        self._timer: Timer | None = None
        self._wakes_at: float | None = None
        self._real_time = self._timed = clock is time.time
        self._environment = Environment(buckets, self.settings, clock, Random(seed))  # noqa: S311 (nothing here is secret)
        self._effects = RunEffects(self._environment)
        self._scheduler = RunScheduler(self._environment, self._effects)
        self._authentication = Authentication(self._environment)
        self._oauth = OAuth(self._environment, self._authentication)
        self._faults = Faults(Random(seed))  # noqa: S311
        self._seen: list[Seen] = []
        renderer = Renderer(self._environment)
        integrations = Integrations(self._environment, self._scheduler, renderer)
        self._endpoints = [
            *Connections(self._environment).endpoints(),
            *RunHistory(self._environment, integrations, self._scheduler, renderer).endpoints(),
            *integrations.endpoints(),
            *Flows(self._environment, self._scheduler, renderer).endpoints(),
        ]

    # What tests ask

    @property
    def tenant(self) -> Tenant:
        """Users, connections, integrations, flows and models, live: for looking, and for arranging before the act."""
        return self._environment.tenant

    @property
    def models(self) -> dict[str, dict[str, dict[str, str]]]:
        """What is in Anaplan now: model id to code to row."""
        with self._lock:
            self.tick()
            return {model: dict(rows) for model, rows in self._environment.tenant.models.items()}

    @property
    def runs(self) -> list[Run]:
        """Every run so far, in the order of acceptance, with what it read."""
        with self._lock:
            self.tick()
            return list(self._scheduler.runs.values())

    @property
    def flow_runs(self) -> list[FlowRun]:
        """Every run of a flow so far, in the order of acceptance."""
        with self._lock:
            self.tick()
            return list(self._scheduler.flow_runs.values())

    @property
    def requests(self) -> list[Seen]:
        """Every request so far, those to `/simulator` apart."""
        with self._lock:
            return list(self._seen)

    @property
    def lockouts(self) -> dict[str, float]:
        """Users that were locked by failed log-ins, and since when (epoch seconds on Anaplan's clock)."""
        with self._lock:
            return dict(self._authentication.lockouts)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Every token that was given out, for the search for leaks."""
        with self._lock:
            return self._authentication.given_out()

    @property
    def oauth_secrets(self) -> tuple[str, ...]:
        """Every refresh token, device code and client secret, for the search for leaks."""
        with self._lock:
            secrets = (client.secret for client in self._environment.tenant.clients.values())
            return (*self._oauth.given_out(), *(secret for secret in secrets if secret))

    @property
    def refresh_tokens(self) -> tuple[str, ...]:
        """The refresh tokens that work now."""
        with self._lock:
            return self._oauth.good()

    @property
    def spent_again(self) -> int:
        """How often a refresh token came that another had replaced."""
        with self._lock:
            return self._oauth.spent_again

    @property
    def overlaps(self) -> list[Overlap]:
        """Runs that were under way on one model at the same time."""
        return list(overlaps(self.runs))

    def now(self) -> float:
        """Epoch seconds on our clock."""
        return self._environment.now()

    def anaplan_now(self) -> float:
        """Epoch seconds on Anaplan's clock, which is `settings.skew_seconds` ahead."""
        return self._environment.anaplan_now()

    def next_change(self) -> float | None:
        """When the next run starts or ends (epoch seconds); None when nothing is to come."""
        with self._lock:
            return self._scheduler.next_change()

    # What tests arrange

    def add_user(self, user: User) -> None:
        """Add a user, or replace the one of that log-in name (a changed password, another role)."""
        with self._lock:
            self._environment.tenant.users[user.name] = user

    def add_client(self, client: OAuthClient) -> None:
        """Add or replace an OAuth client."""
        with self._lock:
            self._environment.tenant.clients[client.id] = client

    def grant(self, client_id: str, user: str) -> str:
        """A refresh token, as if that user had just logged in through that client."""
        with self._lock:
            return self._oauth.grant(client_id, user)

    def confirm_device(self, user_code: str, user: str) -> None:
        """Let a user confirm a device in the browser; raises KeyError for an unknown code or user."""
        with self._lock:
            self._oauth.decide(user_code, self._environment.tenant.users[user])

    def deny_device(self, user_code: str) -> None:
        """Let a user deny a device; raises KeyError for an unknown code."""
        with self._lock:
            self._oauth.decide(user_code, None)

    def revoke_refresh_tokens(self) -> None:
        """End the life of every refresh token."""
        with self._lock:
            self._oauth.revoke_all()

    def add_connection(self, connection: Connection) -> None:
        """Add or replace a connection, unchecked; replace one by itself with an `error_code` to break it."""
        with self._lock:
            self._environment.tenant.connections[connection.id] = connection

    def add_integration(self, integration: Integration, action_names: dict[str, str]) -> None:
        """Add or replace an integration, unchecked."""
        with self._lock:
            self._environment.tenant.integrations[integration.id] = integration
            self._environment.tenant.action_names.update(action_names)

    def new_id(self) -> str:
        """An id that nothing else has."""
        with self._lock:
            return self._environment.new_id()

    def add_fault(self, fault: Fault) -> None:
        """Let the next requests that match meet `fault`."""
        with self._lock:
            self._faults.add(fault)

    def clear_faults(self) -> None:
        """Call off all faults that have not been met."""
        with self._lock:
            self._faults.clear()

    def expire_tokens(self) -> None:
        """End the life of every token."""
        with self._lock:
            self._authentication.expire_all()

    def force_result(self, integration_id: str, result: Result) -> None:
        """Let the next run of an integration that starts end with `result`; it reads its source but imports nothing."""
        with self._lock:
            self._effects.force(integration_id, result)

    def start_foreign_run(self, integration_id: str, user: str = "Bob Other", trigger: str = "manual") -> Run:
        """Start a run as somebody else would, by hand or on schedule; raises `Refusal` (409) while another runs."""
        with self._lock:
            self.tick()
            run = self._scheduler.start(self._environment.tenant.integrations[integration_id], user, trigger)
            self._wake_later()
            return run

    def tick(self) -> None:
        """Do what is due: start and end runs. Every request does so first; a virtual clock's owner calls it as well."""
        with self._lock:
            self._scheduler.settle()
            self._wake_later()

    def open(self) -> None:
        """Let the timer of a real clock work (again): it does from the beginning, and until `close`."""
        with self._lock:
            self._timed = self._real_time
            self._wake_later()

    def close(self) -> None:
        """Stop the timer: from now on nothing is read or written unless somebody looks."""
        with self._lock:
            self._timed = False
            self._stop_timer()

    # What the server asks

    def handle(self, request: Request) -> Reply:
        """Answer a request, unless a fault has it otherwise."""
        with self._lock:
            self.tick()
            fault = self._faults.take(request.method, request.path, self.settings.fail_rate)
            reply, status = self._meet(request, fault)
            self._log(request, status, fault)
            self._wake_later()
            return reply

    def _meet(self, request: Request, fault: Fault | None) -> tuple[Reply, int]:
        """The reply, and the status for the log."""
        if fault is None:
            answer = self._answer(request)
            return Reply(answer), answer.status
        match fault.kind:
            case "lose_before":
                return Reply(None), 0
            case "status":
                return Reply(Answer(fault.status, fault.body.encode(), fault.content_type, fault.headers)), fault.status
            case "expire_token":
                self._authentication.expire(request.headers.get("authorization", ""))
        answer = self._answer(request)
        match fault.kind:
            case "lose_after":
                return Reply(None), answer.status
            case "truncate":
                half = answer.body[: len(answer.body) // 2]
                return Reply(Answer(answer.status, half, answer.content_type, answer.headers)), answer.status
            case "slow":
                return Reply(answer, fault.seconds), answer.status
        return Reply(answer), answer.status

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/token/"):
            return self._authentication.handle(request)
        if request.path.startswith("/oauth/") or request.path == "/activate":
            return self._oauth.handle(request)
        routed = CLOUDWORKS.fullmatch(request.path)
        if routed is None:
            return unrouted()
        try:
            return self._cloudworks(request, routed[1])
        except Refusal as refusal:
            return self._refused(request, refusal)

    def _cloudworks(self, request: Request, path: str) -> Answer:
        for endpoint in self._endpoints:
            found = endpoint.pattern.fullmatch(path)
            if found and endpoint.method == request.method:
                user = self._authentication.user_of(request.headers.get("authorization", ""))
                if user is None:
                    raise Refusal(self.settings.variants.expired_status, "Not Authorized")
                if self._too_many():
                    raise Refusal(429, "Too many requests")
                if user.role is None:
                    raise Refusal(*endpoint.denied)
                return endpoint.act(Call(user, user.role, request, found.groups(), self.settings.variants.largest_page))
        return unrouted()

    def _refused(self, request: Request, refusal: Refusal) -> Answer:
        content = {
            "status": {"code": refusal.status, "message": refusal.message},
            "path": request.path,
            "timestamp": whole_second(self.anaplan_now()),
        }
        answer = json_answer(refusal.status, content)
        if refusal.status != 429:
            return answer
        return Answer(answer.status, answer.body, answer.content_type, {"Retry-After": str(int(MINUTE))})

    def _too_many(self) -> bool:
        limit = self.settings.requests_per_minute
        if limit is None:
            return False
        since = self.now() - MINUTE
        return sum(seen.at > since for seen in self._seen[-limit:]) >= limit

    def _log(self, request: Request, status: int, fault: Fault | None) -> None:
        self._seen.append(
            Seen(
                at=self.now(),
                method=request.method,
                path=request.path,
                query=request.query,
                status=status,
                user=self._authentication.name_of(request.headers.get("authorization", "")),
                fault=fault.kind if fault else None,
            )
        )

    # The timer that a real clock needs

    def _wake_later(self) -> None:
        """Settle again when the next run starts or ends, even if nobody asks for anything then."""
        if not self._timed:
            return
        at = self._scheduler.next_change()
        if at == self._wakes_at:
            return
        self._stop_timer()
        self._wakes_at = at
        if at is not None:
            self._timer = Timer(max(0.0, at - self.now()), self._wake)
            self._timer.daemon = True
            self._timer.start()

    def _wake(self) -> None:
        with self._lock:
            self._wakes_at = None
            self.tick()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wakes_at = None
