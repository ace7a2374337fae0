"""Requests to MCP servers over HTTP: where they may go, and what a failure says about the call that it belongs to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CONNECTION_CLOSED

from letta_grpc.adapters.mcp.lines import MAX_LINE_BYTES
from letta_grpc.adapters.mcp.streams import Streams
from letta_grpc.adapters.web_addresses import VettedTransport
from letta_grpc.domain.tools import HttpEndpoint

# Error codes of our own, in the range that JSON-RPC leaves to implementations. NOT_DELIVERED: the server has surely not seen
# the request.
NOT_DELIVERED = -32090
REFUSED = -32091
TOO_LARGE = -32092
# What an error says that comes of a connection which was lost.
ENDED = "the connection ended"
# As large as a line over stdio may be. Of a stream of events, the mcp package bounds each event.
MAX_JSON_BYTES = MAX_LINE_BYTES
# The mcp package reads JSON on the event loop, which stands still meanwhile: not for the bytes of a picture or a text, but for
# 13 s where 16 MiB are nothing but small values. Counted by commas, of which a text has a few, too.
MAX_JSON_VALUES = 250_000

_FORM_HEADERS = ("content-encoding", "content-length", "transfer-encoding")
_SESSION_HEADER = "mcp-session-id"
# No bound for reading: every call has its own, and a tool may be silent for as long as that.
_TIMEOUT = httpx2.Timeout(10, read=None)
# Leaving a session that its server may have forgotten is a courtesy.
_PARTING_SECONDS = 2.0


@asynccontextmanager
async def http_streams(endpoint: HttpEndpoint, *, allow_private_addresses: bool) -> AsyncIterator[Streams]:
    """Speak to a server over streamable HTTP. Redirects are followed within the server's origin alone."""
    transport = GuardedTransport(allow_private_addresses=allow_private_addresses)
    async with (
        httpx2.AsyncClient(headers=endpoint.headers, timeout=_TIMEOUT, transport=transport) as client,
        streamable_http_client(endpoint.url, http_client=client) as streams,
    ):
        yield streams


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests; a failure becomes an answer with a JSON-RPC error.

    An exception in one request would end the whole session in the mcp package, with every other call that is under way.
    """

    def __init__(self, *, allow_private_addresses: bool) -> None:
        self._inner = VettedTransport(httpx2.AsyncHTTPTransport(), allow_private_addresses=allow_private_addresses)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request."""
        if request.method == "DELETE":
            request.extensions["timeout"] = httpx2.Timeout(_PARTING_SECONDS).as_dict()
        try:
            response = await _with_body(await self._inner.handle_async_request(request))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            return _failed(NOT_DELIVERED, "it cannot be reached")
        except (httpx2.TransportError, httpx2.DecodingError):
            return _failed(CONNECTION_CLOSED, ENDED)
        if response.status_code in (401, 403):
            await response.aclose()
            return _failed(REFUSED, f"it refused the credentials (HTTP {response.status_code})")
        if response.status_code == 404 and _SESSION_HEADER in request.headers:  # noqa: PLR2004 - a status has no better name
            await response.aclose()
            return _failed(NOT_DELIVERED, "it has ended the session")
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


async def _with_body(response: httpx2.Response) -> httpx2.Response:
    """Read JSON, which the mcp package would read without a bound; leave everything else to it."""
    if not response.headers.get("content-type", "").lower().startswith("application/json"):
        return response
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_JSON_BYTES:
                return _failed(TOO_LARGE, f"its answer has more than {MAX_JSON_BYTES} bytes")
    finally:
        await response.aclose()
    if body.count(b",") > MAX_JSON_VALUES:
        return _failed(TOO_LARGE, f"its answer has more than {MAX_JSON_VALUES} values")
    # Those of the body's form are no longer true.
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _FORM_HEADERS]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body))


def _failed(code: int, message: str) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(502, headers={"content-type": "application/json"}, content=json.dumps(body).encode())
