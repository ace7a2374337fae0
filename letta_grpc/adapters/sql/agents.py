"""Agents."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from letta_grpc.adapters.sql.blocks import add_blocks, find_blocks
from letta_grpc.adapters.sql.database import Database, Step
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.queries import AGENT, AGENT_BLOCKS, AGENT_ID, stays
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import agent_of, block_of
from letta_grpc.adapters.sql.runs import check_idle
from letta_grpc.adapters.sql.schema import agent_blocks, agent_tags, agents, blocks, conversations, runs
from letta_grpc.adapters.sql.values import agent_values, conversation_values
from letta_grpc.domain.agents import Agent, Conversation, changed_agent
from letta_grpc.domain.blocks import Block, check_together
from letta_grpc.domain.errors import AgentNotFound, BlockNotFound
from letta_grpc.domain.ids import AgentId, BlockId
from letta_grpc.domain.paging import Page, PageRequest


class SqlAgentStore:
    """Agents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, agent: Agent, conversation: Conversation) -> Agent:
        """Store an agent with its default conversation and its memory blocks."""
        return await self._database.write(lambda connection: create_agent(connection, agent, conversation))

    async def get(self, agent_id: AgentId) -> Agent:
        """Return an agent with its blocks."""
        return await self._database.read(lambda connection: get_agent(connection, agent_id))

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Agent]:
        """Return agents of this name that have all these tags."""
        return await self._database.read(lambda connection: _list(connection, page, name, tags))

    async def update(self, agent_id: AgentId, changes: Mapping[str, Any], update_time: datetime) -> Agent:
        """Set the named fields."""
        return await self._database.write(lambda connection: _update(connection, agent_id, changes, update_time))

    async def delete(self, agent_id: AgentId) -> None:
        """Remove an agent with all that is its own."""
        await self._database.write_in_steps(lambda connection: _delete(connection, agent_id))


def get_agent(connection: Connection, agent_id: AgentId) -> Agent:
    """Return an agent with its blocks. Raises AgentNotFound."""
    row = connection.execute(AGENT, {"the_agent": agent_id}).first()
    if row is None:
        raise AgentNotFound(agent_id=agent_id)
    return agent_of(row, [block_of(block) for block in connection.execute(AGENT_BLOCKS, {"the_agent": agent_id})])


def check_agent(connection: Connection, agent_id: AgentId) -> None:
    """Raise AgentNotFound if there is no such agent."""
    if connection.scalar(AGENT_ID, {"the_agent": agent_id}) is None:
        raise AgentNotFound(agent_id=agent_id)


def attach_blocks(connection: Connection, agent_id: AgentId, attached: Sequence[Block]) -> None:
    """Attach stored blocks behind those that the agent has."""
    if attached:
        connection.execute(insert(agent_blocks), [{"agent_id": agent_id, "block_id": block.id} for block in attached])


def create_agent(connection: Connection, agent: Agent, conversation: Conversation) -> Agent:
    """Store an agent with its default conversation and its memory blocks."""
    add_agent(connection, agent, conversation)
    return give_blocks(connection, agent)


def add_agent(connection: Connection, agent: Agent, conversation: Conversation) -> None:
    """Store an agent with its default conversation, without memory blocks."""
    connection.execute(insert(agents), agent_values(agent))
    _add_tags(connection, agent)
    connection.execute(insert(conversations), conversation_values(conversation))


def give_blocks(connection: Connection, agent: Agent) -> Agent:
    """Attach its memory blocks to a new agent; those that are not stored are."""
    stored = find_blocks(connection, (block.id for block in agent.memory_blocks))
    attached = {block.id: stored.get(block.id, block) for block in agent.memory_blocks}
    check_together(attached.values(), "agent.memory_blocks")
    add_blocks(connection, [block for block in attached.values() if block.id not in stored])
    attach_blocks(connection, agent.id, list(attached.values()))
    return replace(agent, memory_blocks=tuple(attached.values()))


def _add_tags(connection: Connection, agent: Agent) -> None:
    if agent.tags:
        connection.execute(insert(agent_tags), [{"agent_id": agent.id, "tag": tag} for tag in set(agent.tags)])


def _list(connection: Connection, page: PageRequest, name: str | None, tags: Sequence[str]) -> Page[Agent]:
    query = paged(select(agents).where(stays(agents.c.id)), agents.c.position, page)
    if name is not None:
        query = query.where(agents.c.name == name)
    for tag in set(tags):
        query = query.where(agents.c.id.in_(select(agent_tags.c.agent_id).where(agent_tags.c.tag == tag)))
    rows = connection.execute(query).all()
    blocks_of = _blocks_of(connection, [row.id for row in rows])
    return page_of(rows, page, lambda row: agent_of(row, blocks_of[row[1]]))


def _blocks_of(connection: Connection, agent_ids: Sequence[AgentId]) -> dict[AgentId, list[Block]]:
    """Return the blocks of several agents by one query, each agent's in the order of attachment."""
    found: dict[AgentId, list[Block]] = {agent_id: [] for agent_id in agent_ids}
    query = (
        select(agent_blocks.c.agent_id, *blocks.c)
        .join(blocks, blocks.c.id == agent_blocks.c.block_id)
        .where(agent_blocks.c.agent_id.in_(agent_ids))
        .order_by(agent_blocks.c.position)
    )
    for agent_id, *block in connection.execute(query):
        found[agent_id].append(block_of(block))
    return found


def _update(connection: Connection, agent_id: AgentId, changes: Mapping[str, Any], update_time: datetime) -> Agent:
    agent = get_agent(connection, agent_id)
    if "memory_blocks" in changes:
        changes = {**changes, "memory_blocks": _exchange_blocks(connection, agent_id, changes["memory_blocks"])}
    changed = changed_agent(agent, changes, update_time)
    connection.execute(update(agents).where(agents.c.id == agent_id).values(agent_values(changed)))
    if "tags" in changes:
        connection.execute(delete(agent_tags).where(agent_tags.c.agent_id == agent_id))
        _add_tags(connection, changed)
    return changed


def _exchange_blocks(connection: Connection, agent_id: AgentId, block_ids: Sequence[BlockId]) -> tuple[Block, ...]:
    """Attach these blocks in place of those that the agent has."""
    stored = find_blocks(connection, block_ids)
    for block_id in block_ids:
        if block_id not in stored:
            raise BlockNotFound(block_id=block_id)
    attached = tuple(stored[block_id] for block_id in dict.fromkeys(block_ids))
    check_together(attached, "agent.memory_blocks")
    connection.execute(delete(agent_blocks).where(agent_blocks.c.agent_id == agent_id))
    attach_blocks(connection, agent_id, attached)
    return attached


def _delete(connection: Connection, agent_id: AgentId) -> Step | None:
    check_agent(connection, agent_id)
    check_idle(connection, runs.c.agent_id == agent_id)
    return Removal("agent", agent_id).begin(connection)
