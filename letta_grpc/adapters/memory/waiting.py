"""Calls that wait for answers, in memory."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from letta_grpc.adapters.memory.changes import add_frames
from letta_grpc.adapters.memory.state import MemoryState, StoredRun
from letta_grpc.domain.approvals import KnownAnswer, OpenBatch
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.runs import Run, RunSpec
from letta_grpc.domain.waiting import denied_by_server
from letta_grpc.ports.codec import EventCodec


def store_answers(state: MemoryState, batch: OpenBatch, stored: StoredRun) -> None:
    """Keep the answers that a run has brought. It waits from now on for the rest, or settles the batch if there is none."""
    run = stored.run
    before = state.batches[run.conversation_id].answers
    fresh = {call_id: answer for call_id, answer in batch.answers.items() if call_id not in before}
    _remember(state, run, {call_id: KnownAnswer(answer=answer, run_id=run.id) for call_id, answer in fresh.items()})
    _forget_actions(state, batch.run_id)
    if batch.pending:
        state.batches[run.conversation_id] = replace(batch, run_id=run.id)
    else:
        stored.batch = batch
        del state.batches[run.conversation_id]


def close_batch(state: MemoryState, batch: OpenBatch, run: Run) -> None:
    """Take note that a run has denied what waited."""
    denied = KnownAnswer(answer=None, run_id=run.id)
    _remember(state, run, {action.tool_call_id: denied for action in batch.pending})
    _forget_actions(state, batch.run_id)
    del state.batches[run.conversation_id]


def runs_that_answered(state: MemoryState, batch: OpenBatch, conversation_id: ConversationId) -> Iterator[Run]:
    """Yield the runs that brought the answers that are there."""
    known = state.answers.get(conversation_id, {})
    return (state.run(known[call_id].run_id).run for call_id in batch.answers)


def deny_batch(state: MemoryState, codec: EventCodec, batch: OpenBatch, reason: str, *, time: datetime, time_ns: int) -> None:
    """Deny all calls of a batch, in a run of the server's own."""
    ended, message = denied_by_server(batch, state.run(batch.run_id).run, reason, time)
    run = ended.run
    stored = StoredRun(run=run, spec=RunSpec(messages=()), fingerprint="", traceparent=None)
    add_frames(codec, stored, ended.events, time_ns)
    state.runs.add(run.id, stored)
    state.run_of_request[run.request_id] = run.id
    state.messages[run.conversation_id].add(message.id, message)
    close_batch(state, batch, run)


def _remember(state: MemoryState, run: Run, answers: dict[str, KnownAnswer]) -> None:
    state.answers.setdefault(run.conversation_id, {}).update(answers)


def _forget_actions(state: MemoryState, run_id: RunId) -> None:
    stored = state.run(run_id)
    stored.run = replace(stored.run, pending_actions=())
