"""The load history page, against the function's own ledger: what it shows, and what its buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from anaplan_autoload.page.services import PageServices, PageSettings
from anaplan_autoload.page.widget import answer
from tests.autoload import REPORTS, Autoload
from tests.integration.cli import ALIAS
from tests.integration.test_cli_service import command
from tests.integration.test_main_path import ACCOUNTS, KEY, latest

if TYPE_CHECKING:
    pass

__all__ = ["command"]

PAGE = "arn:aws:lambda:eu-west-1:123456789012:function:autoload-page"


@pytest.fixture
def services(autoload: Autoload) -> PageServices:
    """What the page's function would have."""
    settings = PageSettings(ledger_table=autoload.settings().ledger_table, function=ALIAS, reports_bucket=REPORTS)
    return PageServices(settings, boto3.session.Session())


def shown(services: PageServices, **event: Any) -> str:
    return answer(services, event, PAGE)


def test_a_load_is_listed(autoload: Autoload, services: PageServices) -> None:
    latest(autoload)
    autoload.invoke(autoload.upload(KEY, ACCOUNTS))
    page = shown(services)
    print(page)
    assert KEY in page
