"""What notes mean: their vectors are made when a search needs them, so that keeping a note costs nothing and loses none."""

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
# A search waits so long for vectors of new notes; those that are not ready are found by their words meanwhile.
DEFAULT_PATIENCE_SECONDS = 10.0
# After a failure a search that can do without does, for so long.
_PAUSE = timedelta(seconds=30)

logger = logging.getLogger(__name__)


class Meanings:
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
        try:
            async with asyncio.timeout(self._patience_seconds):
                (sought,) = await self._model.embed([query[:_EMBEDDED_CHARACTERS]])
        except TimeoutError as error:
            raise EmbeddingsFailed("The embedding model did not answer in time.", model=self._model.handle) from error
        except TextRefusedError as error:
            raise EmbeddingsFailed(f"The embedding model refused the query: {error}", model=self._model.handle) from error
        await self._catch_up(agent_id)
        return await self._vectors.nearest(agent_id, self._model.handle, sought, tags, limit)

    async def _catch_up(self, agent_id: AgentId) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                while notes := await self._vectors.missing(agent_id, self._model.handle, self._batch):
                    await self._add(notes)
                    self._batch = min(_BATCH, self._batch * 2)
        except (TimeoutError, EmbeddingsFailed) as error:
            # What was asked for is lost. Asked for as much each time, a model that is slow would never get to an end.
            self._batch = max(1, self._batch // 2)
            logger.warning("some notes have no vectors yet: %r", error)

    async def _add(self, notes: Sequence[Passage]) -> None:
        try:
            vectors: Sequence[Sequence[float]] = await self._model.embed([note.text[:_EMBEDDED_CHARACTERS] for note in notes])
        except TextRefusedError:
            if len(notes) == 1:
                # An empty vector is near to nothing, and keeps the note from being tried for ever.
                vectors = [()]
            else:
                for note in notes:
                    await self._add([note])
                return
        await self._vectors.add(self._model.handle, list(zip(notes, vectors, strict=True)))
