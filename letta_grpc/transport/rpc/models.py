"""ModelService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.ports.models import Models
from letta_grpc.transport.convert.models import model_to_pb, provider_to_pb
from letta_grpc.transport.methods import Call
from letta_grpc.v1 import model_service_pb2 as pb


class ModelServicer:
    """Says what models there are."""

    def __init__(self, models: Models, embedding_model: str = "") -> None:
        self._models = models
        self._embedding_model = embedding_model

    async def ListModels(self, request: pb.ListModelsRequest, _call: Call) -> pb.ListModelsResponse:
        """Return all models."""
        models, unreachable = await self._models.list(request.provider or None)
        return pb.ListModelsResponse(models=[model_to_pb(model) for model in models], unreachable_providers=unreachable)

    async def ListProviders(self, _request: pb.ListProvidersRequest, _call: Call) -> pb.ListProvidersResponse:
        """Return all providers."""
        providers = [provider_to_pb(provider) for provider in self._models.providers()]
        return pb.ListProvidersResponse(providers=providers, embedding_model=self._embedding_model)
