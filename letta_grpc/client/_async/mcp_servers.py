"""`client.mcp_servers`: the calls of McpService, as methods."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.values import names_of
from letta_grpc.v1 import mcp_pb2, mcp_service_pb2, mcp_service_pb2_grpc, tools_pb2


class McpServers:
    """`client.mcp_servers`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = mcp_service_pb2_grpc.McpServiceStub(connection.channel)

    async def add_command(
        self, name: str, command: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> mcp_pb2.McpServer:
        """Register a server that is a command, run beside the agents' server; return it as stored."""
        stdio = mcp_pb2.StdioEndpoint(command=command, arguments=arguments, environment=environment)
        return await self._add(mcp_pb2.McpServer(name=name, stdio=stdio))

    async def add_url(self, name: str, url: str, *, headers: Mapping[str, str] | None = None) -> mcp_pb2.McpServer:
        """Register a server that listens; return it as stored."""
        return await self._add(mcp_pb2.McpServer(name=name, http=mcp_pb2.HttpEndpoint(url=url, headers=headers)))

    async def get(self, mcp_server_id: str) -> mcp_pb2.McpServer:
        """Return a registered server."""
        request = mcp_service_pb2.GetMcpServerRequest(mcp_server_id=mcp_server_id)
        return (await self._connection.ask(self._stub.GetMcpServer, request)).server

    def list(self, *, page_size: int | None = None, descending: bool = False) -> AsyncGenerator[mcp_pb2.McpServer, None]:
        """Iterate over registered servers, oldest first unless `descending`, over all pages."""
        request = mcp_service_pb2.ListMcpServersRequest(page_size=page_size or 0, descending=descending)
        return self._connection.pages(self._stub.ListMcpServers, request, lambda page: page.servers)

    async def delete(self, mcp_server_id: str) -> None:
        """Remove a server with the tools that were added from it."""
        request = mcp_service_pb2.DeleteMcpServerRequest(mcp_server_id=mcp_server_id)
        await self._connection.change(self._stub.DeleteMcpServer, request)

    async def tools(self, mcp_server_id: str) -> Sequence[mcp_pb2.McpTool]:
        """Ask a server which tools it has now."""
        request = mcp_service_pb2.ListMcpToolsRequest(mcp_server_id=mcp_server_id)
        return (await self._connection.ask(self._stub.ListMcpTools, request)).tools

    async def add_tools(self, mcp_server_id: str, names: Sequence[str] = (), *, prefix: str = "") -> Sequence[tools_pb2.Tool]:
        """Store tools of a server, all of them if none is named; return them under the names that agents know."""
        request = mcp_service_pb2.AddMcpToolsRequest(
            mcp_server_id=mcp_server_id, names=names_of("names", names), prefix=prefix
        )
        return (await self._connection.ask(self._stub.AddMcpTools, request)).tools

    async def _add(self, server: mcp_pb2.McpServer) -> mcp_pb2.McpServer:
        request = mcp_service_pb2.CreateMcpServerRequest(server=server)
        return (await self._connection.change(self._stub.CreateMcpServer, request)).server
