"""A SQLite file with all stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from letta_grpc.adapters.sql.agent_files import SqlAgentImporter
from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.blocks import SqlBlockStore
from letta_grpc.adapters.sql.callbacks import SqlCallbackStore
from letta_grpc.adapters.sql.conversations import SqlConversationStore
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.mcp_servers import SqlMcpServerStore
from letta_grpc.adapters.sql.memory import SqlMemoryStore
from letta_grpc.adapters.sql.message_search import SqlMessageSearch
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.passage_vectors import SqlPassageVectors
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.runs import SqlRunStore
from letta_grpc.adapters.sql.sqlite.opening import open_sqlite
from letta_grpc.adapters.sql.steps import SqlStepStore
from letta_grpc.adapters.sql.tools import SqlAgentTools, SqlToolStore
from letta_grpc.ports.clock import Clock
from letta_grpc.testing.stores import World
from letta_grpc.transport.convert.codec import ProtoEventCodec


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file."""

    database: OpenDatabase
    world: World


@asynccontextmanager
async def opened(path: Path, clock: Clock, **options: Any) -> AsyncIterator[Opened]:  # noqa: ANN401 - as open_sqlite has them
    """Open a file."""
    async with open_sqlite(f"sqlite:///{path}", codec=ProtoEventCodec(), clock=clock, **options) as database:
        yield Opened(database, world_of(database))


def world_of(database: OpenDatabase) -> World:
    """The stores of an open file."""
    return World(
        journal=database.journal,
        log=database.log,
        agents=SqlAgentStore(database),
        importer=SqlAgentImporter(database),
        conversations=SqlConversationStore(database),
        blocks=SqlBlockStore(database),
        memory=SqlMemoryStore(database),
        history=SqlHistoryStore(database),
        callbacks=SqlCallbackStore(database),
        steps=SqlStepStore(database),
        mcp_servers=SqlMcpServerStore(database),
        messages=SqlMessageSearch(database),
        passages=SqlPassageStore(database),
        notes=SqlPassageStore(database),
        vectors=SqlPassageVectors(database),
        runs=SqlRunStore(database),
        tools=SqlToolStore(database),
        named_tools=SqlToolStore(database),
        agent_tools=SqlAgentTools(database),
    )
