"""All stores in memory."""

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.testing.stores import World


def world_of(database: MemoryDatabase) -> World:
    """The stores of a database."""
    return World(
        journal=database.journal,
        log=database.log,
        agents=database.agents,
        importer=database.agent_importer,
        conversations=database.conversations,
        blocks=database.blocks,
        memory=database.memory,
        history=database.history,
        callbacks=database.callbacks,
        steps=database.steps,
        mcp_servers=database.mcp_servers,
        messages=database.messages,
        passages=database.passages,
        notes=database.passages,
        vectors=database.passage_vectors,
        runs=database.runs,
        tools=database.tools,
        named_tools=database.tools,
        agent_tools=database.agent_tools,
    )
