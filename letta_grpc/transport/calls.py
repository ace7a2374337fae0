"""What surrounds every call: keys, admission, decoding, errors, the end.

Rules, each of which grpc.aio punishes silently when it is broken:
- A cancellation of the call itself always goes on upwards; any other CancelledError becomes a status, since grpc sends none
  and the client would wait for its deadline.
- Streams are written, not yielded to grpc: so a client that leaves ends the handler in its own task, at its own await.
- Every generator is closed before its call ends.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import grpc
from google.protobuf.message import DecodeError, Message

from letta_grpc.domain.errors import (
    Internal,
    InvalidRequest,
    LettaError,
    MessageTooLarge,
    ServerDraining,
    StreamRecycled,
    TooManyStreams,
)
from letta_grpc.transport.errors import CallStatus, status_of
from letta_grpc.transport.keys import AUTHORIZATION, ApiKeys
from letta_grpc.transport.methods import BidiMethod, Method, Response, StreamMethod, UnaryMethod
from letta_grpc.transport.observers import NoObserver, RpcObservation, RpcObserver
from letta_grpc.transport.wire import LiveCall, Wire, text_metadata

T = TypeVar("T")
logger = logging.getLogger(__name__)

# What clients take of a response, in bytes, unless they are told otherwise.
_TAKEN_BY_DEFAULT = 4 * 1024 * 1024
_OK = CallStatus(grpc.StatusCode.OK)
_CANCELLED = CallStatus(grpc.StatusCode.CANCELLED)
_TOO_LATE = CallStatus(grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server takes. Sizes are in bytes."""

    max_request_bytes: int = _TAKEN_BY_DEFAULT
    max_run_streams: int = 4096
    max_stream_age_seconds: float | None = None

    @property
    def max_response_bytes(self) -> int:
        """How large a response may be: as a request, so that an export can be imported again, or what any client takes."""
        return max(self.max_request_bytes, _TAKEN_BY_DEFAULT) - 1024


