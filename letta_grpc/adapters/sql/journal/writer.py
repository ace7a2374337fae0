"""The thread that writes: what all tasks have waiting becomes one transaction."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from letta_grpc.adapters.sql.journal.group import Group, Published, Snapshot, State
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import RunId

logger = logging.getLogger(__name__)


class Job(Protocol):
    """Something to do in the next transaction, and who waits for it."""

    @property
    def future(self) -> "asyncio.Future[Any]":
        """What completes, on the loop, when the job is durable or has failed."""
        ...

    def run(self, group: Group) -> object:
        """Do it, on the writer's thread. Raising undoes this job alone."""
        ...


@dataclass(slots=True)
class Outcome:
    """What the loop is told of a commit."""

    published: list[Published] = field(default_factory=list)
    loaded: list[Snapshot] = field(default_factory=list)
    dead: list[RunId] = field(default_factory=list)
    used_core: bool = False
    results: list[tuple[Job, object]] = field(default_factory=list)
    errors: list[tuple[Job, Exception]] = field(default_factory=list)
    # Nothing can be committed any more.
    is_lost: bool = False


class Writer:
    """Takes jobs on the loop and commits them on a thread of its own, in the order in which they came.

    What waits while one commit is made is the next one: under load commits grow instead of queues.
    """

    def __init__(self, state: State, listen: Callable[[Outcome], None], committed: Callable[[], None]) -> None:
        self._state = state
        self._listen = listen
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._pending: list[Job] = []
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job into the next transaction."""
        if self._closed:
            _fail(job, StoreUnavailable())
            return
        # Once per turn of the loop: what several tasks append in it wakes the thread once.
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(job)

    def _flush(self) -> None:
        if self._pending:
            self._queue.put(self._pending)
            self._pending = []

    async def close(self) -> None:
        """Commit what waits and end the thread."""
        self._closed = True
        self._flush()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            is_last = not self._gather(jobs)
            if not self._tell(commit(self._state, jobs)):
                return
            self._committed()
            if is_last:
                return

    def _next(self) -> list[Job] | None:
        """Wait for jobs, and look now and then whether they could be done: whoever only reads would not find it out."""
        connection = self._state.connection
        while True:
            try:
                return self._queue.get(timeout=connection.look_seconds)
            except Empty:
                if connection.is_lost:
                    self._tell(Outcome(is_lost=True))
                    return self._queue.get()

    def _tell(self, outcome: Outcome) -> bool:
        """Give it to the loop; say whether that is still there."""
        try:
            self._loop.call_soon_threadsafe(self._deliver, outcome)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            return False
        return True

    def _gather(self, jobs: list[Job]) -> bool:
        """Add what else waits; return whether more may come."""
        try:
            while (more := self._queue.get_nowait()) is not None:
                jobs += more
        except Empty:
            return True
        return False

    def _deliver(self, outcome: Outcome) -> None:
        self._listen(outcome)
        for job, result in outcome.results:
            if not job.future.done():
                job.future.set_result(result)
        for job, error in outcome.errors:
            _fail(job, error)


def _fail(job: Job, error: Exception) -> None:
    if not job.future.done():
        job.future.set_exception(error)
        # Looked at here: asyncio would otherwise complain about an append that nobody awaits.
        job.future.exception()


def commit(state: State, jobs: list[Job]) -> Outcome:
    """Do the jobs in one transaction. If that fails all of them fail, with StoreUnavailable."""
    group, outcome = Group(state), Outcome()
    try:
        for job in jobs:
            try:
                outcome.results.append((job, job.run(group)))
            except Exception as error:
                if group.is_broken:
                    raise
                outcome.errors.append((job, _told(state, error)))
        outcome.published = group.write()
        group.settle()
    except Exception:
        logger.exception("a commit failed")
        group.fail()
        errors: list[tuple[Job, Exception]] = [(job, StoreUnavailable()) for job in jobs]
        return Outcome(dead=_dead(group), errors=errors, is_lost=state.connection.is_lost)
    outcome.loaded, outcome.dead, outcome.used_core = group.loaded, _dead(group), group.used_core
    # Also where the jobs alone have failed, before anything was begun.
    outcome.is_lost = state.connection.is_lost
    return outcome


def _dead(group: Group) -> list[RunId]:
    return [run.run_id for run in group.touched if run.dead]


def _told(state: State, error: Exception) -> Exception:
    """Return what a caller may be told."""
    if isinstance(error, state.connection.errors):
        logger.error("a statement failed", exc_info=error)
        return StoreUnavailable()
    return error
