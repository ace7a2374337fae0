"""The event log: the newest events from memory, all others from the database."""

from contextlib import closing
from datetime import datetime

from letta_grpc.adapters.sql.journal.group import Group
from letta_grpc.adapters.sql.journal.jobs import call
from letta_grpc.adapters.sql.journal.live import Chunk, LiveRuns, join, wait_for_more
from letta_grpc.adapters.sql.journal.readers import Readers
from letta_grpc.adapters.sql.journal.writer import Writer
from letta_grpc.adapters.sql.queries import DROP_SEGMENTS, KEPT_ENDED_RUNS, RUN_END, SEGMENTS_FROM, WRITE_NOTHING_NEW
from letta_grpc.adapters.sql.session import Session
from letta_grpc.adapters.sql.times import to_micros
from letta_grpc.domain.errors import CursorAhead, EventsExpired, RunNotFound
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import RunState
from letta_grpc.ports.log import LogPage

# Of how many runs the writer drops the events in one transaction: live runs wait behind it.
_RUNS_AT_ONCE = 50


class SqlEventLog:
    """Gives the stored events of any run."""

    def __init__(self, live: LiveRuns, readers: Readers, writer: Writer) -> None:
        self._live = live
        self._readers = readers
        self._writer = writer

    async def read(self, run_id: RunId, after: int, max_bytes: int) -> LogPage:
        """Return what is stored after a number, without waiting."""
        live = self._live.find(run_id)
        if live is not None:
            if after > live.last:
                # Where the database was lost unnoticed, another server may have gone on: this raises StoreUnavailable then.
                await call(self._writer, _write_nothing_new)
                raise CursorAhead(run_id=run_id, last=str(live.last))
            page = live.page(after, max_bytes)
            if page is not None:
                return page
        return await self._readers.run(lambda reader: read_stored(reader.session, run_id, after, max_bytes))

    async def wait(self, run_id: RunId, after: int) -> None:
        """Return once there is more after this number, or the run has ended."""
        live = self._live.find(run_id)
        if live is not None:
            await wait_for_more(live, after)
            return
        row = await self._readers.run(lambda reader: reader.session.first(RUN_END, {"the_run": run_id}))
        if row is None:
            raise RunNotFound(run_id=run_id)

    async def trim(self, ended_before: datetime) -> int:
        """Drop the events of runs that ended before this time; return of how many."""
        values = {"the_time": to_micros(ended_before)}
        rows = await self._readers.run(lambda reader: reader.session.fetch(KEPT_ENDED_RUNS, values))
        positions = [row[0] for row in rows]
        for start in range(0, len(positions), _RUNS_AT_ONCE):
            await self._drop(positions[start : start + _RUNS_AT_ONCE])
        return len(positions)

    async def _drop(self, positions: list[int]) -> None:
        await call(self._writer, lambda group: _drop_segments(group, positions))
        self._live.forget_ended()


def _write_nothing_new(group: Group) -> None:
    group.session.execute(WRITE_NOTHING_NEW, {})


def _drop_segments(group: Group, positions: list[int]) -> None:
    for position in positions:
        group.session.execute(DROP_SEGMENTS, {"the_run": position})


def read_stored(session: Session, run_id: RunId, after: int, max_bytes: int) -> LogPage:
    """Return what segments have after a number. An open run's last events may not be among them yet."""
    row = session.first(RUN_END, {"the_run": run_id})
    if row is None:
        raise RunNotFound(run_id=run_id)
    position, state, end = row
    ended = RunState(state).is_final
    if ended and after >= end:
        if after > end:
            raise CursorAhead(run_id=run_id, last=str(end))
        return LogPage(after + 1, after, b"", ended=True)
    with closing(session.each(SEGMENTS_FROM, {"the_run": position, "the_number": after + 1})) as segments:
        last, frames = join((Chunk(*segment) for segment in segments), after, max_bytes)
    if ended and last == after:
        raise EventsExpired(run_id=run_id, oldest=str(end + 1), last=str(end))
    return LogPage(after + 1, last, frames, ended and last == end)
