"""Keeping agents and what belongs to them. The contracts: `letta_grpc.testing.stores`.

`get` raises NotFound, `find` returns None. A page goes by order of creation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.ids import AgentId, BlockId, ConversationId, PassageId, RunId, StepId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunState, Step, StopReason


class AgentStore(Protocol):
    """Agents."""

    async def create(self, agent: Agent, conversation: Conversation) -> Agent:
        """Store an agent with its default conversation, and its memory blocks: those that are not stored yet are made.

        A block whose id is stored already is attached as it is stored. Raises what `check_block_limits` raises.
        """
        ...

    async def get(self, agent_id: AgentId) -> Agent:
        """Return an agent with its blocks in the order of attachment. Raises AgentNotFound."""
        ...

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Agent]:
        """Return agents of this name that have all these tags."""
        ...

    async def update(self, agent_id: AgentId, changes: Mapping[str, object], update_time: datetime) -> Agent:
        """Set the named fields of Agent (never id or times), all or none.

        `memory_blocks` are given by their ids: these blocks alone are attached then, in this order, each once. Raises
        AgentNotFound; for blocks BlockNotFound, NameTaken for a label that two have, and what `check_block_limits` raises.
        """
        ...

    async def delete(self, agent_id: AgentId) -> None:
        """Remove an agent with conversations, messages, runs, events and notes. Raises AgentNotFound, ResourceInUse.

        From the first moment nobody finds the agent any more. The rest may take a while, in steps between which others write;
        it goes on if the caller leaves, and after a restart of the server.
        """
        ...


class ConversationStore(Protocol):
    """Conversations."""

    async def create(self, conversation: Conversation) -> Conversation:
        """Store a conversation. Raises AgentNotFound."""
        ...

    async def get(self, agent_id: AgentId | None, conversation_id: ConversationId | None) -> Conversation:
        """Return a conversation, of this agent if one is given; None means the agent's default one.

        Raises AgentNotFound, ConversationNotFound.
        """
        ...

    async def list(self, agent_id: AgentId, page: PageRequest) -> Page[Conversation]:
        """Return an agent's conversations. Raises AgentNotFound."""
        ...

    async def update(
        self, conversation_id: ConversationId, changes: Mapping[str, object], update_time: datetime
    ) -> Conversation:
        """Set the named fields (title, model, metadata). Raises ConversationNotFound."""
        ...

    async def delete(self, conversation_id: ConversationId) -> None:
        """Remove a conversation with messages, runs and events, as AgentStore.delete does.

        Raises ConversationNotFound, ResourceInUse (a default one too).
        """
        ...


class BlockStore(Protocol):
    """Memory blocks."""

    async def create(self, block: Block) -> Block:
        """Store a block."""
        ...

    async def get(self, block_id: BlockId) -> Block:
        """Return a block. Raises BlockNotFound."""
        ...

    async def list(
        self, page: PageRequest, *, label: str | None = None, agent_id: AgentId | None = None, unattached: bool = False
    ) -> Page[Block]:
        """Return blocks with this label, of this agent; with `unattached` those that no agent has."""
        ...

    async def update(
        self,
        block_id: BlockId,
        changes: Mapping[str, object],
        update_time: datetime,
        expected_version: int | None = None,
    ) -> Block:
        """Set the named fields and raise the version by one.

        Raises BlockNotFound; ConcurrentChange if the stored version is not the expected one; InvalidRequest if the value would
        not fit the limit, as both will be, or an agent may not hold so high a limit; NameTaken if another block of one of its
        agents has the new label.
        """
        ...

    async def delete(self, block_id: BlockId) -> None:
        """Remove a block, from all agents too. Raises BlockNotFound."""
        ...


class MemoryStore(Protocol):
    """Which agent has which blocks."""

    async def attach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Attach a block; again changes nothing.

        Raises AgentNotFound, BlockNotFound, NameTaken for a label in use, and what `check_block_limits` raises.
        """
        ...

    async def detach(self, agent_id: AgentId, block_id: BlockId) -> Agent:
        """Detach a block; again changes nothing. Raises AgentNotFound, BlockNotFound."""
        ...

    async def get(self, agent_id: AgentId, label: str) -> Block:
        """Return the block under a label. Raises AgentNotFound, BlockNotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """What a context is built from: the agent with its blocks as they are now, and the conversation's messages in context.

    Where older messages were dropped, the first message is their summary.
    """

    agent: Agent
    conversation: Conversation
    messages: tuple[Message, ...]
    reported_tokens: int | None = None


