"""MCP servers: registering them, and taking in their tools."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from letta_grpc.domain.errors import InvalidRequest, NameTaken
from letta_grpc.domain.ids import McpServerId, new_mcp_server_id, new_tool_id
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import MAX_TOOL_NAME, HttpEndpoint, McpServer, McpSource, StdioEndpoint, Tool, ToolSignature
from letta_grpc.engine.pages import items_of
from letta_grpc.engine.tools import MAX_PARAMETERS_BYTES
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.mcp import McpClient, McpServerStore
from letta_grpc.ports.tool_store import NamedTools, ToolStore


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMcpServer:
    """An MCP server to register."""

    name: str
    endpoint: StdioEndpoint | HttpEndpoint


class McpServers:
    """The use cases of MCP servers. `reserved` are the names of built-in tools."""

    def __init__(
        self,
        *,
        servers: McpServerStore,
        client: McpClient,
        tools: ToolStore,
        named: NamedTools,
        reserved: Collection[str],
        clock: Clock,
    ) -> None:
        self._servers = servers
        self._client = client
        self._tools = tools
        self._named = named
        self._reserved = reserved
        self._clock = clock

    async def create(self, new: NewMcpServer) -> McpServer:
        """Register a server, without asking it. Raises InvalidRequest for an endpoint that is not allowed, NameTaken."""
        server = McpServer(id=new_mcp_server_id(), name=new.name, endpoint=new.endpoint, create_time=self._clock.now())
        self._client.check(server)
        return await self._servers.create(server)

    async def get(self, server_id: McpServerId) -> McpServer:
        """Return a server. Raises McpServerNotFound."""
        return await self._servers.get(server_id)

    async def list(self, page: PageRequest) -> Page[McpServer]:
        """Return a page of servers."""
        return await self._servers.list(page)

    async def delete(self, server_id: McpServerId) -> None:
        """Remove a server with its tools. Raises McpServerNotFound.

        The tools first: what is left after a crash half-way is a server that can be deleted again.
        """
        server = await self._servers.get(server_id)
        for tool in [tool async for tool in items_of(self._tools.list) if _server_of(tool) == server_id]:
            await self._tools.delete(tool.id)
        await self._servers.delete(server_id)
        await self._client.forget(server)

    async def list_tools(self, server_id: McpServerId) -> tuple[ToolSignature, ...]:
        """Ask a server which tools it has; one without a name, which nobody could call, is left out.

        Raises McpServerNotFound, McpServerFailed, ServerDraining, InvalidRequest as `create`.
        """
        offered = await self._client.list_tools(await self._servers.get(server_id))
        return tuple(signature for signature in offered if signature.name)

    async def add_tools(self, server_id: McpServerId, names: Sequence[str], prefix: str) -> tuple[Tool, ...]:
        """Store tools of a server, all if no names are given; those that are stored already get its newest signature.

        Raises what `list_tools` raises, InvalidRequest for names that the server does not have, NameTaken. It stores nothing
        then.
        """
        offered = {signature.name: signature for signature in await self.list_tools(server_id)}
        for index, name in enumerate(names or offered):
            if name not in offered:
                raise InvalidRequest(fields={f"names[{index}]": f"the server has no tool {name[:100]!r}"})
            if len(offered[name].parameters.encode()) > MAX_PARAMETERS_BYTES:
                raise InvalidRequest(fields={f"names[{index}]": f"its parameters have more than {MAX_PARAMETERS_BYTES} bytes"})
        wanted = {name: local_name(prefix, name) for name in names or offered}
        known = {tool.name: tool for tool in await self._named.find(tuple(wanted.values()))}
        self._check_free(server_id, wanted, known)
        return tuple([await self._add(server_id, offered[name], known.get(local), local) for name, local in wanted.items()])

    def _check_free(self, server_id: McpServerId, wanted: Mapping[str, str], known: Mapping[str, Tool]) -> None:
        owners: dict[str, str] = {}
        for remote, local in wanted.items():
            stored = known.get(local)
            if stored and not _is_of(stored, server_id, remote):
                raise NameTaken("Another tool has this name: give a prefix.", name=local)
            if local in self._reserved or owners.setdefault(local, remote) != remote:
                raise NameTaken("Another tool has this name: give a prefix.", name=local)

    async def _add(self, server_id: McpServerId, signature: ToolSignature, stored: Tool | None, name: str) -> Tool:
        now = self._clock.now()
        if stored:
            changes = {"description": signature.description, "parameters": signature.parameters}
            return await self._tools.update(stored.id, changes, now)
        tool = Tool(
            id=new_tool_id(),
            name=name,
            description=signature.description,
            parameters=signature.parameters,
            source=McpSource(server_id=server_id, remote_name=signature.name),
            create_time=now,
            update_time=now,
        )
        return await self._tools.create(tool)


def local_name(prefix: str, name: str) -> str:
    """Return the name under which agents have a tool: models take fewer signs in a name than MCP does."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", prefix + name)[:MAX_TOOL_NAME]


def _server_of(tool: Tool) -> McpServerId | None:
    return tool.source.server_id if isinstance(tool.source, McpSource) else None


def _is_of(tool: Tool, server_id: McpServerId, remote_name: str) -> bool:
    return isinstance(tool.source, McpSource) and (tool.source.server_id, tool.source.remote_name) == (server_id, remote_name)
