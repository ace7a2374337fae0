"""`McpConnections`: checks endpoints, and loads the mcp package with the first use."""

import asyncio
import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.errors import LettaError, McpServerFailed, ServerDraining
from letta_grpc.domain.tools import McpServer, ToolSignature
from letta_grpc.ports.tools import ToolResult, failure

if TYPE_CHECKING:
    from letta_grpc.adapters.mcp.sessions import Sessions

logger = logging.getLogger(__name__)

# They tell addresses and session ids at level info.
_TALKATIVE = ("mcp", "httpx2", "httpcore2")


class McpConnections:
    """Speaks to MCP servers while it is entered; leaving ends all sessions, and the processes that were started for them."""

    def __init__(self, policy: McpPolicy, *, listing_seconds: float = 30.0) -> None:
        self._policy = policy
        self._listing_seconds = listing_seconds
        self._group = asyncio.TaskGroup()
        self._sessions: Sessions | None = None
        self._closed = True

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        if self._sessions:
            self._sessions.end()
        # Without the error: it would have the group cancel the sessions, which are to end the processes in their own way.
        await self._group.__aexit__(None, None, None)

    def check(self, server: McpServer) -> None:
        """Raise InvalidRequest, naming field and setting, for an endpoint that is not allowed here."""
        self._policy.check(server)

    async def list_tools(self, server: McpServer) -> tuple[ToolSignature, ...]:
        """Return the server's tools. Raises McpServerFailed, ServerDraining, and what `check` raises."""
        self._policy.check(server)
        try:
            async with asyncio.timeout(self._listing_seconds):
                return await (await self._loaded()).list_tools(server)
        except TimeoutError:
            text = f"The MCP server {server.name!r} did not answer within {self._listing_seconds:g} seconds."
            raise McpServerFailed(text, mcp_server_id=server.id) from None

    async def call(self, server: McpServer, name: str, arguments: str, timeout_seconds: float) -> ToolResult:
        """Call a tool. The time runs from here: a session that must be opened first has no time of its own."""
        parsed = _object_of(arguments)
        if parsed is None:
            return failure("the arguments are not a JSON object.")
        if not _can_be_sent(parsed):
            return failure(
                "the arguments hold half a character (a surrogate without its other half), or are nested too deeply."
            )
        try:
            self._policy.check(server)
            async with asyncio.timeout(timeout_seconds):
                return await (await self._loaded()).call(server, name, parsed)
        except TimeoutError:
            return failure(
                f"the MCP server {server.name!r} did not answer within {timeout_seconds:g} seconds. The call was cancelled; "
                "it may have had its effect."
            )
        except LettaError as error:
            return failure(error.message)
        except Exception:
            # The package raises whatever its transports and validators do.
            logger.exception("calling a tool of an MCP server failed", extra={"mcp_server": server.name, "tool": name})
            return failure(f"what the MCP server {server.name!r} answered cannot be used. The call may have had its effect.")

    async def forget(self, server: McpServer) -> None:
        """End the session with a server, and the process that was started for it."""
        if self._sessions:
            await self._sessions.forget(server)

    async def _loaded(self) -> "Sessions":
        if self._sessions is None:
            # In a thread, and only for its effect: others may have waited for the same.
            await asyncio.to_thread(_load)
        return self._opened()

    def _opened(self) -> "Sessions":
        if self._closed:
            raise ServerDraining("This server is stopping; the MCP server was not asked.")
        if self._sessions is None:
            self._sessions = _load()(self._group, self._policy)
        return self._sessions


def _load() -> "type[Sessions]":
    from letta_grpc.adapters.mcp.sessions import Sessions  # noqa: PLC0415 - takes a second, which no start is to pay for

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    return Sessions


def _object_of(arguments: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _can_be_sent(arguments: Mapping[str, Any]) -> bool:
    """Tell whether a message can hold them. Over stdio the mcp package would end the session, with all calls under way."""
    try:
        json.dumps(arguments, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True
