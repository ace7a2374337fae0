"""Ownership of runs. One server at a time has the database: leases matter after a crash, and within it as a fence."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from letta_grpc.adapters.sql.changes import store_messages
from letta_grpc.adapters.sql.claiming import Ownership, claim_of
from letta_grpc.adapters.sql.denying import batch_in, deny_batch
from letta_grpc.adapters.sql.journal.ended_runs import add_ended_run
from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.jobs import call, mark_cancelled
from letta_grpc.adapters.sql.journal.readers import Readers
from letta_grpc.adapters.sql.journal.recovery import current, revive
from letta_grpc.adapters.sql.journal.writer import Writer
from letta_grpc.adapters.sql.queries import (
    ADD_MESSAGE,
    EXPIRED_CALLS,
    EXPIRED_RUNS,
    LEASE_RUN,
    OPEN_RUNS_OF_CONVERSATION,
    RENEW_LEASE,
    RUN,
    START_RUN,
    WAITING_CONVERSATIONS,
    WRITE_NOTHING_NEW,
)
from letta_grpc.adapters.sql.rows import message_values, run_of, spec_of
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.adapters.sql.waiting import settle_batch, settled_batch
from letta_grpc.domain.events import RunStarted
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.inputs import input_messages
from letta_grpc.domain.runs import RunState
from letta_grpc.domain.waiting import SUPERSEDED, UNANSWERED, denial, denial_events
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Claim, Lease

_TAKEN_OVER_AT, _IDLE_ATTEMPTS = 30, 31
# For how many conversations the writer denies calls in one transaction: live runs wait behind it.
_CONVERSATIONS_AT_ONCE = 50


class SqlLeases:
    """Says who works on which run. Leases of earlier processes are void, whatever time they have left."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock, *, owner: str, lease_time: timedelta) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._owner = owner
        self._lease_time = lease_time

    async def take_over(self, now: datetime, working_on: Collection[RunId] = ()) -> tuple[Claim, ...]:
        """Return the RUNNING runs whose lease had run out, each with a lease of the next attempt."""
        ownership = Ownership(owner=self._owner, until=now + self._lease_time)
        return await call(self._writer, lambda group: _take_over(group, ownership, now, working_on))

    async def start_next(self, conversation_id: ConversationId) -> Claim | None:
        """Start the conversation's next queued run."""
        now, time_ns = self._clock.now(), self._clock.time_ns()
        ownership = Ownership(owner=self._owner, until=now + self._lease_time)
        return await call(self._writer, lambda group: _start_next(group, conversation_id, ownership, now, time_ns))

    async def waiting_conversations(self) -> tuple[ConversationId, ...]:
        """Return the conversations in which a run is queued and none is active."""
        rows = await self._readers.run(lambda reader: reader.session.fetch(WAITING_CONVERSATIONS, {}))
        return tuple(ConversationId(row[0]) for row in rows)

    async def expire_calls(self, now: datetime) -> tuple[ConversationId, ...]:
        """Deny the waiting calls whose time had come; return their conversations."""
        values = {"the_now": to_micros(now)}
        rows = await self._readers.run(lambda reader: reader.session.fetch(EXPIRED_CALLS, values))
        expired = tuple(ConversationId(row[0]) for row in rows)
        for start in range(0, len(expired), _CONVERSATIONS_AT_ONCE):
            await self._expire(expired[start : start + _CONVERSATIONS_AT_ONCE], now)
        return expired

    async def _expire(self, conversation_ids: Sequence[ConversationId], now: datetime) -> None:
        time_ns = self._clock.time_ns()
        await call(self._writer, lambda group: _expire(group, conversation_ids, now, time_ns))

    async def renew(self, leases: Sequence[Lease], until: datetime) -> tuple[Lease, ...]:
        """Extend leases; return those that were lost."""
        return await call(self._writer, lambda group: _renew(group, leases, until))


def _take_over(group: Group, ownership: Ownership, now: datetime, working_on: Collection[RunId]) -> tuple[Claim, ...]:
    expired = group.session.fetch(EXPIRED_RUNS, {"the_owner": ownership.owner, "the_now": to_micros(now)})
    # Of the dead ones it is the store that failed, under a server that lives.
    dead = dict.fromkeys(run.run_id for run in group.state.runs.values() if run.dead)
    run_ids = dict.fromkeys((*(RunId(row[1]) for row in expired), *dead))
    free = [run_id for run_id in run_ids if run_id not in working_on]
    revive(group, free)
    claims = (_next_attempt(group, run_id, ownership, was_dead=run_id in dead) for run_id in free)
    return tuple(claim for claim in claims if claim is not None)


