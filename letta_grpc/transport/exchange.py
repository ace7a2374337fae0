"""One call in process: the hand-over between its handler and its reader."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Never

import grpc

from letta_grpc.transport.wire import Metadata

# How many responses wait for the reader before the handler does. Most are one event; one that replays has up to 256 KiB.
MAX_WAITING = 4


class Exchange:
    """The two ends of a call: the handler's `Wire`, and what the client's call object reads from.

    It has ended once `code` is set; nothing about it changes then. What was written before the handler's own end can still
    be read; after a cancellation or the deadline nothing can.
    """

    def __init__(self, metadata: Metadata, timeout_seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata = tuple((key.lower(), value) for key, value in metadata)
        self._deadline = None if timeout_seconds is None else self._loop.time() + timeout_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._responses: deque[bytes] = deque()
        self._requests: deque[bytes] = deque()
        self._asked, self._takeable = asyncio.Event(), asyncio.Event()
        self._is_done_writing = False
        self._readable, self._writable = asyncio.Event(), asyncio.Event()
        self._headed, self._ended = asyncio.Event(), asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[bytes | None] | None = None
        self._initial_metadata: Metadata = ()
        self.trailing_metadata: Metadata = ()
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self.is_cancelled = False
        self.answer = b""

    def start(self, work: Coroutine[None, None, bytes | None], name: str) -> asyncio.Task[bytes | None]:
        """Begin to answer; the handler's task is returned."""
        # The task of one call, as grpc makes one for each: its owner is this exchange, its channel waits for its end.
        self._task = self._loop.create_task(work, name=name)
        self._task.add_done_callback(self._worked)
        if self._deadline is not None:
            self._timer = self._loop.call_at(self._deadline, self._expire)
        return self._task

    # The handler's end

    def invocation_metadata(self) -> Metadata:
        """Return what the client sent beside the request."""
        return self._metadata

    def peer(self) -> str:
        """Return a name for this process."""
        return "local"

    def time_remaining(self) -> float | None:
        """Return how long until the deadline."""
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    async def send_initial_metadata(self, metadata: Metadata, /) -> None:
        """Let the client see this metadata."""
        if not self._headed.is_set():
            self._initial_metadata = metadata
            self._headed.set()

    async def write(self, message: bytes, /) -> None:
        """Hand a response over; wait while the reader is behind."""
        self._headed.set()
        while len(self._responses) >= MAX_WAITING:
            self._writable.clear()
            await self._writable.wait()
        self._responses.append(message)
        self._readable.set()

    async def requests(self) -> AsyncIterator[bytes]:
        """Yield what the client sends, until it says that there is no more, or the call ends."""
        while True:
            while not self._requests:
                if self._is_done_writing or self.code is not None:
                    return
                self._asked.clear()
                await self._asked.wait()
            self._takeable.set()
            yield self._requests.popleft()

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> Never:
        """End the call with this status."""
        self._end(code, details, trailing_metadata)
        raise grpc.aio.AbortError

    # The client's end

    async def initial_metadata(self) -> Metadata:
        """Return the metadata that came ahead, once it came."""
        await self._headed.wait()
        return self._initial_metadata

    async def send(self, request: bytes) -> None:
        """Hand a request over; wait while the handler is behind. Returns at once when the call has ended."""
        while len(self._requests) >= MAX_WAITING and self.code is None:
            self._takeable.clear()
            await self._takeable.wait()
        if self.code is None:
            self._requests.append(request)
            self._asked.set()

    def done_sending(self) -> None:
        """Say that no more requests come."""
        self._is_done_writing = True
        self._asked.set()

    @property
    def is_done_sending(self) -> bool:
        """Whether no more requests may be sent."""
        return self._is_done_writing

    async def read(self) -> bytes | None:
        """Return the next response; None after the last."""
        while not self._responses:
            if self.code is not None:
                return None
            self._readable.clear()
            await self._readable.wait()
        self._writable.set()
        return self._responses.popleft()

    async def ended(self) -> None:
        """Return once the call has ended."""
        await self._ended.wait()

    def cancel(self) -> bool:
        """End the call from the client's side, if it has not ended."""
        if self.code is not None or self._loop.is_closed():
            return False
        self.is_cancelled = True
        self._cut(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        return True

    def cancel_soon(self) -> None:
        """End the call from the client's side, on the loop, from whichever thread and in the midst of whatever."""
        if self.code is None:
            # The loop may be gone, its calls with it.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.cancel)

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call this when the call has ended."""
        if self.code is None:
            self._callbacks.append(callback)
        else:
            self._loop.call_soon(callback)

    def _expire(self) -> None:
        if self.code is None:
            self._cut(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _cut(self, code: grpc.StatusCode, details: str) -> None:
        self._responses.clear()
        self._end(code, details, ())
        if self._task is not None:
            self._task.cancel()

    def _worked(self, task: asyncio.Task[bytes | None]) -> None:
        if task.cancelled():
            self._end(grpc.StatusCode.CANCELLED, "The call's task was cancelled.", ())
        elif (error := task.exception()) is not None:
            # An AbortError has ended the call already, and then this changes nothing.
            self._end(grpc.StatusCode.UNKNOWN, type(error).__name__, ())
        else:
            self.answer = task.result() or b""
            self._end(grpc.StatusCode.OK, "", ())

    def _end(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> None:
        if self.code is not None:
            return
        self.code, self.details, self.trailing_metadata = code, details, trailing_metadata
        if self._timer is not None:
            self._timer.cancel()
        for event in (self._headed, self._readable, self._writable, self._asked, self._takeable, self._ended):
            event.set()
        for callback in self._callbacks:
            self._loop.call_soon(callback)
