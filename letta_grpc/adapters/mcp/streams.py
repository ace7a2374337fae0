"""The streams of a transport of the mcp package, with what we watch for and sift out on their way to a session."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

# Not re-exported, but the type of everything that a Transport may be.
from mcp.client._transport import ReadStream, TransportStreams
from mcp.shared.message import SessionMessage

from letta_grpc.adapters.mcp.stdout import StrayLines

Streams = TransportStreams
Received = SessionMessage | Exception


class _PassingStream:
    """Hands on what the server sends."""

    def __init__(self, inner: ReadStream[Received]) -> None:
        self._inner = inner

    async def receive(self) -> Received:
        """Return the next message."""
        return await self._inner.receive()

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    def __aiter__(self) -> ReadStream[Received]:
        return self

    async def __anext__(self) -> Received:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class WatchedStream(_PassingStream):
    """Tells when its session leaves it, which it does when the server or the connection is gone; and what broke it."""

    def __init__(self, inner: ReadStream[Received], ended: Callable[[BaseException | None], None]) -> None:
        super().__init__(inner)
        self._ended = ended

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        self._ended(exc_val)
        return await super().__aexit__(exc_type, exc_val, exc_tb)


class SiftedStream(_PassingStream):
    """Keeps back what is no message; raises NotJsonRpcError when there is too much of it."""

    def __init__(self, inner: ReadStream[Received], stray_lines: StrayLines) -> None:
        super().__init__(inner)
        self._stray_lines = stray_lines

    async def receive(self) -> Received:
        """Return the next message."""
        while isinstance(received := await self._inner.receive(), Exception):
            self._stray_lines.stray(received)
        self._stray_lines.message()
        return received
