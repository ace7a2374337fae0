"""Registered MCP servers."""

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.rows import Row
from letta_grpc.adapters.sql.schema import mcp_servers
from letta_grpc.adapters.sql.tagged import form_of
from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.domain.errors import McpServerNotFound, NameTaken
from letta_grpc.domain.ids import McpServerId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint

_ENDPOINT = form_of(StdioEndpoint | HttpEndpoint)


class SqlMcpServerStore:
    """Registered MCP servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, server: McpServer) -> McpServer:
        """Store a server."""
        await self._database.write(lambda connection: _add(connection, server))
        return server

    async def get(self, server_id: McpServerId) -> McpServer:
        """Return a server."""
        return await self._database.read(lambda connection: _get(connection, server_id))

    async def list(self, page: PageRequest) -> Page[McpServer]:
        """Return servers."""
        query = paged(select(mcp_servers), mcp_servers.c.position, page)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, _server_of)

    async def delete(self, server_id: McpServerId) -> None:
        """Remove a server."""
        await self._database.write(lambda connection: _delete(connection, server_id))


def _add(connection: Connection, server: McpServer) -> None:
    values = {
        "id": server.id,
        "name": server.name,
        "endpoint": _ENDPOINT.dump(server.endpoint),
        "create_time": to_micros(server.create_time),
    }
    try:
        connection.execute(insert(mcp_servers), values)
    except IntegrityError:
        # The error holds the row, and so the secrets in it: it is not kept as the cause.
        raise NameTaken("Another MCP server has this name.", name=server.name) from None


def _get(connection: Connection, server_id: McpServerId) -> McpServer:
    row = connection.execute(select(mcp_servers).where(mcp_servers.c.id == server_id)).first()
    if row is None:
        raise McpServerNotFound(mcp_server_id=server_id)
    return _server_of(row)


def _delete(connection: Connection, server_id: McpServerId) -> None:
    if not connection.execute(delete(mcp_servers).where(mcp_servers.c.id == server_id)).rowcount:
        raise McpServerNotFound(mcp_server_id=server_id)


def _server_of(row: Row) -> McpServer:
    _, id_, name, endpoint, created = row
    return McpServer(id=id_, name=name, endpoint=_ENDPOINT.load(endpoint), create_time=from_micros(created))
