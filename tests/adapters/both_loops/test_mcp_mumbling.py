"""Children that write to stdout what is not the protocol."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.errors import McpServerFailed
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import McpServer, StdioEndpoint
from tests.support import mcp_mumbler
from tests.support.mcp_servers import registered

PATIENCE = 20.0
OPEN = McpPolicy(allow_stdio=True)
MUMBLER = StdioEndpoint(command=sys.executable, arguments=(str(Path(mcp_mumbler.__file__)),))


def loud(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an operator reads."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def writing(command: str, folder: Path) -> McpServer:
    shell = f"echo $$ > {folder / 'pid'}; exec {command}"
    return registered("mumbler", StdioEndpoint(command="sh", arguments=("-c", shell)))


@pytest.mark.parametrize("command", ["yes", "cat /dev/zero"])
async def test_a_server_that_writes_only_garbage_is_ended_and_this_is_said_once(
    command: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with pytest.raises(McpServerFailed, match=r"'mumbler'.*stdout is not JSON-RPC"):
            await client.list_tools(writing(command, tmp_path))
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
    assert loud(caplog) == ["an MCP server writes to stdout what is not JSON-RPC"]


async def test_stray_lines_are_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    server = registered("mumbler", MUMBLER)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        for _ in range(3):
            assert (await client.call(server, "chatters", "{}", PATIENCE)).status is ToolReturnStatus.SUCCESS
    assert loud(caplog) == ["an MCP server writes to stdout what is not JSON-RPC"]


async def test_stray_lines_can_be_read_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "letta_grpc.adapters.mcp"):
        async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
            await client.call(registered("mumbler", MUMBLER), "stutters", "{}", PATIENCE)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert "stdout of an MCP server: caf\ufffd" in said


async def test_a_call_under_way_is_told_that_its_server_writes_only_garbage_and_the_next_one_works() -> None:
    server = registered("mumbler", MUMBLER)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        lost = await client.call(server, "floods", "{}", PATIENCE)
        assert lost.status is ToolReturnStatus.ERROR
        assert "stdout is not JSON-RPC" in lost.text
        assert "may have had its effect" in lost.text
        assert (await client.call(server, "chatters", "{}", PATIENCE)).status is ToolReturnStatus.SUCCESS


async def test_what_a_server_says_under_the_code_of_a_lost_connection_is_told() -> None:
    """JSON-RPC leaves -32000 to servers, and the mcp package has it for connections that are lost."""
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        refused = await client.call(registered("mumbler", MUMBLER), "refuses", "{}", PATIENCE)
    assert refused.status is ToolReturnStatus.ERROR
    assert refused.text == "Error: the MCP server 'mumbler' refused the call: the disk is full"


async def test_a_byte_that_is_not_utf8_costs_that_character_alone() -> None:
    server = registered("mumbler", MUMBLER)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        assert (await client.call(server, "stutters", "{}", PATIENCE)).text == "caf\ufffd"


async def test_a_call_fails_at_once_when_the_server_closes_its_stdout() -> None:
    server = registered("mumbler", MUMBLER)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        assert "ended before it answered" in (await client.call(server, "closes", "{}", PATIENCE)).text
