"""An agent's threads."""

import asyncio
from collections.abc import Mapping

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.forking import forked
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, new_conversation_id
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.engine.models import check_model
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Journal
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentStore, ConversationStore, HistoryStore


class Conversations:
    """The use cases of conversations."""

    def __init__(
        self,
        *,
        conversations: ConversationStore,
        agents: AgentStore,
        history: HistoryStore,
        journal: Journal,
        models: Models,
        clock: Clock,
    ) -> None:
        self._conversations = conversations
        self._agents = agents
        self._history = history
        self._journal = journal
        self._models = models
        self._clock = clock

    async def create(self, agent_id: AgentId, *, title: str, model: str, metadata: Mapping[str, str]) -> Conversation:
        """Open another thread. Raises AgentNotFound, ModelUnknown."""
        if model:
            check_model(self._models, model, "conversation.model")
        now = self._clock.now()
        conversation = Conversation(
            id=new_conversation_id(),
            agent_id=agent_id,
            title=title,
            model=model,
            metadata=metadata,
            create_time=now,
            update_time=now,
        )
        return await self._conversations.create(conversation)

    async def get(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation. Raises ConversationNotFound."""
        return await self._conversations.get(None, conversation_id)

    async def list(self, agent_id: AgentId, page: PageRequest) -> Page[Conversation]:
        """Return a page of an agent's conversations. Raises AgentNotFound."""
        return await self._conversations.list(agent_id, page)

    async def update(self, conversation_id: ConversationId, changes: Mapping[str, object]) -> Conversation:
        """Set the named fields. Raises ConversationNotFound, ModelUnknown."""
        if isinstance(model := changes.get("model"), str) and model:
            check_model(self._models, model, "conversation.model")
        return await self._conversations.update(conversation_id, changes, self._clock.now())

    async def delete(self, conversation_id: ConversationId) -> None:
        """Remove a conversation with its messages and runs. Raises ConversationNotFound, ResourceInUse."""
        await self._conversations.delete(conversation_id)

    async def fork(self, conversation_id: ConversationId, *, title: str, up_to: MessageId | None) -> Conversation:
        """Copy a conversation, up to a message, into a new one: all that is stored by now, whatever is at work in it.

        Raises ConversationNotFound, InvalidRequest for a message that is not the conversation's.
        """
        source = await self._history.whole(conversation_id)
        agent = await self._agents.get(source.conversation.agent_id)
        model = source.conversation.model or agent.model
        # Aside: of a long conversation it takes a second, and all runs would wait.
        fork = await asyncio.to_thread(forked, source, model=model, time=self._clock.now(), title=title, up_to=up_to)
        await self._journal.fork(fork)
        return fork.copy.conversation
