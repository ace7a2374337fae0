"""What callers may not have this server do."""

import asyncio
import os
from pathlib import Path

import pytest

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import HttpEndpoint
from tests.support.mcp_servers import registered, stdio_server

CLOSED = McpPolicy()
OPEN = McpPolicy(allow_stdio=True, allow_private_addresses=True)
PRIVATE = (
    "http://127.0.0.1/mcp",
    "http://localhost:8000/",
    "http://api.localhost/",
    "http://10.0.0.1/",
    "https://192.168.1.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
)


async def test_a_command_is_refused_by_the_name_of_the_setting_and_not_run(tmp_path: Path) -> None:
    server = stdio_server(tmp_path)
    async with McpConnections(CLOSED) as client:
        with pytest.raises(InvalidRequest) as caught:
            client.check(server)
        assert "LETTA_GRPC_MCP_STDIO" in caught.value.fields["server.stdio"]
        with pytest.raises(InvalidRequest):
            await client.list_tools(server)
        result = await client.call(server, "add", '{"a": 1, "b": 1}', 5)
    assert result.status is ToolReturnStatus.ERROR
    assert "LETTA_GRPC_MCP_STDIO" in result.text
    assert not os.listdir(tmp_path)  # noqa: PTH208 - pathlib would block


@pytest.mark.parametrize("url", PRIVATE)
def test_an_address_of_a_private_network_is_refused_by_the_name_of_the_setting(url: str) -> None:
    server = registered("private", HttpEndpoint(url=url))
    with pytest.raises(InvalidRequest) as caught:
        CLOSED.check(server)
    assert "LETTA_GRPC_MCP_PRIVATE_ADDRESSES" in caught.value.fields["server.http.url"]
    OPEN.check(server)


@pytest.mark.parametrize("url", ["https://example.com/mcp", "http://93.184.216.34:8080/", "https://[2606:4700::1111]/"])
def test_an_address_of_the_internet_is_allowed(url: str) -> None:
    CLOSED.check(registered("public", HttpEndpoint(url=url)))


@pytest.mark.parametrize(
    "url",
    ["", "mcp", "ftp://example.com/", "file:///etc/passwd", "http://", "http://[", "http://a:port/", "http://me:pw@a.com/"],
)
def test_what_is_no_address_of_a_web_server_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        OPEN.check(registered("odd", HttpEndpoint(url=url)))


async def test_a_name_of_a_private_address_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name passes; what it stands for is looked at with each request."""
    connected: list[str] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append("somebody")
        writer.close()

    async with asyncio.timeout(20), await asyncio.start_server(accept, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]

        async def getaddrinfo(*_name: object, **_more: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        server = registered("sly", HttpEndpoint(url=f"http://sly.example:{port}/mcp"))
        async with McpConnections(CLOSED) as client:
            assert (await client.call(server, "add", "{}", 15)).status is ToolReturnStatus.ERROR
            assert not connected
        async with McpConnections(OPEN) as client:
            assert (await client.call(server, "add", "{}", 15)).status is ToolReturnStatus.ERROR
            assert connected