class Calls:
    """Answers calls, whichever way they come in, and knows which are under way."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        keys: ApiKeys | None = None,
        limits: Limits | None = None,
        observer: RpcObserver | None = None,
        on_drain: Callable[[], None] = lambda: None,
    ) -> None:
        self.methods = methods
        self._on_drain = on_drain
        self.keys = keys or ApiKeys()
        self.limits = limits or Limits()
        self._observer = observer or NoObserver()
        self._live: set[asyncio.Task[object]] = set()
        self._streams = 0
        self._draining = False

    @property
    def live(self) -> int:
        """How many calls are under way."""
        return len(self._live)

    async def unary(self, method: UnaryMethod, body: bytes, wire: Wire) -> bytes:
        """Answer a call with one response."""

        async def work(call: LiveCall) -> bytes:
            return self._encode(await method.answer(self._decode(method, body), call))

        return await self._answered(method, wire, work)

    async def stream(self, method: StreamMethod, body: bytes, wire: Wire) -> None:
        """Answer a call with a stream, written to its wire."""
        await self._streamed(method, wire, lambda call: method.answer(self._decode(method, body), call))

    async def bidi(self, method: BidiMethod, bodies: AsyncIterable[bytes], wire: Wire) -> None:
        """Answer a stream with a stream. A message that is no request is told to the method, and does not end the stream."""
        await self._streamed(method, wire, lambda call: method.answer(self._requests(method, bodies), call))

    async def _requests(self, method: BidiMethod, bodies: AsyncIterable[bytes]) -> AsyncIterator[Message | LettaError]:
        async for body in bodies:
            try:
                request: Message | LettaError = self._decode(method, body)
            except LettaError as error:
                request = error
            yield request

    async def _streamed(
        self, method: Method, wire: Wire, answer: Callable[[LiveCall], AsyncGenerator[Response, None]]
    ) -> None:
        async def work(call: LiveCall) -> None:
            self._admit_stream()
            try:
                await self._pump(answer(call), wire, call.observation)
            finally:
                self._streams -= 1

        await self._answered(method, wire, work)

    async def _pump(self, source: AsyncGenerator[Response, None], wire: Wire, observation: RpcObservation) -> None:
        deadline = self._recycle_time()
        async with aclosing(source) as responses:
            while True:
                response = await (anext(responses, None) if deadline is None else _next_before(deadline, responses))
                if response is None:
                    return
                await wire.write(response.body)
                observation.sent(response.events)

    def _recycle_time(self) -> float | None:
        age = self.limits.max_stream_age_seconds
        if age is None:
            return None
        # Streams that began together do not end together.
        return asyncio.get_running_loop().time() + age * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, guards nothing

    async def _answered(self, method: Method, wire: Wire, work: Callable[[LiveCall], Awaitable[T]]) -> T:
        """Do the work of a call; whatever goes wrong becomes its status."""
        task = _current_task()
        metadata = text_metadata(wire.invocation_metadata())
        observation = self._observer.started(method.name, _without_credentials(metadata))
        ended = _CANCELLED
        self._live.add(task)
        try:
            done = await self._guarded(method, self._permitted(wire, metadata, work, observation))
            if not isinstance(done, LettaError):
                ended = _OK
                return done
            ended = status_of(done)
            await wire.abort(ended.code, ended.message, ended.trailers)
        finally:
            self._live.discard(task)
            if ended is _CANCELLED and wire.time_remaining() == 0:
                ended = _TOO_LATE
            observation.ended(ended.code, ended.reason)

    async def _permitted(
        self, wire: Wire, metadata: Mapping[str, str], work: Callable[[LiveCall], Awaitable[T]], observation: RpcObservation
    ) -> T:
        self.keys.check(metadata, wire.peer)
        return await work(LiveCall(wire, metadata, observation))

    async def _guarded(self, method: Method, work: Awaitable[T]) -> T | LettaError:
        """Return what the work gives, or the error that it ended with; raise only if nobody is left to be told."""
        try:
            return await work
        except asyncio.CancelledError:
            if _current_task().cancelling():
                raise
            return ServerDraining() if self._draining else _unexpected(method)
        except grpc.aio.UsageError:
            return _unexpected(method)
        except grpc.aio.BaseError as error:
            # A write found the client gone. As it is, grpc would log a traceback for every client that leaves.
            raise asyncio.CancelledError from error
        except LettaError as error:
            return error
        except Exception:  # noqa: BLE001 - nothing of an unexpected exception may reach a client
            return _unexpected(method)

    def _admit_stream(self) -> None:
        limit = self.limits.max_run_streams
        if self._streams >= limit:
            raise TooManyStreams(f"This server takes {limit} streams at once.", limit=str(limit))
        self._streams += 1

    def _decode(self, method: Method, body: bytes) -> Message:
        size, limit = len(body), self.limits.max_request_bytes
        if size > limit:
            raise MessageTooLarge(f"The request has {size} bytes; {limit} are allowed.", size=str(size), limit=str(limit))
        try:
            return method.request.FromString(body)
        except DecodeError:
            raise InvalidRequest(f"The request is not a {method.request.DESCRIPTOR.full_name}.") from None

    def _encode(self, response: Message) -> bytes:
        body = response.SerializeToString()
        size, limit = len(body), self.limits.max_response_bytes
        if size > limit:
            # Sent all the same it would fail at the client, after we had told ourselves that it went well.
            ways = "Ask for less at once, or let the server send more: LETTA_GRPC_MAX_MESSAGE_BYTES."
            message = f"The answer has {size} bytes; {limit} can be sent. {ways}"
            raise MessageTooLarge(message, size=str(size), limit=str(limit))
        return body

    def drain(self) -> None:
        """Refuse new starts and send the readers away, from now on: both are told ServerDraining."""
        self._draining = True
        self._on_drain()

    async def settled(self) -> None:
        """Return once every handler has run to its very end."""
        while self._live:
            await asyncio.wait(self._live)


async def _next_before(deadline: float, responses: AsyncGenerator[Response, None]) -> Response | None:
    """Return the next response, None at the end; raise StreamRecycled at the deadline."""
    # Around the wait alone: a write that is cut half-way would leave nothing to send a status on.
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            return await anext(responses, None)
    except TimeoutError:
        if limit.expired():
            raise StreamRecycled from None
        raise


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a call is answered in a task")
    return task


def _without_credentials(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key != AUTHORIZATION}


def _unexpected(method: Method) -> Internal:
    """Log the exception that is being handled, whole; return what may be said about it."""
    error_id = uuid4().hex
    logger.exception(  # noqa: LOG004 - called where it is being handled
        "call failed",
        extra={"rpc_method": method.name, "error_id": error_id},
    )
    return Internal(None, error_id=error_id)
