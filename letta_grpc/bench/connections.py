"""Asking for event streams with as little as it takes: HTTP/1.1 on kept-alive connections, read straight from the socket."""

import asyncio
from collections.abc import AsyncIterator


class Dechunker:
    """Turns the bytes of a chunked event stream into its events."""

    def __init__(self) -> None:
        self._bytes = b""
        self._text = b""
        self.ended = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that are whole by now."""
        buffer = self._bytes + data
        bodies, position = [self._text], 0
        while (line_end := buffer.find(b"\r\n", position)) >= 0:
            start = line_end + 2
            stop = start + int(buffer[position:line_end], 16)
            if len(buffer) < stop + 2:
                break
            self.ended = start == stop
            bodies.append(buffer[start:stop])
            position = stop + 2
        self._bytes = buffer[position:]
        *events, self._text = b"".join(bodies).split(b"\n\n")
        return events


class ConnectionPool:
    """Kept-alive connections to one server."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.partition(":")
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def events(self, request: bytes) -> AsyncIterator[list[bytes]]:
        """Send a whole request; yield the events of each read."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, int(self._port))
        dechunker = Dechunker()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head.decode())
            while not dechunker.ended:
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError("the server cut the stream")
                yield dechunker.feed(data)
        finally:
            if dechunker.ended:
                self._idle.append((reader, writer))
            else:
                writer.close()

    def close(self) -> None:
        """Let the idle connections go."""
        for _, writer in self._idle:
            writer.close()
