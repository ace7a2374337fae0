"""The composition root: the one place that names adapters and joins them with the engine and the transport."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from letta_grpc.adapters.builtin_tools.registry import BuiltinTools
from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.jiter import Jiter
from letta_grpc.adapters.json_schema import JsonSchema
from letta_grpc.adapters.llama import LlamaProvider, LlamaServer, LlamaUnavailableError
from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.adapters.model_catalog import ModelCatalog, ModelProvider
from letta_grpc.adapters.no_sandbox import NoSandbox
from letta_grpc.adapters.openai.embeddings import OpenAIEmbeddings
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.provider import OpenAIProvider
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.scripted.provider import ScriptedProvider
from letta_grpc.adapters.sql.agent_files import SqlAgentImporter
from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.blocks import SqlBlockStore
from letta_grpc.adapters.sql.conversations import SqlConversationStore
from letta_grpc.adapters.sql.failures import DatabaseUnusableError
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.mcp_servers import SqlMcpServerStore
from letta_grpc.adapters.sql.memory import SqlMemoryStore
from letta_grpc.adapters.sql.message_search import SqlMessageSearch
from letta_grpc.adapters.sql.migrate import current_revision
from letta_grpc.adapters.sql.migrate import migrate as migrate_database
from letta_grpc.adapters.sql.passage_vectors import SqlPassageVectors
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.runs import SqlRunStore
from letta_grpc.adapters.sql.sqlite.database import SqliteDatabase, open_sqlite
from letta_grpc.adapters.sql.tools import SqlAgentTools, SqlToolStore
from letta_grpc.adapters.web_images import WebImages
from letta_grpc.engine.agent_files import AgentFiles
from letta_grpc.engine.agents import Agents
from letta_grpc.engine.archive import Archive
from letta_grpc.engine.blocks import Blocks
from letta_grpc.engine.captures import Captures
from letta_grpc.engine.children import Children
from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.intake import Intake
from letta_grpc.engine.loop import AgentLoop
from letta_grpc.engine.mcp_servers import McpServers
from letta_grpc.engine.meanings import Meanings
from letta_grpc.engine.readers import Readers
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.sleeptime import SleeptimeWork
from letta_grpc.engine.supervisor import Supervisor
from letta_grpc.engine.tool_catalog import ToolCatalog
from letta_grpc.engine.tool_trials import ToolTrials
from letta_grpc.engine.tools import ToolShelf
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.models import Models
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.settings import WELL_KNOWN_PROVIDERS, Provider, Settings
from letta_grpc.telemetry import Telemetry, telemetry_from_env
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.server import ListenError, Server, ServerOptions, Tls
from letta_grpc.transport.services import calls_of

logger = logging.getLogger(__name__)


class StartupError(Exception):
    """The server cannot start; the message tells an operator what to do."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class House:
    """Everything but the sockets: the engine at work, and the calls that reach it."""

    calls: Calls
    supervisor: Supervisor
    settings: Settings
    sandbox: NamespaceSandbox | NoSandbox

    def tool_warning(self) -> str | None:
        """Return what an operator should know of how tools run here. Tries it out, which blocks for a moment."""
        finding = _sandbox_finding(self.settings, self.sandbox)
        return finding.detail if finding.state is not State.OK else None

    def channel(self, metadata: tuple[tuple[str, str], ...] = ()) -> LocalChannel:
        """Return a channel that reaches the calls in process; `metadata` goes out with each of them."""
        return LocalChannel(self.calls, metadata)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts calls at `address`, and over HTTP at the URL `http`, if it was told to."""

    house: House
    address: str
    http: str | None = None


@asynccontextmanager
async def serving(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[RunningServer]:
    """Serve on the settings' address; on leaving, drain, then stop.

    Runs may end within `drain_seconds`. The next server on the same database goes on with the others. Raises StartupError.
    """
    async with housed(settings, environ) as house:
        server = Server(house.calls, _server_options(settings))
        try:
            (address,) = await server.start()
        except ListenError as error:
            raise StartupError(str(error)) from error
        try:
            async with _gateway(house, settings) as url:
                # What is here now stays; the collector need not look at it again.
                gc.freeze()
                try:
                    yield RunningServer(house, address, url)
                finally:
                    await server.drain()
                    await _let_runs_end(house.supervisor, settings.drain_seconds)
        finally:
            await server.stop(grace_seconds=1)


@asynccontextmanager
async def _gateway(house: House, settings: Settings) -> AsyncIterator[str | None]:
    """Serve HTTP over the house's own channel, if the settings say where; yield the URL."""
    if settings.http is None:
        yield None
        return
    # On first use: a server without a gateway need not load one.
    from letta_grpc.gateway.application import gateway_app  # noqa: PLC0415 - see above
    from letta_grpc.gateway.options import GatewayOptions  # noqa: PLC0415 - see above
    from letta_grpc.gateway.serving import BindError, Certificate, http_serving  # noqa: PLC0415 - see above

    options = GatewayOptions(
        cors_origins=settings.cors_origins,
        # Without keys, whoever gets through to it may do all: so only by a name that no foreign page can have.
        any_host=bool(settings.api_keys),
        # JSON is larger than what it says: base64 by a third, short fields by their names.
        max_body_bytes=2 * settings.max_message_bytes,
        chat_model=settings.chat_model,
        anthropic_base_url=settings.anthropic.base_url,
        anthropic_api_key=settings.anthropic.key,
    )
    certificate = None
    if settings.tls_certificate_file and settings.tls_key_file:
        certificate = Certificate(chain=settings.tls_certificate_file, key=settings.tls_key_file)
    async with house.channel() as channel, AsyncExitStack() as stack:
        serving_http = http_serving(gateway_app(channel, options), settings.http, options, certificate)
        try:
            url = await stack.enter_async_context(serving_http)
        except BindError as error:
            raise StartupError(str(error)) from error
        yield url


