"""The services of `letta_grpc.v1`, joined with their use cases."""

from letta_grpc.engine.agent_files import AgentFiles
from letta_grpc.engine.agents import Agents
from letta_grpc.engine.archive import Archive
from letta_grpc.engine.blocks import Blocks
from letta_grpc.engine.captures import Captures
from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.mcp_servers import McpServers
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.tool_trials import ToolTrials
from letta_grpc.engine.tools import ToolRegistry
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.models import Models
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.methods import methods_of
from letta_grpc.transport.observers import RpcObserver
from letta_grpc.transport.rpc.agents import AgentServicer
from letta_grpc.transport.rpc.archive import ArchiveServicer
from letta_grpc.transport.rpc.blocks import BlockServicer
from letta_grpc.transport.rpc.conversations import ConversationServicer
from letta_grpc.transport.rpc.mcp import McpServicer
from letta_grpc.transport.rpc.models import ModelServicer
from letta_grpc.transport.rpc.runs import RunServicer
from letta_grpc.transport.rpc.tools import ToolServicer
from letta_grpc.v1 import (
    agent_service_pb2,
    archive_service_pb2,
    block_service_pb2,
    conversation_service_pb2,
    mcp_service_pb2,
    model_service_pb2,
    run_service_pb2,
    tool_service_pb2,
)


def calls_of(
    *,
    runs: Runs,
    agents: Agents,
    captures: Captures,
    agent_files: AgentFiles,
    archive: Archive,
    conversations: Conversations,
    blocks: Blocks,
    mcp_servers: McpServers,
    tools: ToolRegistry,
    trials: ToolTrials,
    models: Models,
    embedding_model: str = "",
    clock: Clock,
    keys: ApiKeys | None = None,
    limits: Limits | None = None,
    observer: RpcObserver | None = None,
) -> Calls:
    """Return what answers every call, for a `Server` and for a `LocalChannel` alike."""
    services = (
        (run_service_pb2.DESCRIPTOR.services_by_name["RunService"], RunServicer(runs, clock)),
        (agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"], AgentServicer(agents, runs, captures, agent_files)),
        (
            conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"],
            ConversationServicer(conversations, runs),
        ),
        (archive_service_pb2.DESCRIPTOR.services_by_name["ArchiveService"], ArchiveServicer(archive)),
        (block_service_pb2.DESCRIPTOR.services_by_name["BlockService"], BlockServicer(blocks)),
        (mcp_service_pb2.DESCRIPTOR.services_by_name["McpService"], McpServicer(mcp_servers)),
        (tool_service_pb2.DESCRIPTOR.services_by_name["ToolService"], ToolServicer(tools, trials)),
        (model_service_pb2.DESCRIPTOR.services_by_name["ModelService"], ModelServicer(models, embedding_model)),
    )
    return Calls(methods_of(services), keys=keys, limits=limits, observer=observer, on_drain=runs.drain)
