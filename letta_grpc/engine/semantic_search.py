"""Finding notes by meaning: vectors are made when a search needs them, so that keeping a note costs nothing and loses none."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from letta_grpc.domain.errors import EmbeddingsFailed
from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.passages import Passage
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.embeddings import EmbeddingModel, TextRefusedError
from letta_grpc.ports.search import PassageVectors

# Models take some thousand tokens of one text; what a note is about stands at its beginning.
_EMBEDDED_CHARACTERS = 5_000
_BATCH = 64
# How long a search waits for vectors of new notes; those that are not ready are meanwhile found by their words.
DEFAULT_PATIENCE_SECONDS = 10.0
# How long after a failure the model is not asked for searches that can do without it.
_PAUSE = timedelta(seconds=30)
# After how long a note is tried again that the model failed at, and at nothing else. It is never given up for good: what looks
# like a fault of the text may be one of the hour.
_ASIDE = timedelta(hours=1)

logger = logging.getLogger(__name__)


class SemanticSearch:
    """Finds notes by what they mean."""

    def __init__(
        self,
        model: EmbeddingModel,
        vectors: PassageVectors,
        clock: Clock,
        *,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
    ) -> None:
        self._model = model
        self._vectors = vectors
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._paused_until: datetime | None = None
        self._batch = _BATCH
        self._aside_until: dict[PassageId, datetime] = {}

    async def find_nearest(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[PassageId, ...]:
        """Return the notes that mean the most similar; nothing while the model fails, which is tried again after a pause."""
        if self._paused_until and self._clock.now() < self._paused_until:
            return ()
        try:
            return await self.nearest(agent_id, query, tags, limit)
        except EmbeddingsFailed as failure:
            logger.warning("notes are found by their words alone: %s", failure.message)
            self._paused_until = self._clock.now() + _PAUSE
            return ()

    async def nearest(self, agent_id: AgentId, query: str, tags: Sequence[str], limit: int) -> tuple[PassageId, ...]:
        """Return the notes that mean the most similar. Raises EmbeddingsFailed."""
        query = query[:_EMBEDDED_CHARACTERS]
        sought = await self._vector_of(query)
        await self._catch_up(agent_id, query)
        return await self._vectors.nearest(agent_id, self._model.handle, sought, tags, limit)

    async def _vector_of(self, query: str) -> Sequence[float]:
        try:
            async with asyncio.timeout(self._patience_seconds):
                (vector,) = await self._model.embed([query])
        except TimeoutError as error:
            raise EmbeddingsFailed("The embedding model did not answer in time.", model=self._model.handle) from error
        except TextRefusedError as error:
            raise EmbeddingsFailed(f"The embedding model refused the query: {error}", model=self._model.handle) from error
        return vector

    async def _catch_up(self, agent_id: AgentId, query: str) -> None:
        notes: Sequence[Passage] = ()
        try:
            async with asyncio.timeout(self._patience_seconds):
                while notes := await self._missing(agent_id):
                    await self._add(notes, query)
                    self._batch = min(_BATCH, self._batch * 2)
        except (TimeoutError, EmbeddingsFailed) as error:
            if isinstance(error, TimeoutError) and notes and self._batch == 1:
                # It was alone, and had all the time there is.
                self._set_aside(notes[0], "no answer in time")
            # What was asked for is lost. Asked for as much each time, a model that is slow would never get to an end.
            self._batch = max(1, self._batch // 2)
            logger.warning("some notes have no vectors yet: %r", error)

    async def _missing(self, agent_id: AgentId) -> Sequence[Passage]:
        now = self._clock.now()
        self._aside_until = {note_id: until for note_id, until in self._aside_until.items() if until > now}
        found = await self._vectors.missing(agent_id, self._model.handle, self._batch + len(self._aside_until))
        return [note for note in found if note.id not in self._aside_until][: self._batch]

    async def _add(self, notes: Sequence[Passage], query: str) -> None:
        try:
            vectors = await self._model.embed([note.text[:_EMBEDDED_CHARACTERS] for note in notes])
        except (TextRefusedError, EmbeddingsFailed) as error:
            if isinstance(error, EmbeddingsFailed):
                # Where it fails at the query too, which it took a moment ago, the notes have nothing to do with it.
                await self._vector_of(query)
            if len(notes) == 1:
                await self._pass_over(notes[0], error)
            else:
                middle = len(notes) // 2
                await self._add(notes[:middle], query)
                await self._add(notes[middle:], query)
        else:
            await self._vectors.add(self._model.handle, list(zip(notes, vectors, strict=True)))

    async def _pass_over(self, note: Passage, error: TextRefusedError | EmbeddingsFailed) -> None:
        if isinstance(error, EmbeddingsFailed):
            self._set_aside(note, error.message)
            # One a search: whatever else may be the matter, it does not take the meaning of all notes.
            raise error
        # An empty vector is near to nothing, and keeps the note from being tried for ever.
        await self._vectors.add(self._model.handle, [(note, ())])
        logger.warning("a note is found by its words alone: %s refuses %s: %s", self._model.handle, note.id, error)

    def _set_aside(self, note: Passage, why: str) -> None:
        self._aside_until[note.id] = self._clock.now() + _ASIDE
        logger.warning("a note is found by its words alone for an hour: %s fails at %s: %s", self._model.handle, note.id, why)
