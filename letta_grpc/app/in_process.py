"""The server without its sockets: adapters, engine and calls, joined."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from letta_grpc.adapters.builtin_tools.registry import BuiltinTools
from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.jiter import Jiter
from letta_grpc.adapters.json_schema import JsonSchema
from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.model_catalog import ModelCatalog
from letta_grpc.adapters.no_sandbox import NoSandbox
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.sql.failures import without_password
from letta_grpc.app.doctor import State, sandbox_finding
from letta_grpc.app.parts import (
    callbacks_of,
    images_of,
    keys_of,
    mcp_policy_of,
    open_database,
    providers_of,
    sandbox_of,
    semantic_search_of,
)
from letta_grpc.app.readiness import WatchedLeases
from letta_grpc.app.stores import Stores
from letta_grpc.domain.signing import signing_key
from letta_grpc.engine.agent_files import AgentFiles
from letta_grpc.engine.agents import Agents
from letta_grpc.engine.archive import Archive
from letta_grpc.engine.blocks import Blocks
from letta_grpc.engine.callbacks import Callbacks
from letta_grpc.engine.captures import Captures
from letta_grpc.engine.children import Children
from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.intake import Intake
from letta_grpc.engine.loop import AgentLoop
from letta_grpc.engine.mcp_servers import McpServers
from letta_grpc.engine.readers import Readers
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.sleeptime import SleeptimeWork
from letta_grpc.engine.supervisor import Supervisor
from letta_grpc.engine.tool_catalog import ToolCatalog
from letta_grpc.engine.tool_trials import ToolTrials
from letta_grpc.engine.tools import ToolRegistry
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.models import Models
from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.settings import Settings
from letta_grpc.telemetry import Telemetry, telemetry_from_env
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.services import calls_of


@dataclass(frozen=True, slots=True)
class InProcessServer:
    """A server without its sockets: the engine, and the calls that reach it."""

    calls: Calls
    supervisor: Supervisor
    leases: WatchedLeases
    settings: Settings
    sandbox: NamespaceSandbox | NoSandbox
    # The database as it may be told, and what is set once nothing can be stored in it any more: another server may have it.
    database: str
    lost: asyncio.Event

    def tool_warning(self) -> str | None:
        """Return what an operator should know of how tools run here. Tries it out, which blocks for a moment."""
        finding = sandbox_finding(self.settings, self.sandbox)
        return finding.detail if finding.state is not State.OK else None

    def channel(self, metadata: tuple[tuple[str, str], ...] = ()) -> LocalChannel:
        """Return a channel that reaches the calls in process; `metadata` goes out with each of them."""
        return LocalChannel(self.calls, metadata)


@asynccontextmanager
async def serving_in_process(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[InProcessServer]:
    """Open the database and run the engine on it, without a socket. Raises StartupError."""
    async with assembled(settings, environ) as server, server.supervisor:
        yield server


@asynccontextmanager
async def assembled(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[InProcessServer]:
    """Open the database and join everything: at work once its supervisor is entered. Raises StartupError."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        telemetry = telemetry_from_env(environ)
        if telemetry:
            stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        database = await open_database(stack, settings, clock)
        models = ModelCatalog(providers_of(settings, clock))
        stack.push_async_callback(models.close)
        sandbox = sandbox_of(settings)
        stack.push_async_callback(sandbox.aclose)
        stores = Stores(database)
        semantic = semantic_search_of(stack, settings, database, clock)
        archive = Archive(passages=stores.passages, words=stores.passages, semantic=semantic, clock=clock)
        mcp = await stack.enter_async_context(McpConnections(mcp_policy_of(settings)))
        own_tools = BuiltinTools(
            memory=stores.memory,
            runs=stores.runs,
            history=stores.history,
            messages=stores.messages,
            passages=archive,
            agents=stores.agents,
            clock=clock,
        )
        parts = _Parts(
            settings=settings,
            stores=stores,
            leases=WatchedLeases(database.leases),
            models=models,
            archive=archive,
            mcp=mcp,
            own_tools=own_tools,
            tools=ToolCatalog(own=own_tools, stored=stores.tools, sandbox=sandbox, servers=stores.mcp_servers, client=mcp),
            clock=clock,
            telemetry=telemetry,
            readers=Readers(),
            keys=keys_of(settings),
            sandbox=sandbox,
        )
        supervisor = _supervisor(parts)
        told = without_password(settings.database)
        yield InProcessServer(_calls(parts, supervisor), supervisor, parts.leases, settings, sandbox, told, database.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the engine and the calls are made of."""

    settings: Settings
    stores: Stores
    leases: WatchedLeases
    models: Models
    archive: Archive
    mcp: McpConnections
    own_tools: BuiltinTools
    tools: ToolCatalog
    clock: Clock
    telemetry: Telemetry | None
    readers: Readers
    keys: ApiKeys
    sandbox: NamespaceSandbox | NoSandbox


def _supervisor(parts: _Parts) -> Supervisor:
    stores, settings = parts.stores, parts.settings
    tracing: Tracing = parts.telemetry.tracing if parts.telemetry else NoTracing()
    children = Children(
        runs=stores.runs,
        history=stores.history,
        log=stores.log,
        models=parts.models,
        clock=parts.clock,
        tracing=tracing,
    )
    return Supervisor(
        loop=AgentLoop(
            history=stores.history,
            runs=stores.runs,
            models=parts.models,
            tools=parts.tools,
            children=children,
            partial_json=Jiter(),
            shapes=JsonSchema(),
            tracing=tracing,
        ),
        children=children,
        sleeptime=SleeptimeWork(
            agents=stores.agents,
            runs=stores.runs,
            history=stores.history,
            models=parts.models,
            clock=parts.clock,
        ),
        callbacks=Callbacks(
            store=stores.callbacks,
            sender=callbacks_of(settings),
            clock=parts.clock,
            signing_keys=[signing_key(secret.get_secret_value()) for secret in settings.callback_secrets],
        ),
        journal=stores.journal,
        leases=parts.leases,
        log=stores.log,
        codec=ProtoEventCodec(),
        readers=parts.readers,
        clock=parts.clock,
        tracing=tracing,
        lease_seconds=settings.lease_seconds,
        event_retention=timedelta(seconds=settings.event_retention_seconds),
    )


def _calls(parts: _Parts, supervisor: Supervisor) -> Calls:
    stores, models, clock, settings = parts.stores, parts.models, parts.clock, parts.settings
    runs, agents, registry = _runs(parts, supervisor), _agents(parts), _tool_registry(parts)
    return calls_of(
        runs=runs,
        archive=parts.archive,
        agents=agents,
        captures=Captures(agents=agents, runs=runs, models=models),
        agent_files=_agent_files(parts, agents),
        conversations=_conversations(parts),
        blocks=Blocks(stores.blocks, stores.memory, clock),
        mcp_servers=_mcp_servers(parts),
        tools=registry,
        trials=ToolTrials(registry=registry, catalog=parts.tools, sandbox=parts.sandbox, clock=clock),
        models=models,
        embedding_model=settings.embedding_model or "",
        clock=clock,
        keys=parts.keys,
        limits=Limits(max_request_bytes=settings.max_message_bytes, max_run_streams=settings.max_streams),
        observer=parts.telemetry.rpc if parts.telemetry else None,
    )


def _runs(parts: _Parts, supervisor: Supervisor) -> Runs:
    stores, settings = parts.stores, parts.settings
    return Runs(
        supervisor=supervisor,
        log=stores.log,
        runs=stores.runs,
        steps=stores.steps,
        history=stores.history,
        models=parts.models,
        intake=Intake(shapes=JsonSchema(), images=images_of(settings), callbacks=callbacks_of(settings), runs=stores.runs),
        readers=parts.readers,
        clock=parts.clock,
    )


def _agents(parts: _Parts) -> Agents:
    stores = parts.stores
    return Agents(
        agents=stores.agents,
        conversations=stores.conversations,
        blocks=stores.blocks,
        memory=stores.memory,
        history=stores.history,
        messages=stores.messages,
        models=parts.models,
        tools=parts.tools,
        clock=parts.clock,
    )


def _agent_files(parts: _Parts, agents: Agents) -> AgentFiles:
    stores = parts.stores
    return AgentFiles(
        agents=agents,
        conversations=stores.conversations,
        history=stores.history,
        passages=stores.passages,
        tools=stores.tools,
        own_tools=parts.own_tools,
        importer=stores.agent_files,
        clock=parts.clock,
    )


def _conversations(parts: _Parts) -> Conversations:
    stores = parts.stores
    return Conversations(
        conversations=stores.conversations,
        agents=stores.agents,
        history=stores.history,
        journal=stores.journal,
        models=parts.models,
        clock=parts.clock,
    )


def _mcp_servers(parts: _Parts) -> McpServers:
    return McpServers(
        servers=parts.stores.mcp_servers,
        client=parts.mcp,
        tools=parts.stores.tools,
        named=parts.stores.tools,
        reserved=frozenset(parts.own_tools.names()),
        clock=parts.clock,
    )


def _tool_registry(parts: _Parts) -> ToolRegistry:
    return ToolRegistry(
        own=parts.own_tools,
        tools=parts.stores.tools,
        named=parts.stores.tools,
        attachments=parts.stores.agent_tools,
        sandbox=parts.sandbox,
        clock=parts.clock,
    )
