"""The function in the model, with everything around it."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from msgspec.structs import replace
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from anaplan_autoload.anaplan.cloudworks import CloudWorks
from anaplan_autoload.anaplan.http import note_departure
from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.lost_uploads import Rounds
from anaplan_autoload.aws.routes_in_use import RoutesInUse
from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload.aws.secret import secret_source
from anaplan_autoload.aws.services import Services
from anaplan_autoload.aws.settings import Settings
from anaplan_autoload.aws.standings import Standings
from anaplan_autoload.domain.events import Upload, Uploads, parse
from anaplan_autoload.domain.lost import Round, Watched
from anaplan_autoload.domain.routes_file.parsing import parse as parse_routes
from anaplan_autoload.domain.times import iso
from anaplan_autoload.handler import make_handler
from local.cloudworks import PASSWORD, USERNAME, Simulator, seed
from local.cloudworks.dates import http_date
from local.cloudworks.http_messages import Refusal, Request
from local.cloudworks.runs import Result
from tests.autoload import s3_event
from tests.model.aws import BUCKET, TABLE, Bucket, DynamoDB, EffectClient, Secrets, Topic, aws_error
from tests.model.executions import FUNCTION_TIMEOUT_MS, DurableService
from tests.model.world import EPOCH_MS, World

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from anaplan_autoload.domain.routes import Route, Routes
    from local.cloudworks.runs import Run

SWEEP_SECONDS = 300
DIGEST_AFTER = 2
"""Loads of a lane in ten minutes, after which people get digests."""
SOURCES = {
    "accounts": "incoming/accounts/a.csv",
    "units": "incoming/units/a.csv",
    "orders": "source/orders.csv",
    "facts": "source/facts.csv",
    "hierarchy": "incoming/hierarchy/a.csv",
    "nightly": "incoming/nightly/a.csv",
    "month_end": "incoming/month-end/a.csv",
}
"""Integration → the key that it reads."""
SECOND = "incoming/month-end/b.csv"
"""What the last of them reads too."""
WINDOW = [f"{hour}:{minute:02}-{hour}:{minute + 10} UTC" for hour in range(11, 18) for minute in (0, 30)]
"""Open when a history begins, at 11:06, and for the first ten minutes of every half-hour."""
ROUTES = """
[[route]]
name = "accounts"
prefix = "incoming/accounts/"
integration = "{accounts}"
retries = 2
expect = "11:20 UTC"

[[route]]
name = "units"
prefix = "incoming/units/"
integration = "{units}"
settle = "20s"
overdue = "1m"
check = {{ columns = ["Code", "Name"] }}

[[route]]
name = "orders"
prefix = "incoming/orders/"
integration = "{orders}"
load = "each"
stage_to = "source/orders.csv"

[[route]]
name = "facts"
prefix = "incoming/facts/"
integration = "{facts}"
load = "each"
stage_to = "source/facts.csv"
lane = "model"
check = {{ columns = ["Code", "Name"], min_rows = 1 }}

[[route]]
name = "hierarchy"
prefix = "incoming/hierarchy/"
integration = "{hierarchy}"
lane = "model"
expect = "11:20 UTC"

[[route]]
name = "nightly"
prefix = "incoming/nightly/"
integration = "{nightly}"
lane = "ruled"
window = {window}
retries = 1

[[route]]
name = "month_end"
prefix = "incoming/month-end/"
integration = "{month_end}"
lane = "ruled"
needs = ["a.csv", "b.csv"]
within = "5m"
"""


DUE_AT = EPOCH_MS // 86_400_000 * 86_400_000 + (11 * 60 + 20) * 60_000
"""When two routes expect something: 13 minutes after every history begins, in epoch ms."""


class Sent(Struct, frozen=True):
    """An upload as it was made, and its event."""

    route: Route
    upload: Upload
    content: str
    event: dict[str, Any]
    bad: bool = False
    """It fails its route's check."""
    lost: bool = False
    """Its event never comes."""

    @property
    def sha256(self) -> str:
        """Of its content."""
        return sha256(self.content.encode()).hexdigest()


class Post(Struct, frozen=True):
    """A request for a run that Anaplan accepted."""

    run_id: str
    arn: str
    answered: bool
    """Whether the answer went out whole."""
    provable: bool
    """Whether the history, asked later, proves that this run is ours: it is known whose runs ours are."""


