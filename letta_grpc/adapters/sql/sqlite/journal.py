"""The journal on SQLite."""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from letta_grpc.adapters.sql.changes import store_meaning
from letta_grpc.adapters.sql.claiming import Ownership, StoredStart, claim_of, find_start, store_start
from letta_grpc.adapters.sql.queries import REQUEST_CANCEL, RUN
from letta_grpc.adapters.sql.rows import run_of
from letta_grpc.adapters.sql.sqlite.group import Group
from letta_grpc.adapters.sql.sqlite.jobs import Append, Checked, call
from letta_grpc.adapters.sql.sqlite.open_runs import OpenRun
from letta_grpc.adapters.sql.sqlite.recovery import current
from letta_grpc.adapters.sql.sqlite.writer import Writer
from letta_grpc.domain.errors import RunNotFound
from letta_grpc.domain.events import RunEvent, RunFinished
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import Run, RunState, StopReason
from letta_grpc.domain.usage import Timing
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Admit, Change, Claim, Lease, Start


class SqliteJournal:
    """Every call is one job of the writer thread; jobs that wait together are committed together."""

    def __init__(self, writer: Writer, clock: Clock, *, owner: str, lease_time: timedelta) -> None:
        self._writer = writer
        self._clock = clock
        self._owner = owner
        self._lease_time = lease_time

    def claim(self, start: Start, admit: Admit) -> Future[Claim]:
        """Start a run, or find the one that this request id has started."""
        ownership = Ownership(owner=self._owner, until=self._clock.now() + self._lease_time)
        time_ns = self._clock.time_ns()
        future: Future[Claim] = asyncio.get_running_loop().create_future()
        self._writer.submit(Checked(future, lambda group: _claim(group, start, admit, ownership, time_ns)))
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


def _claim(group: Group, start: Start, admit: Admit, ownership: Ownership, time_ns: int) -> Claim:
    known = find_start(group.session, start) if start.is_repeatable else None
    if known is not None:
        run = group.state.runs.get(RunId(known[1]))
        return claim_of(known, None if run is None else run.last)
    stored = store_start(group.session, start, admit, ownership, group.agents)
    if stored.interrupts:
        _mark_cancelled(group, stored.interrupts)
    return _open(group, start, stored, ownership, time_ns)


def _open(group: Group, start: Start, stored: StoredStart, ownership: Ownership, time_ns: int) -> Claim:
    run = stored.run
    runs_now = run.state is RunState.RUNNING
    open_run = OpenRun(
        position=stored.position,
        run_id=run.id,
        conversation_id=run.conversation_id,
        owner=ownership.owner if runs_now else None,
        attempt=run.attempt,
    )
    frames = group.encode(open_run, start.opening(run), time_ns) if runs_now else []
    group.open(open_run)
    if frames:
        group.add(open_run, frames)
    return Claim(
        run=run,
        spec=start.spec,
        created=True,
        lease=Lease(run_id=run.id, owner=ownership.owner, attempt=run.attempt) if runs_now else None,
        interrupts=stored.interrupts,
        last_sequence_number=open_run.last,
        first_step_id=start.first_step_id if runs_now else None,
        context=stored.context,
        traceparent=start.traceparent,
    )


def _request_cancel(group: Group, run_id: RunId, now: datetime, time_ns: int) -> Claim:
    values = {"the_run": run_id}
    row = group.session.first(RUN, values)
    if row is None:
        raise RunNotFound(run_id=run_id)
    run = run_of(row)
    if run.state.is_final:
        return claim_of(row, None)
    if run.state is RunState.QUEUED:
        open_run = current(group, run_id)
        _end_in_queue(group, open_run, run, now, time_ns)
    else:
        open_run = _mark_cancelled(group, run_id)
    return claim_of(group.session.fetch(RUN, values)[0], open_run.last)


def _mark_cancelled(group: Group, run_id: RunId) -> OpenRun:
    """Store that a run at work is to end: from here on no tool starts in it."""
    group.session.execute(REQUEST_CANCEL, {"the_run": run_id})
    open_run = group.state.runs[run_id]
    group.touched.add(open_run)
    open_run.cancel_requested = True
    return open_run


def _end_in_queue(group: Group, open_run: OpenRun, run: Run, now: datetime, time_ns: int) -> None:
    timing = Timing(total=(now - run.create_time).total_seconds())
    ended = replace(run, state=RunState.CANCELLED, stop_reason=StopReason.CANCELLED, end_time=now, timing=timing)
    events = [RunFinished(ended)]
    frames = group.encode(open_run, events, time_ns)
    store_meaning(group.session, run.conversation_id, events, open_run.last + 1)
    open_run.ended = True
    group.add(open_run, frames)
