"""Records the permissions that the function needs, and holds every test that asks for it to the template's policy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from inspect import currentframe
from pathlib import Path
from typing import Any

import botocore.handlers
import pytest
from msgspec import Struct

from tests.security.policy import Need, Statement, needs, statements

SOURCE = str(Path(__file__).parents[2] / "src" / "anaplan_autoload" / "_").rstrip("_")
REGION, ACCOUNT = "eu-west-1", "123456789012"
PLACE = f"{REGION}:{ACCOUNT}"
"""Moto's account, and the tests' region."""

HARNESS: dict[str, str | list[str]] = {
    "AlertEmail": "finance@example.com",
    "PublishEvents": "true",
    "SlackChannel": "T0123ABCDEF/C0123ABCDEF",
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::StackName": "autoload",
    "DeadLetters.Arn": f"arn:aws:sqs:{PLACE}:dead-letters",
    "Inbox.Arn": "arn:aws:s3:::inbox",
    "Ledger.Arn": f"arn:aws:dynamodb:{PLACE}:table/ledger",
    "LogGroup.Arn": f"arn:aws:logs:{PLACE}:log-group:/aws/lambda/autoload:*",
    "Reports.Arn": "arn:aws:s3:::reports",
    "Secret": f"arn:aws:secretsmanager:{PLACE}:secret:anaplan",
    "Topic": f"arn:aws:sns:{PLACE}:alerts",
    "MailTopic": f"arn:aws:sns:{PLACE}:mails",
    "ChatTopic": f"arn:aws:sns:{PLACE}:chat",
    "TopicKey.Arn": f"arn:aws:kms:{PLACE}:key/topic",
}
"""The in-process harness in the template's terms."""


class Used(Struct):
    """What the function needed so far."""

    needs: set[Need]

    def forbidden(self) -> list[Need]:
        """What the template does not allow."""
        return sorted(need for need in self.needs if not any(each.allows(need) for each in allowed()))


@cache
def allowed() -> list[Statement]:
    """The template's policy, with its defaults, for the harness."""
    return statements(HARNESS)


def record(patch: pytest.MonkeyPatch) -> Used:
    """Record what the function's calls need, those of clients that are made from now on."""
    used = Used(set())

    def called(params: dict[str, Any], model: Any, **_: object) -> None:
        if _is_functions_own():
            used.needs.update(needs(model.service_model.service_name, model.name, params, PLACE))

    handlers = [*botocore.handlers.BUILTIN_HANDLERS, ("before-parameter-build", called)]
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    return used


def _is_functions_own() -> bool:
    """Whether the package that is deployed makes the call, and not the test itself."""
    frame = currentframe()
    while frame := frame and frame.f_back:
        if frame.f_code.co_filename.startswith(SOURCE):
            return True
    return False


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    """What the function needs in this test, which fails when the template does not allow it."""
    used = record(monkeypatch)
    yield used
    assert used.forbidden() == [], "the template does not allow what the function did"
