"""All of it in one object."""

from datetime import timedelta

from letta_grpc.adapters.memory.agent_files import MemoryAgentImporter
from letta_grpc.adapters.memory.agents import MemoryAgentStore
from letta_grpc.adapters.memory.blocks import MemoryBlockStore, MemoryMemoryStore
from letta_grpc.adapters.memory.callbacks import MemoryCallbackStore
from letta_grpc.adapters.memory.conversations import MemoryConversationStore
from letta_grpc.adapters.memory.history import MemoryHistoryStore
from letta_grpc.adapters.memory.journal import MemoryJournal
from letta_grpc.adapters.memory.leases import MemoryLeases
from letta_grpc.adapters.memory.log import MemoryEventLog
from letta_grpc.adapters.memory.mcp_servers import MemoryMcpServerStore
from letta_grpc.adapters.memory.message_search import MemoryMessageSearch
from letta_grpc.adapters.memory.passages import MemoryPassageStore, MemoryPassageVectors
from letta_grpc.adapters.memory.runs import MemoryRunStore
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.adapters.memory.steps import MemoryStepStore
from letta_grpc.adapters.memory.tools import MemoryAgentTools, MemoryToolStore
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec

_OWNER = "memory"
_LEASE_TIME = timedelta(seconds=30)


class MemoryDatabase:
    """Journal, log and stores over one state. Everything is gone with the object."""

    def __init__(self, clock: Clock, codec: EventCodec) -> None:
        state = MemoryState()
        self.journal = MemoryJournal(state, clock, codec, owner=_OWNER, lease_time=_LEASE_TIME)
        self.leases = MemoryLeases(state, clock, codec, owner=_OWNER, lease_time=_LEASE_TIME)
        self.log = MemoryEventLog(state)
        self.agents = MemoryAgentStore(state)
        self.agent_importer = MemoryAgentImporter(state)
        self.conversations = MemoryConversationStore(state)
        self.blocks = MemoryBlockStore(state)
        self.memory = MemoryMemoryStore(state)
        self.history = MemoryHistoryStore(state)
        self.callbacks = MemoryCallbackStore(state)
        self.steps = MemoryStepStore(state)
        self.mcp_servers = MemoryMcpServerStore(state)
        self.messages = MemoryMessageSearch(state)
        self.passages = MemoryPassageStore(state)
        self.passage_vectors = MemoryPassageVectors(state)
        self.runs = MemoryRunStore(state)
        self.tools = MemoryToolStore(state)
        self.agent_tools = MemoryAgentTools(state)
