"""Connections that wait for their next request."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from letta_grpc.adapters.openai.faults import DisconnectedError
from letta_grpc.adapters.openai.http1 import Connection

# People think between two messages, and a TLS handshake costs more than an idle socket.
KEEP_ALIVE_SECONDS = 60.0
_CLOSE_SECONDS = 1.0

Dial = Callable[[Callable[[], Connection]], Awaitable[None]]


class ConnectionPool:
    """All connections to one place. There is no limit to their number."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._all: set[Connection] = set()
        # A set in the order of use. The last used is the next to be used, so that the others grow old.
        self._idle: dict[Connection, None] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_closed = False

    def take(self) -> Connection | None:
        """Return an idle connection."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_open and connection.idle_since > _now() - KEEP_ALIVE_SECONDS:
                return connection
            connection.close()
        return None

    async def open(self) -> Connection:
        """Return a new connection. Raises HttpError or OSError."""
        if self._is_closed:
            raise DisconnectedError("the pool is closed")
        connection = Connection(self)
        try:
            await self._dial(lambda: connection)
            self._admit(connection)
        except BaseException:
            connection.abort()
            raise
        return connection

    def take_back(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        connection.idle_since = _now()
        self._idle[connection] = None
        if self._sweep is None:
            self._sweep_in(KEEP_ALIVE_SECONDS)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is gone."""
        self._all.discard(connection)
        self._idle.pop(connection, None)
        if self._is_closed and not self._all:
            self._is_empty.set()

    async def close(self) -> None:
        """Break all connections; return when they are gone. There will be no other."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in tuple(self._all):
            connection.abort()
        if self._all:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._is_empty.wait()

    def _admit(self, connection: Connection) -> None:
        if self._is_closed or not connection.is_open:
            raise DisconnectedError("the connection ended before the request")
        self._all.add(connection)

    def _sweep_in(self, seconds: float) -> None:
        self._sweep = asyncio.get_running_loop().call_later(seconds, self._close_old)

    def _close_old(self) -> None:
        self._sweep = None
        oldest = _now() - KEEP_ALIVE_SECONDS
        for connection in [connection for connection in self._idle if connection.idle_since <= oldest]:
            del self._idle[connection]
            connection.close()
        if self._idle:
            self._sweep_in(next(iter(self._idle)).idle_since - oldest)


def _now() -> float:
    return asyncio.get_running_loop().time()
