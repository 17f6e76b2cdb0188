"""The command line against the function in one process, which handles what it is sent at once."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import boto3

from tests import command_line
from tests.autoload import BUCKET, REPORTS, Autoload, ExecutionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tests.command_line import Said

ALIAS = "arn:aws:lambda:eu-west-1:123456789012:function:autoload:live"

GATHER_SECONDS = 0.3


class Command:
    """`anaplan-autoload`, with the settings of the function's surroundings."""

    def __init__(self, autoload: Autoload, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.queue = boto3.client("sqs").create_queue(QueueName="dead-letters")["QueueUrl"]
        settings = autoload.settings()
        monkeypatch.chdir(directory)
        for name, value in {
            "ANAPLAN_AUTH_URL": settings.auth_url,
            "ANAPLAN_SECRET_ID": settings.secret_id,
            "CLOUDWORKS_URL": settings.cloudworks_url,
            "DEAD_LETTER_QUEUE_URL": self.queue,
            "FUNCTION_ALIAS_ARN": ALIAS,
            "INBOX_BUCKET": BUCKET,
            "LEDGER_TABLE": settings.ledger_table,
            "REPORTS_BUCKET": REPORTS,
            "TOPIC_ARN": settings.topic_arn,
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> Said:
        """Run it."""
        return command_line.run(*arguments)

    def data(self, *arguments: str) -> Any:
        """What it prints with `--json`; fails the test when the command fails."""
        said = self(*arguments, "--json")
        assert said.code == 0, said.err
        return json.loads(_own(said.out))


@contextmanager
def handling(autoload: Autoload) -> Iterator[None]:
    """Let the function handle what it is sent meanwhile, the last first, as Lambda may, until nothing is left."""
    ended = Event()

    def handle() -> None:
        while not ended.wait(GATHER_SECONDS):
            _handle(autoload)
        _handle(autoload)

    thread = Thread(target=handle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _handle(autoload: Autoload) -> None:
    while events := autoload.sent.take():
        for event in reversed(events):
            with suppress(ExecutionFailed):
                autoload.invoke(event)


def _own(printed: str) -> str:
    """What the command printed, without the lines that the function logged meanwhile in the same process."""
    return "\n".join(line for line in printed.splitlines() if not line.startswith('{"'))
