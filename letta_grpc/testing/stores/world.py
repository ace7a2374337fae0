"""The stores under test, and helpers that fill them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.events import MessageCompleted, RunEvent, RunFinished, StepStarted
from letta_grpc.domain.ids import (
    new_agent_id,
    new_block_id,
    new_conversation_id,
    new_message_id,
    new_passage_id,
    new_run_id,
    new_step_id,
    new_tool_id,
)
from letta_grpc.domain.messages import Message, Role, SpokenInput, TextPart
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunSpec, RunState, Step, StopReason
from letta_grpc.domain.tools import PythonSource, Tool
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.ports.agent_files import AgentImporter
from letta_grpc.ports.callbacks import CallbackStore
from letta_grpc.ports.journal import AddPassage, Change, Claim, Journal, Lease, RecordStep, Start
from letta_grpc.ports.log import EventLog
from letta_grpc.ports.mcp import McpServerStore
from letta_grpc.ports.search import MessageQuery, MessageSearch, PassageSearch, PassageVectors
from letta_grpc.ports.stores import (
    AgentStore,
    BlockStore,
    ConversationStore,
    HistoryStore,
    MemoryStore,
    PassageStore,
    RunStore,
    StepStore,
)
from letta_grpc.ports.tool_store import AgentTools, NamedTools, ToolStore

_BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class World:
    """All stores of one database. Each thing that is made is a second younger than the one before."""

    journal: Journal
    log: EventLog
    agents: AgentStore
    callbacks: CallbackStore
    importer: AgentImporter
    conversations: ConversationStore
    blocks: BlockStore
    memory: MemoryStore
    history: HistoryStore
    mcp_servers: McpServerStore
    messages: MessageSearch
    passages: PassageStore
    notes: PassageSearch
    vectors: PassageVectors
    runs: RunStore
    steps: StepStore
    tools: ToolStore
    named_tools: NamedTools
    agent_tools: AgentTools
    _seconds: "count[int]" = field(default_factory=count)

    def time(self) -> datetime:
        """Return a time later than all before."""
        return _BEGINNING + timedelta(seconds=next(self._seconds))

    def new_block(self, label: str, value: str = "", **fields: Any) -> Block:  # noqa: ANN401 - any field of Block
        """Return a block that is not stored yet."""
        now = self.time()
        return Block(id=new_block_id(), label=label, value=value, create_time=now, update_time=now, **fields)

    async def block(self, label: str, value: str = "", **fields: Any) -> Block:  # noqa: ANN401 - any field of Block
        """Store a block."""
        return await self.blocks.create(self.new_block(label, value, **fields))

    def new_tool(self, name: str, **fields: Any) -> Tool:  # noqa: ANN401 - any field of Tool
        """Return a tool that is not stored yet."""
        now = self.time()
        plain = Tool(
            id=new_tool_id(), name=name, parameters="{}", source=PythonSource(code=""), create_time=now, update_time=now
        )
        return replace(plain, **fields)

    async def tool(self, name: str, **fields: Any) -> Tool:  # noqa: ANN401 - any field of Tool
        """Store a tool."""
        return await self.tools.create(self.new_tool(name, **fields))

    def new_agent(self, *blocks: Block, **fields: Any) -> Agent:  # noqa: ANN401 - any field of Agent
        """Return an agent that is not stored yet."""
        now = self.time()
        plain = Agent(id=new_agent_id(), name="ada", system="Be kind.", model="m/m", create_time=now, update_time=now)
        return replace(plain, memory_blocks=blocks, **fields)

    def new_conversation(self, agent: Agent, **fields: Any) -> Conversation:  # noqa: ANN401 - any field of Conversation
        """Return a conversation that is not stored yet."""
        now = self.time()
        return Conversation(id=new_conversation_id(), agent_id=agent.id, create_time=now, update_time=now, **fields)

    async def agent(self, *blocks: Block, **fields: Any) -> Agent:  # noqa: ANN401 - any field of Agent
        """Store an agent with its default conversation."""
        agent = self.new_agent(*blocks, **fields)
        return await self.agents.create(agent, self.new_conversation(agent, is_default=True))

    async def conversation(self, agent: Agent, **fields: Any) -> Conversation:  # noqa: ANN401 - any field of Conversation
        """Store another conversation of an agent."""
        return await self.conversations.create(self.new_conversation(agent, **fields))

    async def default(self, agent: Agent) -> Conversation:
        """Return an agent's default conversation."""
        return await self.conversations.get(agent.id, None)

    async def start(self, conversation: Conversation, *texts: str, **fields: Any) -> Claim:  # noqa: ANN401 - any field of RunSpec
        """Start a run."""
        return await self.start_below((), conversation, *texts, **fields)

    async def start_below(
        self,
        parents: Sequence[Run],
        conversation: Conversation,
        *texts: str,
        traceparent: str | None = None,
        **fields: Any,  # noqa: ANN401 - any field of RunSpec
    ) -> Claim:
        """Start a run on behalf of others, the outermost first."""
        spec = RunSpec(messages=tuple(SpokenInput(role=Role.USER, content=(TextPart(text),)) for text in texts), **fields)
        start = Start(
            run_id=new_run_id(),
            agent_id=conversation.agent_id,
            conversation_id=conversation.id,
            request_id=str(uuid4()),
            fingerprint="",
            spec=spec,
            parent_run_ids=tuple(parent.id for parent in parents),
            traceparent=traceparent,
        )
        now = self.time()
        return await self.journal.claim(start, lambda agent, found, spec: admitted(start, agent, found, spec, now))

    async def answer(self, claim: Claim, *events: RunEvent, changes: Sequence[Change] = ()) -> None:
        """Append to a run that was started."""
        await self.journal.append(held(claim), events, changes)

    def new_answer(self, claim: Claim, text: str) -> Message:
        """Return an assistant message of a run."""
        return Message(
            id=new_message_id(),
            role=Role.ASSISTANT,
            content=(TextPart(text),),
            run_id=claim.run.id,
            create_time=self.time(),
        )

    def new_step(self, claim: Claim, index: int = 0, context_tokens: int | None = None) -> Step:
        """Return a completed step of a run."""
        return Step(
            id=new_step_id(),
            run_id=claim.run.id,
            index=index,
            model="m/m",
            usage=Usage(context_tokens=context_tokens),
            timing=Timing(),
            message_ids=(),
            complete_time=self.time(),
        )

    async def finish(self, claim: Claim, state: RunState = RunState.COMPLETED) -> Run:
        """End a run."""
        reason = StopReason.END_TURN if state is RunState.COMPLETED else StopReason.INTERNAL_ERROR
        ended = replace(claim.run, state=state, stop_reason=reason, end_time=self.time())
        await self.answer(claim, RunFinished(ended))
        return ended

    async def turn(self, conversation: Conversation, said: str, answered: str, context_tokens: int | None = None) -> Run:
        """Run one exchange to its end."""
        claim = await self.start(conversation, said)
        step = self.new_step(claim, context_tokens=context_tokens)
        message = replace(self.new_answer(claim, answered), step_id=step.id)
        await self.answer(claim, StepStarted(step.id, 0, step.model), MessageCompleted(message))
        await self.answer(claim, changes=[RecordStep(step)])
        return await self.finish(claim)

    async def found(self, conversation: Conversation, text: str, limit: int = 10) -> list[str]:
        """Return what a search of a conversation finds."""
        query = MessageQuery(agent_id=conversation.agent_id, conversation_id=conversation.id, text=text, limit=limit)
        return [found.message.text for found in await self.messages.search(query)]

    def new_note(self, agent: Agent, text: str, *tags: str) -> Passage:
        """Return an archival note that is not stored yet."""
        now = self.time()
        return Passage(id=new_passage_id(), agent_id=agent.id, text=text, tags=tags, create_time=now, update_time=now)

    async def note(self, agent: Agent, text: str, *tags: str) -> Passage:
        """Keep an archival note, in a run of its own."""
        passage = self.new_note(agent, text, *tags)
        claim = await self.start(await self.default(agent), "Keep this.")
        await self.answer(claim, changes=[AddPassage(passage)])
        await self.finish(claim)
        return passage


def admitted(start: Start, agent: Agent, conversation: Conversation, spec: RunSpec, now: datetime) -> Run:
    """Return the run that a start becomes."""
    return Run(
        id=start.run_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        request_id=start.request_id,
        parent_run_ids=start.parent_run_ids,
        kind=spec.kind,
        model=spec.model or agent.model,
        state=RunState.RUNNING,
        create_time=now,
        start_time=now,
        input_message_ids=tuple(new_message_id() for _ in spec.messages),
        background=spec.background,
        metadata=spec.metadata,
    )


def held(claim: Claim) -> Lease:
    """Return the lease that a claim must have."""
    if claim.lease is None:
        raise AssertionError("the claim came without a lease")
    return claim.lease
