"""What all tests share: Hypothesis' profiles, and an AWS environment that leads nowhere."""

from __future__ import annotations

import os
import signal
from functools import cache

import aws_durable_execution_sdk_python.state as sdk_state
import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("tests.security.canaries",)

settings.register_profile("default", max_examples=30, deadline=None, print_blob=True)
settings.register_profile(
    "nightly", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(PROFILE)

# The durable SDK's checkpoint thread looks this often whether its invocation has ended, and the invocation waits for
# it: a tenth of a second each, thousands of times in a run of the tests. Nothing but the wait depends on it.
sdk_state._STOP_SIGNAL_POLL_SECONDS = 0.005  # noqa: SLF001  (the SDK offers no setting for it)

# Every session of boto3 reads AWS's service models from disk; here all of them share what was read.
botocore.loaders.JSONFileLoader.load_file = staticmethod(cache(botocore.loaders.JSONFileLoader().load_file))  # type: ignore[method-assign]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # The tests were started with Ctrl-C ignored, as `nohup make test &` does. Children would inherit that, and some
    # tests
    # interrupt their children. A signal that is handled is back to its default in them; here it still does nothing.
    signal.signal(signal.SIGINT, lambda *_: None)


SLOW_TO_SET_UP = ("tests/browser/", "tests/e2e/", "tests/unit/test_package.py")
"""Folders and files whose fixtures start servers or build packages."""


class OneWorkerForOneStack(LoadScopeScheduling):
    """Gives the next test to the next worker that is free, but all tests of a file to one where setting up is slow."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.startswith(SLOW_TO_SET_UP) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Schedule so, whatever `--dist` says."""
    return OneWorkerForOneStack(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a test marked `crossed`, run each value of each parameter once, and all combinations at night."""
    if PROFILE == "nightly":
        return
    seen: set[tuple[str, str, str]] = set()
    kept, left_out = [], []
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("crossed"):
            test = item.nodeid.partition("[")[0]
            values = {(test, name, repr(value)) for name, value in item.callspec.params.items()}
            if values <= seen:
                left_out.append(item)
                continue
            seen |= values
        kept.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(autouse=True)
def _no_aws_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that do not exist: a call that escapes a local server is refused, not billed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTESTS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no-such-secret-access-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
