"""How a start becomes a run, a queued run, or a refusal."""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime

from letta_grpc.adapters.sql.changes import store_input
from letta_grpc.adapters.sql.queries import (
    ADD_RUN,
    AGENT,
    AGENT_BLOCKS,
    AGENT_WIDTH,
    CONVERSATION,
    DEFAULT_CONVERSATION,
    DEFAULT_PLACE,
    FIRST_MESSAGES,
    OPEN_RUNS_OF_CONVERSATION,
    PLACE,
    RUN_OF_REQUEST,
)
from letta_grpc.adapters.sql.rows import (
    SPEC,
    Row,
    agent_of,
    block_of,
    conversation_of,
    message_of,
    run_of,
    run_values,
    spec_of,
)
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationBusy, ConversationNotFound, QueueFull, RequestIdReused
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.inputs import input_messages
from letta_grpc.domain.messages import Message
from letta_grpc.domain.runs import MAX_QUEUED_RUNS, ConflictPolicy, Run, RunState
from letta_grpc.ports.journal import Admit, Claim, Lease, Start
from letta_grpc.ports.stores import AgentContext

_SHORT_CONTEXT_MESSAGES = 64
_FINGERPRINT, _SPEC, _TRACEPARENT, _CANCEL_REQUESTED = 5, 6, 7, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """In whose name runs are worked on, and until when at first."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What a start becomes: a RUNNING run, with what its first step is built from, or a QUEUED one."""

    run: Run
    context: AgentContext | None = None
    interrupts: RunId | None = None


def find_start(session: Session, start: Start) -> Row | None:
    """Return the run that this request id has started. Raises RequestIdReused."""
    row = session.first(RUN_OF_REQUEST, {"the_request": start.request_id})
    if row is not None and row[_FINGERPRINT] != start.fingerprint:
        raise RequestIdReused(request_id=start.request_id, run_id=run_of(row, None).id)
    return row


def claim_of(row: Row, last: int | None, lease: Lease | None = None) -> Claim:
    """Return a stored run as a claim. `last` is its newest event's number if it is open."""
    run = run_of(row, last)
    return Claim(
        run=run,
        spec=spec_of(row[_SPEC]),
        created=False,
        lease=lease,
        cancel_requested=bool(row[_CANCEL_REQUESTED]),
        last_sequence_number=run.last_sequence_number or 0,
        traceparent=row[_TRACEPARENT],
    )


def admit_start(session: Session, start: Start, admit: Admit, known: MutableMapping[AgentId, Agent]) -> Admitted:
    """Return what a start whose request id is new becomes, by the spec's policy. Stores nothing.

    `known` are agents as they are stored now, and grows.
    """
    agent, conversation = _place(session, start, known)
    run = admit(agent, conversation)
    others = session.fetch(OPEN_RUNS_OF_CONVERSATION, {"the_conversation": run.conversation_id})
    if not others:
        given = tuple(input_messages(run, start.spec))
        return Admitted(run=run, context=_short_context(session, agent, conversation, given))
    interrupts = _may_wait(start, run.conversation_id, others)
    return Admitted(run=replace(run, state=RunState.QUEUED, start_time=None), interrupts=interrupts)


def store_start(session: Session, start: Start, run: Run, ownership: Ownership | None) -> int:
    """Store an admitted start, with its input if it is owned; return its position."""
    position = _add_run(session, start, run, ownership)
    if ownership:
        store_input(session, run, start.spec)
    return position


def _short_context(
    session: Session, agent: Agent, conversation: Conversation, given: tuple[Message, ...]
) -> AgentContext | None:
    """Return what the first step is built from, None for a long conversation: other runs' commits wait behind this."""
    rows = session.fetch(FIRST_MESSAGES, {"the_conversation": conversation.id, "the_limit": _SHORT_CONTEXT_MESSAGES + 1})
    if len(rows) > _SHORT_CONTEXT_MESSAGES:
        return None
    messages = (*(message_of(row) for row in rows), *given)
    return AgentContext(agent=agent, conversation=conversation, messages=messages)


def _place(session: Session, start: Start, known: MutableMapping[AgentId, Agent]) -> tuple[Agent, Conversation]:
    """Return where the run is to be. Raises AgentNotFound, ConversationNotFound."""
    values = {"the_agent": start.agent_id, "the_conversation": start.conversation_id}
    agent = known.get(start.agent_id)
    if agent is not None:
        row = session.first(DEFAULT_CONVERSATION if start.conversation_id is None else CONVERSATION, values)
        conversation = conversation_of(row) if row else None
        if conversation and conversation.agent_id == agent.id:
            return agent, conversation
    row = session.first(DEFAULT_PLACE if start.conversation_id is None else PLACE, values)
    if row is None:
        if session.first(AGENT, values) is None:
            raise AgentNotFound(agent_id=start.agent_id)
        raise ConversationNotFound(conversation_id=start.conversation_id or "default")
    blocks = [block_of(block) for block in session.fetch(AGENT_BLOCKS, values)]
    known[start.agent_id] = agent = agent_of(row[:AGENT_WIDTH], blocks)
    return agent, conversation_of(row[AGENT_WIDTH:])


def _may_wait(start: Start, conversation_id: ConversationId, others: list[Row]) -> RunId | None:
    """Return the active run that the start interrupts; raise if it may not wait behind the others, the active one first."""
    first_id, first_state = others[0]
    is_active = first_state == RunState.RUNNING.value
    if start.spec.conflict_policy is ConflictPolicy.REJECT:
        raise ConversationBusy(active_run_id=first_id, conversation_id=conversation_id)
    if len(others) - is_active >= MAX_QUEUED_RUNS:
        raise QueueFull(f"{MAX_QUEUED_RUNS} runs are waiting in this conversation already.", limit=str(MAX_QUEUED_RUNS))
    interrupts = start.spec.conflict_policy is ConflictPolicy.INTERRUPT and is_active
    return RunId(first_id) if interrupts else None


def _add_run(session: Session, start: Start, run: Run, ownership: Ownership | None) -> int:
    interrupts = start.spec.conflict_policy is ConflictPolicy.INTERRUPT
    values = run_values(run) | {
        "fingerprint": start.fingerprint,
        "spec": SPEC.dump(start.spec),
        "traceparent": start.traceparent,
        "queue_rank": 0 if interrupts else 1,
        "owner": ownership and ownership.owner,
        "lease_expires_at": ownership and to_micros(ownership.until),
        "cancel_requested": False,
        "last_sequence_number": None,
    }
    rows = session.fetch(ADD_RUN, values)
    return int(rows[0][0])
