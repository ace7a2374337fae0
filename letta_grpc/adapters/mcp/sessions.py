"""One session per server, opened by its first call and opened again when it has ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED
from pydantic import ValidationError

from letta_grpc.adapters.mcp.connection import Connection, NotDeliveredError
from letta_grpc.adapters.mcp.http import ENDED, TOO_LARGE
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.adapters.mcp.refusals import fault_of
from letta_grpc.adapters.mcp.results import result_of, signature_of
from letta_grpc.domain.errors import McpServerFailed
from letta_grpc.domain.ids import McpServerId
from letta_grpc.domain.tools import McpServer, ToolSignature
from letta_grpc.ports.tools import ToolResult, failure

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_COMPLAINT = 2000
# By code alone lost connections are not told apart from what servers say: it is the one that many have for everything. The
# others are the mcp package's words.
_LOST = (ENDED, "Connection closed", "SSE stream ")


class Sessions:
    """The open sessions. Each has a task in `group`."""

    def __init__(self, group: asyncio.TaskGroup, policy: McpPolicy) -> None:
        self._group = group
        self._policy = policy
        self._connections: dict[McpServerId, Connection] = {}

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:
        """Ask a server for its tools. Raises McpServerFailed."""
        tools = await self._delivered(server, lambda connection: connection.list_tools())
        return tuple(signature_of(tool) for tool in tools)

    async def call(self, server: McpServer, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool."""
        try:
            return result_of(await self._delivered(server, lambda connection: connection.call(name, arguments)))
        except MCPError as error:
            if error.code == CONNECTION_CLOSED and error.message.startswith(_LOST):
                return failure(
                    f"the connection to the MCP server {server.name!r} ended before it answered. The call may have had its "
                    "effect; it was not repeated."
                )
            if error.code == TOO_LARGE:
                return failure(
                    f"the MCP server {server.name!r} failed: {error.message}. The call may have had its effect; it was not "
                    "repeated."
                )
            return failure(f"the MCP server {server.name!r} refused the call: {error.message[:_MAX_COMPLAINT]}")
        except (ValidationError, RuntimeError) as error:
            logger.info(
                "what a tool of an MCP server answered is refused",
                exc_info=error,
                extra={"mcp_server": server.name, "tool": name},
            )
            return failure(
                f"the MCP server {server.name!r} gave an answer that cannot be used: {fault_of(error)}. The call may have had "
                "its effect; it was not repeated."
            )

    async def forget(self, server: McpServer) -> None:
        """End the session with a server; return when it has ended."""
        connection = self._connections.pop(server.id, None)
        if connection:
            connection.end()
            await connection.gone.wait()

    def end(self) -> None:
        """Let all sessions end now."""
        while self._connections:
            _, connection = self._connections.popitem()
            connection.end()

    async def _delivered(self, server: McpServer, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask, and once more over a new connection if the server has surely not seen the question."""
        connection = self._connection(server)
        try:
            return await ask(connection)
        except NotDeliveredError as error:
            if server.id not in self._connections:
                # It was forgotten meanwhile, or all end: nobody would end another one.
                text = f"The session with the MCP server {server.name!r} was ended."
                raise McpServerFailed(text, mcp_server_id=server.id) from error
            logger.info("opening the session with an MCP server again", extra={"mcp_server": server.name})
            connection.release()
        try:
            return await ask(self._connection(server))
        except NotDeliveredError as error:
            raise McpServerFailed(f"The MCP server {server.name!r} failed: {error}.", mcp_server_id=server.id) from error

    def _connection(self, server: McpServer) -> Connection:
        connection = self._connections.get(server.id)
        if connection is None or not connection.is_usable:
            connection = Connection(server, allow_private_addresses=self._policy.allow_private_addresses)
            self._connections[server.id] = connection
            self._group.create_task(connection.run(), name=f"mcp {server.name}")
        return connection
