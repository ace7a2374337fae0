"""One connection: HTTP/1.1 (RFC 9112), a request at a time."""

import asyncio
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from letta_grpc.adapters.openai.faults import DisconnectedError, NotHttpError, StaleError
from letta_grpc.adapters.openai.response import Patience, Response

# Heads, the framing of chunks and trailers: whatever is not body.
MAX_FRAMING_BYTES = 64 * 1024
_FINAL, _REDIRECT = 200, 300


class Owner(Protocol):
    """Whoever owns a connection, and is told when it is free or gone."""

    def take_back(self, connection: "Connection") -> None:
        """Keep a connection that may serve another request."""
        ...

    def forget(self, connection: "Connection") -> None:
        """Take note that a connection is gone."""
        ...


class Connection(asyncio.Protocol):
    """Sends requests and fills their responses.

    Once a response has been received to its end the connection goes back to its owner, whether or not it has been read.
    """

    __slots__ = (
        "_framing_bytes",
        "_has_received",
        "_has_served",
        "_headers",
        "_is_delimited",
        "_owner",
        "_parser",
        "_response",
        "_transport",
        "idle_since",
    )

    def __init__(self, owner: Owner) -> None:
        self.idle_since = 0.0
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._response: Response | None = None
        self._headers: dict[str, str] = {}
        self._framing_bytes = 0
        self._is_delimited = False
        self._has_received = False
        self._has_served = False

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent, as far as this side knows."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, patience: Patience) -> Response:
        """Send a request. The connection must be open and its last response complete; it keeps neither head nor body."""
        transport = self._transport
        if transport is None:
            raise StaleError
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self._headers, self._framing_bytes, self._has_received = {}, 0, False
        self._response = response = Response(transport, patience)
        transport.write(head + body)
        return response

    def close(self) -> None:
        """End it in order, where nothing is under way."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        response, self._response = self._response, None
        if response is not None:
            if response.status and not self._is_delimited and exc is None:
                # A body without a length ends where the connection does.
                response.finish()
            else:
                response.fail(self._why_lost(exc))
            response.wake()
        # The parser holds this object's methods.
        self._transport = self._parser = None
        self._owner.forget(self)

    def data_received(self, data: bytes) -> None:
        """Fill the response, and wake its reader once."""
        response, parser = self._response, self._parser
        if response is None or parser is None:
            # Nothing was asked.
            self.abort()
            return
        self._has_received = True
        self._framing_bytes += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break(response, str(error))
        else:
            if self._framing_bytes > MAX_FRAMING_BYTES:
                self._break(response, "a head or trailer without an end")
        response.wake()

    # What the parser says.

    def on_message_begin(self) -> None:
        """Give up a connection on which more comes than was asked for."""
        if self._response is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Begin the response, unless it is an interim one (1xx)."""
        parser, response, headers = self._parser, self._response, self._headers
        self._headers = {}
        if parser is None or response is None or (status := parser.get_status_code()) < _FINAL:
            return
        coding = headers.get("transfer-encoding")
        self._is_delimited = "content-length" in headers if coding is None else coding.lower().endswith("chunked")
        # Of an answer nobody asks for the headers, and vendors send kilobytes of them.
        response.begin(status, headers if status >= _REDIRECT else {})

    def on_body(self, body: bytes) -> None:
        """Pass a piece on."""
        self._framing_bytes = 0
        if self._response is not None:
            self._response.feed(body)

    def on_message_complete(self) -> None:
        """End the response."""
        response, transport, parser = self._response, self._transport, self._parser
        if response is None or transport is None or parser is None or not response.status:
            return
        self._response = None
        self._has_served = True
        response.finish()
        # A server that answers before it has read the request leaves the rest of it on the line.
        if parser.should_keep_alive() and not transport.get_write_buffer_size():
            self._owner.take_back(self)
        else:
            transport.close()

    def _break(self, response: Response, why: str) -> None:
        if not response.is_complete:
            response.fail(NotHttpError(why))
        self._response = None
        self.abort()

    def _why_lost(self, exc: Exception | None) -> Exception:
        kind = StaleError if self._has_served and not self._has_received else DisconnectedError
        failure = kind("the connection ended before the response")
        failure.__cause__ = exc
        return failure
