"""Reading, on threads of their own: the loop never waits for the database."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

from letta_grpc.adapters.sql.connection import DatabaseConnection
from letta_grpc.domain.errors import StoreUnavailable

T = TypeVar("T")
logger = logging.getLogger(__name__)

_THREADS = 2


class Readers:
    """A few threads and as many connections."""

    def __init__(self, connect: Callable[[], DatabaseConnection]) -> None:
        self._connect = connect
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="database-reader")
        self._is_closed = False
        self._idle: SimpleQueue[DatabaseConnection] = SimpleQueue()
        for _ in range(_THREADS):
            self._idle.put(connect())

    async def run(self, query: Callable[[DatabaseConnection], T]) -> T:
        """Run a query on one consistent state. What the driver raises becomes StoreUnavailable; so does a closed database."""
        if self._is_closed:
            raise StoreUnavailable
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    def _run(self, query: Callable[[DatabaseConnection], T]) -> T:
        reader = self._idle.get()
        try:
            if reader.is_lost:
                reader = self._another(reader)
            with reader.snapshot():
                return query(reader)
        except reader.errors as error:
            logger.exception("a read failed")
            raise StoreUnavailable from error
        finally:
            self._idle.put(reader)

    def _another(self, lost: DatabaseConnection) -> DatabaseConnection:
        connection = self._connect()
        lost.close()
        return connection

    def close(self) -> None:
        """Let running queries end and close the connections."""
        self._is_closed = True
        self._threads.shutdown()
        for _ in range(_THREADS):
            self._idle.get().close()
