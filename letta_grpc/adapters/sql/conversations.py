"""Conversations."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from letta_grpc.adapters.sql.agents import check_agent
from letta_grpc.adapters.sql.database import Database, Step
from letta_grpc.adapters.sql.pages import page_of, paged
from letta_grpc.adapters.sql.queries import CONVERSATION, DEFAULT_CONVERSATION, stays
from letta_grpc.adapters.sql.removing import Removal
from letta_grpc.adapters.sql.rows import conversation_of
from letta_grpc.adapters.sql.runs import check_idle
from letta_grpc.adapters.sql.schema import conversations, runs
from letta_grpc.adapters.sql.values import conversation_values
from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import ConversationNotFound, ResourceInUse
from letta_grpc.domain.ids import AgentId, ConversationId
from letta_grpc.domain.paging import Page, PageRequest


class SqlConversationStore:
    """Conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, conversation: Conversation) -> Conversation:
        """Store a conversation."""
        await self._database.write(lambda connection: _create(connection, conversation))
        return conversation

    async def get(self, agent_id: AgentId | None, conversation_id: ConversationId | None) -> Conversation:
        """Return a conversation, of this agent if one is given; None means the agent's default one."""
        return await self._database.read(lambda connection: _get(connection, agent_id, conversation_id))

    async def list(self, agent_id: AgentId, page: PageRequest) -> Page[Conversation]:
        """Return an agent's conversations."""
        return await self._database.read(lambda connection: _list(connection, agent_id, page))

    async def update(self, conversation_id: ConversationId, changes: Mapping[str, Any], update_time: datetime) -> Conversation:
        """Set the named fields."""
        return await self._database.write(lambda connection: _update(connection, conversation_id, changes, update_time))

    async def delete(self, conversation_id: ConversationId) -> None:
        """Remove a conversation with messages, runs and events."""
        await self._database.write_in_steps(lambda connection: _delete(connection, conversation_id))


def _create(connection: Connection, conversation: Conversation) -> None:
    check_agent(connection, conversation.agent_id)
    connection.execute(insert(conversations), conversation_values(conversation))


def _get(connection: Connection, agent_id: AgentId | None, conversation_id: ConversationId | None) -> Conversation:
    if agent_id is not None:
        check_agent(connection, agent_id)
    conversation = _find(connection, agent_id, conversation_id)
    if conversation is None or agent_id not in (None, conversation.agent_id):
        raise ConversationNotFound(conversation_id=conversation_id or "")
    return conversation


def _find(connection: Connection, agent_id: AgentId | None, conversation_id: ConversationId | None) -> Conversation | None:
    if conversation_id is None:
        row = connection.execute(DEFAULT_CONVERSATION, {"the_agent": agent_id}).first()
    else:
        row = connection.execute(CONVERSATION, {"the_conversation": conversation_id}).first()
    return None if row is None else conversation_of(row)


def _list(connection: Connection, agent_id: AgentId, page: PageRequest) -> Page[Conversation]:
    check_agent(connection, agent_id)
    here = (conversations.c.agent_id == agent_id, stays(conversations.c.id))
    query = paged(select(conversations).where(*here), conversations.c.position, page)
    return page_of(connection.execute(query).all(), page, conversation_of)


def _update(
    connection: Connection, conversation_id: ConversationId, changes: Mapping[str, Any], update_time: datetime
) -> Conversation:
    changed = replace(_get(connection, None, conversation_id), **changes, update_time=update_time)
    row = update(conversations).where(conversations.c.id == conversation_id)
    connection.execute(row.values(conversation_values(changed)))
    return changed


def _delete(connection: Connection, conversation_id: ConversationId) -> Step | None:
    if _get(connection, None, conversation_id).is_default:
        raise ResourceInUse("It is the agent's default conversation.", conversation_id=conversation_id)
    check_idle(connection, runs.c.conversation_id == conversation_id)
    return Removal("conversation", conversation_id).begin(connection)
