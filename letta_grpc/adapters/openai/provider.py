"""An OpenAI-compatible endpoint under its name."""

from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.listing import list_models
from letta_grpc.adapters.openai.model import OpenAIModel
from letta_grpc.adapters.openai.session import Session
from letta_grpc.domain.completions import ModelInfo, ProviderInfo
from letta_grpc.ports.clock import Clock


class OpenAIProvider:
    """A provider for the catalog. Whichever model is asked for, all calls share one connection pool."""

    def __init__(self, endpoint: OpenAIEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._session = Session(endpoint, "chat/completions")
        self._model = OpenAIModel(endpoint, self._session, clock)

    @property
    def info(self) -> ProviderInfo:
        """What may be told of it."""
        return ProviderInfo(
            name=self._endpoint.name, base_url=self._endpoint.public_url, has_api_key=bool(self._endpoint.api_key)
        )

    def find(self, name: str) -> OpenAIModel:  # noqa: ARG002 - only the endpoint knows which models it has
        """Return the model: every name may be one."""
        return self._model

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the endpoint's models. Raises ModelFailure."""
        return await list_models(self._endpoint)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
