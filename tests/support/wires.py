"""The services over the in-memory engine, reached through a socket or in process."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # nobody publishes stubs of it

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.engine.agent_files import AgentFiles
from letta_grpc.engine.archive import Archive
from letta_grpc.engine.blocks import Blocks
from letta_grpc.engine.captures import Captures
from letta_grpc.engine.mcp_servers import McpServers
from letta_grpc.gateway.application import gateway_app
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.serving import http_serving, listener_on
from letta_grpc.gateway.standalone import standing_alone
from letta_grpc.ports.tools import OwnTools
from letta_grpc.transport.calls import Calls, Limits
from letta_grpc.transport.keys import ApiKeys
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.methods import Call, Method, Response, StreamMethod, UnaryMethod
from letta_grpc.transport.server import Server, ServerOptions
from letta_grpc.transport.services import calls_of
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.agent_service_pb2_grpc import AgentServiceStub
from letta_grpc.v1.archive_service_pb2_grpc import ArchiveServiceStub
from letta_grpc.v1.block_service_pb2_grpc import BlockServiceStub
from letta_grpc.v1.conversation_service_pb2_grpc import ConversationServiceStub
from letta_grpc.v1.mcp_service_pb2_grpc import McpServiceStub
from letta_grpc.v1.model_service_pb2_grpc import ModelServiceStub
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from letta_grpc.v1.tool_service_pb2_grpc import ToolServiceStub
from tests.support.engine import Engine, OneModel
from tests.support.http_channel import http_channel
from tests.support.threads import threads_of
from tests.support.toolsheds import toolshed

# socket: gRPC. local: in process. http: a gateway inside the server, by events. remote: one in front of it, by lines;
# for a whole house that is a process of its own.
Way = Literal["socket", "local", "http", "remote"]
WAYS: Sequence[Way] = ("socket", "local")
WIRE_WAYS: Sequence[Way] = (*WAYS, "http", "remote")
GET_RUN = "letta_grpc.v1.RunService/GetRun"
ATTACH_RUN = "letta_grpc.v1.RunService/AttachRun"


@dataclass
class Watched:
    """An observer that remembers."""

    begun: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    events: int = 0
    ends: list[tuple[grpc.StatusCode, str | None]] = field(default_factory=list)
    one_ended: asyncio.Event = field(default_factory=asyncio.Event)
    traceparent: str | None = None

    def started(self, method: str, metadata: Mapping[str, str]) -> "Watched":
        self.begun.append((method, metadata))
        return self

    def run(self, run_id: str) -> None:
        self.runs.append(run_id)

    def sent(self, events: int) -> None:
        self.events += events

    def ended(self, code: grpc.StatusCode, reason: str | None) -> None:
        self.ends.append((code, reason))
        self.one_ended.set()

    async def until_ended(self, count: int = 1) -> None:
        """Return once so many calls have ended."""
        while len(self.ends) < count:
            self.one_ended.clear()
            await self.one_ended.wait()


def agent_files_of(house: Engine, own_tools: OwnTools) -> AgentFiles:
    """The use cases of agent files over an engine."""
    database = house.database
    return AgentFiles(
        agents=house.agents,
        conversations=database.conversations,
        history=database.history,
        passages=database.passages,
        tools=database.tools,
        own_tools=own_tools,
        importer=database.agent_importer,
        clock=house.clock,
    )


def house_calls(
    house: Engine, *, api_keys: tuple[str, ...] = (), limits: Limits | None = None, observer: Watched | None = None
) -> Calls:
    """All services over an engine."""
    models, database = OneModel(house.model), house.database
    shed = toolshed(database, house.clock)
    return calls_of(
        runs=house.runs,
        agents=house.agents,
        captures=Captures(agents=house.agents, runs=house.runs, models=models),
        agent_files=agent_files_of(house, shed.own),
        archive=Archive(passages=database.passages, words=database.passages, clock=house.clock),
        conversations=threads_of(house),
        blocks=Blocks(database.blocks, database.memory, house.clock),
        mcp_servers=McpServers(
            servers=database.mcp_servers,
            # Not entered: it checks, and reaches nobody.
            client=McpConnections(McpPolicy()),
            tools=database.tools,
            named=database.tools,
            reserved=(),
            clock=house.clock,
        ),
        tools=shed.registry,
        trials=shed.trials,
        models=models,
        clock=house.clock,
        keys=ApiKeys(api_keys),
        limits=limits,
        observer=observer,
    )


async def attach_and_wait(_request: pb.AttachRunRequest, _call: Call) -> AsyncGenerator[Response, None]:
    """A stream that says one thing and stays open."""
    yield Response(pb.AttachRunResponse(run_id="run").SerializeToString(), 1)
    await asyncio.Event().wait()


def lone_calls(
    *,
    unary: Callable[[pb.GetRunRequest, Call], Awaitable[pb.GetRunResponse]] | None = None,
    stream: Callable[[pb.AttachRunRequest, Call], AsyncGenerator[Response, None]] | None = None,
    limits: Limits | None = None,
    observer: Watched | None = None,
) -> Calls:
    """Handlers of a test's own, as GetRun and AttachRun."""
    methods: dict[str, Method] = {}
    if unary is not None:
        methods[GET_RUN] = UnaryMethod(name=GET_RUN, request=pb.GetRunRequest, answer=unary)
    if stream is not None:
        methods[ATTACH_RUN] = StreamMethod(name=ATTACH_RUN, request=pb.AttachRunRequest, answer=stream)
    return Calls(methods, limits=limits, observer=observer)


