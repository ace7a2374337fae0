"""What a client holds of a call in process, in the shape of grpc.aio's call objects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic, TypeVar

import grpc

from letta_grpc.transport.exchange import Exchange

R = TypeVar("R")


class _LocalCall(Generic[R]):
    def __init__(self, exchange: Exchange, deserialize: Callable[[bytes], R]) -> None:
        self._exchange = exchange
        self._deserialize = deserialize

    def __del__(self) -> None:
        # A call that nobody holds any more is over, as with a channel of grpc's.
        self._exchange.cancel_soon()

    def cancelled(self) -> bool:
        """Say whether the client has cancelled the call."""
        return self._exchange.is_cancelled

    def done(self) -> bool:
        """Say whether the call has ended."""
        return self._exchange.code is not None

    def time_remaining(self) -> float | None:
        """Return how long until the deadline."""
        return self._exchange.time_remaining()

    def cancel(self) -> bool:
        """End the call."""
        return self._exchange.cancel()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call this with the call when it has ended."""
        self._exchange.add_done_callback(lambda: callback(self))

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """Return what the server sent ahead, once it did."""
        return grpc.aio.Metadata.from_tuple(await self._exchange.initial_metadata())

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """Return what the server sent with the status, once it did."""
        await self._exchange.ended()
        return grpc.aio.Metadata.from_tuple(self._exchange.trailing_metadata)

    async def code(self) -> grpc.StatusCode:
        """Return the status, once the call has ended."""
        await self._exchange.ended()
        return self._exchange.code or grpc.StatusCode.UNKNOWN

    async def details(self) -> str:
        """Return the status's text, once the call has ended."""
        await self._exchange.ended()
        return self._exchange.details

    async def debug_error_string(self) -> str:
        """Return the status's text, once the call has ended."""
        return await self.details()

    async def wait_for_connection(self) -> None:
        """Return: there is nothing to connect."""

    async def _next(self) -> bytes | None:
        try:
            return await self._exchange.read()
        except asyncio.CancelledError:
            # Who stops waiting for a call has cancelled it.
            self.cancel()
            raise

    async def _raise_for_status(self) -> None:
        if self._exchange.is_cancelled:
            raise asyncio.CancelledError
        if (code := await self.code()) is not grpc.StatusCode.OK:
            ahead, behind = await self.initial_metadata(), await self.trailing_metadata()
            raise grpc.aio.AioRpcError(code, ahead, behind, self._exchange.details, self._exchange.details)


class LocalUnaryCall(_LocalCall[R], grpc.aio.UnaryUnaryCall[Any, R]):
    """A call with one answer: await it."""

    def __await__(self) -> Generator[None, None, R]:
        """Return the answer."""
        return self._answer().__await__()

    async def _answer(self) -> R:
        if not self.done():
            try:
                await self._exchange.ended()
            except asyncio.CancelledError:
                self.cancel()
                raise
        await self._raise_for_status()
        body = self._exchange.answer
        return self._deserialize(body)


class _StreamedCall(_LocalCall[R]):
    """A call that answers with a stream: iterate over it, or read."""

    def __init__(self, exchange: Exchange, deserialize: Callable[[bytes], R]) -> None:
        super().__init__(exchange, deserialize)
        self._iterator: AsyncIterator[R] | None = None

    def __aiter__(self) -> AsyncIterator[R]:
        """Yield the responses; raise what the call ended with, if that is not OK."""
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator

    async def _responses(self) -> AsyncIterator[R]:
        while (body := await self._next()) is not None:
            yield self._deserialize(body)
        await self._raise_for_status()

    async def read(self) -> Any:  # noqa: ANN401 - a response, or grpc.aio.EOF
        """Return the next response; EOF after the last; raise what the call ended with, if that is not OK."""
        body = await self._next()
        if body is not None:
            return self._deserialize(body)
        await self._raise_for_status()
        return grpc.aio.EOF


class LocalStreamCall(_StreamedCall[R], grpc.aio.UnaryStreamCall[Any, R]):
    """A call with one request that answers with a stream."""


class LocalBidiCall(_StreamedCall[R], grpc.aio.StreamStreamCall[Any, R]):
    """A call that streams both ways: write and read, side by side."""

    def __init__(self, exchange: Exchange, serialize: Callable[[Any], bytes], deserialize: Callable[[bytes], R]) -> None:
        super().__init__(exchange, deserialize)
        self._serialize = serialize

    async def write(self, request: Any) -> None:  # noqa: ANN401 - of the serializer's type
        """Send a request; wait while the server is behind."""
        if self.done():
            raise asyncio.InvalidStateError("RPC already finished.")
        if self._exchange.is_done_sending:
            raise asyncio.InvalidStateError('RPC is half closed after calling "done_writing".')
        try:
            await self._exchange.send(self._serialize(request))
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def done_writing(self) -> None:
        """Say that no more requests come."""
        self._exchange.done_sending()
