"""Reading, on threads of their own: the loop never waits for the disk."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from letta_grpc.adapters.sql.sqlite.connections import connect_reader, core_connection
from letta_grpc.adapters.sql.sqlite.session import SqliteSession
from letta_grpc.domain.errors import StoreUnavailable

T = TypeVar("T")
logger = logging.getLogger(__name__)

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Reader:
    """One connection, used by one thread at a time."""

    driver: sqlite3.Connection
    session: SqliteSession
    core: Connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all statements see the same commit."""
        self.driver.execute("BEGIN")
        try:
            yield
        finally:
            self.driver.execute("ROLLBACK")


class Readers:
    """A few threads and as many connections."""

    def __init__(self, path: Path) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sqlite-reader")
        self._is_closed = False
        self._idle: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(_THREADS):
            driver = connect_reader(path)
            self._idle.put(Reader(driver, SqliteSession(driver), core_connection(driver)))

    async def run(self, query: Callable[[Reader], T]) -> T:
        """Run a query on one consistent state. What the driver raises becomes StoreUnavailable; so does a closed database."""
        if self._is_closed:
            raise StoreUnavailable
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    def _run(self, query: Callable[[Reader], T]) -> T:
        reader = self._idle.get()
        try:
            with reader.snapshot():
                return query(reader)
        except (sqlite3.Error, DBAPIError) as error:
            logger.exception("a read failed")
            raise StoreUnavailable from error
        finally:
            self._idle.put(reader)

    def close(self) -> None:
        """Let running queries end and close the connections."""
        self._is_closed = True
        self._threads.shutdown()
        for _ in range(_THREADS):
            reader = self._idle.get()
            reader.core.close()
            reader.driver.close()
