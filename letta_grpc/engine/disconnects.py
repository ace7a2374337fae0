"""Cancelling runs that nobody reads, if their spec asks for it: each once it has had no reader for its grace time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import DisconnectPolicy, Run, RunSpec
from letta_grpc.engine.readers import Readers
from letta_grpc.ports.clock import Clock

logger = logging.getLogger(__name__)

# Whoever starts a run comes to read it a moment after it has begun: even a grace of 0 s is not over before that.
_FIRST_READER_SECONDS = 5.0
# Whoever read a run whose server died did not leave it, and tries to come back; our clients wait up to 10 s between two tries.
_RETURN_SECONDS = 15.0


class Disconnects:
    """Watches the runs that this server works on or has queued. Each wait for a reader is a task of the given group."""

    def __init__(
        self, *, group: asyncio.TaskGroup, readers: Readers, clock: Clock, cancel: Callable[[RunId], Awaitable[Run]]
    ) -> None:
        self._group = group
        self._readers = readers
        self._clock = clock
        self._cancel = cancel
        self._seconds: dict[RunId, float] = {}
        self._tasks: dict[RunId, asyncio.Task[None]] = {}
        readers.on_first, readers.on_none = self._reader_came, self._readers_gone

    def watch(self, run_id: RunId, spec: RunSpec, *, attempt: int) -> None:
        """Watch a run from now on, if its spec asks for it and it is not watched already, since it was queued."""
        if spec.disconnect_policy is DisconnectPolicy.CANCEL and run_id not in self._seconds:
            self._seconds[run_id] = seconds = spec.disconnect_grace.total_seconds()
            if not self._readers.count(run_id):
                self._await_reader(run_id, max(seconds, _FIRST_READER_SECONDS if attempt == 1 else _RETURN_SECONDS))

    def ended(self, run_id: RunId) -> None:
        """Stop watching a run."""
        self._seconds.pop(run_id, None)
        self._reader_came(run_id)

    def close(self) -> None:
        """Stop watching all runs."""
        self._seconds.clear()
        for task in self._tasks.values():
            task.cancel()

    def _reader_came(self, run_id: RunId) -> None:
        if task := self._tasks.pop(run_id, None):
            task.cancel()

    def _readers_gone(self, run_id: RunId) -> None:
        if (seconds := self._seconds.get(run_id)) is not None:
            self._await_reader(run_id, seconds)

    def _await_reader(self, run_id: RunId, seconds: float) -> None:
        self._tasks[run_id] = self._group.create_task(self._cancel_after(run_id, seconds), name=f"grace {run_id}")

    async def _cancel_after(self, run_id: RunId, seconds: float) -> None:
        await self._clock.sleep(seconds)
        logger.info("run is cancelled: nobody reads it", extra={"run_id": run_id})
        try:
            await self._cancel(run_id)
        except Exception:
            logger.exception("run could not be cancelled", extra={"run_id": run_id})
