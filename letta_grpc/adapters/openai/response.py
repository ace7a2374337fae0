"""A response as it comes: all that arrived since the last read is one piece."""

import asyncio
from dataclasses import dataclass

from letta_grpc.adapters.openai.faults import SilenceError

MAX_BUFFERED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """For how long nothing may come: until the body begins, and from then on."""

    first_byte_seconds: float
    idle_seconds: float


class Response:
    """One response. Whoever has it closes it; one task reads.

    The connection fills it: `begin`, `feed`, then `finish` or `fail`, and one `wake` for all that a read of the socket
    brought. While more than MAX_BUFFERED_BYTES wait for the reader, the socket is not read.

    One timer watches all waits. It is set for the earliest time at which a wait could be over, and looks then whether one
    is: a deadline that moves with every token costs no timer.
    """

    __slots__ = (
        "_buffered",
        "_deadline",
        "_failure",
        "_has_begun",
        "_is_paused",
        "_loop",
        "_patience",
        "_pieces",
        "_timer",
        "_transport",
        "_waiter",
        "headers",
        "is_complete",
        "status",
    )

    def __init__(self, transport: asyncio.Transport, patience: Patience) -> None:
        self.status = 0
        # Names in lower case; of refusals only.
        self.headers: dict[str, str] = {}
        self.is_complete = False
        self._failure: Exception | None = None
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._has_begun = False
        self._is_paused = False
        self._transport: asyncio.Transport | None = transport
        self._waiter: asyncio.Future[None] | None = None
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        # Fixed until the body begins, however the head drips.
        self._deadline = now + patience.first_byte_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._watch_from(now)

    async def head(self) -> None:
        """Wait for the status. Raises HttpError."""
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """Return what came since the last read, and wait while that is nothing; b"" at the end. Raises HttpError."""
        if self._has_begun and not self._pieces:
            self._deadline = self._loop.time() + self._patience.idle_seconds
        while not self._pieces:
            if self.is_complete:
                return b""
            await self._more()
        self._has_begun = True
        pieces, self._pieces, self._buffered = self._pieces, [], 0
        self._resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Let go. Breaks the connection unless the response has been received to its end."""
        if self._transport is not None:
            self._transport.abort()
        self._end()
        self._pieces = []

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """Take the head."""
        self.status, self.headers = status, headers

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(piece)
        self._buffered += len(piece)

    def finish(self) -> None:
        """Take note of the end: the connection is the response's no longer."""
        self.is_complete = True
        self._resume()
        self._end()

    def fail(self, failure: Exception) -> None:
        """Take note that no more comes, and why."""
        self._failure = failure
        self._end()

    def wake(self) -> None:
        """Let the reader see what came."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._buffered > MAX_BUFFERED_BYTES and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._transport.resume_reading()
        self._is_paused = False

    def _end(self) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        now = self._loop.time()
        if now >= self._deadline and self._waiter is not None and not self._waiter.done():
            patience = self._patience
            self._waiter.set_exception(SilenceError(patience.idle_seconds if self._has_begun else patience.first_byte_seconds))
        self._watch_from(now)

    def _watch_from(self, now: float) -> None:
        when = now + self._patience.idle_seconds
        if now < self._deadline < when:
            when = self._deadline
        self._timer = self._loop.call_at(when, self._watch)
