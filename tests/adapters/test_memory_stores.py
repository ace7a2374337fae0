"""The stores in memory keep what stores promise."""

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores import (
    AgentStoreContract,
    BlockStoreContract,
    ConversationStoreContract,
    HistoryStoreContract,
    MemoryStoreContract,
    PassageStoreContract,
    RunStoreContract,
    SearchContract,
    World,
)
from letta_grpc.transport.convert.codec import ProtoEventCodec


@pytest.fixture
def world() -> World:
    database = MemoryDatabase(FakeClock(), ProtoEventCodec())
    return World(
        journal=database.journal,
        log=database.log,
        agents=database.agents,
        conversations=database.conversations,
        blocks=database.blocks,
        memory=database.memory,
        history=database.history,
        passages=database.passages,
        runs=database.runs,
    )


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


class TestMemorySearch(SearchContract):
    pass


class TestMemoryPassageStore(PassageStoreContract):
    pass


class TestMemoryRunStore(RunStoreContract):
    pass
