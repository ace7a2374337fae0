"""Registered MCP servers in memory."""

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.errors import McpServerNotFound, NameTaken
from letta_grpc.domain.ids import McpServerId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import McpServer


class MemoryMcpServerStore:
    """Registered MCP servers."""

    def __init__(self, state: MemoryState) -> None:
        self._servers = state.mcp_servers

    async def create(self, server: McpServer) -> McpServer:
        """Store a server."""
        if any(other.name == server.name for other in self._servers):
            raise NameTaken("Another MCP server has this name.", name=server.name)
        self._servers.add(server.id, server)
        return server

    async def get(self, server_id: McpServerId) -> McpServer:
        """Return a server."""
        server = self._servers.find(server_id)
        if server is None:
            raise McpServerNotFound(mcp_server_id=server_id)
        return server

    async def list(self, page: PageRequest) -> Page[McpServer]:
        """Return servers."""
        return self._servers.page(page)

    async def delete(self, server_id: McpServerId) -> None:
        """Remove a server."""
        await self.get(server_id)
        self._servers.remove(server_id)
