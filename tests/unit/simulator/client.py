"""A simulator with one import, on a clock that only the test moves, and a client that asks it over a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from local.cloudworks import PASSWORD, USERNAME, WORKSPACE_ID, MemoryBuckets, Simulator, SimulatorSettings, seed, serve
from local.cloudworks.seeding import ACCESS_KEY_ID, SECRET_ACCESS_KEY

NOON = 1_795_521_600.0
"""2026-11-24T12:00:00Z."""
FILE = "incoming/accounts.csv"
GOOD = b"Code,Name\nA,Alpha\nB,Beta\n"
MIXED = b"Code,Name\nA,Alpha\n,Nameless\nA,Again\nB,Beta\n"
MODEL = "E559BFF3B16D4AE8874F745BE1259711"


class Clock:
    """Epoch seconds that only the test moves."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


class Anaplan:
    """A simulator with one import, and a client that is logged in."""

    def __init__(self, simulator: Simulator, buckets: MemoryBuckets, clock: Clock, url: str) -> None:
        self.simulator = simulator
        self.buckets = buckets
        self.clock = clock
        self.url = url
        self.seeded = seed(simulator, "inbox", [("Accounts", FILE)])
        self.id = self.seeded.integration_ids["Accounts"]
        self.http = urllib3.PoolManager(retries=False, timeout=5)
        self.token = self.log_in().json()["tokenInfo"]["tokenValue"]

    def send(self, method: str, path: str, body: object = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """Any request; a body is sent as JSON."""
        data = None if body is None else json.dumps(body)
        return self.http.request(method, self.url + path, body=data, headers=headers)

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """A request to CloudWorks; returns the JSON of the answer, which must have this status."""
        answer = self.send(method, f"/2/0{path}", body, Authorization=f"AnaplanAuthToken {self.token}")
        assert answer.status == status, answer.data
        return answer.json()

    def refused(self, method: str, path: str, status: int, body: object = None) -> str:
        """The message of a refusal."""
        return str(self.ask(method, path, body, status)["status"]["message"])

    def log_in(self, user: str = USERNAME, password: str = PASSWORD) -> urllib3.BaseHTTPResponse:
        """A log-in with a password."""
        return self.send("POST", "/token/authenticate", Authorization=f"Basic {packed(f'{user}:{password}'.encode())}")

    def upload(self, content: bytes, key: str = FILE) -> None:
        """Put a file where the import looks for it."""
        self.buckets.write("inbox", key, content)

    def run(self, integration_id: str | None = None) -> str:
        """Start a run; returns its id."""
        return str(self.ask("POST", f"/integrations/{integration_id or self.id}/run")["run"]["id"])

    def status(self, run_id: str) -> dict[str, Any]:
        """What CloudWorks says of a run."""
        found: dict[str, Any] = self.ask("GET", f"/integrations/run/{run_id}")["run"]
        return found

    def ended(self, content: bytes | None) -> dict[str, Any]:
        """A run of a file, if any, to its end; returns its status."""
        if content is not None:
            self.upload(content)
        run_id = self.run()
        self.clock.time += 60
        return self.status(run_id)

    def history(self, query: str = "?offset=0&limit=25") -> dict[str, Any]:
        """An integration's runs."""
        found: dict[str, Any] = self.ask("GET", f"/integrations/runs/{self.id}{query}")["history_of_runs"]
        return found

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        """What is in the model."""
        return self.simulator.models.get(self.seeded.model_ids["Accounts"], {})


@contextmanager
def serving(settings: SimulatorSettings) -> Iterator[Anaplan]:
    """A simulator on a socket, with a clock to be turned."""
    buckets, clock = MemoryBuckets(), Clock()
    simulator = Simulator(buckets, clock=clock, settings=settings)
    with serve(simulator) as address:
        anaplan = Anaplan(simulator, buckets, clock, address.auth_url)
        try:
            yield anaplan
        finally:
            anaplan.http.clear()


def packed(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


def connection(**changes: str) -> dict[str, str]:
    """The flat body of a connection."""
    body = {"name": "Other", "accessKeyId": ACCESS_KEY_ID, "secretAccessKey": SECRET_ACCESS_KEY, "bucketName": "other"}
    return body | {"workspaceId": WORKSPACE_ID} | changes


def create_connection(anaplan: Anaplan, status: int = 200, **changes: str) -> Any:
    """Ask for a connection."""
    return anaplan.ask("POST", "/integrations/connections", {"type": "AmazonS3", "body": connection(**changes)}, status)


def integration(anaplan: Anaplan, name: str, *jobs: dict[str, Any], **more: object) -> dict[str, object]:
    """The body of an integration."""
    body = {"name": name, "version": "2.0", "workspaceId": WORKSPACE_ID, "modelId": MODEL, "jobs": list(jobs)}
    return body | more


def import_job(anaplan: Anaplan, file: str = FILE, action: str = "112000000099") -> dict[str, Any]:
    """A job from S3 to Anaplan."""
    source = {"type": "AmazonS3", "connectionId": anaplan.seeded.connection_id, "file": file}
    target = {"type": "Anaplan", "actionId": action, "fileId": "113000000099"}
    return {"type": "AmazonS3ToAnaplan", "sources": [source], "targets": [target]}


def export_job(anaplan: Anaplan, folder: str) -> dict[str, Any]:
    """A job from Anaplan to S3."""
    source = {"type": "Anaplan", "actionId": "116000000001"}
    target = {"type": "AmazonS3", "connectionId": anaplan.seeded.connection_id, "file": folder, "overwrite": True}
    return {"type": "AnaplanToAmazonS3", "sources": [source], "targets": [target]}


def create(anaplan: Anaplan, name: str, *jobs: dict[str, Any], **more: object) -> str:
    """Make an integration; returns its id."""
    made = anaplan.ask("POST", "/integrations", integration(anaplan, name, *jobs, **more))
    return str(made["integration"]["integrationId"])


def step(integration_id: str, **changes: object) -> dict[str, object]:
    """A step of a flow."""
    return {"type": "Integration", "referrer": integration_id, "isSkipped": False, "exceptionBehavior": []} | changes


def create_flow(anaplan: Anaplan, *steps: dict[str, object]) -> str:
    """Make a flow; returns its id."""
    body = {"name": "Nightly", "version": "2.0", "type": "IntegrationFlow", "steps": steps}
    return str(anaplan.ask("POST", "/integrationflows", body)["integrationFlow"]["integrationFlowId"])


def fails(anaplan: Anaplan, method: str = "POST") -> bool:
    """Whether the order to run (or a look at the list) is lost on the way."""
    path = f"/integrations/{anaplan.id}/run" if method == "POST" else "/integrations"
    try:
        anaplan.ask(method, path)
    except urllib3.exceptions.ProtocolError:
        return True
    return False


def admin(anaplan: Anaplan, method: str, path: str, body: object = None, status: int = 200) -> Any:
    """A request to the simulator itself."""
    answer = anaplan.send(method, f"/simulator/{path}", body)
    assert answer.status == status, answer.data
    return answer.json()