@asynccontextmanager
async def serving(calls: Calls, options: ServerOptions | None = None) -> AsyncIterator[tuple[Server, str]]:
    """Serve on a free port; yield the server and its address."""
    server = Server(calls, options or ServerOptions(listen=("127.0.0.1:0",)))
    (address,) = server.bind()
    await server.start()
    try:
        yield server, address
    finally:
        await server.stop(0)


@asynccontextmanager
async def channel_to(calls: Calls, way: Way) -> AsyncIterator[grpc.aio.Channel]:
    """Reach the calls in one of the ways."""
    async with AsyncExitStack() as stack:
        if way == "local":
            yield await stack.enter_async_context(LocalChannel(calls))
        elif way == "http":
            app = gateway_app(await stack.enter_async_context(LocalChannel(calls)))
            url = await stack.enter_async_context(http_serving(app, listener_on("127.0.0.1:0"), GatewayOptions()))
            yield await stack.enter_async_context(http_channel(url, "text/event-stream"))
        else:
            _, address = await stack.enter_async_context(serving(calls))
            yield await stack.enter_async_context(remote_channel(address) if way == "remote" else dialed(address))


def dialed(address: str) -> grpc.aio.Channel:
    """A channel to a server."""
    return grpc.aio.insecure_channel(address)


@asynccontextmanager
async def remote_channel(address: str) -> AsyncIterator[Any]:
    """A channel to a gateway of its own in front of a server."""
    async with (
        standing_alone(address, "127.0.0.1:0", GatewayOptions()) as url,
        http_channel(url, "application/x-ndjson") as channel,
    ):
        yield channel


class Stubs:
    """Every service's stub over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.runs = RunServiceStub(channel)
        self.agents = AgentServiceStub(channel)
        self.conversations = ConversationServiceStub(channel)
        self.archive = ArchiveServiceStub(channel)
        self.blocks = BlockServiceStub(channel)
        self.mcp = McpServiceStub(channel)
        self.models = ModelServiceStub(channel)
        self.tools = ToolServiceStub(channel)


async def failure_of(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - a call of either channel
    """What a call fails with."""
    try:
        if isinstance(call, Awaitable):
            await call
        else:
            while await call.read() is not grpc.aio.EOF:
                pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call went well")


async def call_raw(channel: grpc.aio.Channel, method: str, body: bytes, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """Send bytes to a method."""
    call: Any = channel.unary_unary(f"/{method}")
    answer: bytes = await call(body, metadata=metadata)
    return answer


def details_of(error: grpc.aio.AioRpcError) -> list[Message]:
    """The details of a status."""
    raw = next(value for key, value in error.trailing_metadata() or () if key == "grpc-status-details-bin")
    assert isinstance(raw, bytes)
    status = status_pb2.Status.FromString(raw)
    assert status.code == error.code().value[0]
    kinds = {
        kind.DESCRIPTOR.full_name: kind
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.RetryInfo,
            error_details_pb2.QuotaFailure,
        )
    }
    return [kinds[packed.TypeName()].FromString(packed.value) for packed in status.details]


def info_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """Code, reason and metadata of a failed call."""
    info: Any = details_of(error)[0]
    assert info.domain == "letta-grpc"
    return error.code(), info.reason, dict(info.metadata)


def fields_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """The broken rules of a refused request, by field path."""
    bad: Any = next(detail for detail in details_of(error) if detail.DESCRIPTOR.name == "BadRequest")
    return {violation.field: violation.description for violation in bad.field_violations}
