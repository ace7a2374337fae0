"""Tools of other servers, over the Model Context Protocol.

The contracts: `letta_grpc.testing.mcp` and, of the store, `letta_grpc.testing.stores`.
"""

from typing import Protocol

from letta_grpc.domain.ids import McpServerId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import McpServer, ToolSignature
from letta_grpc.ports.tools import ToolResult


class McpClient(Protocol):
    """Speaks to MCP servers; keeps connections between calls."""

    def check(self, server: McpServer) -> None:
        """Raise InvalidRequest, naming field and setting, for an endpoint that is not allowed here. It need not answer."""
        ...

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:
        """Ask the server for its tools. Raises McpServerFailed, ServerDraining, and what `check` raises."""
        ...

    async def call(self, server: McpServer, name: str, arguments: str, timeout_seconds: float) -> ToolResult:
        """Call a tool. Whatever goes wrong, a timeout too, is a result with status ERROR, never raised.

        A call is repeated only if the server has surely not seen it. When the caller is cancelled, so is the call.
        """
        ...

    async def forget(self, server: McpServer) -> None:
        """Close what is open towards a server, and end the process that was started for it."""
        ...


class McpServerStore(Protocol):
    """Registered MCP servers. A page goes by order of creation."""

    async def create(self, server: McpServer) -> McpServer:
        """Store a server. Raises NameTaken."""
        ...

    async def get(self, server_id: McpServerId) -> McpServer:
        """Return a server. Raises McpServerNotFound."""
        ...

    async def list(self, page: PageRequest) -> Page[McpServer]:
        """Return servers."""
        ...

    async def delete(self, server_id: McpServerId) -> None:
        """Remove a server. Raises McpServerNotFound."""
        ...
