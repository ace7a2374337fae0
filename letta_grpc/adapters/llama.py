"""`local/…`: a GGUF file that llama.cpp runs in this process (extra `[local]`).

llama.cpp brings an HTTP server of its own; it listens on a free loopback port and is called like every other
OpenAI-compatible endpoint. Loading takes about a second and begins with the first call.
"""

import asyncio
import importlib.util
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from letta_grpc.domain.completions import ModelChunk, ModelInfo, ModelRequest, ProviderInfo
from letta_grpc.domain.errors import ModelBadRequest, ModelOverloaded
from letta_grpc.ports.models import ChatModel

NAME = "local"
_ERRORS_ONLY = 1


class LlamaUnavailableError(Exception):
    """The local model cannot be had on this machine; the message tells an operator what to do."""


class Endpoint(Protocol):
    """What calls the loopback server."""

    def find(self, name: str) -> ChatModel | None:
        """Return the model."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaServer:
    """A running llama.cpp. It stops when it is no longer referred to."""

    base_url: str
    api_key: str = field(repr=False)
    _server: Any = field(repr=False)


def start_llama(gguf: Path, *, context_tokens: int = 4096, threads: int = 2) -> LlamaServer:
    """Load a model and serve it. Blocks for as long as that takes. Raises ModelOverloaded."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    # Other programs on this machine can reach the port.
    api_key = secrets.token_urlsafe(24)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf)
    parameters.model_alias = [gguf.stem]
    parameters.n_ctx = context_tokens
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.verbosity = _ERRORS_ONLY
    try:
        server = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ModelOverloaded("llama.cpp cannot load the GGUF file of the local model", provider=NAME) from error
    return LlamaServer(base_url=f"{server.listening_address}/v1", api_key=api_key, _server=server)


class LlamaProvider:
    """One GGUF file for the catalog. `connect` makes the endpoint that calls the loopback server.

    Raises LlamaUnavailableError where the extra or the file is missing.
    """

    def __init__(self, gguf: Path, connect: Callable[[LlamaServer], Endpoint], *, context_tokens: int = 4096) -> None:
        self.check(gguf)
        self._gguf = gguf
        self._connect = connect
        self._context_tokens = context_tokens
        self._loading = asyncio.Lock()
        self._server: LlamaServer | None = None
        self._endpoint: Endpoint | None = None

    @staticmethod
    def check(gguf: Path) -> None:
        """Raise LlamaUnavailableError for what is missing here."""
        if importlib.util.find_spec("xllamacpp") is None:
            raise LlamaUnavailableError("a local model needs llama.cpp: install letta-grpc[local]")
        if not gguf.is_file():
            raise LlamaUnavailableError(f"there is no GGUF file at {gguf}")

    @property
    def info(self) -> ProviderInfo:
        """What may be told of it."""
        return ProviderInfo(name=NAME)

    def find(self, name: str) -> "LlamaProvider | None":
        """Return the model under the file's name without its suffix."""
        return self if name == self._gguf.stem else None

    async def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the one model."""
        name = self._gguf.stem
        return (ModelInfo(handle=f"{NAME}/{name}", provider=NAME, name=name, context_window=self._context_tokens),)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask the model; load it before if need be."""
        model = (await self._loaded()).find(request.model)
        if model is None:
            raise ModelBadRequest(f"{NAME} does not know the model {request.model}", provider=NAME, model=request.model)
        async with aclosing(model.stream(request)) as batches:
            async for batch in batches:
                yield batch

    async def close(self) -> None:
        """Stop llama.cpp."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.close()
        # The last reference goes in a thread: llama.cpp finishes the token it is at before it lets go.
        servers, self._server = [self._server], None
        await asyncio.to_thread(servers.clear)

    async def _loaded(self) -> Endpoint:
        async with self._loading:
            if self._endpoint is None:
                self._server = await asyncio.to_thread(start_llama, self._gguf, context_tokens=self._context_tokens)
                self._endpoint = self._connect(self._server)
            return self._endpoint
