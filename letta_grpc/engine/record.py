"""A run under way: the lease to write it, how far it has come, and what is still to be written."""

import asyncio
from asyncio import Future
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from letta_grpc.domain.approvals import ActionKind, PendingAction
from letta_grpc.domain.events import (
    ApprovalRequested,
    MessageCompleted,
    RunEvent,
    RunFinished,
    StepCompleted,
    StepRestarted,
    ToolReturned,
)
from letta_grpc.domain.ids import StepId, new_message_id
from letta_grpc.domain.inputs import messages_behind_answers
from letta_grpc.domain.messages import Message, Role, TextPart, ToolCall, ToolReturn, ToolReturnStatus
from letta_grpc.domain.progress import Progress
from letta_grpc.domain.runs import Run, Step
from letta_grpc.domain.transitions import Phase
from letta_grpc.domain.turns import MadeCall
from letta_grpc.domain.usage import Timing, Usage
from letta_grpc.engine.answer import Answer
from letta_grpc.engine.ends import RunEnd
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Change, Claim, Journal, Lease, RecordStep
from letta_grpc.ports.stores import AgentContext

# A takeover counts anew: what bounds a run in any case is `max_steps`.
_MAX_REPAIRS = 2
_NOT_RETURNED = "Error: the run ended before this tool returned."


