"""Tools as resources: made, listed, changed, and given to agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import InvalidRequest, NameTaken, ToolNotFound, ToolSourceInvalid
from letta_grpc.domain.ids import AgentId, ToolId, builtin_tool_id, new_tool_id
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tools import (
    BUILTIN_TIME,
    DEFAULT_RETURN_CHAR_LIMIT,
    BuiltinSource,
    McpSource,
    PythonSource,
    Tool,
    ToolSignature,
)
from letta_grpc.engine.pages import page_behind
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.ports.tool_store import AgentTools, NamedTools, ToolStore
from letta_grpc.ports.tools import OwnTools

MAX_DESCRIPTION = 16_384
MAX_PARAMETERS_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTool:
    """A Python tool to make. What is empty is taken from the source; a name chooses among its functions."""

    name: str = ""
    description: str = ""
    parameters: str = ""
    source: PythonSource
    tags: tuple[str, ...] = ()
    return_char_limit: int = DEFAULT_RETURN_CHAR_LIMIT
    requires_approval: bool = False
    idempotent: bool = False
    parallel: bool = True


def new_tool(new: NewTool, clock: Clock) -> Tool:
    """Return a tool of these values, not stored yet. Nothing is taken from its source any more."""
    now = clock.now()
    return Tool(
        id=new_tool_id(),
        name=new.name,
        description=new.description,
        parameters=new.parameters,
        source=new.source,
        tags=new.tags,
        return_char_limit=new.return_char_limit,
        requires_approval=new.requires_approval,
        idempotent=new.idempotent,
        parallel=new.parallel,
        create_time=now,
        update_time=now,
    )


class ToolRegistry:
    """The use cases of tools: those that are part of the server, and those that are stored."""

    def __init__(
        self,
        *,
        own: OwnTools,
        tools: ToolStore,
        named: NamedTools,
        attachments: AgentTools,
        sandbox: Sandbox,
        clock: Clock,
    ) -> None:
        self._own = own
        self._own_names = {builtin_tool_id(name): name for name in own.names()}
        self._tools = tools
        self._named = named
        self._attachments = attachments
        self._sandbox = sandbox
        self._clock = clock

    async def create(self, new: NewTool) -> Tool:
        """Make a tool. Raises NameTaken, ToolSourceInvalid, ToolSandboxUnavailable, InvalidRequest for another name."""
        return await self._tools.create(await self._made(new))

    async def upsert(self, new: NewTool) -> Tool:
        """Make a tool, or put it in the place of the Python tool that has its name. Raises as `create`."""
        tool = await self._made(new)
        for present in await self._named.find([tool.name]):
            if not isinstance(present.source, PythonSource):
                raise NameTaken("A tool of an MCP server has this name.", name=tool.name)
        return await self._named.put(tool)

    async def get(self, tool_id: ToolId) -> Tool:
        """Return a tool. Raises ToolNotFound."""
        name = self._own_names.get(tool_id)
        if name is None:
            return await self._tools.get(tool_id)
        return _builtin((await self._own.load([name]))[name])

    async def named(self, name: str) -> Tool:
        """Return the tool of this name. Raises ToolNotFound."""
        if name in self._own_names.values():
            return await self.get(builtin_tool_id(name))
        for tool in await self._named.find([name]):
            return tool
        raise ToolNotFound(name=name)

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Tool]:
        """Return a page of tools, built-in ones first."""
        names = [] if tags else [own for own in self._own.names() if name in (None, own)]
        own = [_builtin(definition) for definition in (await self._own.load(names)).values()]
        return await page_behind(own, lambda part: self._tools.list(part, name=name, tags=tags), page)

    async def update(self, tool_id: ToolId, changes: Mapping[str, object]) -> Tool:
        """Set the named fields; an empty description or schema means the source's.

        Raises ToolNotFound, InvalidRequest for what cannot be changed, ToolSourceInvalid, ToolSandboxUnavailable.
        """
        self._refuse_builtin(tool_id)
        tool = await self._tools.get(tool_id)
        return await self._tools.update(tool_id, await self._completed(tool, changes), self._clock.now())

    async def delete(self, tool_id: ToolId) -> None:
        """Remove a tool, from all agents too. Raises ToolNotFound, InvalidRequest for a built-in tool."""
        self._refuse_builtin(tool_id)
        await self._tools.delete(tool_id)

    async def attach(self, agent_id: AgentId, name: str) -> Agent:
        """Give a tool to an agent. Raises AgentNotFound, ToolNotFound, InvalidRequest beyond MAX_AGENT_TOOLS."""
        await self.named(name)
        return await self._attachments.attach(agent_id, name, self._clock.now())

    async def detach(self, agent_id: AgentId, name: str) -> Agent:
        """Take a tool from an agent. Raises AgentNotFound."""
        return await self._attachments.detach(agent_id, name, self._clock.now())

    async def set_approval(self, agent_id: AgentId, name: str, *, required: bool | None) -> Agent:
        """Say whether an agent's calls of a tool wait for approval. Raises AgentNotFound, ToolNotFound."""
        await self.named(name)
        return await self._attachments.set_approval(agent_id, name, self._clock.now(), required=required)

    async def _made(self, new: NewTool) -> Tool:
        signature = await self._describe(new.source.code, new.name, new.parameters)
        if new.name and new.name != signature.name:
            rule = f"must be the name of a public function of the source, as {signature.name!r} is"
            raise InvalidRequest(fields={"tool.name": rule})
        if signature.name in self._own_names.values():
            raise NameTaken("A built-in tool has this name.", name=signature.name)
        description = new.description or signature.description
        whole = replace(new, name=signature.name, description=description, parameters=signature.parameters)
        return new_tool(whole, self._clock)

    async def _describe(self, code: str, name: str, parameters: str) -> ToolSignature:
        signature = await self._sandbox.describe(code, name=name, parameters=parameters)
        if len(signature.description) > MAX_DESCRIPTION:
            raise ToolSourceInvalid(
                f"The docstring has {len(signature.description)} characters, {MAX_DESCRIPTION} are allowed."
            )
        if (size := len(signature.parameters.encode())) > MAX_PARAMETERS_BYTES:
            raise ToolSourceInvalid(f"The schema of the parameters has {size} bytes, {MAX_PARAMETERS_BYTES} are allowed.")
        return signature

    async def _completed(self, tool: Tool, changes: Mapping[str, object]) -> Mapping[str, object]:
        """Return the changes with what the source has to say about them."""
        if isinstance(seconds := changes.get("mcp_timeout_seconds"), float):
            if not isinstance(tool.source, McpSource):
                raise InvalidRequest(fields={"update_mask": "'mcp.timeout' cannot be changed: it is no tool of an MCP server"})
            rest = {field: value for field, value in changes.items() if field != "mcp_timeout_seconds"}
            return {**await self._completed(tool, rest), "source": replace(tool.source, timeout_seconds=seconds)}
        source = changes.get("source", tool.source)
        if not isinstance(tool.source, PythonSource) or not isinstance(source, PythonSource):
            if "source" in changes or changes.get("parameters") == "":
                raise InvalidRequest(fields={"update_mask": "this tool has no source that could be changed or described"})
            return changes
        is_new = source.code != tool.source.code
        derived = [
            field for field in ("description", "parameters") if changes.get(field) == "" or (is_new and field not in changes)
        ]
        if not is_new and not derived:
            return changes
        given = "" if "parameters" in derived else str(changes.get("parameters", tool.parameters))
        signature = await self._describe(source.code, tool.name, given)
        if signature.name != tool.name:
            rule = f"must define {tool.name!r}, which is the tool's name; it defines {signature.name!r}"
            raise InvalidRequest(fields={"tool.python.code": rule})
        return {**changes, **{field: getattr(signature, field) for field in derived}}

    def _refuse_builtin(self, tool_id: ToolId) -> None:
        if tool_id in self._own_names:
            raise InvalidRequest(fields={"tool_id": "is a built-in tool, which cannot be changed"})


def _builtin(definition: ToolDefinition) -> Tool:
    return Tool(
        id=builtin_tool_id(definition.name),
        name=definition.name,
        description=definition.description,
        parameters=definition.parameters,
        source=BuiltinSource(),
        return_char_limit=definition.return_char_limit,
        requires_approval=definition.requires_approval,
        idempotent=definition.idempotent,
        parallel=definition.parallel,
        create_time=BUILTIN_TIME,
        update_time=BUILTIN_TIME,
    )
