from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.houses import Wire, provider_of, wired
from tests.support.upstream import Upstream, running_upstream
from tests.support.wires import WIRE_WAYS, Way

Connect = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture(params=WIRE_WAYS, scope="module")
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]  # one of WIRE_WAYS


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        yield running


@pytest.fixture
def connect(way: Way, tmp_path: Path) -> Connect:
    """Start a server of a test's own: `async with connect(setting=…) as wire`."""
    return partial(wired, way, tmp_path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(way: Way, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """A server that a file's tests share, with the misbehaving models as `up/…`. It starts commands for its callers."""
    async with wired(way, tmp_path_factory.mktemp("house"), providers=provider_of(upstream), mcp_stdio=True) as wire:
        yield wire
