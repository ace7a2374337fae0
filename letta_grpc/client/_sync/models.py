"""`client.models`: the calls of ModelService, as methods."""

from collections.abc import Sequence

from letta_grpc.client._sync.connection import Connection
from letta_grpc.v1 import model_service_pb2, model_service_pb2_grpc, models_pb2


class Models:
    """`client.models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = model_service_pb2_grpc.ModelServiceStub(connection.channel)

    def list(self, *, provider: str | None = None) -> model_service_pb2.ListModelsResponse:
        """Return the `.models` there are, and the `.unreachable_providers` whose lists could not be had."""
        request = model_service_pb2.ListModelsRequest(provider=provider or "")
        return self._connection.ask(self._stub.ListModels, request)

    def providers(self) -> Sequence[models_pb2.Provider]:
        """Return the configured providers."""
        response = self._connection.ask(self._stub.ListProviders, model_service_pb2.ListProvidersRequest())
        return response.providers
