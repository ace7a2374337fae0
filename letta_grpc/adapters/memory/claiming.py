"""What a start becomes: an active run, a queued one, one that waits again, or a refusal."""

from dataclasses import dataclass, replace
from datetime import datetime

from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.approvals import OpenBatch, settle
from letta_grpc.domain.errors import QueueFull
from letta_grpc.domain.events import RunEvent
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.inputs import check_said_before, completed, is_answer
from letta_grpc.domain.messages import Message
from letta_grpc.domain.refusals import busy_refusal, pending_refusal
from letta_grpc.domain.runs import MAX_QUEUED_RUNS, ConflictPolicy, Run, RunSpec, RunState
from letta_grpc.domain.waiting import SUPERSEDED, denial, still_waiting
from letta_grpc.ports.journal import Admit, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A start that may be stored. `batch`: the calls that it brings answers of, or, with the message `denied`, denies."""

    run: Run
    spec: RunSpec
    agent: Agent
    conversation: Conversation
    events: tuple[RunEvent, ...] = ()
    batch: OpenBatch | None = None
    denied: Message | None = None


def admit_start(state: MemoryState, start: Start, admit: Admit, now: datetime) -> Admitted | RunId:
    """Return what a start whose request id is new becomes, or the run that brought its answers before. Stores nothing."""
    agent = state.agent(start.agent_id)
    conversation = state.conversation_of(start.agent_id, start.conversation_id)
    batch = state.batches.get(conversation.id)
    if not is_answer(start.spec.messages):
        run = admit(agent, conversation, start.spec)
        return _beside(state, start, batch, Admitted(run=run, spec=start.spec, agent=agent, conversation=conversation))
    settled = settle(start.spec.messages, batch, state.answers.get(conversation.id, {}), now)
    if not isinstance(settled, OpenBatch):
        check_said_before(start.spec.messages, settled, state.run(settled).spec)
        return settled
    spec = completed(start.spec, state.run(settled.run_id).spec)
    run = replace(admit(agent, conversation, spec), resumes_run_id=settled.run_id)
    events = start.opening(run)
    if settled.pending:
        waiting = still_waiting(run, settled)
        run, events = waiting.run, waiting.events
    return Admitted(run=run, spec=spec, agent=agent, conversation=conversation, events=events, batch=settled)


def _beside(state: MemoryState, start: Start, batch: OpenBatch | None, admitted: Admitted) -> Admitted:
    run = admitted.run
    queue = [s for s in state.runs_in(run.conversation_id) if not s.run.state.is_final]
    if batch and start.spec.conflict_policy is ConflictPolicy.INTERRUPT and not interrupts_wait(state, run.conversation_id):
        denied = denial(batch, SUPERSEDED, run)
        return replace(admitted, events=start.opening(run, denied), batch=batch, denied=denied)
    if batch and start.spec.conflict_policy is ConflictPolicy.REJECT:
        raise pending_refusal(start.spec, batch)
    if batch or queue:
        _check_queue(state, start, run)
        return replace(admitted, run=replace(run, state=RunState.QUEUED, start_time=None))
    return replace(admitted, events=start.opening(run))


def interrupts_wait(state: MemoryState, conversation_id: ConversationId) -> bool:
    """Say whether a start that interrupts others is queued."""
    queue = (s for s in state.runs_in(conversation_id) if s.run.state is RunState.QUEUED)
    return any(s.spec.conflict_policy is ConflictPolicy.INTERRUPT for s in queue)


def _check_queue(state: MemoryState, start: Start, run: Run) -> None:
    """Raise if the policy or the queue's length forbids that the run waits."""
    queue = [s for s in state.runs_in(run.conversation_id) if not s.run.state.is_final]
    if start.spec.conflict_policy is ConflictPolicy.REJECT:
        active = state.active_run(run.conversation_id) or queue[0]
        raise busy_refusal(start.spec, run.conversation_id, active.run.id)
    if sum(s.run.state is RunState.QUEUED for s in queue) >= MAX_QUEUED_RUNS:
        raise QueueFull(f"{MAX_QUEUED_RUNS} runs are waiting in this conversation already.", limit=str(MAX_QUEUED_RUNS))
