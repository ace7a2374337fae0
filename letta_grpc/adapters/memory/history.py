"""Messages in memory."""

from itertools import takewhile

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.adapters.memory.table import Table
from letta_grpc.domain.errors import ResourceInUse
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.ids import AgentId, ConversationId, MessageId, RunId, StepId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.ports.stores import AgentContext


class MemoryHistoryStore:
    """The messages of conversations."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def load(self, conversation_id: ConversationId) -> AgentContext:
        """Return what the next context is built from."""
        conversation = self._state.conversation(conversation_id)
        return AgentContext(
            agent=self._state.agent(conversation.agent_id),
            conversation=conversation,
            messages=self._state.in_context(conversation_id),
            reported_tokens=self._reported_tokens(conversation_id),
        )

    async def whole(self, conversation_id: ConversationId) -> WholeConversation:
        """Return all that is stored of a conversation."""
        compaction = self._state.compactions.get(conversation_id)
        return WholeConversation(
            conversation=self._state.conversation(conversation_id),
            messages=tuple(self._messages(conversation_id)),
            summary_id=compaction.summary.id if compaction else None,
            kept_from=compaction.kept_from if compaction else None,
        )

    def _messages(self, conversation_id: ConversationId) -> Table[MessageId, Message]:
        return self._state.messages.get(conversation_id) or Table()

    def _reported_tokens(self, conversation_id: ConversationId) -> int | None:
        """Return the count of the newest message whose step is recorded with one, unless the context was compacted since."""
        counts: dict[StepId | None, int] = {
            step.id: step.usage.context_tokens
            for stored in self._state.runs_in(conversation_id)
            for step in stored.steps
            if step.usage.context_tokens is not None
        }
        compaction = self._state.compactions.get(conversation_id)
        before = compaction and compaction.summary.id
        newest_first = takewhile(lambda message: message.id != before, reversed(self._messages(conversation_id)))
        return next((counts[m.step_id] for m in newest_first if m.step_id in counts), None)

    async def list(self, conversation_id: ConversationId, page: PageRequest) -> Page[Message]:
        """Return messages in the conversation's order."""
        return self._messages(conversation_id).page(page)

    async def list_of_agent(self, agent_id: AgentId, page: PageRequest) -> Page[Message]:
        """Return the messages of all of an agent's conversations."""
        mine = [conversation.id for conversation in self._state.conversations if conversation.agent_id == agent_id]
        return Table.merged([self._messages(conversation_id) for conversation_id in mine]).page(page)

    async def of_run(self, run_id: RunId) -> tuple[Message, ...]:
        """Return the messages that a run brought, in order."""
        stored = self._state.runs.find(run_id)
        if stored is None:
            return ()
        return tuple(m for m in self._messages(stored.run.conversation_id) if m.run_id == run_id)

    async def reset(self, conversation_id: ConversationId) -> None:
        """Remove a conversation's messages."""
        self._state.conversation(conversation_id)
        self._state.check_idle(conversation_id)
        if conversation_id in self._state.batches:
            raise ResourceInUse("Calls of it wait for answers.", conversation_id=conversation_id)
        self._state.messages[conversation_id].clear()
        self._state.compactions.pop(conversation_id, None)
