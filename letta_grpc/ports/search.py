"""Searching. The contracts: `letta_grpc.testing.stores`; `letta_grpc.domain.words` says what a word is.

A search by words finds what has all words of the query, each at least as the beginning of a word. What has them more densely
comes first, of two alike the newer. An empty query finds everything, newest first; one of nothing but signs finds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.ids import AgentId, ConversationId, PassageId
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.passages import DEFAULT_RESULTS, Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQuery:
    """What to find among messages; what is empty or None does not narrow. Times: `from` included, `before` not."""

    agent_id: AgentId | None
    text: str = ""
    conversation_id: ConversationId | None = None
    roles: tuple[Role, ...] = ()
    create_time_from: datetime | None = None
    create_time_before: datetime | None = None
    limit: int = DEFAULT_RESULTS


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message, and where it was said."""

    message: Message
    agent_id: AgentId
    conversation_id: ConversationId


class MessageSearch(Protocol):
    """Finds messages by the words of their text, also those that have left their context."""

    async def search(self, query: MessageQuery) -> tuple[FoundMessage, ...]:
        """Return the messages that fit best, best first."""
        ...


class PassageSearch(Protocol):
    """Finds archival notes by their words."""

    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[Passage, ...]:
        """Return the notes with all these tags, case ignored, that fit best, best first."""
        ...


class PassageVectors(Protocol):
    """What notes mean, as vectors. Those of one embedding model are never compared with those of another."""

    async def missing(self, agent_id: AgentId | None, model: str, limit: int) -> tuple[Passage, ...]:
        """Return the oldest notes without a vector of this model, of one agent or of all."""
        ...

    async def add(self, model: str, vectors: Sequence[tuple[Passage, Sequence[float]]]) -> None:
        """Keep vectors, in place of older ones. A note that is gone, or says something else by now, is left out."""
        ...

    async def nearest(
        self, agent_id: AgentId, model: str, vector: Sequence[float], tags: Sequence[str], limit: int
    ) -> tuple[PassageId, ...]:
        """Return the notes with all these tags that mean the most similar, by cosine, nearest first."""
        ...
