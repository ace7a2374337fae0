"""Tools that the server runs: what is kept of one, and what its source says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import McpServerId, ToolId

DEFAULT_RETURN_CHAR_LIMIT = 50_000
DEFAULT_TOOL_TIMEOUT_SECONDS = 60.0
# How many tools an agent may have.
MAX_AGENT_TOOLS = 64
# How many characters of a tool's name the providers of models take.
MAX_TOOL_NAME = 64


class OutputStream(IdentityEnum):
    """Where a tool writes while it runs."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSignature:
    """What a tool's source says of itself. `parameters` is a JSON Schema as text."""

    name: str
    description: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """Source code that defines one function: the tool. Only the sandbox ever runs it.

    `secrets` are the names of those of the agent's secrets that the tool gets, as environment variables; with
    `all_secrets` it gets the others, too.
    """

    code: str
    timeout_seconds: float = DEFAULT_TOOL_TIMEOUT_SECONDS
    allow_network: bool = False
    secrets: tuple[str, ...] = ()
    all_secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSource:
    """A tool of an MCP server, under the name that it has there."""

    server_id: McpServerId
    remote_name: str
    timeout_seconds: float = DEFAULT_TOOL_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinSource:
    """A tool that is part of the server. It is not stored and cannot be changed."""


ToolSource = PythonSource | McpSource | BuiltinSource
# When built-in tools were made: before anything else.
BUILTIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool. Names are unique.

    `idempotent`: running it twice does what running it once does, so that a takeover may run it again. `parallel`: it may
    run beside other calls of its step. `return_char_limit`: how much of its answer the model is shown.
    """

    id: ToolId
    name: str
    description: str = ""
    parameters: str
    source: ToolSource
    tags: tuple[str, ...] = ()
    return_char_limit: int = DEFAULT_RETURN_CHAR_LIMIT
    requires_approval: bool = False
    idempotent: bool = False
    parallel: bool = True
    create_time: datetime
    update_time: datetime


def with_tool(agent: Agent, name: str) -> Agent:
    """Return the agent with this tool, which it may have already. Raises InvalidRequest beyond MAX_AGENT_TOOLS."""
    if name in agent.tools:
        return agent
    if len(agent.tools) >= MAX_AGENT_TOOLS:
        raise InvalidRequest(fields={"name": f"the agent has {len(agent.tools)} tools, which is as many as it may have"})
    return replace(agent, tools=(*agent.tools, name))


def without_tool(agent: Agent, name: str) -> Agent:
    """Return the agent without a tool."""
    return replace(agent, tools=tuple(tool for tool in agent.tools if tool != name))


def with_approval(agent: Agent, name: str, *, required: bool | None) -> Agent:
    """Return the agent with its own setting of whether calls of a tool wait for approval; None: without one."""
    others = {tool: needed for tool, needed in agent.tool_approvals.items() if tool != name}
    return replace(agent, tool_approvals=others if required is None else {**others, name: required})


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioEndpoint:
    """An MCP server that is started as a child process and spoken to over its standard streams.

    The values of `environment` are secrets: never shown.
    """

    command: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """An MCP server that speaks streamable HTTP. `headers` go out with every request and are never shown."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A registered MCP server. Names are unique."""

    id: McpServerId
    name: str
    endpoint: StdioEndpoint | HttpEndpoint
    create_time: datetime