def _next_attempt(group: Group, run_id: RunId, ownership: Ownership, *, was_dead: bool) -> Claim | None:
    run = current(group, run_id)
    row = group.session.fetch(RUN, {"the_run": run_id})[0]
    # Of the dead ones some are queued: they have no lease that anyone could lose.
    if run_of(row).state is not RunState.RUNNING:
        return None
    values = {"owner": ownership.owner, "attempt": run.attempt + 1, "lease_expires_at": to_micros(ownership.until)}
    idle_attempts = row[_IDLE_ATTEMPTS] + (not was_dead) if row[_TAKEN_OVER_AT] == run.last else 0
    values |= {"taken_over_at": run.last, "idle_attempts": idle_attempts}
    group.session.execute(LEASE_RUN, values | {"the_run": run_id})
    run.owner, run.attempt = ownership.owner, run.attempt + 1
    row = group.session.fetch(RUN, {"the_run": run_id})[0]
    lease = Lease(run_id=run_id, owner=ownership.owner, attempt=run.attempt)
    return claim_of(row, run.last, lease, settled_batch(group.session, run_of(row)))


def _start_next(
    group: Group, conversation_id: ConversationId, ownership: Ownership, now: datetime, time_ns: int
) -> Claim | None:
    others = group.session.fetch(OPEN_RUNS_OF_CONVERSATION, {"the_conversation": conversation_id})
    if not others or others[0][1] == RunState.RUNNING.value:
        return None
    run_id, _, rank = others[0]
    batch = batch_in(group.session, conversation_id)
    if batch and rank:
        return None
    row = group.session.fetch(RUN, {"the_run": run_id})[0]
    run = replace(run_of(row), state=RunState.RUNNING, start_time=now)
    times = {"start_time": to_micros(now), "lease_expires_at": to_micros(ownership.until)}
    group.session.execute(START_RUN, {"the_run": run_id, "state": run.state.value, "owner": ownership.owner} | times)
    denied = denial(batch, SUPERSEDED, run) if batch else None
    if batch and denied:
        settle_batch(group.session, batch, run)
        group.session.execute(ADD_MESSAGE, message_values(denied, conversation_id))
    store_messages(group.session, conversation_id, input_messages(run, spec_of(row)))
    open_run = current(group, run_id)
    frames = group.encode(open_run, [RunStarted(run), *(denial_events(denied) if denied else ())], time_ns)
    open_run.owner = ownership.owner
    group.add(open_run, frames)
    if any(each_rank == 0 for _, _, each_rank in others[1:]):
        # Another start interrupts this one, too, which had not begun when it came.
        mark_cancelled(group, run_id)
    row = group.session.fetch(RUN, {"the_run": run_id})[0]
    return claim_of(row, open_run.last, Lease(run_id=run_id, owner=ownership.owner, attempt=run.attempt))


def _expire(group: Group, conversation_ids: Sequence[ConversationId], now: datetime, time_ns: int) -> None:
    # An answer, or a deletion, may have come since the conversations were found.
    batches = [batch_in(group.session, conversation_id) for conversation_id in conversation_ids]
    denials = [deny_batch(group.session, batch, UNANSWERED, now) for batch in batches if batch and batch.is_expired(now)]
    for stored in denials:
        add_ended_run(group, stored, time_ns)


def _renew(group: Group, leases: Sequence[Lease], until: datetime) -> tuple[Lease, ...]:
    lost, renewed = [], 0
    for lease in leases:
        run = group.state.runs.get(lease.run_id)
        if run is None or run.ended:
            if not _is_over(group, lease):
                lost.append(lease)
        elif run.dead or (run.owner, run.attempt) != (lease.owner, lease.attempt):
            lost.append(lease)
        else:
            values = {"the_run": lease.run_id, "the_attempt": lease.attempt, "lease_expires_at": to_micros(until)}
            renewed += group.session.execute(RENEW_LEASE, values)
    if not renewed:
        group.session.execute(WRITE_NOTHING_NEW, {})
    return tuple(lost)


def _is_over(group: Group, lease: Lease) -> bool:
    """Say whether a run that has ended was ended under this lease. One that is gone had ended, or it could not be removed."""
    row = group.session.first(RUN, {"the_run": lease.run_id})
    if row is None:
        return True
    run = run_of(row)
    return run.state.is_final and run.attempt == lease.attempt