class Function:
    """The deployed function, its AWS, its Anaplan and its users."""

    SOURCES: ClassVar[dict[str, str]] = SOURCES
    ROUTES: ClassVar[str] = ROUTES

    def __init__(
        self,
        directory: Path,
        *,
        world_seed: int = 0,
        versioned: bool = True,
        sweeping: bool = True,
        reconciling: bool = False,
    ) -> None:
        self.world = World(world_seed)
        self.versioned, self.reconciling = versioned, reconciling
        self.bucket, self.secrets = Bucket(versioned, lambda: self.world.now), Secrets()
        self.topic = Topic(lambda: self.world.now)
        self.table = DynamoDB(self.world)
        self.simulator = Simulator(self.bucket, clock=lambda: self.world.seconds)
        self.world.next_change, self.world.change = self.simulator.next_change, self.simulator.tick
        self.ids = seed(self.simulator, BUCKET, list(self.SOURCES.items())).integration_ids
        if "month_end" in self.ids:
            self._read_also(self.ids["month_end"], SECOND)
        text = self.ROUTES.format(**self.ids, window=json.dumps(WINDOW))
        self.routes: Routes = parse_routes(text, "routes.toml")
        self.settings = Settings(
            secret_id="anaplan",
            ledger_table=TABLE,
            topic_arn="arn:aws:sns:eu-west-1:123456789012:alerts",
            auth_url="https://auth.anaplan.test",
            cloudworks_url="https://cloudworks.anaplan.test/2/0",
            function_name="autoload",
            log_level="CRITICAL",
            mail_topic_arn="arn:aws:sns:eu-west-1:123456789012:mails",
            digest_after=DIGEST_AFTER,
        )
        self.posts: list[Post] = []
        self.sent: list[Sent] = []
        self._shared: set[str] = set()
        self._anaplan_failed = False
        self._refused: dict[str, int] = {}
        self.breaches: list[str] = []
        """Breaches of the promise that were seen while the history ran."""
        self.right_password = True
        self.world.watch, self.world.error = self._watch, aws_error
        self.service = DurableService(self.world, make_handler(self._services), lambda: Sandbox(self))
        self.ledger: Ledger = Ledger(cast("DynamoDBClient", self.table), TABLE, self.settings.lease * 1000)
        self.store = RoutesStore(cast("DynamoDBClient", self.table), TABLE)
        self.store.push(text, replaces=None, author="ada", comment="", now=self.world.now)
        self.standings = Standings(cast("DynamoDBClient", self.table), TABLE)
        self._expect()
        self.rounds = Rounds(cast("DynamoDBClient", self.table), TABLE)
        self.rounds.put(Round(), Round(since=Watched.of(self.routes, {}, EPOCH_MS).since))
        self.secrets.put(_secret(PASSWORD))
        if sweeping:
            self._sweep_later()

    def _expect(self) -> None:
        """Begin as if a sweep had seen the routes before."""
        for route in self.routes:
            if route.expect:
                self.standings.begin(route, DUE_AT - 86_400_000)

    def close(self) -> None:
        """Stop everything."""
        self.world.stop()

    # What users do

    def upload(self, route_name: str, key: str, delay: float = 0, *, bad: bool = False, lost: bool = False) -> Sent:
        """Put an object of its own content, whose header is `bad` or good.

        Its event comes `delay` seconds later, or never if it is `lost`.
        """
        route = next(route for route in self.routes if route.name == route_name)
        content = f"Code,{'Title' if bad else 'Name'}\nA{len(self.sent)},upload {len(self.sent)}\n"
        place = f"{route.prefix}{key}"
        put = self.bucket.put(place, content.encode())
        sequencer = f"{len(self.sent) + 1:016X}"
        event = s3_event(BUCKET, place, len(content), put.etag, put.version_id, iso(self.world.now), sequencer)
        parsed = parse(event)
        assert isinstance(parsed, Uploads)
        sent = Sent(route, parsed.uploads[0], content, event, bad and route.check is not None, lost)
        self.sent.append(sent)
        if not lost:
            self.service.start(event, delay)
        return sent

    def is_read(self, sent: Sent) -> bool:
        """Whether a run of its route reads what was uploaded, or its copy."""
        key = sent.route.stage_to or sent.upload.key
        if key == SECOND:
            return sent.route.integration == self.ids["month_end"]
        return key in {SOURCES[name] for name, integration in self.ids.items() if integration == sent.route.integration}

    def _read_also(self, integration_id: str, file: str) -> None:
        """Let an integration read one file more."""
        integrations = self.simulator.tenant.integrations
        integration = integrations[integration_id]
        [job] = integration.jobs
        another = replace(job, sources=(replace(job.sources[0], file=file),))
        integrations[integration_id] = replace(integration, jobs=(job, another))

    def lacks(self, ledger: list[dict[str, Any]]) -> list[str]:
        """The names that a set of files still lacks; none where no set is under way."""
        route = next(route for route in self.routes if route.needs)
        came = {item["key"] for item in ledger if item["route"]["name"] == route.name and item["state"] == "waiting"}
        return [name for name in route.needs if came and route.prefix + name not in came]

    @property
    def disturbed(self) -> bool:
        """Whether anything has gone wrong, so that CloudWorks may not have said what it reads."""
        return self.world.met > 0 or self._anaplan_failed

    def backlog(self, sent: Sent, count: int) -> None:
        """Record an upload that many times more, as if it had been made while nobody led its lane."""
        self.world.latencies_ms, self.world.most_effects = (1,), 10 * count  # one call for each upload
        self.world.watch = lambda _: None
        for number in range(count):
            upload = replace(
                sent.upload, version_id=f"backlog {number}", etag=f"{number:032x}", sequencer=f"{number:016X}"
            )
            self.ledger.record(upload, sent.route, self.world.now)

    def foreign_run(self, integration: str) -> None:
        """Somebody else runs an integration, unless it runs already."""
        self._shared.add(self.ids[integration])
        with suppress(Refusal):
            self.simulator.start_foreign_run(self.ids[integration])

    def rotate_password(self, right: bool) -> None:
        """Give the user a new password, and the secret the same or another one."""
        password = f"password {self.world.now}"
        user = self.simulator.tenant.users[USERNAME]
        if right:
            self.simulator.add_user(replace(user, password=password))
        self.right_password = right
        self.secrets.put(_secret(password))

    def repeat(self, number: int, delay: float = 0) -> None:
        """Let the event of an upload come once more, if there is such an upload."""
        for sent in self.sent[number : number + 1]:
            if not sent.lost:
                self.service.start(sent.event, delay)

    def end_run(self, integration: str, result: Result) -> None:
        """Let the next run of an integration end in this way."""
        self.simulator.force_result(self.ids[integration], result)

    def oversleep(self, seconds: float) -> None:
        """Let the durable service be late once."""
        self.service.oversleep(seconds)

    def expire_tokens(self) -> None:
        """End all of Anaplan's tokens."""
        self.simulator.expire_tokens()

    def redrive(self) -> None:
        """Send the dead letters again."""
        letters, self.service.dead_letters = self.service.dead_letters, []
        for event in letters:
            self.service.start(event)

    def pause(self, route_name: str) -> None:
        """Claim nothing more in the lane of a route."""
        self.ledger.pause(self.lane(route_name))

    def resume(self, route_name: str) -> None:
        """End a pause, as the command line does: with a drain."""
        self.ledger.resume(self.lane(route_name))
        self.service.start({"drain": self.lane(route_name)})

    def heal(self) -> None:
        """End all trouble."""
        self.world.troubles.clear()
        self.simulator.clear_faults()
        if not self.right_password:
            self.rotate_password(right=True)
        for route in self.routes:
            if self.ledger.lane(route.lane_id).paused:
                self.resume(route.name)

    def sweep(self) -> None:
        """What EventBridge does every five minutes."""
        event: dict[str, Any] = {"sweep": True}
        if self.reconciling:
            event["reconcile"] = {"every": "10m", "buckets": f"arn:aws:s3:::{BUCKET},"}
        self.service.start(event)

    # What is around the function

    def _services(self) -> Services:
        assert self.world.current is not None
        services = self.world.current.sandbox
        assert isinstance(services, Services)
        return services

    def _sweep_later(self) -> None:
        self.world.in_seconds(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self.sweep()
        self._sweep_later()

    def answer(self, request: Request) -> HTTPResponse:
        """Anaplan's answer; raises urllib3's error where it is lost."""
        before = len(self.simulator.runs)
        reply = self.simulator.handle(request)
        self._anaplan_failed |= reply.answer is None or reply.answer.status >= 400 or self._is_cut(reply.answer.body)
        started = self.simulator.runs[before:]
        if request.method == "POST" and request.path.endswith("/run") and started:
            self._keep_post(started[0].id, reply.answer)
        if request.path.endswith("/authenticate") and reply.answer is not None and reply.answer.status == 401:
            self._watch_refusals()
        if reply.answer is None:
            raise ProtocolError("the connection was closed")
        headers = {
            **reply.answer.headers,
            "Content-Type": reply.answer.content_type,
            "Date": http_date(self.simulator.anaplan_now()),
        }
        body = BytesIO(reply.answer.body)
        return HTTPResponse(body, headers=headers, status=reply.answer.status, preload_content=False)

    @staticmethod
    def _is_cut(body: bytes) -> bool:
        """Whether half of an answer is missing."""
        try:
            json.loads(body or b"{}")
        except ValueError:
            return True
        return False

    def _watch_refusals(self) -> None:
        """A refused secret is not sent again, unless something went wrong in between."""
        version = self.secrets.get_secret_value(SecretId="anaplan")["VersionId"]
        first = self._refused.setdefault(version, self.world.now)
        if self.world.now - first > FUNCTION_TIMEOUT_MS and not self.world.met:
            self.breaches.append(f"the secret was sent again after it was refused: {version}")

    def _keep_post(self, run_id: str, answer: Any) -> None:
        assert self.world.current is not None
        whole = answer is not None and run_id.encode() in answer.body
        self.posts.append(Post(run_id, self.world.current.arn, whole, self._is_provable(run_id)))

    def _is_provable(self, run_id: str) -> bool:
        """Whether no other run looks the same, the history shows it at once, and the lane knows our author's name."""
        run = next(run for run in self.simulator.runs if run.id == run_id)
        anaplan = self.simulator.settings
        shows = not anaplan.history_lag_seconds and not anaplan.pace.queue_seconds
        lane = next(route.lane_id for route in self.routes if route.integration == run.integration_id)
        known = any("author" in item for item in self.table.everything() if item["pk"]["S"] == f"lane#{lane}")
        return shows and known and run.integration_id not in self._shared

    # What can be seen

    def lane(self, route_name: str) -> str:
        """The lane of a route."""
        return next(route.lane_id for route in self.routes if route.name == route_name)

    @property
    def runs(self) -> list[Run]:
        """Every run so far that is ours."""
        ours = {post.run_id for post in self.posts}
        return [run for run in self.simulator.runs if run.id in ours]

    def _watch(self, effect: str) -> None:
        """No upload is final before everyone was told."""
        if effect != "dynamodb update_item upload":
            return
        told = {message.id for message in self.topic.messages}
        for item in self.table.everything():
            if item["sk"]["S"].startswith("upload#") and item["state"]["S"] in ("loaded", "partial", "failed"):
                run_id = item["run_id"].get("S")
                if run_id is not None and run_id not in told:
                    self.breaches.append(f"final before it was announced: {item['key']['S']} in run {run_id}")


class Sandbox(Services):
    """A function instance: real services, whose calls are effects."""

    def __init__(self, function: Function) -> None:
        self.settings = function.settings
        self.clock = lambda: function.world.now
        self._function = function

    def check(self) -> None:
        """Do nothing: these settings are valid, and no client of AWS is made."""

    @cached_property
    def routes_in_use(self) -> RoutesInUse:
        """Read from the table of moto."""
        return RoutesInUse(self._function.store, None)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """The tables of moto, without HTTP."""
        return cast("DynamoDBClient", self._function.table)

    @cached_property
    def s3(self) -> Any:
        """The bucket."""
        return EffectClient(self._function.world, "s3", self._function.bucket)

    @cached_property
    def sns(self) -> Any:
        """The topic."""
        return EffectClient(self._function.world, "sns", self._function.topic)

    @cached_property
    def lambda_(self) -> Any:
        """The function itself."""
        return EffectClient(self._function.world, "lambda", _Invocations(self._function.service))

    @cached_property
    def secret(self) -> Any:
        """The secret."""
        client: Any = EffectClient(self._function.world, "secretsmanager", self._function.secrets)
        return secret_source(client, self.settings.secret_id)

    @cached_property
    def http(self) -> Any:
        """The simulator, without sockets."""
        return Connections(self._function)

    @cached_property
    def cloudworks(self) -> CloudWorks:
        """The client, whose pauses pass on the world's clock."""
        return CloudWorks(self.http, self.settings.cloudworks_url, self.tokens, sleep=self._function.world.sleep)


class _Invocations:
    def __init__(self, service: DurableService) -> None:
        self._service = service

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert (FunctionName, InvocationType) == ("autoload:live", "Event")
        self._service.start(json.loads(Payload), delay=0.1)
        return {"StatusCode": 202}


class Answering(Protocol):
    """Something that answers as Anaplan."""

    world: World

    def answer(self, request: Request) -> HTTPResponse:
        """Anaplan's answer; raises urllib3's error where it is lost."""


class Connections:
    """The part of urllib3's pool that the client uses."""

    def __init__(self, anaplan: Answering) -> None:
        self._anaplan = anaplan

    def clear(self) -> None:
        """Do nothing: no connection is kept."""

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], **_: Any) -> HTTPResponse:
        parts = urlsplit(url)
        request = Request(
            method,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in headers.items()},
            body or b"",
        )
        note_departure()
        name = f"anaplan {method} {parts.path}"
        return self._anaplan.world.effect(name, lambda: self._anaplan.answer(request))


def _secret(password: str) -> str:
    return json.dumps({"username": USERNAME, "password": password})
