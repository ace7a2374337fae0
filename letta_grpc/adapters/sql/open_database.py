"""The open database: what it is made of, how it starts and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.adapters.sql.database import Step
from letta_grpc.adapters.sql.journal.group import Group, State, snapshot_of
from letta_grpc.adapters.sql.journal.jobs import call
from letta_grpc.adapters.sql.journal.journal import SqlJournal
from letta_grpc.adapters.sql.journal.leases import SqlLeases
from letta_grpc.adapters.sql.journal.live import LiveRuns
from letta_grpc.adapters.sql.journal.log import SqlEventLog
from letta_grpc.adapters.sql.journal.long_changes import LongChanges
from letta_grpc.adapters.sql.journal.readers import Readers
from letta_grpc.adapters.sql.journal.recovery import read_open_runs
from letta_grpc.adapters.sql.journal.writer import Outcome, Writer
from letta_grpc.adapters.sql.removing import Removal, unfinished
from letta_grpc.domain.ids import RunId
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.codec import EventCodec

T = TypeVar("T")

DEFAULT_LEASE_TIME = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is open, as blocking code opens and closes it. `committed` is called on the writer's thread behind each commit."""

    state: State
    readers: Readers
    removals: list[Removal]
    committed: Callable[[], None]
    closing: ExitStack


def read_parts(
    writer: DatabaseConnection, readers: Readers, codec: EventCodec, committed: Callable[[], None], stack: ExitStack
) -> Parts:
    """Return what connections to a database of the newest schema open, with all that it has of open runs."""
    state = State(connection=writer, codec=codec, owner=uuid4().hex)
    read_open_runs(state)
    removals = unfinished(writer.core)
    return Parts(state=state, readers=readers, removals=removals, committed=committed, closing=stack.pop_all())


class OpenDatabase:
    """The Database of the stores, with the journal, the log and the leases."""

    def __init__(self, parts: Parts, clock: Clock, *, lease_time: timedelta = DEFAULT_LEASE_TIME) -> None:
        # Set once another server may have the database: nothing can be written here any more.
        self.lost = asyncio.Event()
        self._live = LiveRuns()
        for run in parts.state.runs.values():
            self._live.load(snapshot_of(run))
        self._readers = parts.readers
        self._writer = Writer(parts.state, self._committed, parts.committed)
        self._long_changes = LongChanges(self._writer)
        for removal in parts.removals:
            self._long_changes.go_on_with(removal.go_on)
        owner = parts.state.owner
        self.journal = SqlJournal(self._writer, self._long_changes, clock, owner=owner, lease_time=lease_time)
        self.leases = SqlLeases(self._writer, self._readers, clock, owner=owner, lease_time=lease_time)
        self.log = SqlEventLog(self._live, self._readers, self._writer)

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
        if outcome.is_lost:
            self.lost.set()

    async def close(self) -> None:
        """Commit what waits; calls that come later raise StoreUnavailable."""
        self._long_changes.close()
        await self._writer.close()


@asynccontextmanager
async def opened(open_parts: Callable[[], Parts], clock: Clock, lease_time: timedelta) -> AsyncIterator[OpenDatabase]:
    """Open a database, and close it on leaving. Raises what `open_parts` does, on a thread of its own."""
    parts = await asyncio.to_thread(open_parts)
    try:
        database = OpenDatabase(parts, clock, lease_time=lease_time)
        try:
            yield database
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(parts.closing.close)
