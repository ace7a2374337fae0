"""uvicorn's HTTP/1.1 protocol with two limits that it lacks: how large a request's head may be, and how long it may take.

And with streams for HTTP/1.0.
"""

import asyncio
from typing import Self

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from letta_grpc.gateway.options import GatewayOptions


def guarded(options: GatewayOptions) -> type[asyncio.Protocol]:
    """Return the protocol with the limits of a gateway."""

    class Guarded(GuardedHttp):
        max_head_bytes = options.max_head_bytes
        head_seconds = options.head_seconds

    return Guarded


class _AnyLength(int):
    """The length of a body that nobody has said: whatever comes fits."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> Self:
        return self


class GuardedHttp(HttpToolsProtocol):
    """A connection that is closed when a head is too large (431) or does not come (408)."""

    max_head_bytes: int
    head_seconds: float

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for the first head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.head_seconds, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes, as long as it is a head."""
        if not self._in_head:
            super().data_received(data)
            return
        self._timer = self._timer or self.loop.call_later(self.head_seconds, self._too_late)
        self._head_bytes += len(data)
        super().data_received(data)
        still_in_head: bool = self._in_head
        if still_in_head and self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Refuse a head that came in one piece, and is too large all the same."""
        self._in_head = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.max_head_bytes:
            self._refuse(b"431 Request Header Fields Too Large")
            return
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            # Else a stream would be sent in chunks, which HTTP/1.0 does not know (RFC 9112, 6.1). Its end is the connection's.
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = _AnyLength()

    def on_body(self, body: bytes) -> None:
        """Drop the body of a request that was refused."""
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        self._in_head, self._head_bytes = True, 0
        if self.cycle is not None:
            super().on_message_complete()

    def _too_late(self) -> None:
        self._timer = None
        if self._in_head and not self.transport.is_closing():
            self._refuse(b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.close()
