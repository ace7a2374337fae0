"""Which models an endpoint has: asked with OpenAI's own client, which is imported on first use (it costs a second)."""

import asyncio
from typing import TYPE_CHECKING, Any

from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.domain.completions import ModelInfo
from letta_grpc.domain.errors import ModelFailure, ModelOverloaded, ModelTimeout

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LIST_TIMEOUT_SECONDS = 5.0


async def list_models(endpoint: OpenAIEndpoint) -> tuple[ModelInfo, ...]:
    """Return the models in the endpoint's order. Raises ModelFailure."""
    if endpoint.lacks_key:
        raise CallFailures(endpoint, "").without_key()
    client = await asyncio.to_thread(_client, endpoint)
    async with client:
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                listed = client.models.list(extra_headers=_headers(endpoint))
                return tuple([_info(endpoint, model.to_dict()) async for model in listed])
        except TimeoutError as error:
            raise ModelTimeout(f"{endpoint.name} did not list its models in time", provider=endpoint.name) from error
        except _client_errors() as error:
            raise _failure(endpoint, error) from error


def _client(endpoint: OpenAIEndpoint) -> "AsyncOpenAI":
    from openai import AsyncOpenAI  # noqa: PLC0415 - see above

    # Any text will do for a key where there is none: it is not sent.
    key = endpoint.api_key or "none"
    return AsyncOpenAI(base_url=endpoint.base_url, api_key=key, max_retries=0, timeout=LIST_TIMEOUT_SECONDS)


def _headers(endpoint: OpenAIEndpoint) -> dict[str, Any]:
    from openai import Omit  # noqa: PLC0415 - see above

    # The client takes organisation and project from the environment, for whichever vendor; we send neither to any.
    headers: dict[str, Any] = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    if not endpoint.api_key:
        headers["Authorization"] = Omit()
    elif endpoint.name == "anthropic":
        # Anthropic's list is not part of what it offers to OpenAI's clients.
        headers |= {"x-api-key": endpoint.api_key, "anthropic-version": "2023-06-01"}
    return headers


def _client_errors() -> type[Exception]:
    from openai import OpenAIError  # noqa: PLC0415 - see above

    return OpenAIError


def _failure(endpoint: OpenAIEndpoint, error: Exception) -> ModelFailure:
    status = getattr(error, "status_code", None)
    said = "cannot be reached" if status is None else f"did not list its models ({status})"
    return ModelOverloaded(f"{endpoint.name} {said}", provider=endpoint.name)


def _info(endpoint: OpenAIEndpoint, model: dict[str, Any]) -> ModelInfo:
    name = str(model.get("id", ""))
    return ModelInfo(
        handle=f"{endpoint.name}/{name}", provider=endpoint.name, name=name, context_window=_context_window(model)
    )


def _context_window(model: dict[str, Any]) -> int | None:
    """Return what the list says: OpenRouter's and Groq's, vLLM's, llama.cpp's spelling."""
    meta = model.get("meta")
    said = [model.get(name) for name in ("context_length", "context_window", "max_model_len")]
    if isinstance(meta, dict):
        said += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    return next((size for size in said if isinstance(size, int) and size > 0), None)
