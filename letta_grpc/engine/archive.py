"""Archives: what agents keep out of their contexts, and finding it again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from letta_grpc.domain.errors import InvalidRequest, PassageNotFound
from letta_grpc.domain.ids import AgentId, PassageId, new_passage_id
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.passages import MAX_RESULTS, Passage, SearchMode
from letta_grpc.engine.semantic_search import SemanticSearch
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.search import PassageSearch
from letta_grpc.ports.stores import PassageStore

# What reciprocal rank fusion is mostly used with: it keeps a first place of one ranking from outweighing two good ones.
_RANK_OFFSET = 60


class Archive:
    """The use cases of archives. Without a semantic search notes are found by their words alone."""

    def __init__(
        self, *, passages: PassageStore, words: PassageSearch, semantic: SemanticSearch | None = None, clock: Clock
    ) -> None:
        self._passages = passages
        self._words = words
        self._semantic = semantic
        self._clock = clock

    async def create(self, agent_id: AgentId, text: str, tags: Sequence[str]) -> Passage:
        """Keep a note. Raises AgentNotFound."""
        now = self._clock.now()
        tags = tuple(dict.fromkeys(tags))
        note = Passage(id=new_passage_id(), agent_id=agent_id, text=text, tags=tags, create_time=now, update_time=now)
        return await self._passages.create(note)

    async def get(self, agent_id: AgentId, passage_id: PassageId) -> Passage:
        """Return a note. Raises PassageNotFound."""
        return await self._passages.get(agent_id, passage_id)

    async def list(self, agent_id: AgentId, page: PageRequest, *, tags: Sequence[str] = ()) -> Page[Passage]:
        """Return a page of notes that have all these tags. Raises AgentNotFound."""
        return await self._passages.list(agent_id, page, tags=tags)

    async def update(self, agent_id: AgentId, passage_id: PassageId, changes: Mapping[str, object]) -> Passage:
        """Set the named fields. Raises PassageNotFound."""
        return await self._passages.update(agent_id, passage_id, changes, self._clock.now())

    async def delete(self, agent_id: AgentId, passage_id: PassageId) -> None:
        """Remove a note. Raises PassageNotFound."""
        await self._passages.delete(agent_id, passage_id)

    async def search(
        self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int, mode: SearchMode = SearchMode.BEST
    ) -> tuple[Passage, ...]:
        """Return the notes with all these tags that fit best, best first.

        By meaning alone it raises InvalidRequest without an embedding model or a query, and EmbeddingsFailed. In the mode BEST
        a model that fails is passed over.
        """
        if mode is SearchMode.WORDS or (mode is SearchMode.BEST and not (self._semantic and query.strip())):
            return await self._words.search(agent_id, query, tags, limit)
        if self._semantic is None:
            rule = "this server has no embedding model: notes are found by their words; set LETTA_GRPC_EMBEDDING_MODEL"
            raise InvalidRequest(fields={"mode": rule})
        if not query.strip():
            raise InvalidRequest(fields={"query": "must not be empty where notes are searched by meaning"})
        if mode is SearchMode.MEANING:
            near = await self._semantic.nearest(agent_id, query, tags, limit)
            return await self._read(agent_id, near, {})
        return await self._by_both(self._semantic, agent_id, query, tags, limit)

    async def _by_both(
        self, semantic: SemanticSearch, agent_id: AgentId, query: str, tags: Sequence[str], limit: int
    ) -> tuple[Passage, ...]:
        worded = {note.id: note for note in await self._words.search(agent_id, query, tags, MAX_RESULTS)}
        near = await semantic.find_nearest(agent_id, query, tags, MAX_RESULTS)
        return await self._read(agent_id, fused(list(worded), near)[:limit], worded)

    async def _read(
        self, agent_id: AgentId, wanted: Sequence[PassageId], known: Mapping[PassageId, Passage]
    ) -> tuple[Passage, ...]:
        notes = [known.get(passage_id) or await self._find(agent_id, passage_id) for passage_id in wanted]
        return tuple(note for note in notes if note)

    async def _find(self, agent_id: AgentId, passage_id: PassageId) -> Passage | None:
        try:
            return await self._passages.get(agent_id, passage_id)
        except PassageNotFound:
            return None  # It was deleted meanwhile.


def fused(*rankings: Sequence[PassageId]) -> list[PassageId]:
    """Return one ranking of several, by reciprocal rank: what is high in one, or well placed in all, comes first."""
    scores: dict[PassageId, float] = defaultdict(float)
    for ranking in rankings:
        for place, passage_id in enumerate(ranking, start=1):
            scores[passage_id] += 1 / (_RANK_OFFSET + place)
    return sorted(scores, key=lambda passage_id: scores[passage_id], reverse=True)
