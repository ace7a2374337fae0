"""The open database: what it is made of, how it starts and how it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.migrations import ensure_current
from letta_grpc.adapters.sql.removing import Removal, unfinished
from letta_grpc.adapters.sql.sqlite.checkpoints import Checkpointer
from letta_grpc.adapters.sql.sqlite.connections import Sync, clear_errors, connect_writer, core_connection, path_of
from letta_grpc.adapters.sql.sqlite.file_lock import FileLock
from letta_grpc.adapters.sql.sqlite.group import Group, State, snapshot_of
from letta_grpc.adapters.sql.sqlite.jobs import call
from letta_grpc.adapters.sql.sqlite.journal import SqliteJournal
from letta_grpc.adapters.sql.sqlite.leases import SqliteLeases
from letta_grpc.adapters.sql.sqlite.live import LiveRuns
from letta_grpc.adapters.sql.sqlite.log import SqliteEventLog
from letta_grpc.adapters.sql.sqlite.readers import Readers
from letta_grpc.adapters.sql.sqlite.recovery import read_open_runs
from letta_grpc.adapters.sql.sqlite.session import SqliteSession
from letta_grpc.adapters.sql.sqlite.writer import Outcome, Writer
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec

T = TypeVar("T")

DEFAULT_LEASE_TIME = timedelta(seconds=30)
# When a long change goes on that the store has failed amid it.
AGAIN_SECONDS = 10.0


class SqliteDatabase:
    """The Database of the stores, with the journal, the log and the leases."""

    def __init__(self, file: "_File", clock: Clock, *, lease_time: timedelta = DEFAULT_LEASE_TIME) -> None:
        self._live = LiveRuns()
        for run in file.state.runs.values():
            self._live.load(snapshot_of(run))
        self._readers = file.readers
        self._writer = Writer(file.state, self._committed, file.checkpointer.committed)
        self._following: deque[tuple[Step, asyncio.Future[None]]] = deque()
        self._goes_on = False
        self._is_closed = False
        owner = file.state.owner
        self.journal = SqliteJournal(self._writer, clock, owner=owner, lease_time=lease_time)
        self.leases = SqliteLeases(self._writer, self._readers, clock, owner=owner, lease_time=lease_time)
        self.log = SqliteEventLog(self._live, self._readers, self._writer)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on one consistent state of the database."""
        return await self._readers.run(lambda reader: query(reader.core))

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in the next transaction, undone if it raises."""

        def run(group: Group) -> T:
            return change(group.core)

        return await call(self._writer, run)

    async def write_in_steps(self, step: Step) -> None:
        """Run `step` and those that follow, each in a transaction of its own."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take(step, done, is_first=True)
        # The caller may leave; the steps may not end half-way.
        await asyncio.shield(done)

    def go_on_with(self, step: Step) -> None:
        """Run what follows on a step that was done before, if only by another server."""
        self._following.append((step, asyncio.get_running_loop().create_future()))
        self._go_on()

    def _take(self, step: Step, done: asyncio.Future[None], *, is_first: bool) -> asyncio.Future[Step | None]:
        def run(group: Group) -> Step | None:
            return step(group.core)

        def settle(taken: asyncio.Future[Step | None]) -> None:
            if (error := taken.exception()) is not None:
                done.set_exception(error)
                # Looked at here: asyncio would otherwise complain where the caller has left.
                done.exception()
                # What is begun is to be ended, and nobody could ask for it again: what is removed is not found any more.
                if not is_first and isinstance(error, StoreUnavailable) and not self._is_closed:
                    asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.go_on_with, step)
            elif (following := taken.result()) is not None:
                self._following.append((following, done))
                self._go_on()
            else:
                done.set_result(None)

        taken = call(self._writer, run)
        taken.add_done_callback(settle)
        return taken

    def _go_on(self) -> None:
        # One of all long changes at a time, each in its turn: everyone's events wait for the steps in their transaction.
        if not self._goes_on and self._following:
            self._goes_on = True
            self._take(*self._following.popleft(), is_first=False).add_done_callback(self._gone_on)

    def _gone_on(self, _: object) -> None:
        self._goes_on = False
        self._go_on()

    def last_sequence_number(self, run_id: RunId) -> int | None:
        """Return the number of an open run's newest event."""
        live = self._live.find_open(run_id)
        return None if live is None else live.last

    def _committed(self, outcome: Outcome) -> None:
        """Show a commit to the readers, on the loop, before those who wait for it go on."""
        for snapshot in outcome.loaded:
            self._live.load(snapshot)
        for published in outcome.published:
            self._live.publish(published)
        for run_id in outcome.dead:
            self._live.bury(run_id)
        if outcome.used_core:
            # A store may have deleted a run: what was deleted must not be read from memory.
            self._live.forget_ended()

    async def close(self) -> None:
        """Commit what waits; calls that come later raise StoreUnavailable."""
        self._is_closed = True
        await self._writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The open file, as blocking code opens and closes it."""

    state: State
    readers: Readers
    checkpointer: Checkpointer
    removals: list[Removal]
    closing: ExitStack


def _open_file(path: Path, codec: EventCodec, sync: Sync) -> _File:
    with ExitStack() as stack, clear_errors(path):
        stack.callback(FileLock(path).release)
        driver = connect_writer(path, sync)
        stack.callback(driver.close)
        core = core_connection(driver)
        stack.callback(core.close)
        ensure_current(core, path)
        state = State(driver=driver, session=SqliteSession(driver), core=core, codec=codec, owner=uuid4().hex)
        read_open_runs(state)
        # From here on only a checkpoint can keep the writer waiting, for a reader that is just looking at an old state.
        driver.execute("PRAGMA busy_timeout = 100")
        readers = Readers(path)
        stack.callback(readers.close)
        checkpointer = Checkpointer(path, sync, driver)
        stack.callback(checkpointer.close)
        return _File(
            state=state, readers=readers, checkpointer=checkpointer, removals=unfinished(core), closing=stack.pop_all()
        )
    raise AssertionError("unreachable")  # ExitStack may swallow an exception, as far as type checkers know.


@asynccontextmanager
async def open_sqlite(
    url: str, *, codec: EventCodec, clock: Clock, sync: Sync = "normal", lease_time: timedelta = DEFAULT_LEASE_TIME
) -> AsyncIterator[SqliteDatabase]:
    """Open the file of a `sqlite:///…` URL; make it if there is none, and bring an older one up to date.

    Raises DatabaseUnusableError, DatabaseInUseError. With `sync="full"` what is durable also survives a loss of power.
    """
    file = await asyncio.to_thread(_open_file, path_of(url), codec, sync)
    try:
        database = SqliteDatabase(file, clock, lease_time=lease_time)
        for removal in file.removals:
            database.go_on_with(removal.go_on)
        try:
            yield database
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(file.closing.close)
