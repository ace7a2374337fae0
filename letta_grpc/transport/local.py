"""A channel without a socket: the same handlers, keys, errors and limits as the server, in process.

Generated stubs and our client work over it as over any grpc.aio channel. What a client observes is the same too: a cancelled
call raises CancelledError and ends its handler, a failed one raises AioRpcError, a reader that stops holds its handler up.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Never, Self, TypeVar

import grpc

from letta_grpc.transport.calls import Calls
from letta_grpc.transport.exchange import Exchange
from letta_grpc.transport.local_calls import LocalBidiCall, LocalStreamCall, LocalUnaryCall
from letta_grpc.transport.methods import BidiMethod, StreamMethod, UnaryMethod
from letta_grpc.transport.wire import Metadata

Q = TypeVar("Q")
R = TypeVar("R")
Serializer = Callable[[Q], bytes]
Deserializer = Callable[[bytes], R]


class LocalChannel(grpc.aio.Channel):
    """Calls `calls` directly. `metadata` goes out with every call, for instance an API key."""

    def __init__(self, calls: Calls, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self._calls = calls
        self._metadata = tuple(metadata)
        self._exchanges: dict[asyncio.Task[bytes | None], Exchange] = {}
        self._closed = asyncio.Event()

    def unary_unary(
        self,
        method: str,
        request_serializer: Serializer[Q] | None = None,
        response_deserializer: Deserializer[R] | None = None,
        _registered_method: bool | None = None,  # noqa: FBT001 - generated stubs pass it
    ) -> Any:  # noqa: ANN401 - a multi-callable by shape
        """Return what calls a method with one answer."""
        return _UnaryMultiCallable(self, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str,
        request_serializer: Serializer[Q] | None = None,
        response_deserializer: Deserializer[R] | None = None,
        _registered_method: bool | None = None,  # noqa: FBT001 - generated stubs pass it
    ) -> Any:  # noqa: ANN401 - a multi-callable by shape
        """Return what calls a method that answers with a stream."""
        return _StreamMultiCallable(self, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Serializer[Q] | None = None,
        response_deserializer: Deserializer[R] | None = None,
        _registered_method: bool | None = None,  # noqa: FBT001 - generated stubs pass it
    ) -> Any:  # noqa: ANN401 - a multi-callable by shape
        """Return what calls a method that reads a stream and answers with one."""
        return _BidiMultiCallable(self, method, request_serializer, response_deserializer)

    def stream_unary(self, method: str, *_args: object, **_kwargs: object) -> Never:
        """Refuse: no service here has such a method."""
        raise NotImplementedError(f"{method} reads a stream and gives one answer")

    def open(self, method: str, body: bytes, timeout: float | None, metadata: Metadata | None) -> Exchange:
        """Begin a call."""
        if self._closed.is_set():
            raise grpc.aio.UsageError("Channel is closed.")
        exchange = Exchange((*self._metadata, *(metadata or ())), timeout)
        task = exchange.start(self._work(method.lstrip("/"), body, exchange), name=method)
        self._exchanges[task] = exchange
        task.add_done_callback(self._exchanges.pop)
        return exchange

    async def _work(self, name: str, body: bytes, exchange: Exchange) -> bytes | None:
        match self._calls.methods.get(name):
            case UnaryMethod() as method:
                return await self._calls.unary(method, body, exchange)
            case StreamMethod() as method:
                await self._calls.stream(method, body, exchange)
                return None
            case BidiMethod() as method:
                await self._calls.bidi(method, exchange.requests(), exchange)
                return None
            case None:
                return await exchange.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!", ())

    async def close(self, grace: float | None = None) -> None:
        """End all calls, after the grace those that are still under way, and wait for their clean-up."""
        self._closed.set()
        if self._exchanges and grace:
            await asyncio.wait(set(self._exchanges), timeout=grace)
        for exchange in self._exchanges.values():
            exchange.cancel()
        if self._exchanges:
            await asyncio.wait(set(self._exchanges))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: ARG002, FBT001, FBT002 - grpc's shape
        """Return READY until the channel is closed."""
        return grpc.ChannelConnectivity.SHUTDOWN if self._closed.is_set() else grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Return once the state is another one."""
        if last_observed_state is self.get_state():
            await self._closed.wait()

    async def channel_ready(self) -> None:
        """Return: there is nothing to connect."""

    async def __aenter__(self) -> Self:
        """Use the channel."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the channel."""
        await self.close()


class _MultiCallable:
    def __init__(
        self,
        channel: LocalChannel,
        method: str,
        serializer: Serializer[Any] | None,
        deserializer: Deserializer[Any] | None,
    ) -> None:
        self._channel = channel
        self._method = method
        self._serialize = serializer or _same
        self._deserialize = deserializer or _same

    def _open(self, request: object, timeout: float | None, metadata: Metadata | None) -> Exchange:
        return self._channel.open(self._method, self._serialize(request), timeout, metadata)


class _UnaryMultiCallable(_MultiCallable):
    def __call__(
        self,
        request: object,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,  # noqa: ARG002 - grpc's shape; metadata carries keys here
        wait_for_ready: bool | None = None,  # noqa: ARG002 - always ready
        compression: grpc.Compression | None = None,  # noqa: ARG002 - nothing is sent anywhere
    ) -> LocalUnaryCall[Any]:
        return LocalUnaryCall(self._open(request, timeout, metadata), self._deserialize)


class _StreamMultiCallable(_MultiCallable):
    def __call__(
        self,
        request: object,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,  # noqa: ARG002 - grpc's shape; metadata carries keys here
        wait_for_ready: bool | None = None,  # noqa: ARG002 - always ready
        compression: grpc.Compression | None = None,  # noqa: ARG002 - nothing is sent anywhere
    ) -> LocalStreamCall[Any]:
        return LocalStreamCall(self._open(request, timeout, metadata), self._deserialize)


class _BidiMultiCallable(_MultiCallable):
    def __call__(
        self,
        request_iterator: None = None,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,  # noqa: ARG002 - grpc's shape; metadata carries keys here
        wait_for_ready: bool | None = None,  # noqa: ARG002 - always ready
        compression: grpc.Compression | None = None,  # noqa: ARG002 - nothing is sent anywhere
    ) -> LocalBidiCall[Any]:
        if request_iterator is not None:
            raise grpc.aio.UsageError("Requests are written, not iterated over, on this channel.")
        exchange = self._channel.open(self._method, b"", timeout, metadata)
        return LocalBidiCall(exchange, self._serialize, self._deserialize)


def _same(value: Any) -> Any:  # noqa: ANN401 - bytes in, bytes out
    return value
