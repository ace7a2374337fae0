"""Ownership of runs in memory."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from letta_grpc.adapters.memory.changes import claim_of, holds, lease_of, start_run
from letta_grpc.adapters.memory.state import MemoryState, StoredRun
from letta_grpc.adapters.memory.waiting import close_batch, deny_batch
from letta_grpc.domain.events import RunStarted
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.runs import ConflictPolicy, RunState
from letta_grpc.domain.waiting import SUPERSEDED, UNANSWERED, denial, denial_events
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Lease


class MemoryLeases:
    """Says who works on which run."""

    def __init__(self, state: MemoryState, clock: Clock, codec: EventCodec, *, owner: str, lease_time: timedelta) -> None:
        self._state = state
        self._clock = clock
        self._codec = codec
        self._owner = owner
        self._lease_time = lease_time

    async def take_over(self, now: datetime, working_on: Collection[RunId] = ()) -> tuple[Claim, ...]:
        """Return the RUNNING runs whose lease had run out, each with a lease of the next attempt."""
        expired = [s for s in self._state.runs if s.lease_end is not None and s.lease_end <= now]
        return tuple(self._next_attempt(stored, now) for stored in expired if stored.run.id not in working_on)

    def _next_attempt(self, stored: StoredRun, now: datetime) -> Claim:
        stored.run = replace(stored.run, attempt=stored.run.attempt + 1)
        is_idle = stored.taken_over_at == stored.last_sequence_number
        stored.idle_attempts = stored.idle_attempts + 1 if is_idle else 0
        stored.taken_over_at = stored.last_sequence_number
        return self._give(stored, now)

    def _give(self, stored: StoredRun, now: datetime) -> Claim:
        stored.owner, stored.lease_end = self._owner, now + self._lease_time
        return claim_of(stored, created=False, lease=lease_of(stored))

    async def start_next(self, conversation_id: ConversationId) -> Claim | None:
        """Start the conversation's next queued run."""
        if self._state.active_run(conversation_id) is not None:
            return None
        queue = [s for s in self._state.runs_in(conversation_id) if s.run.state is RunState.QUEUED]
        if not queue:
            return None
        interrupting = [s for s in queue if s.spec.conflict_policy is ConflictPolicy.INTERRUPT]
        stored = (interrupting or queue)[0]
        batch = self._state.batches.get(conversation_id)
        if batch and not interrupting:
            return None
        stored.cancel_requested = len(interrupting) > 1
        now = self._clock.now()
        started = replace(stored.run, state=RunState.RUNNING, start_time=now)
        stored.run = started
        denied = denial(batch, SUPERSEDED, started) if batch else None
        if batch:
            close_batch(self._state, batch, started)
        opening = [RunStarted(started), *(denial_events(denied) if denied else ())]
        start_run(self._state, self._codec, stored, opening, self._clock.time_ns(), denied=denied)
        return self._give(stored, now)

    async def waiting_conversations(self) -> tuple[ConversationId, ...]:
        """Return the conversations in which a run is queued and none is active."""
        queued = dict.fromkeys(s.run.conversation_id for s in self._state.runs if s.run.state is RunState.QUEUED)
        return tuple(conversation_id for conversation_id in queued if self._state.active_run(conversation_id) is None)

    async def expire_calls(self, now: datetime) -> tuple[ConversationId, ...]:
        """Deny the waiting calls whose time had come; return their conversations."""
        batches = self._state.batches
        expired = tuple(id_ for id_ in batches if batches[id_].is_expired(now))
        for conversation_id in expired:
            deny_batch(self._state, self._codec, batches[conversation_id], UNANSWERED, time=now, time_ns=self._clock.time_ns())
        return expired

    async def renew(self, leases: Sequence[Lease], until: datetime) -> tuple[Lease, ...]:
        """Extend leases; return those that were lost."""
        lost = []
        for lease in leases:
            stored = self._state.runs.find(lease.run_id)
            if stored is None:
                # It had ended, or it could not have been removed.
                continue
            if holds(stored, lease):
                stored.lease_end = until
            elif stored.run.attempt != lease.attempt:
                lost.append(lease)
        return tuple(lost)
