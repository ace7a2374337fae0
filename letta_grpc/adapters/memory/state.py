"""What all stores share. Only the event loop's thread touches it, and no call awaits between reading and writing."""

from asyncio import Event
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from letta_grpc.adapters.memory.table import Table
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.approvals import KnownAnswer, OpenBatch
from letta_grpc.domain.blocks import Block, check_block_limits
from letta_grpc.domain.callbacks import Callback
from letta_grpc.domain.errors import (
    AgentNotFound,
    BlockNotFound,
    ConversationNotFound,
    NameTaken,
    ResourceInUse,
    RunNotFound,
)
from letta_grpc.domain.ids import AgentId, BlockId, ConversationId, McpServerId, MessageId, PassageId, RunId, StepId, ToolId
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunSpec, RunState, Step
from letta_grpc.domain.tools import McpServer, Tool


@dataclass(slots=True, kw_only=True)
class StoredRun:
    """A run with what only the journal knows of it."""

    run: Run
    spec: RunSpec
    fingerprint: str
    traceparent: str | None
    owner: str = ""
    lease_end: datetime | None = None
    # Its newest event when it was last taken over, and how many servers in a row have added none.
    taken_over_at: int | None = None
    idle_attempts: int = 0
    cancel_requested: bool = False
    # The calls that it settles, with their answers.
    batch: OpenBatch | None = None
    frames: list[bytes] = field(default_factory=list)
    # More than there are frames once the run has been trimmed.
    last_sequence_number: int = 0
    steps: Table[StepId, Step] = field(default_factory=Table)
    # Who is to be told of its end, and when that is due.
    callback: Callback | None = None
    callback_time: datetime | None = None
    changed: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        if self.spec.callback_url:
            self.callback, self.callback_time = Callback(url=self.spec.callback_url), self.run.create_time

    def wake_followers(self) -> None:
        """Let those go on who wait at this moment."""
        self.changed.set()
        self.changed.clear()

    def as_read(self) -> Run:
        """Return the run as stores give it."""
        return replace(self.run, last_sequence_number=self.last_sequence_number, callback=self.callback)


@dataclass(slots=True)
class Compaction:
    """Where a conversation's context begins: with the summary, then at the kept message."""

    summary: Message
    kept_from: MessageId | None


