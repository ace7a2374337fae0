"""Runs that are over at once, around calls that wait: an answer that leaves some waiting, a run that denies them all."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from letta_grpc.domain.approvals import OpenBatch, PendingAction
from letta_grpc.domain.events import ApprovalRequested, MessageCompleted, RunEvent, RunFinished, RunStarted, ToolReturned
from letta_grpc.domain.ids import new_message_id, new_run_id
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.runs import Run, RunState, StopReason, waiting_reason
from letta_grpc.domain.usage import Timing

# What the model is told of calls that were denied without anybody's decision.
UNANSWERED = "Nobody answered in time."
CANCELLED = "The request was cancelled."
SUPERSEDED = "Another message came instead of an answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """A run that is over as soon as it is stored: the run as it ended, and all of its events."""

    run: Run
    events: tuple[RunEvent, ...]

    @classmethod
    def of(
        cls,
        run: Run,
        *events: RunEvent,
        state: RunState,
        stop_reason: StopReason,
        pending_actions: tuple[PendingAction, ...] = (),
    ) -> Self:
        """Return a run that ends at the time of its start, with these events between the two."""
        ended = replace(
            run,
            state=state,
            stop_reason=stop_reason,
            pending_actions=pending_actions,
            end_time=run.start_time,
            timing=Timing(total=0.0),
        )
        return cls(run=ended, events=(RunStarted(run), *events, RunFinished(ended)))


def still_waiting(run: Run, batch: OpenBatch) -> EndedRun:
    """Return the run of an answer that leaves calls of the batch open."""
    rest = batch.pending
    reason = waiting_reason(rest)
    return EndedRun.of(run, ApprovalRequested(rest), state=RunState.INTERRUPTED, stop_reason=reason, pending_actions=rest)


def was_interrupted_by(batch: OpenBatch, run: Run, answering: Iterable[Run]) -> bool:
    """Say whether a run ended because of these calls: it asked for them, or is of those that have answered some of them."""
    return run.id == batch.run_id or any(run.id in (answer.id, answer.resumes_run_id) for answer in answering)


def denial(batch: OpenBatch, reason: str, run: Run) -> Message:
    """Return the tool message by which a run denies what waits. It belongs to the step that asked."""
    return Message(
        id=new_message_id(),
        role=Role.TOOL,
        tool_returns=batch.closing_returns(reason),
        name=batch.actions[0].name,
        run_id=run.id,
        step_id=batch.step_id,
        create_time=run.start_time or run.create_time,
    )


def denial_events(message: Message) -> tuple[RunEvent, ...]:
    """Return what a reader sees of a denial."""
    return (*(ToolReturned(returned) for returned in message.tool_returns), MessageCompleted(message))


def denied_by_server(batch: OpenBatch, waiting: Run, reason: str, time: datetime) -> tuple[EndedRun, Message]:
    """Return the server's own run that denies what `waiting` waits for, and its tool message."""
    run_id = new_run_id()
    run = Run(
        id=run_id,
        agent_id=waiting.agent_id,
        conversation_id=waiting.conversation_id,
        request_id=run_id.removeprefix("run-"),
        resumes_run_id=batch.run_id,
        model=waiting.model,
        state=RunState.RUNNING,
        create_time=time,
        start_time=time,
        background=waiting.background,
    )
    message = denial(batch, reason, run)
    told = denial_events(message)
    return EndedRun.of(run, *told, state=RunState.CANCELLED, stop_reason=StopReason.CANCELLED), message
