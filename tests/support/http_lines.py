"""Servers that speak HTTP line by line, for tests of a client: each test says what a connection does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_TLS = Path(__file__).parent / "tls"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Line:
    """The server's side of a connection, the `number`-th from 1."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        """Return a request's first line, its headers by names in lower case, and its body."""
        start, headers = await self.head()
        return start, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def head(self) -> tuple[str, dict[str, str]]:
        """Return the first line and the headers of what comes."""
        start, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        return start, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Return once the client has left."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    async def pump(self, host: str, port: int) -> None:
        """Be a tunnel until either side leaves."""
        reader, writer = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(self.reader, writer))
                group.create_task(_copy(reader, self.writer))
        finally:
            writer.close()


@dataclass(slots=True)
class Served:
    """A running server: its port, how many have come, and how many are connected."""

    port: int
    lines: int = 0
    connected: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, *, connected: int) -> None:
        """Return once so many are connected."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.connected == connected)


@asynccontextmanager
async def serving(talk: Callable[[Line], Awaitable[None]], tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Run a server on 127.0.0.1. When `talk` returns, its connection ends."""
    served = Served(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.lines += 1
        served.connected += 1
        try:
            await talk(Line(served.lines, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, ExceptionGroup):
            pass
        finally:
            writer.close()
            async with served.changed:
                served.connected -= 1
                served.changed.notify_all()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls) as server:
        served.port = server.sockets[0].getsockname()[1]
        yield served
        await served.until(connected=0)


def server_tls() -> ssl.SSLContext:
    """Return what a server needs to be localhost, 127.0.0.1 and models.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_TLS / "certificate.pem", _TLS / "key.pem")
    return context


def client_tls() -> ssl.SSLContext:
    """Return what a client needs to believe it."""
    return ssl.create_default_context(cafile=_TLS / "certificate.pem")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()
