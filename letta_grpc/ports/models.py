"""Chat models. The contract: `letta_grpc.testing.models`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from letta_grpc.domain.completions import ModelChunk, ModelInfo, ModelRequest, ProviderInfo


class ChatModel(Protocol):
    """A model behind some provider."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask the model; yield what came in each read, merged: neighbours of one kind are one chunk.

        The last batch ends with ModelFinished, after which there is nothing. Raises a ModelFailure otherwise. Closing the
        generator ends the call at the provider at once.
        """
        ...


class Models(Protocol):
    """All models, by handle."""

    def resolve(self, handle: str) -> tuple[ChatModel, str]:
        """Return the model and the provider's own name of it. Pure and quick. Raises ModelUnknown."""
        ...

    def context_window(self, handle: str) -> int | None:
        """Return how many tokens fit, where that is known."""
        ...

    async def list(self, provider: str | None) -> tuple[tuple[ModelInfo, ...], tuple[str, ...]]:
        """Return all models by handle, and the providers that did not answer."""
        ...

    def providers(self) -> tuple[ProviderInfo, ...]:
        """Return the configured providers by name."""
        ...
