"""An empty Anaplan tenant, and the command line pointed at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local.cloudworks import (
    PASSWORD,
    USERNAME,
    WORKSPACE_ID,
    MemoryBuckets,
    Pace,
    Simulator,
    SimulatorSettings,
    User,
    serve,
)
from local.cloudworks.json_shapes import Step
from local.cloudworks.tenant import Flow
from tests import command_line

if TYPE_CHECKING:
    from local.cloudworks import Serving
    from tests.command_line import Said

BUCKET = "finance-inbox"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "example-secret-access-key"
MODEL_ID = "E559BFF3B1AD4CDE874F745BEA259711"
GOOD_ROWS = "Code,Name\nA1,Cash\nA2,Stock\n"
BAD_ROWS = "Code,Name\nA1,Cash\n,Nobody\n"


class CliTenant:
    """Arrange with `simulator` and `put`, act with `run`."""

    def __init__(self, simulator: Simulator, buckets: MemoryBuckets, serving: Serving) -> None:
        self.simulator = simulator
        self.environment = {
            "ANAPLAN_AUTH_URL": serving.auth_url,
            "CLOUDWORKS_URL": serving.cloudworks_url,
            "ANAPLAN_USERNAME": USERNAME,
            "ANAPLAN_PASSWORD": PASSWORD,
            "ANAPLAN_WORKSPACE_ID": WORKSPACE_ID,
            "ANAPLAN_MODEL_ID": MODEL_ID,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": "eu-west-1",
        }
        self._buckets = buckets

    def run(self, *arguments: str, typed: str | None = None, **changes: str | None) -> Said:
        """Run a command; `changes` to the environment, None to unset."""
        return command_line.run(*arguments, typed=typed, environment={**self.environment, **changes})

    def put(self, key: str, content: str) -> None:
        """Put a file into the bucket."""
        self._buckets.write(BUCKET, key, content.encode())

    def connect(self) -> str:
        """A connection to the bucket, named like it; returns its id."""
        made = self.run("--yes", "--json", "connections", "create", "--name", BUCKET, "--bucket", BUCKET)
        assert made.code == 0, made.err
        return str(made.json["id"])

    def integrate(self, name: str, file: str, number: int = 1) -> str:
        """An import of a file over that connection; returns its id."""
        made = self.run("--json", "integrations", "create", *import_options(name, file, number))
        assert made.code == 0, made.err
        return str(made.json["id"])

    def add_flow(self, name: str, *integration_ids: str) -> str:
        """A flow of these integrations, one after another; returns its id."""
        steps = [
            Step(type="Integration", referrer=each, is_skipped=False, exception_behavior=()) for each in integration_ids
        ]
        flow = Flow(
            id=self.simulator.new_id(),
            name=name,
            created_by="Ada Builder",
            modified_by="Ada Builder",
            owner_role="Restricted Integration User",
            created_at=0.0,
            modified_at=0.0,
            version="2.0",
            nux_visible=False,
            steps=tuple(steps),
        )
        self.simulator.tenant.flows[flow.id] = flow
        return flow.id


def import_options(name: str, file: str, number: int = 1) -> Sequence[str]:
    """The options that create an import."""
    ids = ("--action", f"112{number:09}", "--data-source", f"113{number:09}")
    return ("--name", name, "--connection", BUCKET, "--file", file, *ids)


@contextmanager
def empty_tenant(run_seconds: float = 0.0) -> Iterator[CliTenant]:
    """A tenant with one user who sees one workspace, and nothing in it."""
    buckets = MemoryBuckets()
    settings = SimulatorSettings(pace=Pace(run_seconds=run_seconds), access_keys={ACCESS_KEY_ID: SECRET_ACCESS_KEY})
    simulator = Simulator(buckets, settings=settings)
    simulator.add_user(
        User(name=USERNAME, display_name="Ada Builder", password=PASSWORD, workspaces=frozenset({WORKSPACE_ID}))
    )
    with serve(simulator) as serving:
        yield CliTenant(simulator, buckets, serving)
