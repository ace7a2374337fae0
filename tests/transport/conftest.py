"""Both ways to reach the services, and an engine behind them."""

from collections.abc import AsyncIterator

import pytest

from tests.support.engine import Engine, engine
from tests.support.wires import WAYS, Way


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]  # one of WAYS


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async with engine() as running:
        yield running
