"""Tools that the server runs: what is kept of one, and what its source says of itself."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from letta_grpc.domain.ids import McpServerId, ToolId

DEFAULT_RETURN_CHAR_LIMIT = 50_000
DEFAULT_TOOL_TIMEOUT_SECONDS = 60.0


class OutputStream(Enum):
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

    `secrets` are the names of those of the agent's secrets that the tool gets, as environment variables.
    """

    code: str
    timeout_seconds: float = DEFAULT_TOOL_TIMEOUT_SECONDS
    allow_network: bool = False
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSource:
    """A tool of an MCP server, under the name that it has there."""

    server_id: McpServerId
    remote_name: str
    timeout_seconds: float = DEFAULT_TOOL_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A stored tool. Names are unique.

    `idempotent`: running it twice does what running it once does, so that a takeover may run it again. `parallel`: it may
    run beside other calls of its step. `return_char_limit`: how much of its answer the model is shown.
    """

    id: ToolId
    name: str
    description: str = ""
    parameters: str
    source: PythonSource | McpSource
    tags: tuple[str, ...] = ()
    return_char_limit: int = DEFAULT_RETURN_CHAR_LIMIT
    requires_approval: bool = False
    idempotent: bool = False
    parallel: bool = True
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StdioEndpoint:
    """An MCP server that is started as a child process and spoken to over its standard streams."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """An MCP server that speaks streamable HTTP. `headers` go out with every request and are never shown."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A registered MCP server. Names are unique."""

    id: McpServerId
    name: str
    endpoint: StdioEndpoint | HttpEndpoint
    create_time: datetime
