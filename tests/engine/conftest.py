import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.engine import Engine, engine


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with asyncio.timeout(10), engine() as running:
        yield running
