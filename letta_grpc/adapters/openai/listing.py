"""Which models an endpoint has: asked with OpenAI's own client, which is imported on first use (it costs a second)."""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from letta_grpc.adapters.openai.address import Address
from letta_grpc.adapters.openai.complaints import complaint_of
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.faults import UnusableAddressError
from letta_grpc.domain.completions import ModelInfo
from letta_grpc.domain.errors import InvalidModelOutput, ModelBadRequest, ModelFailure, ModelOverloaded, ModelTimeout

if TYPE_CHECKING:
    from openai import AsyncOpenAI

LIST_TIMEOUT_SECONDS = 5.0
# The contract's numbers have 32 bits.
_LARGEST_WINDOW = 2**31 - 1


async def list_models(endpoint: OpenAIEndpoint) -> tuple[ModelInfo, ...]:
    """Return the models in the endpoint's order. Raises ModelFailure."""
    if endpoint.lacks_key:
        raise CallFailures(endpoint, "").without_key()
    return _read(endpoint, await _ask(endpoint))


async def _ask(endpoint: OpenAIEndpoint) -> bytes:
    try:
        Address.parse(endpoint.url("models"))
    except UnusableAddressError as error:
        raise _unaskable(endpoint, str(error)) from error
    client = await asyncio.to_thread(_client, endpoint)
    async with client:
        try:
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS):
                return await _get(client, endpoint)
        except TimeoutError as error:
            raise ModelTimeout(f"{endpoint.name} did not list its models in time", provider=endpoint.name) from error
        except UnicodeError as error:
            raise _unaskable(endpoint, "its API key has characters that no header may have") from error
        except _client_errors() as error:
            raise _failure(endpoint, error) from error


async def _get(client: "AsyncOpenAI", endpoint: OpenAIEndpoint) -> bytes:
    from httpx2 import Response  # noqa: PLC0415 - see above

    # The body as it is: the client's own reading of it trusts it to be a list of objects.
    response = await client.get(endpoint.url("models"), cast_to=Response, options={"headers": _headers(endpoint)})
    return response.content


def _read(endpoint: OpenAIEndpoint, body: bytes) -> tuple[ModelInfo, ...]:
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(endpoint, "what it sent is not JSON: is its base URL right?") from error
    match listed:
        # A bare list is Together's; null is what Ollama says where there is none.
        case {"data": list() | None as entries} | (list() as entries):
            models = [_info(endpoint, model) for entry in entries or () if (model := _model(entry))]
        case _:
            raise _unreadable(endpoint, CallFailures(endpoint, "").words(complaint_of(listed)) or "what it sent is no list")
    if entries and not models:
        raise _unreadable(endpoint, "no entry of its list has an id")
    return tuple(models)


def _model(entry: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a vendor's
    match entry:
        case str(name) if name:
            return {"id": name}
        case {"id": str(name)} if name:
            return dict(entry)
        case _:
            return None


def _unaskable(endpoint: OpenAIEndpoint, why: str) -> ModelFailure:
    return ModelBadRequest(f"{endpoint.name} cannot be asked: {why}", provider=endpoint.name)


def _unreadable(endpoint: OpenAIEndpoint, why: str) -> ModelFailure:
    return InvalidModelOutput(f"{endpoint.name} did not list its models: {why}", provider=endpoint.name)


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
    name = model["id"]
    return ModelInfo(
        handle=f"{endpoint.name}/{name}", provider=endpoint.name, name=name, context_window=_context_window(model)
    )


def _context_window(model: dict[str, Any]) -> int | None:
    """Return what the list says: OpenRouter's and Groq's, vLLM's, llama.cpp's spelling."""
    meta = model.get("meta")
    said = [model.get(name) for name in ("context_length", "context_window", "max_model_len")]
    if isinstance(meta, dict):
        said += [meta.get("n_ctx"), meta.get("n_ctx_train")]
    return next((size for size in said if isinstance(size, int) and 0 < size <= _LARGEST_WINDOW), None)
