"""How a start becomes a run, a queued run, or a refusal."""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime

from letta_grpc.adapters.sql.changes import store_messages
from letta_grpc.adapters.sql.queries import (
    ADD_CALLBACK,
    ADD_MESSAGE,
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
    RUN,
    RUN_OF_REQUEST,
)
from letta_grpc.adapters.sql.rows import (
    CALLBACK,
    SPEC,
    Row,
    Thread,
    Values,
    agent_of,
    block_of,
    context_of,
    conversation_of,
    message_values,
    run_of,
    run_values,
    spec_of,
    thread_of,
)
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.adapters.sql.waiting import find_batch, known_answers, settle_batch, store_answers
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.approvals import OpenBatch, answers_in, settle
from letta_grpc.domain.callbacks import Callback
from letta_grpc.domain.errors import (
    AgentNotFound,
    ConversationNotFound,
    QueueFull,
    RequestIdReused,
)
from letta_grpc.domain.events import RunEvent
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.inputs import check_said_before, completed, input_messages, is_answer
from letta_grpc.domain.messages import Message
from letta_grpc.domain.refusals import busy_refusal, pending_refusal
from letta_grpc.domain.runs import MAX_QUEUED_RUNS, ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.domain.waiting import SUPERSEDED, denial, still_waiting
from letta_grpc.ports.journal import Admit, Claim, Lease, Start
from letta_grpc.ports.stores import AgentContext

_SHORT_CONTEXT_MESSAGES = 64
# An agent with more in its fields is read for each of its runs: a thousand of them would be a gigabyte.
_KNOWN_CHARACTERS = 64 * 1024
_FINGERPRINT, _TRACEPARENT, _CANCEL_REQUESTED, _IDLE_ATTEMPTS = 5, 7, 15, 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """In whose name runs are worked on, and until when at first."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What a start becomes: a RUNNING run, with what its first step is built from; a QUEUED one; or one that waits again.

    `given`: the messages that enter the conversation with it; `events`: its first ones. `batch`: the calls that it brings
    answers of, or, with the tool message `denied`, denies.
    """

    run: Run
    spec: RunSpec
    given: tuple[Message, ...] = ()
    events: tuple[RunEvent, ...] = ()
    context: AgentContext | None = None
    interrupts: RunId | None = None
    batch: OpenBatch | None = None
    denied: Message | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    agent: Agent
    conversation: Conversation
    thread: Thread


def find_start(session: Session, start: Start) -> Row | None:
    """Return the run that this request id has started. Raises RequestIdReused."""
    row = session.first(RUN_OF_REQUEST, {"the_request": start.request_id})
    if row is not None and row[_FINGERPRINT] != start.fingerprint:
        raise RequestIdReused(request_id=start.request_id, run_id=run_of(row, None).id)
    return row


def claim_of(row: Row, last: int | None, lease: Lease | None = None, batch: OpenBatch | None = None) -> Claim:
    """Return a stored run as a claim. `last` is its newest event's number if it is open."""
    run = run_of(row, last)
    return Claim(
        run=run,
        spec=spec_of(row),
        created=False,
        lease=lease,
        cancel_requested=bool(row[_CANCEL_REQUESTED]),
        last_sequence_number=run.last_sequence_number or 0,
        batch=batch,
        traceparent=row[_TRACEPARENT],
        idle_attempts=row[_IDLE_ATTEMPTS],
    )


def admit_start(
    session: Session, start: Start, admit: Admit, known: MutableMapping[AgentId, Agent], now: datetime
) -> Admitted | RunId:
    """Return what a start whose request id is new becomes, or the run that brought its answers before. Stores nothing.

    `known` are agents as they are stored now, and grows.
    """
    place = _place(session, start, known)
    batch = find_batch(session, place.conversation.id, place.thread.waiting_run_id)
    if is_answer(start.spec.messages):
        return _admit_answer(session, start, admit, place, batch, now=now)
    run = admit(place.agent, place.conversation, start.spec)
    others = session.fetch(OPEN_RUNS_OF_CONVERSATION, {"the_conversation": run.conversation_id})
    if batch and start.spec.conflict_policy is ConflictPolicy.INTERRUPT and not interrupts_wait(others):
        denied = denial(batch, SUPERSEDED, run)
        begun = _begun(session, start, place, run, (denied,))
        return replace(begun, events=start.opening(run, denied), batch=batch, denied=denied)
    if not others and not batch:
        return _begun(session, start, place, run)
    if batch and start.spec.conflict_policy is ConflictPolicy.REJECT:
        raise pending_refusal(start.spec, batch)
    interrupts = _may_wait(start, run.conversation_id, others)
    return Admitted(run=replace(run, state=RunState.QUEUED, start_time=None), spec=start.spec, interrupts=interrupts)


def interrupts_wait(others: list[Row]) -> bool:
    """Say of OPEN_RUNS_OF_CONVERSATION whether INTERRUPT starts are queued: the first of them is to deny what waits."""
    return any(rank == 0 for _, _, rank in others)


