"""The tasks of runs.

Rule: run tasks are made here and nowhere else, all in one TaskGroup; each belongs to a run that this server has the lease of.
A run outlives the call that began it, and a server that stops leaves its runs open: the next one takes them over. While it
drains it begins with nothing that can wait for the next one: its stop would cut that, and a model was asked for nothing.
"""

import asyncio
import logging
from datetime import timedelta
from types import TracebackType
from typing import Self

from letta_grpc.domain.errors import ApprovalExpired, ApprovalPending
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import Run, RunSpec, RunState
from letta_grpc.engine.attempts import Attempt, Attempts
from letta_grpc.engine.callbacks import Callbacks
from letta_grpc.engine.children import Children
from letta_grpc.engine.disconnects import Disconnects
from letta_grpc.engine.ends import RunEnd
from letta_grpc.engine.loop import AgentLoop
from letta_grpc.engine.queues import Queues
from letta_grpc.engine.readers import Readers
from letta_grpc.engine.record import RunRecord
from letta_grpc.engine.sleeptime import SleeptimeWork, is_counted
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Admit, Claim, Journal, Lease, Leases, Start
from letta_grpc.ports.log import EventLog
from letta_grpc.ports.tracing import Tracing

logger = logging.getLogger(__name__)


class Supervisor:
    """Owns every run that this server works on. To be entered once; leaving it ends all tasks and leaves their runs open."""

    def __init__(
        self,
        *,
        loop: AgentLoop,
        children: Children,
        sleeptime: SleeptimeWork,
        callbacks: Callbacks,
        journal: Journal,
        leases: Leases,
        log: EventLog,
        codec: EventCodec,
        readers: Readers,
        clock: Clock,
        tracing: Tracing,
        lease_seconds: float = 30.0,
        event_retention: timedelta = timedelta(hours=24),
    ) -> None:
        children.claim, children.cancel = self._claim, self.cancel
        self._sleeptime = sleeptime
        self._callbacks = callbacks
        self._journal = journal
        self._leases = leases
        self._log = log
        self._readers = readers
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._event_retention = event_retention
        self._group = asyncio.TaskGroup()
        self._runs: dict[RunId, Attempt] = {}
        self._attempts = Attempts(
            group=self._group,
            loop=loop,
            children=children,
            journal=journal,
            log=log,
            codec=codec,
            clock=clock,
            tracing=tracing,
            look_after=self._look_after,
        )
        self._disconnects = Disconnects(group=self._group, readers=readers, clock=clock, cancel=self.cancel)
        self._queues = Queues(group=self._group, leases=leases, readers=readers, begin=self._granted)
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Take over what earlier servers left open, deny what has waited too long, and begin to keep the leases."""
        await self._group.__aenter__()
        try:
            await self._pick_up()
        except asyncio.CancelledError:
            await self.__aexit__(None, None, None)
            raise
        self._callbacks.wake()
        self._keepers = [
            self._group.create_task(self._sleeptime.start_all(self.start), name="sleeptime"),
            self._group.create_task(self._callbacks.work(), name="callbacks"),
            self._group.create_task(self._keep_house(), name="housekeeper"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all tasks. Open runs stay open, for the next server."""
        self._stopping = True
        self._disconnects.close()
        self._queues.close()
        for keeper in self._keepers:
            keeper.cancel()
        for attempt in self._runs.values():
            attempt.leave()
        # A group wraps whatever error passes through it, cancellation alone excepted; this one is not about its tasks.
        passing = (kind, error, trace) if isinstance(error, asyncio.CancelledError) else (None, None, None)
        await self._group.__aexit__(*passing)

    @property
    def active(self) -> int:
        """How many runs are being worked on."""
        return len(self._runs)

    async def idle(self) -> None:
        """Return once no run is being worked on."""
        while self._runs:
            await asyncio.wait([attempt.task for attempt in self._runs.values()])

    async def start(self, start: Start, admit: Admit) -> Run:
        """Claim a run and begin to work on it, both or neither, also if the caller is cancelled meanwhile."""
        try:
            return (await asyncio.shield(self._claim(start, admit))).run
        except (ApprovalExpired, ApprovalPending) as error:
            # What nobody may answer any more is not to stand in the way of this start, or of the caller's next.
            if not await self._expire_calls() or isinstance(error, ApprovalExpired):
                raise
        return (await asyncio.shield(self._claim(start, admit))).run

    def _claim(self, start: Start, admit: Admit) -> asyncio.Future[Claim]:
        claimed = self._journal.claim(start, admit, self._granted)
        claimed.add_done_callback(lambda claimed: self._claimed(start.run_id, claimed))
        return claimed

    def _granted(self, claim: Claim) -> None:
        # The model is asked while the claim is being stored: until that has happened nobody sees anything of the run.
        if claim.lease and not self._stopping:
            self._begin(claim, claim.lease)

    def _claimed(self, run_id: RunId, claimed: asyncio.Future[Claim]) -> None:
        if claimed.cancelled() or claimed.exception():
            self._drop(run_id)
            return
        claim = claimed.result()
        if claim.run.state is RunState.INTERRUPTED:
            # An answer that leaves calls open is over at once.
            self._call_back(claim.spec)
        if not self._stopping and claim.created and claim.run.state is RunState.QUEUED:
            self._queues.add(claim.run.conversation_id)
            self._disconnects.watch(run_id, claim.spec, attempt=claim.run.attempt)
            if claim.interrupts:
                self._stop(claim.interrupts)
            # The run that it waits for may have ended meanwhile.
            self._queues.go_on(claim.run.conversation_id)

    async def cancel(self, run_id: RunId) -> Run:
        """Store that a run is to end, and end its task. Returns the run as it is."""
        stored = self._journal.request_cancel(run_id)
        stored.add_done_callback(self._cancelled)
        return (await asyncio.shield(stored)).run

    def _cancelled(self, stored: asyncio.Future[Claim]) -> None:
        if stored.cancelled() or stored.exception() or self._stopping:
            return
        run = stored.result().run
        self._stop(run.id)
        if run.id not in self._runs:
            # It ended in the queue, or had ended before.
            self._disconnects.ended(run.id)
        self._call_back(stored.result().spec)
        if run.state is RunState.INTERRUPTED:
            # Its calls wait no longer: what is queued behind them may start.
            self._queues.go_on(run.conversation_id)

    def _drop(self, run_id: RunId) -> None:
        """End the task of a run that was granted and could not be stored: there is nothing to write the end of."""
        if attempt := self._runs.pop(run_id, None):
            attempt.leave()

    def _stop(self, run_id: RunId) -> None:
        if attempt := self._runs.get(run_id):
            # Not at once: a task that is cancelled before its first step never gets to write the end of its run.
            asyncio.get_running_loop().call_soon(attempt.task.cancel)

    def _begin(self, claim: Claim, lease: Lease) -> None:
        run = claim.run
        self._runs[run.id] = attempt = Attempt(claim.spec, lease)
        attempt.task = self._group.create_task(self._attempts.make(attempt, claim), name=run.id)
        # Not a `finally` of the task: one that is cancelled before its first step never gets there.
        attempt.task.add_done_callback(lambda task: self._ended(run, task))
        self._queues.begun(run)
        self._disconnects.watch(run.id, claim.spec, attempt=lease.attempt)

    def _look_after(self, record: RunRecord, end: RunEnd) -> None:
        """Start the background work that may be due after a turn, in a task of its own."""
        run = record.run
        is_due = record.has_sleeptime and end.state is RunState.COMPLETED and is_counted(run)
        if is_due and not self._readers.is_draining and not self._stopping:
            self._group.create_task(self._sleeptime.start_due(run.agent_id, self.start), name=f"sleeptime of {run.agent_id}")

    def _call_back(self, spec: RunSpec) -> None:
        if spec.callback_url:
            self._callbacks.wake()

    def _ended(self, run: Run, task: asyncio.Task[bool]) -> None:
        if attempt := self._runs.pop(run.id, None):
            self._call_back(attempt.spec)
        self._disconnects.ended(run.id)
        waits_for_answers = not task.cancelled() and not task.exception() and task.result()
        self._queues.ended(run, waits_for_answers=waits_for_answers)

    async def _keep_house(self) -> None:
        """Renew leases, pick up what is left, drop expired events."""
        while True:
            await self._clock.sleep(self._lease_seconds / 3)
            try:
                await self._renew()
                await self._pick_up()
                await self._log.trim(self._clock.now() - self._event_retention)
                self._callbacks.wake()
            except Exception:
                # Whatever it is: a group that one task breaks ends all, and the runs would be stored as cancelled.
                logger.exception("housekeeping failed and is tried again")

    async def _pick_up(self) -> None:
        """Take over what others lost, start what waits, deny what has waited too long. What fails is tried again."""
        try:
            if not self._readers.is_draining:
                await self._take_over()
            await self._expire_calls()
        except Exception:
            logger.exception("what is left or waits could not be picked up, and is looked for again")

    async def _renew(self) -> None:
        leases = [attempt.lease for attempt in self._runs.values()]
        for lease in await self._leases.renew(leases, self._clock.now() + timedelta(seconds=self._lease_seconds)):
            if attempt := self._runs.get(lease.run_id):
                logger.warning("run was taken over by another server", extra={"run_id": lease.run_id})
                attempt.leave()

    async def _take_over(self) -> None:
        for claim in await self._leases.take_over(self._clock.now(), frozenset(self._runs)):
            if claim.lease and claim.run.id not in self._runs:
                logger.info("run is taken over", extra={"run_id": claim.run.id, "attempt": claim.lease.attempt})
                # What others have queued behind it this server does not know.
                self._queues.add(claim.run.conversation_id)
                self._begin(claim, claim.lease)
        for conversation_id in await self._leases.waiting_conversations():
            self._queues.add(conversation_id)
            await self._queues.start_next(conversation_id)

    async def _expire_calls(self) -> bool:
        """Deny the calls that have waited too long, and go on with what is queued behind them; say whether there were any."""
        expired = await self._leases.expire_calls(self._clock.now())
        for conversation_id in expired:
            await self._queues.start_next(conversation_id)
        return bool(expired)
