"""The open database: what it is made of, how it starts and how it ends."""

import asyncio
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
from letta_grpc.adapters.sql.sqlite.long_changes import LongChanges
from letta_grpc.adapters.sql.sqlite.readers import Readers
from letta_grpc.adapters.sql.sqlite.recovery import read_open_runs
from letta_grpc.adapters.sql.sqlite.session import SqliteSession
from letta_grpc.adapters.sql.sqlite.writer import Outcome, Writer
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec

T = TypeVar("T")

DEFAULT_LEASE_TIME = timedelta(seconds=30)


class SqliteDatabase:
    """The Database of the stores, with the journal, the log and the leases."""

    def __init__(self, file: "_File", clock: Clock, *, lease_time: timedelta = DEFAULT_LEASE_TIME) -> None:
        self._live = LiveRuns()
        for run in file.state.runs.values():
            self._live.load(snapshot_of(run))
        self._readers = file.readers
        self._writer = Writer(file.state, self._committed, file.checkpointer.committed)
        self._long_changes = LongChanges(self._writer)
        for removal in file.removals:
            self._long_changes.go_on_with(removal.go_on)
        owner = file.state.owner
        self.journal = SqliteJournal(self._writer, self._long_changes, clock, owner=owner, lease_time=lease_time)
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

    async def write_in_steps(self, step: Step, *, otherwise: Step | None = None) -> None:
        """Run `step` and those that follow, each in a transaction of its own."""
        await self._long_changes.begin(lambda group: step(group.core), otherwise=otherwise)

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
        self._long_changes.close()
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
        try:
            yield database
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(file.closing.close)
