"""Attempts at runs: what a server does with a run that it has the lease of, from its claim to the end that it writes."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from letta_grpc.domain.errors import CancelRequested, LeaseLost, LettaError, RunLost, RunTimeout, StoreUnavailable
from letta_grpc.domain.runs import MAX_ATTEMPTS_WITHOUT_PROGRESS, RunSpec
from letta_grpc.engine.children import Children
from letta_grpc.engine.ends import CANCELLED, RunEnd, crashed, failed
from letta_grpc.engine.loop import AgentLoop
from letta_grpc.engine.progress import progress_of
from letta_grpc.engine.record import RunRecord
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Claim, Journal, Lease
from letta_grpc.ports.log import EventLog
from letta_grpc.ports.tracing import Span, Tracing

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempt:
    """A run that this server works on.

    If it `is_left`, its task is cancelled without writing an end: the run stays open for whoever takes it over, or was never
    stored.
    """

    spec: RunSpec
    lease: Lease
    task: asyncio.Task[bool] = field(init=False)
    is_left: bool = False

    def leave(self) -> None:
        """End the task, but not the run."""
        self.is_left = True
        self.task.cancel()


class Attempts:
    """Makes attempts at runs. `look_after` is called once the end of one is stored."""

    def __init__(
        self,
        *,
        group: asyncio.TaskGroup,
        loop: AgentLoop,
        children: Children,
        journal: Journal,
        log: EventLog,
        codec: EventCodec,
        clock: Clock,
        tracing: Tracing,
        look_after: Callable[[RunRecord, RunEnd], None],
    ) -> None:
        self._group = group
        self._loop = loop
        self._children = children
        self._journal = journal
        self._log = log
        self._codec = codec
        self._clock = clock
        self._tracing = tracing
        self._look_after = look_after

    async def make(self, attempt: Attempt, claim: Claim) -> bool:
        """Work on a run to its end; say whether calls of it wait for answers from then on."""
        run = claim.run
        try:
            record = await self._record(attempt, claim)
            # A run may wait for long: of what it began with it holds only what it still needs.
            del claim
            return await self._work(attempt, record)
        except LeaseLost:
            logger.warning("run was taken over by another server", extra={"run_id": run.id})
        except StoreUnavailable:
            logger.warning("run is left open: the store failed", extra={"run_id": run.id}, exc_info=True)
        except Exception:
            logger.exception("run is left open: its end could not be written", extra={"run_id": run.id})
        return False

    async def _record(self, attempt: Attempt, claim: Claim) -> RunRecord:
        while True:
            try:
                progress = await progress_of(claim, attempt.lease, self._log, self._codec)
                return RunRecord(claim, attempt.lease, progress, self._journal, self._clock)
            except asyncio.CancelledError:
                if attempt.is_left:
                    raise
                # Only who knows how far the run has come can write its end.
                claim = replace(claim, cancel_requested=True)

    async def _work(self, attempt: Attempt, record: RunRecord) -> bool:
        with self._tracing.run(record.run, record.traceparent) as span:
            end = await self._end_of(attempt, record, span)
            if end.error:
                span.fail(end.error.reason)
                # Callers are told, too; an operator sees here that a key has expired, or a provider is gone.
                told = {"run_id": record.run.id, "agent_id": record.run.agent_id, "reason": end.error.reason}
                logger.warning("run failed: %s", end.error.message, extra=told)
            if record.progress.open_calls:
                await self._end_children(attempt, record)
            await record.finish(end)
            self._look_after(record, end)
            span.used(record.progress.usage)
            return bool(end.pending_actions)

    async def _end_of(self, attempt: Attempt, record: RunRecord, span: Span) -> RunEnd:
        """Return the end that a run comes to. What goes wrong in it is an end too; what goes wrong with its lease is not."""
        if record.cancel_requested:
            return CANCELLED
        if record.progress.attempts_without_progress >= MAX_ATTEMPTS_WITHOUT_PROGRESS:
            return failed(RunLost(attempts=str(record.lease.attempt)))
        limit = asyncio.timeout(record.time_left().total_seconds())
        try:
            async with limit:
                return await self._loop.run(record, span)
        except asyncio.CancelledError:
            if attempt.is_left:
                raise
            end = CANCELLED
        except CancelRequested:
            end = CANCELLED
        except TimeoutError:
            end = failed(RunTimeout()) if limit.expired() else crashed()
        except (LeaseLost, StoreUnavailable):
            raise
        except LettaError as error:
            end = failed(error)
        except Exception:
            logger.exception("run crashed", extra={"run_id": record.run.id})
            end = crashed()
        return end

    async def _end_children(self, attempt: Attempt, record: RunRecord) -> None:
        """Ask the runs to end that this one's tools wait for, durably: each does the same for its own when it ends."""
        run_id = record.run.id
        ending = self._group.create_task(self._children.cancel_waited_for(run_id), name=f"children of {run_id}")
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                # To be cancelled once more changes nothing.
                if attempt.is_left:
                    raise
