"""What an McpClient promises.

A subclass gives the fixtures `client`, and `server` and `other`: two registrations of running MCP servers of the same kind.
They have the tools `add` (the sum of the integers `a` and `b`), `fails` (always), `image` (a PNG), `huge` (a text of so many
`characters`), `pid` (the server's process id) and `slow` (never ends; tells by files in `folder` when it began and was
cancelled: `<name>.began`, `<name>.cancelled`).
"""
# ruff: noqa: S101, PLR2004 - assert is what a contract does, expected values are what it is about

import asyncio
import json
from pathlib import Path

import pytest

from letta_grpc.domain.errors import McpServerFailed
from letta_grpc.domain.messages import ImagePart, ToolReturnStatus
from letta_grpc.domain.tools import McpServer
from letta_grpc.ports.mcp import McpClient
from letta_grpc.ports.tools import ToolResult

# What models write when they go wrong.
NO_ARGUMENTS = ("{", '{"a": ', "[]", "7", "null", '"{}"', "{} {}", "[" * 100_000)
_PATIENCE = 20.0


class McpClientContract:
    """What an McpClient promises. A subclass gives the fixtures `client`, `server` and `other`."""

    async def test_tools_are_listed_with_their_schemas(self, client: McpClient, server: McpServer) -> None:
        """Each as JSON text of an object's schema."""
        tools = {tool.name: tool for tool in await client.list_tools(server)}
        assert {"add", "fails", "image", "huge", "pid", "slow"} <= tools.keys()
        assert tools["add"].description
        schema = json.loads(tools["add"].parameters)
        assert schema["type"] == "object"
        assert schema["properties"].keys() == {"a", "b"}

    async def test_a_call_gives_what_the_tool_returns(self, client: McpClient, server: McpServer) -> None:
        """Without a list before it."""
        result = await client.call(server, "add", '{"a": 40, "b": 2}', _PATIENCE)
        assert (result.status, result.text) == (ToolReturnStatus.SUCCESS, "42")
        assert not result.content

    async def test_an_image_comes_as_a_part(self, client: McpClient, server: McpServer) -> None:
        """With its type."""
        result = await client.call(server, "image", "{}", _PATIENCE)
        (part,) = result.content
        assert isinstance(part, ImagePart)
        assert part.media_type == "image/png"
        assert part.data.startswith("iVBOR")

    async def test_a_failing_tool_is_an_error(self, client: McpClient, server: McpServer) -> None:
        """And the next call works."""
        assert_failed(await client.call(server, "fails", "{}", _PATIENCE))
        assert (await client.call(server, "add", '{"a": 1, "b": 1}', _PATIENCE)).text == "2"

    async def test_an_unknown_tool_and_wrong_arguments_are_errors(self, client: McpClient, server: McpServer) -> None:
        """The model is told."""
        assert "nope" in assert_failed(await client.call(server, "nope", "{}", _PATIENCE))
        assert_failed(await client.call(server, "add", '{"a": "x"}', _PATIENCE))

    @pytest.mark.parametrize("text", NO_ARGUMENTS, ids=lambda text: ascii(text[:12]))
    async def test_what_is_no_json_object_is_an_error(self, client: McpClient, server: McpServer, text: str) -> None:
        """Whatever a model writes."""
        assert_failed(await client.call(server, "add", text, _PATIENCE))

    async def test_a_huge_answer_is_cut_and_says_so(self, client: McpClient, server: McpServer) -> None:
        """It must fit into an event."""
        result = await client.call(server, "huge", '{"characters": 2000000}', _PATIENCE)
        assert result.status is ToolReturnStatus.SUCCESS
        assert len(result.text) < 500_000
        assert "2000000" in result.text

    async def test_a_call_that_takes_too_long_is_an_error_and_cancelled(
        self, client: McpClient, server: McpServer, folder: Path
    ) -> None:
        """At the server too, and other calls go on meanwhile and afterwards."""
        await client.list_tools(server)
        async with asyncio.timeout(_PATIENCE):
            late, quick = await asyncio.gather(
                client.call(server, "slow", '{"name": "late"}', 0.5),
                client.call(server, "add", '{"a": 1, "b": 2}', _PATIENCE),
            )
            assert "0.5 seconds" in assert_failed(late)
            assert quick.text == "3"
            await _there(folder / "late.cancelled")
        assert (await client.call(server, "add", '{"a": 1, "b": 1}', _PATIENCE)).text == "2"

    async def test_cancelling_the_caller_cancels_the_call(self, client: McpClient, server: McpServer, folder: Path) -> None:
        """And the session stays usable."""
        async with asyncio.timeout(_PATIENCE):
            async with asyncio.TaskGroup() as group:
                calling = group.create_task(client.call(server, "slow", '{"name": "cancel"}', _PATIENCE))
                await _there(folder / "cancel.began")
                calling.cancel()
            assert calling.cancelled()
            await _there(folder / "cancel.cancelled")
        assert (await client.call(server, "add", '{"a": 1, "b": 1}', _PATIENCE)).text == "2"

    async def test_two_servers_work_side_by_side(self, client: McpClient, server: McpServer, other: McpServer) -> None:
        """Each call reaches its own."""
        calls = [client.call(one, "pid", "{}", _PATIENCE) for one in (server, other, server, other)]
        first, second, *again = [result.text for result in await asyncio.gather(*calls)]
        assert first != second
        assert again == [first, second]

    async def test_a_forgotten_server_is_reached_again(self, client: McpClient, server: McpServer) -> None:
        """Forgetting closes; it does not refuse."""
        await client.forget(server)
        await client.forget(server)
        assert (await client.call(server, "add", '{"a": 1, "b": 1}', _PATIENCE)).text == "2"


class UnreachableMcpServerContract:
    """The same port, towards servers that do not work: the fixture `unreachable`."""

    async def test_listing_raises(self, client: McpClient, unreachable: McpServer) -> None:
        """Naming the server."""
        with pytest.raises(McpServerFailed) as caught:
            await client.list_tools(unreachable)
        assert unreachable.name in caught.value.message
        assert caught.value.metadata == {"mcp_server_id": unreachable.id}

    async def test_calling_is_an_error(self, client: McpClient, unreachable: McpServer) -> None:
        """The model is told which server it is."""
        assert unreachable.name in assert_failed(await client.call(unreachable, "add", '{"a": 1, "b": 1}', _PATIENCE))


def assert_failed(result: ToolResult) -> str:
    """The result is an error that a model can read; return its text."""
    assert result.status is ToolReturnStatus.ERROR
    assert not result.changes
    assert 0 < len(result.text) < 3000
    return result.text


async def _there(path: Path) -> None:
    # The tool is in another process: there is nothing to wait on but its file.
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - see above; it takes microseconds
        await asyncio.sleep(0.01)
