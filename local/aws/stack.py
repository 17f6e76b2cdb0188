"""A laptop's AWS, with Anaplan beside it: `python -m local.aws.console`, or in a test

```python
with Stack() as stack:
    ids = stack.seed([("Accounts", "incoming/accounts.csv")])
    stack.deploy(ROUTES.format(accounts=ids["Accounts"]))
    stack.upload("incoming/accounts.csv", b"code,name\\nA1,Cash\\n")
    stack.wait_idle()
    assert stack.messages()[0].document["outcome"] == "loaded"
```

Every part is the real one where a laptop can have it: AWS's Lambda runtime, its emulator of the durable service, the
project's own function and template. Moto stands for the other services, a simulator for Anaplan. All of it listens
on free ports, of 127.0.0.1 unless told otherwise, and is gone when the `with` block ends, however it ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct

from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload.aws.services import wall_clock
from anaplan_autoload.page.services import PageServices, settings_from
from local.aws.clients import CREDENTIALS, REGION, Aws
from local.aws.dispatcher import Backends, Dispatcher
from local.aws.executions import Execution, Executions, Rate
from local.aws.journal import Metric, function_lines, metrics
from local.aws.notifications import Notifications
from local.aws.processes import Command, Guardian, Server, bare_environment, start_server
from local.aws.resources import DeployedFunction, Resources, create, expand
from local.aws.runtimes import Pool, Sandbox, find_emulator
from local.cloudworks import PASSWORD, USERNAME, S3Buckets, Serving, Simulator, SimulatorSettings, seed, serve
from local.http_server import HOST

ROOT = Path(__file__).parents[2]
STACK_NAME = "autoload"
IDLE_LOOK_SECONDS = 0.2


class Options(Struct, frozen=True, kw_only=True):
    """The options of a stack."""

    template: Path = ROOT / "template.yaml"
    handler: str | None = None
    """None: the template's."""
    runtimes: int = 4
    environment: dict[str, str] = {}
    """Environment variables of the function that replace the template's, such as shorter polls and leases."""
    timeout_seconds: int | None = None
    """Of one invocation; None: the template's."""
    sweep_seconds: float | None = None
    """Between two events of every schedule; None: what the template says."""
    anaplan: SimulatorSettings | None = None
    listen: str = HOST
    """The address that the parts listen on. With `EVERYWHERE`, containers and other machines reach them too."""
    prepare: Callable[[Stack], object] | None = None
    """Called before the buckets begin to notify the function: what it uploads is not loaded."""
    logs: Path | None = None
    """A directory for the parts' logs; None: a temporary one, which is kept."""


class Message(Struct, frozen=True):
    """What a subscriber got."""

    document: dict[str, Any]
    """The JSON form of the message."""
    attributes: dict[str, str]
    """What filter policies see."""


class DeadLetter(Struct, frozen=True):
    """An event whose execution failed, was stopped or timed out."""

    event: dict[str, Any]
    error: str


