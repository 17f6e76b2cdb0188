"""Function instances that renew one OAuth log-in, in a world where everything goes wrong that can.

What is real: `Tokens`, `Renewer`, its lease in moto's DynamoDB, and the simulator's OAuth service, which ends all that
came from a log-in when a refresh token is used twice. Secrets Manager is small, and returns old versions for a while.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from random import Random
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from anaplan_autoload.anaplan.credentials import NO_VERSION, LoginRefused
from anaplan_autoload.anaplan.errors import TryLater
from anaplan_autoload.anaplan.renewal import Renewer
from anaplan_autoload.anaplan.tokens import Tokens
from anaplan_autoload.aws.refusals import AWS_TROUBLE
from anaplan_autoload.aws.rejections import Rejections
from anaplan_autoload.aws.renewals import Renewals
from anaplan_autoload.aws.secret import SecretStore, secret_source
from local.cloudworks import USERNAME, MemoryBuckets, OAuthClient, Simulator, seed
from tests.model.aws import TABLE, DynamoDB, EffectClient, aws_error
from tests.model.executions import FUNCTION_TIMEOUT_MS
from tests.model.function import Connections
from tests.model.world import Killed, Task, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.cloudworks.http_messages import Request

CLIENT = "c" * 32
SECRET = "anaplan"
LEASE_MS = 180_000
STALE_MS = 1_000
"""How long Secrets Manager may return the version before."""
TOKEN_PATH = "/oauth/token"


class Version(Struct, frozen=True):
    """One version of the secret."""

    id: str
    text: str
    at: int
    """Epoch ms."""

    def field(self, name: str) -> str | None:
        """A field of its JSON."""
        value: str | None = json.loads(self.text).get(name)
        return value


class Secrets:
    """Secrets Manager with one secret, whose newest version is not seen at once."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = Random(seed)
        self.versions: list[Version] = []
        self.stale_ms = STALE_MS
        self.read_at: dict[Task | None, int] = {}
        """When a task last read the secret, epoch ms."""
        self.watch: Callable[[Version, Version], None] = lambda _old, _new: None
        """Called for every version that a function instance writes, with the one that it replaces."""

    @property
    def current(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        """The newest version, or for a while the one before."""
        self.read_at[self._world.current] = self._world.now
        fresh = self._world.now - self.current.at < self.stale_ms and len(self.versions) > 1
        found = self.versions[-2] if fresh and self._random.random() < 0.5 else self.current
        stored_at = datetime.fromtimestamp(found.at / 1000, UTC)
        return {"VersionId": found.id, "SecretString": found.text, "CreatedDate": stored_at}

    def put_secret_value(
        self,
        *,
        SecretId: str,  # noqa: N803
        SecretString: str,  # noqa: N803
        ClientRequestToken: str,  # noqa: N803
        VersionStages: list[str] | None = None,  # noqa: N803
    ) -> None:
        """Add a version; a repeated one changes nothing, and one with a label of its own is not the current one."""
        if VersionStages is None and all(version.id != ClientRequestToken for version in self.versions):
            written = Version(ClientRequestToken, SecretString, self._world.now)
            self.watch(self.current, written)
            self.versions.append(written)


class Renewing:
    """The world of one secret: act with its methods, then look at `breaches`."""

    def __init__(self, world_seed: int, instances: int, *, rotates: bool) -> None:
        self.world = World(world_seed)
        self.world.error = aws_error
        self.table = DynamoDB(self.world)
        self.secrets = Secrets(self.world, world_seed)
        self.simulator = Simulator(MemoryBuckets(), clock=lambda: self.world.seconds, seed=world_seed)
        seed(self.simulator, "inbox", [])
        self.simulator.add_client(OAuthClient(id=CLIENT, rotates=rotates, refresh_seconds=1e9))
        self.rejections = Rejections(cast("Any", self.table), TABLE, SECRET)
        self._instances = [self._instance() for _ in range(instances)]
        self._tasks: dict[int, Task] = {}
        self._sent: dict[str, Task | None] = {}
        self._origins: dict[str, str] = {}
        """Refresh token → the first refresh token of the same log-in."""
        self.secrets.watch = self._look_at_version
        self._well: set[int] = set()
        """The tasks that ended with a token."""
        self.hurt = False
        """Whether a task ended otherwise since the last log-in."""
        self.got: list[str] = []
        """What the tasks ended with, since the last log-in: tokens and refusals."""
        self.breaches: list[str] = []
        self._rotates = rotates
        self.log_in()

    # What happens.

    def log_in(self) -> None:
        """Somebody gets a new refresh token, and puts it into the secret."""
        self.hurt, self.got = False, []
        self.world.pass_time(0.001)  # no two versions have the same millisecond
        self.store_another()

    def store_another(self) -> None:
        """Put a new refresh token into the secret, at any moment."""
        token = self.simulator.grant(CLIENT, USERNAME)
        text = json.dumps({"client_id": CLIENT, "refresh_token": token})
        self.secrets.versions.append(Version(f"by-hand-{len(self.secrets.versions)}", text, self.world.now))

    def ask(self, number: int, *, fresh: bool = False) -> None:
        """Let a function instance get a token, unless it is busy."""
        self._start(number, lambda tokens: self._look_at_token(tokens.token(fresh)))

    def keep_alive(self, number: int) -> None:
        """Let it do what a sweep does, unless it is busy."""
        self._start(number, lambda tokens: tokens.keep_alive())

    def _start(self, number: int, act: Callable[[Tokens], None]) -> None:
        running = self._tasks.get(number)
        if running is not None and not running.over:
            return
        tokens = self._instances[number]
        deadline = self.world.now + FUNCTION_TIMEOUT_MS
        task = Task(str(number), tokens, deadline, lambda: self._act(tokens, act), self._ended)
        self._tasks[number] = task
        self.world.run(task)

    def settle(self) -> None:
        """Stop all faults, and let every task end and every lease expire."""
        self.world.troubles.clear()
        self.simulator.clear_faults()
        self.world.pass_time((FUNCTION_TIMEOUT_MS + LEASE_MS) / 1000 + 400)

    # What is seen.

    def is_good(self, refresh_token: str | None) -> bool:
        """Whether Anaplan still takes a refresh token."""
        return refresh_token in self.simulator.refresh_tokens

    def answer(self, request: Request) -> HTTPResponse:
        """Anaplan's answer; every use of a refresh token is looked at."""
        before = self.simulator.spent_again
        reply = self.simulator.handle(request)
        token = json.loads(request.body)["refresh_token"]
        if self.simulator.spent_again > before:
            self._look_at_reuse(token)
        self._sent.setdefault(token, self.world.current)
        if reply.answer is None:
            raise ProtocolError("the connection was closed")
        self._note_origin(token, reply.answer.body)
        headers = {"Content-Type": reply.answer.content_type}
        return HTTPResponse(BytesIO(reply.answer.body), headers, reply.answer.status, preload_content=False)

    def _note_origin(self, token: str, body: bytes) -> None:
        with suppress(ValueError, KeyError):
            self._origins[json.loads(body)["refresh_token"]] = self._origin(token)

    def _origin(self, token: str | None) -> str:
        return self._origins.get(token or "", token or "")

    def _look_at_version(self, old: Version, new: Version) -> None:
        """A write may only replace another log-in that was stored after the writer's last look at the secret."""
        other = self._origin(old.field("refresh_token")) != self._origin(new.field("refresh_token"))
        if other and old.at + self.secrets.stale_ms < self.secrets.read_at[self.world.current]:
            self.breaches.append("a log-in that somebody had stored was overwritten")

    def _look_at_reuse(self, token: str) -> None:
        """A spent refresh token may be sent again only if its first sender could not store the result."""
        spender = self._sent.get(token)
        if spender is not None and (not spender.over or id(spender) in self._well):
            self.breaches.append("a refresh token was sent again, although its successor was or would be stored")

    def _act(self, tokens: Tokens, act: Callable[[Tokens], None]) -> None:
        try:
            act(tokens)
        except LoginRefused as refused:
            self._look_at_refusal(refused)
        except (TryLater, Killed, *AWS_TROUBLE):
            return
        else:
            self._well.add(id(self.world.current))

    def _look_at_token(self, token: str) -> None:
        stored = [version.field("access_token") for version in self.secrets.versions]
        if self._rotates and token not in stored:
            self.breaches.append("an access token was used before its refresh token was stored")
        self.got.append(token)

    def _look_at_refusal(self, refused: LoginRefused) -> None:
        self.got.append("refused")
        if refused.version == NO_VERSION or "Nothing was sent" in refused.reason:
            return  # AWS refused it, not Anaplan
        version = next(each for each in self.secrets.versions if each.id == refused.version)
        if self.is_good(version.field("refresh_token")):
            self.breaches.append(f"a log-in that works was taken for refused: {refused.reason}")

    def _ended(self, task: Task) -> None:
        if id(task) not in self._well:
            self.hurt = True
        if task.killed:
            self._instances[int(task.arn)] = self._instance()

    def _instance(self) -> Tokens:
        secrets: Any = EffectClient(self.world, "secretsmanager", self.secrets)
        http: Any = Connections(self)
        source = secret_source(secrets, SECRET)

        def renewer() -> Renewer:
            return Renewer(
                http,
                "https://us1a.app.anaplan.com",
                source,
                SecretStore(secrets, SECRET),
                Renewals(cast("Any", self.table), TABLE, SECRET, LEASE_MS),
                rejected=self.rejections.includes,
                reject=self.rejections.add,
                clock=lambda: self.world.now,
                sleep=self.world.sleep,
            )

        return Tokens(
            http,
            "https://auth.anaplan.com",
            source,
            rejected=self.rejections.includes,
            reject=self.rejections.add,
            renewer=renewer,
            clock=lambda: self.world.now,
        )
