"""Archival notes in memory."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import mul
from typing import Any

from letta_grpc.adapters.memory.matching import best_matches
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.errors import PassageNotFound
from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.passages import Passage, folded_tag


class MemoryPassageStore:
    """Archival notes, and finding them by their words."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def create(self, passage: Passage) -> Passage:
        """Store a note."""
        self._state.agent(passage.agent_id)
        self._state.passages.add(passage.id, passage)
        return passage

    async def get(self, agent_id: AgentId, passage_id: PassageId) -> Passage:
        """Return a note of this agent."""
        passage = self._state.passages.find(passage_id)
        if passage is None or passage.agent_id != agent_id:
            raise PassageNotFound(passage_id=passage_id)
        return passage

    async def list(self, agent_id: AgentId, page: PageRequest, *, tags: Sequence[str] = ()) -> Page[Passage]:
        """Return notes of this agent."""
        self._state.agent(agent_id)
        return self._state.passages.page(page, lambda passage: _is_wanted(passage, agent_id, tags))

    async def update(
        self, agent_id: AgentId, passage_id: PassageId, changes: Mapping[str, Any], update_time: datetime
    ) -> Passage:
        """Set the named fields."""
        passage = await self.get(agent_id, passage_id)
        changed = replace(passage, **changes, update_time=update_time)
        self._state.passages.replace(passage_id, changed)
        if changed.text != passage.text:
            self._state.vectors.pop(passage_id, None)
        return changed

    async def delete(self, agent_id: AgentId, passage_id: PassageId) -> None:
        """Remove a note."""
        await self.get(agent_id, passage_id)
        self._state.passages.remove(passage_id)
        self._state.vectors.pop(passage_id, None)

    async def search(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[Passage, ...]:
        """Return the notes with all these tags that fit best."""
        return best_matches(
            reversed(self._state.passages),
            lambda passage: passage.text,
            query,
            lambda passage: _is_wanted(passage, agent_id, tags),
            limit,
        )


class MemoryPassageVectors:
    """What notes mean."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    async def missing(self, agent_id: AgentId | None, model: str, limit: int) -> tuple[Passage, ...]:
        """Return the oldest notes without a vector of this model."""
        known = {passage_id for passage_id, (name, _) in self._state.vectors.items() if name == model}
        lacking = (p for p in self._state.passages if p.id not in known and agent_id in (None, p.agent_id))
        return tuple(lacking)[:limit]

    async def add(self, model: str, vectors: Sequence[tuple[Passage, Sequence[float]]]) -> None:
        """Keep vectors."""
        for passage, vector in vectors:
            stored = self._state.passages.find(passage.id)
            if stored is not None and stored.text == passage.text:
                self._state.vectors[passage.id] = (model, tuple(vector))

    async def nearest(
        self, agent_id: AgentId, model: str, vector: Sequence[float], tags: Sequence[str], limit: int
    ) -> tuple[PassageId, ...]:
        """Return the notes that mean the most similar."""
        near = (
            (_cosine(vector, known), position, passage.id)
            for position, passage in enumerate(self._state.passages)
            if _is_wanted(passage, agent_id, tags)
            for name, known in [self._state.vectors.get(passage.id, ("", ()))]
            if name == model and len(known) == len(vector)
        )
        return tuple(passage_id for _, _, passage_id in heapq.nlargest(limit, near))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product: float = sum(map(mul, one, other))
    return product / (math.hypot(*one) * math.hypot(*other) or 1.0)


def _is_wanted(passage: Passage, agent_id: AgentId, tags: Sequence[str]) -> bool:
    return passage.agent_id == agent_id and {*map(folded_tag, tags)} <= {*map(folded_tag, passage.tags)}
