"""Conversations in memory."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import ConversationNotFound, ResourceInUse
from letta_grpc.domain.ids import AgentId, ConversationId
from letta_grpc.domain.paging import Page, PageRequest


class MemoryConversationStore:
    """Conversations."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, conversation: Conversation) -> Conversation:
        """Store a conversation."""
        self._state.agent(conversation.agent_id)
        self._state.add_conversation(conversation)
        return conversation

    async def get(self, agent_id: AgentId | None, conversation_id: ConversationId | None) -> Conversation:
        """Return a conversation, of this agent if one is given; None means the agent's default one."""
        if agent_id is not None:
            return self._state.conversation_of(agent_id, conversation_id)
        if conversation_id is None:
            raise ConversationNotFound
        return self._state.conversation(conversation_id)

    async def list(self, agent_id: AgentId, page: PageRequest) -> Page[Conversation]:
        """Return an agent's conversations."""
        self._state.agent(agent_id)
        return self._state.conversations.page(page, lambda c: c.agent_id == agent_id)

    async def update(self, conversation_id: ConversationId, changes: Mapping[str, Any], update_time: datetime) -> Conversation:
        """Set the named fields."""
        changed = replace(self._state.conversation(conversation_id), **changes, update_time=update_time)
        self._state.conversations.replace(conversation_id, changed)
        return changed

    async def delete(self, conversation_id: ConversationId) -> None:
        """Remove a conversation with messages, runs and events."""
        if self._state.conversation(conversation_id).is_default:
            raise ResourceInUse("It is the agent's default conversation.", conversation_id=conversation_id)
        self._state.check_idle(conversation_id)
        self._state.remove_conversation(conversation_id)
