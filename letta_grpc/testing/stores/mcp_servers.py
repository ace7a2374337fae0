"""What an McpServerStore promises."""
# ruff: noqa: S101 - assert is what a contract does

import pytest

from letta_grpc.domain.errors import McpServerNotFound, NameTaken
from letta_grpc.domain.ids import new_mcp_server_id
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint
from letta_grpc.testing.stores.paging import check_pages, check_pages_while_items_are_added
from letta_grpc.testing.stores.world import World

CHILD = StdioEndpoint(command="run", arguments=("-x", "a b"), environment={"KEY": "s\u00e9cret", "EMPTY": ""})
WEB = HttpEndpoint(url="https://example.com/mcp", headers={"authorization": "Bearer t"})


class McpServerStoreContract:
    """What an McpServerStore promises. A subclass gives the fixture `world`."""

    @pytest.mark.parametrize("endpoint", [CHILD, WEB, StdioEndpoint(command="run"), HttpEndpoint(url="http://a")])
    async def test_a_server_is_read_as_it_was_stored(self, world: World, endpoint: StdioEndpoint | HttpEndpoint) -> None:
        """With all that it was registered with."""
        server = new_server(world, "a", endpoint)
        assert await world.mcp_servers.create(server) == server
        assert await world.mcp_servers.get(server.id) == server

    async def test_names_are_unique(self, world: World) -> None:
        """A refused one is not stored; a name is free again once its server is gone."""
        first, second = new_server(world, "a"), new_server(world, "a")
        await world.mcp_servers.create(first)
        with pytest.raises(NameTaken) as caught:
            await world.mcp_servers.create(second)
        assert caught.value.metadata == {"name": "a"}
        with pytest.raises(McpServerNotFound):
            await world.mcp_servers.get(second.id)
        await world.mcp_servers.delete(first.id)
        await world.mcp_servers.create(second)

    async def test_servers_are_listed_by_page(self, world: World) -> None:
        """In order of creation, also while more are added."""
        servers = [await world.mcp_servers.create(new_server(world, f"s{index}")) for index in range(5)]
        await check_pages(world.mcp_servers.list, servers)
        for server in servers:
            await world.mcp_servers.delete(server.id)
        numbers = iter(range(100))
        await check_pages_while_items_are_added(
            world.mcp_servers.list, lambda: world.mcp_servers.create(new_server(world, f"n{next(numbers)}"))
        )

    async def test_a_deleted_server_is_gone(self, world: World) -> None:
        """Like one that never was."""
        server = await world.mcp_servers.create(new_server(world, "a"))
        await world.mcp_servers.delete(server.id)
        for server_id in (server.id, new_mcp_server_id()):
            with pytest.raises(McpServerNotFound) as caught:
                await world.mcp_servers.get(server_id)
            assert caught.value.metadata == {"mcp_server_id": server_id}
            with pytest.raises(McpServerNotFound):
                await world.mcp_servers.delete(server_id)


def new_server(world: World, name: str, endpoint: StdioEndpoint | HttpEndpoint = CHILD) -> McpServer:
    """Return a server that is not stored yet."""
    return McpServer(id=new_mcp_server_id(), name=name, endpoint=endpoint, create_time=world.time())
