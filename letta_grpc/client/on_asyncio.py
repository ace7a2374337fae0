"""Where the client meets grpc.aio. Its twin for threads is `on_threads`: same names, same promises."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Generic, TypeVar, cast

import grpc

from letta_grpc.client.dialing import CHANNEL_OPTIONS, RUN_ID_KEY, Metadata, Tls, credentials_of
from letta_grpc.client.errors import StreamBroken, StreamClosed
from letta_grpc.client.forks import OpenCall, require_sound_process
from letta_grpc.client.functions import called, unended
from letta_grpc.client.lazy_channel import LazyChannel
from letta_grpc.client.statuses import error_from

Request = TypeVar("Request")
Response = TypeVar("Response")
Result = TypeVar("Result")

Channel = grpc.aio.Channel
UnaryMethod = grpc.aio.UnaryUnaryMultiCallable
StreamMethod = grpc.aio.UnaryStreamMultiCallable
DialogueMethod = grpc.aio.StreamStreamMultiCallable
Lock = asyncio.Lock
Event = asyncio.Event
Sleep = Callable[[float], Awaitable[None]]


async def wait(event: Event, seconds: float) -> None:
    """Wait for an event, but no longer than this."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def run_function(function: Callable[..., Any], /, *arguments: object, **named: object) -> object:
    """Run a caller's function: a coroutine here, any other in a thread, so that nobody else waits for it.

    What gives an awaitable without saying so, as a lambda or a plain decorator round a coroutine does, is awaited too.
    """
    try:
        if inspect.iscoroutinefunction(function):
            return await function(*arguments, **named)
        result = await asyncio.to_thread(called, function, *arguments, **named)
        return await result if inspect.isawaitable(result) else result
    except StopAsyncIteration as error:
        raise unended(error) from error
    except asyncio.CancelledError as error:
        caller = asyncio.current_task()
        if caller is None or caller.cancelling():
            raise
        raise unended(error) from error


def open_channel(target: str, tls: Tls) -> Channel:
    """Return a channel; it opens in the loop of its first call, and connects with that."""
    require_sound_process()
    credentials = credentials_of(tls)

    def begin() -> Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)

    # It is what we use of a channel: grpc's class has much besides.
    return cast("Channel", LazyChannel(begin))


async def call(
    method: "UnaryMethod[Request, Response]", request: Request, metadata: Metadata, limit: float | None
) -> Response:
    """Make one call. Raises LettaError."""
    with closing(OpenCall()):
        with _closed_channels_told():
            begun = method(request, timeout=limit, metadata=metadata)
        return await _settle(begun, None)


class EventCall(Generic[Response]):
    """One streaming call, from its start to its first failure or its end."""

    _call: grpc.aio.UnaryStreamCall[Any, Response] | grpc.aio.StreamStreamCall[Any, Response]
    _loop: asyncio.AbstractEventLoop

    def __init__(self, method: "StreamMethod[Request, Response]", request: Request, metadata: Metadata) -> None:
        self._open = OpenCall()
        with _closed_channels_told():
            self._call = method(request, metadata=metadata)
        self._loop = asyncio.get_running_loop()

    def __del__(self) -> None:
        # A stream that is dropped without being closed: grpc's own tasks would keep its call open for ever. Garbage is
        # collected in any thread, and in the midst of anything; and the loop may be gone, its calls with it.
        self._open.close()
        if hasattr(self, "_loop") and hasattr(self, "_call"):
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._call.cancel)

    async def run_id(self, limit: float | None) -> str | None:
        """Wait until the call is accepted, or has failed: then None, and `read` tells why."""
        metadata = await _settle(self._call.initial_metadata(), limit)
        return next((str(value) for key, value in metadata if key == RUN_ID_KEY), None)

    async def read(self, limit: float | None) -> Response | None:
        """Return the next response; None behind the last one of a call that ended OK. Raises LettaError."""
        response = await _settle(self._call.read(), limit)
        # EOF is a singleton of a type that the stubs name only in union with every response.
        return None if response is grpc.aio.EOF else response  # type: ignore[return-value]  # see above

    async def done_writing(self) -> None:
        """Say that no more requests come; the only one has."""

    async def close(self) -> None:
        """End the call for good."""
        self._call.cancel()
        self._open.close()
        # A connection outlives its channel for as long as anybody holds one of its calls, be it in the traceback of a
        # cancelled task: see `_settle`.
        del self._call


class DialogueCall(EventCall[Response]):
    """One call on which both sides stream. One writer at a time."""

    def __init__(self, method: "DialogueMethod[Any, Response]", metadata: Metadata) -> None:
        self._open = OpenCall()
        with _closed_channels_told():
            self._talk: grpc.aio.StreamStreamCall[Any, Response] = method(metadata=metadata)
        self._call = self._talk
        self._loop = asyncio.get_running_loop()

    async def write(self, request: object) -> None:
        """Send a request. Raises LettaError when the call has ended; then `read` tells why."""
        with _ended_calls_broken():
            await _settle(self._talk.write(request), None)

    async def done_writing(self) -> None:
        """Say that no more requests come."""
        with _ended_calls_broken():
            await _settle(self._talk.done_writing(), None)

    async def close(self) -> None:
        """End the call for good."""
        await super().close()
        del self._talk


@contextmanager
def _closed_channels_told() -> Iterator[None]:
    try:
        yield
    except grpc.aio.UsageError as error:
        raise StreamClosed("the channel is closed") from error


@contextmanager
def _ended_calls_broken() -> Iterator[None]:
    try:
        yield
    except asyncio.InvalidStateError as error:
        raise StreamBroken("the call has ended") from error


async def _settle(answer: Awaitable[Result], limit: float | None) -> Result:
    """Wait for grpc. Raises LettaError, without grpc's frames, which hold the call."""
    try:
        async with asyncio.timeout(limit):
            return await answer
    except grpc.aio.AioRpcError as error:
        raise error_from(error) from error.with_traceback(None)
    except TimeoutError as error:
        raise StreamBroken(f"no word from the server for {limit:g} seconds") from error
    except asyncio.CancelledError as error:
        # grpc raises this both when the caller's task is cancelled and when somebody closed the call or its channel.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise error.with_traceback(None) from None
        raise StreamBroken("the call was closed on this side") from error.with_traceback(None)
    finally:
        del answer
