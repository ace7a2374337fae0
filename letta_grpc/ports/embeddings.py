"""What texts mean, as vectors."""

from collections.abc import Sequence
from typing import Protocol


class TextRefusedError(Exception):
    """The model does not take one of the texts: asking again does not help."""


class EmbeddingModel(Protocol):
    """One embedding model."""

    @property
    def handle(self) -> str:
        """Its name, `provider/model`. Vectors of two names cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Return a vector for each text, in order, all of one length. Raises EmbeddingsFailed, TextRefusedError."""
        ...
