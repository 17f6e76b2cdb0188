"""The function in one process, for every test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autoload import Autoload
from tests.security.privileges import used

__all__ = ["used"]  # holds every test of this folder to the template's policy


@pytest.fixture
def autoload(tmp_path: Path) -> Iterator[Autoload]:
    """The function, its AWS and its CloudWorks."""
    with Autoload(tmp_path) as made:
        yield made
