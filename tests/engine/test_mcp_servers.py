"""Taking in the tools of an MCP server. What the server says is the test's to decide."""

from dataclasses import dataclass, field, replace

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.errors import InvalidRequest, McpServerNotFound, NameTaken, ToolNotFound
from letta_grpc.domain.ids import new_tool_id
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import HttpEndpoint, McpServer, McpSource, PythonSource, StdioEndpoint, Tool, ToolSignature
from letta_grpc.engine.mcp_servers import McpServers, NewMcpServer
from letta_grpc.ports.tools import ToolResult
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec


@dataclass
class StatedClient:
    """A client of servers that have the stated tools; it allows no commands."""

    tools: dict[str, ToolSignature] = field(default_factory=dict)
    forgotten: list[McpServer] = field(default_factory=list)

    def state(self, *names: str, description: str = "", parameters: str = "{}") -> None:
        for name in names:
            self.tools[name] = ToolSignature(name=name, description=description, parameters=parameters)

    def check(self, server: McpServer) -> None:
        if isinstance(server.endpoint, StdioEndpoint):
            raise InvalidRequest(fields={"server.stdio": "no"})

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:
        self.check(server)
        return tuple(self.tools.values())

    async def call(self, server: McpServer, name: str, arguments: str, timeout_seconds: float) -> ToolResult:
        self.check(server)
        return ToolResult(status=ToolReturnStatus.SUCCESS, text=f"{name} {arguments} {timeout_seconds}")

    async def forget(self, server: McpServer) -> None:
        self.forgotten.append(server)


@dataclass
class Scene:
    clock: FakeClock
    database: MemoryDatabase
    client: StatedClient
    servers: McpServers

    async def server(self, name: str = "web") -> McpServer:
        return await self.servers.create(NewMcpServer(name=name, endpoint=HttpEndpoint(url="http://a")))

    async def stored(self) -> list[Tool]:
        return list((await self.database.tools.list(PageRequest(size=1000))).items)

    async def local_tool(self, name: str) -> Tool:
        now, source = self.clock.now(), PythonSource(code="")
        tool = Tool(id=new_tool_id(), name=name, parameters="{}", source=source, create_time=now, update_time=now)
        return await self.database.tools.create(tool)


@pytest.fixture
def scene() -> Scene:
    clock = FakeClock()
    database, client = MemoryDatabase(clock, ProtoEventCodec()), StatedClient()
    servers = McpServers(
        servers=database.mcp_servers,
        client=client,
        tools=database.tools,
        named=database.tools,
        reserved={"memory_insert"},
        clock=clock,
    )
    return Scene(clock, database, client, servers)


async def test_an_endpoint_that_is_not_allowed_is_not_registered(scene: Scene) -> None:
    with pytest.raises(InvalidRequest):
        await scene.servers.create(NewMcpServer(name="own", endpoint=StdioEndpoint(command="run")))
    assert not (await scene.servers.list(PageRequest())).items


async def test_all_tools_are_added_where_none_is_named(scene: Scene) -> None:
    scene.client.state("one", "two", description="Does it.", parameters='{"type": "object"}')
    server = await scene.server()
    added = await scene.servers.add_tools(server.id, (), "")
    assert [tool.name for tool in added] == ["one", "two"]
    assert added[0].source == McpSource(server_id=server.id, remote_name="one")
    assert (added[0].description, added[0].parameters) == ("Does it.", '{"type": "object"}')
    assert await scene.stored() == list(added)


async def test_names_become_what_models_take_and_the_tool_is_called_by_its_own(scene: Scene) -> None:
    scene.client.state("files.read/é", "x" * 100)
    odd, long = await scene.servers.add_tools((await scene.server()).id, (), "p_")
    assert (odd.name, long.name) == ("p_files_read__", "p_" + "x" * 62)
    assert isinstance(odd.source, McpSource)
    assert odd.source.remote_name == "files.read/é"


async def test_a_tool_without_a_name_is_left_out(scene: Scene) -> None:
    """There would be nothing to call it by."""
    scene.client.state("", "one")
    server = await scene.server()
    assert [signature.name for signature in await scene.servers.list_tools(server.id)] == ["one"]
    assert [tool.name for tool in await scene.servers.add_tools(server.id, (), "p_")] == ["p_one"]
    with pytest.raises(InvalidRequest) as caught:
        await scene.servers.add_tools(server.id, ("one", ""), "p_")
    assert caught.value.fields == {"names[1]": "the server has no tool ''"}


async def test_adding_again_takes_in_the_signature_and_keeps_the_rest(scene: Scene) -> None:
    scene.client.state("one", description="old")
    server = await scene.server()
    (before,) = await scene.servers.add_tools(server.id, (), "")
    kept = await scene.database.tools.update(before.id, {"requires_approval": True}, scene.clock.now())
    scene.client.state("one", description="new", parameters='{"type": "object"}')
    (after,) = await scene.servers.add_tools(server.id, (), "")
    assert after == replace(kept, description="new", parameters='{"type": "object"}', update_time=after.update_time)


@pytest.mark.parametrize("taken", ["memory_insert", "mine", "theirs", "a.b"])
async def test_a_name_that_is_taken_stores_nothing(scene: Scene, taken: str) -> None:
    await scene.local_tool("mine")
    other = await scene.server("other")
    scene.client.state("theirs")
    await scene.servers.add_tools(other.id, (), "")
    before = await scene.stored()
    # Two names that become one are taken by each other.
    scene.client.state("free", taken, "a/b")
    with pytest.raises(NameTaken):
        await scene.servers.add_tools((await scene.server()).id, ("free", taken, "a/b"), "")
    assert await scene.stored() == before


async def test_another_tool_of_the_same_server_has_its_name_too(scene: Scene) -> None:
    scene.client.state("a.b", "a/b")
    server = await scene.server()
    await scene.servers.add_tools(server.id, ("a.b",), "")
    with pytest.raises(NameTaken):
        await scene.servers.add_tools(server.id, ("a/b",), "")


async def test_what_cannot_be_added_is_named_by_its_place(scene: Scene) -> None:
    scene.client.state("one")
    scene.client.state("huge", parameters='"' + "x" * 70_000 + '"')
    server = await scene.server()
    for name, rule in (("none", "no tool 'none'"), ("huge", "65536 bytes")):
        with pytest.raises(InvalidRequest) as caught:
            await scene.servers.add_tools(server.id, ("one", name), "")
        assert rule in caught.value.fields["names[1]"]
    assert not await scene.stored()


async def test_a_deleted_server_takes_its_tools_and_leaves_the_others(scene: Scene) -> None:
    """Also those beyond the first page of tools."""
    server, other = await scene.server(), await scene.server("other")
    mine = await scene.local_tool("mine")
    scene.client.state(*(f"t{number}" for number in range(1000)))
    added = await scene.servers.add_tools(server.id, (), "")
    (theirs,) = await scene.servers.add_tools(other.id, ("t0",), "other_")
    await scene.servers.delete(server.id)
    assert await scene.stored() == [mine, theirs]
    with pytest.raises(ToolNotFound):
        await scene.database.tools.get(added[-1].id)
    assert scene.client.forgotten == [server]
    with pytest.raises(McpServerNotFound):
        await scene.servers.delete(server.id)
    assert (await scene.servers.list(PageRequest())).items == (other,)
    assert await scene.servers.get(other.id) == other
