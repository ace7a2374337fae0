"""Chat models. The contract: `letta_grpc.testing.models`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from letta_grpc.domain.completions import ModelChunk, ModelInfo, ModelRequest, ProviderInfo


class ChatModel(Protocol):
    """A model behind some provider."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask the model; yield the chunks of each read from the provider, neighbours of one kind merged into one.

        The last chunk is ModelFinished; an answer that does not come that far raises a ModelFailure. Closing the generator
        ends the call at the provider at once.
        """
        ...


class Models(Protocol):
    """All models, by handle."""

    def resolve(self, handle: str) -> tuple[ChatModel, str]:
        """Return a model, and the name that its provider knows it by. Pure and quick. Raises ModelUnknown."""
        ...

    def context_window(self, handle: str) -> int | None:
        """Return how many tokens fit, where that is known."""
        ...

    async def list(self, provider: str | None) -> tuple[tuple[ModelInfo, ...], tuple[str, ...]]:
        """Return all models, or one provider's, sorted by handle, and the names of the providers that did not answer.

        Raises InvalidRequest for a provider that is not configured.
        """
        ...

    def providers(self) -> tuple[ProviderInfo, ...]:
        """Return the configured providers, sorted by name."""
        ...
