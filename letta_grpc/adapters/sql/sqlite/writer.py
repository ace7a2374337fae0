"""The writer: what all tasks have waiting becomes one transaction, on the loop or on a thread.

A small commit of `sync="normal"` costs less than telling a thread of it: it goes into the page cache and waits for nothing. So
it is made on the loop, until one takes long. Then the disk is busy, and for a while the thread makes them all. What may take
long anyway (queries of the stores, `sync="full"`, copying the log) always goes to the thread. Only one of the two is ever at
work: the loop commits only while the thread has nothing.
"""

import asyncio
import logging
import math
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sqlalchemy.exc import DBAPIError

from letta_grpc.adapters.sql.sqlite.group import Group, Published, Snapshot, State
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import RunId

logger = logging.getLogger(__name__)

# A commit on the loop that takes longer than its jobs should has met a busy disk; for so long the loop then leaves them to
# the thread.
_SLOW_SECONDS = 0.01
_SLOW_SECONDS_A_JOB = 0.001
_PAUSE_SECONDS = 2.0


class Job(Protocol):
    """Something to do in the next transaction, and who waits for it."""

    @property
    def future(self) -> "asyncio.Future[Any]":
        """What completes, on the loop, when the job is durable or has failed."""
        ...

    @property
    def is_small(self) -> bool:
        """Whether it takes no longer than an append does."""
        ...

    def run(self, group: Group) -> object:
        """Do it, on the loop or on the writer's thread. Raising undoes this job alone."""
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


class Checkpoints(Protocol):
    """Copies the write-ahead log."""

    def are_due(self) -> bool:
        """Take note of a commit; say whether the log wants to be copied."""
        ...

    def make(self) -> None:
        """Copy it, or have it copied; may take long."""
        ...


class Writer:
    """Takes jobs on the loop and commits them in the order in which they came.

    What waits while one commit is made is the next one: under load commits grow instead of queues.
    """

    def __init__(
        self, state: State, listen: Callable[[Outcome], None], checkpoints: Checkpoints, *, on_loop: bool = True
    ) -> None:
        self._state = state
        self._listen = listen
        self._checkpoints = checkpoints
        self._loop = asyncio.get_running_loop()
        # From when on the loop may commit, by its clock.
        self._on_loop_from = 0.0 if on_loop else math.inf
        self._with_thread = 0
        self._pending: list[Job] = []
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
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
        jobs, self._pending = self._pending, []
        if not jobs:
            return
        if self._with_thread or self._loop.time() < self._on_loop_from or not all(job.is_small for job in jobs):
            self._hand_over(jobs)
        else:
            self._commit_here(jobs)

    def _hand_over(self, jobs: list[Job]) -> None:
        self._with_thread += 1
        self._queue.put(jobs)

    def _commit_here(self, jobs: list[Job]) -> None:
        begin = self._loop.time()
        outcome = commit(self._state, jobs)
        end = self._loop.time()
        if end - begin > _SLOW_SECONDS + _SLOW_SECONDS_A_JOB * len(jobs):
            self._on_loop_from = max(self._on_loop_from, end + _PAUSE_SECONDS)
        self._show(outcome)
        if self._checkpoints.are_due():
            self._hand_over([])

    async def close(self) -> None:
        """Commit what waits and end the thread."""
        self._flush()
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (jobs := self._queue.get()) is not None:
            lists, is_last = self._gather(jobs)
            outcome = commit(self._state, jobs)
            if self._checkpoints.are_due():
                self._checkpoints.make()
            try:
                self._loop.call_soon_threadsafe(self._deliver, outcome, lists)
            except RuntimeError:  # The loop is closed: nobody waits any more.
                return
            if is_last:
                return

    def _gather(self, jobs: list[Job]) -> tuple[int, bool]:
        """Add what else waits; return how many lists that makes, and whether they are the last."""
        lists = 1
        try:
            while (more := self._queue.get_nowait()) is not None:
                jobs += more
                lists += 1
        except Empty:
            return lists, False
        return lists, True

    def _deliver(self, outcome: Outcome, lists: int) -> None:
        self._with_thread -= lists
        self._show(outcome)

    def _show(self, outcome: Outcome) -> None:
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
                outcome.errors.append((job, _told(error)))
        outcome.published = group.write()
        group.settle()
    except Exception:
        logger.exception("a commit failed")
        group.fail()
        return Outcome(dead=_dead(group), errors=[(job, StoreUnavailable()) for job in jobs])
    outcome.loaded, outcome.dead, outcome.used_core = group.loaded, _dead(group), group.used_core
    return outcome


def _dead(group: Group) -> list[RunId]:
    return [run.run_id for run in group.touched if run.dead]


def _told(error: Exception) -> Exception:
    """Return what a caller may be told."""
    if isinstance(error, sqlite3.Error | DBAPIError):
        logger.error("a statement failed", exc_info=error)
        return StoreUnavailable()
    return error
