"""The stores in memory keep what stores promise."""

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores import (
    AgentImporterContract,
    AgentStoreContract,
    BlockStoreContract,
    CallbackStoreContract,
    CompactionContract,
    ConversationStoreContract,
    HistoryStoreContract,
    McpServerStoreContract,
    MemoryStoreContract,
    PassageSearchContract,
    PassageStoreContract,
    PassageVectorsContract,
    RunStoreContract,
    SearchContract,
    StepStoreContract,
    ToolStoreContract,
    World,
)
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.memory_worlds import world_of


@pytest.fixture
def world() -> World:
    return world_of(MemoryDatabase(FakeClock(), ProtoEventCodec()))


class TestMemoryAgentStore(AgentStoreContract):
    pass


class TestMemoryConversationStore(ConversationStoreContract):
    pass


class TestMemoryBlockStore(BlockStoreContract):
    pass


class TestMemoryMemoryStore(MemoryStoreContract):
    pass


class TestMemoryHistoryStore(HistoryStoreContract):
    pass


class TestMemoryCompaction(CompactionContract):
    pass


class TestMemorySearch(SearchContract):
    pass


class TestMemoryPassageStore(PassageStoreContract):
    pass


class TestMemoryPassageSearch(PassageSearchContract):
    pass


class TestMemoryPassageVectors(PassageVectorsContract):
    pass


class TestMemoryRunStore(RunStoreContract):
    pass


class TestMemoryCallbackStore(CallbackStoreContract):
    pass


class TestMemoryStepStore(StepStoreContract):
    pass


class TestMemoryMcpServerStore(McpServerStoreContract):
    pass


class TestMemoryToolStore(ToolStoreContract):
    pass


class TestMemoryAgentImporter(AgentImporterContract):
    pass
