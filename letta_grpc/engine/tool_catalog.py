"""All tools under one roof: those of the server, those that people wrote, those of MCP servers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from letta_grpc.domain.arguments import as_json
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import LettaError
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.tools import McpSource, PythonSource, Tool
from letta_grpc.ports.mcp import McpClient, McpServerStore
from letta_grpc.ports.sandbox import Sandbox, SandboxCall
from letta_grpc.ports.tool_store import NamedTools
from letta_grpc.ports.tools import Output, OwnTools, ToolContext, ToolResult, failure

# By this name a tool that gets all of its agent's secrets, or asks for this one, is told whose tool it is: the reference
# server's tools are.
AGENT_ID = "LETTA_AGENT_ID"


class ToolCatalog:
    """Finds tools by name and runs each where it belongs. The server's own come first: nobody can take their names."""

    def __init__(
        self, *, own: OwnTools, stored: NamedTools, sandbox: Sandbox, servers: McpServerStore, client: McpClient
    ) -> None:
        self._own = own
        self._own_names = frozenset(own.names())
        self._stored = stored
        self._sandbox = sandbox
        self._servers = servers
        self._client = client

    async def load(self, names: Sequence[str]) -> Mapping[str, ToolDefinition]:
        """Return the definitions of these tools, in this order; a name without a tool is left out."""
        found = dict(await self._own.load(names))
        others = [name for name in names if name not in found]
        if others:
            found |= {tool.name: _definition_of(tool) for tool in await self._stored.find(others)}
        return {name: found[name] for name in names if name in found}

    def base_tools(self) -> Sequence[str]:
        """Return the names of the tools that a new agent gets."""
        return self._own.base_tools()

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:
        """Run a tool. Whatever is wrong is a result with status ERROR."""
        call = replace(call, arguments=as_json(call.arguments))
        if call.name in self._own_names:
            return await self._own.run(call, context, output)
        try:
            found = await self._stored.find([call.name])
            if found:
                secrets = {AGENT_ID: context.agent_id, **context.secrets}
                return await self.use(found[0], call.arguments, secrets, output)
        except LettaError as error:
            return failure(error.message)
        # It knows how to say that there is no such tool.
        return await self._own.run(call, context, output)

    async def use(self, tool: Tool, arguments: str, secrets: Mapping[str, str], output: Output) -> ToolResult:
        """Run a stored tool, which gets those of the secrets that it declares. Raises McpServerNotFound."""
        match tool.source:
            case PythonSource() as source:
                if missing := [name for name in source.secrets if name not in secrets]:
                    return failure(f"{tool.name} needs secrets that the agent does not have: {', '.join(missing)}.")
                environment = dict(secrets) if source.all_secrets else {name: secrets[name] for name in source.secrets}
                call = SandboxCall(source=source, name=tool.name, arguments=arguments, environment=environment)
                return await self._sandbox.run(call, output)
            case McpSource(server_id=server_id, remote_name=name, timeout_seconds=seconds):
                return await self._client.call(await self._servers.get(server_id), name, arguments, seconds)
            case _:
                raise ValueError(f"{tool.name} is not a stored tool")


def _definition_of(tool: Tool) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        idempotent=tool.idempotent,
        parallel=tool.parallel,
        requires_approval=tool.requires_approval,
        return_char_limit=tool.return_char_limit,
    )
