"""The stores on SQLite keep what stores promise."""

from collections.abc import AsyncIterator
from pathlib import Path

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
from tests.support.sqlite_worlds import opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path / "letta.db", FakeClock()) as file:
        yield file.world


class TestSqlAgentStore(AgentStoreContract):
    pass


class TestSqlConversationStore(ConversationStoreContract):
    pass


class TestSqlBlockStore(BlockStoreContract):
    pass


class TestSqlMemoryStore(MemoryStoreContract):
    pass


class TestSqlHistoryStore(HistoryStoreContract):
    pass


class TestSqlCompaction(CompactionContract):
    pass


class TestSqlSearch(SearchContract):
    pass


class TestSqlPassageStore(PassageStoreContract):
    pass


class TestSqlPassageSearch(PassageSearchContract):
    pass


class TestSqlPassageVectors(PassageVectorsContract):
    pass


class TestSqlRunStore(RunStoreContract):
    pass


class TestSqlCallbackStore(CallbackStoreContract):
    pass


class TestSqlStepStore(StepStoreContract):
    pass


class TestSqlMcpServerStore(McpServerStoreContract):
    pass


class TestSqlToolStore(ToolStoreContract):
    pass


class TestSqlAgentImporter(AgentImporterContract):
    pass
