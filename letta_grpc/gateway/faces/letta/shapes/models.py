"""Models and providers."""

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from letta_grpc.v1 import models_pb2

# In tokens: what the server takes where neither the agent nor its provider says how much fits.
DEFAULT_WINDOW = 32_768
# The kinds of endpoints that the SDKs' types know. All others speak OpenAI's language, as every provider here does.
_ENDPOINT_TYPES = frozenset(
    {
        *("openai", "anthropic", "google_ai", "google_vertex", "azure", "groq", "ollama", "llamacpp", "vllm", "mistral"),
        *("together", "bedrock", "deepseek", "xai", "zai", "zai_coding", "baseten", "fireworks", "openrouter", "minimax"),
        *("moonshot", "moonshot_coding", "koboldcpp", "webui", "lmstudio"),
    }
)
_OTHER_TYPES: Mapping[str, str] = {"gemini": "google_ai", "google": "google_ai", "local": "llamacpp"}


def endpoint_type(provider: str) -> str:
    """Return what kind of endpoint the SDKs would take a provider for."""
    name = provider.lower().replace("-", "_")
    return name if name in _ENDPOINT_TYPES else _OTHER_TYPES.get(name, "openai")


def model_json(model: models_pb2.Model, base_url: str | None) -> dict[str, Any]:
    """Return a model."""
    window = model.context_window if model.HasField("context_window") else DEFAULT_WINDOW
    return {
        "handle": model.handle,
        "name": model.name,
        "display_name": model.name,
        "model": model.name,
        "model_type": "llm",
        "model_endpoint_type": endpoint_type(model.provider),
        "model_endpoint": base_url,
        "provider_type": endpoint_type(model.provider),
        "provider_name": model.provider,
        "provider_category": "base",
        "context_window": window,
        "max_context_window": window,
        "put_inner_thoughts_in_kwargs": False,
    }


def provider_json(provider: models_pb2.Provider) -> dict[str, Any]:
    """Return a provider. Its key is never told."""
    return {
        "id": f"provider-{uuid5(NAMESPACE_URL, f'letta-grpc-provider:{provider.name}')}",
        "name": provider.name,
        "provider_type": endpoint_type(provider.name),
        "provider_category": "base",
        "base_url": provider.base_url or None,
        "api_key": None,
        "has_api_key": provider.has_api_key,
    }


def embedding_json(handle: str) -> dict[str, Any]:
    """Return an embedding model. How long its vectors are is known by none but itself: 0."""
    provider, _, name = handle.partition("/")
    return {
        "handle": handle,
        "name": name,
        "display_name": name,
        "model_type": "embedding",
        "embedding_model": name,
        "embedding_dim": 0,
        "embedding_endpoint_type": endpoint_type(provider),
        "embedding_endpoint": None,
        "provider_type": endpoint_type(provider),
        "provider_name": provider,
        "provider_category": "base",
    }
