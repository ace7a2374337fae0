"""The engine over the in-memory adapters, with a model and tools whose every move a test decides."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from letta_grpc.adapters.jiter import Jiter
from letta_grpc.adapters.json_schema import JsonSchema
from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.completions import (
    FinishReason,
    ModelChunk,
    ModelFinished,
    ModelInfo,
    ModelRequest,
    ProviderInfo,
    TextChunk,
    ToolCallChunk,
    ToolDefinition,
)
from letta_grpc.domain.errors import ModelUnknown
from letta_grpc.domain.events import RunEvent, RunFinished
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.domain.runs import Run, RunSpec
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.agents import Agents, NewAgent
from letta_grpc.engine.callbacks import Callbacks
from letta_grpc.engine.children import Children
from letta_grpc.engine.intake import Intake
from letta_grpc.engine.loop import AgentLoop
from letta_grpc.engine.readers import Readers
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.sleeptime import SleeptimeWork
from letta_grpc.engine.starts import StartRequest
from letta_grpc.engine.supervisor import Supervisor
from letta_grpc.ports.callbacks import CallbackSender
from letta_grpc.ports.images import ImageLoader
from letta_grpc.ports.journal import Change
from letta_grpc.ports.models import ChatModel
from letta_grpc.ports.tools import Output, ToolContext, ToolResult
from letta_grpc.ports.tracing import NoTracing, Tracing
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.callbacks import Receivers
from tests.support.pictures import NoImages
from tests.support.values import spec as plain_spec

E = TypeVar("E")
# A batch of chunks to send, an event to wait for, or an error to raise.
Move = Sequence[ModelChunk] | asyncio.Event | Exception
Turn = Sequence[Move]
DONE = ModelFinished(FinishReason.STOP)


def say(*words: str) -> list[Move]:
    """A turn that streams these words, each in a batch of its own."""
    return [*([TextChunk(word)] for word in words), [DONE]]


def call(*names: str, arguments: str = "{}") -> list[Move]:
    """A turn that calls these tools, with ids `<name>-<index>`."""
    chunks = [ToolCallChunk(index, f"{name}-{index}", name, arguments) for index, name in enumerate(names)]
    return [chunks, [ModelFinished(FinishReason.TOOL_CALLS)]]


def spending(turn: list[Move], *, prompt: int, completion: int) -> list[Move]:
    """The turn, of which the provider says so many tokens."""
    *moves, last = turn
    assert isinstance(last, list)
    (finished,) = last
    assert isinstance(finished, ModelFinished)
    return [*moves, [replace(finished, usage=Usage(prompt_tokens=prompt, completion_tokens=completion, step_count=1))]]


def kinds(events: list[RunEvent]) -> list[type[RunEvent]]:
    """The types of events."""
    return [type(event) for event in events]


def of(kind: type[E], events: list[RunEvent]) -> list[E]:
    """The events of one type."""
    return [event for event in events if isinstance(event, kind)]


def end(events: list[RunEvent]) -> Run:
    """The run as its last event tells it."""
    last = events[-1]
    assert isinstance(last, RunFinished)
    return last.run


@dataclass
class DirectedModel:
    """Plays its turns one after the other; `asked` holds what it was asked, `reached` is set when it comes to wait."""

    turns: list[Turn] = field(default_factory=list)
    asked: list[ModelRequest] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        self.asked.append(request)
        try:
            for move in self.turns.pop(0):
                match move:
                    case asyncio.Event():
                        self.reached.set()
                        await move.wait()
                    case Exception():
                        raise move
                    case _:
                        yield move
        finally:
            self.closed += 1


@dataclass
class OneModel:
    """All models: there is one, under every handle that begins with `test/`."""

    model: ChatModel

    def resolve(self, handle: str) -> tuple[ChatModel, str]:
        if not handle.startswith("test/"):
            raise ModelUnknown(model=handle)
        return self.model, handle.removeprefix("test/")

    def context_window(self, handle: str) -> int | None:
        return 1000 if handle == "test/known" else None

    async def list(self, provider: str | None) -> tuple[tuple[ModelInfo, ...], tuple[str, ...]]:
        return (ModelInfo(handle="test/model", provider=provider or "test", name="model"),), ()

    def providers(self) -> tuple[ProviderInfo, ...]:
        return (ProviderInfo(name="test"),)


Play = Callable[[ToolCall], Awaitable[str | ToolResult]]


@dataclass
class DirectedTools:
    """Tools that are functions of the test, which write to `outputs[call id]`.

    Those named in `idempotent` may be run again, those in `guarded` need approval, those in `serial` run alone.
    """

    plays: dict[str, Play] = field(default_factory=dict)
    idempotent: set[str] = field(default_factory=set)
    guarded: set[str] = field(default_factory=set)
    serial: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)

    async def load(self, names: Sequence[str]) -> Mapping[str, ToolDefinition]:
        return {name: self._definition(name) for name in names if name in self.plays}

    def _definition(self, name: str) -> ToolDefinition:
        return ToolDefinition(
            name=name,
            description=name,
            parameters="{}",
            idempotent=name in self.idempotent,
            parallel=name not in self.serial,
            requires_approval=name in self.guarded,
        )

    def base_tools(self) -> Sequence[str]:
        return tuple(self.plays)

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        self.ran.append(call.id)
        self.outputs[call.id] = output
        result = await self.plays[call.name](call)
        return result if isinstance(result, ToolResult) else success(result)


def success(text: str, *changes: Change) -> ToolResult:
    """A tool's good result."""
    return ToolResult(status=ToolReturnStatus.SUCCESS, text=text, changes=changes)


