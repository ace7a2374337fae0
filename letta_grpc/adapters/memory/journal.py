"""The journal in memory."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from letta_grpc.adapters.memory.changes import (
    check_changes,
    claim_of,
    holds,
    lease_of,
    start_run,
    store_changes,
    store_events,
)
from letta_grpc.adapters.memory.claiming import Admitted, admit_start, interrupts_wait
from letta_grpc.adapters.memory.forking import store_fork
from letta_grpc.adapters.memory.state import MemoryState, StoredRun
from letta_grpc.adapters.memory.waiting import close_batch, deny_batch, runs_that_answered, store_answers
from letta_grpc.domain.errors import CancelRequested, LeaseLost, RequestIdReused
from letta_grpc.domain.events import RunEvent, RunFinished, ToolExecutionStarted
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import ConflictPolicy, RunState, finished_before_start
from letta_grpc.domain.waiting import CANCELLED, was_interrupted_by
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Admit, Begin, Change, Claim, Lease, Start
from letta_grpc.ports.stores import AgentContext

T = TypeVar("T")


class MemoryJournal:
    """Stores at once, on the event loop: what the durable journals do in a transaction has no await in it here."""

    def __init__(self, state: MemoryState, clock: Clock, codec: EventCodec, *, owner: str, lease_time: timedelta) -> None:
        self._state = state
        self._clock = clock
        self._codec = codec
        self._owner = owner
        self._lease_time = lease_time

    def claim(self, start: Start, admit: Admit, begin: Begin | None = None) -> asyncio.Future[Claim]:
        """Start a run, or find the one that this request id has started."""

        def work() -> Claim:
            claim = self._claim(start, admit)
            if claim.lease and begin:
                asyncio.get_running_loop().call_soon(begin, claim)
            return claim

        return _outcome(work)

    def _claim(self, start: Start, admit: Admit) -> Claim:
        known = self._state.run_of_request.get(start.request_id)
        if known is not None:
            return _same_payload(start, self._state.run(known))
        admitted = admit_start(self._state, start, admit, self._clock.now())
        if not isinstance(admitted, Admitted):
            return claim_of(self._state.run(admitted), created=False)
        run = admitted.run
        active = self._state.active_run(run.conversation_id)
        stored = StoredRun(run=run, spec=admitted.spec, fingerprint=start.fingerprint, traceparent=start.traceparent)
        self._state.runs.add(run.id, stored)
        self._state.run_of_request[start.request_id] = run.id
        if run.state is RunState.QUEUED:
            claim = claim_of(stored, created=True)
            if active is None or start.spec.conflict_policy is not ConflictPolicy.INTERRUPT:
                return claim
            active.cancel_requested = True
            return replace(claim, interrupts=active.run.id)
        return self._begin(start, admitted, stored)

    def _begin(self, start: Start, admitted: Admitted, stored: StoredRun) -> Claim:
        if admitted.batch and admitted.denied:
            close_batch(self._state, admitted.batch, stored.run)
        elif admitted.batch:
            store_answers(self._state, admitted.batch, stored)
        start_run(self._state, self._codec, stored, admitted.events, self._clock.time_ns(), denied=admitted.denied)
        if stored.run.state.is_final:
            return claim_of(stored, created=True)
        stored.owner, stored.lease_end = self._owner, self._clock.now() + self._lease_time
        messages = self._state.in_context(stored.run.conversation_id)
        return replace(
            claim_of(stored, created=True, lease=lease_of(stored)),
            first_step_id=None if stored.batch else start.first_step_id,
            context=AgentContext(agent=admitted.agent, conversation=admitted.conversation, messages=messages),
        )

    def append(self, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change] = ()) -> asyncio.Future[None]:
        """Store events, and the state that they and the changes mean."""
        return _outcome(lambda: self._append(lease, events, changes))

    def _append(self, lease: Lease, events: Sequence[RunEvent], changes: Sequence[Change]) -> None:
        stored = self._state.runs.find(lease.run_id)
        if stored is None or not holds(stored, lease):
            raise LeaseLost
        if stored.cancel_requested and any(isinstance(event, ToolExecutionStarted) for event in events):
            raise CancelRequested
        check_changes(self._state, changes)
        store_events(self._state, self._codec, stored, events, self._clock.time_ns())
        store_changes(self._state, stored, changes, self._clock.now())
        if stored.cancel_requested and stored.run.pending_actions:
            self._deny_unless_interrupts_wait(stored)

    def request_cancel(self, run_id: RunId) -> asyncio.Future[Claim]:
        """Store that the run is to end, and return it."""
        return _outcome(lambda: self._request_cancel(run_id))

    def _request_cancel(self, run_id: RunId) -> Claim:
        stored = self._state.run(run_id)
        if not stored.run.state.is_final:
            stored.cancel_requested = True
        if stored.run.state is RunState.QUEUED:
            finished = RunFinished(finished_before_start(stored.run, self._clock.now()))
            store_events(self._state, self._codec, stored, [finished], self._clock.time_ns())
            if stored.spec.conflict_policy is ConflictPolicy.INTERRUPT:
                self._deny_unless_interrupts_wait(stored)
        elif (batch := self._state.batches.get(stored.run.conversation_id)) and was_interrupted_by(
            batch, stored.run, runs_that_answered(self._state, batch, stored.run.conversation_id)
        ):
            self._deny_what_waits(stored)
        return claim_of(stored, created=False)

    def _deny_unless_interrupts_wait(self, stored: StoredRun) -> None:
        # A queued start that interrupts what waits denies it itself.
        if not interrupts_wait(self._state, stored.run.conversation_id):
            self._deny_what_waits(stored)

    def _deny_what_waits(self, stored: StoredRun) -> None:
        if batch := self._state.batches.get(stored.run.conversation_id):
            now, time_ns = self._clock.now(), self._clock.time_ns()
            deny_batch(self._state, self._codec, batch, CANCELLED, time=now, time_ns=time_ns)

    def fork(self, fork: Fork) -> asyncio.Future[None]:
        """Store a conversation with its messages and context, and the run that they belong to."""
        return _outcome(lambda: store_fork(self._state, self._codec, fork, self._clock.time_ns()))


def _outcome(work: Callable[[], T]) -> asyncio.Future[T]:
    """Do the work now; return a future of what it gave or raised, which completes in the loop's next turn."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
        outcome.set_exception(error)
        # Looked at here: asyncio would otherwise complain about one that nobody waits for.
        outcome.exception()
    else:
        loop.call_soon(_complete, outcome, result)
    return outcome


def _complete(outcome: asyncio.Future[T], result: T) -> None:
    # The waiting task may have been cancelled meanwhile, and its future with it; what it asked for is stored all the same.
    if not outcome.done():
        outcome.set_result(result)


def _same_payload(start: Start, stored: StoredRun) -> Claim:
    if stored.fingerprint != start.fingerprint:
        raise RequestIdReused(request_id=start.request_id, run_id=stored.run.id)
    return claim_of(stored, created=False)
