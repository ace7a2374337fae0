"""McpService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.engine.mcp_servers import McpServers
from letta_grpc.transport.convert.mcp import (
    mcp_tool_to_pb,
    new_server_from_pb,
    server_id_from_pb,
    server_to_pb,
    servers_page_from_pb,
    tools_to_add_from_pb,
)
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.tools import tool_to_pb
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting
from letta_grpc.v1 import mcp_service_pb2 as pb


class McpServicer:
    """Keeps MCP servers."""

    def __init__(self, servers: McpServers) -> None:
        self._servers = servers

    async def CreateMcpServer(self, request: pb.CreateMcpServerRequest, _call: Call) -> pb.CreateMcpServerResponse:
        """Register a server."""
        return pb.CreateMcpServerResponse(server=server_to_pb(await self._servers.create(new_server_from_pb(request))))

    async def GetMcpServer(self, request: pb.GetMcpServerRequest, _call: Call) -> pb.GetMcpServerResponse:
        """Return a server."""
        return pb.GetMcpServerResponse(server=server_to_pb(await self._servers.get(server_id_from_pb(request))))

    async def ListMcpServers(self, request: pb.ListMcpServersRequest, _call: Call) -> pb.ListMcpServersResponse:
        """Return a page of servers."""
        found = await fitting(servers_page_from_pb(request), self._servers.list, server_to_pb)
        return pb.ListMcpServersResponse(servers=found.items, next_page_token=token_of(found.next))

    async def DeleteMcpServer(self, request: pb.DeleteMcpServerRequest, _call: Call) -> pb.DeleteMcpServerResponse:
        """Remove a server and its tools."""
        await self._servers.delete(server_id_from_pb(request))
        return pb.DeleteMcpServerResponse()

    async def ListMcpTools(self, request: pb.ListMcpToolsRequest, _call: Call) -> pb.ListMcpToolsResponse:
        """Ask a server for its tools."""
        tools = await self._servers.list_tools(server_id_from_pb(request))
        return pb.ListMcpToolsResponse(tools=[mcp_tool_to_pb(tool) for tool in tools])

    async def AddMcpTools(self, request: pb.AddMcpToolsRequest, _call: Call) -> pb.AddMcpToolsResponse:
        """Store tools of a server."""
        server_id, names, prefix = tools_to_add_from_pb(request)
        tools = await self._servers.add_tools(server_id, names, prefix)
        return pb.AddMcpToolsResponse(tools=[tool_to_pb(tool) for tool in tools])
