"""An open database file, for all tests of adapters, and steps of long changes that are as small as can be."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.adapters.sql import filling, removing
from letta_grpc.testing.clocks import FakeClock
from tests.support.sql_worlds import Opened
from tests.support.sqlite_worlds import opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letta.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[Opened]:
    async with opened(path, FakeClock()) as file:
        yield file


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step stores one message, or removes one row."""
    for module in (filling, removing):
        monkeypatch.setattr(module, "STEP_SECONDS", 0)
        monkeypatch.setattr(module, "ROWS", 1)
