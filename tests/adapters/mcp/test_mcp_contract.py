"""The client's promises, over both transports, towards a server of the official package in a process of its own."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint
from letta_grpc.testing.mcp import McpClientContract, UnreachableMcpServerContract
from tests.support.mcp_servers import http_process, registered, stdio_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[McpConnections]:
    async with McpConnections(McpPolicy(allow_stdio=True, allow_private_addresses=True)) as connections:
        yield connections


class TestOverStdio(McpClientContract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, folder: Path) -> McpServer:
        return stdio_server(folder, "one")

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, folder: Path) -> McpServer:
        return stdio_server(folder, "two")

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("stdio")


class TestOverHttp(McpClientContract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, folder: Path) -> Iterator[McpServer]:
        with http_process(folder) as process:
            yield registered("one", process.endpoint)

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, folder: Path) -> Iterator[McpServer]:
        with http_process(folder) as process:
            yield registered("two", process.endpoint)

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("http")


BROKEN: dict[str, StdioEndpoint | HttpEndpoint] = {
    "no-such-command": StdioEndpoint(command="/no/such/command"),
    "ends-at-once": StdioEndpoint(command=sys.executable, arguments=("-c", "pass")),
    "talks-nonsense": StdioEndpoint(command=sys.executable, arguments=("-c", "print('{', flush=True); input()")),
    "nobody-listens": HttpEndpoint(url="http://127.0.0.1:1/mcp"),
    "unknown-host": HttpEndpoint(url="http://no-such-host.invalid/mcp"),
}


class TestOfWhatDoesNotWork(UnreachableMcpServerContract):
    @pytest.fixture(params=list(BROKEN))
    def unreachable(self, request: pytest.FixtureRequest) -> McpServer:
        return registered(request.param, BROKEN[request.param])
