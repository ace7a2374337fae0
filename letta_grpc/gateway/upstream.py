"""Calls over any channel of grpc.aio's shape. Requests and responses are bytes: messages are made and read out here alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import grpc

from letta_grpc.gateway.descriptors import Rpc
from letta_grpc.gateway.endings import Ending
from letta_grpc.gateway.failures import Failure, bare, failure_from
from letta_grpc.gateway.metadata import RUN_ID_KEY, Metadata

T = TypeVar("T")


async def settled(answer: Awaitable[T]) -> T:
    """Wait for grpc. Raises Failure; CancelledError only if the waiting task itself is cancelled."""
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        # Without grpc's frames: they hold the call, and the call its connection.
        raise failure_from(error) from error.with_traceback(None)
    except (grpc.aio.UsageError, asyncio.InvalidStateError) as error:
        raise _closed() from error.with_traceback(None)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The channel was closed under the call.
        raise _closed() from None
    finally:
        del answer


async def run_id_of(call: grpc.aio.Call) -> str | None:
    """Return the run, or the runs, that the server names ahead of its answer; waits until it does. Raises Failure."""
    metadata = await settled(call.initial_metadata())
    return next((str(value) for key, value in metadata or () if key == RUN_ID_KEY), None)


def _closed() -> Failure:
    return bare(grpc.StatusCode.UNAVAILABLE, "The server behind this gateway is stopping.")


class UnaryCall:
    """A call with one answer."""

    def __init__(self, channel: grpc.aio.Channel, rpc: Rpc, body: bytes, metadata: Metadata) -> None:
        method: Any = channel.unary_unary(f"/{rpc.name}")
        self._call = method(body, metadata=metadata)

    async def answer(self) -> bytes:
        """Return the answer. Raises Failure."""
        body: bytes = await settled(self._call)
        return body

    async def run_id(self) -> str | None:
        """Return the run that the call started, if it did."""
        return await _named_run(self._call)

    def close(self) -> None:
        """End the call for good."""
        self._call.cancel()


class StreamCall:
    """A call that answers with a stream."""

    def __init__(self, channel: grpc.aio.Channel, rpc: Rpc, body: bytes, metadata: Metadata) -> None:
        method: Any = channel.unary_stream(f"/{rpc.name}")
        self._call = method(body, metadata=metadata)

    async def read(self) -> bytes | None:
        """Return the next response; None behind the last of a call that ended well. Raises Failure."""
        response: Any = await settled(self._call.read())
        return None if response is grpc.aio.EOF else response

    async def run_id(self) -> str | None:
        """Return the run that the stream follows, if the server says so ahead; waits until it has accepted the call."""
        return await _named_run(self._call)

    def close(self) -> None:
        """End the call for good."""
        self._call.cancel()


class CallOverError(Exception):
    """A call has ended, and takes no more requests. How it ended is for its reader to know."""


class BidiCall(StreamCall):
    """A call that streams both ways, or only from the client: then its one answer is read like a stream of one."""

    def __init__(self, channel: grpc.aio.Channel, rpc: Rpc, metadata: Metadata) -> None:
        kind = channel.stream_stream if rpc.server_streaming else channel.stream_unary
        method: Any = kind(f"/{rpc.name}")
        self._call = method(metadata=metadata)
        self._ending = Ending(self._call)
        # Not by `read`, which has nothing more to give once a write has failed, whatever the server has said before.
        self._responses = aiter(self._call) if rpc.server_streaming else _single(self._call)

    async def read(self) -> bytes | None:
        """Return the next response; None behind the last of a call that ended well. Raises Failure, as the server tells it."""
        try:
            response: bytes | None = await settled(anext(self._responses, None))
        except Failure as failure:
            end = await self._ending.instead_of(failure)
            if end is not None:
                raise end from failure
            return None
        return response

    async def write(self, request: bytes) -> None:
        """Send a request; waits while the server does not read. Raises CallOverError."""
        if self._call.done():
            raise CallOverError
        await self._sent(self._call.write(request))

    async def done_writing(self) -> None:
        """Say that no more requests come. Raises CallOverError."""
        await self._sent(self._call.done_writing())

    async def _sent(self, sending: Awaitable[None]) -> None:
        try:
            await settled(sending)
        except (Failure, grpc.aio.InternalError):
            raise CallOverError from None


async def _single(call: Awaitable[bytes]) -> AsyncIterator[bytes]:
    yield await call


async def _named_run(call: grpc.aio.Call) -> str | None:
    try:
        return await run_id_of(call)
    except Failure:
        # Whoever reads on is told.
        return None