class HistoryStore(Protocol):
    """The messages of conversations."""

    async def load(self, conversation_id: ConversationId) -> AgentContext:
        """Return what the next context is built from, from one consistent read. Raises ConversationNotFound."""
        ...

    async def whole(self, conversation_id: ConversationId) -> WholeConversation:
        """Return all that is stored of a conversation, from one consistent read. Raises ConversationNotFound."""
        ...

    async def list(self, conversation_id: ConversationId, page: PageRequest) -> Page[Message]:
        """Return messages in the conversation's order."""
        ...

    async def list_of_agent(self, agent_id: AgentId, page: PageRequest) -> Page[Message]:
        """Return the messages of all of an agent's conversations, in the order in which they were stored."""
        ...

    async def of_run(self, run_id: RunId) -> tuple[Message, ...]:
        """Return the messages that a run brought, input included, in order."""
        ...

    async def reset(self, conversation_id: ConversationId) -> None:
        """Remove a conversation's messages, those of its context too: at once, or step by step as AgentStore.delete does.

        Raises ConversationNotFound, ResourceInUse while a run is open or calls wait for answers.
        """
        ...


class PassageStore(Protocol):
    """Archival notes. Those of runs are written through the journal."""

    async def create(self, passage: Passage) -> Passage:
        """Store a note. Raises AgentNotFound."""
        ...

    async def get(self, agent_id: AgentId, passage_id: PassageId) -> Passage:
        """Return a note of this agent. Raises PassageNotFound."""
        ...

    async def list(self, agent_id: AgentId, page: PageRequest, *, tags: Sequence[str] = ()) -> Page[Passage]:
        """Return the notes of this agent that have all these tags, case ignored. Raises AgentNotFound."""
        ...

    async def update(
        self, agent_id: AgentId, passage_id: PassageId, changes: Mapping[str, object], update_time: datetime
    ) -> Passage:
        """Set the named fields (text, tags). Searches find the new words, and no old ones. Raises PassageNotFound."""
        ...

    async def delete(self, agent_id: AgentId, passage_id: PassageId) -> None:
        """Remove a note. Raises PassageNotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; what is empty or None does not narrow."""

    agent_id: AgentId | None = None
    conversation_id: ConversationId | None = None
    states: tuple[RunState, ...] = ()
    stop_reasons: tuple[StopReason, ...] = ()
    background: bool | None = None
    has_pending_actions: bool | None = None
    create_time_from: datetime | None = None
    create_time_before: datetime | None = None
    # Runs that tools of this one have started, at any depth.
    parent_run_id: RunId | None = None


class RunStore(Protocol):
    """Runs, read only: they are written through the journal alone."""

    async def get(self, run_id: RunId) -> Run:
        """Return a run with `last_sequence_number`. Raises RunNotFound."""
        ...

    async def find_started(self, request_id: str) -> RunId | None:
        """Return the run that a request id has started, None if it has started none."""
        ...

    async def list(self, page: PageRequest, where: RunFilter) -> Page[Run]:
        """Return runs, each with `last_sequence_number`."""
        ...

    async def last_turns(self, agent_id: AgentId, limit: int) -> tuple[int, tuple[Run, ...]]:
        """Return how many turns of an agent have COMPLETED, and the `limit` that ended last, the newest first.

        Background work does not count, nor does the run that holds a copied conversation.
        """
        ...

    async def list_steps(self, run_id: RunId, page: PageRequest) -> Page[Step]:
        """Return a run's completed steps by index. Raises RunNotFound."""
        ...


class StepStore(Protocol):
    """Completed steps, read only."""

    async def get(self, step_id: StepId) -> Step:
        """Return a step. Raises StepNotFound."""
        ...

    async def list(self, page: PageRequest, agent_id: AgentId | None = None) -> Page[Step]:
        """Return the steps of an agent's runs, or of all, in order of completion."""
        ...
