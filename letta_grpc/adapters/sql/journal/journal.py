"""The journal in a SQL database."""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from datetime import datetime, timedelta

from letta_grpc.adapters.sql.changes import store_meaning
from letta_grpc.adapters.sql.claiming import Admitted, Ownership, admit_start, claim_of, find_start, store_start
from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.denying import batch_in, deny_batch
from letta_grpc.adapters.sql.forking import Copying
from letta_grpc.adapters.sql.journal.ended_runs import add_ended_run
from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.jobs import Append, Checked, call, deny_what_waits, mark_cancelled
from letta_grpc.adapters.sql.journal.long_changes import LongChanges
from letta_grpc.adapters.sql.journal.open_runs import OpenRun
from letta_grpc.adapters.sql.journal.recovery import current
from letta_grpc.adapters.sql.journal.writer import Writer
from letta_grpc.adapters.sql.queries import RUN
from letta_grpc.adapters.sql.rows import Row, run_of, spec_of
from letta_grpc.adapters.sql.waiting import runs_that_answered
from letta_grpc.domain.errors import RunNotFound
from letta_grpc.domain.events import RunEvent, RunFinished
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import ConflictPolicy, Run, RunState, finished_before_start
from letta_grpc.domain.waiting import CANCELLED, was_interrupted_by
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Admit, Begin, Change, Claim, Lease, Start


class SqlJournal:
    """Every call is one job of the writer thread; jobs that wait together are committed together."""

    def __init__(self, writer: Writer, long_changes: LongChanges, clock: Clock, *, owner: str, lease_time: timedelta) -> None:
        self._writer = writer
        self._long_changes = long_changes
        self._clock = clock
        self._owner = owner
        self._lease_time = lease_time

    def claim(self, start: Start, admit: Admit, begin: Begin | None = None) -> Future[Claim]:
        """Start a run, or find the one that this request id has started."""
        now = self._clock.now()
        ownership = Ownership(owner=self._owner, until=now + self._lease_time)
        time_ns = self._clock.time_ns()
        loop = asyncio.get_running_loop()
        future: Future[Claim] = loop.create_future()

        def claim(group: Group) -> Claim:
            known = find_start(group.session, start) if start.is_repeatable else None
            if known is not None:
                return _found(group, known)
            admitted = admit_start(group.session, start, admit, group.agents, now)
            if not isinstance(admitted, Admitted):
                return _found(group, group.session.fetch(RUN, {"the_run": admitted})[0])
            claim = _new_claim(start, admitted, ownership)
            if claim.lease and begin:
                # The loop goes on with it while this thread is at the statements.
                loop.call_soon_threadsafe(begin, claim)
            _store(group, start, admitted, ownership if claim.lease else None, time_ns)
            return claim

        self._writer.submit(Checked(future, claim))
        return future

    def append(self, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> Future[None]:
        """Store events, and the state that they and the changes mean."""
        future: Future[None] = asyncio.get_running_loop().create_future()
        self._writer.submit(Append(future, lease, events, changes, self._clock.time_ns()))
        return future

    def request_cancel(self, run_id: RunId) -> Future[Claim]:
        """Store that the run is to end, and return it."""
        now, time_ns = self._clock.now(), self._clock.time_ns()
        return call(self._writer, lambda group: _request_cancel(group, run_id, now, time_ns))

    def fork(self, fork: Fork) -> Future[None]:
        """Store a conversation with its messages and context, and the run that they belong to."""
        copying, time_ns = Copying(fork), self._clock.time_ns()

        def begin(group: Group) -> Step | None:
            stored, following = copying.begin(group.core, group.session)
            add_ended_run(group, stored, time_ns)
            return following

        return self._long_changes.begin(begin, otherwise=copying.undo)


def _found(group: Group, row: Row) -> Claim:
    run = group.state.runs.get(RunId(row[1]))
    return claim_of(row, None if run is None else run.last)


def _new_claim(start: Start, admitted: Admitted, ownership: Ownership) -> Claim:
    run = admitted.run
    runs_now = run.state is RunState.RUNNING
    return Claim(
        run=run,
        spec=admitted.spec,
        created=True,
        lease=Lease(run_id=run.id, owner=ownership.owner, attempt=run.attempt) if runs_now else None,
        interrupts=admitted.interrupts,
        last_sequence_number=len(admitted.events),
        first_step_id=start.first_step_id if runs_now and not run.resumes_run_id else None,
        context=admitted.context,
        batch=admitted.batch if runs_now and not admitted.denied else None,
        traceparent=start.traceparent,
    )


def _store(group: Group, start: Start, admitted: Admitted, ownership: Ownership | None, time_ns: int) -> None:
    run = admitted.run
    open_run = OpenRun(
        position=store_start(group.session, start, admitted, ownership),
        run_id=run.id,
        conversation_id=run.conversation_id,
        owner=ownership.owner if ownership else None,
        attempt=run.attempt,
    )
    if admitted.interrupts:
        mark_cancelled(group, admitted.interrupts)
    frames = group.encode(open_run, admitted.events, time_ns)
    group.open(open_run)
    open_run.ended = run.state.is_final
    if frames:
        group.add(open_run, frames)


def _request_cancel(group: Group, run_id: RunId, now: datetime, time_ns: int) -> Claim:
    values = {"the_run": run_id}
    row = group.session.first(RUN, values)
    if row is None:
        raise RunNotFound(run_id=run_id)
    run = run_of(row)
    if run.state.is_final:
        batch = batch_in(group.session, run.conversation_id) if run.state is RunState.INTERRUPTED else None
        if batch and was_interrupted_by(batch, run, runs_that_answered(group.session, batch, run.conversation_id)):
            stored = deny_batch(group.session, batch, CANCELLED, now)
            row = group.session.fetch(RUN, values)[0]
            add_ended_run(group, stored, time_ns)
        return claim_of(row, None)
    if run.state is RunState.QUEUED:
        interrupts = spec_of(row).conflict_policy is ConflictPolicy.INTERRUPT
        return _end_in_queue(group, run, now, time_ns, interrupts=interrupts)
    open_run = mark_cancelled(group, run_id)
    return claim_of(group.session.fetch(RUN, values)[0], open_run.last)


def _end_in_queue(group: Group, run: Run, now: datetime, time_ns: int, *, interrupts: bool) -> Claim:
    open_run = current(group, run.id)
    events = [RunFinished(finished_before_start(run, now))]
    frames = group.encode(open_run, events, time_ns)
    store_meaning(group.session, run.conversation_id, events, open_run.last + 1)
    row = group.session.fetch(RUN, {"the_run": run.id})[0]
    # Statements are undone when one of them fails, and what the log is told is not: so that comes last.
    if interrupts:
        deny_what_waits(group, open_run, time_ns)
    open_run.ended = True
    group.add(open_run, frames)
    return claim_of(row, open_run.last)
