"""Writing runs: events and state in one fenced transaction, and in no other way.

The contract: `letta_grpc.testing.journals`.
"""

from asyncio import Future
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.approvals import OpenBatch
from letta_grpc.domain.events import RunEvent, RunStarted, StepStarted
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.ids import AgentId, BlockId, ConversationId, RunId, StepId
from letta_grpc.domain.messages import Message
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunSpec, Step
from letta_grpc.domain.waiting import denial_events
from letta_grpc.ports.stores import AgentContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A run that is to be started."""

    run_id: RunId
    agent_id: AgentId
    # None means the agent's default conversation.
    conversation_id: ConversationId | None
    request_id: str
    # Of the payload: by it another start under the same request id is told from a repetition.
    fingerprint: str
    spec: RunSpec
    # Whether the caller chose the request id.
    is_repeatable: bool = True
    # If the run starts at once, this step is started with it, in the same transaction.
    first_step_id: StepId | None = None
    parent_run_ids: tuple[RunId, ...] = ()
    traceparent: str | None = None

    def opening(self, run: Run, denied: Message | None = None) -> tuple[RunEvent, ...]:
        """Return the first events of the run that this starts.

        `denied`: the tool message by which an INTERRUPT start denied the calls that waited. A run that answers waiting calls
        begins with those, so its first step comes later.
        """
        started: tuple[RunEvent, ...] = (RunStarted(run),)
        if denied:
            started += denial_events(denied)
        if self.first_step_id is None or run.resumes_run_id:
            return started
        return (*started, StepStarted(self.first_step_id, 0, run.model))


# Builds the run of a start, in state RUNNING, once its agent and conversation are known; raises to refuse the start. The spec
# is the start's, for an answer completed from the run that waits.
# Called inside the transaction, on whichever thread that has: it must be quick and pure.
Admit = Callable[[Agent, Conversation, RunSpec], Run]

# Is given a claim with a lease, and begins to work on its run.
Begin = Callable[["Claim"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write a run, until somebody takes it over with a higher attempt."""

    run_id: RunId
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that was started, found or taken over."""

    run: Run
    spec: RunSpec
    # False if the run was there before.
    created: bool
    # Only if the caller is to work on the run now.
    lease: Lease | None
    # The active run that an INTERRUPT start waits for.
    interrupts: RunId | None = None
    cancel_requested: bool = False
    # That of the newest stored event.
    last_sequence_number: int = 0
    # The step that was started together with the run.
    first_step_id: StepId | None = None
    # What the first step is built from, if the journal had it at hand; never with `reported_tokens`.
    context: AgentContext | None = None
    # The calls that this run settles, each with its answer.
    batch: OpenBatch | None = None
    traceparent: str | None = None
    # How many servers in a row, the last one included, have taken the run over and died without storing an event of it.
    idle_attempts: int = 0


@dataclass(frozen=True, slots=True)
class EditBlock:
    """Give a block a new value, if it still has the version that the edit was made from; otherwise ConcurrentChange."""

    block_id: BlockId
    expected_version: int
    value: str


@dataclass(frozen=True, slots=True)
class AddPassage:
    """Keep an archival note."""

    passage: Passage


@dataclass(frozen=True, slots=True)
class RecordStep:
    """Keep a completed step."""

    step: Step


Change = EditBlock | AddPassage | RecordStep


class Journal(Protocol):
    """Takes what happens in runs. What a call has returned is durable, and only then do readers see it."""

    def claim(self, start: Start, admit: Admit, begin: Begin | None = None) -> Future[Claim]:
        """Start a run, or find the one that this request id has started, whether or not anybody waits for the future.

        In one transaction, in this order:

        1. A known request id gives its run (`created` False), or raises RequestIdReused for another payload. The id of a start
           that is not repeatable is new for certain.
        2. AgentNotFound; ConversationNotFound, also for a conversation of another agent.
        3. A start that answers waiting calls: `approvals.settle` on the conversation's open batch, which may give an earlier
           run. The answer's spec is completed from the run that waits, as RunSpec says.
        4. `admit` builds the run, or refuses it.
        5. Any other start while a batch is open, by the spec's policy: REJECT raises ApprovalPending{run_id, tool_call_ids},
           ENQUEUE stores the run as QUEUED, INTERRUPT denies the calls and goes on.
        6. If the conversation has an active run (or, unless the start is an answer, any open one), by the policy: REJECT
           raises ConversationBusy; ENQUEUE and INTERRUPT store the run as QUEUED, without a lease, or raise QueueFull beyond
           MAX_QUEUED_RUNS; INTERRUPT also stores that the active run is to end.
        7. Otherwise the run, its input messages and its opening events, from number 1 on, are stored; the claim has a lease.

        A refused start stores nothing. An answer that leaves calls open ends in the same transaction: `run_started`,
        `approval_request` with those calls, `run_finished` INTERRUPTED. From then on it waits in place of the run that it
        resumed.

        `begin` is given a claim with a lease, on the event loop, before the future completes. The claim may still be on its
        way into the store: what is appended meanwhile is stored behind it. If it cannot be stored after all, the future
        raises, and nothing that was appended under its lease is stored.
        """
        ...

    def append(self, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> Future[None]:
        """Store events, and the state that they and the changes mean, in one transaction.

        Events are numbered in the order of the calls. A call that is not awaited is still stored, before later ones of the
        run.

        MessageCompleted puts the message into the conversation. ContextCompacted puts its summary there, in place of what it
        dropped from the context. RunFinished stores the run that it carries, opens the batch of its pending actions and ends
        the lease; the pending actions of a run that is being cancelled are denied in the same transaction, as `request_cancel`
        does it, unless a queued INTERRUPT start will do so.

        The future completes when everything is durable. It raises LeaseLost for a lease that was taken over or has ended,
        CancelRequested if a tool would start in a run that is being cancelled, ConcurrentChange for an EditBlock that came too
        late; nothing of the call is stored then. After StoreUnavailable nothing more of this lease is stored.
        """
        ...

    def request_cancel(self, run_id: RunId) -> Future[Claim]:
        """Store that the run is to end, and return it. Raises RunNotFound.

        A queued run ends at once, with `run_finished` as its only event; if it was an INTERRUPT start that would have denied
        waiting calls, they are denied now, unless another such start will do so. Of an interrupted run the calls that still
        wait are denied, in a run of the server's own that ends CANCELLED, also if the run of a partial answer waits for them
        in its place. Any other finished run stays as it is.
        """
        ...

    def fork(self, fork: Fork) -> Future[None]:
        """Store a conversation with its messages and context, and the run that they belong to with its events, or nothing.

        Raises AgentNotFound.
        """
        ...


class Leases(Protocol):
    """Says who works on which run."""

    async def take_over(self, now: datetime, working_on: Collection[RunId] = ()) -> tuple[Claim, ...]:
        """Return the RUNNING runs whose lease had run out at `now`, each with a lease of the next attempt.

        Those that the caller is `working_on` are left alone: it stood still for a while and renews them too late.
        A run that answers waiting calls comes with its batch again, whether or not all of the calls have returned.
        """
        ...

    async def start_next(self, conversation_id: ConversationId) -> Claim | None:
        """Start the conversation's next queued run: its input enters the conversation and `run_started` is stored.

        INTERRUPT starts come first, then the others, each in order of acceptance. While calls wait for answers only an
        INTERRUPT start begins, which denies them. Returns None while a run is active, and when no run can begin.
        """
        ...

    async def waiting_conversations(self) -> tuple[ConversationId, ...]:
        """Return the conversations in which a run is queued and none is active."""
        ...

    async def expire_calls(self, now: datetime) -> tuple[ConversationId, ...]:
        """Deny the waiting calls whose time had come at `now`, each batch in a run of the server's own that ends CANCELLED.

        Returns their conversations, in which queued runs may start now.
        """
        ...

    async def renew(self, leases: Sequence[Lease], until: datetime) -> tuple[Lease, ...]:
        """Extend leases to `until`; return those that were lost, to another attempt or because the store failed.

        A lease whose run has ended is not lost: nobody else has the run. Something is written even without any lease, so that
        this raises StoreUnavailable whenever the store takes no writes.
        """
        ...
