"""All stores on one SQLite file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.blocks import SqlBlockStore
from letta_grpc.adapters.sql.conversations import SqlConversationStore
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.memory import SqlMemoryStore
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.runs import SqlRunStore
from letta_grpc.adapters.sql.sqlite.database import SqliteDatabase, open_sqlite
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.stores import World
from letta_grpc.transport.convert.codec import ProtoEventCodec


@dataclass(slots=True, kw_only=True)
class SqliteWorld(World):
    """The stores, and the database that they stand on."""

    database: SqliteDatabase


@asynccontextmanager
async def sqlite_world(folder: Path) -> AsyncIterator[SqliteWorld]:
    """Open a database in a folder."""
    async with open_sqlite(f"sqlite:///{folder}/letta.db", codec=ProtoEventCodec(), clock=FakeClock()) as database:
        yield SqliteWorld(
            database=database,
            journal=database.journal,
            log=database.log,
            agents=SqlAgentStore(database),
            conversations=SqlConversationStore(database),
            blocks=SqlBlockStore(database),
            memory=SqlMemoryStore(database),
            history=SqlHistoryStore(database),
            passages=SqlPassageStore(database),
            runs=SqlRunStore(database),
        )
