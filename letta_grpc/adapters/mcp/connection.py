"""One session with an MCP server. One task enters and leaves it, as the mcp package demands; any task may call meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, assert_never

from mcp import Client, MCPError, types
from pydantic import ValidationError

from letta_grpc.adapters.mcp.http import NOT_DELIVERED, http_streams
from letta_grpc.adapters.mcp.refusals import fault_of
from letta_grpc.adapters.mcp.stdio import stdio_streams
from letta_grpc.adapters.mcp.stdout import NotJsonRpcError
from letta_grpc.adapters.mcp.streams import Streams, WatchedStream
from letta_grpc.domain.errors import McpServerFailed
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint

logger = logging.getLogger(__name__)

_OPENING_SECONDS = 30.0
# A server whose list has no end is not listened to for ever.
MAX_TOOLS = 1000
_MAX_PAGES = 100
_MAX_COMPLAINT = 500


class NotDeliveredError(Exception):
    """The server has surely not seen the call."""


class Connection:
    """Opens when `run` starts. Ends by itself when the server does, or when it is released and no call is under way."""

    def __init__(self, server: McpServer, *, allow_private_addresses: bool) -> None:
        self._server = server
        self._allow_private_addresses = allow_private_addresses
        self._client: Client | None = None
        self._failure: str | None = None
        self._nonsense: NotJsonRpcError | None = None
        self._opened, self._over, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self._calls = 0
        self._released = False

    @property
    def is_usable(self) -> bool:
        """Whether calls may be tried on it."""
        return not (self._over.is_set() or self._released)

    async def run(self) -> None:
        """Hold the session from its beginning to its end. Never raises, but what cancels it."""
        self._task = asyncio.current_task()
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(_OPENING_SECONDS):
                    client = await stack.enter_async_context(Client(self._transport(), cache=None, client_info=_INFO))
                    # Not only for a list: what the server says here the client needs for its calls.
                    await _listed(client)
                self._client = client
                self._opened.set()
                await self._over.wait()
                if not self._released:
                    logger.info("the session with an MCP server ended", extra={"mcp_server": self._server.name})
        except Exception as error:  # The package raises groups of whatever the transport met.
            self._failure = _reason_of(self._nonsense or error)
            logger.info("the session with an MCP server failed", exc_info=error, extra={"mcp_server": self._server.name})
        finally:
            self._client = None
            for event in (self._over, self._opened, self.gone):
                event.set()

    def release(self) -> None:
        """Let it end once no call is under way; no call begins on it any more."""
        self._released = True
        if not self._calls:
            self.end()

    def end(self) -> None:
        """Let it end now."""
        self._released = True
        self._over.set()
        if self._task and not self._opened.is_set():
            # Only while it opens: a session that is being left has a child process to wait for.
            self._task.cancel()

    async def list_tools(self) -> tuple[types.Tool, ...]:
        """Ask the server for its tools. Raises McpServerFailed, NotDeliveredError."""
        with self._in_use():
            client = await self._usable()
            try:
                return await _listed(client)
            except MCPError as error:
                if error.code == NOT_DELIVERED:
                    raise NotDeliveredError(error.message) from error
                raise self._failed(_reason_of(self._nonsense or error)) from error
            except ValidationError as error:
                raise self._failed(_reason_of(error)) from error

    async def call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Call a tool. Raises McpServerFailed if there is no session, NotDeliveredError, and what the mcp package raises.

        A cancelled call is cancelled at the server too.
        """
        with self._in_use():
            client = await self._usable()
            try:
                return await client.call_tool(name, dict(arguments))
            except MCPError as error:
                if error.code == NOT_DELIVERED:
                    raise NotDeliveredError(error.message) from error
                if self._nonsense:
                    effect = " The call may have had its effect; it was not repeated."
                    raise self._failed(_reason_of(self._nonsense), effect) from error
                raise

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            if self._released and not self._calls:
                self.end()

    async def _usable(self) -> Client:
        await self._opened.wait()
        if self._failure is not None:
            raise self._failed(self._failure)
        if self._client is None or self._over.is_set():
            raise NotDeliveredError("the session has ended")
        return self._client

    def _failed(self, reason: str, addition: str = "") -> McpServerFailed:
        text = f"The MCP server {self._server.name!r} failed: {reason}.{addition}"
        return McpServerFailed(text, mcp_server_id=self._server.id)

    def _end_of_stream(self, error: BaseException | None) -> None:
        if isinstance(error, NotJsonRpcError):
            self._nonsense = error
        self._over.set()

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[Streams]:
        match self._server.endpoint:
            case StdioEndpoint() as endpoint:
                opening = stdio_streams(endpoint, self._server.name)
            case HttpEndpoint() as endpoint:
                opening = http_streams(endpoint, allow_private_addresses=self._allow_private_addresses)
            case _ as never:
                assert_never(never)
        async with opening as (received, sent):
            yield WatchedStream(received, self._end_of_stream), sent


_INFO = types.Implementation(name="letta-grpc", version="1")


async def _listed(client: Client) -> tuple[types.Tool, ...]:
    found: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None or len(found) >= MAX_TOOLS:
            break
    return tuple(found[:MAX_TOOLS])


def _reason_of(error: BaseException) -> str:
    """Return what may be told of a failure: the server's own words, and of everything else its kind."""
    match error:
        case BaseExceptionGroup():
            return _reason_of(error.exceptions[0])
        case MCPError() | NotJsonRpcError():
            return error.message[:_MAX_COMPLAINT].rstrip(".")
        case TimeoutError():
            return f"it did not answer within {_OPENING_SECONDS:g} seconds"
        case FileNotFoundError() | PermissionError():
            return f"its command cannot be run ({error.strerror})"
        case ValidationError():
            return f"what it says is not the protocol: {fault_of(error)}"
        case _:
            return "the connection broke"
