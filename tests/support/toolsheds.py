"""Tools over stores in memory, as `app` joins them."""

from dataclasses import dataclass

from letta_grpc.adapters.builtin_tools.registry import BuiltinTools
from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.adapters.no_sandbox import NoSandbox
from letta_grpc.engine.tool_catalog import ToolCatalog
from letta_grpc.engine.tool_trials import ToolTrials
from letta_grpc.engine.tools import ToolRegistry
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.mcp import McpClient
from letta_grpc.ports.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Toolshed:
    """The use cases of tools, and the catalog that runs them."""

    registry: ToolRegistry
    trials: ToolTrials
    catalog: ToolCatalog
    own: BuiltinTools


def toolshed(
    database: MemoryDatabase, clock: Clock, *, sandbox: Sandbox | None = None, client: McpClient | None = None
) -> Toolshed:
    """Join them. Without a sandbox of the caller's no Python runs; without a client nobody is reached."""
    sandbox = sandbox or NoSandbox("this test has no sandbox")
    own = BuiltinTools(
        memory=database.memory,
        runs=database.runs,
        history=database.history,
        messages=database.messages,
        passages=database.passages,
        agents=database.agents,
        clock=clock,
    )
    registry = ToolRegistry(
        own=own,
        tools=database.tools,
        named=database.tools,
        attachments=database.agent_tools,
        sandbox=sandbox,
        clock=clock,
    )
    catalog = ToolCatalog(
        own=own,
        stored=database.tools,
        sandbox=sandbox,
        servers=database.mcp_servers,
        client=client or McpConnections(McpPolicy()),
    )
    return Toolshed(registry, ToolTrials(registry=registry, catalog=catalog, sandbox=sandbox, clock=clock), catalog, own)
