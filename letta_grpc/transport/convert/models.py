"""Models and providers."""

from letta_grpc.domain.completions import ModelInfo, ProviderInfo
from letta_grpc.v1 import models_pb2 as pb


def model_to_pb(model: ModelInfo) -> pb.Model:
    """Return a model."""
    return pb.Model(handle=model.handle, provider=model.provider, name=model.name, context_window=model.context_window)


def provider_to_pb(provider: ProviderInfo) -> pb.Provider:
    """Return a provider; never its key."""
    return pb.Provider(name=provider.name, base_url=provider.base_url, has_api_key=provider.has_api_key)
