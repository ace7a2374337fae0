"""What a transport of the mcp package gives, and noticing that it has ended."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

# Not re-exported, but the type of everything that a Transport may be.
from mcp.client._transport import ReadStream, TransportStreams
from mcp.shared.message import SessionMessage

Streams = TransportStreams
Received = SessionMessage | Exception


class WatchedStream:
    """Hands on what the server sends. A session leaves its stream when the server or the connection is gone."""

    def __init__(self, inner: ReadStream[Received], ended: Callable[[], None]) -> None:
        self._inner = inner
        self._ended = ended

    async def receive(self) -> Received:
        """Return the next message."""
        return await self._inner.receive()

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    def __aiter__(self) -> ReadStream[Received]:
        return self

    async def __anext__(self) -> Received:
        return await self._inner.__anext__()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        self._ended()
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)