class RunRecord:
    """Writes one run.

    Rule: an event is applied to `progress` when it is added, and the journal keeps the order of the calls; so `progress`
    tells what will be stored, or the run is abandoned.
    """

    def __init__(self, claim: Claim, lease: Lease, progress: Progress, journal: Journal, clock: Clock) -> None:
        self.run, self.spec = claim.run, claim.spec
        self.cancel_requested, self.traceparent = claim.cancel_requested, claim.traceparent
        self.batch = claim.batch
        self.lease = lease
        self.progress = progress
        # The answer that is coming in, and what the last complete one cost.
        self.answer: Answer | None = None
        self.answer_usage = progress.step_usage or Usage(step_count=1)
        # The calls that were made in the run's turn before this step; None until somebody has looked.
        self.made: list[MadeCall] | None = None
        # The spec's `tool_choice`, empty once one of it was called; None until somebody has looked.
        self.chosen: Collection[str] | None = None
        # Whether its agent may have others that work in the background after its turns; known from the first step on.
        self.has_sleeptime = False
        # How often the model was told that its answer is not what the run's caller asked for.
        self._repairs = 0
        self._side_usage = Usage()
        # That of a run which settles calls is older than their returns by the time of its first step.
        self._context = None if claim.batch else claim.context
        self._journal = journal
        self._clock = clock
        self._is_begun_stored = False
        self._events: list[RunEvent] = []
        self._changes: list[Change] = []

    @property
    def step_id(self) -> StepId:
        """The step whose calls are due: that of an earlier run if these are calls that waited."""
        settles = self.progress.due and self.progress.phase in (Phase.BETWEEN_STEPS, Phase.SETTLING_CALLS)
        return self.batch.step_id if self.batch and settles else self.progress.step_id

    def time_left(self) -> timedelta:
        """Return how long the run may still take. A clock that was put back gives it no more than it has in all."""
        elapsed = self._clock.now() - (self.run.start_time or self.run.create_time)
        return self.spec.run_timeout - max(elapsed, timedelta())

    def now(self) -> datetime:
        """Return the time by the run's clock."""
        return self._clock.now()

    def add_side_usage(self, usage: Usage) -> None:
        """Count the cost of a model call that the step needed besides its answer, as for a summary."""
        self._side_usage += replace(usage, context_tokens=None, step_count=None)

    def take_context(self) -> AgentContext | None:
        """Return the context that the journal had at hand for the first step, and keep it no longer."""
        context, self._context = self._context, None
        return context

    def add(self, *events: RunEvent, changes: Sequence[Change] = ()) -> None:
        """Take events that the next write stores, in its transaction. Raises IllegalEvent."""
        time_ns = self._clock.time_ns()
        for event in events:
            self.progress.apply(event, time_ns)
        self._events += events
        self._changes += changes

    async def write(self, *events: RunEvent) -> None:
        """Store what was added, and these; return when it is durable. Raises what `Journal.append` raises."""
        self.add(*events)
        await _outcome(self._append())
        self._is_begun_stored = True

    async def until_begun_is_stored(self) -> None:
        """Return once the run's claim is stored, its input with it: the run may begin while that is under way."""
        if not self._is_begun_stored:
            # Whatever is appended is stored behind the claim.
            await self.write()

    def write_soon(self, *events: RunEvent) -> Future[None]:
        """Store what was added, and these, before anything that is written later. If that fails, the next write fails too."""
        self.add(*events)
        stored = self._append()
        # Looked at by nobody else.
        stored.add_done_callback(Future.exception)
        return stored

    async def write_return(self, returned: ToolReturn, changes: Sequence[Change]) -> None:
        """Store a tool's return together with what the tool changes, or raise ConcurrentChange and store nothing."""
        event = ToolReturned(returned)
        self._events.append(event)
        self._changes += changes
        stored = self._append()
        try:
            await _outcome(stored)
        finally:
            # Cancelled or not: if it is stored, it has happened.
            if not stored.exception():
                self.progress.apply(event, self._clock.time_ns())

    def _append(self) -> Future[None]:
        stored = self._journal.append(self.lease, tuple(self._events), tuple(self._changes))
        self._events.clear()
        self._changes.clear()
        return stored

    def add_answer(self, *, with_calls: bool = True) -> bool:
        """Add the stored form of the answer; say whether it has calls."""
        answer, self.answer = self.answer, None
        messages = answer.messages(self._clock.now(), with_calls=with_calls) if answer else ()
        for message in messages:
            runs_calls = message.role is Role.ASSISTANT and message.tool_calls
            self.add(MessageCompleted(message, self._side_usage + self.answer_usage if runs_calls else None))
        return any(message.tool_calls for message in messages)

    def add_tool_message(self) -> None:
        """Add the message that gathers the returns of the calls that were due, in the order of the calls.

        Behind those of an earlier run's calls come the words that came with their answers: never one without the other.
        """
        progress = self.progress
        if not progress.due:
            return
        message = Message(
            id=new_message_id(),
            role=Role.TOOL,
            tool_returns=tuple(progress.returns[call.id] for call in progress.due),
            name=progress.due[0].name,
            run_id=self.run.id,
            step_id=self.step_id,
            create_time=self._clock.now(),
        )
        settles = progress.phase is Phase.SETTLING_CALLS
        words = messages_behind_answers(self.run, self.spec, message.create_time) if settles else ()
        self.add(*map(MessageCompleted, (message, *words)))

    def begin_repair(self) -> bool:
        """Count that the model is told that its answer is not what was asked for; return False if it was told too often."""
        self._repairs += 1
        return self._repairs <= _MAX_REPAIRS

    def add_word(self, text: str, step_id: StepId) -> None:
        """Add a message in which the server tells the model why it is asked once more."""
        content, time = (TextPart(text),), self._clock.now()
        message = Message(
            id=new_message_id(), role=Role.USER, content=content, run_id=self.run.id, step_id=step_id, create_time=time
        )
        self.add(MessageCompleted(message))

    def add_approval_request(self, asked: Message, waits_for: Callable[[str], ActionKind | None]) -> tuple[PendingAction, ...]:
        """Add the request for answers to the calls of a step's message, and return them."""
        expire_time = self._clock.now() + self.spec.approval_timeout
        actions = tuple(
            PendingAction(
                tool_call_id=call.id,
                # An agent's tools may have changed since: what was asked for is asked for.
                kind=waits_for(call.name) or ActionKind.APPROVAL,
                name=call.name,
                arguments=call.arguments,
                message_id=asked.id,
                step_id=self.progress.step_id,
                expire_time=expire_time,
            )
            for call in asked.tool_calls
        )
        self.add(ApprovalRequested(actions))
        return actions

    def add_step_end(self) -> None:
        """Add the completion of the step that is under way."""
        progress, now = self.progress, self._clock.now()
        timing = Timing.between(
            progress.step_start_ns,
            self._clock.time_ns(),
            first_token_ns=progress.step_first_token_ns,
            last_token_ns=progress.last_token_ns,
            usage=self.answer_usage,
        )
        usage = self._side_usage + self.answer_usage
        step = Step(
            id=progress.step_id,
            run_id=self.run.id,
            index=progress.step_index,
            model=progress.step_model,
            usage=usage,
            timing=timing,
            message_ids=tuple(progress.step_message_ids),
            complete_time=now,
        )
        self.add(StepCompleted(step.id, usage, timing), changes=[RecordStep(step)])
        self.answer_usage, self._side_usage = Usage(step_count=1), Usage()

    async def finish(self, end: RunEnd) -> None:
        """Write the run's last event, and before it whatever makes its history whole: partial text, missing returns.

        Cannot be cancelled. Raises what `Journal.append` raises.
        """
        if self.answer is None and self.progress.open_message_ids:
            # Another attempt was saying it, and nobody knows all that it had said.
            void = tuple(self.progress.open_message_ids)
            self.add(StepRestarted(self.progress.step_id, self.lease.attempt, void))
        self.add_answer(with_calls=False)
        if not end.pending_actions:
            self.progress.give_up_waiting()
        for call in self.progress.open_calls:
            self.add(ToolReturned(self._given_up(call)))
        self.add_tool_message()
        if self.progress.phase is Phase.RUNNING_TOOLS:
            self.add_step_end()
        self.add(RunFinished(self._ended(end)))
        # Whoever cancels the run now comes too late: what is due after it is due all the same.
        stored = self._append()
        await _settled(stored)
        stored.result()

    def _given_up(self, call: ToolCall) -> ToolReturn:
        """Return the return of a call that the run has no more time for: what is known without running it, or an error."""
        given = self.batch.given_return(call.id) if self.batch else None
        return given or ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=_NOT_RETURNED)

    def _ended(self, end: RunEnd) -> Run:
        progress = self.progress
        return replace(
            self.run,
            state=end.state,
            stop_reason=end.stop_reason,
            error=end.error,
            pending_actions=end.pending_actions,
            attempt=self.lease.attempt,
            end_time=self._clock.now(),
            usage=progress.usage,
            timing=Timing.between(
                nanoseconds(self.run.create_time),
                self._clock.time_ns(),
                first_token_ns=progress.first_token_ns,
                last_token_ns=progress.last_token_ns,
                usage=progress.usage,
            ),
        )


async def _outcome(stored: Future[None]) -> None:
    """Wait for an append, also when the waiting task is cancelled.

    The append is under way whatever becomes of the task: without its outcome the run's end would be written from a wrong
    picture, with a message twice or a call without its return.
    """
    try:
        await asyncio.shield(stored)
    except asyncio.CancelledError:
        await _settled(stored)
        raise


async def _settled(stored: Future[None]) -> None:
    """Return once an append is stored or has failed, even if the waiting task is cancelled."""
    while not stored.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([stored])


def nanoseconds(time: datetime) -> int:
    """Return a time as nanoseconds since the epoch."""
    return int(time.timestamp() * 1_000_000) * 1000
