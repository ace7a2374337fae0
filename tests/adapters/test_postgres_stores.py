"""The stores on PostgreSQL keep what stores promise."""

from collections.abc import AsyncIterator

import pytest

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
from tests.support.postgres_worlds import opened


@pytest.fixture
async def world(emptied_postgres_url: str) -> AsyncIterator[World]:
    async with opened(emptied_postgres_url, FakeClock()) as database:
        yield database.world


class TestPostgresAgentStore(AgentStoreContract):
    pass


class TestPostgresConversationStore(ConversationStoreContract):
    pass


class TestPostgresBlockStore(BlockStoreContract):
    pass


class TestPostgresMemoryStore(MemoryStoreContract):
    pass


class TestPostgresHistoryStore(HistoryStoreContract):
    pass


class TestPostgresCompaction(CompactionContract):
    pass


class TestPostgresSearch(SearchContract):
    pass


class TestPostgresPassageStore(PassageStoreContract):
    pass


class TestPostgresPassageSearch(PassageSearchContract):
    pass


class TestPostgresPassageVectors(PassageVectorsContract):
    pass


class TestPostgresRunStore(RunStoreContract):
    pass


class TestPostgresCallbackStore(CallbackStoreContract):
    pass


class TestPostgresStepStore(StepStoreContract):
    pass


class TestPostgresMcpServerStore(McpServerStoreContract):
    pass


class TestPostgresToolStore(ToolStoreContract):
    nul = "\N{SYMBOL FOR NULL}"


class TestPostgresAgentImporter(AgentImporterContract):
    pass
