"""A connection of the OpenAI adapter, fed by hand: no sockets."""

import asyncio

import pytest

from letta_grpc.adapters.openai.faults import HttpError
from letta_grpc.adapters.openai.http1 import Connection
from letta_grpc.adapters.openai.response import Patience, Response

PATIENCE = Patience(first_byte_seconds=30, idle_seconds=10)
CHUNKED = b"HTTP/1.1 200 OK\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Line(asyncio.Transport):
    """Keeps what is written, and remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.is_paused = self.is_closed = self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class _Owner:
    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.gone: list[Connection] = []

    def take_back(self, connection: Connection) -> None:
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self.gone.append(connection)


class Exchange:
    """A connection on which a request has been sent."""

    def __init__(self) -> None:
        self.owner = _Owner()
        self.line = _Line()
        self.connection = Connection(self.owner)
        self.connection.connection_made(self.line)
        self.response: Response
        self.ask()

    def ask(self) -> None:
        self.owner.idle.clear()
        self.response = self.connection.send(b"head", b"body", PATIENCE)

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            if piece and not self.line.is_closing():
                self.connection.data_received(piece)

    def end(self, error: Exception | None = None) -> None:
        self.connection.connection_lost(error)

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            await self.response.head()
            body = b""
            while piece := await self.response.read():
                body += piece
        return self.response.status, body

    async def failure(self) -> HttpError:
        with pytest.raises(HttpError) as raised:
            await self.answer()
        return raised.value
