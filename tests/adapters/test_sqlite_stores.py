"""The stores on SQLite keep what stores promise."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
from tests.support.sqlite import sqlite_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with sqlite_world(tmp_path) as world:
        yield world


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


class TestSqlSearch(SearchContract):
    pass


class TestSqlPassageStore(PassageStoreContract):
    pass


class TestSqlRunStore(RunStoreContract):
    pass
