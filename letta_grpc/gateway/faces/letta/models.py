"""Models and providers, tags, health."""

from collections.abc import Sequence

import grpc

from letta_grpc.gateway.faces.letta.agents import every_agent
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation, together
from letta_grpc.gateway.faces.letta.pages_in_memory import page_of
from letta_grpc.gateway.faces.letta.shapes.models import embedding_json, endpoint_type, model_json, provider_json
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import model_service_pb2 as pb
from letta_grpc.v1 import models_pb2

_BASE = "base"
# Clients go by it for what the API has, and send the user of an older one for a newer image.
_VERSION = "0.16.8"
_OF_THE_API = f"`version` is {_VERSION}, that of the retired server whose API this is"


async def list_models(ask: Ask) -> Json:
    """List models."""
    name, kind, categories = ask.query("provider_name"), ask.query("provider_type"), ask.queries("provider_category")
    models, providers = await together(
        ask.call(ask.services.models.ListModels, pb.ListModelsRequest(provider=name or "")), _providers(ask)
    )
    urls = {provider.name: provider.base_url or None for provider in providers}
    return [
        model_json(model, urls.get(model.provider))
        for model in models.models
        if (kind is None or endpoint_type(model.provider) == kind) and (not categories or _BASE in categories)
    ]


async def list_embedding_models(ask: Ask) -> Json:
    """List the embedding model of the server, if it has one."""
    handle = (await ask.call(ask.services.models.ListProviders, pb.ListProvidersRequest())).embedding_model
    return [embedding_json(handle)] if handle else []


async def list_providers(ask: Ask) -> Json:
    """List providers."""
    name = ask.query("name")
    return page_of(ask, [provider_json(each) for each in await _providers(ask) if name in (None, each.name)], order="asc")


async def _providers(ask: Ask) -> Sequence[models_pb2.Provider]:
    return (await ask.call(ask.services.models.ListProviders, pb.ListProvidersRequest())).providers


async def health(_ask: Ask) -> Json:
    """Say that the gateway is there."""
    return {"status": "ok", "version": _VERSION}


async def ready(ask: Ask) -> Json:
    """Say that the server answers; one that is not there, or about to leave, is told with 503."""
    try:
        await _providers(ask)
    except Failure as failure:
        # Who shows no key is refused, and so answered.
        if failure.code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise
    return {"status": "ready", "version": _VERSION}


async def list_tags(ask: Ask) -> Json:
    """List the tags that agents have, in the order of the alphabet."""
    tags = {tag async for agent in every_agent(ask) for tag in agent.tags}
    words = (ask.query("query_text") or ask.query("name") or "").lower()
    return page_of(ask, sorted(tag for tag in tags if words in tag.lower()), order="asc")


OPERATIONS: Sequence[Operation] = (
    # Without the slash it is OpenAI's.
    Operation("GET", "/v1/models/", list_models, "asks the providers, and leaves out those that do not answer", exact=True),
    Operation("GET", "/v1/models/embedding", list_embedding_models),
    Operation("GET", "/v1/providers/", list_providers, differs="as the server's settings say"),
    Operation("GET", "/v1/tags/", list_tags),
    Operation("GET", "/v1/health/", health, differs=_OF_THE_API),
    Operation("GET", "/v1/ready/", ready, differs=_OF_THE_API),
)
