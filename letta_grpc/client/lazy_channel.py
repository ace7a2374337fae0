"""A channel that opens in the event loop of its first call. grpc's belong to a loop, whichever is there when they are made."""

import asyncio
from collections.abc import Callable
from threading import Lock
from typing import Any

import grpc


class LazyChannel:
    """What stubs and `close` need of a channel. Calls raise RuntimeError in any loop but that of the first."""

    def __init__(self, begin: Callable[[], grpc.aio.Channel]) -> None:
        self._begin = begin
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Two threads may come first, each with a loop of its own.
        self._opening = Lock()

    def opened(self) -> grpc.aio.Channel:
        """Return the channel of this loop."""
        loop = asyncio.get_running_loop()
        with self._opening:
            if self._channel is None:
                self._channel, self._loop = self._begin(), loop
        if self._loop is not loop:
            raise RuntimeError("this AsyncClient is bound to the event loop of its first call: make one client per loop")
        return self._channel

    async def close(self) -> None:
        """Close it, if it was ever opened."""
        if self._channel is not None:
            await self.opened().close()

    def unary_unary(self, path: str, **codecs: Any) -> "LazyMethod":  # noqa: ANN401 - for grpc to judge
        """Return a method."""
        return LazyMethod(lambda: self.opened().unary_unary(path, **codecs), self.opened)

    def unary_stream(self, path: str, **codecs: Any) -> "LazyMethod":  # noqa: ANN401 - as above
        """Return a method that answers with a stream."""
        return LazyMethod(lambda: self.opened().unary_stream(path, **codecs), self.opened)

    def stream_stream(self, path: str, **codecs: Any) -> "LazyMethod":  # noqa: ANN401 - as above
        """Return a method on which both sides stream."""
        return LazyMethod(lambda: self.opened().stream_stream(path, **codecs), self.opened)


class LazyMethod:
    """A method of a channel that may not be open yet."""

    def __init__(self, begin: Callable[[], Callable[..., Any]], require: Callable[[], object]) -> None:
        self._begin = begin
        self._require = require
        self._method: Callable[..., Any] | None = None

    def __call__(self, *request: object, **how: Any) -> Any:  # noqa: ANN401 - as above
        """Begin a call."""
        self._require()
        if self._method is None:
            self._method = self._begin()
        return self._method(*request, **how)
