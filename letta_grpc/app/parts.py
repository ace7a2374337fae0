"""The parts of a server, each as its settings choose it."""

from contextlib import AsyncExitStack
from datetime import timedelta

from letta_grpc.adapters.llama import LlamaProvider, LlamaServer, LlamaUnavailableError
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.adapters.model_catalog import ModelProvider
from letta_grpc.adapters.no_sandbox import NoSandbox
from letta_grpc.adapters.openai.embeddings import OpenAIEmbeddings
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.provider import OpenAIProvider
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.scripted.provider import ScriptedProvider
from letta_grpc.adapters.sql.backends import backend_of
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.passage_vectors import SqlPassageVectors
from letta_grpc.adapters.web_callbacks import WebCallbacks
from letta_grpc.adapters.web_images import WebImages
from letta_grpc.app.failures import StartupError, unusable
from letta_grpc.engine.semantic_search import SemanticSearch
from letta_grpc.ports.clock import Clock
from letta_grpc.settings import WELL_KNOWN_PROVIDERS, Provider, Settings
from letta_grpc.transport.certificates import RenewableTls
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.renewal import UnusableFileError


async def open_database(stack: AsyncExitStack, settings: Settings, clock: Clock) -> OpenDatabase:
    """Open the settings' database until the stack is left. Raises StartupError."""
    try:
        backend = backend_of(settings.database, sync=settings.database_sync)
        lease_time = timedelta(seconds=settings.lease_seconds)
        return await stack.enter_async_context(backend.open(codec=ProtoEventCodec(), clock=clock, lease_time=lease_time))
    except DatabaseUnusableError as error:
        raise unusable(error) from error


def tls_of(settings: Settings) -> RenewableTls | None:
    """Return the certificate to serve with, for all listeners, None for plain text. Raises StartupError."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    try:
        return RenewableTls(settings.tls_certificate_file, settings.tls_key_file)
    except UnusableFileError as error:
        raise StartupError(str(error)) from error


def keys_of(settings: Settings) -> ApiKeys:
    """Return who is let in. Raises StartupError."""
    try:
        return ApiKeys((key.get_secret_value() for key in settings.api_keys), settings.api_keys_file)
    except UnusableFileError as error:
        raise StartupError(str(error)) from error


def providers_of(settings: Settings, clock: Clock) -> list[ModelProvider]:
    """Return what answers for the models of each provider. Raises StartupError."""
    providers: list[ModelProvider] = [ScriptedProvider(clock)]
    for name, provider in settings.providers.items():
        providers.append(OpenAIProvider(_endpoint(name, provider), clock))
    if settings.local_model:

        def connect(server: LlamaServer) -> OpenAIProvider:
            return OpenAIProvider(OpenAIEndpoint(name="local", base_url=server.base_url, api_key=server.api_key), clock)

        try:
            providers.append(LlamaProvider(settings.local_model, connect))
        except LlamaUnavailableError as error:
            raise StartupError(str(error)) from error
    return providers


def _endpoint(name: str, provider: Provider) -> OpenAIEndpoint:
    key = provider.api_key.get_secret_value() if provider.api_key else None
    known = name in WELL_KNOWN_PROVIDERS
    variable = f"{name.upper()}_API_KEY" if known else f"LETTA_GRPC_PROVIDERS__{name.upper()}__API_KEY"
    return OpenAIEndpoint(name=name, base_url=provider.base_url, api_key=key, key_variable=variable)


def embedding_model_of(settings: Settings) -> tuple[str, str] | None:
    """Return the provider and the name of the model for search by meaning, None without one. Raises StartupError."""
    if settings.embedding_model is None:
        return None
    name, _, model = settings.embedding_model.partition("/")
    if name not in settings.providers:
        known = ", ".join(sorted(settings.providers)) or "none"
        raise StartupError(f"LETTA_GRPC_EMBEDDING_MODEL names the provider {name!r}; configured providers: {known}")
    return name, model


def semantic_search_of(
    stack: AsyncExitStack, settings: Settings, database: OpenDatabase, clock: Clock
) -> SemanticSearch | None:
    """Return the search by meaning, None without a model for it. Raises StartupError."""
    chosen = embedding_model_of(settings)
    if chosen is None:
        return None
    name, model = chosen
    embeddings = OpenAIEmbeddings(_endpoint(name, settings.providers[name]), model)
    stack.push_async_callback(embeddings.close)
    return SemanticSearch(embeddings, SqlPassageVectors(database), clock)


def _allowed(settings: Settings, chosen: bool | None) -> bool:  # noqa: FBT001 - a setting's value
    """Return what is set, and where nothing is: what does no harm as long as only this machine can ask for it."""
    return settings.is_for_this_machine_alone if chosen is None else chosen


def mcp_policy_of(settings: Settings) -> McpPolicy:
    """Return which MCP servers may be used."""
    # A command has the server's rights. A tool with network is on this machine, too: what keeps it from having one started
    # is a key, which it does not know.
    keeps_tools_out = settings.is_for_this_machine_alone and settings.asks_for_keys
    return McpPolicy(
        allow_stdio=keeps_tools_out if settings.mcp_stdio is None else settings.mcp_stdio,
        allow_private_addresses=_allowed(settings, settings.mcp_private_addresses),
    )


def images_of(settings: Settings) -> WebImages:
    """Return what loads the pictures that a URL names."""
    return WebImages(allow_private_addresses=_allowed(settings, settings.image_private_addresses))


def callbacks_of(settings: Settings) -> WebCallbacks:
    """Return what tells callers that their runs have ended."""
    return WebCallbacks(allow_private_addresses=_allowed(settings, settings.callback_private_addresses))


def gives_tools_network(settings: Settings) -> bool:
    """Return whether tools of Python source get the network that they ask for."""
    return _allowed(settings, settings.tool_network)


def sandbox_of(settings: Settings) -> NamespaceSandbox | NoSandbox:
    """Return where tools of Python source run."""
    if settings.tool_sandbox == "off":
        return NoSandbox("this server's settings turn tools of Python source off")
    return NamespaceSandbox(
        memory_bytes=settings.tool_memory_bytes,
        cpu_seconds=settings.tool_cpu_seconds,
        parallel_calls=settings.tool_parallel_calls,
        allow_network=gives_tools_network(settings),
        allow_uncontained=settings.tool_sandbox == "uncontained",
    )
