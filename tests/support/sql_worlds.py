"""A SQL database with all stores."""

from dataclasses import dataclass

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
from letta_grpc.adapters.sql.steps import SqlStepStore
from letta_grpc.adapters.sql.tools import SqlAgentTools, SqlToolStore
from letta_grpc.testing.stores import World


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database."""

    database: OpenDatabase
    world: World


def world_of(database: OpenDatabase) -> World:
    """The stores of an open database."""
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
