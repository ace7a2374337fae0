"""What the stores promise. Each suite is a class; a subclass gives the fixture `world`, whose stores are empty."""

from letta_grpc.testing.stores.agent_files import AgentImporterContract
from letta_grpc.testing.stores.agents import AgentStoreContract
from letta_grpc.testing.stores.blocks import BlockStoreContract
from letta_grpc.testing.stores.callbacks import CallbackStoreContract
from letta_grpc.testing.stores.compaction import CompactionContract
from letta_grpc.testing.stores.conversations import ConversationStoreContract
from letta_grpc.testing.stores.history import HistoryStoreContract
from letta_grpc.testing.stores.mcp_servers import McpServerStoreContract
from letta_grpc.testing.stores.memory import MemoryStoreContract
from letta_grpc.testing.stores.passages import (
    PassageSearchContract,
    PassageStoreContract,
    PassageVectorsContract,
)
from letta_grpc.testing.stores.runs import RunStoreContract
from letta_grpc.testing.stores.search import SearchContract
from letta_grpc.testing.stores.steps import StepStoreContract
from letta_grpc.testing.stores.tools import ToolStoreContract
from letta_grpc.testing.stores.world import World

__all__ = [
    "AgentImporterContract",
    "AgentStoreContract",
    "BlockStoreContract",
    "CallbackStoreContract",
    "CompactionContract",
    "ConversationStoreContract",
    "HistoryStoreContract",
    "McpServerStoreContract",
    "MemoryStoreContract",
    "PassageSearchContract",
    "PassageStoreContract",
    "PassageVectorsContract",
    "RunStoreContract",
    "SearchContract",
    "StepStoreContract",
    "ToolStoreContract",
    "World",
]