async def _let_runs_end(supervisor: Supervisor, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await supervisor.idle()
    except TimeoutError:
        logger.warning("%d runs are left open: the next server goes on with them", supervisor.active)


@asynccontextmanager
async def housed(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[House]:
    """Open the database and run the engine on it, without a socket. Raises StartupError."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        telemetry = telemetry_from_env(environ)
        if telemetry:
            stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        database = await _open_database(stack, settings, clock)
        models = ModelCatalog(_providers(settings, clock))
        stack.push_async_callback(models.close)
        sandbox = _sandbox(settings)
        stack.push_async_callback(sandbox.aclose)
        ground = _Ground(
            settings=settings,
            database=database,
            models=models,
            mcp=await stack.enter_async_context(McpConnections(_mcp_policy(settings))),
            meanings=_meanings(stack, settings, database, clock),
            clock=clock,
            telemetry=telemetry,
            readers=Readers(),
            sandbox=sandbox,
        )
        supervisor = await stack.enter_async_context(_supervisor(ground))
        yield House(_calls(ground, supervisor), supervisor, settings, sandbox)


async def _open_database(stack: AsyncExitStack, settings: Settings, clock: Clock) -> SqliteDatabase:
    opening = open_sqlite(
        settings.database,
        codec=ProtoEventCodec(),
        clock=clock,
        sync=settings.database_sync,
        lease_time=timedelta(seconds=settings.lease_seconds),
    )
    try:
        return await stack.enter_async_context(opening)
    except DatabaseUnusableError as error:
        raise _unusable(error) from error


def _providers(settings: Settings, clock: Clock) -> list[ModelProvider]:
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


def _meanings(stack: AsyncExitStack, settings: Settings, database: SqliteDatabase, clock: Clock) -> Meanings | None:
    if settings.embedding_model is None:
        return None
    name, _, model = settings.embedding_model.partition("/")
    if name not in settings.providers:
        known = ", ".join(sorted(settings.providers)) or "none"
        raise StartupError(f"LETTA_GRPC_EMBEDDING_MODEL names the provider {name!r}; configured providers: {known}")
    embeddings = OpenAIEmbeddings(_endpoint(name, settings.providers[name]), model)
    stack.push_async_callback(embeddings.close)
    return Meanings(embeddings, SqlPassageVectors(database), clock)


def _allowed(settings: Settings, chosen: bool | None) -> bool:  # noqa: FBT001 - a setting's value
    """Return what is set, and where nothing is: what does no harm as long as only this machine can ask for it."""
    return settings.is_for_this_machine_alone if chosen is None else chosen


def _mcp_policy(settings: Settings) -> McpPolicy:
    return McpPolicy(
        allow_stdio=_allowed(settings, settings.mcp_stdio),
        allow_private_addresses=_allowed(settings, settings.mcp_private_addresses),
    )


def _images(settings: Settings) -> WebImages:
    return WebImages(allow_private_addresses=_allowed(settings, settings.image_private_addresses))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the engine stands on."""

    settings: Settings
    database: SqliteDatabase
    models: Models
    mcp: McpConnections
    meanings: Meanings | None
    clock: Clock
    telemetry: Telemetry | None
    readers: Readers
    sandbox: NamespaceSandbox | NoSandbox

    @property
    def history(self) -> SqlHistoryStore:
        return SqlHistoryStore(self.database)

    @property
    def archive(self) -> Archive:
        passages = SqlPassageStore(self.database)
        return Archive(passages=passages, words=passages, meanings=self.meanings, clock=self.clock)

    @property
    def own_tools(self) -> BuiltinTools:
        return BuiltinTools(
            memory=SqlMemoryStore(self.database),
            history=self.history,
            messages=SqlMessageSearch(self.database),
            passages=self.archive,
            agents=SqlAgentStore(self.database),
            clock=self.clock,
        )

    @property
    def tools(self) -> ToolCatalog:
        return ToolCatalog(
            own=self.own_tools,
            stored=SqlToolStore(self.database),
            sandbox=self.sandbox,
            servers=SqlMcpServerStore(self.database),
            client=self.mcp,
        )


def _sandbox(settings: Settings) -> NamespaceSandbox | NoSandbox:
    if settings.tool_sandbox == "off":
        return NoSandbox("this server's settings turn tools of Python source off")
    return NamespaceSandbox(
        memory_bytes=settings.tool_memory_bytes,
        cpu_seconds=settings.tool_cpu_seconds,
        parallel_calls=settings.tool_parallel_calls,
        allow_uncontained=settings.tool_sandbox == "uncontained",
    )


def _supervisor(ground: _Ground) -> Supervisor:
    database, settings = ground.database, ground.settings
    tracing: Tracing = ground.telemetry.tracing if ground.telemetry else NoTracing()
    children = Children(
        runs=SqlRunStore(database),
        history=ground.history,
        log=database.log,
        models=ground.models,
        clock=ground.clock,
        tracing=tracing,
    )
    return Supervisor(
        loop=AgentLoop(
            history=ground.history,
            runs=SqlRunStore(ground.database),
            models=ground.models,
            tools=ground.tools,
            children=children,
            partial_json=Jiter(),
            shapes=JsonSchema(),
            tracing=tracing,
        ),
        children=children,
        sleeptime=SleeptimeWork(
            agents=SqlAgentStore(database),
            runs=SqlRunStore(database),
            history=ground.history,
            models=ground.models,
            clock=ground.clock,
        ),
        journal=database.journal,
        leases=database.leases,
        log=database.log,
        codec=ProtoEventCodec(),
        readers=ground.readers,
        clock=ground.clock,
        tracing=tracing,
        lease_seconds=settings.lease_seconds,
        event_retention=timedelta(seconds=settings.event_retention_seconds),
    )


def _calls(ground: _Ground, supervisor: Supervisor) -> Calls:
    database, models, clock, settings = ground.database, ground.models, ground.clock, ground.settings
    shelf = ToolShelf(
        own=ground.own_tools,
        tools=SqlToolStore(database),
        named=SqlToolStore(database),
        attachments=SqlAgentTools(database),
        sandbox=ground.sandbox,
        clock=clock,
    )
    blocks, memory, conversations = SqlBlockStore(database), SqlMemoryStore(database), SqlConversationStore(database)
    runs = Runs(
        supervisor=supervisor,
        log=database.log,
        runs=SqlRunStore(database),
        history=ground.history,
        models=models,
        intake=Intake(shapes=JsonSchema(), images=_images(settings), runs=SqlRunStore(database)),
        readers=ground.readers,
        clock=clock,
    )
    agents = Agents(
        agents=SqlAgentStore(database),
        conversations=conversations,
        blocks=blocks,
        memory=memory,
        history=ground.history,
        messages=SqlMessageSearch(database),
        models=models,
        tools=ground.tools,
        clock=clock,
    )
    return calls_of(
        runs=runs,
        archive=ground.archive,
        agents=agents,
        captures=Captures(agents=agents, runs=runs, models=models),
        agent_files=AgentFiles(
            agents=agents,
            conversations=conversations,
            history=ground.history,
            passages=SqlPassageStore(database),
            tools=SqlToolStore(database),
            own_tools=ground.own_tools,
            importer=SqlAgentImporter(database),
            clock=clock,
        ),
        conversations=Conversations(
            conversations=conversations,
            agents=SqlAgentStore(database),
            history=ground.history,
            journal=database.journal,
            models=models,
            clock=clock,
        ),
        blocks=Blocks(blocks, memory, clock),
        mcp_servers=McpServers(
            servers=SqlMcpServerStore(database),
            client=ground.mcp,
            tools=SqlToolStore(database),
            named=SqlToolStore(database),
            reserved=frozenset(ground.own_tools.names()),
            clock=clock,
        ),
        tools=shelf,
        trials=ToolTrials(shelf=shelf, catalog=ground.tools, sandbox=ground.sandbox, clock=clock),
        models=models,
        embedding_model=settings.embedding_model or "",
        clock=clock,
        api_keys=tuple(key.get_secret_value() for key in settings.api_keys),
        limits=Limits(max_request_bytes=settings.max_message_bytes, max_run_streams=settings.max_streams),
        observer=ground.telemetry.rpc if ground.telemetry else None,
    )


def _server_options(settings: Settings) -> ServerOptions:
    tls = None
    if settings.tls_certificate_file and settings.tls_key_file:
        try:
            tls = Tls(certificate=settings.tls_certificate_file.read_bytes(), key=settings.tls_key_file.read_bytes())
        except OSError as error:
            raise StartupError(f"cannot read the TLS files: {error.strerror}: {error.filename}") from error
    return ServerOptions(listen=(settings.listen,), tls=tls, reflection=settings.reflection, channelz=settings.channelz)


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, without serving it. Raises StartupError."""
    try:
        migrate_database(settings.database)
    except DatabaseUnusableError as error:
        raise _unusable(error) from error


class State(Enum):
    """How something stands on this machine."""

    OK = "ok"
    # It works less than it could, and that may be meant.
    LIMITED = "limited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a server needs, as it is on this machine."""

    subject: str
    state: State
    detail: str


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Look at all that a server with these settings stands on, without starting one, changing anything or calling anybody."""
    policy = _mcp_policy(settings)
    mcp = f"child processes {_permission(policy.allow_stdio)}, private addresses {_permission(policy.allow_private_addresses)}"
    return (
        _database_finding(settings),
        _sandbox_finding(settings, _sandbox(settings)),
        *(_provider_finding(name, provider) for name, provider in settings.providers.items()),
        *_local_findings(settings),
        Finding("mcp", State.OK, mcp),
    )


def _permission(is_allowed: bool) -> str:  # noqa: FBT001 - a word for it
    return "allowed" if is_allowed else "not allowed"


def _database_finding(settings: Settings) -> Finding:
    try:
        revision = current_revision(settings.database)
    except DatabaseUnusableError as error:
        return Finding("database", State.FAILED, str(error))
    is_there = f"{settings.database} has schema {revision}" if revision else f"{settings.database} is made at the first start"
    return Finding("database", State.OK, is_there)


def _sandbox_finding(settings: Settings, sandbox: Sandbox) -> Finding:
    why = sandbox.unavailable()
    if why is None:
        return Finding("sandbox", State.OK, "tools of Python source run contained")
    match settings.tool_sandbox:
        case "off":
            return Finding("sandbox", State.LIMITED, "tools of Python source are refused, as the settings say")
        case "uncontained":
            return Finding("sandbox", State.LIMITED, f"tools of Python source run with the server's own rights: {why}")
        case "require":
            return Finding("sandbox", State.FAILED, f"tools of Python source are refused: {why}")


def _provider_finding(name: str, provider: Provider) -> Finding:
    with_key = "with a key" if provider.api_key and provider.api_key.get_secret_value() else "without a key"
    state = State.OK if with_key == "with a key" else State.LIMITED
    return Finding(f"provider {name}", state, f"{provider.base_url}, {with_key}")


def _local_findings(settings: Settings) -> Iterator[Finding]:
    if settings.local_model:
        try:
            LlamaProvider.check(settings.local_model)
        except LlamaUnavailableError as error:
            yield Finding("local model", State.FAILED, str(error))
        else:
            yield Finding("local model", State.OK, str(settings.local_model))


def _unusable(error: DatabaseUnusableError) -> StartupError:
    return StartupError(f"{error} ({error.reason})")
