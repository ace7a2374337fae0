"""Tools of other servers, over the Model Context Protocol. The contract: `letta_grpc.testing.mcp`."""

from typing import Protocol

from letta_grpc.domain.tools import McpServer, ToolSignature
from letta_grpc.ports.tools import ToolResult


class McpClient(Protocol):
    """Speaks to MCP servers; keeps connections between calls."""

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:
        """Return the server's tools. Raises McpServerFailed, and McpServerRefused for a transport that is not allowed here."""
        ...

    async def call(self, server: McpServer, name: str, arguments: str, timeout_seconds: float) -> ToolResult:
        """Call a tool. Whatever goes wrong, a timeout too, is a result with status ERROR, never raised."""
        ...

    async def forget(self, server: McpServer) -> None:
        """Close what is open towards a server."""
        ...
