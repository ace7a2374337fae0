"""Finding messages in memory."""

from letta_grpc.adapters.memory.matching import best_matches
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.ports.search import FoundMessage, MessageQuery


class MemoryMessageSearch:
    """Messages by their words."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def search(self, query: MessageQuery) -> tuple[FoundMessage, ...]:
        """Return what fits best."""
        everything = (
            FoundMessage(message, self._state.conversation(conversation_id).agent_id, conversation_id)
            for conversation_id, messages in self._state.messages.items()
            for message in messages
        )
        newest_first = sorted(everything, key=lambda found: found.message.create_time)[::-1]
        return best_matches(
            newest_first,
            lambda found: found.message.text,
            query.text,
            lambda found: self._is_wanted(found, query),
            query.limit,
        )

    def _is_wanted(self, found: FoundMessage, query: MessageQuery) -> bool:
        time = found.message.create_time
        return (
            query.agent_id in (None, found.agent_id)
            and query.conversation_id in (None, found.conversation_id)
            and (not query.roles or found.message.role in query.roles)
            and (query.create_time_from is None or time >= query.create_time_from)
            and (query.create_time_before is None or time < query.create_time_before)
        )
