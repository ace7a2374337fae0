from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from blockbuster import BlockBuster, blockbuster_ctx

from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.testing.sandboxes import SandboxContract

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _never_blocks() -> Iterator[BlockBuster]:
    with blockbuster_ctx("letta_grpc.adapters.sandbox") as detector:
        yield detector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def contained() -> AsyncIterator[NamespaceSandbox]:
    sandbox = NamespaceSandbox()
    yield sandbox
    await sandbox.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def uncontained() -> AsyncIterator[NamespaceSandbox]:
    sandbox = NamespaceSandbox(contained=False)
    yield sandbox
    await sandbox.aclose()


class TestNamespaceSandbox(SandboxContract):
    @pytest.fixture
    def sandbox(self, contained: NamespaceSandbox) -> NamespaceSandbox:
        return contained


class TestUncontained(SandboxContract):
    @pytest.fixture
    def sandbox(self, uncontained: NamespaceSandbox) -> NamespaceSandbox:
        return uncontained
