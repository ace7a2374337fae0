"""What events and changes do to the state."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from letta_grpc.adapters.memory.state import Compaction, MemoryState, StoredRun
from letta_grpc.domain.approvals import OpenBatch
from letta_grpc.domain.errors import ConcurrentChange
from letta_grpc.domain.events import ContextCompacted, MessageCompleted, RunEvent, RunFinished
from letta_grpc.domain.inputs import input_messages
from letta_grpc.domain.messages import Message
from letta_grpc.domain.runs import RunState
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import AddPassage, Change, Claim, EditBlock, Lease, RecordStep


def lease_of(stored: StoredRun) -> Lease:
    """Return the lease of the run's owner."""
    return Lease(run_id=stored.run.id, owner=stored.owner, attempt=stored.run.attempt)


def holds(stored: StoredRun, lease: Lease) -> bool:
    """Say whether the lease still gives the right to write."""
    return stored.run.state is RunState.RUNNING and lease == lease_of(stored)


def claim_of(stored: StoredRun, *, created: bool, lease: Lease | None = None) -> Claim:
    """Return the run as it stands, as a claim."""
    return Claim(
        run=stored.run,
        spec=stored.spec,
        created=created,
        lease=lease,
        cancel_requested=stored.cancel_requested,
        last_sequence_number=stored.last_sequence_number,
        batch=stored.batch if lease else None,
        traceparent=stored.traceparent,
        idle_attempts=stored.idle_attempts,
    )


def start_run(
    state: MemoryState,
    codec: EventCodec,
    stored: StoredRun,
    opening: Sequence[RunEvent],
    time_ns: int,
    *,
    denied: Message | None = None,
) -> None:
    """Let the input of a run enter its conversation, behind the tool message by which it denied calls; and open its log."""
    run = stored.run
    messages = state.messages[run.conversation_id]
    for message in (*([denied] if denied else []), *input_messages(run, stored.spec)):
        messages.add(message.id, message)
    add_frames(codec, stored, opening, time_ns)


def store_events(state: MemoryState, codec: EventCodec, stored: StoredRun, events: Sequence[RunEvent], time_ns: int) -> None:
    """Store events with what they mean."""
    add_frames(codec, stored, events, time_ns)
    messages = state.messages[stored.run.conversation_id]
    for event in events:
        match event:
            case MessageCompleted(message=message):
                messages.add(message.id, message)
            case ContextCompacted(summary=summary, kept_from=kept_from):
                messages.add(summary.id, summary)
                state.compactions[stored.run.conversation_id] = Compaction(summary, kept_from)
            case RunFinished(run=run):
                stored.run, stored.owner, stored.lease_end = run, "", None
                if run.pending_actions:
                    state.batches[run.conversation_id] = OpenBatch(run_id=run.id, actions=run.pending_actions)
            case _:  # The others change nothing but the log.
                pass


def add_frames(codec: EventCodec, stored: StoredRun, events: Sequence[RunEvent], time_ns: int) -> None:
    """Number the events and put them into the log, then wake the followers."""
    first = stored.last_sequence_number + 1
    # All are encoded before one is stored: if an encoder fails, nothing has happened.
    frames = [codec.encode(number, time_ns, event) for number, event in enumerate(events, start=first)]
    stored.frames += frames
    stored.last_sequence_number += len(frames)
    stored.wake_followers()


def check_changes(state: MemoryState, changes: Sequence[Change]) -> None:
    """Raise ConcurrentChange if one of the edits came too late; also for a block that is gone."""
    versions = {block.id: block.version for block in state.blocks}
    for change in changes:
        if not isinstance(change, EditBlock):
            continue
        if versions.get(change.block_id) != change.expected_version:
            raise ConcurrentChange(block_id=change.block_id)
        versions[change.block_id] += 1


def store_changes(state: MemoryState, stored: StoredRun, changes: Sequence[Change], now: datetime) -> None:
    """Store changes that have been checked."""
    for change in changes:
        match change:
            case EditBlock(block_id=block_id, expected_version=version, value=value):
                edited = replace(state.block(block_id), value=value, version=version + 1, update_time=now)
                state.blocks.replace(block_id, edited)
            case AddPassage(passage=passage):
                state.passages.add(passage.id, passage)
            case RecordStep(step=step):
                stored.steps.add(step.id, step)
                state.steps.add(step.id, step)
            case _:
                assert_never(change)
