"""The whole function in one process: AWS's durable test runner, moto, the CloudWorks simulator, one virtual clock.

Time passes only where somebody waits: the runner skips durable waits and the clock jumps with them.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote_plus, unquote
from zipfile import ZipFile

import boto3
import pytest
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from botocore.exceptions import ClientError
from moto import mock_aws
from msgspec.structs import replace

from anaplan_autoload.aws.ledger import Ledger
from anaplan_autoload.aws.routes_store import RoutesStore
from anaplan_autoload.aws.services import Services
from anaplan_autoload.aws.settings import Settings
from anaplan_autoload.domain.events import Uploads, parse
from anaplan_autoload.domain.times import iso
from anaplan_autoload.handler import make_handler
from local.cloudworks import PASSWORD, USERNAME, S3Buckets, Simulator, seed, serve
from local.http_server import HOST, LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws_durable_execution_sdk_python_testing import DurableFunctionTestResult
    from aws_durable_execution_sdk_python_testing.client import InMemoryServiceClient
    from aws_durable_execution_sdk_python_testing.clock import Clock
    from aws_durable_execution_sdk_python_testing.executor import Executor
    from aws_durable_execution_sdk_python_testing.invoker import InProcessInvoker
    from aws_durable_execution_sdk_python_testing.stores.base import ExecutionStore
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

    from anaplan_autoload.anaplan.cloudworks import CloudWorks
    from anaplan_autoload.aws.routes_store import Version
    from anaplan_autoload.domain.routes import Routes
    from local.cloudworks import Reply, Request

BUCKET = "inbox"
REPORTS = "reports"


class Sent:
    """A Lambda endpoint that accepts asynchronous invocations and keeps their events."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        """The function's environment, as Lambda describes it."""
        self.package: dict[str, str] = {}
        """The files of the function's package."""
        self.events: list[dict[str, Any]] = []
        self._lock = Lock()

    def add(self, event: dict[str, Any]) -> None:
        """Keep an event."""
        with self._lock:
            self.events.append(event)

    def take(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        with self._lock:
            events, self.events = self.events, []
            return events

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the endpoint; yields its URL."""
        sent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sent.add(json.loads(body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                """Answer GetFunction and GetFunctionConfiguration, as far as the commands need it, and serve the
                package.
                """
                location = f"http://{self.headers['Host']}/package.zip"
                told: dict[str, Any] = {"FunctionName": "autoload", "Environment": {"Variables": sent.environment}}
                if not self.path.endswith("/configuration"):
                    told = {"Configuration": told, "Code": {"Location": location}}
                body = zipped(sent.package) if self.path == "/package.zip" else json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        with LocalServer((HOST, 0), Handler).serving() as server:
            yield f"http://{HOST}:{server.server_port}"


class Runner(DurableFunctionTestRunner):
    """AWS's runner, which keeps what a test has to turn, watch and read for its subclasses."""

    @property
    def clock(self) -> Clock:
        """The one clock: durable waits move it forward."""
        return self._clock

    @property
    def executions(self) -> ExecutionStore:
        """All executions so far."""
        return self._store

    @property
    def service_client(self) -> InMemoryServiceClient:
        """Takes the checkpoints."""
        return self._service_client

    @property
    def executor(self) -> Executor:
        """Starts and stops executions."""
        return self._executor

    @property
    def invoker(self) -> InProcessInvoker:
        """Invokes the function."""
        return self._invoker


@cache
def aws_client(service: str) -> Any:
    """A client of a service, shared by all tests of a process: making one takes longer than most tests."""
    return boto3.client(service)  # type: ignore[call-overload]


def zipped(files: dict[str, str]) -> bytes:
    """Files as a zip archive."""
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


class Autoload:
    """The function with everything around it; arrange with its parts, act with `upload` and `invoke`."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self._stack = ExitStack()
        self.routes_file = directory / "routes.toml"
        self._changes = changes
        self._arns: list[str] = []
        self.upload_ids: list[str] = []
        self.ids: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self._sequence = 0
        self.sent = Sent()

    def __enter__(self) -> Self:
        self._stack.enter_context(mock_aws())
        self._stack.enter_context(pytest.MonkeyPatch.context()).setenv(
            "AWS_ENDPOINT_URL_LAMBDA", self._stack.enter_context(self.sent.served())
        )
        self._make_aws()
        self.simulator = Simulator(S3Buckets(self.s3), clock=lambda: self.now() / 1000)
        self.runner = self._stack.enter_context(Runner(make_handler(self.services_now)))
        self.address = self._stack.enter_context(serve(self.simulator))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def routes(self, text: str, **files: str) -> dict[str, str]:
        """Push routes, in which `{name}` stands for the id of an integration of that source file."""
        ids = self.seed(**files)
        self.write_routes(text.format(**ids))
        return ids

    def seed(self, **files: str) -> dict[str, str]:
        """Make an integration for every source file; returns name to id."""
        seeded = seed(self.simulator, BUCKET, [(name, file) for name, file in files.items() if name not in self.ids])
        self.models |= seeded.model_ids
        self.ids |= seeded.integration_ids
        return self.ids

    def let_read(self, name: str, *files: str) -> None:
        """Let an integration read these files, and no others."""
        integrations = self.simulator.tenant.integrations
        integration = integrations[self.ids[name]]
        job = integration.jobs[0]
        jobs = tuple(replace(job, sources=(replace(job.sources[0], file=file),)) for file in files)
        integrations[integration.id] = replace(integration, jobs=jobs)

    def write_routes(self, text: str) -> None:
        """Give the function these routes, at once: in the ledger, or in its file if it has one."""
        if self.settings().routes_file is None:
            self.push_routes(text)
        else:
            self.routes_file.write_text(text)
        self.change()

    def push_routes(self, text: str) -> Version:
        """Push routes; the function sees them when what it knows is 30 seconds old."""
        pushed = self.store.push(
            text, replaces=self.store.current(), author="arn:aws:iam::1:user/ada", comment="", now=self.now()
        )
        assert pushed is not None
        return pushed

    def use_routes_file(self) -> Path:
        """Let the function take its routes from a file in place of the ledger; returns the file, yet to be written."""
        self.change(routes_file=self.routes_file)
        return self.routes_file

    def known_routes(self) -> Routes:
        """The routes that are in use."""
        services = self.services_now()
        services.routes_in_use.refresh(self.now())
        found = services.routes_of_file or services.routes_in_use.routes
        assert found is not None
        return found

    def cloudworks(self) -> CloudWorks:
        """The function's own client."""
        return self.services_now().cloudworks

    def now(self) -> int:
        """Epoch ms on the one clock."""
        return int(self.runner.clock.now().timestamp() * 1000)

    # Act.

    def upload(self, key: str, content: str | bytes, *, at: int | None = None) -> dict[str, Any]:
        """Put an object; returns its event, which is for the test to invoke."""
        body = content.encode() if isinstance(content, str) else content
        answer = self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        now = at or self.now()
        self._sequence += 1
        etag, version = answer["ETag"].strip('"'), answer.get("VersionId")
        event = s3_event(BUCKET, key, len(body), etag, version, iso(now), f"{self._sequence:016X}")
        parsed = parse(event)
        self.upload_ids += [upload.id for upload in parsed.uploads] if isinstance(parsed, Uploads) else []
        return event

    def invoke(self, event: object) -> Any:
        """Run one execution to its end; returns its result, or raises with its error."""
        return self.ended(self.start(event))

    def start(self, event: object) -> str:
        """Begin an execution; returns its ARN."""
        arn: str = self.runner.run_async(json.dumps(event), execution_name=f"execution-{len(self._arns)}")
        self._arns.append(arn)
        return arn

    def ended(self, arn: str, *, failed: bool = False) -> Any:
        """Wait for an execution's end; returns its result, or raises with its error unless it was to fail."""
        result: DurableFunctionTestResult = self.runner.wait_for_result(arn, timeout=300)
        if (result.error is not None) != failed:
            raise ExecutionFailed(result.error.type if result.error else "none", result.error and result.error.message)
        return json.loads(result.result) if result.result else None

    def outcome(self, event: object) -> str:
        """Run one execution to its end, however it ends; returns its state, or `failed`."""
        result = self.runner.wait_for_result(self.start(event), timeout=300)
        return str(json.loads(result.result)["state"]) if result.result else "failed"

    def drain(self) -> None:
        """Run what the function sent itself, and what these send in turn."""
        while events := self.sent.take():
            for event in events:
                self.invoke(event)

    def when(self, method: str, path: str, act: Callable[[], object], *, skip: int = 0) -> None:
        """Do something before Anaplan answers the next such request, or a later one if `skip` come first."""
        handle = self.simulator.handle
        left = skip

        def watched(request: Request) -> Reply:
            nonlocal left
            if request.method == method and re.search(path, request.path):
                left -= 1
                if left == -1:
                    act()
            return handle(request)

        self.simulator.handle = watched  # type: ignore[method-assign]

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket where the function's own are."""
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def pass_time(self, seconds: float) -> None:
        """Let time pass while nobody waits."""
        clock = self.runner.clock
        clock.arm(clock.now() + timedelta(seconds=seconds))

    def record_backlog(self, event: dict[str, Any], count: int) -> None:
        """Record an event's upload that many times over, as if its object had had as many versions."""
        parsed = parse(event)
        assert isinstance(parsed, Uploads)
        [upload] = parsed.uploads
        route = next(iter(self.known_routes()))
        for number in range(count):
            version = replace(upload, version_id=f"v{number}", sequencer=f"{number:016X}")
            self.ledger.record(version, route, self.now())

    def dump_table(self) -> list[dict[str, Any]]:
        """A backup of the ledger."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName="ledger")
        return [item for page in pages for item in page["Items"]]

    def restore_table(self, backup: list[dict[str, Any]]) -> None:
        """Put the ledger back to what it was."""
        client = self.dynamodb
        for item in self.dump_table():
            client.delete_item(TableName="ledger", Key={"pk": item["pk"], "sk": item["sk"]})
        for item in backup:
            client.put_item(TableName="ledger", Item=item)

    def watch_checkpoints(self) -> list[int]:
        """A list that fills with the sizes of all checkpoints, in bytes."""
        sizes: list[int] = []
        client = self.runner.service_client
        checkpoint = client.checkpoint

        def watched(*args: Any, **kwargs: Any) -> Any:
            updates = kwargs.get("updates") or args[2]
            sizes.append(len(json.dumps([update.to_dict() for update in updates], default=str)))
            return checkpoint(*args, **kwargs)

        client.checkpoint = watched
        return sizes

    # Look.

    def messages(self) -> list[dict[str, Any]]:
        """The JSON documents that subscribers got since the last call."""
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def lane(self) -> str:
        """The lane of the first route."""
        return next(iter(self.known_routes())).lane_id

    @staticmethod
    def metrics(printed: str, name: str) -> list[dict[str, Any]]:
        """The EMF documents with this metric among what the function printed."""
        documents = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
        return [document for document in documents if name in document]

    def operations(self) -> list[str]:
        """The names of the last execution's durable operations, in order."""
        execution = self.runner.executions.load(self._arns[-1])
        return [operation.name for operation in execution.operations if operation.name]

    def record_calls(self) -> list[str]:
        """A list that fills with the calls to DynamoDB, and with the requests for runs, in order."""
        calls: list[str] = []
        services = self.services_now()
        services.dynamodb.meta.events.register("before-call.dynamodb.*", lambda model, **_: calls.append(model.name))
        self.when("POST", "/run$", lambda: calls.append("POST run"))
        return calls

    def runs_asked_for(self) -> int:
        """How many requests for a run CloudWorks received."""
        return sum(seen.method == "POST" and seen.path.endswith("/run") for seen in self.simulator.requests)

    # Arrange.

    def services_now(self) -> Services:
        """What the function works with."""
        if not hasattr(self, "services"):
            self.services = Services(self.settings(), clock=self.now, sleep=self.pass_time)
            for copy in ("CopyObject", "UploadPartCopy"):
                self.services.s3.meta.events.register(f"before-parameter-build.s3.{copy}", self._check_copy)
        return self.services

    def change(self, **settings: Any) -> None:
        """Let the function go on with other settings, as a new version of it would."""
        self._changes |= settings
        self.__dict__.pop("services", None)

    def settings(self) -> Settings:
        """The function's settings, with the test's changes."""
        base: dict[str, Any] = {
            "secret_id": "anaplan",
            "ledger_table": "ledger",
            "topic_arn": self.topic,
            "auth_url": self.address.auth_url,
            "cloudworks_url": self.address.cloudworks_url,
            "function_name": "autoload",
            "reports_bucket": REPORTS,
        }
        return Settings(**{**base, **self._changes})

    def _check_copy(self, params: dict[str, Any], **_: object) -> None:
        """S3 copies only what matches `CopySourceIfMatch`, into uploads that are under way; moto looks at neither."""
        if "UploadId" in params:
            self.services.s3.list_parts(Bucket=params["Bucket"], Key=params["Key"], UploadId=params["UploadId"])
        if expected := params.get("CopySourceIfMatch"):
            bucket, _slash, key = unquote(params["CopySource"]).partition("/")
            found = self.s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
            if found != expected:
                raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": "moto"}}, "CopyObject")

    def set_secret(self, username: str = USERNAME, password: str = PASSWORD) -> None:
        """Give the secret a new version."""
        self.secrets.put_secret_value(
            SecretId="anaplan", SecretString=json.dumps({"username": username, "password": password})
        )

    def _make_aws(self) -> None:
        self.s3: S3Client = aws_client("s3")
        self.sqs: SQSClient = aws_client("sqs")
        self.sns: SNSClient = aws_client("sns")
        self.secrets: SecretsManagerClient = aws_client("secretsmanager")
        self.dynamodb: DynamoDBClient = aws_client("dynamodb")
        for bucket in (BUCKET, REPORTS):
            self.make_bucket(bucket)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.topic = self.sns.create_topic(Name="alerts")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        queue_arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=queue_arn["QueueArn"])
        self.secrets.create_secret(
            Name="anaplan", SecretString=json.dumps({"username": USERNAME, "password": PASSWORD})
        )
        self.dynamodb.create_table(
            TableName="ledger",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "waiting")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            LocalSecondaryIndexes=[
                {
                    "IndexName": "waiting",
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"},
                        {"AttributeName": "waiting", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        self.ledger = Ledger(self.dynamodb, "ledger", 180_000)
        self.store = RoutesStore(self.dynamodb, "ledger")


class ExecutionFailed(Exception):
    """The execution ended as failed."""


def s3_event(
    bucket: str, key: str, size: int, etag: str, version_id: str | None, event_time: str, sequencer: str
) -> dict[str, Any]:
    """An S3 notification as S3 sends it, with one record."""
    described: dict[str, Any] = {"key": quote_plus(key, safe="/"), "size": size, "eTag": etag, "sequencer": sequencer}
    if version_id:
        described["versionId"] = version_id
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-west-1",
                "eventTime": event_time,
                "eventName": "ObjectCreated:Put",
                "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": described},
            }
        ]
    }
