"""Everything but the sockets: adapters, engine and calls, joined."""

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
from letta_grpc.adapters.sql.agent_files import SqlAgentImporter
from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.blocks import SqlBlockStore
from letta_grpc.adapters.sql.callbacks import SqlCallbackStore
from letta_grpc.adapters.sql.conversations import SqlConversationStore
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.mcp_servers import SqlMcpServerStore
from letta_grpc.adapters.sql.memory import SqlMemoryStore
from letta_grpc.adapters.sql.message_search import SqlMessageSearch
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.runs import SqlRunStore
from letta_grpc.adapters.sql.sqlite.database import SqliteDatabase
from letta_grpc.adapters.sql.steps import SqlStepStore
from letta_grpc.adapters.sql.tools import SqlAgentTools, SqlToolStore
from letta_grpc.app.examination import State, sandbox_finding
from letta_grpc.app.parts import (
    callbacks_of,
    images_of,
    keys_of,
    mcp_policy_of,
    meanings_of,
    open_database,
    providers_of,
    sandbox_of,
)
from letta_grpc.app.readiness import WatchedLeases
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
from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.settings import Settings
from letta_grpc.telemetry import Telemetry, telemetry_from_env
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.convert.codec import ProtoEventCodec
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.services import calls_of


@dataclass(frozen=True, slots=True)
class House:
    """Everything but the sockets: the engine, and the calls that reach it."""

    calls: Calls
    supervisor: Supervisor
    leases: WatchedLeases
    settings: Settings
    sandbox: NamespaceSandbox | NoSandbox

    def tool_warning(self) -> str | None:
        """Return what an operator should know of how tools run here. Tries it out, which blocks for a moment."""
        finding = sandbox_finding(self.settings, self.sandbox)
        return finding.detail if finding.state is not State.OK else None

    def channel(self, metadata: tuple[tuple[str, str], ...] = ()) -> LocalChannel:
        """Return a channel that reaches the calls in process; `metadata` goes out with each of them."""
        return LocalChannel(self.calls, metadata)


@asynccontextmanager
async def housed(settings: Settings, environ: Mapping[str, str] = os.environ) -> AsyncIterator[House]:
    """Open the database and run the engine on it, without a socket. Raises StartupError."""
    async with built(settings, environ) as house, house.supervisor:
        yield house


@asynccontextmanager
async def built(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[House]:
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
        ground = _Ground(
            settings=settings,
            database=database,
            leases=WatchedLeases(database.leases),
            models=models,
            mcp=await stack.enter_async_context(McpConnections(mcp_policy_of(settings))),
            meanings=meanings_of(stack, settings, database, clock),
            clock=clock,
            telemetry=telemetry,
            readers=Readers(),
            keys=keys_of(settings),
            sandbox=sandbox,
        )
        supervisor = _supervisor(ground)
        yield House(_calls(ground, supervisor), supervisor, ground.leases, settings, sandbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the engine stands on."""

    settings: Settings
    database: SqliteDatabase
    leases: WatchedLeases
    models: Models
    mcp: McpConnections
    meanings: Meanings | None
    clock: Clock
    telemetry: Telemetry | None
    readers: Readers
    keys: ApiKeys
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
            runs=SqlRunStore(self.database),
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
        callbacks=Callbacks(store=SqlCallbackStore(database), sender=callbacks_of(settings), clock=ground.clock),
        journal=database.journal,
        leases=ground.leases,
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
        steps=SqlStepStore(database),
        history=ground.history,
        models=models,
        intake=Intake(
            shapes=JsonSchema(), images=images_of(settings), callbacks=callbacks_of(settings), runs=SqlRunStore(database)
        ),
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
        keys=ground.keys,
        limits=Limits(max_request_bytes=settings.max_message_bytes, max_run_streams=settings.max_streams),
        observer=ground.telemetry.rpc if ground.telemetry else None,
    )
