"""An open database file, for all tests of adapters."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from letta_grpc.testing.clocks import FakeClock
from tests.support.sqlite_worlds import Opened, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letta.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[Opened]:
    async with opened(path, FakeClock()) as file:
        yield file
