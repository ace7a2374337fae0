"""Which agent has which blocks."""

from sqlalchemy import Connection, delete, select

from letta_grpc.adapters.sql.agents import attach_blocks, check_agent, get_agent
from letta_grpc.adapters.sql.blocks import get_block
from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.rows import block_of
from letta_grpc.adapters.sql.schema import agent_blocks, blocks
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.blocks import Block, check_block_limits
from letta_grpc.domain.errors import BlockNotFound, NameTaken
from letta_grpc.domain.ids import AgentId, BlockId


class SqlMemoryStore:
    """Which agent has which blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Attach a block."""
        return await self._database.write(lambda connection: _attach(connection, agent_id, block_id))

    async def detach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Detach a block."""
        return await self._database.write(lambda connection: _detach(connection, agent_id, block_id))

    async def get(self, agent_id: AgentId, label: str) -> Block:
        """Return the block under a label."""
        return await self._database.read(lambda connection: _get(connection, agent_id, label))


def _attach(connection: Connection, agent_id: AgentId, block_id: BlockId) -> Agent:
    agent, block = get_agent(connection, agent_id), get_block(connection, block_id)
    if any(attached.id == block.id for attached in agent.memory_blocks):
        return agent
    if any(attached.label == block.label for attached in agent.memory_blocks):
        raise NameTaken("The agent has another block of this label.", name=block.label)
    check_block_limits([each.limit for each in (*agent.memory_blocks, block)], "block_id")
    attach_blocks(connection, agent_id, [block])
    return get_agent(connection, agent_id)


def _detach(connection: Connection, agent_id: AgentId, block_id: BlockId) -> Agent:
    check_agent(connection, agent_id)
    get_block(connection, block_id)
    attachment = (agent_blocks.c.agent_id == agent_id, agent_blocks.c.block_id == block_id)
    connection.execute(delete(agent_blocks).where(*attachment))
    return get_agent(connection, agent_id)


def _get(connection: Connection, agent_id: AgentId, label: str) -> Block:
    check_agent(connection, agent_id)
    query = (
        select(blocks)
        .join(agent_blocks, agent_blocks.c.block_id == blocks.c.id)
        .where(agent_blocks.c.agent_id == agent_id, blocks.c.label == label)
    )
    row = connection.execute(query).first()
    if row is None:
        raise BlockNotFound("The agent has no block of this label.", agent_id=agent_id, label=label)
    return block_of(row)