class Stack:
    """The laptop's AWS, started by entering it. Its attributes are the parts, for tests to look at and to disturb."""

    aws: Aws
    resources: Resources
    simulator: Simulator
    anaplan: Serving
    executions: Executions
    notifications: Notifications
    pool: Pool

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.logs = self.options.logs or Path(tempfile.mkdtemp(prefix="autoload-"))
        self._parts = ExitStack()
        self._messages: list[Message] = []

    def __enter__(self) -> Self:
        """Start every part.

        Raises `StartFailed` when one does not come up, `TemplateUnusable` when the template lacks what is needed, and
        FileNotFoundError without AWS's runtime emulator; none is left running then.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    # Arrange.

    @property
    def store(self) -> RoutesStore:
        """The versions of the routes in the ledger."""
        return RoutesStore(self.aws.dynamodb, self.resources.outputs["LedgerTableName"])

    @property
    def page(self) -> PageServices:
        """What the load history page works with, by the environment that the template gives its function."""
        found = self.aws.functions.get_function_configuration(FunctionName=self.resources.physical_ids["Page"])
        return PageServices(settings_from(found["Environment"]["Variables"]), self.aws.session)

    @property
    def inbox(self) -> str:
        """The name of the bucket that uploads go to."""
        return self.resources.outputs["InboxBucketName"]

    def seed(self, integrations: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Make an Anaplan import of every (name, source file in the inbox); returns their ids by name."""
        return seed(self.simulator, self.inbox, integrations).integration_ids

    def push(self, routes: str) -> int:
        """Push routes, unchecked, and return their version; the function uses them within 30 seconds."""
        current = self.store.current()
        author = self.aws.sts.get_caller_identity()["Arn"]
        pushed = self.store.push(routes, replaces=current, author=author, comment="", now=wall_clock())
        if pushed is None:
            raise RuntimeError("somebody else pushed routes at the same moment")
        return pushed.number

    def deploy(self, routes: str) -> None:
        """Push routes, and restart the function: invocations from now on use them."""
        self.push(routes)
        self.pool.deploy()

    # Act.

    def upload(self, key: str, content: bytes) -> str:
        """Put an object into the inbox; returns its version id."""
        return self.aws.s3.put_object(Bucket=self.inbox, Key=key, Body=content)["VersionId"]

    def invoke(self, event: object) -> str:
        """Send the function an event; returns the execution's ARN."""
        return self.executions.start(msgspec.json.encode(event))

    def kill_runtime(self, pid: int | None = None) -> int | None:
        """Crash the runtime with this process id, else a busy one, else any; returns its id, None if none is up."""
        return self.pool.kill_one(pid)

    def wait_idle(self, timeout_seconds: float = 60.0) -> None:
        """Return when every event has been delivered and every execution has ended; else raise TimeoutError."""
        deadline = time.monotonic() + timeout_seconds
        while not (self.notifications.idle and self.executions.running == 0):
            if time.monotonic() > deadline:
                running = [one.input_payload for one in self.executions.all() if not one.ended]
                raise TimeoutError(f"still running after {timeout_seconds:g} s: {running}; logs: {self.logs}")
            time.sleep(IDLE_LOOK_SECONDS)

    # Look.

    def execution(self, arn: str) -> Execution:
        """One execution as it stands now."""
        return self.executions.get(arn)

    def function_log(self) -> list[str]:
        """Every line that the function wrote, runtime by runtime."""
        return [line for path in sorted(self.logs.glob("runtime-*.log")) for line in function_lines(path)]

    def metrics(self) -> list[Metric]:
        """Every value that the function gave to CloudWatch."""
        return metrics(self.function_log())

    def messages(self) -> list[Message]:
        """Everything published to the topic so far."""
        queue = self._messages_queue
        while received := self.aws.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in received:
                attributes = message.get("MessageAttributes", {}).items()
                self._messages.append(
                    Message(
                        msgspec.json.decode(message["Body"], type=dict[str, Any]),
                        {name: value["StringValue"] for name, value in attributes},
                    )
                )
                self.aws.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return list(self._messages)

    def dead_letters(self) -> list[DeadLetter]:
        """Up to ten events that wait in the dead-letter queue; they stay there."""
        queue = self.resources.function.dead_letter_queue_url
        received = self.aws.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=0
        )
        return [
            DeadLetter(
                msgspec.json.decode(message["Body"], type=dict[str, Any]),
                message["MessageAttributes"]["ErrorMessage"]["StringValue"],
            )
            for message in received.get("Messages", [])
        ]

    # The parts, each after those that it needs.

    def _start(self) -> None:
        emulator = find_emulator(ROOT)
        guardian = self._parts.enter_context(Guardian())
        moto = self._serve(guardian, "moto", lambda port: _moto(port, self.options.listen))
        dispatcher = self._parts.enter_context(Dispatcher(self.options.listen).serving())
        self.aws = Aws(moto.url, dispatcher.url)
        self._parts.callback(self.aws.close)
        self.simulator = Simulator(S3Buckets(self.aws.s3), settings=self.options.anaplan or SimulatorSettings())
        self.anaplan = self._parts.enter_context(serve(self.simulator, listen=self.options.listen))
        self.resources = self._create(moto)
        durable = self._serve(guardian, "durable", lambda port: _durable(port, dispatcher.url))
        self.executions = Executions(durable.port, self.resources.function, self.aws.sqs)
        self._parts.callback(self.executions.close)
        self.pool = Pool(self.options.runtimes, self._sandbox(emulator), self.logs, guardian)
        self._parts.callback(self.pool.close)
        dispatcher.connect(
            Backends(
                function=self.resources.function,
                pool=self.pool,
                executions=self.executions,
                durable_port=durable.port,
                moto_port=moto.port,
            )
        )
        if self.options.prepare is not None:
            self.options.prepare(self)
        self._notify()

    def _serve(self, guardian: Guardian, name: str, arguments: Callable[[int], tuple[str, ...]]) -> Server:
        """Start one of the emulators; `arguments` gives its command line for a port."""

        def command(port: int) -> Command:
            return Command(name, arguments(port), bare_environment(CREDENTIALS), ROOT)

        server = start_server(command, self.logs, guardian)
        self._parts.callback(server.process.stop)
        return server

    def _create(self, moto: Server) -> Resources:
        """Create the template's resources, with Anaplan's address and a log-in that it knows."""
        directly = Aws(moto.url, moto.url)  # the dispatcher hands nothing on before there is a function
        self._parts.callback(directly.close)
        addresses = {"CloudWorksUrl": self.anaplan.cloudworks_url, "AnaplanAuthUrl": self.anaplan.auth_url}
        resources = create(expand(self.options.template, directly.region), STACK_NAME, addresses, directly)
        login = msgspec.json.encode({"username": USERNAME, "password": PASSWORD}).decode()
        directly.secrets.put_secret_value(SecretId=resources.outputs["SecretArn"], SecretString=login)
        return resources

    def _sandbox(self, emulator: Path) -> Sandbox:
        function, options = self.resources.function, self.options
        return Sandbox(
            emulator=emulator,
            handler=options.handler or function.handler,
            timeout_seconds=options.timeout_seconds or function.timeout_seconds,
            environment=bare_environment(
                self.aws.environment | _lambdas_own(function) | function.environment | options.environment
            ),
            directory=ROOT / "src",
        )

    def _notify(self) -> None:
        """Bring events to the function and its messages to us."""
        self.notifications = Notifications(self.aws.s3, self.aws.sqs, self.executions.start)
        self._parts.callback(self.notifications.close)
        for notifying in self.resources.notifying:
            self.notifications.watch(notifying.bucket, notifying.configurations)
        for schedule in self.resources.schedules:
            rate = Rate(self.options.sweep_seconds or schedule.every_seconds, schedule.event, self.executions)
            self._parts.callback(rate.close)
        self._subscribe()

    def _subscribe(self) -> None:
        self._messages_queue = self.aws.sqs.create_queue(QueueName="messages")["QueueUrl"]
        attributes = self.aws.sqs.get_queue_attributes(QueueUrl=self._messages_queue, AttributeNames=["QueueArn"])
        self.aws.sns.subscribe(
            TopicArn=self.resources.outputs["TopicArn"],
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )


def _moto(port: int, listen: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "local.aws.moto_server", "-H", listen, "-p", str(port))


def _durable(port: int, lambda_url: str) -> tuple[str, ...]:
    """The durable service's emulator. The function's timeout is enforced at the runtimes: queueing does not count."""
    return (
        *(sys.executable, "-m", "aws_durable_execution_sdk_python_testing.cli", "start-server"),
        *("--host", HOST, "--port", str(port), "--log-level", "WARNING", "--store-type", "memory"),
        *("--lambda-endpoint", lambda_url, "--local-runner-endpoint", f"http://{HOST}:{port}"),
        *("--local-runner-region", REGION),
    )


def _lambdas_own(function: DeployedFunction) -> dict[str, str]:
    """The variables that Lambda itself sets."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "LAMBDA_TASK_ROOT": str(ROOT / "src"),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    }
