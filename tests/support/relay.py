"""A TCP relay in front of a server: connections can be cut, stalled and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes bytes on in both directions, until it is told not to."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._links: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def cut(self) -> None:
        """Break every connection there is; new ones are taken."""
        for writer in self._links:
            writer.transport.abort()

    def redirect(self, target: str) -> None:
        """Take new connections to another server."""
        self._upstream = int(target.rsplit(":", 1)[1])

    def stall(self) -> None:
        """Pass nothing on any more, and close nothing: a cable that was pulled."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on again."""
        self._flowing.set()

    async def all_closed(self) -> None:
        """Wait until the client has no connection left."""
        await self._empty.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            # Nobody is there: the client sees what it would see without a relay, a broken connection.
            writer.transport.abort()
            return
        self._links.add(writer)
        self._empty.clear()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, up_writer))
                group.create_task(self._pass_on(up_reader, writer))
        finally:
            self._links.discard(writer)
            writer.close()
            up_writer.close()
            if not self._links:
                self._empty.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def relayed(target: str) -> AsyncIterator[tuple[Relay, str]]:
    """Put a relay in front of a server; give it, and its own address."""
    host, port = target.split(":")
    relay = Relay(int(port))
    server = await asyncio.start_server(relay.serve, host, 0)
    try:
        yield relay, f"{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        relay.flow()
        relay.cut()
        async with asyncio.timeout(5):
            await relay.all_closed()