def _admit_answer(
    session: Session, start: Start, admit: Admit, place: _Place, batch: OpenBatch | None, *, now: datetime
) -> Admitted | RunId:
    messages = start.spec.messages
    settled = settle(messages, batch, known_answers(session, place.conversation.id, answers_in(messages)), now)
    if not isinstance(settled, OpenBatch):
        check_said_before(messages, settled, spec_of(session.fetch(RUN, {"the_run": settled})[0]))
        return settled
    spec = completed(start.spec, spec_of(session.fetch(RUN, {"the_run": settled.run_id})[0]))
    run = replace(admit(place.agent, place.conversation, spec), resumes_run_id=settled.run_id)
    if settled.pending:
        waiting = still_waiting(run, settled)
        given = tuple(input_messages(run, spec))
        return Admitted(run=waiting.run, spec=spec, given=given, events=waiting.events, batch=settled)
    return replace(_begun(session, start, place, run), spec=spec, batch=settled)


def _begun(session: Session, start: Start, place: _Place, run: Run, before: tuple[Message, ...] = ()) -> Admitted:
    """Return a run that begins now; `before` comes into the context before its input."""
    given = tuple(input_messages(run, start.spec))
    context = _short_context(session, place, (*before, *given))
    return Admitted(run=run, spec=start.spec, given=given, events=start.opening(run), context=context)


def store_start(session: Session, start: Start, admitted: Admitted, ownership: Ownership | None) -> int:
    """Store an admitted start with its input; return its position."""
    run, batch = admitted.run, admitted.batch
    values: Values = {"fingerprint": start.fingerprint, "traceparent": start.traceparent}
    if run.state is RunState.INTERRUPTED:
        values["last_sequence_number"] = len(admitted.events)
    position = add_run(session, run, admitted.spec, ownership, values)
    if admitted.denied and batch:
        settle_batch(session, batch, run)
        session.execute(ADD_MESSAGE, message_values(admitted.denied, run.conversation_id))
    elif batch:
        store_answers(session, batch, run)
    store_messages(session, run.conversation_id, admitted.given)
    return position


def _short_context(session: Session, place: _Place, given: tuple[Message, ...]) -> AgentContext | None:
    """Return what the first step is built from, None for a long conversation: other runs' commits wait behind this."""
    thread, limit = place.thread, _SHORT_CONTEXT_MESSAGES + 1
    values = {"the_conversation": place.conversation.id, "the_start": thread.context_start, "the_limit": limit}
    rows = session.fetch(FIRST_MESSAGES, values)
    if len(rows) == limit:
        return None
    messages = (*context_of(rows, thread.summary_position), *given)
    return AgentContext(agent=place.agent, conversation=place.conversation, messages=messages)


def _place(session: Session, start: Start, known: MutableMapping[AgentId, Agent]) -> _Place:
    """Return where the run is to be. Raises AgentNotFound, ConversationNotFound."""
    values = {"the_agent": start.agent_id, "the_conversation": start.conversation_id}
    agent = known.get(start.agent_id)
    if agent is not None:
        row = session.first(DEFAULT_CONVERSATION if start.conversation_id is None else CONVERSATION, values)
        conversation = conversation_of(row) if row else None
        if row and conversation and conversation.agent_id == agent.id:
            return _Place(agent, conversation, thread_of(row))
    row = session.first(DEFAULT_PLACE if start.conversation_id is None else PLACE, values)
    if row is None:
        if session.first(AGENT, values) is None:
            raise AgentNotFound(agent_id=start.agent_id)
        raise ConversationNotFound(conversation_id=start.conversation_id or "default")
    blocks = session.fetch(AGENT_BLOCKS, values)
    agent = agent_of(row[:AGENT_WIDTH], [block_of(block) for block in blocks])
    if sum(len(field) for each in (row, *blocks) for field in each if isinstance(field, str)) <= _KNOWN_CHARACTERS:
        known[start.agent_id] = agent
    rest = row[AGENT_WIDTH:]
    return _Place(agent, conversation_of(rest), thread_of(rest))


def _may_wait(start: Start, conversation_id: ConversationId, others: list[Row]) -> RunId | None:
    """Return the active run that the start interrupts; raise if it may not wait behind the others, the active one first."""
    first_id, first_state, _ = others[0] if others else ("", "", 0)
    is_active = first_state == RunState.RUNNING.value
    if start.spec.conflict_policy is ConflictPolicy.REJECT:
        raise busy_refusal(start.spec, conversation_id, RunId(first_id))
    if len(others) - is_active >= MAX_QUEUED_RUNS:
        raise QueueFull(f"{MAX_QUEUED_RUNS} runs are waiting in this conversation already.", limit=str(MAX_QUEUED_RUNS))
    interrupts = start.spec.conflict_policy is ConflictPolicy.INTERRUPT and is_active
    return RunId(first_id) if interrupts else None


def add_run(session: Session, run: Run, spec: RunSpec, ownership: Ownership | None, values: Values) -> int:
    """Store a run with what the journal knows of it; return its position."""
    journals = {
        "fingerprint": "",
        "spec": SPEC.dump(spec),
        "traceparent": None,
        "queue_rank": 0 if spec.conflict_policy is ConflictPolicy.INTERRUPT else 1,
        "owner": ownership and ownership.owner,
        "lease_expires_at": ownership and to_micros(ownership.until),
        "cancel_requested": False,
        "last_sequence_number": None,
    }
    rows = session.fetch(ADD_RUN, run_values(run) | journals | values)
    if spec.callback_url:
        callback, due = CALLBACK.dump(Callback(url=spec.callback_url)), to_micros(run.create_time)
        session.execute(ADD_CALLBACK, {"run_id": run.id, "callback": callback, "next_time": due})
    return int(rows[0][0])