@dataclass
class Engine:
    """An engine and all that it stands on."""

    clock: FakeClock
    codec: ProtoEventCodec
    database: MemoryDatabase
    model: DirectedModel
    tools: DirectedTools
    readers: Readers
    children: Children
    supervisor: Supervisor
    runs: Runs
    agents: Agents
    agent: Agent

    async def start(
        self,
        words: str = "hello",
        *,
        request_id: str | None = None,
        agent: Agent | None = None,
        **spec: Any,  # noqa: ANN401 - any field of the spec
    ) -> Run:
        return await self.begin(plain_spec(words, **spec), request_id=request_id, agent=agent)

    async def begin(self, spec: RunSpec, *, request_id: str | None = None, agent: Agent | None = None) -> Run:
        request = StartRequest(agent_id=(agent or self.agent).id, conversation_id=None, request_id=request_id, spec=spec)
        return await self.runs.start(request)

    async def events(self, run_id: RunId) -> list[RunEvent]:
        """All events of a run, once it has ended."""
        found: list[RunEvent] = []
        async for page in self.runs.follow(run_id, 0, None):
            found += [self.codec.decode(frame).event for frame in split_frames(page.frames)]
        return found

    async def play(self, *turns: Turn, **spec: Any) -> list[RunEvent]:  # noqa: ANN401 - as for `start`
        """Start a run of these turns and return its events."""
        self.model.turns += turns
        run = await self.start(**spec)
        return await self.events(run.id)


@asynccontextmanager
async def engine(
    *,
    database: MemoryDatabase | None = None,
    clock: FakeClock | None = None,
    model: DirectedModel | None = None,
    tools: DirectedTools | None = None,
    agent: Agent | None = None,
    images: ImageLoader | None = None,
    receivers: CallbackSender | None = None,
    signing_keys: Sequence[bytes] = (),
    tracing: Tracing | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine; give it the database of another one that was left to let it take over."""
    clock, codec, receivers = clock or FakeClock(), ProtoEventCodec(), receivers or Receivers()
    database = database or MemoryDatabase(clock, codec)
    model, tools, tracing, readers = model or DirectedModel(), tools or DirectedTools(), tracing or NoTracing(), Readers()
    models = OneModel(model)
    children = Children(
        runs=database.runs, history=database.history, log=database.log, models=models, clock=clock, tracing=tracing
    )
    loop = AgentLoop(
        history=database.history,
        runs=database.runs,
        models=models,
        tools=tools,
        children=children,
        partial_json=Jiter(),
        shapes=JsonSchema(),
        tracing=tracing,
    )
    supervisor = Supervisor(
        loop=loop,
        children=children,
        sleeptime=SleeptimeWork(
            agents=database.agents, runs=database.runs, history=database.history, models=models, clock=clock
        ),
        callbacks=Callbacks(store=database.callbacks, sender=receivers, clock=clock, signing_keys=signing_keys),
        journal=database.journal,
        leases=database.leases,
        log=database.log,
        codec=codec,
        readers=readers,
        clock=clock,
        tracing=tracing,
        event_retention=timedelta(hours=1),
    )
    runs = Runs(
        supervisor=supervisor,
        log=database.log,
        runs=database.runs,
        steps=database.steps,
        history=database.history,
        models=models,
        intake=Intake(shapes=JsonSchema(), images=images or NoImages(), callbacks=receivers, runs=database.runs),
        readers=readers,
        clock=clock,
    )
    agents = Agents(
        agents=database.agents,
        conversations=database.conversations,
        blocks=database.blocks,
        memory=database.memory,
        history=database.history,
        messages=database.messages,
        models=models,
        tools=tools,
        clock=clock,
    )
    agent = agent or await agents.create(NewAgent(model="test/model"))
    async with supervisor:
        yield Engine(clock, codec, database, model, tools, readers, children, supervisor, runs, agents, agent)
