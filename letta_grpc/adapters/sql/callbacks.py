"""Who is still to be told of the ends of runs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, update

from letta_grpc.adapters.sql.database import Database
from letta_grpc.adapters.sql.rows import CALLBACK, run_of
from letta_grpc.adapters.sql.schema import callbacks, runs
from letta_grpc.adapters.sql.times import from_micros, to_micros
from letta_grpc.domain.callbacks import LONGEST_PAUSE, Callback
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.runs import FINAL_STATES, Run
from letta_grpc.ports.callbacks import DueCallback


class SqlCallbackStore:
    """Callbacks of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, now: datetime, until: datetime, limit: int) -> tuple[DueCallback, ...]:
        """Return the callbacks of ended runs that are due."""
        # Most often nothing is due: then nothing is written, and no run's commit waits.
        if not await self._database.read(lambda connection: _due(connection, now, 1)):
            return ()
        return await self._database.write(lambda connection: _take(connection, now, until, limit))

    async def next_time(self) -> datetime | None:
        """Return when the next callback of a run that has ended is due."""
        query = _ended(select(callbacks.c.next_time)).limit(1)
        micros = await self._database.read(lambda connection: connection.scalar(query))
        return None if micros is None else from_micros(micros)

    async def put(self, run_id: RunId, callback: Callback, next_time: datetime | None) -> None:
        """Keep what came of an attempt."""
        values = {"callback": CALLBACK.dump(callback), "next_time": next_time and to_micros(next_time)}
        change = update(callbacks).where(callbacks.c.run_id == run_id).values(values)
        await self._database.write(lambda connection: connection.execute(change))


def _take(connection: Connection, now: datetime, until: datetime, limit: int) -> tuple[DueCallback, ...]:
    due = _due(connection, now, limit)
    taken = callbacks.c.run_id.in_([each.run.id for each in due])
    connection.execute(update(callbacks).where(taken).values(next_time=to_micros(until)))
    return due


def _ended(query: Select[Any]) -> Select[Any]:
    """Narrow a query to the callbacks of ended runs that will be due, the longest due first."""
    return (
        query.join(runs, callbacks.c.run_id == runs.c.id)
        .where(callbacks.c.next_time.is_not(None))
        .where(runs.c.state.in_([state.value for state in FINAL_STATES]))
        .order_by(callbacks.c.next_time)
    )


def _due(connection: Connection, now: datetime, limit: int) -> tuple[DueCallback, ...]:
    time = callbacks.c.next_time
    # Two queries: of an OR SQLite makes a look at all that wait for their time.
    due = _those(connection, time <= to_micros(now), limit)
    return due or _those(connection, time > to_micros(now + LONGEST_PAUSE), limit)


def _those(connection: Connection, which: ColumnElement[bool], limit: int) -> tuple[DueCallback, ...]:
    query = _ended(select(callbacks.c.callback, runs.c.traceparent, runs)).where(which).limit(limit)
    return tuple(_due_of(*row) for row in connection.execute(query))


def _due_of(text: str, traceparent: str | None, *row: Any) -> DueCallback:  # noqa: ANN401 - a row of runs
    callback = CALLBACK.load(text)
    return DueCallback(replace(run_of(row), callback=callback), callback, traceparent)


def with_callbacks(connection: Connection, found: Sequence[Run]) -> tuple[Run, ...]:
    """Return runs, each with its callback."""
    query = select(callbacks.c.run_id, callbacks.c.callback).where(callbacks.c.run_id.in_([run.id for run in found]))
    stored = {run_id: CALLBACK.load(text) for run_id, text in connection.execute(query)}
    return tuple(replace(run, callback=stored[run.id]) if run.id in stored else run for run in found)