@dataclass(slots=True)
class MemoryState:
    """The tables. Agents are kept without their blocks."""

    agents: Table[AgentId, Agent] = field(default_factory=Table)
    attachments: dict[AgentId, list[BlockId]] = field(default_factory=dict)
    blocks: Table[BlockId, Block] = field(default_factory=Table)
    conversations: Table[ConversationId, Conversation] = field(default_factory=Table)
    messages: dict[ConversationId, Table[MessageId, Message]] = field(default_factory=dict)
    # Of all conversations: an agent's messages have one order.
    message_positions: Iterator[int] = field(default_factory=lambda: count(1))
    mcp_servers: Table[McpServerId, McpServer] = field(default_factory=Table)
    passages: Table[PassageId, Passage] = field(default_factory=Table)
    # By note: the model and what it made of the text.
    vectors: dict[PassageId, tuple[str, tuple[float, ...]]] = field(default_factory=dict)
    compactions: dict[ConversationId, Compaction] = field(default_factory=dict)
    batches: dict[ConversationId, OpenBatch] = field(default_factory=dict)
    answers: dict[ConversationId, dict[str, KnownAnswer]] = field(default_factory=dict)
    runs: Table[RunId, StoredRun] = field(default_factory=Table)
    # Those of all runs, also of some that are gone.
    steps: Table[StepId, Step] = field(default_factory=Table)
    tools: Table[ToolId, Tool] = field(default_factory=Table)
    run_of_request: dict[str, RunId] = field(default_factory=dict)

    def agent(self, agent_id: AgentId) -> Agent:
        """Return an agent with its blocks."""
        agent = self.agents.find(agent_id)
        if agent is None:
            raise AgentNotFound(agent_id=agent_id)
        return replace(agent, memory_blocks=self.blocks_of(agent_id))

    def blocks_of(self, agent_id: AgentId) -> tuple[Block, ...]:
        """Return an agent's blocks in the order of attachment."""
        return tuple(self.block(block_id) for block_id in self.attachments[agent_id])

    def block(self, block_id: BlockId) -> Block:
        """Return a block."""
        block = self.blocks.find(block_id)
        if block is None:
            raise BlockNotFound(block_id=block_id)
        return block

    def attach(self, agent_id: AgentId, block: Block) -> None:
        """Attach a stored block, unless it is attached already."""
        attached = self.attachments[agent_id]
        if block.id in attached:
            return
        if any(other.label == block.label for other in self.blocks_of(agent_id)):
            raise NameTaken("The agent has another block of this label.", name=block.label)
        check_block_limits([each.limit for each in (*self.blocks_of(agent_id), block)], "block_id")
        attached.append(block.id)

    def conversation(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation."""
        conversation = self.conversations.find(conversation_id)
        if conversation is None:
            raise ConversationNotFound(conversation_id=conversation_id)
        return conversation

    def conversation_of(self, agent_id: AgentId, conversation_id: ConversationId | None) -> Conversation:
        """Return an agent's conversation, the default one for None."""
        self.agent(agent_id)
        if conversation_id is None:
            return next(c for c in self.conversations if c.agent_id == agent_id and c.is_default)
        conversation = self.conversation(conversation_id)
        if conversation.agent_id != agent_id:
            raise ConversationNotFound(conversation_id=conversation_id)
        return conversation

    def add_conversation(self, conversation: Conversation) -> None:
        """Store a conversation."""
        self.conversations.add(conversation.id, conversation)
        self.messages[conversation.id] = Table(self.message_positions)

    def remove_conversation(self, conversation_id: ConversationId) -> None:
        """Remove a conversation with all that hangs on it."""
        self.conversations.remove(conversation_id)
        del self.messages[conversation_id]
        for rest in (self.compactions, self.batches, self.answers):
            rest.pop(conversation_id, None)
        for stored in list(self.runs_in(conversation_id)):
            self.runs.remove(stored.run.id)
            del self.run_of_request[stored.run.request_id]
            stored.wake_followers()

    def in_context(self, conversation_id: ConversationId) -> tuple[Message, ...]:
        """Return the messages of a conversation's context."""
        messages = tuple(self.messages.get(conversation_id) or ())
        compaction = self.compactions.get(conversation_id)
        if compaction is None:
            return messages
        ids = [message.id for message in messages]
        start = ids.index(compaction.kept_from or compaction.summary.id)
        return (compaction.summary, *(message for message in messages[start:] if message.role is not Role.SUMMARY))

    def run(self, run_id: RunId) -> StoredRun:
        """Return a run."""
        stored = self.runs.find(run_id)
        if stored is None:
            raise RunNotFound(run_id=run_id)
        return stored

    def runs_in(self, conversation_id: ConversationId) -> Iterator[StoredRun]:
        """Yield a conversation's runs in order of acceptance."""
        return (stored for stored in self.runs if stored.run.conversation_id == conversation_id)

    def active_run(self, conversation_id: ConversationId) -> StoredRun | None:
        """Return the conversation's RUNNING run, of which there is one at most."""
        return next((s for s in self.runs_in(conversation_id) if s.run.state is RunState.RUNNING), None)

    def check_idle(self, conversation_id: ConversationId) -> None:
        """Raise ResourceInUse if the conversation has an open run."""
        for stored in self.runs_in(conversation_id):
            if not stored.run.state.is_final:
                active_run_id = stored.run.id
                raise ResourceInUse("A run is at work in it.", conversation_id=conversation_id, active_run_id=active_run_id)
