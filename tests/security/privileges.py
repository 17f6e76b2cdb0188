"""Records the permissions that the functions need, and holds every test that asks for it to the template's policies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from inspect import currentframe
from pathlib import Path
from typing import Any

import botocore.handlers
import pytest
from msgspec import Struct

from tests.security.policy import ROLE, Need, Statement, needs, statements

SOURCE = str(Path(__file__).parents[2] / "src" / "anaplan_autoload" / "_").rstrip("_")
PAGE_SOURCE = f"{SOURCE}page/"
PAGE_ROLE = "PageRole"
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
    "Autoload.Alias": f"arn:aws:lambda:{PLACE}:function:autoload:live",
    "DeadLetters.Arn": f"arn:aws:sqs:{PLACE}:dead-letters",
    "Inbox.Arn": "arn:aws:s3:::inbox",
    "Ledger.Arn": f"arn:aws:dynamodb:{PLACE}:table/ledger",
    "LogGroup.Arn": f"arn:aws:logs:{PLACE}:log-group:/aws/lambda/autoload:*",
    "PageLogGroup.Arn": f"arn:aws:logs:{PLACE}:log-group:page:*",
    "Reports.Arn": "arn:aws:s3:::reports",
    "Secret": f"arn:aws:secretsmanager:{PLACE}:secret:anaplan",
    "Topic": f"arn:aws:sns:{PLACE}:alerts",
    "MailTopic": f"arn:aws:sns:{PLACE}:mails",
    "ChatTopic": f"arn:aws:sns:{PLACE}:chat",
    "TopicKey.Arn": f"arn:aws:kms:{PLACE}:key/topic",
}
"""The in-process harness in the template's terms."""


class Used(Struct):
    """What the functions needed so far."""

    needs: set[Need]
    """Of the function."""
    page_needs: set[Need]
    """Of the load history page, which has a role of its own."""

    def forbidden(self) -> list[Need]:
        """What the template does not allow."""
        asked = [(need, allowed()) for need in self.needs] + [(need, allowed(PAGE_ROLE)) for need in self.page_needs]
        return sorted(need for need, policy in asked if not any(each.allows(need) for each in policy))


@cache
def allowed(role: str = ROLE) -> list[Statement]:
    """A role's policy in the template, with its defaults, for the harness."""
    return statements(HARNESS, role)


def record(patch: pytest.MonkeyPatch) -> Used:
    """Record what the function's calls need, those of clients that are made from now on."""
    used = Used(set(), set())

    def called(params: dict[str, Any], model: Any, **_: object) -> None:
        if sources := _callers():
            by_page = any(source.startswith(PAGE_SOURCE) for source in sources)
            found = needs(model.service_model.service_name, model.name, params, PLACE)
            (used.page_needs if by_page else used.needs).update(found)

    handlers = [*botocore.handlers.BUILTIN_HANDLERS, ("before-parameter-build", called)]
    patch.setattr(botocore.handlers, "BUILTIN_HANDLERS", handlers)
    return used


def _callers() -> list[str]:
    """The sources of the deployed package that make the call; none where it is the test's own."""
    found, frame = [], currentframe()
    while frame := frame and frame.f_back:
        found.append(frame.f_code.co_filename)
    return [source for source in found if source.startswith(SOURCE)]


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    """What the function needs in this test, which fails when the template does not allow it."""
    used = record(monkeypatch)
    yield used
    assert used.forbidden() == [], "the template does not allow what the function did"
