"""Archival notes in memory."""

from collections.abc import Sequence
from itertools import islice

from letta_grpc.adapters.memory.matching import has_words
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.ids import AgentId
from letta_grpc.domain.passages import Passage


class MemoryPassageStore:
    """Archival notes."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[Passage, ...]:
        """Return the newest notes that have every word of the query and every tag, newest first."""
        wanted = {tag.casefold() for tag in tags}
        found = (
            passage
            for passage in reversed(self._state.passages)
            if passage.agent_id == agent_id
            and wanted <= {tag.casefold() for tag in passage.tags}
            and has_words(passage.text, query)
        )
        return tuple(islice(found, limit))
