"""Model handles: `provider/model`, whichever way a body says them, under names that the reference server had for providers."""

from collections.abc import Mapping

from letta_grpc.gateway.faces.letta.errors import LettaFailure
from letta_grpc.gateway.faces.letta.fields import Body, mapping, text
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.v1 import model_service_pb2

# By what other name the same provider may be configured here. `_` and `-` are the same in names.
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "openai-proxy": ("openai",),
    "google-ai": ("gemini", "google"),
    "google-vertex": ("gemini", "google"),
    "chatgpt-oauth": ("openai",),
    "lmstudio-openai": ("lmstudio",),
}
_HOSTED = "letta"


def handle_in(body: Body) -> str | None:
    """Return the handle that a body names, as `model` or by its `llm_config`; None where it names none. Raises Failure."""
    if handle := text(body, "model"):
        return handle
    config = mapping(body, "llm_config")
    if handle := text(config, "handle"):
        return handle
    model, provider = text(config, "model"), text(config, "provider_name") or text(config, "model_endpoint_type")
    return f"{provider}/{model}" if provider and model else None


async def resolved(ask: Ask, handle: str) -> str:
    """Return the handle under which this server has the model; the handle itself where that is for the server to say.

    Raises Failure for models that only the retired hosted service had.
    """
    provider, _, model = handle.partition("/")
    key = _key(provider)
    if key != _HOSTED and key not in _OTHER_NAMES:
        return handle
    listed = await ask.call(ask.services.models.ListProviders, model_service_pb2.ListProvidersRequest())
    configured = {_key(each.name): each.name for each in listed.providers}
    if key in configured:
        return handle
    for other in _OTHER_NAMES.get(key, ()):
        if other in configured:
            return f"{configured[other]}/{model}"
    if key == _HOSTED:
        raise _hosted(handle, ", ".join(sorted(configured.values())))
    return handle


def _hosted(handle: str, configured: str) -> LettaFailure:
    return LettaFailure(
        404,
        {
            "detail": f"{handle!r} was a model of the hosted service, which no other server has. Choose one of a provider "
            f"that is configured here ({configured}), as GET /v1/models/ lists them."
        },
    )


def _key(provider: str) -> str:
    return provider.lower().replace("_", "-")
